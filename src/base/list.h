/* SPDX-License-Identifier: MIT */
/* Doubly linked rings: a head, and links that are members of what is listed. */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include <stdbool.h>

struct link {
    struct link *next;
    struct link *prev;
};

static inline void list_init(struct link *head)
{
    head->next = head;
    head->prev = head;
}

static inline bool list_is_empty(const struct link *head)
{
    return head->next == head;
}

static inline void list_add_first(struct link *head, struct link *link)
{
    link->next = head->next;
    link->prev = head;
    head->next->prev = link;
    head->next = link;
}

static inline void list_add_last(struct link *head, struct link *link)
{
    list_add_first(head->prev, link);
}

/* Out of its ring, and a ring of its own: may be done again. */
static inline void list_remove(struct link *link)
{
    link->prev->next = link->next;
    link->next->prev = link->prev;
    list_init(link);
}

#endif
