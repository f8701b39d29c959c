/* SPDX-License-Identifier: MIT */
#include "base/hash.h"
#include "support/test.h"

#include <stdio.h>

/* From the authors' reference: key 00 01 .. 0F, message 00 01 .. */
static const struct {
    size_t size;
    uint64_t hash;
} vectors[] = {
    {0, 0x726FDB47DD0E0E31},
    {1, 0x74F839C593DC67FD},
    {15, 0xA129CA6149BE45E5},
};

static void test_reference(void **state)
{
    const struct hash_key key = {0x0706050403020100, 0x0F0E0D0C0B0A0908};
    uint8_t message[16];
    (void)state;
    for (size_t i = 0; i < sizeof message; i++) {
        message[i] = (uint8_t)i;
    }
    for (size_t i = 0; i < COUNT(vectors); i++) {
        assert_true(siphash(&key, message, vectors[i].size) == vectors[i].hash);
    }
}

static void test_same_in_a_process(void **state)
{
    const char text[] = "2001:db8::1";
    (void)state;
    assert_int_equal(hash_text(text, 7), hash_text("2001:db8::1", 7));
    assert_int_equal(hash_text(text, 0), hash_bytes(text, sizeof text - 1));
}

/* Addresses in a row, or with one number after the other, fill no bucket before the others. */
static void test_spreads(void **state)
{
    enum { BUCKETS = 1024, EACH = 32, TOO_MANY = 4 * EACH };
    unsigned by_text[BUCKETS] = {0};
    unsigned by_number[BUCKETS] = {0};
    (void)state;
    for (uint32_t i = 0; i < BUCKETS * EACH; i++) {
        char text[32];
        (void)snprintf(text, sizeof text, "2001:db8::%x", i);
        assert_true(++by_text[hash_text(text, 0) % BUCKETS] < TOO_MANY);
        assert_true(++by_number[hash_text("192.0.2.1", i) % BUCKETS] < TOO_MANY);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reference),
        cmocka_unit_test(test_same_in_a_process),
        cmocka_unit_test(test_spreads),
    };
    return cmocka_run_group_tests_name("hash", tests, NULL, NULL);
}
