/* SPDX-License-Identifier: MIT */
/* One thing that happened, for the board and for the log. */
#ifndef BOARD_EVENT_H
#define BOARD_EVENT_H

#include <espimage/error.h>
#include <stdbool.h>
#include <stdint.h>

enum server_event_kind {
    SERVER_PROGRESS,    /* the client has acknowledged more of an image */
    SERVER_REQUEST,     /* a request has ended, as far as the client is concerned */
    SERVER_TURNED_AWAY, /* a connection was closed before it had a whole request; client and reason
                         */
    SERVER_NOTICE,      /* nothing but a reason: a line for the log */
    SERVER_CONVERTED    /* for the status page, not for a request; slot, build and notes */
};

struct server_event {
    enum server_event_kind kind;
    const char *client; /* address without port */
    uint16_t client_port;
    const char *method;
    const char *target; /* as requested, with query; printable */
    int slot;           /* 0: none */
    unsigned build;     /* of the slot's image; 0 when none was sent */
    bool promised;      /* the image is the one that HEAD announced to this client */
    unsigned status;    /* HTTP */
    uint64_t sent;      /* bytes of the image that the client has acknowledged */
    uint64_t size;      /* of the image, or of the range asked for; 0 without */
    double seconds;     /* since the request began */
    double began;       /* of the clock that does not jump; 0: not known, but by seconds */
    const char *reason; /* why there was no image, or why it broke off; NULL when all went well */
    bool complete;      /* the client has the whole image */
    const struct espimage_notes *notes; /* about a conversion or a layout of it; NULL: none */
    bool quiet;                         /* one of a flood: count it, but write no line */
    bool not_converted;                 /* the ELF could not be converted */
    bool looks; /* at the status page or the like; the callback gets none of these */
    /* What the request tells of the device that made it. */
    int runs;            /* it was updated and runs this slot now; 0: nothing is known */
    unsigned runs_build; /* the build it got there */
    bool not_taken;      /* it has fetched this slot's image before and does not run it */
};

#endif
