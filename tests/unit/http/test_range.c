/* SPDX-License-Identifier: MIT */
#include "http/range.h"

#include "support/test.h"

#define SIZE 1000U

static const struct {
    const char *header;
    enum range_result result;
    size_t first;
    size_t count;
} cases[] = {
    {NULL, RANGE_NONE, 0, 0},
    {"", RANGE_NONE, 0, 0},
    {"bytes=0-0", RANGE_ONE, 0, 1},
    {"bytes=0-999", RANGE_ONE, 0, 1000},
    {"bytes=10-19", RANGE_ONE, 10, 10},
    {"BYTES=10-19", RANGE_ONE, 10, 10},
    {"bytes=999-", RANGE_ONE, 999, 1},
    {"bytes=0-", RANGE_ONE, 0, 1000},
    {"bytes=500-5000", RANGE_ONE, 500, 500},
    {"bytes=-1", RANGE_ONE, 999, 1},
    {"bytes=-4", RANGE_ONE, 996, 4},
    {"bytes=-5000", RANGE_ONE, 0, 1000},
    {"bytes=1000-", RANGE_UNSATISFIABLE, 0, 0},
    {"bytes=1000-1001", RANGE_UNSATISFIABLE, 0, 0},
    {"bytes=-0", RANGE_UNSATISFIABLE, 0, 0},
    {"bytes=5-4", RANGE_NONE, 0, 0},
    {"bytes=1-2,4-5", RANGE_NONE, 0, 0},
    {"bytes=-", RANGE_NONE, 0, 0},
    {"bytes=a-b", RANGE_NONE, 0, 0},
    {"bytes=1-2x", RANGE_NONE, 0, 0},
    {"bytes=+1-2", RANGE_NONE, 0, 0},
    {"bytes= 1-2", RANGE_NONE, 0, 0},
    {"bytes=99999999999999999999999-", RANGE_NONE, 0, 0},
    {"lines=1-2", RANGE_NONE, 0, 0},
};

static void test_cases(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t first = 77;
        size_t count = 78;
        enum range_result result = range_parse(cases[i].header, SIZE, &first, &count);
        if (result != cases[i].result) {
            fail_msg("%s: %d", cases[i].header, (int)result);
        }
        if (result == RANGE_ONE) {
            assert_int_equal(first, cases[i].first);
            assert_int_equal(count, cases[i].count);
        } else {
            assert_int_equal(first, 77);
            assert_int_equal(count, 78);
        }
    }
}

static void test_of_nothing(void **state)
{
    size_t first = 0;
    size_t count = 0;
    (void)state;
    assert_int_equal(range_parse("bytes=0-", 0, &first, &count), RANGE_UNSATISFIABLE);
    assert_int_equal(range_parse("bytes=-1", 0, &first, &count), RANGE_UNSATISFIABLE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_of_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
