/* SPDX-License-Identifier: MIT */
#include "support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void check(bool holds, const char *file, int line)
{
    if (!holds) {
        _fail(file, line);
    }
}

void check_code(enum espimage_code wanted, enum espimage_code code,
                const struct espimage_error *err, const char *file, int line)
{
    if (code != wanted) {
        char text[ESPIMAGE_ERROR_LINE] = "";
        if (code != ESPIMAGE_OK) {
            espimage_error_line(err, text, sizeof text);
        }
        print_error("code %d, not %d: %s\n", (int)code, (int)wanted, text);
    }
    check(code == wanted, file, line);
    if (code != ESPIMAGE_OK && err->code != code) {
        print_error("returned %d, but the error says %d\n", (int)code, (int)err->code);
    }
    check(code == ESPIMAGE_OK || err->code == code, file, line);
    if (code != ESPIMAGE_OK) {
        check_advice(err->advice, file, line);
    }
}

void check_advice(const char *advice, const char *file, int line)
{
    check_mentions(advice, "espimagetool", false, file, line);
    check_mentions(advice, "--", false, file, line);
}

void check_mentions(const char *text, const char *word, bool wanted, const char *file, int line)
{
    bool there = strstr(text, word) != NULL;
    if (there != wanted) {
        print_error("\"%s\" %s \"%s\"\n", text, there ? "mentions" : "does not mention", word);
    }
    check(there == wanted, file, line);
}

static void check_part(const char *text, const char *wanted, const char *file, int line)
{
    if (wanted == NULL) {
        return;
    }
    if (wanted[0] == '\0' && text[0] != '\0') {
        print_error("\"%s\" where nothing belongs\n", text);
        check(false, file, line);
    }
    check_mentions(text, wanted, true, file, line);
}

void check_tells(const struct espimage_error *err, const struct telling *telling, const char *file,
                 int line)
{
    check_part(err->found, telling->found, file, line);
    check_part(err->wanted, telling->wanted, file, line);
    check_part(err->advice, telling->advice, file, line);
}

int run_rows(const char *group, const void *rows, size_t row_size, size_t count,
             CMUnitTestFunction test)
{
    struct CMUnitTest *tests = calloc(count, sizeof *tests);
    if (tests == NULL) {
        abort();
    }
    for (size_t i = 0; i < count; i++) {
        const char *row = (const char *)rows + i * row_size;
        memcpy(&tests[i].name, row, sizeof tests[i].name);
        tests[i].test_func = test;
        tests[i].initial_state = (void *)(uintptr_t)row;
    }
    int failures = _cmocka_run_group_tests(group, tests, count, NULL, NULL);
    free(tests);
    return failures;
}
