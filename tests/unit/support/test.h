/* SPDX-License-Identifier: MIT */
/* What every unit test includes: cmocka, the library, and asserts that say more. */
#ifndef SUPPORT_TEST_H
#define SUPPORT_TEST_H

#include <espimage/espimage.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* The code is `wanted`; if not, the error is shown. */
#define assert_code(wanted, code, err) check_code(wanted, code, err, __FILE__, __LINE__)
#define assert_ok(code, err)           assert_code(ESPIMAGE_OK, code, err)

/* `word` occurs in `text`. */
/* Advice of the library names no option and no command of the program. */
#define assert_advice(text)         check_advice(text, __FILE__, __LINE__)
#define assert_mentions(text, word) check_mentions(text, word, true, __FILE__, __LINE__)
#define assert_silent(text, word)   check_mentions(text, word, false, __FILE__, __LINE__)

/* Each text names its part; "" demands that there is none, NULL looks at nothing. */
struct telling {
    const char *found;
    const char *wanted;
    const char *advice;
};
#define assert_tells(err, telling) check_tells(err, telling, __FILE__, __LINE__)

void check_code(enum espimage_code wanted, enum espimage_code code,
                const struct espimage_error *err, const char *file, int line);
void check_advice(const char *advice, const char *file, int line);
void check_mentions(const char *text, const char *word, bool wanted, const char *file, int line);
void check_tells(const struct espimage_error *err, const struct telling *telling, const char *file,
                 int line);

/* Runs `test` once for each row of a table, with the row as its state. The first member of a row
 * is its name, a const char *. Returns the number of failures. */
#define run_table(group, rows, test) run_rows(group, rows, sizeof((rows)[0]), COUNT(rows), test)
int run_rows(const char *group, const void *rows, size_t row_size, size_t count,
             CMUnitTestFunction test);

#endif
