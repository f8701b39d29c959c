/* SPDX-License-Identifier: MIT */
#include "base/bytes.h"
#include "support/firmware_builder.h"
#include "support/test.h"

#include <stdlib.h>
#include <string.h>

/* The image of firmware_tiny(): 80 bytes up to the checksum, then the CRC. */
static struct espimage_bytes tiny_image(void)
{
    struct espimage_build_options options = options_usual();
    espimage_firmware *fw = firmware_tiny(0x40201010);
    struct espimage_bytes built = image(fw, &options);
    espimage_firmware_free(fw);
    return built;
}

static void test_view(void **state)
{
    (void)state;
    struct espimage_image_view v;
    struct espimage_bytes built = tiny_image();
    espimage_image_parse(built.data, built.size, &v);
    assert_ptr_equal(v.bytes, built.data);
    assert_int_equal(v.size, 84);
    assert_true(v.has_irom);
    assert_int_equal(v.extent, ESPIMAGE_EXTENT_CHECKSUM);
    assert_memory_equal(v.outer, "\xEA\x04\x00\x01", 4);
    assert_int_equal(v.outer_entry, 0x40100004);
    assert_int_equal(v.irom_address, 0);
    assert_int_equal(v.irom_offset, 16);
    assert_int_equal(v.irom_size, 16);
    assert_int_equal(v.inner_offset, 32);
    assert_memory_equal(v.inner, "\xE9\x02\x00\x20", 4);
    assert_int_equal(v.entry, 0x40100004);
    assert_int_equal(v.segment_count, 2);
    assert_int_equal(v.segment[0].address, 0x3FFE8000);
    assert_int_equal(v.segment[0].size, 4);
    assert_int_equal(v.segment[0].offset, 48);
    assert_int_equal(v.segment[1].address, 0x40100000);
    assert_int_equal(v.segment[1].size, 8);
    assert_int_equal(v.segment[1].offset, 60);
    assert_int_equal(v.checksum_offset, 79);
    assert_int_equal(v.checksum_stored, 0x48);
    assert_int_equal(v.checksum_ram, 0x48);
    assert_int_equal(v.checksum_all, 0x48 ^ 0x11 ^ 0x22 ^ 0x33 ^ 0x44 ^ 0x55);
    assert_int_equal(v.trailing, 4);
    espimage_bytes_free(&built);
}

static void test_v1(void **state)
{
    (void)state;
    struct espimage_image_view v;
    struct espimage_bytes built = tiny_image();
    espimage_image_parse(built.data + 32, 48, &v);
    assert_false(v.has_irom);
    assert_int_equal(v.extent, ESPIMAGE_EXTENT_CHECKSUM);
    assert_int_equal(v.inner_offset, 0);
    assert_int_equal(v.irom_size, 0);
    assert_int_equal(v.segment_count, 2);
    assert_int_equal(v.segment[0].offset, 16);
    assert_int_equal(v.checksum_offset, 47);
    assert_int_equal(v.checksum_stored, v.checksum_ram);
    assert_int_equal(v.checksum_all, v.checksum_ram);
    assert_int_equal(v.trailing, 0);
    espimage_bytes_free(&built);
}

/* E9 04 is an outer header only when a zero load address follows. */
static void test_e9_outer(void **state)
{
    (void)state;
    struct espimage_image_view v;
    struct espimage_bytes built = tiny_image();
    built.data[0] = 0xE9;
    espimage_image_parse(built.data, built.size, &v);
    assert_true(v.has_irom);
    assert_int_equal(v.extent, ESPIMAGE_EXTENT_CHECKSUM);
    espimage_image_parse(built.data, 16, &v);
    assert_true(v.has_irom);
    espimage_image_parse(built.data, 15, &v);
    assert_false(v.has_irom);
    built.data[1] = 3;
    espimage_image_parse(built.data, built.size, &v);
    assert_false(v.has_irom);
    built.data[1] = 4;
    built.data[11] = 0x40;
    espimage_image_parse(built.data, built.size, &v);
    assert_false(v.has_irom);
    espimage_bytes_free(&built);
}

static enum espimage_extent extent_of(size_t size)
{
    return size < 16   ? ESPIMAGE_EXTENT_NONE
           : size < 32 ? ESPIMAGE_EXTENT_OUTER
           : size < 40 ? ESPIMAGE_EXTENT_IROM
           : size < 68 ? ESPIMAGE_EXTENT_INNER
           : size < 80 ? ESPIMAGE_EXTENT_SEGMENTS
                       : ESPIMAGE_EXTENT_CHECKSUM;
}

