/* SPDX-License-Identifier: MIT */
/* Lists of devices, what pages show, and state files: what is read of them. */
#include "push/journal.h"
#include "push/page.h"
#include "push/roster.h"
#include "support/folder.h"
#include "support/test.h"

#include <stdio.h>
#include <string.h>

static void write_text(const char *path, const char *text)
{
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void test_words(void **state)
{
    static const struct {
        const char *word;
        size_t count; /* 0: refused */
        const char *first;
        const char *last;
    } rows[] = {
        {"192.168.4.7", 1, "192.168.4.7", "192.168.4.7"},
        {"192.168.4.0/29", 6, "192.168.4.1", "192.168.4.6"},
        {"192.168.4.8/31", 2, "192.168.4.8", "192.168.4.9"},
        {"192.168.4.8/32", 1, "192.168.4.8", "192.168.4.8"},
        {"10.1.0.0/20", 4094, "10.1.0.1", "10.1.15.254"},
        {"10.0.0.0/8", 0, NULL, NULL},
        {"192.168.4.1/24", 0, NULL, NULL},
        {"fd00::/120", 0, NULL, NULL},
        {"", 0, NULL, NULL},
        {"--oops", 0, NULL, NULL},
        {"a b", 0, NULL, NULL},
        {"$(reboot)", 0, NULL, NULL},
        {"@/nowhere/at/all", 0, NULL, NULL},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct roster r = {0};
        struct espimage_error err;
        bool good = roster_add(&r, rows[i].word, &err) == ESPIMAGE_OK;
        if (good != (rows[i].count > 0) || r.count != rows[i].count) {
            fail_msg("'%s': %zu devices", rows[i].word, r.count);
        }
        if (good) {
            assert_string_equal(r.devices[0].address, rows[i].first);
            assert_string_equal(r.devices[r.count - 1].address, rows[i].last);
        }
        roster_free(&r);
    }
}

static void test_lists(void **state)
{
    const char *path = "list";
    char word[512];
    struct roster r = {0};
    struct espimage_error err;
    (void)state;
    write_text(path, "# the workshop\n\n192.168.4.7 \t bench 3, left \r\n192.168.4.8\n"
                     "192.168.4.7 again\n 192.168.5.0/30 shelf # two\n");
    (void)snprintf(word, sizeof word, "@%s", path);
    assert_int_equal(roster_add(&r, word, &err), ESPIMAGE_OK);
    assert_int_equal(r.count, 4);
    assert_string_equal(r.devices[0].label, "bench 3, left");
    assert_string_equal(r.devices[1].label, "");
    assert_string_equal(r.devices[3].address, "192.168.5.2");
    assert_string_equal(r.devices[3].label, "shelf");
    write_text(path, "192.168.4.7\n192.168.4.300/24\n");
    assert_int_not_equal(roster_add(&r, word, &err), ESPIMAGE_OK);
    assert_non_null(strstr(err.file, "list:2"));
    roster_free(&r);
}

static void test_pages(void **state)
{
    static const struct {
        const char *pattern;
        const char *text;
        enum push_shown shown;
        const char *build;
    } rows[] = {
        {NULL, "<h1>Build 7</h1>", PUSH_SHOWS_NEW, "7"},
        {NULL, "<title>build 7, user1</title>", PUSH_SHOWS_NEW, "7"},
        {NULL, "espimagetool-build=7", PUSH_SHOWS_NEW, "7"},
        {NULL, "build 70", PUSH_SHOWS_OTHER, "70"},
        {NULL, "build 17", PUSH_SHOWS_OTHER, "17"},
        {NULL, "rebuild 7", PUSH_SHOWS_UNKNOWN, ""},
        {NULL, "", PUSH_SHOWS_UNKNOWN, ""},
        {NULL, "build 99999999999999", PUSH_SHOWS_OTHER, "9999999999"},
        {"version 2\\.{build}", "version 2.7", PUSH_SHOWS_NEW, ""},
        {"version 2\\.{build}", "version 2.6, build 6", PUSH_SHOWS_OTHER, "6"},
        {"^v2$", "V2", PUSH_SHOWS_NEW, ""},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct page_expectation e;
        struct espimage_error err;
        char build[BUILD_DIGITS + 1];
        assert_int_equal(page_expectation_init(&e, rows[i].pattern, "7", &err), ESPIMAGE_OK);
        enum push_shown shown = page_shows(&e, rows[i].text, build);
        if (shown != rows[i].shown || strcmp(build, rows[i].build) != 0) {
            fail_msg("'%s': %d, build '%s'", rows[i].text, (int)shown, build);
        }
        page_expectation_free(&e);
    }
    struct page_expectation e;
    struct espimage_error err;
    assert_int_equal(page_expectation_init(&e, "(", "7", &err), ESPIMAGE_ERR_USAGE);
}

/* ---- state files ---- */

struct seen {
    size_t count;
    enum push_state last;
    char address[64];
};

static void see(void *context, const struct journal_record *record)
{
    struct seen *seen = context;
    seen->count++;
    seen->last = record->state;
    (void)snprintf(seen->address, sizeof seen->address, "%s", record->address);
}

static void add_record(const char *path, const char *images, const char *address,
                       enum push_state result)
{
    struct journal j;
    struct espimage_error err;
    const struct journal_record record = {address, "", result, "", "1", "2", 1.5};
    assert_int_equal(journal_open(&j, path, images, &err), ESPIMAGE_OK);
    assert_int_equal(journal_add(&j, &record, &err), ESPIMAGE_OK);
    journal_close(&j);
}

static struct seen read_records(const char *path, const char *images)
{
    struct seen seen = {0};
    struct espimage_error err;
    assert_int_equal(journal_read(path, images, see, &seen, &err), ESPIMAGE_OK);
    return seen;
}

static void test_state_files(void **state)
{
    const char *path = "state";
    (void)state;
    assert_int_equal(read_records(path, "a").count, 0);
    add_record(path, "a", "10.0.0.1", PUSH_SWITCHED);
    add_record(path, "b", "10.0.0.2", PUSH_TIMED_OUT);
    struct seen seen = read_records(path, "a");
    assert_int_equal(seen.count, 1);
    assert_int_equal(seen.last, PUSH_SWITCHED);
    assert_string_equal(seen.address, "10.0.0.1");
    assert_string_equal(read_records(path, "b").address, "10.0.0.2");
    assert_int_equal(read_records(path, "c").count, 0);
}

/* Wherever a run was killed, what it had written before counts, and the next one goes on. */
static void test_a_state_file_that_was_cut_off(void **state)
{
    const char *path = "cut";
    (void)state;
    add_record(path, "a", "10.0.0.1", PUSH_SWITCHED);
    FILE *f = fopen(path, "re");
    char text[1024];
    assert_non_null(f);
    size_t size = fread(text, 1, sizeof text, f);
    assert_int_equal(fclose(f), 0);
    for (size_t cut = 0; cut <= size; cut++) {
        f = fopen(path, "we");
        assert_non_null(f);
        assert_int_equal(fwrite(text, 1, cut, f), cut);
        assert_int_equal(fclose(f), 0);
        assert_int_equal(read_records(path, "a").count, cut == size);
        add_record(path, "a", "10.0.0.3", PUSH_ALREADY);
        struct seen seen = read_records(path, "a");
        /* A last line that lacks only its end is one now: it was complete. */
        assert_int_equal(seen.count, cut >= size - 1 ? 2 : 1);
        assert_string_equal(seen.address, "10.0.0.3");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words),
        IN_FOLDER(test_lists),
        cmocka_unit_test(test_pages),
        IN_FOLDER(test_state_files),
        IN_FOLDER(test_a_state_file_that_was_cut_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
