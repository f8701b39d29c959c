/* SPDX-License-Identifier: MIT */
/* store.c over a file that changes, and promises.c with the snapshots of it. */
#include "base/clock.h"
#include "base/file.h"
#include "base/file_write.h"
#include "store/promises.h"
#include "support/elf_builder.h"
#include "support/firmware_builder.h"
#include "support/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static char folder[64];
static char path[96];
static struct store *store;

/* The entry point is in both headers, so every entry makes another image. */
static void write_elf(uint32_t entry)
{
    struct espimage_error err;
    struct elf_spec spec = elf_sdk;
    spec.entry = entry;
    struct elf_file elf = elf_build(&spec);
    assert_ok(file_write(path, elf.data, elf.size, &err), &err);
    elf_free(&elf);
}

static void wait_seconds(double seconds)
{
    const struct timespec pause = {(time_t)seconds,
                                   (long)((seconds - (double)(time_t)seconds) * 1e9)};
    (void)nanosleep(&pause, NULL);
}

static enum espimage_code try_get(const struct snapshot **snapshot, bool *unsettled,
                                  struct espimage_error *err)
{
    struct espimage_notes notes = ESPIMAGE_NOTES_INIT;
    return store_get(store, 1, snapshot, unsettled, &notes, err);
}

/* Tries as the server does, for at most `seconds`. */
static enum espimage_code get_within(double seconds, const struct snapshot **snapshot,
                                     bool *unsettled, struct espimage_error *err)
{
    double end = now_seconds() + seconds;
    enum espimage_code code = ESPIMAGE_OK;
    while ((code = try_get(snapshot, unsettled, err)) != ESPIMAGE_OK && *unsettled &&
           now_seconds() < end) {
        wait_seconds(0.003);
    }
    return code;
}

static const struct snapshot *get(void)
{
    const struct snapshot *snapshot = NULL;
    struct espimage_error err;
    bool unsettled = false;
    assert_ok(get_within(2.5, &snapshot, &unsettled, &err), &err);
    assert_false(unsettled);
    return snapshot;
}

