/* SPDX-License-Identifier: MIT */
#include "base/bytes.h"
#include "support/test.h"

#include <string.h>

static void test_little_endian(void **state)
{
    (void)state;
    uint8_t bytes[8] = {0xFF, 0x01, 0x02, 0x83, 0xF4, 0xFF};
    assert_int_equal(get_le32(bytes + 1), 0xF4830201);
    put_le32(bytes + 1, 0xDEADBEEF);
    assert_memory_equal(bytes, "\xFF\xEF\xBE\xAD\xDE\xFF\0\0", 8);
    assert_int_equal(get_le32(bytes + 1), 0xDEADBEEF);
}

static void test_round_up(void **state)
{
    (void)state;
    static const uint32_t cases[][3] = {{0, 4, 0},    {1, 4, 4},    {4, 4, 4},
                                        {5, 4, 8},    {0, 16, 0},   {15, 16, 16},
                                        {16, 16, 16}, {17, 16, 32}, {7, 1, 7}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        assert_int_equal(round_up(cases[i][0], cases[i][1]), cases[i][2]);
    }
}

static void test_cursor(void **state)
{
    (void)state;
    static const uint8_t bytes[10];
    struct cursor c = {bytes, sizeof bytes, 0};
    assert_ptr_equal(cursor_take(&c, 4), bytes);
    assert_ptr_equal(cursor_take(&c, 0), bytes + 4);
    assert_null(cursor_take(&c, 7));
    assert_null(cursor_take(&c, SIZE_MAX));
    assert_int_equal(c.at, 4);
    assert_ptr_equal(cursor_take(&c, 6), bytes + 4);
    assert_non_null(cursor_take(&c, 0));
    assert_null(cursor_take(&c, 1));
    assert_int_equal(c.at, 10);
}

static void test_bytes_all(void **state)
{
    (void)state;
    uint8_t bytes[9];
    memset(bytes, 0xFF, sizeof bytes);
    assert_true(bytes_all(bytes, sizeof bytes, 0xFF));
    assert_false(bytes_all(bytes, sizeof bytes, 0));
    assert_true(bytes_all(bytes, 0, 0));
    bytes[8] = 0;
    assert_false(bytes_all(bytes, 9, 0xFF));
    assert_true(bytes_all(bytes, 8, 0xFF));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_little_endian),
        cmocka_unit_test(test_round_up),
        cmocka_unit_test(test_cursor),
        cmocka_unit_test(test_bytes_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
