/* SPDX-License-Identifier: MIT */
/* Text that behaves the same in every locale. */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* ASCII letters compare without case; everything else byte by byte. */
bool text_same(const char *a, const char *b);

/* The first occurrence of `word` in `text`, compared as text_same() does, or NULL. */
const char *text_find(const char *text, const char *word);

/* Copies text for people. A byte that is neither ASCII nor UTF-8 becomes '?', and so does a
 * character that is invisible or changes how its neighbours look: controls, bidirectional marks,
 * zero-width characters, spaces other than U+0020. What does not fit is cut, at the end of a
 * character. The result is always valid UTF-8. */
void printable(char *to, size_t size, const char *from);

#endif