static int set_up(void **state)
{
    const struct store_options options = {options_usual(), 0};
    const char *const paths[] = {path};
    (void)state;
    (void)snprintf(folder, sizeof folder, "%s/espimage-store-XXXXXX",
                   getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/tmp");
    if (mkdtemp(folder) == NULL) {
        return -1;
    }
    (void)snprintf(path, sizeof path, "%s/app.elf", folder);
    write_elf(0x40100004);
    store = store_new(&options, paths, 1);
    return store == NULL;
}

static int tear_down(void **state)
{
    (void)state;
    store_free(store);
    (void)unlink(path);
    return rmdir(folder);
}

static void test_unchanged_file_is_one_snapshot(void **state)
{
    (void)state;
    const struct snapshot *first = get();
    const struct snapshot *second = get();
    assert_ptr_equal(first, second);
    assert_int_equal(first->build, 1);
    assert_int_equal(strlen(first->sha256), 64);
    assert_null(store_path(store, 2));
    snapshot_release(first);
    snapshot_release(second);
}

static void test_changed_file_is_a_new_build(void **state)
{
    (void)state;
    const struct snapshot *first = get();
    write_elf(0x40100008);
    const struct snapshot *second = get();
    assert_ptr_not_equal(first, second);
    assert_int_equal(second->build, 2);
    assert_string_not_equal(first->sha256, second->sha256);
    assert_int_equal(first->image.data[4], 0x04); /* the old one is as it was */
    assert_int_equal(second->image.data[4], 0x08);
    snapshot_release(first);
    snapshot_release(second);
}

static void test_same_content_is_no_new_build(void **state)
{
    (void)state;
    const struct snapshot *first = get();
    write_elf(0x40100004);
    const struct snapshot *second = get();
    assert_ptr_equal(first, second);
    snapshot_release(first);
    snapshot_release(second);
}

static void test_snapshot_outlives_the_store(void **state)
{
    const struct snapshot *snapshot = get();
    store_free(store);
    store = NULL;
    assert_int_equal(snapshot->image.data[0], 0xEA);
    snapshot_release(snapshot);
    (void)state;
}

static void test_file_just_written_is_unsettled(void **state)
{
    const struct snapshot *snapshot = NULL;
    struct espimage_error err;
    bool unsettled = false;
    enum espimage_code code = ESPIMAGE_OK;
    (void)state;
    /* On a busy machine the file may have become old enough before it is read. */
    for (int i = 0; i < 100 && code == ESPIMAGE_OK; i++) {
        snapshot_release(snapshot);
        snapshot = NULL;
        write_elf(0x4010000C);
        code = try_get(&snapshot, &unsettled, &err);
    }
    assert_code(ESPIMAGE_ERR_IO, code, &err);
    assert_true(unsettled);
    assert_null(snapshot);
    assert_mentions(err.found, "being written");
    assert_string_equal(err.file, path);
    assert_null(store_peek(store, 1));
    snapshot_release(get());
}

/* While a second write might leave no trace in the file's times, each request has it converted. */
static void test_file_is_trusted_soon(void **state)
{
    (void)state;
    snapshot_release(get());
    assert_null(store_peek(store, 1));
    wait_seconds(0.2);
    snapshot_release(get());
    const struct snapshot *snapshot = store_peek(store, 1);
    assert_non_null(snapshot);
    snapshot_release(snapshot);
    write_elf(0x40100010);
    assert_null(store_peek(store, 1));
}

static void test_broken_and_missing_files(void **state)
{
    const struct snapshot *snapshot = NULL;
    struct espimage_error err;
    bool unsettled = false;
    (void)state;
    snapshot_release(get());
    assert_int_equal(truncate(path, 100), 0);
    assert_code(ESPIMAGE_ERR_IO, try_get(&snapshot, &unsettled, &err), &err);
    wait_seconds(0.015);
    assert_code(ESPIMAGE_ERR_ELF, try_get(&snapshot, &unsettled, &err), &err);
    assert_true(unsettled); /* so short after the change it may still be being written */
    assert_int_equal(unlink(path), 0);
    assert_code(ESPIMAGE_ERR_NO_INPUT, try_get(&snapshot, &unsettled, &err), &err);
    assert_true(unsettled);
    assert_null(store_peek(store, 1));
    write_elf(0x40100004);
    snapshot_release(get());
}

static void test_old_broken_file_is_no_file_in_the_making(void **state)
{
    const struct snapshot *snapshot = NULL;
    struct espimage_error err;
    bool unsettled = true;
    (void)state;
    assert_int_equal(truncate(path, 100), 0);
    assert_code(ESPIMAGE_ERR_ELF, get_within(1.5, &snapshot, &unsettled, &err), &err);
    assert_false(unsettled);
}

/* Requests wait for a build that removes its output first, but not each time for a file that stays
 * away. */
static void test_missing_file_is_waited_for_once(void **state)
{
    const struct snapshot *snapshot = NULL;
    struct espimage_error err;
    bool unsettled = true;
    (void)state;
    assert_int_equal(unlink(path), 0);
    double begun = now_seconds();
    assert_code(ESPIMAGE_ERR_NO_INPUT, get_within(4, &snapshot, &unsettled, &err), &err);
    assert_true(now_seconds() - begun > 2.9);
    assert_false(unsettled);
    assert_code(ESPIMAGE_ERR_NO_INPUT, try_get(&snapshot, &unsettled, &err), &err);
    assert_false(unsettled);
    write_elf(0x40100004);
    snapshot_release(get());
}

/* A program that has only opened it has changed nothing; nor does it matter that it cannot be read
 * again while it is unchanged. */
static void test_image_outlives_a_file_that_is_busy(void **state)
{
    (void)state;
    const struct snapshot *first = get();
    int fd = open(path, O_WRONLY);
    assert_true(fd >= 0);
    const struct snapshot *second = get();
    assert_ptr_equal(first, second);
    assert_int_equal(write(fd, "\x7F", 1), 1);
    const struct snapshot *third = NULL;
    struct espimage_error err;
    bool unsettled = false;
    assert_code(ESPIMAGE_ERR_IO, try_get(&third, &unsettled, &err), &err);
    assert_int_equal(close(fd), 0);
    snapshot_release(first);
    snapshot_release(second);
}

/* As scp does: the old file, part by part the new one. Every state of it parses. */
static void test_file_overwritten_in_place_is_not_torn(void **state)
{
    struct espimage_error err;
    struct file_bytes old = {0};
    (void)state;
    snapshot_release(get());
    assert_ok(file_read(path, 1 << 20, &old, &err), &err);
    write_elf(0x40100020);
    const struct snapshot *whole = get();
    int fd = open(path, O_WRONLY);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, old.data, 64), 64);
    for (int i = 0; i < 40; i++) {
        const struct snapshot *snapshot = NULL;
        bool unsettled = false;
        assert_code(ESPIMAGE_ERR_IO, try_get(&snapshot, &unsettled, &err), &err);
        assert_true(unsettled);
        wait_seconds(0.005);
    }
    assert_int_equal(write(fd, old.data + 64, old.size - 64), old.size - 64);
    assert_int_equal(close(fd), 0);
    const struct snapshot *again = get();
    assert_int_equal(again->image.data[4], 0x04);
    snapshot_release(whole);
    snapshot_release(again);
    file_bytes_free(&old);
}

