/* SPDX-License-Identifier: MIT */
/* Descriptors, timers and tasks of one thread. */
#include "base/clock.h"
#include "net/event_loop.h"
#include "support/test.h"

#include <pthread.h>
#include <sys/epoll.h>
#include <unistd.h>

struct counted {
    struct task task; /* first */
    int *count;
    struct event_loop *again; /* posted once more; NULL: not */
};

static void count_event(void *context, uint32_t events)
{
    *(uint32_t *)context = events;
}

static void count_timer(void *context)
{
    ++*(int *)context;
}

static void count_task(struct task *task)
{
    struct counted *counted = (struct counted *)(void *)task;
    struct event_loop *again = counted->again;
    ++*counted->count;
    counted->again = NULL;
    if (again != NULL) {
        event_loop_post(again, task);
    }
}

static void test_descriptors(void **state)
{
    struct event_loop *loop = event_loop_new();
    int ends[2];
    uint32_t seen = 0;
    struct handler handler = {count_event, &seen};
    (void)state;
    assert_int_equal(pipe(ends), 0);
    assert_true(event_loop_add(loop, ends[0], EPOLLIN, &handler));
    event_loop_run_once(loop, 0);
    assert_int_equal(seen, 0);
    assert_int_equal(write(ends[1], "x", 1), 1);
    event_loop_run_once(loop, -1);
    assert_int_equal(seen, EPOLLIN);
    event_loop_remove(loop, ends[0]);
    seen = 0;
    event_loop_run_once(loop, 0);
    assert_int_equal(seen, 0);
    (void)close(ends[0]);
    (void)close(ends[1]);
    event_loop_free(loop);
}

static void test_timers(void **state)
{
    struct event_loop *loop = event_loop_new();
    struct timer soon;
    struct timer never;
    int fired = 0;
    int wrong = 0;
    (void)state;
    timer_init(&soon, count_timer, &fired);
    timer_init(&never, count_timer, &wrong);
    event_loop_set_timer(loop, &soon, 0.05);
    event_loop_set_timer(loop, &never, 0.05);
    event_loop_cancel_timer(loop, &never);
    double began = now_seconds();
    while (fired == 0) {
        event_loop_run_once(loop, -1);
    }
    assert_true(now_seconds() - began >= 0.05);
    assert_int_equal(fired, 1);
    assert_int_equal(wrong, 0);
    event_loop_free(loop);
}

static void *post_from_elsewhere(void *context)
{
    struct counted *counted = context;
    event_loop_post(counted->again, &counted->task);
    return NULL;
}

static void test_tasks(void **state)
{
    struct event_loop *loop = event_loop_new();
    pthread_t thread;
    int count = 0;
    struct counted counted = {{.run = count_task}, &count, loop};
    (void)state;
    assert_false(event_loop_run_tasks(loop));
    assert_int_equal(pthread_create(&thread, NULL, post_from_elsewhere, &counted), 0);
    while (count < 2) { /* the task posts itself once more */
        event_loop_run_once(loop, -1);
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    event_loop_post(loop, &counted.task);
    assert_true(event_loop_run_tasks(loop)); /* as after the thread's end */
    assert_int_equal(count, 3);
    assert_false(event_loop_run_tasks(loop));
    event_loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_descriptors),
                                       cmocka_unit_test(test_timers), cmocka_unit_test(test_tasks)};
    return cmocka_run_group_tests_name("event loop", tests, NULL, NULL);
}
