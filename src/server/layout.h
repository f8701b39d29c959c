/* SPDX-License-Identifier: MIT */
/* The header in front of an image, to the byte. */
#ifndef SERVER_LAYOUT_H
#define SERVER_LAYOUT_H

#include "store/store.h"

#include <microhttpd.h>

/* The longest filler is shorter than the longest header. */
#define LAYOUT_FILLER (WIRE_LONGEST_HEADER + 1)

struct layout {
    size_t header_size;
    char filler[LAYOUT_FILLER];
    struct wire_hazard hazard; /* that no header length avoids */
};

/* Plans the header of a 200 answer with the image, for a connection with this MSS (0: unknown) and
 * one more, `extra`, or 0; and for all usual ones too when one header suits them all. `fields_size`
 * is the length of the header without filler, as libmicrohttpd writes it. */
void layout_plan(const struct snapshot *snapshot, size_t fields_size, uint16_t mss, uint16_t extra,
                 struct layout *out);

#define LAYOUT_FILLER_FIELD "X-Pad"

#endif
