/* SPDX-License-Identifier: MIT */
/* The course of one device's update, as rows of what is observed and what is to be done. */
#include "push/update.h"
#include "support/test.h"

#include <string.h>

static const struct push_rules pulls = {
    .inspects = true, .ask = 20, .whole = 300, .proof = 60, .settle = 10, .reboot = 1, .poll = 1};
static const struct push_rules blind = {
    .ask = 20, .whole = 300, .proof = 60, .settle = 10, .reboot = 1, .poll = 1};
static const struct push_rules forced = {.inspects = true,
                                         .force = true,
                                         .ask = 20,
                                         .whole = 300,
                                         .proof = 60,
                                         .settle = 10,
                                         .reboot = 1,
                                         .poll = 1};
static const struct push_rules posts = {
    .posts = true, .ask = 20, .whole = 300, .proof = 60, .settle = 10, .reboot = 1, .poll = 1};

/* One step: at a time, an event, and what follows. */
struct row {
    double at;
    struct push_event event;
    enum push_action action;
    enum push_state state;
};

#define START                                                                                      \
    {                                                                                              \
        .kind = PUSH_EVENT_START                                                                   \
    }
#define TIMER                                                                                      \
    {                                                                                              \
        .kind = PUSH_EVENT_TIMER                                                                   \
    }
#define OTHER                                                                                      \
    {                                                                                              \
        .kind = PUSH_EVENT_SHOWN, .shown = PUSH_SHOWS_OTHER                                        \
    }
#define NEW                                                                                        \
    {                                                                                              \
        .kind = PUSH_EVENT_SHOWN, .shown = PUSH_SHOWS_NEW                                          \
    }
#define UNKNOWN                                                                                    \
    {                                                                                              \
        .kind = PUSH_EVENT_SHOWN, .shown = PUSH_SHOWS_UNKNOWN                                      \
    }
#define NOTHING                                                                                    \
    {                                                                                              \
        .kind = PUSH_EVENT_SHOWN, .shown = PUSH_SHOWS_NOTHING                                      \
    }
#define TRIGGERED                                                                                  \
    {                                                                                              \
        .kind = PUSH_EVENT_TRIGGERED                                                               \
    }
#define NO(why)                                                                                    \
    {                                                                                              \
        .kind = PUSH_EVENT_NOT_TRIGGERED, .failure = PUSH_FAILED_##why, .reason = "so"             \
    }
#define ASKED(n)                                                                                   \
    {                                                                                              \
        .kind = PUSH_EVENT_ASKED, .slot = (n)                                                      \
    }
#define NOT_SERVED(n)                                                                              \
    {                                                                                              \
        .kind = PUSH_EVENT_NOT_SERVED, .slot = (n), .reason = "none"                               \
    }
#define PROGRESS(n)                                                                                \
    {                                                                                              \
        .kind = PUSH_EVENT_PROGRESS, .slot = (n), .sent = 1, .size = 2                             \
    }
#define TAKEN(n)                                                                                   \
    {                                                                                              \
        .kind = PUSH_EVENT_TAKEN, .slot = (n)                                                      \
    }
#define BROKE                                                                                      \
    {                                                                                              \
        .kind = PUSH_EVENT_BROKE_OFF, .slot = 2, .reason = "complete"                              \
    }
#define WANTS(n)                                                                                   \
    {                                                                                              \
        .kind = PUSH_EVENT_WANTS, .slot = (n)                                                      \
    }
#define REBOOT                                                                                     \
    {                                                                                              \
        .kind = PUSH_EVENT_REBOOT_ASKED                                                            \
    }

/* Until a device has the image of slot 2, having shown another build before. */
#define TO_IMAGE                                                                                   \
    {0, START, PUSH_DO_INSPECT, PUSH_INSPECTING}, {1, OTHER, PUSH_DO_TRIGGER, PUSH_INSPECTING},    \
        {2, TRIGGERED, PUSH_DO_WAIT, PUSH_TRIGGERED}, {3, ASKED(2), PUSH_DO_WAIT, PUSH_TRIGGERED}, \
        {4, PROGRESS(2), PUSH_DO_WAIT, PUSH_DOWNLOADING},                                          \
        {20, ASKED(2), PUSH_DO_WAIT, PUSH_DOWNLOADING},                                            \
    {                                                                                              \
        20, TAKEN(2), PUSH_DO_WAIT, PUSH_DOWNLOADED                                                \
    }
