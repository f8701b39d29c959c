/* SPDX-License-Identifier: MIT */
#include "support/test.h"

#include <ctype.h>
#include <string.h>

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
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_version)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
