/* SPDX-License-Identifier: MIT */
/* Tells when an interface, or an address of one, comes, goes or changes (rtnetlink(7)). */
#ifndef SERVER_INTERFACE_NEWS_H
#define SERVER_INTERFACE_NEWS_H

#include <stdbool.h>

/* A descriptor, the caller's, that can be read when there is news; -1 where the kernel has none. */
int interface_news_open(void);

/* Takes the news that have come. True when there were any. Accepts -1. */
bool interface_news_take(int fd);

#endif
