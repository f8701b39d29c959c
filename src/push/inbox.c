/* SPDX-License-Identifier: MIT */
#include "push/inbox.h"

#include "base/clock.h"
#include "ota/client.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct pile {
    struct inbox_message *messages;
    size_t count;
    size_t room;
};

struct inbox {
    pthread_mutex_t lock; /* guards `pile` */
    struct pile pile;
    struct pile taken; /* the taker's */
};

struct inbox *inbox_new(void)
{
    struct inbox *inbox = calloc(1, sizeof *inbox);
    if (inbox != NULL) {
        (void)pthread_mutex_init(&inbox->lock, NULL);
    }
    return inbox;
}

void inbox_free(struct inbox *inbox)
{
    if (inbox != NULL) {
        (void)pthread_mutex_destroy(&inbox->lock);
        free(inbox->pile.messages);
        free(inbox->taken.messages);
        free(inbox);
    }
}

static bool put(struct inbox *inbox, const struct inbox_message *message)
{
    bool good = true;
    (void)pthread_mutex_lock(&inbox->lock);
    struct pile *p = &inbox->pile;
    if (p->count == p->room) {
        size_t room = p->room > 0 ? 2 * p->room : 64;
        struct inbox_message *more = realloc(p->messages, room * sizeof *more);
        good = more != NULL;
        if (more != NULL) {
            p->messages = more;
            p->room = room;
        }
    }
    if (good) {
        p->messages[p->count++] = *message;
    }
    (void)pthread_mutex_unlock(&inbox->lock);
    return good;
}

/* Which of the client's rules ended it, as far as the server can see. */
static void explain(struct inbox_message *m, const struct server_event *e)
{
    enum ota_rule rule = e->sent == 0 ? OTA_RULE_FIRST_BYTES : OTA_RULE_COMPLETE;
    (void)snprintf(m->reason, sizeof m->reason, "%s: %llu of %llu bytes taken%s%s",
                   ota_rule_name(rule), (unsigned long long)e->sent, (unsigned long long)e->size,
                   e->reason != NULL ? ": " : "", e->reason != NULL ? e->reason : "");
}

static bool put_request(struct inbox *inbox, struct inbox_message *m, const struct server_event *e)
{
    bool served = e->status >= 200 && e->status < 300;
    m->kind = served ? PUSH_EVENT_ASKED : PUSH_EVENT_NOT_SERVED;
    if (!served) {
        (void)snprintf(m->reason, sizeof m->reason, "the device asked for user%d.bin: %s", e->slot,
                       e->reason != NULL ? e->reason : "not served");
    }
    bool good = put(inbox, m);
    if (!served || strcmp(e->method, "GET") != 0) {
        return good;
    }
    m->kind = e->complete ? PUSH_EVENT_TAKEN : PUSH_EVENT_BROKE_OFF;
    if (!e->complete) {
        explain(m, e);
    }
    return put(inbox, m) || good;
}

bool inbox_put(struct inbox *inbox, const struct server_event *e)
{
    struct inbox_message m = {
        .kind = PUSH_EVENT_PROGRESS, .slot = e->slot, .sent = e->sent, .size = e->size};
    m.began = e->began != 0 ? e->began : now_seconds() - e->seconds;
    m.over = m.began + e->seconds;
    if ((e->kind != SERVER_PROGRESS && e->kind != SERVER_REQUEST) || e->slot == 0 ||
        e->client == NULL || inet_pton(AF_INET, e->client, &m.from) != 1) {
        return false;
    }
    return e->kind == SERVER_PROGRESS ? put(inbox, &m) : put_request(inbox, &m, e);
}

void inbox_take(struct inbox *inbox,
                void (*message)(void *context, const struct inbox_message *message), void *context)
{
    (void)pthread_mutex_lock(&inbox->lock);
    struct pile swap = inbox->pile;
    inbox->pile = inbox->taken;
    inbox->taken = swap;
    (void)pthread_mutex_unlock(&inbox->lock);
    for (size_t i = 0; i < inbox->taken.count; i++) {
        message(context, &inbox->taken.messages[i]);
    }
    inbox->taken.count = 0;
}
