/* SPDX-License-Identifier: MIT */
#include "support/test.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#if ESPIMAGE_VERSION_NUMBER < 0x000100
#error "0.1.0 is the first version"
#endif

/* The numbers are for the preprocessor, the text for people; both name one version. */
static void test_numbers(void **state)
{
    (void)state;
    char text[32];
    (void)snprintf(text, sizeof text, "%d.%d.%d", ESPIMAGE_VERSION_NUMBER >> 16,
                   ESPIMAGE_VERSION_NUMBER >> 8 & 0xFF, ESPIMAGE_VERSION_NUMBER & 0xFF);
    assert_string_equal(text, ESPIMAGE_VERSION);
}

static void test_version(void **state)
{
    (void)state;
    const char *version = espimage_version();
    size_t dots = 0;
    assert_string_equal(version, ESPIMAGE_VERSION);
    for (const char *c = version; *c != '\0'; c++) {
        assert_true(*c == '.' || isdigit((unsigned char)*c));
        dots += *c == '.' ? 1 : 0;
    }
    assert_int_equal(dots, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_version),
                                       cmocka_unit_test(test_numbers)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
