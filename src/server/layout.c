/* SPDX-License-Identifier: MIT */
#include "server/layout.h"

#include <string.h>

/* "X-Pad: " and CRLF, around at least one character. */
#define FILLER_OVERHEAD (sizeof LAYOUT_FILLER_FIELD - 1 + 2 + 2)

void layout_plan(const struct snapshot *snapshot, size_t fields_size, uint16_t mss, uint16_t extra,
                 struct layout *out)
{
    uint16_t candidates[WIRE_USUAL_COUNT + 1];
    size_t count = 0;
    if (mss != 0) {
        candidates[count++] = mss;
    } else {
        memcpy(candidates, wire_usual_mss, sizeof wire_usual_mss);
        count = WIRE_USUAL_COUNT;
    }
    if (extra != 0) {
        candidates[count++] = extra;
    }
    struct wire_choice choice = wire_choose(&snapshot->runs, snapshot->image.size,
                                            fields_size + FILLER_OVERHEAD + 1, candidates, count);
    size_t filler = choice.header_size - fields_size - FILLER_OVERHEAD;
    memset(out->filler, '-', filler);
    out->filler[filler] = '\0';
    out->header_size = choice.header_size;
    out->hazard = choice.hazard;
}
