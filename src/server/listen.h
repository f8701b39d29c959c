/* SPDX-License-Identifier: MIT */
#ifndef SERVER_LISTEN_H
#define SERVER_LISTEN_H

#include <espimage/error.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

struct listener {
    int fd;
    char address[INET6_ADDRSTRLEN];
    uint16_t port;
    bool inherited; /* systemd's: not to be shut down, for it stays open there */
    bool exposed;   /* reached by addresses that are neither loopback nor private */
};

/* A listening TCP socket: the one that systemd passed, or a new one. `where` is an address or the
 * name of an interface, whose first address is taken then. _ERR_UNAVAILABLE or _ERR_USAGE. */
enum espimage_code listen_on(const char *where, uint16_t port, struct listener *out,
                             struct espimage_error *err);

#endif
