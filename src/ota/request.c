/* SPDX-License-Identifier: MIT */
#include "ota/request.h"

#include "base/text.h"

#include <stdbool.h>
#include <stdio.h>
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

int ota_slot_of_target(const char *target)
{
    char part[1024];
    size_t length = strcspn(target, "?");
    (void)snprintf(part, sizeof part, "%.*s", (int)length, target);
    int slot = ota_slot_of_name(part);
    const char *at = target + length;
    while (slot == 0 && *at != '\0') {
        at++; /* '?' or '&' */
        length = strcspn(at, "&");
        const char *equals = memchr(at, '=', length);
        if (equals != NULL) {
            (void)snprintf(part, sizeof part, "%.*s", (int)(at + length - equals - 1), equals + 1);
            slot = ota_slot_of_name(part);
        }
        at += length;
    }
    return slot;
}
