/* SPDX-License-Identifier: MIT */
#include "net/listener.h"

#include "base/error.h"
#include "net/cidr.h"
#include "net/peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netpacket/packet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* A room full of devices starts at once; the kernel takes as many as it is set to
 * (net.core.somaxconn), usually 4096. */
#define BACKLOG 65535

static bool parse_address(const char *text, uint16_t port, union any_address *out, socklen_t *size)
{
    memset(out, 0, sizeof *out);
    if (inet_pton(AF_INET, text, &out->v4.sin_addr) == 1) {
        out->v4.sin_family = AF_INET;
        out->v4.sin_port = htons(port);
        *size = sizeof out->v4;
        return true;
    }
    if (inet_pton(AF_INET6, text, &out->v6.sin6_addr) == 1) {
        out->v6.sin6_family = AF_INET6;
        out->v6.sin6_port = htons(port);
        *size = sizeof out->v6;
        return true;
    }
    return false;
}

static enum espimage_code cannot_listen(const char *address, uint16_t port, int error,
                                        struct espimage_error *err)
{
    if (error == EADDRINUSE) {
        error_found(err, ESPIMAGE_ERR_UNAVAILABLE, "port %u is in use", port);
        return error_advice(err,
                            "ask who has it: ss -ltnp 'sport = :%u'; or choose another with "
                            "--port",
                            port);
    }
    error_found(err, ESPIMAGE_ERR_UNAVAILABLE, "cannot listen on %s port %u: %s", address, port,
                strerror(error));
    if (error == EADDRNOTAVAIL) {
        return error_advice(err, "it is no address of this computer; see: ip address");
    }
    if (error == EACCES) {
        return error_advice(err, "ports below 1024 are for root; choose another with --port");
    }
    return err->code;
}

/* ---- an interface by its name ---- */

/* Link-local IPv6 needs a scope that a URL cannot carry. */
static bool is_usable(const struct ifaddrs *i, int family)
{
    struct sockaddr_in6 v6;
    if (i->ifa_addr == NULL || i->ifa_addr->sa_family != family) {
        return false;
    }
    memcpy(&v6, i->ifa_addr, family == AF_INET6 ? sizeof v6 : sizeof(struct sockaddr_in));
    return family == AF_INET || !IN6_IS_ADDR_LINKLOCAL(&v6.sin6_addr);
}

/* Its IPv4 address, or else an IPv6 one. */
static bool address_of_interface(const char *name, char text[INET6_ADDRSTRLEN])
{
    static const int families[] = {AF_INET, AF_INET6};
    struct ifaddrs *all = NULL;
    bool found = false;
    if (getifaddrs(&all) != 0) {
        return false;
    }
    for (size_t f = 0; f < 2 && !found; f++) {
        for (const struct ifaddrs *i = all; i != NULL && !found; i = i->ifa_next) {
            if (strcmp(i->ifa_name, name) == 0 && is_usable(i, families[f])) {
                struct peer peer = peer_of(i->ifa_addr);
                peer_text(&peer, text);
                found = true;
            }
        }
    }
    freeifaddrs(all);
    return found;
}

/* ---- what was opened ---- */

/* A listener on every address is as exposed as the interfaces are. */
static bool any_interface_exposed(void)
{
    struct ifaddrs *all = NULL;
    bool exposed = false;
    if (getifaddrs(&all) != 0) {
        return true;
    }
    for (const struct ifaddrs *i = all; i != NULL; i = i->ifa_next) {
        if (is_usable(i, AF_INET) || is_usable(i, AF_INET6)) {
            struct peer peer = peer_of(i->ifa_addr);
            exposed = exposed || !peer_is_local(&peer);
        }
    }
    freeifaddrs(all);
    return exposed;
}

static bool has_address(const struct ifaddrs *i, const char *address)
{
    char text[INET6_ADDRSTRLEN];
    if (i->ifa_addr == NULL ||
        (i->ifa_addr->sa_family != AF_INET && i->ifa_addr->sa_family != AF_INET6)) {
        return false;
    }
    struct peer peer = peer_of(i->ifa_addr);
    peer_text(&peer, text);
    return strcmp(text, address) == 0;
}

