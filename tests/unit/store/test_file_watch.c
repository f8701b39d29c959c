/* SPDX-License-Identifier: MIT */
/* The clock is the test's own; the files are real. */
#include "store/file_watch.h"

#include "base/file_write.h"
#include "support/folder.h"
#include "support/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void put_in_place(const char *text)
{
    int fd = open("f", O_WRONLY | O_CREAT | O_TRUNC, 0666);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_int_equal(close(fd), 0);
}

static void put_by_rename(const char *text)
{
    struct espimage_error err;
    assert_ok(file_write("f", (const uint8_t *)text, strlen(text), &err), &err);
}

/* Polls and reads; true when it was read. */
static bool reads(struct file_watch *w, double now, bool *incomplete)
{
    struct espimage_error err;
    struct file_bytes bytes;
    file_watch_poll(w, now);
    bool ok = file_watch_read(w, 100, now, &bytes, incomplete, &err) == ESPIMAGE_OK;
    if (ok) {
        file_bytes_free(&bytes);
    }
    return ok;
}

static void test_quiet_counts_from_the_first_poll(void **state)
{
    (void)state;
    struct file_watch w = {.path = "f"};
    bool incomplete = false;
    put_in_place("one");
    assert_false(reads(&w, 100, &incomplete));
    assert_true(incomplete);
    assert_false(reads(&w, 100.009, &incomplete));
    assert_true(reads(&w, 100.011, &incomplete));
    assert_false(incomplete);
    put_by_rename("other");
    assert_false(reads(&w, 200, &incomplete));
    assert_true(incomplete);
    assert_true(reads(&w, 200.011, &incomplete));
}

/* As on a file system without leases. */
static void test_in_place_without_leases(void **state)
{
    (void)state;
    struct file_watch w = {.path = "f"};
    bool incomplete = false;
    put_in_place("one");
    (void)reads(&w, 100, &incomplete);
    assert_true(reads(&w, 102, &incomplete));
    w.lease = FILE_LEASE_NONE;
    put_in_place("changed");
    assert_false(reads(&w, 200, &incomplete));
    w.lease = FILE_LEASE_NONE;
    assert_false(reads(&w, 201.4, &incomplete));
    assert_true(incomplete);
    assert_true(reads(&w, 201.6, &incomplete));
}

static void test_another_inode_needs_little_quiet(void **state)
{
    (void)state;
    struct file_watch w = {.path = "f"};
    bool incomplete = false;
    put_in_place("one");
    (void)reads(&w, 100, &incomplete);
    assert_true(reads(&w, 102, &incomplete));
    w.lease = FILE_LEASE_NONE;
    put_by_rename("another");
    assert_false(reads(&w, 200, &incomplete));
    assert_true(w.replaced);
    assert_true(reads(&w, 200.011, &incomplete));
    /* Read again in the same state, it is as complete as before. */
    w.lease = FILE_LEASE_NONE;
    assert_true(reads(&w, 200.020, &incomplete));
    /* From now on it is one that is overwritten in place. */
    put_in_place("more");
    w.lease = FILE_LEASE_NONE;
    assert_false(reads(&w, 300, &incomplete));
    assert_false(w.replaced);
    assert_false(reads(&w, 300.1, &incomplete));
}

/* A new file grows as long as it has not been read. */
static void test_new_file_that_grows_stays_new(void **state)
{
    (void)state;
    struct file_watch w = {.path = "f"};
    bool incomplete = false;
    file_watch_poll(&w, 100);
    assert_int_equal(w.presence, FILE_MISSING);
    put_in_place("o");
    file_watch_poll(&w, 101);
    put_in_place("one and more");
    file_watch_poll(&w, 102);
    assert_true(w.replaced);
    w.lease = FILE_LEASE_NONE;
    assert_true(reads(&w, 102.011, &incomplete));
}

static void test_missing(void **state)
{
    (void)state;
    struct file_watch w = {.path = "f"};
    bool incomplete = true;
    assert_false(reads(&w, 100, &incomplete));
    assert_false(incomplete);
    assert_false(reads(&w, 103, &incomplete));
    assert_int_equal(file_watch_age(&w, 103), 3);
}

/* Only where the file system has leases; the unit tests' folder mostly does. */
static void test_open_for_writing(void **state)
{
    (void)state;
    struct file_watch w = {.path = "f"};
    bool incomplete = false;
    put_in_place("one");
    (void)reads(&w, 100, &incomplete);
    assert_true(reads(&w, 101, &incomplete));
    if (w.lease != FILE_LEASE_GRANTED) {
        skip();
    }
    int fd = open("f", O_WRONLY);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "two", 3), 3);
    file_watch_poll(&w, 200);
    for (double now = 200.02; now < 230; now += 5) {
        assert_false(reads(&w, now, &incomplete));
        assert_true(incomplete);
        assert_int_equal(w.lease, FILE_LEASE_BUSY);
    }
    /* A descriptor that was forgotten does not block for ever. */
    assert_true(reads(&w, 231, &incomplete));
    assert_int_equal(close(fd), 0);
}

static void test_settled(void **state)
{
    (void)state;
    struct file_watch w = {.path = "f", .since = 100};
    w.status.st_ctim.tv_nsec = 1;
    assert_false(file_watch_is_settled(&w, 100.05));
    assert_true(file_watch_is_settled(&w, 100.11));
    w.status.st_ctim.tv_nsec = 0;
    assert_false(file_watch_is_settled(&w, 101.9));
    assert_true(file_watch_is_settled(&w, 102));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(test_quiet_counts_from_the_first_poll),
        IN_FOLDER(test_in_place_without_leases),
        IN_FOLDER(test_another_inode_needs_little_quiet),
        IN_FOLDER(test_new_file_that_grows_stays_new),
        IN_FOLDER(test_missing),
        IN_FOLDER(test_open_for_writing),
        cmocka_unit_test(test_settled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
