/* SPDX-License-Identifier: MIT */
/* Clients for tests. */
#ifndef SUPPORT_PEERS_H
#define SUPPORT_PEERS_H

#include "net/peer.h"
#include "support/test.h"

#include <arpa/inet.h>

/* Who is at an address, IPv4 or IPv6. */
static inline struct peer peer_at(const char *text, uint16_t port)
{
    /* Room for either: a `struct sockaddr` is what its family says. */
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } address = {.v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)}};
    if (inet_pton(AF_INET6, text, &address.v6.sin6_addr) != 1) {
        address.v4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port)};
        assert_int_equal(inet_pton(AF_INET, text, &address.v4.sin_addr), 1);
    }
    return peer_of(&address.any);
}

#endif
