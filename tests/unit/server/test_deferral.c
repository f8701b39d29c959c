/* SPDX-License-Identifier: MIT */
/* A listening socket, and a clock of the test's own. */
#include "server/deferral.h"

#include "support/test.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <unistd.h>

static int listening;
static struct deferral *deferral;

static int set_up(void **state)
{
    (void)state;
    listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    deferral = deferral_new(listening);
    return listening >= 0 && deferral != NULL ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    deferral_free(deferral);
    return close(listening);
}

static bool defers(void)
{
    int seconds = -1;
    socklen_t size = sizeof seconds;
    assert_int_equal(getsockopt(listening, IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, &size), 0);
    return seconds > 0;
}

static void test_one_at_a_time(void **state)
{
    (void)state;
    assert_true(defers());
    deferral_note(deferral, NEWCOMER_ALONE, 1000);
    assert_false(defers());
    deferral_note(deferral, NEWCOMER_ALONE, 1000);
    assert_false(defers());
}

static void test_a_crowd(void **state)
{
    (void)state;
    deferral_note(deferral, NEWCOMER_ALONE, 1000);
    deferral_note(deferral, NEWCOMERS, 1000);
    assert_true(defers());
    deferral_note(deferral, NEWCOMER_ALONE, 1000.05); /* the last of it */
    assert_true(defers());
    deferral_note(deferral, NEWCOMERS, 1000.06);
    deferral_note(deferral, NEWCOMER_ALONE, 1000.15);
    assert_true(defers());
    deferral_note(deferral, NEWCOMER_ALONE, 1000.2);
    assert_false(defers());
}

/* Two tries a minute find that requests take their time, as over every network. */
static void test_a_network(void **state)
{
    (void)state;
    deferral_note(deferral, NEWCOMER_ALONE, 1000);
    deferral_note(deferral, NEWCOMER_LATE, 1001);
    assert_false(defers());
    deferral_note(deferral, NEWCOMER_LATE, 1001);
    assert_true(defers());
    deferral_note(deferral, NEWCOMERS, 1002); /* makes it no shorter */
    for (int i = 0; i < 58; i++) {
        deferral_note(deferral, NEWCOMER_ALONE, 1003 + i);
        assert_true(defers());
    }
    deferral_note(deferral, NEWCOMER_ALONE, 1061);
    assert_false(defers());
}

static void test_one_that_was_slow(void **state)
{
    (void)state;
    deferral_note(deferral, NEWCOMER_ALONE, 1000);
    for (int i = 0; i < 10; i++) {
        deferral_note(deferral, NEWCOMER_LATE, 1001 + i);
        deferral_note(deferral, NEWCOMER_ALONE, 1001 + i);
        assert_false(defers());
    }
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH(test_one_at_a_time),
        EACH(test_a_crowd),
        EACH(test_a_network),
        EACH(test_one_that_was_slow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
