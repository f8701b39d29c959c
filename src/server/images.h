/* SPDX-License-Identifier: MIT */
/* Which image a client gets: what HEAD announced is what GET gets, until the client has it. */
#ifndef SERVER_IMAGES_H
#define SERVER_IMAGES_H

#include "store/promises.h"

struct images;

/* `store` is borrowed. NULL: no memory. Safe from several threads. */
struct images *images_new(struct store *store, unsigned promise_seconds);
void images_free(struct images *images); /* accepts NULL */

enum images_answer {
    IMAGES_READY,
    IMAGES_RECHECK, /* a transfer that uses the promise may have ended just now: poll it, ask again
                     */
    IMAGES_CONVERT  /* it has to be converted first */
};

struct image_supply {
    const struct snapshot *snapshot; /* a reference; NULL unless IMAGES_READY */
    uint64_t promise; /* its number: the promise that is kept, or may just have been; 0: none */
    bool promised;    /* HEAD announced this image to this client */
};

enum images_answer images_supply(struct images *images, const char *client, int slot, bool head,
                                 bool checked, struct image_supply *out);
/* An image is being announced or sent; the number of the promise. 0: no memory. */
uint64_t images_promise(struct images *images, const char *client, int slot, bool head,
                        const struct snapshot *snapshot);
/* A GET has ended. One that broke off is a promise too: a client that knows no HEAD takes the
 * length from a first GET, leaves and asks again. */
void images_settle(struct images *images, const char *client, int slot,
                   const struct snapshot *snapshot, uint64_t promise, bool complete);

#endif
