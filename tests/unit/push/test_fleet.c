/* SPDX-License-Identifier: MIT */
/* The order in which devices are updated. */
#include "push/fleet.h"
#include "support/test.h"

#include <stdlib.h>
#include <string.h>

#define MOST 64

static struct fleet_device places[MOST];

static struct fleet fleet_of(struct fleet_options options, size_t count)
{
    struct fleet f;
    memset(places, 0, sizeof places);
    fleet_init(&f, &options, places, count);
    return f;
}

static size_t begin_all(struct fleet *f)
{
    size_t begun = 0;
    while (fleet_begin(f) < f->count) {
        begun++;
    }
    return begun;
}

/* All that run end so; how many there were. */
static size_t end_all(struct fleet *f, enum push_state state)
{
    size_t ended = 0;
    for (size_t i = 0; i < f->count; i++) {
        if (places[i].place == FLEET_RUNS) {
            (void)fleet_end(f, i, state);
            ended++;
        }
    }
    return ended;
}

static const struct plan {
    const char *name;
    struct fleet_options options;
    size_t count;
    /* How many begin at once, and how all of them end; 0 ends it. */
    struct {
        size_t begin;
        enum push_state end;
    } rounds[8];
    bool stopped;
} plans[] = {
    {"all at once", {.parallel = 50}, 20, {{20, PUSH_SWITCHED}}, false},
    {"few at once",
     {.parallel = 8},
     20,
     {{8, PUSH_SWITCHED}, {8, PUSH_REFUSED}, {4, PUSH_ALREADY}},
     false},
    {"canaries first",
     {.canaries = 2, .parallel = 50},
     20,
     {{2, PUSH_SWITCHED}, {18, PUSH_SWITCHED}},
     false},
    {"a canary fails", {.canaries = 2, .parallel = 50}, 20, {{2, PUSH_CAME_BACK}}, true},
    {"a canary without proof", {.canaries = 1, .parallel = 50}, 20, {{1, PUSH_DOWNLOADED}}, true},
    {"an unreachable canary is replaced",
     {.canaries = 2, .parallel = 50},
     20,
     {{2, PUSH_UNREACHABLE}, {2, PUSH_SWITCHED}, {16, PUSH_SWITCHED}},
     false},
    {"more canaries than devices", {.canaries = 9, .parallel = 50}, 3, {{3, PUSH_SWITCHED}}, false},
    {"batches",
     {.group = {5, false}, .parallel = 50},
     12,
     {{5, PUSH_SWITCHED}, {5, PUSH_SWITCHED}, {2, PUSH_SWITCHED}},
     false},
    {"batches of a share",
     {.group = {25, true}, .parallel = 50},
     12,
     {{3, PUSH_SWITCHED}, {3, PUSH_SWITCHED}, {3, PUSH_SWITCHED}, {3, PUSH_SWITCHED}},
     false},
    {"canary, then batches",
     {.canaries = 1, .group = {6, false}, .parallel = 50},
     12,
     {{1, PUSH_SWITCHED}, {6, PUSH_SWITCHED}, {5, PUSH_SWITCHED}},
     false},
    {"stop after three failures",
     {.parallel = 2, .stop_after = {3, false}},
     20,
     {{2, PUSH_REFUSED}, {2, PUSH_TIMED_OUT}},
     true},
    {"unreachable devices are no failures",
     {.parallel = 2, .stop_after = {1, false}},
     4,
     {{2, PUSH_UNREACHABLE}, {2, PUSH_SWITCHED}},
     false},
    {"a share of failures counts from ten devices",
     {.parallel = 4, .stop_after = {50, true}},
     40,
     {{4, PUSH_REFUSED}, {4, PUSH_SWITCHED}, {4, PUSH_REFUSED}},
     true},
    {"a small share of failures",
     {.parallel = 10, .stop_after = {50, true}},
     20,
     {{10, PUSH_SWITCHED}, {10, PUSH_SWITCHED}},
     false},
};

static void test_plans(void **state)
{
    (void)state;
    for (size_t p = 0; p < COUNT(plans); p++) {
        struct fleet f = fleet_of(plans[p].options, plans[p].count);
        for (size_t r = 0; plans[p].rounds[r].begin > 0; r++) {
            assert_false(fleet_is_over(&f));
            size_t begun = begin_all(&f);
            if (begun != plans[p].rounds[r].begin) {
                fail_msg("%s, round %zu: %zu begin", plans[p].name, r + 1, begun);
            }
            assert_int_equal(end_all(&f, plans[p].rounds[r].end), begun);
        }
        assert_int_equal(begin_all(&f), 0);
        if (!fleet_is_over(&f) || f.stopped != plans[p].stopped) {
            fail_msg("%s: over %d, stopped %d", plans[p].name, fleet_is_over(&f), f.stopped);
        }
    }
}

static void test_which_failures_are_tried_again(void **state)
{
    static const struct {
        enum push_state end;
        bool again;
    } rows[] = {{PUSH_BUSY, true},        {PUSH_REFUSED, true},    {PUSH_NOT_SWITCHED, true},
                {PUSH_TIMED_OUT, true},   {PUSH_CAME_BACK, false}, {PUSH_UNREACHABLE, false},
                {PUSH_DOWNLOADED, false}, {PUSH_SWITCHED, false},  {PUSH_ALREADY, false}};
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct fleet f = fleet_of((struct fleet_options){.parallel = 1, .retries = 2}, 1);
        assert_int_equal(fleet_begin(&f), 0);
        assert_int_equal(fleet_end(&f, 0, rows[i].end), rows[i].again);
        if (rows[i].again) {
            assert_true(fleet_end(&f, 0, rows[i].end));
            assert_false(fleet_end(&f, 0, rows[i].end));
        }
        assert_true(fleet_is_over(&f));
    }
}

static void test_nothing_begins_after_a_stop(void **state)
{
    struct fleet f = fleet_of((struct fleet_options){.parallel = 2, .retries = 5}, 9);
    (void)state;
    assert_int_equal(begin_all(&f), 2);
    fleet_stop(&f);
    assert_false(fleet_is_over(&f));
    assert_int_equal(begin_all(&f), 0);
    assert_false(fleet_end(&f, 0, PUSH_TIMED_OUT)); /* nor another attempt */
    assert_false(fleet_end(&f, 1, PUSH_SWITCHED));
    assert_true(fleet_is_over(&f));
}

static void test_devices_that_are_done_are_left_alone(void **state)
{
    struct fleet f = fleet_of((struct fleet_options){.parallel = 9}, 4);
    (void)state;
    places[0].place = FLEET_DONE;
    places[3].place = FLEET_DONE;
    assert_int_equal(fleet_begin(&f), 1);
    assert_int_equal(fleet_begin(&f), 2);
    assert_int_equal(fleet_begin(&f), f.count);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plans),
        cmocka_unit_test(test_which_failures_are_tried_again),
        cmocka_unit_test(test_nothing_begins_after_a_stop),
        cmocka_unit_test(test_devices_that_are_done_are_left_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
