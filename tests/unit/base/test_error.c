/* SPDX-License-Identifier: MIT */
#include "base/error.h"
#include "support/test.h"

#include <string.h>

struct line_case {
    const char *name;
    struct espimage_error err;
    const char *line;
};

#define F "app.elf"

static const struct line_case line_rows[] = {
    {"all",
     {ESPIMAGE_ERR_ELF, F, "found", "this", "do that"},
     "app.elf: found; wanted this; do that"},
    {"found only", {ESPIMAGE_ERR_ELF, "", "found", "", ""}, "found"},
    {"no file", {ESPIMAGE_ERR_ELF, "", "found", "this", "do that"}, "found; wanted this; do that"},
    {"no wanted", {ESPIMAGE_ERR_ELF, F, "found", "", "do that"}, "app.elf: found; do that"},
    {"no advice", {ESPIMAGE_ERR_ELF, F, "found", "this", ""}, "app.elf: found; wanted this"},
    {"file and found", {ESPIMAGE_ERR_ELF, F, "found", "", ""}, "app.elf: found"},
    {"per cent signs", {ESPIMAGE_ERR_ELF, "%s", "%n", "%d", "%%"}, "%s: %n; wanted %d; %%"},
};

static void test_line(void **state)
{
    const struct line_case *row = *state;
    char line[ESPIMAGE_ERROR_LINE];
    assert_ptr_equal(espimage_error_line(&row->err, line, sizeof line), line);
    assert_string_equal(line, row->line);
    for (size_t size = 1; size <= strlen(row->line) + 1; size++) {
        char cut[64];
        memset(cut, '#', sizeof cut);
        espimage_error_line(&row->err, cut, size);
        assert_int_equal(strlen(cut), size - 1);
        assert_memory_equal(cut, row->line, size - 1);
        assert_int_equal(cut[size], '#');
    }
}

/* The longest texts there can be fit into a line. */
static void test_longest(void **state)
{
    (void)state;
    struct espimage_error err = {.code = ESPIMAGE_ERR_ELF};
    char line[ESPIMAGE_ERROR_LINE];
    memset(err.file, 'f', sizeof err.file - 1);
    memset(err.found, 'o', sizeof err.found - 1);
    memset(err.wanted, 'w', sizeof err.wanted - 1);
    memset(err.advice, 'a', sizeof err.advice - 1);
    espimage_error_line(&err, line, sizeof line);
    assert_int_equal(strlen(line), sizeof err.file + sizeof err.found + sizeof err.wanted +
                                       sizeof err.advice - 4 + strlen(": ; wanted ; "));
}

static void test_fill(void **state)
{
    (void)state;
    struct espimage_error err;
    memset(&err, 0x55, sizeof err);
    assert_int_equal(error_found(&err, ESPIMAGE_ERR_SIZE, "%d bytes", 7), ESPIMAGE_ERR_SIZE);
    assert_int_equal(err.code, ESPIMAGE_ERR_SIZE);
    assert_string_equal(err.found, "7 bytes");
    assert_string_equal(err.file, "");
    assert_string_equal(err.wanted, "");
    assert_string_equal(err.advice, "");
    assert_int_equal(error_wanted(&err, "at most %d", 5), ESPIMAGE_ERR_SIZE);
    assert_int_equal(error_advice(&err, "cut %d", 2), ESPIMAGE_ERR_SIZE);
    assert_string_equal(err.wanted, "at most 5");
    assert_string_equal(err.advice, "cut 2");
    assert_int_equal(error_in_file(&err, "a\nb"), ESPIMAGE_ERR_SIZE);
    assert_string_equal(err.file, "a?b");
    error_in_file(&err, "outer");
    assert_string_equal(err.file, "a?b");
    assert_int_equal(error_no_memory(&err), ESPIMAGE_ERR_MEMORY);
    assert_string_equal(err.found, "out of memory");
    assert_string_equal(err.file, "");
}

static void test_too_long(void **state)
{
    (void)state;
    struct espimage_error err;
    char text[2000];
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    error_found(&err, ESPIMAGE_ERR_ELF, "%s", text);
    error_wanted(&err, "%s", text);
    error_advice(&err, "%s", text);
    error_in_file(&err, text);
    assert_int_equal(strlen(err.found), sizeof err.found - 1);
    assert_int_equal(strlen(err.wanted), sizeof err.wanted - 1);
    assert_int_equal(strlen(err.advice), sizeof err.advice - 1);
    assert_int_equal(strlen(err.file), sizeof err.file - 1);
}

static void test_notes(void **state)
{
    (void)state;
    struct espimage_notes notes = ESPIMAGE_NOTES_INIT;
    note_add(NULL, "nobody %s", "listens");
    for (int i = 0; i < 20; i++) {
        note_add(&notes, "note %d", i);
    }
    assert_int_equal(notes.count, COUNT(notes.text));
    assert_string_equal(notes.text[0], "note 0");
    assert_string_equal(notes.text[7], "note 7");
}

/* The numbers are part of the ABI. */
static void test_codes(void **state)
{
    (void)state;
    static const enum espimage_code codes[] = {
        ESPIMAGE_OK,         ESPIMAGE_ERR_USAGE, ESPIMAGE_ERR_MEMORY,      ESPIMAGE_ERR_ELF,
        ESPIMAGE_ERR_LAYOUT, ESPIMAGE_ERR_SIZE,  ESPIMAGE_ERR_IMAGE,       ESPIMAGE_ERR_NO_INPUT,
        ESPIMAGE_ERR_CREATE, ESPIMAGE_ERR_IO,    ESPIMAGE_ERR_UNAVAILABLE, ESPIMAGE_ERR_TIMEOUT};
    for (size_t i = 0; i < COUNT(codes); i++) {
        assert_int_equal(codes[i], i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_longest),  cmocka_unit_test(test_fill),
        cmocka_unit_test(test_too_long), cmocka_unit_test(test_notes),
        cmocka_unit_test(test_codes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) + run_table("lines", line_rows, test_line);
}
