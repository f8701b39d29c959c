/* SPDX-License-Identifier: MIT */
#include "base/text.h"

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
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

void printable(char *to, size_t size, const char *from)
{
    size_t used = 0;
    for (; *from != '\0' && used + 1 < size; from++) {
        unsigned char c = (unsigned char)*from;
        to[used++] = c < 0x20 || c == 0x7F ? '?' : (char)c;
    }
    to[used] = '\0';
}
