/* SPDX-License-Identifier: MIT */
#include "image/checksum.h"
#include "support/random.h"
#include "support/test.h"

#include <stdlib.h>

static void test_crc32_vectors(void **state)
{
    (void)state;
    static const uint8_t digits[] = "123456789";
    assert_int_equal(checksum_crc32(digits, 9), 0xCBF43926);
    assert_int_equal(checksum_crc32(digits, 0), 0);
    assert_int_equal(checksum_crc32(digits, 1), 0x83DCEFB7);
}

struct branch {
    const char *name;
    uint32_t crc;
    uint32_t stored;
};

/* c + 1 for c >= 0, |c| - 1 for c < 0, where c is signed. */
static const struct branch branches[] = {
    {"zero", 0, 1},
    {"one", 1, 2},
    {"largest", 0x7FFFFFFF, 0x80000000},
    {"smallest", 0x80000000, 0x7FFFFFFF},
    {"minus one", 0xFFFFFFFF, 0},
    {"minus two", 0xFFFFFFFE, 1},
    {"check value", 0xCBF43926, 0x340BC6D9},
};

static void test_branch(void **state)
{
    const struct branch *row = *state;
    assert_int_equal(checksum_device_crc(row->crc), row->stored);
}

/* As the device does it: the register before the final inversion, its absolute value. */
static void test_is_absolute_register(void **state)
{
    (void)state;
    struct random r = {7};
    for (unsigned i = 0; i < 100000; i++) {
        uint32_t crc = (uint32_t)random_u64(&r);
        int64_t device_register = (int32_t)~crc;
        assert_int_equal(checksum_device_crc(crc), (uint32_t)llabs(device_register));
    }
}

static void test_xor(void **state)
{
    (void)state;
    struct random r = {8};
    uint8_t bytes[100];
    random_fill(&r, bytes, sizeof bytes);
    for (size_t from = 0; from < 16; from++) {
        for (size_t size = 0; from + size <= sizeof bytes; size++) {
            uint8_t sum = 0xEF;
            for (size_t i = 0; i < size; i++) {
                sum ^= bytes[from + i];
            }
            assert_int_equal(checksum_xor(0xEF, bytes + from, size), sum);
        }
    }
    assert_int_equal(checksum_xor(0x12, NULL, 0), 0x12);
}

static void test_image_crc(void **state)
{
    (void)state;
    static const uint8_t bytes[] = "123456789crc!";
    assert_int_equal(espimage_image_crc(bytes, 13), 0x340BC6D9);
    for (size_t size = 0; size <= 4; size++) {
        assert_int_equal(espimage_image_crc(bytes, size), 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_crc32_vectors),
        cmocka_unit_test(test_is_absolute_register),
        cmocka_unit_test(test_xor),
        cmocka_unit_test(test_image_crc),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) + run_table("branches", branches, test_branch);
}