#define POSTED                                                                                     \
    {0, START, PUSH_DO_ASK, PUSH_INSPECTING}, {1, WANTS(2), PUSH_DO_POST, PUSH_TRIGGERED},         \
        {2, PROGRESS(2), PUSH_DO_WAIT, PUSH_DOWNLOADING},                                          \
        {9, TAKEN(2), PUSH_DO_REBOOT, PUSH_DOWNLOADED},                                            \
    {                                                                                              \
        9, REBOOT, PUSH_DO_WAIT, PUSH_REBOOTING                                                    \
    }

static const struct course {
    const char *name;
    const struct push_rules *rules;
    struct row rows[24];
} courses[] = {
    {"a page proves it",
     &pulls,
     {TO_IMAGE,
      {21, TIMER, PUSH_DO_INSPECT, PUSH_DOWNLOADED},
      {21, OTHER, PUSH_DO_WAIT, PUSH_DOWNLOADED},
      {22, TIMER, PUSH_DO_INSPECT, PUSH_DOWNLOADED},
      {22, NOTHING, PUSH_DO_WAIT, PUSH_REBOOTING},
      {23, TIMER, PUSH_DO_INSPECT, PUSH_REBOOTING},
      {23, NEW, PUSH_DO_END, PUSH_SWITCHED}}},
    {"asking for the other file proves it",
     &pulls,
     {TO_IMAGE, {21, ASKED(1), PUSH_DO_END, PUSH_SWITCHED}}},
    {"... even when there is none",
     &pulls,
     {TO_IMAGE, {21, NOT_SERVED(1), PUSH_DO_END, PUSH_SWITCHED}}},
    {"asking for the same file again disproves it",
     &pulls,
     {TO_IMAGE, {21, ASKED(2), PUSH_DO_END, PUSH_NOT_SWITCHED}}},
    {"a HEAD from before the image that is reported late is no proof",
     &pulls,
     {TO_IMAGE,
      {21, {.kind = PUSH_EVENT_ASKED, .slot = 2, .began = 3}, PUSH_DO_WAIT, PUSH_DOWNLOADED},
      {21, {.kind = PUSH_EVENT_ASKED, .slot = 1, .began = 3}, PUSH_DO_WAIT, PUSH_DOWNLOADED}}},
    {"... after a reboot, too",
     &pulls,
     {TO_IMAGE,
      {21, TIMER, PUSH_DO_INSPECT, PUSH_DOWNLOADED},
      {21, NOTHING, PUSH_DO_WAIT, PUSH_REBOOTING},
      {30, ASKED(2), PUSH_DO_END, PUSH_CAME_BACK}}},
    {"the old build stays",
     &pulls,
     {TO_IMAGE,
      {21, OTHER, PUSH_DO_WAIT, PUSH_DOWNLOADED},
      {30, OTHER, PUSH_DO_WAIT, PUSH_DOWNLOADED},
      {31, OTHER, PUSH_DO_END, PUSH_NOT_SWITCHED}}},
    {"the old build comes back",
     &pulls,
     {TO_IMAGE,
      {21, NOTHING, PUSH_DO_WAIT, PUSH_REBOOTING},
      {25, OTHER, PUSH_DO_WAIT, PUSH_REBOOTING},
      {26, NOTHING, PUSH_DO_WAIT, PUSH_REBOOTING},
      {30, OTHER, PUSH_DO_WAIT, PUSH_REBOOTING},
      {39, OTHER, PUSH_DO_WAIT, PUSH_REBOOTING},
      {40, OTHER, PUSH_DO_END, PUSH_CAME_BACK}}},
    {"it never comes back",
     &pulls,
     {TO_IMAGE,
      {21, NOTHING, PUSH_DO_WAIT, PUSH_REBOOTING},
      {79, NOTHING, PUSH_DO_WAIT, PUSH_REBOOTING},
      {80, NOTHING, PUSH_DO_END, PUSH_TIMED_OUT}}},
    {"a page without a build is no proof",
     &pulls,
     {TO_IMAGE,
      {21, UNKNOWN, PUSH_DO_WAIT, PUSH_DOWNLOADED},
      {80, UNKNOWN, PUSH_DO_END, PUSH_DOWNLOADED}}},
    {"the build on a page that was not seen before is no proof",
     &pulls,
     {{0, START, PUSH_DO_INSPECT, PUSH_INSPECTING},
      {5, NOTHING, PUSH_DO_TRIGGER, PUSH_INSPECTING},
      {6, TRIGGERED, PUSH_DO_WAIT, PUSH_TRIGGERED},
      {20, TAKEN(1), PUSH_DO_WAIT, PUSH_DOWNLOADED},
      {21, NEW, PUSH_DO_WAIT, PUSH_DOWNLOADED},
      {80, NEW, PUSH_DO_END, PUSH_DOWNLOADED}}},
    {"it never shows anything",
     &pulls,
     {{0, START, PUSH_DO_INSPECT, PUSH_INSPECTING},
      {5, NOTHING, PUSH_DO_TRIGGER, PUSH_INSPECTING},
      {6, TRIGGERED, PUSH_DO_WAIT, PUSH_TRIGGERED},
      {20, TAKEN(1), PUSH_DO_WAIT, PUSH_DOWNLOADED},
      {80, NOTHING, PUSH_DO_END, PUSH_DOWNLOADED}}},
    {"it runs the build already",
     &pulls,
     {{0, START, PUSH_DO_INSPECT, PUSH_INSPECTING}, {1, NEW, PUSH_DO_END, PUSH_ALREADY}}},
    {"it is updated all the same, without proof by the page",
     &forced,
     {{0, START, PUSH_DO_INSPECT, PUSH_INSPECTING},
      {1, NEW, PUSH_DO_TRIGGER, PUSH_INSPECTING},
      {2, TRIGGERED, PUSH_DO_WAIT, PUSH_TRIGGERED},
      {9, TAKEN(1), PUSH_DO_WAIT, PUSH_DOWNLOADED},
      {10, NEW, PUSH_DO_WAIT, PUSH_DOWNLOADED},
      {69, NEW, PUSH_DO_END, PUSH_DOWNLOADED}}},
    {"without any means of proof",
     &blind,
     {{0, START, PUSH_DO_TRIGGER, PUSH_INSPECTING},
      {1, TRIGGERED, PUSH_DO_WAIT, PUSH_TRIGGERED},
      {9, TAKEN(1), PUSH_DO_WAIT, PUSH_DOWNLOADED},
      {69, TIMER, PUSH_DO_END, PUSH_DOWNLOADED}}},
    {"unreachable",
     &blind,
     {{0, START, PUSH_DO_TRIGGER, PUSH_INSPECTING},
      {5, NO(CONNECT), PUSH_DO_END, PUSH_UNREACHABLE}}},
    {"busy",
     &blind,
     {{0, START, PUSH_DO_TRIGGER, PUSH_INSPECTING}, {5, NO(BUSY), PUSH_DO_END, PUSH_BUSY}}},
    {"it refuses the trigger",
     &blind,
     {{0, START, PUSH_DO_TRIGGER, PUSH_INSPECTING}, {5, NO(REFUSED), PUSH_DO_END, PUSH_REFUSED}}},
    {"triggered, and then silence",
     &blind,
     {{0, START, PUSH_DO_TRIGGER, PUSH_INSPECTING},
      {1, TRIGGERED, PUSH_DO_WAIT, PUSH_TRIGGERED},
      {21, TIMER, PUSH_DO_END, PUSH_TIMED_OUT}}},
    {"the download breaks off",
     &pulls,
     {{0, START, PUSH_DO_INSPECT, PUSH_INSPECTING},
      {1, OTHER, PUSH_DO_TRIGGER, PUSH_INSPECTING},
      {2, TRIGGERED, PUSH_DO_WAIT, PUSH_TRIGGERED},
      {4, PROGRESS(2), PUSH_DO_WAIT, PUSH_DOWNLOADING},
      {9, BROKE, PUSH_DO_END, PUSH_REFUSED}}},
    {"it asks for a file that was not given",
     &pulls,
     {{0, START, PUSH_DO_INSPECT, PUSH_INSPECTING},
      {1, OTHER, PUSH_DO_TRIGGER, PUSH_INSPECTING},
      {2, TRIGGERED, PUSH_DO_WAIT, PUSH_TRIGGERED},
      {3, NOT_SERVED(1), PUSH_DO_END, PUSH_NOT_SWITCHED}}},
    {"it begins by itself before it is triggered",
     &pulls,
     {{0, START, PUSH_DO_INSPECT, PUSH_INSPECTING},
      {1, PROGRESS(2), PUSH_DO_WAIT, PUSH_DOWNLOADING},
      {2, OTHER, PUSH_DO_WAIT, PUSH_DOWNLOADING},
      {3, TRIGGERED, PUSH_DO_WAIT, PUSH_DOWNLOADING}}},
    {"posted, and switched",
     &posts,
     {POSTED,
      {10, TIMER, PUSH_DO_ASK, PUSH_REBOOTING},
      {10, WANTS(2), PUSH_DO_WAIT, PUSH_REBOOTING},
      {11, TIMER, PUSH_DO_ASK, PUSH_REBOOTING},
      {11, WANTS(0), PUSH_DO_WAIT, PUSH_REBOOTING},
      {12, TIMER, PUSH_DO_ASK, PUSH_REBOOTING},
      {12, WANTS(1), PUSH_DO_END, PUSH_SWITCHED}}},
    {"posted, and fallen back",
     &posts,
     {POSTED,
      {11, WANTS(0), PUSH_DO_WAIT, PUSH_REBOOTING},
      {15, WANTS(2), PUSH_DO_WAIT, PUSH_REBOOTING},
      {25, WANTS(2), PUSH_DO_END, PUSH_CAME_BACK}}},
    {"posted, and gone",
     &posts,
     {POSTED,
      {11, WANTS(0), PUSH_DO_WAIT, PUSH_REBOOTING},
      {69, WANTS(0), PUSH_DO_END, PUSH_TIMED_OUT}}},
    {"it names no file",
     &posts,
     {{0, START, PUSH_DO_ASK, PUSH_INSPECTING},
      {1, {.kind = PUSH_EVENT_WANTS, .failure = PUSH_FAILED_REFUSED}, PUSH_DO_END, PUSH_REFUSED}}},
};

