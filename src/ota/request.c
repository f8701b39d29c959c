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

static const struct {
    const char *found;
    const char *becomes;
} replaced[] = {{"GET", "HEAD"}, {"keep-alive", "close"}};

#define REPLACED_COUNT (sizeof replaced / sizeof replaced[0])

static size_t put(char *to, size_t room, size_t at, const char *text, size_t size)
{
    for (size_t i = 0; i < size && at + i + 1 < room; i++) {
        to[at + i] = text[i];
    }
    return at + size;
}

/* Which one `at` begins with; REPLACED_COUNT: none. */
static size_t replaced_at(const char *at)
{
    size_t i = 0;
    while (i < REPLACED_COUNT && strncmp(at, replaced[i].found, strlen(replaced[i].found)) != 0) {
        i++;
    }
    return i;
}

size_t ota_head_of_get(const char *get, char *head, size_t room)
{
    size_t size = 0;
    for (const char *at = get; *at != '\0';) {
        size_t i = replaced_at(at);
        if (i < REPLACED_COUNT) {
            size = put(head, room, size, replaced[i].becomes, strlen(replaced[i].becomes));
            at += strlen(replaced[i].found);
        } else {
            size = put(head, room, size, at++, 1);
        }
    }
    if (room > 0) {
        head[size < room ? size : room - 1] = '\0';
    }
    return size;
}

const char *ota_replaced_in(const char *text)
{
    for (size_t i = 0; i < REPLACED_COUNT; i++) {
        if (strstr(text, replaced[i].found) != NULL) {
            return replaced[i].found;
        }
    }
    return NULL;
}
