/* SPDX-License-Identifier: MIT */
#include "ota/request.h"

#include "base/text.h"

#include <stdbool.h>
#include <string.h>

static bool names(const char *component, const char *slot)
{
    const char *at = component;
    while ((at = text_find(at, slot)) != NULL) {
        at += strlen(slot);
        if (*at < '0' || *at > '9') {
            return true;
        }
    }
    return false;
}

int ota_slot_of_name(const char *name)
{
    const char *slash = strrchr(name, '/');
    const char *component = slash != NULL ? slash + 1 : name;
    const char *dot = strrchr(component, '.');
    bool one = names(component, "user1");
    bool two = names(component, "user2");

    if (one == two || (dot != NULL && !text_same(dot, ".bin"))) {
        return 0;
    }
    return one ? 1 : 2;
}
