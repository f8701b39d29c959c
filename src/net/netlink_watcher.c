/* SPDX-License-Identifier: MIT */
#include "net/netlink_watcher.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

/* Taken at one go: more may come all the time. */
#define MESSAGES 64

int netlink_watcher_open(void)
{
    const struct sockaddr_nl groups = {.nl_family = AF_NETLINK,
                                       .nl_groups =
                                           RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR};
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
    if (fd >= 0 && bind(fd, (const struct sockaddr *)&groups, sizeof groups) != 0) {
        (void)close(fd);
        fd = -1;
    }
    return fd;
}

/* What they say does not matter, and neither that some were lost (ENOBUFS): who asks the kernel how
 * things are now learns all. */
bool netlink_watcher_drain(int fd)
{
    uint8_t byte;
    bool any = false;
    for (int i = 0; fd >= 0 && i < MESSAGES; i++) {
        if (recv(fd, &byte, sizeof byte, MSG_DONTWAIT) < 0 && errno != ENOBUFS) {
            break;
        }
        any = true;
    }
    return any;
}
