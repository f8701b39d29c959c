/* SPDX-License-Identifier: MIT */
/* A transfer's steps, whatever the kernel says: one byte is one poll. It ends once and only once,
 * in states that may follow each other. */
#include "fuzz/fuzz.h"

#include "http/transfer.h"

#include <stdlib.h>

static void require(bool good)
{
    if (!good) {
        abort();
    }
}

/* Facts only grow, as a connection's do. */
static void take_facts(struct transfer_facts *f, uint8_t byte)
{
    f->written = f->written || (byte & 1) != 0;
    f->sent = f->written && (f->sent || (byte & 2) != 0);
    bool progress = !f->delivered && f->sent && (byte & 4) != 0;
    f->delivered = f->delivered || progress;
    f->peer_closed = f->peer_closed || (byte & 8) != 0;
    f->reset = f->reset || (byte & 16) != 0;
    f->idle = (byte & 32) != 0 && !progress ? f->idle + 3 : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct transfer_facts facts = {0};
    enum conn_state state = CONN_SENDING;
    unsigned ends = 0;
    unsigned shut = 0;
    for (size_t i = 0; i < size && state != CONN_CLOSED; i++) {
        take_facts(&facts, data[i]);
        const struct transfer_step step = transfer_step(state, &facts, 10);
        require(step.next == state || conn_may_follow(state, step.next));
        require(step.outcome != TRANSFER_COMPLETE || facts.delivered);
        require(step.outcome != TRANSFER_GONE || facts.reset);
        require(step.next != CONN_SENDING || !facts.written);
        require(!step.shut_down || facts.sent);
        ends += step.outcome != TRANSFER_RUNS;
        shut += step.shut_down;
        require(ends <= 1 && shut <= 1);
        require((step.next < CONN_LINGERING) == (ends == 0));
        /* Nothing lasts for ever without progress. */
        require(step.next == CONN_CLOSED || facts.idle <= 10);
        state = step.next;
    }
    return 0;
}
