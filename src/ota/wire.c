/* SPDX-License-Identifier: MIT */
#include "ota/wire.h"

#include "base/bytes.h"

#include <stdlib.h>
#include <string.h>

const uint16_t wire_usual_mss[WIRE_USUAL_COUNT] = {536, 1436, 1440, 1448, 1452, 1460};

static const char trap[] = "200 OK\r\n";
#define TRAP_SIZE (sizeof trap - 1)

static bool add_run(struct wire_runs *runs, size_t first, size_t last)
{
    void *more = realloc(runs->run, (runs->count + 1) * sizeof *runs->run);
    if (more == NULL) {
        return false;
    }
    runs->run = more;
    runs->run[runs->count].first = first;
    runs->run[runs->count].last = last;
    runs->count++;
    return true;
}

bool wire_runs_find(const uint8_t *body, size_t size, struct wire_runs *out)
{
    size_t from = 0;
    out->run = NULL;
    out->count = 0;
    for (;;) {
        const uint8_t *hit = from < size ? memmem(body + from, size - from, trap, TRAP_SIZE) : NULL;
        if (hit == NULL) {
            return true;
        }
        size_t last = (size_t)(hit - body);
        size_t first = last;
        while (first > from && body[first - 1] != 0) {
            first--;
        }
        if (!add_run(out, first, last)) {
            wire_runs_free(out);
            return false;
        }
        from = last + 1;
    }
}

void wire_runs_free(struct wire_runs *runs)
{
    free(runs->run);
    runs->run = NULL;
    runs->count = 0;
}

struct wire_hazard wire_check(const struct wire_runs *runs, size_t body_size, size_t header_size,
                              uint16_t mss)
{
    struct wire_hazard hazard = {WIRE_NO_HAZARD, mss, 0};
    size_t total = header_size + body_size;

    if (header_size >= mss || mss - header_size < 4) {
        hazard.kind = WIRE_SHORT_FIRST;
        return hazard;
    }
    if (total <= mss) {
        hazard.kind = WIRE_JOINED;
        return hazard;
    }
    size_t last = total % mss;
    if (last > 0 && last < 4) {
        hazard.kind = WIRE_SHORT_LAST;
        hazard.offset = body_size - last;
        return hazard;
    }
    for (size_t i = 0; i < runs->count; i++) {
        /* The first boundary at or behind the start of the run; the header's segment is none. */
        size_t stream = header_size + runs->run[i].first;
        size_t boundary = (stream + mss - 1) / mss * mss;
        if (boundary > 0 && boundary <= header_size + runs->run[i].last) {
            hazard.kind = WIRE_DROPPED;
            hazard.offset = boundary - header_size;
            return hazard;
        }
    }
    return hazard;
}

static struct wire_choice try_size(const struct wire_runs *runs, size_t body_size, size_t size,
                                   const uint16_t *mss, size_t count)
{
    struct wire_choice choice = {size, {WIRE_NO_HAZARD, 0, 0}, 0};
    for (size_t i = 0; i < count; i++) {
        struct wire_hazard hazard = wire_check(runs, body_size, size, mss[i]);
        if (hazard.kind != WIRE_NO_HAZARD) {
            choice.hazard = choice.hazards == 0 ? hazard : choice.hazard;
            choice.hazards++;
        }
    }
    return choice;
}

struct wire_choice wire_choose(const struct wire_runs *runs, size_t body_size, size_t shortest,
                               const uint16_t *mss, size_t count)
{
    size_t size = (shortest + 3) / 4 * 4;
    struct wire_choice best = try_size(runs, body_size, size, mss, count);
    for (size += 4; size <= WIRE_LONGEST_HEADER && best.hazards > 0; size += 4) {
        struct wire_choice choice = try_size(runs, body_size, size, mss, count);
        best = choice.hazards < best.hazards ? choice : best;
    }
    return best;
}
