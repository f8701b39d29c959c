/* SPDX-License-Identifier: MIT */
/* Converts in a thread of its own, so that a request for a changed ELF holds up no other, and waits
 * for an ELF that is being written. */
#ifndef SERVER_CONVERTER_H
#define SERVER_CONVERTER_H

#include "store/store.h"

#define CONVERTER_WAIT_SECONDS 3.0

/* A request that waits for an image. Embedded in the waiting party, which must outlive it. */
struct conversion_wait {
    struct conversion_wait *next;
    int slot;
    double deadline;
    /* The outcome. */
    enum espimage_code code;
    const struct snapshot *snapshot; /* the waiting party's to release; NULL after a failure */
    struct espimage_notes notes;
    struct espimage_error err;
    void *context; /* for done() */
};

struct converter;

/* done() is called from the thread for each wait that has its outcome. NULL: no memory or thread.
 */
struct converter *converter_new(struct store *store, void (*done)(struct conversion_wait *wait));
/* Ends the thread; waits still open, and later ones, get done() with a failure. */
void converter_stop(struct converter *converter);
/* Accepts NULL. */
void converter_free(struct converter *converter);

/* Tries for up to CONVERTER_WAIT_SECONDS. */
void converter_ask(struct converter *converter, struct conversion_wait *wait, int slot);

#endif
