/* SPDX-License-Identifier: MIT */
/* What the server's threads have seen of devices, for the thread that follows the devices. */
#ifndef PUSH_INBOX_H
#define PUSH_INBOX_H

#include "board/event.h"
#include "push/update.h"

#include <netinet/in.h>

struct inbox_message {
    struct in_addr from;
    enum push_event_kind kind;
    int slot;
    uint64_t sent;
    uint64_t size;
    double began;
    double over;
    char reason[PUSH_REASON];
};

struct inbox;

struct inbox *inbox_new(void);
void inbox_free(struct inbox *inbox); /* accepts NULL */

/* Takes what concerns an update; false when the event does not. From any thread. */
bool inbox_put(struct inbox *inbox, const struct server_event *event);
/* Hands over all messages, in their order. */
void inbox_take(struct inbox *inbox,
                void (*message)(void *context, const struct inbox_message *message), void *context);

#endif
