/* SPDX-License-Identifier: MIT */
#include "net/cidr.h"

#include "base/error.h"

#include <arpa/inet.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define MAPPED_BITS 96

static bool parse_bits(const char *text, unsigned most, unsigned *out)
{
    unsigned bits = 0;
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 3 || text[digits] != '\0') {
        return false;
    }
    for (size_t i = 0; i < digits; i++) {
        bits = 10 * bits + (unsigned)(text[i] - '0');
    }
    *out = bits;
    return bits <= most;
}

static bool parse_address(const char *text, struct cidr *out)
{
    struct in_addr v4;
    *out = (struct cidr){.bits = 128};
    if (inet_pton(AF_INET, text, &v4) == 1) {
        memset(out->network.s6_addr + 10, 0xFF, 2);
        memcpy(out->network.s6_addr + 12, &v4, sizeof v4);
        return true;
    }
    return inet_pton(AF_INET6, text, &out->network) == 1;
}

static bool parse(const char *text, struct cidr *out)
{
    char address[INET6_ADDRSTRLEN];
    size_t size = strcspn(text, "/");
    if (size >= sizeof address) {
        return false;
    }
    (void)snprintf(address, sizeof address, "%.*s", (int)size, text);
    if (!parse_address(address, out)) {
        return false;
    }
    if (text[size] == '\0') {
        return true;
    }
    bool v4 = strchr(address, ':') == NULL;
    if (!parse_bits(text + size + 1, v4 ? 32 : 128, &out->bits)) {
        return false;
    }
    out->bits += v4 ? MAPPED_BITS : 0;
    return true;
}

/* ::ffff:192.0.2.0/24 would be all of IPv4, and much more: a short prefix of a mapped address is
 * one that was meant for IPv4. */
static bool is_short_mapped(const struct cidr *c)
{
    return c->bits < MAPPED_BITS && IN6_IS_ADDR_V4MAPPED(&c->network);
}

static void clear_host_bits(struct cidr *c)
{
    for (unsigned i = 0; i < 16; i++) {
        unsigned kept = c->bits > 8 * i ? c->bits - 8 * i : 0;
        unsigned mask = kept >= 8 ? 0xFFU : (0xFF00U >> kept) & 0xFFU;
        c->network.s6_addr[i] = (uint8_t)(c->network.s6_addr[i] & mask);
    }
}

/* The network of it, as it is to be written. */
static void write_network(const struct cidr *c, char *text, size_t size)
{
    struct cidr network = *c;
    char address[INET6_ADDRSTRLEN] = "";
    clear_host_bits(&network);
    bool v4 = IN6_IS_ADDR_V4MAPPED(&network.network) && c->bits >= MAPPED_BITS;
    (void)inet_ntop(v4 ? AF_INET : AF_INET6, network.network.s6_addr + (v4 ? 12 : 0), address,
                    sizeof address);
    (void)snprintf(text, size, "%s/%u", address, c->bits - (v4 ? MAPPED_BITS : 0));
}

enum espimage_code cidr_parse(const char *text, struct cidr *out, struct espimage_error *err)
{
    char wanted[INET6_ADDRSTRLEN + 8];
    if (!parse(text, out)) {
        error_found(err, ESPIMAGE_ERR_USAGE, "'%s' is not a network", text);
        return error_wanted(err, "one such as 192.168.4.0/24 or fd00::/8");
    }
    if (is_short_mapped(out)) {
        unsigned bits = out->bits <= 32 ? out->bits + MAPPED_BITS : 128;
        const struct cidr meant = {out->network, bits};
        write_network(&meant, wanted, sizeof wanted);
        error_found(err, ESPIMAGE_ERR_USAGE, "'%s' would be every IPv4 address", text);
        return error_wanted(err, "%s", wanted);
    }
    struct cidr network = *out;
    clear_host_bits(&network);
    if (memcmp(&network, out, sizeof network) != 0) {
        write_network(out, wanted, sizeof wanted);
        error_found(err, ESPIMAGE_ERR_USAGE, "'%s' has bits set behind the prefix", text);
        return error_wanted(err, "%s for the network, or the address alone", wanted);
    }
    return ESPIMAGE_OK;
}

bool cidr_holds(const struct cidr *cidr, const struct peer *peer)
{
    size_t whole = cidr->bits / 8;
    unsigned rest = cidr->bits % 8;
    const uint8_t *a = cidr->network.s6_addr;
    const uint8_t *b = peer->address.s6_addr;
    return memcmp(a, b, whole) == 0 && (rest == 0 || ((a[whole] ^ b[whole]) >> (8 - rest)) == 0);
}

bool peer_is_local(const struct peer *peer)
{
    static const char *const networks[] = {
        "127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16",
        "100.64.0.0/10", "::1", "fc00::/7", "fe80::/10",
        /* for documentation and laboratories */
        "192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32"};
    for (size_t i = 0; i < sizeof networks / sizeof networks[0]; i++) {
        struct cidr network;
        if (parse(networks[i], &network) && cidr_holds(&network, peer)) {
            return true;
        }
    }
    return false;
}
