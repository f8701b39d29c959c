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

static int digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* What follows the last slash, decoded. A component that does not fit names no slot. */
static int slot_of_part(const char *part, size_t size)
{
    char name[256];
    size_t used = 0;
    for (size_t i = 0; i < size; i++) {
        int high = part[i] == '%' && i + 2 < size ? digit(part[i + 1]) : -1;
        int low = high >= 0 ? digit(part[i + 2]) : -1;
        char c = part[i];
        if (low >= 0) {
            c = (char)(unsigned char)((unsigned)high << 4 | (unsigned)low);
            i += 2;
        }
        if (c == '\0') {
            return 0;
        }
        used = c == '/' ? 0 : used;
        name[used < sizeof name - 1 ? used : sizeof name - 1] = c;
        used += c == '/' ? 0 : 1;
    }
    if (used >= sizeof name) {
        return 0;
    }
    name[used] = '\0';
    return ota_slot_of_name(name);
}

int ota_slot_of_target(const char *target, size_t size)
{
    const char *end = target + size;
    const char *query = memchr(target, '?', size);
    const char *at = query != NULL ? query : end;
    int slot = slot_of_part(target, (size_t)(at - target));
    while (slot == 0 && at < end) {
        at++; /* '?' or '&' */
        const char *next = memchr(at, '&', (size_t)(end - at));
        next = next != NULL ? next : end;
        const char *equals = memchr(at, '=', (size_t)(next - at));
        if (equals != NULL) {
            slot = slot_of_part(equals + 1, (size_t)(next - equals - 1));
        }
        at = next;
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
