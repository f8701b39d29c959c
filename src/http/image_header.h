/* SPDX-License-Identifier: MIT */
/* The header in front of an image, to the byte. */
#ifndef HTTP_IMAGE_HEADER_H
#define HTTP_IMAGE_HEADER_H

#include "ota/wire.h"
#include "store/store.h"

struct image_header {
    char text[WIRE_LONGEST_HEADER + 1];
    size_t size;
    struct wire_hazard hazard; /* that no header length avoids */
};

/* Of a 200 answer with the whole image, for a connection with this MSS (0: unknown) and one more,
 * `extra`, or 0; and for all usual ones too when one header suits them all. */
void image_header_whole(const struct snapshot *snapshot, uint16_t mss, uint16_t extra,
                        struct image_header *out);

/* Of a 206 answer with `size` bytes from `first` on. */
void image_header_part(const struct snapshot *snapshot, size_t first, size_t size,
                       struct image_header *out);

#define IMAGE_ETAG (32 + 3)
void image_etag(const struct snapshot *snapshot, char text[IMAGE_ETAG]);

#endif
