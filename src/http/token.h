/* SPDX-License-Identifier: MIT */
/* A secret first component of the path, for networks with strangers: /TOKEN/user1.bin. */
#ifndef HTTP_TOKEN_H
#define HTTP_TOKEN_H

#include <espimage/error.h>
#include <stddef.h>

#define TOKEN_SHORTEST 8
#define TOKEN_LONGEST  64

/* ESPIMAGE_ERR_USAGE when it would be easily guessed or need escapes in a URL. */
enum espimage_code token_check(const char *token, struct espimage_error *err);

/* What follows the token in a path of `size` bytes, from the slash on; NULL when it does not begin
 * with the token. Without a token (NULL), the path. */
const char *token_strip(const char *token, const char *path, size_t size);

/* A copy of a target for the log, without the token and what could be a mistyped one; to be freed.
 * NULL: no memory. */
char *token_mask(const char *token, const char *target);

#endif
