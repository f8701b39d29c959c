/* SPDX-License-Identifier: MIT */
#include "http/token.h"

#include "base/error.h"
#include "base/secret.h"
#include "ota/request.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define MASK "***"

enum espimage_code token_check(const char *token, struct espimage_error *err)
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~";
    size_t size = strlen(token);
    if (strspn(token, plain) != size) {
        error_found(err, ESPIMAGE_ERR_USAGE, "--path-token: other characters");
        return error_wanted(err, "letters, digits and -._~");
    }
    if (size < TOKEN_SHORTEST || size > TOKEN_LONGEST) {
        error_found(err, ESPIMAGE_ERR_USAGE, "--path-token: %zu characters", size);
        return error_wanted(err, "%d to %d", TOKEN_SHORTEST, TOKEN_LONGEST);
    }
    if (ota_replaced_in(token) != NULL) {
        error_found(err, ESPIMAGE_ERR_USAGE, "--path-token: contains %s", ota_replaced_in(token));
        return error_wanted(err,
                            "another: SDKs replace it everywhere when they make HEAD of GET, so "
                            "HEAD would ask for another path");
    }
    return ESPIMAGE_OK;
}

const char *token_strip(const char *token, const char *path, size_t size)
{
    if (token == NULL) {
        return path;
    }
    size_t length = strlen(token);
    if (size < length + 2 || path[0] != '/' || !begins_with_secret(path + 1, size - 1, token)) {
        return NULL;
    }
    const char *rest = path + 1 + length;
    return *rest == '/' ? rest : NULL;
}

/* The first component of a path that has more than one, or one with escapes. */
static size_t size_of_first(const char *target)
{
    size_t size = target[0] == '/' ? strcspn(target + 1, "/?") : 0;
    bool more = size > 0 && target[1 + size] == '/';
    return more || memchr(target, '%', size + 1) != NULL ? size : 0;
}

char *token_mask(const char *token, const char *target)
{
    if (token == NULL) {
        return strdup(target);
    }
    /* Tokens are longer than the mask, so only the first component can grow. */
    char *copy = malloc(strlen(target) + sizeof MASK);
    size_t first = size_of_first(target);
    size_t used = 0;
    if (copy == NULL) {
        return NULL;
    }
    for (const char *c = target; *c != '\0';) {
        bool masked = first > 0 && c == target + 1;
        bool token_here = strncmp(c, token, strlen(token)) == 0;
        size_t skip = masked ? first : token_here ? strlen(token) : 0;
        if (skip > 0) {
            memcpy(copy + used, MASK, strlen(MASK));
            used += strlen(MASK);
            c += skip;
        } else {
            copy[used++] = *c++;
        }
    }
    copy[used] = '\0';
    return copy;
}