static unsigned index_of(const struct ifaddrs *i)
{
    struct sockaddr_ll link;
    if (i->ifa_addr == NULL || i->ifa_addr->sa_family != AF_PACKET) {
        return 0;
    }
    memcpy(&link, i->ifa_addr, sizeof link);
    return (unsigned)link.sll_ifindex;
}

/* Where the listener's address is now. */
struct place {
    const struct ifaddrs *address; /* NULL: nowhere */
    unsigned index;                /* of the interface that it is bound to; 0: there is none */
};

static struct place find_place(const struct listener *listener, const struct ifaddrs *all)
{
    const char *name = listener->interface;
    struct place found = {NULL, 0};
    for (const struct ifaddrs *i = all; i != NULL; i = i->ifa_next) {
        bool here = name[0] == '\0' || strcmp(i->ifa_name, name) == 0;
        found.address = here && has_address(i, listener->address) ? i : found.address;
        found.index = here && index_of(i) != 0 ? index_of(i) : found.index;
    }
    return found;
}

/* 127.0.0.5, for instance, is on no interface, and 0.0.0.0 is on none. */
static bool is_on_interface(const struct listener *listener)
{
    struct ifaddrs *all = NULL;
    if (getifaddrs(&all) != 0) {
        return false;
    }
    bool found = find_place(listener, all).address != NULL;
    freeifaddrs(all);
    return found;
}

static bool describe(struct listener *out)
{
    union any_address where;
    socklen_t size = sizeof where;
    if (getsockname(out->fd, &where.any, &size) != 0) {
        return false;
    }
    struct peer peer = peer_of(&where.any);
    out->port = peer.port;
    peer_text(&peer, out->address);
    bool every = strcmp(out->address, "0.0.0.0") == 0 || strcmp(out->address, "::") == 0;
    out->exposed = every ? any_interface_exposed() : !peer_is_local(&peer);
    out->watched = is_on_interface(out);
    return true;
}

/* ---- systemd's ---- */

#define FIRST_PASSED 3

static bool is_listening(int fd)
{
    union any_address where = {0};
    socklen_t address_size = sizeof where;
    int listening = 0;
    socklen_t size = sizeof listening;
    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) == 0 && listening != 0 &&
           getsockname(fd, &where.any, &address_size) == 0 &&
           (where.any.sa_family == AF_INET || where.any.sa_family == AF_INET6);
}

/* How many sockets were passed to this process. Those that it starts are not told. */
static long passed_sockets(void)
{
    const char *pid = getenv("LISTEN_PID");
    const char *count = getenv("LISTEN_FDS");
    bool ours = pid != NULL && count != NULL && strtol(pid, NULL, 10) == (long)getpid();
    long sockets = ours ? strtol(count, NULL, 10) : 0;
    (void)unsetenv("LISTEN_PID");
    (void)unsetenv("LISTEN_FDS");
    (void)unsetenv("LISTEN_FDNAMES");
    return sockets;
}

static enum espimage_code take_passed(long count, struct listener *out, struct espimage_error *err)
{
    if (count != 1 || !is_listening(FIRST_PASSED)) {
        error_found(err, ESPIMAGE_ERR_UNAVAILABLE,
                    "LISTEN_FDS: %ld descriptors, the first is %sa listening TCP socket", count,
                    is_listening(FIRST_PASSED) ? "" : "not ");
        return error_wanted(err, "one ListenStream= with a port, and Accept=no");
    }
    (void)fcntl(FIRST_PASSED, F_SETFD, FD_CLOEXEC);
    (void)fcntl(FIRST_PASSED, F_SETFL, fcntl(FIRST_PASSED, F_GETFL) | O_NONBLOCK);
    out->fd = FIRST_PASSED;
    out->inherited = true;
    return ESPIMAGE_OK;
}

/* ---- a new one ---- */

