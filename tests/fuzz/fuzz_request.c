/* SPDX-License-Identifier: MIT */
/* Any bytes as a request's path. */
#include "fuzz/fuzz.h"

#include "base/text.h"
#include "ota/request.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *path = malloc(size + 1);
    if (path == NULL) {
        return 0;
    }
    memcpy(path, data, size);
    path[size] = '\0';
    int slot = ota_slot_of_name(path);
    if (slot < 0 || slot > 2 || (slot == 1 && text_find(path, "user1") == NULL) ||
        (slot == 2 && text_find(path, "user2") == NULL)) {
        abort();
    }
    free(path);
    return 0;
}
