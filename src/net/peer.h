/* SPDX-License-Identifier: MIT */
/* The address of a client, IPv4 or IPv6, as one small value. */
#ifndef NET_PEER_H
#define NET_PEER_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

/* Room for an address as the kernel has it. */
union any_address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

struct peer {
    struct in6_addr address; /* IPv4 as ::ffff:a.b.c.d */
    uint16_t port;
};

#define PEER_TEXT INET6_ADDRSTRLEN

struct peer peer_of(const struct sockaddr *address);
bool peer_same_address(const struct peer *a, const struct peer *b);
uint32_t peer_hash(const struct peer *peer); /* of the address */
void peer_text(const struct peer *peer, char text[PEER_TEXT]);

#endif
