/* SPDX-License-Identifier: MIT */
#include "server/layout.h"

#include <string.h>

/* "X-Pad: " and CRLF, around at least one character. */
#define FILLER_OVERHEAD (sizeof LAYOUT_FILLER_FIELD - 1 + 2 + 2)

void layout_plan(const struct snapshot *snapshot, size_t fields_size, uint16_t mss, uint16_t extra,
                 struct layout *out)
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

    size_t shortest = fields_size + FILLER_OVERHEAD + 1;
    size_t size = snapshot->image.size;
    struct wire_choice choice = wire_choose(&snapshot->runs, size, shortest, candidates, count);
    if (choice.hazards > 0 && own > 0) {
        choice = wire_choose(&snapshot->runs, size, shortest, candidates, own);
    }
    size_t filler = choice.header_size - fields_size - FILLER_OVERHEAD;
    memset(out->filler, '-', filler);
    out->filler[filler] = '\0';
    out->header_size = choice.header_size;
    out->hazard = choice.hazard;
}
