/* SPDX-License-Identifier: MIT */
/* Networks, such as 192.168.4.0/24 or fd00::/8. */
#ifndef NET_CIDR_H
#define NET_CIDR_H

#include "net/peer.h"

#include <espimage/error.h>

struct cidr {
    struct in6_addr network; /* IPv4 as ::ffff:a.b.c.d */
    unsigned bits;           /* that count; of IPv4 96 more than written */
};

/* An address alone is a network of one. Bits set behind the prefix are refused,
 * and so is a mapped address whose prefix holds every IPv4 address. ESPIMAGE_ERR_USAGE. */
enum espimage_code cidr_parse(const char *text, struct cidr *out, struct espimage_error *err);
bool cidr_holds(const struct cidr *cidr, const struct peer *peer);

/* Loopback, or a network that the Internet does not reach: private, link-local, carrier's. */
bool peer_is_local(const struct peer *peer);

#endif
