/* SPDX-License-Identifier: MIT */
#include "base/text.h"

#include <stdint.h>
#include <string.h>

static char lower(char c)
{
    return (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
}

bool text_same(const char *a, const char *b)
{
    while (*a != '\0' && lower(*a) == lower(*b)) {
        a++;
        b++;
    }
    return lower(*a) == lower(*b);
}

const char *text_find(const char *text, const char *word)
{
    for (; *text != '\0'; text++) {
        size_t i = 0;
        while (word[i] != '\0' && lower(text[i]) == lower(word[i])) {
            i++;
        }
        if (word[i] == '\0') {
            return text;
        }
    }
    return NULL;
}

/* Bytes of the UTF-8 sequence that `s` begins with, or 0: not one, or a control character. */
static size_t sequence(const unsigned char *s)
{
    if (s[0] < 0x80) {
        return s[0] >= 0x20 && s[0] != 0x7F ? 1 : 0;
    }
    size_t length = s[0] >= 0xF0 ? 4 : s[0] >= 0xE0 ? 3 : 2;
    uint32_t c = s[0] & (0x7FU >> length);
    for (size_t i = 1; i < length; i++) {
        if ((s[i] & 0xC0) != 0x80) { /* the NUL at the end, too */
            return 0;
        }
        c = c << 6 | (s[i] & 0x3FU);
    }
    static const uint32_t smallest[] = {0, 0, 0xA0 /* beyond the controls */, 0x800, 0x10000};
    bool surrogate = c >= 0xD800 && c <= 0xDFFF;
    return s[0] >= 0xC2 && s[0] <= 0xF4 && c >= smallest[length] && c <= 0x10FFFF && !surrogate
               ? length
               : 0;
}

void printable(char *to, size_t size, const char *from)
{
    size_t used = 0;
    while (*from != '\0') {
        size_t length = sequence((const unsigned char *)from);
        size_t step = length > 0 ? length : 1;
        if (used + step >= size) {
            break;
        }
        memcpy(to + used, length > 0 ? from : "?", step);
        used += step;
        from += step;
    }
    to[used] = '\0';
}
