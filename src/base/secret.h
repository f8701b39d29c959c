/* SPDX-License-Identifier: MIT */
#ifndef BASE_SECRET_H
#define BASE_SECRET_H

#include <stdbool.h>

/* `text` begins with `secret`. How long it takes says nothing about where they differ. */
bool begins_with_secret(const char *text, const char *secret);

#endif
