/* SPDX-License-Identifier: MIT */
/* The flash behaves as flash: erased sectors, bits that only clear, alignment, loss of power. */
#include "support/test.h"

#include "base/bytes.h"
#include "device/flash_file.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SECTOR ((size_t)ESPIMAGE_SECTOR)
#define SIZE   UINT32_C(0x4000) /* four sectors */

struct bench {
    struct flash flash;
    struct espimage_error err;
    /* What power() does. */
    enum flash_change change;
    uint32_t address;
    uint32_t asked;
    bool cut;
    uint32_t still;
};

static int set_up(void **state)
{
    static struct bench bench;
    static uint8_t blank[SIZE];
    memset(&bench, 0, sizeof bench);
    memset(blank, 0xFF, sizeof blank);
    *state = &bench;
    return (int)flash_file_unnamed(blank, SIZE, &bench.flash, &bench.err);
}

static int tear_down(void **state)
{
    struct bench *b = *state;
    flash_file_close(&b->flash);
    return 0;
}

static bool power(void *context, enum flash_change change, uint32_t address, uint32_t *size)
{
    struct bench *b = context;
    b->change = change;
    b->address = address;
    b->asked = *size;
    *size = b->cut ? b->still : *size;
    return b->cut;
}

static void assert_holds(struct bench *b, uint32_t address, const uint8_t *wanted, size_t size)
{
    uint8_t got[SIZE];
    assert_ok(flash_read(&b->flash, address, got, size, &b->err), &b->err);
    assert_memory_equal(got, wanted, size);
}

static void assert_blank(struct bench *b, uint32_t address, size_t size)
{
    uint8_t got[SIZE];
    assert_ok(flash_read(&b->flash, address, got, size, &b->err), &b->err);
    assert_true(bytes_all(got, size, 0xFF));
}

static void test_new_flash_is_erased(void **state)
{
    assert_blank(*state, 0, SIZE);
}

static void test_writing_clears_bits_only(void **state)
{
    struct bench *b = *state;
    const uint8_t first[] = {0xF0, 0x0F, 0x00, 0xFF};
    const uint8_t second[] = {0x3C, 0xFF, 0xFF, 0xA5};
    const uint8_t both[] = {0x30, 0x0F, 0x00, 0xA5};
    assert_ok(flash_write(&b->flash, 0x1004, first, sizeof first, &b->err), &b->err);
    assert_holds(b, 0x1004, first, sizeof first);
    assert_ok(flash_write(&b->flash, 0x1004, second, sizeof second, &b->err), &b->err);
    assert_holds(b, 0x1004, both, sizeof both);
    assert_blank(b, 0, 0x1004);
    assert_blank(b, 0x1008, SIZE - 0x1008);
}

static void test_erase_is_one_sector(void **state)
{
    struct bench *b = *state;
    static const uint8_t zeros[SIZE];
    assert_ok(flash_write(&b->flash, 0, zeros, SIZE, &b->err), &b->err);
    assert_ok(flash_erase(&b->flash, ESPIMAGE_SECTOR, &b->err), &b->err);
    assert_holds(b, 0, zeros, ESPIMAGE_SECTOR);
    assert_blank(b, ESPIMAGE_SECTOR, ESPIMAGE_SECTOR);
    assert_holds(b, 2 * ESPIMAGE_SECTOR, zeros, 2 * SECTOR);
}

static void test_alignment(void **state)
{
    struct bench *b = *state;
    static const uint8_t zeros[8];
    for (uint32_t off = 1; off < 4; off++) {
        assert_code(ESPIMAGE_ERR_IO, flash_write(&b->flash, off, zeros, 4, &b->err), &b->err);
        assert_mentions(b->err.wanted, "multiples of 4");
        assert_code(ESPIMAGE_ERR_IO, flash_write(&b->flash, 0, zeros, off, &b->err), &b->err);
    }
    assert_code(ESPIMAGE_ERR_IO, flash_erase(&b->flash, 0x800, &b->err), &b->err);
    assert_mentions(b->err.wanted, "multiples of 4096");
    assert_blank(b, 0, SIZE);
}

static void test_out_of_range(void **state)
{
    struct bench *b = *state;
    uint8_t bytes[8] = {0};
    assert_code(ESPIMAGE_ERR_IO, flash_erase(&b->flash, SIZE, &b->err), &b->err);
    assert_code(ESPIMAGE_ERR_IO, flash_write(&b->flash, SIZE - 4, bytes, 8, &b->err), &b->err);
    assert_code(ESPIMAGE_ERR_IO, flash_write(&b->flash, 0xFFFFFFFC, bytes, 8, &b->err), &b->err);
    assert_code(ESPIMAGE_ERR_IO, flash_read(&b->flash, SIZE - 7, bytes, 8, &b->err), &b->err);
    assert_mentions(b->err.wanted, "within its 0x4000 bytes");
    assert_ok(flash_read(&b->flash, SIZE - 8, bytes, 8, &b->err), &b->err);
    assert_blank(b, 0, SIZE);
}

/* Every start and length around word and buffer boundaries. */
static void test_padding_changes_nothing(void **state)
{
    struct bench *b = *state;
    static uint8_t bytes[ESPIMAGE_SECTOR + 16];
    const size_t sizes[] = {0, 1, 2, 3, 4, 5, 7, 8, ESPIMAGE_SECTOR - 1, ESPIMAGE_SECTOR + 9};
    memset(bytes, 0x55, sizeof bytes);
    for (uint32_t start = 0; start < 5; start++) {
        for (size_t i = 0; i < COUNT(sizes); i++) {
            uint32_t end = 16 + start + (uint32_t)sizes[i];
            for (uint32_t at = 0; at < SIZE; at += ESPIMAGE_SECTOR) {
                assert_ok(flash_erase(&b->flash, at, &b->err), &b->err);
            }
            assert_ok(flash_write_any(&b->flash, 16 + start, bytes, sizes[i], &b->err), &b->err);
            assert_blank(b, 0, 16 + start);
            assert_holds(b, 16 + start, bytes, sizes[i]);
            assert_blank(b, end, SIZE - end);
        }
    }
}

