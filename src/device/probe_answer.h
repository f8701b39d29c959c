/* SPDX-License-Identifier: MIT */
/* What a probe brings, and what a device with a flash does meanwhile. */
#ifndef DEVICE_PROBE_ANSWER_H
#define DEVICE_PROBE_ANSWER_H

#include "ota/client.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A device with a flash: what happens to it on the way. Each returns false to end the upgrade. */
struct probe_hooks {
    /* Asked at each step, several times a second. */
    bool (*go_on)(void *context);
    /* The connection for HEAD is closed, that for GET not yet open. */
    bool (*erase)(void *context, uint32_t bytes);
    /* Bytes `from` to `size` of the answer to GET have come; the client has not seen them. */
    void (*received)(void *context, uint8_t *bytes, size_t from, size_t size);
    /* Bytes of the body that the client has accepted, in order; dropped segments do not come. */
    bool (*write)(void *context, const struct ota_client *client, uint32_t offset,
                  const uint8_t *bytes, size_t size);
    void *context;
    int stop_fd; /* waiting ends when it is readable */
};

/* What one connection brought. */
struct probe_answer {
    bool connected;
    uint8_t *bytes; /* owned */
    size_t size;
    size_t room;
    size_t again;          /* where the answer to a GET on HEAD's connection begins; 0: none */
    uint16_t path;         /* a device's largest segment, where server or network allow less than it
                              announces; 0: they do not */
    uint16_t largest;      /* bytes of a full segment on this connection; 0: not known */
    uint32_t segments;     /* that came; 0: not known */
    uint32_t short_ones;   /* times that the body's segments proved not all full, before its end */
    uint32_t even_ones;    /* times that they proved so far all full */
    bool header_alone;     /* the header was a segment of its own */
    bool cut_unsure;       /* whether header_alone, when this side read too late to be sure */
    bool header_in_pieces; /* it came in more segments than needed; which is not known */
    bool closed;           /* by the server, before the probe had enough */
    bool reset;
};

#endif
