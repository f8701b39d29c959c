/* SPDX-License-Identifier: MIT */
/* What a terminal shows of downloads, and what is remembered of them. */
#include "cli/live.h"
#include "support/test.h"

#include <stdio.h>
#include <string.h>

static struct server_event event(const char *client, uint16_t port, uint64_t sent, uint64_t size,
                                 double seconds)
{
    return (struct server_event){.kind = SERVER_PROGRESS,
                                 .client = client,
                                 .client_port = port,
                                 .slot = 1,
                                 .sent = sent,
                                 .size = size,
                                 .seconds = seconds};
}

static struct transfer *note(struct transfers *t, const char *client, uint16_t port, uint64_t sent,
                             double now)
{
    struct server_event e = event(client, port, sent, 100000, 1);
    struct transfer *one = transfers_note(t, &e, now);
    assert_non_null(one);
    return one;
}

static void test_bar(void **state)
{
    static const struct {
        uint64_t sent, size;
        const char *wanted;
    } cases[] = {{0, 100, ".........."},       {9, 100, ".........."},
                 {10, 100, "#........."},      {99, 100, "#########."},
                 {100, 100, "##########"},     {101, 100, "##########"},
                 {0, 0, "##########"},         {1U << 31, 1ULL << 32, "#####....."},
                 {UINT64_MAX, 1, "##########"}};
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char bar[11];
        live_bar(bar, 10, cases[i].sent, cases[i].size);
        assert_string_equal(bar, cases[i].wanted);
    }
    char none[1] = {'x'};
    live_bar(none, 0, 1, 2);
    assert_string_equal(none, "");
}

static void test_speed(void **state)
{
    static const struct {
        double rate;
        const char *wanted;
    } cases[] = {{-1, "-"},
                 {0, "-"},
                 {0.4, "0 B/s"},
                 {999, "999 B/s"},
                 {999.6, "1.0 kB/s"},
                 {41234, "41.2 kB/s"},
                 {999949, "999.9 kB/s"},
                 {999950, "1.0 MB/s"},
                 {1e7, "10.0 MB/s"},
                 {1e12, "> 1 GB/s"},
                 {1.0 / 0.0, "> 1 GB/s"},
                 {0.0 / 0.0, "-"}};
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char text[LIVE_SPEED];
        live_speed(text, cases[i].rate);
        assert_string_equal(text, cases[i].wanted);
        assert_true(strlen(text) <= 10);
    }
}

static void test_time(void **state)
{
    static const struct {
        double seconds;
        const char *wanted;
    } cases[] = {{-1, "-:--"},       {0, "0:00"},          {0.4, "0:00"},    {7, "0:07"},
                 {59.6, "1:00"},     {61, "1:01"},         {3599, "59:59"},  {3599.5, "1:00:00"},
                 {3723, "1:02:03"},  {359999, "99:59:59"}, {360000, "-:--"}, {1.0 / 0.0, "-:--"},
                 {0.0 / 0.0, "-:--"}};
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char text[LIVE_TIME];
        live_time(text, cases[i].seconds);
        assert_string_equal(text, cases[i].wanted);
    }
}

static void test_line(void **state)
{
    struct transfers *t = transfers_new();
    const struct live_screen screen = {10, 79, false};
    char line[LIVE_LINE];
    (void)state;
    const struct transfer *one = note(t, "192.0.2.7", 5000, 50000, 101); /* began at 100 */
    live_line(line, one, &screen, 9, 101);
    assert_string_equal(
        line, "192.0.2.7 user1 [###############...............]  50 %  50.0 kB/s    0:01 left");
    live_line(line, one, &screen, 9, 103.5); /* half in 3.5 s */
    assert_mentions(line, "  14.3 kB/s    0:04 left");
    live_line(line, one, &screen, 9, 107.2);
    assert_mentions(line, "]  50 % silent for 6 s");
    assert_silent(line, "left");
    transfers_free(t);
}

