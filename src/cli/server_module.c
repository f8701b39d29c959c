/* SPDX-License-Identifier: MIT */
#include "cli/server_module.h"

#include "base/error.h"

#include <dlfcn.h>

enum espimage_code server_module_load(const struct server_module **out, struct espimage_error *err)
{
    /* Found by the program's run path: beside it in a build, in lib/espimagetool when installed. */
    void *handle = dlopen(SERVER_MODULE_FILE, RTLD_NOW | RTLD_LOCAL);
    const void *symbol = handle != NULL ? dlsym(handle, SERVER_MODULE_SYMBOL) : NULL;
    if (symbol == NULL) {
        error_found(err, ESPIMAGE_ERR_UNAVAILABLE, "cannot load the server: %s", dlerror());
        return error_advice(err, "install it whole: cmake --install");
    }
    *out = symbol;
    return ESPIMAGE_OK;
}
