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

/* Bytes of the UTF-8 sequence that `s` begins with, and its code point; 0 when it is not one. */
static size_t sequence(const unsigned char *s, uint32_t *point)
{
    size_t length = 1;
    if (s[0] >= 0x80) {
        length = s[0] >= 0xE0 ? 3 : 2;
        length = s[0] >= 0xF0 ? 4 : length;
    }
    uint32_t c = length == 1 ? s[0] : s[0] & (0x7FU >> length);
    for (size_t i = 1; i < length; i++) {
        if ((s[i] & 0xC0) != 0x80) { /* the NUL at the end, too */
            return 0;
        }
        c = c << 6 | (s[i] & 0x3FU);
    }
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    bool surrogate = c >= 0xD800 && c <= 0xDFFF;
    *point = c;
    bool lead = s[0] < 0x80 || (s[0] >= 0xC2 && s[0] <= 0xF4);
    return lead && c >= smallest[length] && c <= 0x10FFFF && !surrogate ? length : 0;
}

/* Characters that a reader does not see, or that change how the text around them looks: with them a
 * path in a log can pass for another one, or for a line of its own. */
static bool is_shown(uint32_t point)
{
    static const struct {
        uint32_t first;
        uint32_t last;
    } hidden[] = {
        {0x0000, 0x001F},   /* controls */
        {0x007F, 0x00A0},   /* controls, no-break space */
        {0x00AD, 0x00AD},   /* soft hyphen */
        {0x034F, 0x034F},   /* combining grapheme joiner */
        {0x061C, 0x061C},   /* Arabic letter mark */
        {0x115F, 0x1160},   /* Hangul fillers */
        {0x1680, 0x1680},   /* Ogham space */
        {0x17B4, 0x17B5},   /* Khmer inherent vowels */
        {0x180B, 0x180F},   /* Mongolian separators */
        {0x2000, 0x200F},   /* spaces, zero width, left-to-right and right-to-left marks */
        {0x2028, 0x202F},   /* line and paragraph separators, bidirectional marks */
        {0x205F, 0x206F},   /* invisible operators, bidirectional isolates */
        {0x3000, 0x3000},   /* ideographic space */
        {0x3164, 0x3164},   /* Hangul filler */
        {0xFE00, 0xFE0F},   /* variation selectors */
        {0xFEFF, 0xFEFF},   /* byte order mark */
        {0xFFA0, 0xFFA0},   /* halfwidth Hangul filler */
        {0xFFF0, 0xFFFB},   /* interlinear annotations */
        {0x1D173, 0x1D17A}, /* musical format controls */
        {0xE0000, 0xE0FFF}, /* tags, more variation selectors */
    };
    for (size_t i = 0; i < sizeof hidden / sizeof hidden[0]; i++) {
        if (point >= hidden[i].first && point <= hidden[i].last) {
            return false;
        }
    }
    return true;
}

void printable(char *to, size_t size, const char *from)
{
    size_t used = 0;
    while (*from != '\0') {
        uint32_t point = 0;
        size_t length = sequence((const unsigned char *)from, &point);
        bool shown = length > 0 && is_shown(point);
        size_t step = shown ? length : 1;
        if (used + step >= size) {
            break;
        }
        memcpy(to + used, shown ? from : "?", step);
        used += step;
        from += length > 0 ? length : 1;
    }
    to[used] = '\0';
}
