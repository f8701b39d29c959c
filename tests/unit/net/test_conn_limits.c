/* SPDX-License-Identifier: MIT */
/* How many connections there may be. */
#include "net/conn_limits.h"
#include "support/peers.h"
#include "support/test.h"

#include <stdio.h>
#include <string.h>

static void test_limit_of_an_address(void **state)
{
    struct conn_limits *c = conn_limits_new(10, 2);
    struct peer a = peer_at("192.0.2.1", 1000);
    struct peer a_again = peer_at("192.0.2.1", 1001);
    struct peer b = peer_at("192.0.2.2", 1000);
    (void)state;
    assert_int_equal(conn_limits_enter(c, &a), CONN_LIMITS_OK);
    assert_true(conn_limits_admit(c, &a));
    assert_int_equal(conn_limits_enter(c, &a_again), CONN_LIMITS_OK);
    assert_true(conn_limits_admit(c, &a_again));
    assert_int_equal(conn_limits_enter(c, &a), CONN_LIMITS_FULL_ADDRESS);
    assert_int_equal(conn_limits_enter(c, &b), CONN_LIMITS_OK);
    assert_true(conn_limits_admit(c, &b));
    conn_limits_leave(c, &a);
    assert_int_equal(conn_limits_enter(c, &a), CONN_LIMITS_OK);
    assert_true(conn_limits_admit(c, &a));
    assert_int_equal(conn_limits_count(c), 3);
    conn_limits_free(c);
}

/* Those without a whole request take no place of their address. */
static void test_who_waits(void **state)
{
    struct conn_limits *c = conn_limits_new(10, 2);
    struct peer a = peer_at("192.0.2.1", 1000);
    (void)state;
    for (int i = 0; i < 5; i++) {
        assert_int_equal(conn_limits_enter(c, &a), CONN_LIMITS_OK);
    }
    assert_true(conn_limits_admit(c, &a));
    assert_true(conn_limits_admit(c, &a));
    assert_false(conn_limits_admit(c, &a));
    assert_int_equal(conn_limits_enter(c, &a), CONN_LIMITS_FULL_ADDRESS);
    conn_limits_leave_pending(c, &a);
    assert_false(conn_limits_admit(c, &a));
    assert_int_equal(conn_limits_count(c), 4);
    conn_limits_leave(c, &a);
    assert_true(conn_limits_admit(c, &a));
    assert_int_equal(conn_limits_count(c), 3);
    conn_limits_free(c);
}

static void test_limit_in_all(void **state)
{
    struct conn_limits *c = conn_limits_new(300, 2);
    char text[32];
    (void)state;
    for (int i = 0; i < 300; i++) {
        (void)snprintf(text, sizeof text, "10.0.%d.%d", i / 250, i % 250);
        struct peer p = peer_at(text, 1);
        assert_int_equal(conn_limits_enter(c, &p), CONN_LIMITS_OK);
    }
    struct peer late = peer_at("2001:db8::1", 1);
    assert_int_equal(conn_limits_enter(c, &late), CONN_LIMITS_FULL);
    for (int i = 0; i < 300; i++) {
        (void)snprintf(text, sizeof text, "10.0.%d.%d", i / 250, i % 250);
        struct peer p = peer_at(text, 2);
        conn_limits_leave(c, &p);
    }
    assert_int_equal(conn_limits_count(c), 0);
    assert_int_equal(conn_limits_enter(c, &late), CONN_LIMITS_OK);
    conn_limits_free(c);
}

static void test_who_never_came(void **state)
{
    struct conn_limits *c = conn_limits_new(1, 1);
    struct peer a = peer_at("::1", 1);
    (void)state;
    conn_limits_leave(c, &a);
    conn_limits_leave_pending(c, &a);
    assert_false(conn_limits_admit(c, &a));
    assert_int_equal(conn_limits_count(c), 0);
    assert_int_equal(conn_limits_enter(c, &a), CONN_LIMITS_OK);
    conn_limits_free(c);
    conn_limits_free(NULL);
}

static void test_text(void **state)
{
    static const char *const texts[] = {"192.0.2.1", "2001:db8::1", "::1", "127.1.2.3"};
    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++) {
        char text[PEER_TEXT];
        struct peer p = peer_at(texts[i], 7);
        peer_text(&p, text);
        assert_string_equal(text, texts[i]);
        assert_int_equal(p.port, 7);
    }
    /* A client of a dual-stack socket is its IPv4 address. */
    struct peer mapped = peer_at("::ffff:192.0.2.1", 1);
    struct peer plain = peer_at("192.0.2.1", 1);
    assert_true(peer_same_address(&mapped, &plain));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_limit_of_an_address),
        cmocka_unit_test(test_who_waits),
        cmocka_unit_test(test_limit_in_all),
        cmocka_unit_test(test_who_never_came),
        cmocka_unit_test(test_text),
    };
    return cmocka_run_group_tests_name("census", tests, NULL, NULL);
}