static void check_prefix(const uint8_t *bytes, size_t size)
{
    struct espimage_image_view v;
    espimage_image_parse(bytes, size, &v);
    assert_int_equal(v.extent, extent_of(size));
    assert_int_equal(v.has_irom, size > 0);
    assert_int_equal(v.size, size);
    assert_int_equal(v.segment_count, size < 52 ? 0 : size < 68 ? 1 : 2);
    assert_int_equal(v.trailing, size < 80 ? 0 : size - 80);
    assert_int_equal(v.checksum_offset, size < 68 ? 0 : 79);
}

static void test_every_prefix(void **state)
{
    (void)state;
    struct espimage_bytes built = tiny_image();
    for (size_t size = 0; size <= built.size; size++) {
        uint8_t *copy = malloc(size > 0 ? size : 1); /* a sanitizer sees one byte too far */
        assert_non_null(copy);
        memcpy(copy, built.data, size);
        check_prefix(copy, size);
        free(copy);
    }
    espimage_bytes_free(&built);
    check_prefix(NULL, 0);
}

struct hostile_case {
    const char *name;
    size_t at;
    uint32_t value;
    enum espimage_extent extent;
};

static const struct hostile_case hostile_rows[] = {
    {"irom of 4 GB", 12, 0xFFFFFFFF, ESPIMAGE_EXTENT_OUTER},
    {"irom one byte too long", 12, 84 - 16 + 1, ESPIMAGE_EXTENT_OUTER},
    {"irom to the end", 12, 84 - 16, ESPIMAGE_EXTENT_IROM},
    {"irom leaves 7 bytes", 12, 84 - 16 - 7, ESPIMAGE_EXTENT_IROM},
    {"irom wraps", 12, 0xFFFFFFF0, ESPIMAGE_EXTENT_OUTER},
    {"segment of 4 GB", 44, 0xFFFFFFFF, ESPIMAGE_EXTENT_INNER},
    {"segment wraps", 44, 0xFFFFFFD0, ESPIMAGE_EXTENT_INNER},
    {"segment one byte too long", 64 - 8, 84 - 60 + 1, ESPIMAGE_EXTENT_INNER},
    {"segment to the end", 64 - 8, 84 - 60, ESPIMAGE_EXTENT_SEGMENTS},
    {"255 segments", 32, 0x2000FFE9, ESPIMAGE_EXTENT_INNER},
    {"no segments", 32, 0x200000E9, ESPIMAGE_EXTENT_CHECKSUM},
};

static void test_hostile(void **state)
{
    const struct hostile_case *row = *state;
    struct espimage_image_view v;
    struct espimage_bytes built = tiny_image();
    put_le32(built.data + row->at, row->value);
    espimage_image_parse(built.data, built.size, &v);
    assert_int_equal(v.extent, row->extent);
    assert_true(v.segment_count <= v.inner[1]);
    espimage_bytes_free(&built);
}

/* Whatever the view says lies within the file does. */
static void check_inside(const struct espimage_image_view *v)
{
    if (v->has_irom && v->extent >= ESPIMAGE_EXTENT_IROM) {
        assert_true((uint64_t)v->irom_offset + v->irom_size <= v->size);
    }
    for (size_t i = 0; i < v->segment_count; i++) {
        assert_true((uint64_t)v->segment[i].offset + v->segment[i].size <= v->size);
    }
    if (v->extent == ESPIMAGE_EXTENT_CHECKSUM) {
        assert_int_equal(v->checksum_offset + 1 + v->trailing, v->size);
    }
}

static void test_random_bytes(void **state)
{
    (void)state;
    struct random r = {42};
    struct espimage_image_view v;
    for (unsigned round = 0; round < 20000; round++) {
        size_t size = random_below(&r, 120);
        uint8_t *bytes = malloc(size > 0 ? size : 1);
        assert_non_null(bytes);
        random_fill(&r, bytes, size);
        if (size >= 16 && round % 4 != 0) {
            bytes[0] = round % 4 == 1 ? 0xE9 : 0xEA;
            put_le32(bytes + 12, random_below(&r, 64));
        }
        for (size_t i = 0; i + 4 < size; i++) {
            if (random_below(&r, 8) == 0) { /* small lengths, that keep it going */
                put_le32(bytes + i, random_below(&r, 40));
            }
        }
        espimage_image_parse(bytes, size, &v);
        check_inside(&v);
        free(bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_view),         cmocka_unit_test(test_v1),
        cmocka_unit_test(test_e9_outer),     cmocka_unit_test(test_every_prefix),
        cmocka_unit_test(test_random_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) +
           run_table("hostile", hostile_rows, test_hostile);
}
