/* SPDX-License-Identifier: MIT */
#include "http/image_header.h"

#include <stdio.h>
#include <string.h>

/* Moves every segment's beginning: clients take no notice of it. */
#define FILLER     "X-Pad: "
#define FILLER_END "\r\n\r\n"

void image_etag(const struct snapshot *snapshot, char text[IMAGE_ETAG])
{
    (void)snprintf(text, IMAGE_ETAG, "\"%.32s\"", snapshot->sha256);
}

/* The fields that all answers with image bytes have, without the empty line. */
static void begin(const struct snapshot *snapshot, const char *status, size_t size,
                  struct image_header *out)
{
    char etag[IMAGE_ETAG];
    image_etag(snapshot, etag);
    out->size = (size_t)snprintf(out->text, sizeof out->text,
                                 "HTTP/1.1 %s\r\nContent-Length: %zu\r\nConnection: close\r\n"
                                 "Content-Type: application/octet-stream\r\n"
                                 "Accept-Ranges: bytes\r\nETag: %s\r\n",
                                 status, size, etag);
    out->hazard = (struct wire_hazard){.kind = WIRE_NO_HAZARD};
}

static void append(struct image_header *out, const char *text, size_t size)
{
    memcpy(out->text + out->size, text, size);
    out->size += size;
}

static struct wire_choice choose(const struct snapshot *snapshot, size_t shortest, uint16_t mss,
                                 uint16_t extra)
{
    uint16_t candidates[WIRE_USUAL_COUNT + 2];
    size_t count = 0;
    if (mss != 0) {
        candidates[count++] = mss;
    }
    if (extra != 0) {
        candidates[count++] = extra;
    }
    size_t own = count;
    memcpy(candidates + count, wire_usual_mss, sizeof wire_usual_mss);
    count += WIRE_USUAL_COUNT;

    size_t size = snapshot->image.size;
    struct wire_choice choice = wire_choose(&snapshot->runs, size, shortest, candidates, count);
    if (choice.hazards > 0 && own > 0) {
        choice = wire_choose(&snapshot->runs, size, shortest, candidates, own);
    }
    return choice;
}

void image_header_whole(const struct snapshot *snapshot, uint16_t mss, uint16_t extra,
                        struct image_header *out)
{
    begin(snapshot, "200 OK", snapshot->image.size, out);
    size_t around = sizeof FILLER - 1 + sizeof FILLER_END - 1;
    struct wire_choice choice = choose(snapshot, out->size + around + 1, mss, extra);
    size_t filler = choice.header_size - out->size - around;
    append(out, FILLER, sizeof FILLER - 1);
    memset(out->text + out->size, '-', filler);
    out->size += filler;
    append(out, FILLER_END, sizeof FILLER_END - 1);
    out->hazard = choice.hazard;
}

void image_header_part(const struct snapshot *snapshot, size_t first, size_t size,
                       struct image_header *out)
{
    char range[96];
    begin(snapshot, "206 Partial Content", size, out);
    int length = snprintf(range, sizeof range, "Content-Range: bytes %zu-%zu/%zu\r\n\r\n", first,
                          first + size - 1, snapshot->image.size);
    append(out, range, (size_t)length);
}
