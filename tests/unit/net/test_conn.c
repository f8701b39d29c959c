/* SPDX-License-Identifier: MIT */
/* Connections: what may follow what, and that each end counts down. */
#include "net/conn.h"
#include "support/peers.h"
#include "support/test.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static unsigned rejected;
static unsigned closed;

static void on_reject(void *context, const struct peer *peer, const char *reason)
{
    (void)context;
    (void)peer;
    assert_non_null(reason);
    rejected++;
}

static void on_close(struct conn *conn)
{
    conn->user = NULL;
    closed++;
}

static void set_up(struct conn_set *set, unsigned per_address)
{
    *set = (struct conn_set){.on_reject = on_reject, .on_close = on_close};
    set->loop = event_loop_new();
    set->limits = conn_limits_new(10, per_address);
    assert_true(conn_set_init(set, 100));
    rejected = 0;
    closed = 0;
}

static void tear_down(struct conn_set *set)
{
    conn_set_free(set);
    assert_int_equal(conn_limits_count(set->limits), 0);
    conn_limits_free(set->limits);
    event_loop_free(set->loop);
}

static struct conn *connect_one(struct conn_set *set, int *client)
{
    int ends[2];
    const struct peer peer = peer_at("192.0.2.1", 1);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    assert_int_equal(conn_limits_enter(set->limits, &peer), CONN_LIMITS_OK);
    *client = ends[1];
    return conn_new(set, ends[0], &peer);
}

static void test_states(void **state)
{
    (void)state;
    for (int s = CONN_READING; s < CONN_CLOSED; s++) {
        assert_true(conn_may_follow((enum conn_state)s, CONN_CLOSED));
        assert_false(conn_may_follow((enum conn_state)s, CONN_READING));
    }
    for (int s = CONN_READING; s <= CONN_CLOSED; s++) {
        assert_false(conn_may_follow(CONN_CLOSED, (enum conn_state)s));
        /* what libmicrohttpd had never becomes an image's */
        assert_int_equal(conn_may_follow((enum conn_state)s, CONN_SENDING),
                         s == CONN_READING || s == CONN_WAITING);
    }
    assert_false(conn_may_follow(CONN_SENT, CONN_FLUSHING));
    assert_false(conn_may_follow(CONN_LINGERING, CONN_SENT));
}

static void test_every_end_counts_down(void **state)
{
    struct conn_set set;
    int client[4];
    char byte;
    (void)state;
    set_up(&set, 2);
    struct conn *a = connect_one(&set, &client[0]);
    struct conn *b = connect_one(&set, &client[1]);
    struct conn *c = connect_one(&set, &client[2]);
    struct conn *d = connect_one(&set, &client[3]);
    assert_int_equal(conn_limits_count(set.limits), 4);
    assert_true(conn_admit(a));
    assert_true(conn_admit(b));
    assert_int_equal(atomic_load(&set.open), 2);
    assert_false(conn_admit(c)); /* rejected, and freed */
    assert_int_equal(rejected, 1);
    assert_int_equal(recv(client[2], &byte, 1, 0), 0);
    conn_reject(d, NULL);
    assert_int_equal(rejected, 1);
    a->user = a;
    conn_answered(a);
    conn_answered(a);
    assert_int_equal(atomic_load(&set.answering), 1);
    conn_close(a);
    assert_int_equal(closed, 1);
    assert_int_equal(atomic_load(&set.open), 1);
    assert_int_equal(conn_limits_count(set.limits), 1);
    tear_down(&set); /* closes b */
    assert_int_equal(atomic_load(&set.open), 0);
    for (int i = 0; i < 4; i++) {
        (void)close(client[i]);
    }
}

static void test_peek_leaves_it_there(void **state)
{
    struct conn_set set;
    int client = -1;
    (void)state;
    set_up(&set, 2);
    struct conn *c = connect_one(&set, &client);
    assert_int_equal(conn_peek(c), -1);
    assert_int_equal(write(client, "GET", 3), 3);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(conn_peek(c), 3);
        assert_string_equal((const char *)set.input, "GET");
    }
    conn_discard_input(c);
    assert_int_equal(conn_peek(c), -1);
    conn_close(c);
    tear_down(&set);
    (void)close(client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_states),
                                       cmocka_unit_test(test_every_end_counts_down),
                                       cmocka_unit_test(test_peek_leaves_it_there)};
    return cmocka_run_group_tests_name("conn", tests, NULL, NULL);
}
