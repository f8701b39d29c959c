/* SPDX-License-Identifier: MIT */
/* The URL of an image, as a device is given it. */
#ifndef DEVICE_TARGET_H
#define DEVICE_TARGET_H

#include <espimage/error.h>
#include <stdint.h>

struct target {
    char host[254]; /* name or dotted IPv4 address */
    uint16_t port;
    char path[1024]; /* with the query, as it goes into the request line */
    int slot;        /* that the path or a value of the query names: 1, 2, or 0 */
};

/* "http://host[:port]/path". ESPIMAGE_ERR_USAGE for what a device cannot ask for: another scheme,
 * an IPv6 address, user names, fragments, spaces. */
enum espimage_code target_parse(const char *url, struct target *out, struct espimage_error *err);

#endif