static void test_power_is_asked(void **state)
{
    struct bench *b = *state;
    static const uint8_t zeros[8];
    b->flash.power = power;
    b->flash.context = b;
    assert_ok(flash_erase(&b->flash, 0x2000, &b->err), &b->err);
    assert_int_equal(b->change, FLASH_ERASE);
    assert_int_equal(b->address, 0x2000);
    assert_int_equal(b->asked, ESPIMAGE_SECTOR);
    assert_ok(flash_write(&b->flash, 0x2010, zeros, 8, &b->err), &b->err);
    assert_int_equal(b->change, FLASH_WRITE);
    assert_int_equal(b->address, 0x2010);
    assert_int_equal(b->asked, 8);
    assert_false(b->flash.dead);
}

static void test_power_cut_in_a_write(void **state)
{
    struct bench *b = *state;
    static const uint8_t zeros[8];
    for (uint32_t still = 0; still <= 8; still++) {
        uint32_t address = 0x100 + 16 * still;
        b->flash.dead = false;
        b->flash.power = power;
        b->flash.context = b;
        b->cut = true;
        b->still = still;
        assert_code(ESPIMAGE_ERR_IO, flash_write(&b->flash, address, zeros, 8, &b->err), &b->err);
        assert_true(b->flash.dead);
        assert_code(ESPIMAGE_ERR_IO, flash_write(&b->flash, 0, zeros, 4, &b->err), &b->err);
        assert_code(ESPIMAGE_ERR_IO, flash_erase(&b->flash, 0, &b->err), &b->err);
        b->flash.dead = false;
        assert_holds(b, address, zeros, still);
        assert_blank(b, address + still, 16 - still);
        assert_blank(b, 0, 4);
    }
}

static void test_power_cut_before_an_erase(void **state)
{
    struct bench *b = *state;
    static const uint8_t zeros[ESPIMAGE_SECTOR];
    assert_ok(flash_write(&b->flash, 0, zeros, sizeof zeros, &b->err), &b->err);
    b->flash.power = power;
    b->flash.context = b;
    b->cut = true;
    assert_code(ESPIMAGE_ERR_IO, flash_erase(&b->flash, 0, &b->err), &b->err);
    b->flash.dead = false;
    assert_holds(b, 0, zeros, sizeof zeros);
}

/* The same bytes in a file of a name; a second process may not have it. */
static void test_named_file(void **state)
{
    struct bench *b = *state;
    char path[] = "/tmp/espimage-flash-XXXXXX";
    static uint8_t content[SIZE];
    struct flash flash;
    struct flash other;
    int fd = mkstemp(path);
    memset(content, 0xFF, sizeof content);
    content[5] = 0x12;
    assert_int_equal(write(fd, content, sizeof content), sizeof content);
    (void)close(fd);
    assert_code(ESPIMAGE_ERR_IMAGE, flash_file_open(path, NULL, 2 * SIZE, &flash, &b->err),
                &b->err);
    assert_ok(flash_file_open(path, NULL, SIZE, &flash, &b->err), &b->err);
    assert_code(ESPIMAGE_ERR_UNAVAILABLE, flash_file_open(path, NULL, SIZE, &other, &b->err),
                &b->err);
    assert_ok(flash_write(&flash, 4, (const uint8_t *)"\x0F\xFF\xFF\x33", 4, &b->err), &b->err);
    flash_file_close(&flash);
    assert_ok(flash_file_open(path, NULL, SIZE, &b->flash, &b->err), &b->err);
    assert_holds(b, 4, (const uint8_t *)"\x0F\x12\xFF\x33", 4);
    (void)unlink(path);
}

/* Of several devices on one new file the first fills it; the others do not touch it. */
static void test_new_named_file(void **state)
{
    struct bench *b = *state;
    char path[] = "/tmp/espimage-flash-XXXXXX";
    static uint8_t content[SIZE];
    static uint8_t others[SIZE];
    struct flash flash;
    struct flash other;
    (void)close(mkstemp(path));
    memset(content, 0x12, sizeof content);
    memset(others, 0x34, sizeof others);
    assert_ok(flash_file_open(path, content, SIZE, &flash, &b->err), &b->err);
    assert_code(ESPIMAGE_ERR_UNAVAILABLE, flash_file_open(path, others, SIZE, &other, &b->err),
                &b->err);
    flash_file_close(&flash);
    assert_ok(flash_file_open(path, others, SIZE, &b->flash, &b->err), &b->err);
    assert_holds(b, 4, (const uint8_t *)"\x12\x12\x12\x12", 4);
    (void)unlink(path);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_new_flash_is_erased),
        TEST(test_writing_clears_bits_only),
        TEST(test_erase_is_one_sector),
        TEST(test_alignment),
        TEST(test_out_of_range),
        TEST(test_padding_changes_nothing),
        TEST(test_power_is_asked),
        TEST(test_power_cut_in_a_write),
        TEST(test_power_cut_before_an_erase),
        TEST(test_named_file),
        TEST(test_new_named_file),
    };
    return cmocka_run_group_tests_name("flash", tests, NULL, NULL);
}
