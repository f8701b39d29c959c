/* SPDX-License-Identifier: MIT */
/* Tells when an interface, or an address of one, comes, goes or changes (rtnetlink(7)). */
#ifndef NET_NETLINK_WATCHER_H
#define NET_NETLINK_WATCHER_H

#include <stdbool.h>

/* A descriptor, the caller's, that can be read when there is news; -1 where the kernel has none. */
int netlink_watcher_open(void);

/* Takes the news that have come. True when there were any. Accepts -1. */
bool netlink_watcher_drain(int fd);

#endif
