/* SPDX-License-Identifier: MIT */
/* What follows in a transfer. */
#include "http/transfer.h"
#include "support/test.h"

#define IDLE 120.0

struct row {
    const char *name;
    enum conn_state state;
    struct transfer_facts facts;
    struct transfer_step step;
};

static const struct row rows[] = {
    {"more to write", CONN_SENDING, {.idle = 1}, {CONN_SENDING, TRANSFER_RUNS, false}},
    {"all is written", CONN_SENDING, {.written = true}, {CONN_FLUSHING, TRANSFER_RUNS, false}},
    {"some has not left", CONN_FLUSHING, {.written = true}, {CONN_FLUSHING, TRANSFER_RUNS, false}},
    {"all has left: shut down, not before",
     CONN_FLUSHING,
     {.written = true, .sent = true},
     {CONN_SENT, TRANSFER_RUNS, true}},
    {"written and sent at once",
     CONN_SENDING,
     {.written = true, .sent = true},
     {CONN_SENT, TRANSFER_RUNS, true}},
    {"acknowledgements are missing",
     CONN_SENT,
     {.written = true, .sent = true},
     {CONN_SENT, TRANSFER_RUNS, false}},
    {"complete",
     CONN_SENT,
     {.written = true, .sent = true, .delivered = true},
     {CONN_LINGERING, TRANSFER_COMPLETE, false}},
    {"complete before it was shut down",
     CONN_FLUSHING,
     {.written = true, .sent = true, .delivered = true},
     {CONN_LINGERING, TRANSFER_COMPLETE, true}},
    {"complete, and the client has closed",
     CONN_SENT,
     {.written = true, .sent = true, .delivered = true, .peer_closed = true},
     {CONN_CLOSED, TRANSFER_COMPLETE, false}},
    {"complete, then reset",
     CONN_SENT,
     {.written = true, .sent = true, .delivered = true, .peer_closed = true, .reset = true},
     {CONN_CLOSED, TRANSFER_COMPLETE, false}},
    {"a client that closes its side first still reads",
     CONN_SENDING,
     {.peer_closed = true},
     {CONN_SENDING, TRANSFER_RUNS, false}},
    {"the same, later",
     CONN_SENT,
     {.written = true, .sent = true, .peer_closed = true},
     {CONN_SENT, TRANSFER_RUNS, false}},
    {"reset while sending", CONN_SENDING, {.reset = true}, {CONN_CLOSED, TRANSFER_GONE, false}},
    {"reset in the end",
     CONN_SENT,
     {.written = true, .sent = true, .reset = true},
     {CONN_CLOSED, TRANSFER_GONE, false}},
    {"patience", CONN_SENDING, {.idle = IDLE}, {CONN_SENDING, TRANSFER_RUNS, false}},
    {"stalled", CONN_SENDING, {.idle = IDLE + 1}, {CONN_CLOSED, TRANSFER_STALLED, false}},
    {"stalled at the end",
     CONN_SENT,
     {.written = true, .sent = true, .idle = IDLE + 1},
     {CONN_CLOSED, TRANSFER_STALLED, false}},
    {"a late acknowledgement counts",
     CONN_SENT,
     {.written = true, .sent = true, .delivered = true, .idle = IDLE + 1},
     {CONN_LINGERING, TRANSFER_COMPLETE, false}},
    {"lingers",
     CONN_LINGERING,
     {.written = true, .sent = true, .delivered = true, .idle = TRANSFER_LINGER_SECONDS},
     {CONN_LINGERING, TRANSFER_RUNS, false}},
    {"not for ever",
     CONN_LINGERING,
     {.written = true, .sent = true, .delivered = true, .idle = TRANSFER_LINGER_SECONDS + 1},
     {CONN_CLOSED, TRANSFER_RUNS, false}},
    {"the client closes",
     CONN_LINGERING,
     {.written = true, .sent = true, .delivered = true, .peer_closed = true},
     {CONN_CLOSED, TRANSFER_RUNS, false}},
    {"or resets",
     CONN_LINGERING,
     {.written = true, .sent = true, .delivered = true, .reset = true},
     {CONN_CLOSED, TRANSFER_RUNS, false}},
};

static void test_row(void **state)
{
    const struct row *row = *state;
    const struct transfer_step step = transfer_step(row->state, &row->facts, IDLE);
    assert_int_equal(step.next, row->step.next);
    assert_int_equal(step.outcome, row->step.outcome);
    assert_int_equal(step.shut_down, row->step.shut_down);
    assert_true(step.next == row->state || conn_may_follow(row->state, step.next));
}

int main(void)
{
    return run_table("step of a transfer", rows, test_row);
}
