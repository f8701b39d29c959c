/* SPDX-License-Identifier: MIT */
/* Token buckets, by a clock of the test's own. */
#include "net/rate_limit.h"
#include "support/test.h"

#include <string.h>

static const struct rate two_a_second = {.per_second = 2, .burst = 5};

static unsigned taken(struct token_bucket *bucket, double now, unsigned tries)
{
    unsigned count = 0;
    for (unsigned i = 0; i < tries; i++) {
        count += token_bucket_take(bucket, &two_a_second, now) ? 1 : 0;
    }
    return count;
}

static void test_bucket(void **state)
{
    struct token_bucket bucket = {0};
    (void)state;
    assert_int_equal(taken(&bucket, 100, 20), 5);
    assert_int_equal(taken(&bucket, 100.4, 20), 0);
    assert_int_equal(taken(&bucket, 100.5, 20), 1);
    assert_int_equal(taken(&bucket, 102, 20), 3);
    /* Never more than the burst, however long it was. */
    assert_int_equal(taken(&bucket, 1e9, 20), 5);
}

static void test_long_run(void **state)
{
    struct token_bucket bucket = {0};
    unsigned count = 0;
    (void)state;
    for (int i = 0; i < 100000; i++) {
        count += taken(&bucket, 1000 + i * 0.001, 1);
    }
    assert_in_range(count, 203, 206); /* 100 s at 2, and the burst */
}

static void test_wait(void **state)
{
    const struct rate slow = {.per_second = 0.1, .burst = 1};
    struct token_bucket bucket = {0};
    (void)state;
    assert_true(token_bucket_take(&bucket, &slow, 50));
    assert_false(token_bucket_take(&bucket, &slow, 50));
    assert_int_equal(token_bucket_wait(&bucket, &slow), 10);
    assert_false(token_bucket_take(&bucket, &slow, 57.5));
    assert_int_equal(token_bucket_wait(&bucket, &slow), 3);
    assert_false(token_bucket_take(&bucket, &slow, 59.9));
    assert_int_equal(token_bucket_wait(&bucket, &slow), 1);
    assert_true(token_bucket_take(&bucket, &slow, 60.1));
}

static void test_log_limit(void **state)
{
    struct log_limit limit = {0};
    uint64_t left_out = 99;
    (void)state;
    for (int i = 0; i < 5; i++) {
        assert_true(log_limit_pass(&limit, &two_a_second, 10, &left_out));
        assert_int_equal(left_out, 0);
    }
    for (int i = 0; i < 1234; i++) {
        assert_false(log_limit_pass(&limit, &two_a_second, 10, &left_out));
    }
    assert_true(log_limit_pass(&limit, &two_a_second, 10.5, &left_out));
    assert_int_equal(left_out, 1234);
    assert_true(log_limit_pass(&limit, &two_a_second, 11, &left_out));
    assert_int_equal(left_out, 0);
}

static struct peer peer(uint32_t number)
{
    struct peer p = {.port = 1};
    memcpy(p.address.s6_addr + 12, &number, sizeof number);
    p.address.s6_addr[0] = 0xFD;
    return p;
}

static void test_addresses_do_not_share(void **state)
{
    struct rate_limit *rates = rate_limit_new(&two_a_second);
    (void)state;
    struct peer a = peer(1);
    struct peer b = peer(2);
    struct peer a_other_port = a;
    a_other_port.port = 2;
    for (int i = 0; i < 5; i++) {
        assert_int_equal(rate_limit_take(rates, i % 2 == 0 ? &a : &a_other_port, 7), 0);
    }
    assert_int_equal(rate_limit_take(rates, &a, 7), 1);
    assert_int_equal(rate_limit_take(rates, &b, 7), 0);
    assert_int_equal(rate_limit_take(rates, &a, 8), 0);
    rate_limit_free(rates);
}

/* A flood from everywhere neither grows the table nor makes it forget who asks too much. */
static void test_many_addresses(void **state)
{
    struct rate_limit *rates = rate_limit_new(&two_a_second);
    (void)state;
    struct peer busy = peer(0xFFFFFFFF);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(rate_limit_take(rates, &busy, 7), 0);
    }
    for (uint32_t i = 0; i < 200000; i++) {
        struct peer p = peer(i);
        assert_int_equal(rate_limit_take(rates, &p, 7), 0);
    }
    assert_int_equal(rate_limit_take(rates, &busy, 7), 1);
    rate_limit_free(rates);
    rate_limit_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bucket),
        cmocka_unit_test(test_long_run),
        cmocka_unit_test(test_wait),
        cmocka_unit_test(test_log_limit),
        cmocka_unit_test(test_addresses_do_not_share),
        cmocka_unit_test(test_many_addresses),
    };
    return cmocka_run_group_tests_name("rate", tests, NULL, NULL);
}