static void test_line_is_cut(void **state)
{
    struct transfers *t = transfers_new();
    char whole[LIVE_LINE];
    char line[LIVE_LINE];
    (void)state;
    const struct transfer *one = note(t, "2001:db8:1234:5678:9abc:def0:1234:5678", 1, 40000, 10);
    for (unsigned columns = 1; columns < 2 * LIVE_COLUMNS; columns++) {
        const struct live_screen screen = {10, columns, false};
        live_line(line, one, &screen, 38, 10);
        assert_true(strlen(line) <= columns && strlen(line) <= LIVE_COLUMNS);
        assert_int_equal(strchr(line, '[') != NULL, columns >= 38 + 39 + 4);
    }
    const struct live_screen narrow = {10, 45, false};
    const struct live_screen without_bar = {10, 80, false};
    live_line(whole, one, &without_bar, 38, 10);
    assert_silent(whole, "[");
    assert_mentions(whole, "user1  40 %");
    live_line(line, one, &narrow, 38, 10);
    assert_int_equal(strlen(line), 45);
    assert_memory_equal(line, whole, 45);
    transfers_free(t);
}

static void test_colour(void **state)
{
    struct transfers *t = transfers_new();
    char plain[LIVE_LINE];
    char line[LIVE_LINE];
    (void)state;
    const struct transfer *one = note(t, "192.0.2.7", 5000, 50000, 101);
    for (unsigned columns = 1; columns < 2 * LIVE_COLUMNS; columns++) {
        struct live_screen screen = {10, columns, false};
        live_line(plain, one, &screen, 9, 101);
        screen.colour = true;
        live_line(line, one, &screen, 9, 101);
        const char *on = strstr(line, "\033[32m#");
        const char *off = strstr(line, "#\033[0m.");
        assert_int_equal(on != NULL, strchr(plain, '#') != NULL);
        assert_int_equal(off != NULL, on != NULL);
        assert_int_equal(strlen(line), strlen(plain) + (on != NULL ? 9 : 0));
    }
    const struct transfer *none = note(t, "192.0.2.8", 5000, 0, 101);
    const struct live_screen screen = {10, 79, true};
    live_line(line, none, &screen, 9, 101);
    assert_silent(line, "\033");
    transfers_free(t);
}

static void test_block(void **state)
{
    static char lines[LIVE_ROWS][LIVE_LINE];
    static const struct {
        unsigned count, rows, wanted;
        const char *last;
    } cases[] = {{0, 9, 0, NULL},           {1, 9, 1, "192.0.2.0 "},
                 {9, 9, 9, "192.0.2.8 "},   {10, 9, 9, "and 2 more"},
                 {60, 9, 9, "and 52 more"}, {60, 1, 1, "60 downloads"},
                 {60, 0, 0, NULL},          {2, 1, 1, "2 downloads"},
                 {1, 1, 1, "192.0.2.0 "},   {250, 1000, LIVE_ROWS, "and 51 more"}};
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct transfers *t = transfers_new();
        for (unsigned k = 0; k < cases[i].count; k++) {
            char client[32];
            (void)snprintf(client, sizeof client, "192.0.2.%u", k);
            (void)note(t, client, 5000, k, 10);
        }
        const struct live_screen screen = {cases[i].rows, 79, false};
        assert_int_equal(live_block(lines, t, &screen, 10), cases[i].wanted);
        if (cases[i].last != NULL) {
            const char *last = lines[cases[i].wanted - 1];
            assert_memory_equal(last, cases[i].last, strlen(cases[i].last));
        }
        transfers_free(t);
    }
}

static void test_addresses_are_aligned(void **state)
{
    static char lines[LIVE_ROWS][LIVE_LINE];
    struct transfers *t = transfers_new();
    const struct live_screen screen = {10, 79, false};
    (void)state;
    (void)note(t, "10.0.0.1", 1, 1, 10);
    (void)note(t, "192.168.100.200", 1, 1, 10);
    assert_int_equal(live_block(lines, t, &screen, 10), 2);
    assert_memory_equal(lines[0], "10.0.0.1        user1 [", 23);
    assert_memory_equal(lines[1], "192.168.100.200 user1 [", 23);
    transfers_free(t);
}

