/* SPDX-License-Identifier: MIT */
#ifndef CLI_SERVE_URLS_H
#define CLI_SERVE_URLS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* The URLs of the slots that there are, for every address at which a server that listens on
 * `address` can be reached, those of this computer alone last; below `token`, unless that is NULL.
 * A new array of strings. */
json_t *serve_urls(const char *address, uint16_t port, const char *token, const bool slots[2]);

#endif
