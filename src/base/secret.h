/* SPDX-License-Identifier: MIT */
#ifndef BASE_SECRET_H
#define BASE_SECRET_H

#include <stdbool.h>
#include <stddef.h>

/* The `size` bytes at `text` begin with `secret`. The time that it takes does not depend on where
 * they differ. */
bool begins_with_secret(const char *text, size_t size, const char *secret);

#endif