/* Needs a privilege on some kernels; the address alone will do. */
static bool bind_to_interface(int fd, const char *name)
{
    return setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, (socklen_t)strlen(name) + 1) == 0;
}

static enum espimage_code listen_at(const char *address, const char *interface, uint16_t port,
                                    struct listener *out, struct espimage_error *err)
{
    union any_address where;
    socklen_t size = 0;
    const int on = 1;

    if (!parse_address(address, port, &where, &size)) {
        error_found(err, ESPIMAGE_ERR_USAGE, "'%s' is no address and no interface with one",
                    address);
        return error_wanted(err, "a numeric one such as 192.168.4.2, or wlan0; see: ip address");
    }
    int fd = socket(where.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0) {
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    }
    if (fd >= 0 && interface != NULL && bind_to_interface(fd, interface)) {
        out->index = if_nametoindex(interface);
        (void)snprintf(out->interface, sizeof out->interface, "%s", interface);
    }
    if (fd < 0 || bind(fd, &where.any, size) != 0 || listen(fd, BACKLOG) != 0) {
        enum espimage_code code = cannot_listen(address, port, errno, err);
        if (fd >= 0) {
            (void)close(fd);
        }
        return code;
    }
    out->fd = fd;
    return ESPIMAGE_OK;
}

enum espimage_code listener_open(const char *where, uint16_t port, struct listener *out,
                                 struct espimage_error *err)
{
    char address[INET6_ADDRSTRLEN];
    long passed = passed_sockets();
    bool interface = if_nametoindex(where) != 0 && address_of_interface(where, address);
    enum espimage_code code = passed > 0 ? take_passed(passed, out, err)
                                         : listen_at(interface ? address : where,
                                                     interface ? where : NULL, port, out, err);
    if (code == ESPIMAGE_OK && !describe(out)) {
        code = cannot_listen(where, port, errno, err);
    }
    return code;
}

/* ---- what becomes of it ---- */

/* The kernel binds a socket to an interface, not to a name: one that was deleted and made anew has
 * to be bound to, for which not everybody has the right. `*again` when that was done. */
static bool follow_interface(struct listener *listener, unsigned index, bool *again)
{
    if (listener->interface[0] != '\0' && index != listener->index) {
        if (!bind_to_interface(listener->fd, listener->interface)) {
            return false;
        }
        listener->index = index;
        *again = true;
    }
    return true;
}

/* Why nobody reaches it; empty when all is well. */
static void find_trouble(struct listener *listener, const struct place *now, bool *again,
                         char text[LISTEN_TROUBLE])
{
    const char *name = listener->interface;
    text[0] = '\0';
    if (name[0] != '\0' && now->index == 0) {
        (void)snprintf(text, LISTEN_TROUBLE, "%s is gone", name);
    } else if (now->address == NULL) {
        (void)snprintf(text, LISTEN_TROUBLE, "%s is no address of %s any more", listener->address,
                       name[0] != '\0' ? name : "this computer");
    } else if ((now->address->ifa_flags & IFF_UP) == 0) {
        (void)snprintf(text, LISTEN_TROUBLE, "%s is down", now->address->ifa_name);
    } else if (!follow_interface(listener, now->index, again)) {
        (void)snprintf(text, LISTEN_TROUBLE, "%s is another interface now; start serve anew", name);
    }
}

bool listener_poll(struct listener *listener, char *text, size_t size)
{
    char trouble[LISTEN_TROUBLE];
    struct ifaddrs *all = NULL;
    bool again = false;
    if (!listener->watched || getifaddrs(&all) != 0) {
        return false;
    }
    const struct place now = find_place(listener, all);
    find_trouble(listener, &now, &again, trouble);
    freeifaddrs(all);
    if (!again && strcmp(trouble, listener->trouble) == 0) {
        return false;
    }
    memcpy(listener->trouble, trouble, sizeof trouble);
    if (trouble[0] != '\0') {
        (void)snprintf(text, size, "nobody reaches this server: %s", trouble);
    } else {
        (void)snprintf(text, size, "this server can be reached again at %s", listener->address);
    }
    return true;
}
