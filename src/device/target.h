/* SPDX-License-Identifier: MIT */
/* The URL of an image, as a device is given it. */
#ifndef DEVICE_TARGET_H
#define DEVICE_TARGET_H

#include "ota/request.h"

#include <espimage/error.h>
#include <stdbool.h>
#include <stdint.h>

struct target {
    char host[254]; /* name or dotted IPv4 address */
    uint16_t port;
    char path[OTA_REQUEST_ROOM]; /* with the query, as it goes into the request line */
    int slot;                    /* that the path or a value of the query names: 1, 2, or 0 */
};

/* "http://host[:port]/path". ESPIMAGE_ERR_USAGE for what a device cannot ask for: another scheme,
 * an IPv6 address, user names, fragments, spaces, a path for which its buffer is too short. */
enum espimage_code target_parse(const char *url, struct target *out, struct espimage_error *err);

/* Whether a device has room for the request; a longer one overruns its buffer. */
bool target_fits(const struct target *target);

/* The GET of the vendor's sample, to the byte: HTTP/1.0, no Host, and a CR too many behind the
 * empty line. Returns its length, as snprintf() does. */
size_t target_request(const struct target *target, char *text, size_t room);

#endif
