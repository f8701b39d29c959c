/* SPDX-License-Identifier: MIT */
#include "net/peer.h"

#include "base/hash.h"

#include <arpa/inet.h>
#include <string.h>

struct peer peer_of(const struct sockaddr *address)
{
    struct peer peer = {0};
    if (address->sa_family == AF_INET6) {
        struct sockaddr_in6 v6;
        memcpy(&v6, address, sizeof v6);
        peer.address = v6.sin6_addr;
        peer.port = ntohs(v6.sin6_port);
    } else if (address->sa_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, address, sizeof v4);
        memset(peer.address.s6_addr + 10, 0xFF, 2);
        memcpy(peer.address.s6_addr + 12, &v4.sin_addr, 4);
        peer.port = ntohs(v4.sin_port);
    }
    return peer;
}

bool peer_same_address(const struct peer *a, const struct peer *b)
{
    return memcmp(&a->address, &b->address, sizeof a->address) == 0;
}

uint32_t peer_hash(const struct peer *peer)
{
    return hash_bytes(peer->address.s6_addr, sizeof peer->address.s6_addr);
}

void peer_text(const struct peer *peer, char text[PEER_TEXT])
{
    if (IN6_IS_ADDR_V4MAPPED(&peer->address)) {
        (void)inet_ntop(AF_INET, peer->address.s6_addr + 12, text, PEER_TEXT);
    } else {
        (void)inet_ntop(AF_INET6, &peer->address, text, PEER_TEXT);
    }
}
