/* SPDX-License-Identifier: MIT */
/* When what is put on a wheel comes round, by a clock of the test's own. */
#include "net/timer_wheel.h"
#include "support/test.h"

#include <stdlib.h>

#define LONGEST (TIMER_WHEEL_SLOTS * TIMER_WHEEL_TICK)

/* Nothing comes early, and nothing more than two ticks late. */
static void test_in_time(void **state)
{
    struct timer_wheel wheel;
    struct link link;
    (void)state;
    for (int i = 0; i < 2000; i++) {
        double start = 1000 + i * 0.0037;
        double seconds = i * 0.0013;
        timer_wheel_init(&wheel);
        list_init(&link);
        timer_wheel_set(&wheel, &link, start, seconds);
        assert_null(timer_wheel_expire(&wheel, start + seconds - 1e-9));
        assert_ptr_equal(timer_wheel_expire(&wheel, start + seconds + 2 * TIMER_WHEEL_TICK), &link);
        assert_null(timer_wheel_expire(&wheel, start + 1000));
    }
}

/* What lies further ahead than the wheel reaches comes round early, not never. */
static void test_too_far_ahead(void **state)
{
    struct timer_wheel wheel;
    struct link link;
    (void)state;
    timer_wheel_init(&wheel);
    list_init(&link);
    timer_wheel_set(&wheel, &link, 5, 1e6);
    assert_null(timer_wheel_expire(&wheel, 5 + LONGEST / 2));
    assert_ptr_equal(timer_wheel_expire(&wheel, 5 + LONGEST + TIMER_WHEEL_TICK), &link);
}

static void test_wait(void **state)
{
    struct timer_wheel wheel;
    struct link soon;
    struct link late;
    (void)state;
    timer_wheel_init(&wheel);
    list_init(&soon);
    list_init(&late);
    assert_int_equal(timer_wheel_timeout(&wheel, 7), -1);
    timer_wheel_set(&wheel, &late, 7, 1.0);
    timer_wheel_set(&wheel, &soon, 7, 0.1);
    assert_in_range(timer_wheel_timeout(&wheel, 7), 100, 134);
    assert_int_equal(timer_wheel_timeout(&wheel, 9), 0);
    timer_wheel_cancel(&wheel, &soon);
    timer_wheel_cancel(&wheel, &soon);
    assert_in_range(timer_wheel_timeout(&wheel, 7), 1000, 1034);
    /* After such a wait there is something to take. */
    assert_ptr_equal(timer_wheel_expire(&wheel, 7 + timer_wheel_timeout(&wheel, 7) / 1000.0),
                     &late);
    assert_int_equal(timer_wheel_timeout(&wheel, 9), -1);
}

/* It does not count the ticks of a night on which nobody came. */
static void test_after_a_long_rest(void **state)
{
    struct timer_wheel wheel;
    struct link link;
    (void)state;
    timer_wheel_init(&wheel);
    list_init(&link);
    assert_null(timer_wheel_expire(&wheel, 1e9));
    timer_wheel_set(&wheel, &link, 1e9, 0.5);
    assert_null(timer_wheel_expire(&wheel, 1e9 + 0.4));
    assert_ptr_equal(timer_wheel_expire(&wheel, 1e9 + 0.6), &link);
}

/* Another thread may have read its clock before the wheel was turned. */
static void test_an_old_clock(void **state)
{
    struct timer_wheel wheel;
    struct link links[2];
    (void)state;
    timer_wheel_init(&wheel);
    list_init(&links[0]);
    list_init(&links[1]);
    timer_wheel_set(&wheel, &links[0], 20, 5);
    assert_null(timer_wheel_expire(&wheel, 22));
    timer_wheel_set(&wheel, &links[1], 21, 0.1);
    assert_ptr_equal(timer_wheel_expire(&wheel, 22 + 2 * TIMER_WHEEL_TICK), &links[1]);
    assert_ptr_equal(timer_wheel_expire(&wheel, 26), &links[0]);
}

/* Many, put again and again in any order, and taken out: every one comes round once. */
static void test_many(void **state)
{
    enum { COUNT = 3000 };
    static struct link links[COUNT];
    static unsigned taken[COUNT];
    struct timer_wheel wheel;
    double now = 50;
    size_t left = COUNT;
    (void)state;
    srand(1);
    timer_wheel_init(&wheel);
    for (size_t i = 0; i < COUNT; i++) {
        list_init(&links[i]);
        timer_wheel_set(&wheel, &links[i], now, rand() % 4000 / 1000.0);
        timer_wheel_set(&wheel, &links[rand() % (int)(i + 1)], now, rand() % 4000 / 1000.0);
    }
    for (; left > 0 && now < 60; now += 0.011) {
        for (struct link *l = timer_wheel_expire(&wheel, now); l != NULL;
             l = timer_wheel_expire(&wheel, now)) {
            taken[l - links]++;
            left--;
        }
    }
    assert_int_equal(left, 0);
    assert_int_equal(wheel.count, 0);
    for (size_t i = 0; i < COUNT; i++) {
        assert_int_equal(taken[i], 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_in_time),      cmocka_unit_test(test_too_far_ahead),
        cmocka_unit_test(test_wait),         cmocka_unit_test(test_after_a_long_rest),
        cmocka_unit_test(test_an_old_clock), cmocka_unit_test(test_many),
    };
    return cmocka_run_group_tests_name("wheel", tests, NULL, NULL);
}