static void test_courses(void **state)
{
    (void)state;
    for (size_t c = 0; c < COUNT(courses); c++) {
        struct push_update u;
        push_update_init(&u);
        for (size_t i = 0; i == 0 || courses[c].rows[i].event.kind != PUSH_EVENT_START; i++) {
            const struct row *row = &courses[c].rows[i];
            if (i == COUNT(courses[c].rows)) {
                break;
            }
            struct push_event event = row->event;
            event.began = event.began != 0 ? event.began : row->at;
            event.over = row->at;
            enum push_action action = push_update_step(&u, courses[c].rules, &event, row->at);
            if (action != row->action || u.state != row->state) {
                fail_msg("%s, step %zu: action %d, state %s", courses[c].name, i + 1, (int)action,
                         push_state_name(u.state));
            }
            if (u.ended != (row->action == PUSH_DO_END)) {
                fail_msg("%s, step %zu: ended %d", courses[c].name, i + 1, u.ended);
            }
        }
    }
}

static void step(struct push_update *u, double at, struct push_event e)
{
    (void)push_update_step(u, &pulls, &e, at);
}

/* The first attempt's proof came too late; the second one finds the build running. */
static void test_a_second_attempt_finds_the_first_ones_work(void **state)
{
    static const struct row rows[] = {TO_IMAGE, {80, NOTHING, PUSH_DO_END, PUSH_TIMED_OUT}};
    struct push_update u;
    (void)state;
    push_update_init(&u);
    for (size_t i = 0; i < COUNT(rows); i++) {
        step(&u, rows[i].at, rows[i].event);
    }
    assert_int_equal(u.state, PUSH_TIMED_OUT);
    push_update_again(&u);
    assert_int_equal(u.attempts, 2);
    assert_false(u.ended);
    step(&u, 100, (struct push_event)START);
    step(&u, 101, (struct push_event)NEW);
    assert_int_equal(u.state, PUSH_SWITCHED);
}

static void test_waiting_is_bounded(void **state)
{
    struct push_update u;
    (void)state;
    push_update_init(&u);
    step(&u, 100, (struct push_event)START);
    step(&u, 100, (struct push_event)OTHER);
    step(&u, 100, (struct push_event)TRIGGERED);
    assert_true(u.due == 120);
    step(&u, 101, (struct push_event)PROGRESS(1));
    step(&u, 399, (struct push_event)PROGRESS(1));
    assert_true(u.due == 400);
    step(&u, 400, (struct push_event)TIMER);
    assert_int_equal(u.state, PUSH_TIMED_OUT);
}

static void test_names(void **state)
{
    (void)state;
    for (int i = 0; i < PUSH_STATE_COUNT; i++) {
        enum push_state found = PUSH_STATE_COUNT;
        assert_true(push_state_by_name(push_state_name((enum push_state)i), &found));
        assert_int_equal(found, i);
    }
    enum push_state found = PUSH_WAITING;
    assert_false(push_state_by_name("updated", &found));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_courses),
        cmocka_unit_test(test_a_second_attempt_finds_the_first_ones_work),
        cmocka_unit_test(test_waiting_is_bounded),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