static void test_promises(void **state)
{
    struct promises *p = promises_new(10, 3);
    (void)state;
    const struct snapshot *old = get();
    write_elf(0x40100010);
    const struct snapshot *new = get();

    struct promise_state kept = {0};
    uint64_t first = promises_make(p, "192.0.2.1", 1, old, true, 100);
    (void)promises_make(p, "192.0.2.1", 2, new, true, 100);
    uint64_t replaced = promises_make(p, "192.0.2.2", 1, new, true, 100);
    assert_int_equal(promises_count(p), 3);

    const struct snapshot *found = promises_find(p, "192.0.2.1", 1, 109.9, &kept);
    assert_ptr_equal(found, old);
    assert_int_equal(kept.number, first);
    assert_true(kept.announced);
    assert_false(kept.used);
    snapshot_release(promises_find(p, "192.0.2.1", 1, 109.9, &kept));
    assert_true(kept.used);
    snapshot_release(found);
    assert_null(promises_find(p, "192.0.2.3", 1, 101, &kept));
    assert_null(promises_find(p, "192.0.2.1", 1, 110, &kept)); /* expired, and forgotten */
    assert_int_equal(promises_count(p), 2);

    (void)promises_make(p, "192.0.2.2", 1, old, true, 101); /* a new HEAD, a new promise */
    promises_drop(p, "192.0.2.2", 1, replaced);             /* the end of an older GET */
    found = promises_find(p, "192.0.2.2", 1, 102, &kept);
    assert_ptr_equal(found, old);
    snapshot_release(found);
    promises_drop(p, "192.0.2.2", 1, kept.number);
    assert_null(promises_find(p, "192.0.2.2", 1, 102, &kept));
    promises_drop(p, "192.0.2.2", 1, kept.number);

    snapshot_release(old);
    snapshot_release(new);
    promises_free(p);
    promises_free(NULL);
}

/* A GET without HEAD is a promise once it has broken off. */
static void test_promise_of_a_get(void **state)
{
    struct promises *p = promises_new(10, 3);
    struct promise_state kept = {0};
    (void)state;
    const struct snapshot *snapshot = get();
    uint64_t number = promises_make(p, "192.0.2.1", 1, snapshot, false, 100);
    snapshot_release(promises_find(p, "192.0.2.1", 1, 101, &kept));
    assert_true(kept.used);
    assert_false(kept.announced);
    write_elf(0x40100010);
    const struct snapshot *later = get();
    promises_announce(p, "192.0.2.1", 1, snapshot, 102);
    promises_announce(p, "192.0.2.1", 1, later, 103);
    const struct snapshot *found = promises_find(p, "192.0.2.1", 1, 104, &kept);
    assert_ptr_equal(found, snapshot);
    assert_true(kept.announced);
    assert_int_not_equal(kept.number, number);
    snapshot_release(found);
    snapshot_release(later);
    snapshot_release(snapshot);
    promises_free(p);
}

static void test_promises_are_bounded(void **state)
{
    struct promises *p = promises_new(10, 100);
    (void)state;
    const struct snapshot *snapshot = get();
    for (int i = 0; i < 1000; i++) {
        char client[24];
        (void)snprintf(client, sizeof client, "10.0.%d.%d", i / 250, i % 250);
        (void)promises_make(p, client, 1, snapshot, true, 100 + i * 0.001);
    }
    assert_int_equal(promises_count(p), 100);
    struct promise_state kept = {0};
    assert_null(promises_find(p, "10.0.0.0", 1, 101, &kept));
    const struct snapshot *last = promises_find(p, "10.0.3.249", 1, 101, &kept);
    assert_ptr_equal(last, snapshot);
    snapshot_release(last);
    (void)promises_make(p, "10.1.0.0", 1, snapshot, true, 200); /* all others have expired */
    assert_int_equal(promises_count(p), 1);
    snapshot_release(snapshot);
    promises_free(p);
}

int main(void)
{
#define EACH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        EACH(test_unchanged_file_is_one_snapshot),
        EACH(test_changed_file_is_a_new_build),
        EACH(test_same_content_is_no_new_build),
        EACH(test_snapshot_outlives_the_store),
        EACH(test_file_just_written_is_unsettled),
        EACH(test_file_is_trusted_soon),
        EACH(test_broken_and_missing_files),
        EACH(test_old_broken_file_is_no_file_in_the_making),
        EACH(test_missing_file_is_waited_for_once),
        EACH(test_image_outlives_a_file_that_is_busy),
        EACH(test_file_overwritten_in_place_is_not_torn),
        EACH(test_promises),
        EACH(test_promise_of_a_get),
        EACH(test_promises_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
