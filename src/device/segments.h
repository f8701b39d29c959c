/* SPDX-License-Identifier: MIT */
/* What came over a connection becomes the segments that a device would have got.
 *
 * An answer is cut every `mss` bytes, as a server's kernel cuts it for a device, and each segment
 * is given to the upgrade client. Before the body a segment counts as it was sent: how the header
 * was cut is concluded from what the kernel counted, as far as that can be known. */
#ifndef DEVICE_SEGMENTS_H
#define DEVICE_SEGMENTS_H

#include "device/connection.h"
#include "device/probe_answer.h"

struct segments {
    /* borrowed */
    struct ota_client *client;
    struct connection *connection;
    struct probe_answer *answer;
    const struct probe_hooks *hooks; /* NULL: none */

    uint16_t cut;       /* bytes of a full segment, as a device would get it */
    size_t fed;         /* bytes of the answer that the client has had */
    uint32_t count;     /* that came with the bytes that the client has not had */
    bool squeezed;      /* the last of them may be cut short by this side's slowness */
    size_t first_end;   /* where the first of them ends; 0: not known */
    size_t full_from;   /* since here all segments were full, as far as is known */
    size_t squeezed_at; /* where one ended that this side's slowness cut; 0: none */
    size_t shorted_at;  /* where the last short one ended */
};

/* The client looks for a header. */
bool segments_before_body(const struct segments *s);

/* More of the answer is there. Each gives the client what can be given, until it wants something
 * else, and returns that. */
enum ota_action segments_came(struct segments *s, const struct arrival *arrival);
/* The server waits for something, or has sent all. */
enum ota_action segments_paused(struct segments *s);
/* There will be no more. */
enum ota_action segments_ended(struct segments *s);
/* There is no room for more. */
enum ota_action segments_rest(struct segments *s);

/* Notes in the answer where the body came in segments that are not full. */
void segments_watch(struct segments *s, const struct arrival *arrival);
/* Notes in the answer what the kernel has counted, at the end. */
void segments_sum_up(const struct segments *s);

/* How many carry `bytes` when each but the last is full. */
uint64_t segments_full_count(uint64_t bytes, uint16_t largest);

#endif
