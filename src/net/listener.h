/* SPDX-License-Identifier: MIT */
#ifndef NET_LISTENER_H
#define NET_LISTENER_H

#include <espimage/error.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#define LISTEN_TROUBLE 96

struct listener {
    int fd;
    char address[INET6_ADDRSTRLEN];
    uint16_t port;
    bool inherited;               /* systemd's: not to be shut down, for it stays open there */
    bool exposed;                 /* reached by addresses that are neither loopback nor private */
    bool watched;                 /* its address is on an interface, and may go away with it */
    char interface[IF_NAMESIZE];  /* the socket is bound to it; empty: to none */
    unsigned index;               /* of that interface */
    char trouble[LISTEN_TROUBLE]; /* why nobody reaches it, as told; empty: all is well */
};

/* A listening TCP socket: the one that systemd passed, or a new one. `where` is an address or the
 * name of an interface, whose first address is taken then. _ERR_UNAVAILABLE or _ERR_USAGE. */
enum espimage_code listener_open(const char *where, uint16_t port, struct listener *out,
                                 struct espimage_error *err);

/* To be called now and then when it is watched: interfaces and addresses come and go. True when
 * `text` has news. */
bool listener_poll(struct listener *listener, char *text, size_t size);

#endif
