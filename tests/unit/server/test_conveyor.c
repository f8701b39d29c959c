/* SPDX-License-Identifier: MIT */
/* A file in memory through a pipe into a socket that takes as much as it likes. */
#include "server/conveyor.h"

#include "base/file.h"
#include "support/test.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SIZE 700001

struct fixture {
    uint8_t *bytes;
    struct memory_file file;
    struct conveyor conveyor;
    int null;
    int ends[2];
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct espimage_error err;
    assert_non_null(f);
    f->bytes = malloc(SIZE);
    assert_non_null(f->bytes);
    srand(1);
    for (size_t i = 0; i < SIZE; i++) {
        f->bytes[i] = (uint8_t)rand();
    }
    assert_int_equal(memory_file_make(f->bytes, SIZE, &f->file, &err), ESPIMAGE_OK);
    f->null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    conveyor_open(&f->conveyor, f->null);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, f->ends),
                     0);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    conveyor_close(&f->conveyor);
    conveyor_close(&f->conveyor);
    if (f->file.data != NULL) {
        memory_file_free(&f->file);
    }
    (void)close(f->null);
    (void)close(f->ends[0]);
    (void)close(f->ends[1]);
    free(f->bytes);
    free(f);
    return 0;
}

/* Reads all that is there; where it stands in the bytes is checked. */
static size_t read_on(const struct fixture *f, size_t at)
{
    static uint8_t got[SIZE];
    ssize_t count = 0;
    while ((count = read(f->ends[1], got, sizeof got)) > 0) {
        assert_true((size_t)count <= SIZE - at);
        assert_memory_equal(got, f->bytes + at, (size_t)count);
        at += (size_t)count;
    }
    return at;
}

/* What the socket did not take is not sent later, in front of something else. */
static void test_whole_file(void **state)
{
    struct fixture *f = *state;
    size_t sent = 0;
    size_t read = 0;
    unsigned full = 0;
    while (sent < SIZE) {
        ssize_t took = conveyor_send(&f->conveyor, f->ends[0], f->file.data + sent, SIZE - sent);
        if (took < 0) {
            assert_int_equal(errno, EAGAIN);
            full++;
            read = read_on(f, read);
            assert_int_equal(read, sent);
        } else {
            sent += (size_t)took;
        }
    }
    assert_true(full > 0);
    assert_int_equal(read_on(f, read), SIZE);
}

static void test_any_part(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 500; i++) {
        size_t at = (size_t)rand() % SIZE;
        size_t size = 1 + (size_t)rand() % 9000;
        size = size < SIZE - at ? size : SIZE - at;
        assert_int_equal(conveyor_send(&f->conveyor, f->ends[0], f->file.data + at, size), size);
        assert_int_equal(read_on(f, at), at + size);
    }
}

/* A build that has been replaced goes away while its bytes are on their way. */
static void test_file_ends_before_it_is_read(void **state)
{
    struct fixture *f = *state;
    ssize_t took = conveyor_send(&f->conveyor, f->ends[0], f->file.data, SIZE);
    assert_true(took > 0);
    memory_file_free(&f->file);
    f->file.data = NULL;
    assert_int_equal(read_on(f, 0), took);
}

static void test_client_is_gone(void **state)
{
    struct fixture *f = *state;
    (void)signal(SIGPIPE, SIG_IGN);
    (void)close(f->ends[1]);
    assert_int_equal(conveyor_send(&f->conveyor, f->ends[0], f->file.data, SIZE), -1);
    assert_int_equal(errno, EPIPE);
    /* And serves the next. */
    (void)close(f->ends[0]);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, f->ends),
                     0);
    assert_int_equal(conveyor_send(&f->conveyor, f->ends[0], f->file.data, 100), 100);
    assert_int_equal(read_on(f, 0), 100);
}

static void test_without_a_conveyor(void **state)
{
    struct fixture *f = *state;
    struct conveyor none;
    conveyor_open(&none, -1);
    assert_int_equal(conveyor_send(&none, f->ends[0], f->file.data, SIZE), -1);
    assert_int_equal(errno, ENOSYS);
    conveyor_close(&none);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_whole_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_any_part, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_file_ends_before_it_is_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_client_is_gone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_without_a_conveyor, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("conveyor", tests, NULL, NULL);
}
