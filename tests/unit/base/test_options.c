/* SPDX-License-Identifier: MIT */
#include "base/options.h"
#include "support/test.h"

#include <string.h>

/* Options as they are, as a later version may have them, and as an earlier one had them. */
struct own {
    size_t size;
    uint32_t first;
    uint32_t second;
    uint8_t reserved[8];
};

struct later {
    struct own own;
    uint64_t third;
};

struct earlier {
    size_t size;
    uint32_t first;
    uint32_t second;
};

static void test_same(void **state)
{
    (void)state;
    struct espimage_error err;
    struct own own = {0};
    const struct own given = {sizeof given, 1, 2, {0}};
    assert_ok(OPTIONS_COPY(&own, &given, &err), &err);
    assert_memory_equal(&own, &given, sizeof own);
}

static void test_earlier(void **state)
{
    (void)state;
    struct espimage_error err;
    struct own own = {0};
    const struct earlier given = {sizeof given, 1, 2};
    memset(&own, 0x55, sizeof own);
    assert_ok(OPTIONS_COPY(&own, &given, &err), &err);
    assert_int_equal(own.first, 1);
    assert_int_equal(own.second, 2);
    assert_int_equal(own.reserved[0], 0);
}

static void test_later(void **state)
{
    (void)state;
    struct espimage_error err;
    struct own own = {0};
    struct later given = {{sizeof given, 1, 2, {0}}, 0};
    assert_ok(OPTIONS_COPY(&own, &given, &err), &err);
    assert_int_equal(own.second, 2);
    given.third = 1;
    assert_code(ESPIMAGE_ERR_USAGE, OPTIONS_COPY(&own, &given, &err), &err);
    assert_mentions(err.found, "this version of the library lacks");
    given.third = 0;
    given.own.reserved[7] = 1;
    assert_code(ESPIMAGE_ERR_USAGE, OPTIONS_COPY(&own, &given, &err), &err);
}

static void test_not_initialised(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, sizeof(size_t) - 1, 4097, SIZE_MAX};
    struct espimage_error err;
    struct own own = {0};
    for (size_t i = 0; i < COUNT(sizes); i++) {
        const struct own given = {sizes[i], 1, 2, {0}};
        assert_code(ESPIMAGE_ERR_USAGE, OPTIONS_COPY(&own, &given, &err), &err);
        assert_mentions(err.wanted, "_INIT");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same),
        cmocka_unit_test(test_earlier),
        cmocka_unit_test(test_later),
        cmocka_unit_test(test_not_initialised),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
