/* SPDX-License-Identifier: MIT */
#include "cli/server_module.h"

#include "base/error.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

enum { PATH_ROOM = 2 * PATH_MAX }; /* a resolved folder and a constant */

/* The folder of the running program. Where /proc is missing, as in some chroots, the path that was
 * executed gives it: the working directory is still the one of the start. */
static enum espimage_code program_folder(char folder[PATH_MAX], struct espimage_error *err)
{
    const char *executed = (const char *)(uintptr_t)getauxval(AT_EXECFN);
    if (realpath("/proc/self/exe", folder) == NULL &&
        (executed == NULL || realpath(executed, folder) == NULL)) {
        error_found(err, ESPIMAGE_ERR_UNAVAILABLE,
                    "cannot load the server: the program's own path is unknown: %s",
                    strerror(errno));
        return error_advice(err, "mount /proc");
    }
    *strrchr(folder, '/') = '\0';
    return ESPIMAGE_OK;
}

/* Beside the program in a build; else where it is installed. */
static enum espimage_code find_module(char path[PATH_ROOM], struct espimage_error *err)
{
    char folder[PATH_MAX];
    enum espimage_code code = program_folder(folder, err);
    if (code == ESPIMAGE_OK) {
        (void)snprintf(path, PATH_ROOM, "%s/%s", folder, SERVER_MODULE_FILE);
        if (access(path, F_OK) != 0) {
            (void)snprintf(path, PATH_ROOM, "%s/%s/%s", folder, BIN_TO_MODULE, SERVER_MODULE_FILE);
        }
    }
    return code;
}

enum espimage_code server_module_load(const struct server_module **out, struct espimage_error *err)
{
    char path[PATH_ROOM];
    enum espimage_code code = find_module(path, err);
    if (code != ESPIMAGE_OK) {
        return code;
    }
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    const void *symbol = handle != NULL ? dlsym(handle, SERVER_MODULE_SYMBOL) : NULL;
    if (symbol == NULL) {
        error_found(err, ESPIMAGE_ERR_UNAVAILABLE, "cannot load the server: %s", dlerror());
        return error_advice(err, "install all of espimagetool: cmake --install");
    }
    *out = symbol;
    return ESPIMAGE_OK;
}