static void test_transfers_by_address_and_port(void **state)
{
    struct transfers *t = transfers_new();
    (void)state;
    struct transfer *a = note(t, "192.0.2.1", 1000, 1, 10);
    struct transfer *b = note(t, "192.0.2.1", 1001, 1, 10);
    struct transfer *c = note(t, "192.0.2.2", 1000, 1, 10);
    assert_true(a != b && b != c && a != c);
    assert_ptr_equal(note(t, "192.0.2.1", 1001, 2, 11), b);
    assert_int_equal(transfers_count(t), 3);

    struct server_event gone = event("192.0.2.1", 1001, 0, 0, 0);
    transfers_end(t, &gone);
    transfers_end(t, &gone); /* one that is not known */
    assert_int_equal(transfers_count(t), 2);
    assert_ptr_equal(transfers_first(t), a);
    assert_ptr_equal(a->next, c);
    struct server_event first = event("192.0.2.1", 1000, 0, 0, 0);
    transfers_end(t, &first);
    assert_ptr_equal(transfers_first(t), c);
    assert_null(c->prev);
    struct server_event last = event("192.0.2.2", 1000, 0, 0, 0);
    transfers_end(t, &last);
    assert_null(transfers_first(t));
    struct transfer *next = note(t, "192.0.2.9", 1, 1, 12);
    assert_ptr_equal(transfers_first(t), next);
    transfers_free(t);
    transfers_free(NULL);
}

static void test_many(void **state)
{
    struct transfers *t = transfers_new();
    (void)state;
    for (unsigned i = 0; i < 20000; i++) {
        (void)note(t, i % 2 == 0 ? "192.0.2.1" : "2001:db8::1", (uint16_t)(i / 2), 1, 10);
    }
    assert_int_equal(transfers_count(t), 20000);
    for (unsigned i = 0; i < 20000; i += 2) {
        struct server_event e = event("192.0.2.1", (uint16_t)(i / 2), 0, 0, 0);
        transfers_end(t, &e);
    }
    assert_int_equal(transfers_count(t), 10000);
    unsigned port = 0;
    for (const struct transfer *one = transfers_first(t); one != NULL; one = one->next) {
        assert_int_equal(one->port, port++);
        assert_string_equal(one->client, "2001:db8::1");
    }
    assert_int_equal(port, 10000);
    transfers_free(t);
}

static void test_rate(void **state)
{
    struct transfers *t = transfers_new();
    (void)state;
    /* What the window took at once is averaged away. */
    struct server_event e = event("192.0.2.1", 1, 10000, 100000, 0.01);
    struct transfer *one = transfers_note(t, &e, 100.01);
    e.sent = 20000;
    (void)transfers_note(t, &e, 101);
    assert_float_equal(transfer_rate(one, 101), 20000, 1);
    assert_float_equal(transfer_rate(one, 102), 10000, 1);
    /* Later only the last seconds count. */
    for (int i = 2; i <= 30; i++) {
        e.sent = 20000 + (uint64_t)(i - 1) * 5000;
        (void)transfers_note(t, &e, 100 + i);
    }
    assert_float_equal(transfer_rate(one, 130), 5000, 100);
    /* Fewer bytes than before, or a clock that stands still, change nothing. */
    double rate = one->rate;
    e.sent = 1;
    (void)transfers_note(t, &e, 131);
    e.sent = 99999;
    (void)transfers_note(t, &e, 130);
    assert_true(one->rate >= rate && one->rate <= rate && one->sent == 165000);
    transfers_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bar),
        cmocka_unit_test(test_speed),
        cmocka_unit_test(test_time),
        cmocka_unit_test(test_line),
        cmocka_unit_test(test_line_is_cut),
        cmocka_unit_test(test_colour),
        cmocka_unit_test(test_block),
        cmocka_unit_test(test_addresses_are_aligned),
        cmocka_unit_test(test_transfers_by_address_and_port),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_rate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
