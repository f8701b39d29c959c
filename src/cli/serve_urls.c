/* SPDX-License-Identifier: MIT */
#include "cli/serve_urls.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>

static void add_host(json_t *urls, const char *host, uint16_t port, const char *token,
                     const bool slots[2])
{
    bool v6 = strchr(host, ':') != NULL;
    for (int slot = 1; slot <= 2; slot++) {
        if (slots[slot - 1]) {
            (void)json_array_append_new(urls, json_sprintf("http://%s%s%s:%u%s%s/user%d.bin",
                                                           v6 ? "[" : "", host, v6 ? "]" : "", port,
                                                           token != NULL ? "/" : "",
                                                           token != NULL ? token : "", slot));
        }
    }
}

/* False where it cannot stand in a URL: link-local IPv6 needs a scope. */
static bool host_text(const struct sockaddr *address, char text[INET6_ADDRSTRLEN])
{
    if (address->sa_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, address, sizeof v4);
        return inet_ntop(AF_INET, &v4.sin_addr, text, INET6_ADDRSTRLEN) != NULL;
    }
    struct sockaddr_in6 v6;
    memcpy(&v6, address, sizeof v6);
    return !IN6_IS_ADDR_LINKLOCAL(&v6.sin6_addr) &&
           inet_ntop(AF_INET6, &v6.sin6_addr, text, INET6_ADDRSTRLEN) != NULL;
}

static void add_interfaces(json_t *urls, int family, bool loopback, uint16_t port,
                           const char *token, const bool slots[2])
{
    struct ifaddrs *all = NULL;
    char text[INET6_ADDRSTRLEN];
    if (getifaddrs(&all) != 0) {
        return;
    }
    for (struct ifaddrs *i = all; i != NULL; i = i->ifa_next) {
        if (i->ifa_addr != NULL && i->ifa_addr->sa_family == family &&
            (i->ifa_flags & IFF_UP) != 0 && ((i->ifa_flags & IFF_LOOPBACK) != 0) == loopback &&
            host_text(i->ifa_addr, text)) {
            add_host(urls, text, port, token, slots);
        }
    }
    freeifaddrs(all);
}

json_t *serve_urls(const char *address, uint16_t port, const char *token, const bool slots[2])
{
    json_t *urls = json_array();
    bool v4 = strcmp(address, "0.0.0.0") == 0;
    if (!v4 && strcmp(address, "::") != 0) {
        add_host(urls, address, port, token, slots);
        return urls;
    }
    add_interfaces(urls, AF_INET, false, port, token, slots);
    if (!v4) {
        add_interfaces(urls, AF_INET6, false, port, token, slots);
    }
    add_interfaces(urls, AF_INET, true, port, token, slots);
    return urls;
}
