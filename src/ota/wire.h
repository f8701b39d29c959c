/* SPDX-License-Identifier: MIT */
/* The length of the header in front of an image, chosen so that no TCP segment trips a device.
 *
 * Header and body are one stream, cut every MSS bytes. A device fails when all of it is one segment
 * (images below about 1.3 KB; where lost packets join segments, below its window of 5.8 KB), when
 * the last segment holds 1 to 3 bytes, when too little of the body follows the header in the first
 * segment, and when a segment begins in a run of bytes without a zero that leads to "200 OK" CRLF:
 * it takes that segment for another header and drops it. Lost packets can make a device see several
 * segments as one, so the length of the run counts, not where the segment ends. */
#ifndef OTA_WIRE_H
#define OTA_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Longest header, far below the smallest MSS (536). */
#define WIRE_LONGEST_HEADER 508

/* The usual ones: the default of TCP, PPPoE and VPNs, Ethernet with and without timestamps. */
#define WIRE_USUAL_COUNT 6
extern const uint16_t wire_usual_mss[WIRE_USUAL_COUNT];

enum wire_hazard_kind {
    WIRE_NO_HAZARD,
    WIRE_SHORT_FIRST, /* fewer than 4 body bytes in the first segment, but not none */
    WIRE_SHORT_LAST,  /* 1 to 3 bytes in the last segment */
    WIRE_JOINED,      /* header and image in one segment: the device looks for the CRC elsewhere */
    WIRE_DROPPED      /* a segment begins in a run that leads to "200 OK" CRLF */
};

struct wire_hazard {
    enum wire_hazard_kind kind;
    uint16_t mss;
    size_t offset; /* in the body: where the segment begins */
};

/* Where in an image a segment must not begin: owned; made once an image. */
struct wire_runs {
    struct {
        size_t first; /* a segment that begins at first..last, both included, is dropped */
        size_t last;
    } * run;
    size_t count;
};

/* False when out of memory. */
bool wire_runs_find(const uint8_t *body, size_t size, struct wire_runs *out);
void wire_runs_free(struct wire_runs *runs);

/* The first hazard of a layout, if any. */
struct wire_hazard wire_check(const struct wire_runs *runs, size_t body_size, size_t header_size,
                              uint16_t mss);

struct wire_choice {
    size_t header_size;        /* a multiple of 4, within the bounds given */
    struct wire_hazard hazard; /* the first that remains, when none is clean for all */
    size_t hazards;            /* values of mss that keep one */
};

/* The shortest header of at least `shortest` and at most WIRE_LONGEST_HEADER bytes without a hazard
 * for any of the `count` values of `mss`; else the one with the fewest. When `shortest` is above
 * that bound already, it is taken as it is. */
struct wire_choice wire_choose(const struct wire_runs *runs, size_t body_size, size_t shortest,
                               const uint16_t *mss, size_t count);

#endif
