/* SPDX-License-Identifier: MIT */
/* The SDK's save at the end of an update, and a loss of power at each of its changes. */
#include "support/test.h"

#include "base/bytes.h"
#include "device/boot.h"
#include "device/flash_file.h"
#include "device/save.h"

#include <stdlib.h>
#include <string.h>

#define FLASH_SIZE 0x100000U
#define PARAMETERS 0xFD000U
#define COPY_B     0xFE000U
#define SELECTOR   0xFF000U

struct bench {
    struct flash flash;
    struct espimage_error err;
    unsigned seen; /* changes so far */
    unsigned cut;  /* the power fails at this one */
    uint32_t still;
    enum flash_change changes[8];
    uint32_t addresses[8];
};

static void open_bench(struct bench *b)
{
    uint8_t *blank = malloc(FLASH_SIZE);
    memset(b, 0, sizeof *b);
    assert_non_null(blank);
    memset(blank, 0xFF, FLASH_SIZE);
    assert_ok(flash_file_unnamed(blank, FLASH_SIZE, &b->flash, &b->err), &b->err);
    free(blank);
}

static bool power(void *context, enum flash_change change, uint32_t address, uint32_t *size)
{
    struct bench *b = context;
    b->changes[b->seen] = change;
    b->addresses[b->seen] = address;
    if (b->seen++ != b->cut) {
        return false;
    }
    *size = b->still < *size ? b->still : *size;
    return true;
}

/* Which slot the bootloader goes on to, and its first record when there is none. */
static uint8_t boots(struct bench *b, enum espimage_boot_version version)
{
    static struct boot_step step;
    const struct boot_chip chip = {.flash = &b->flash, .version = version, .map_code = 2};
    assert_ok(boot_step(&chip, &step, &b->err), &b->err);
    return step.slot;
}

static void first_boot(struct bench *b, enum espimage_boot_version version)
{
    uint8_t head[ESPIMAGE_RECORD_HEAD];
    static const uint8_t selector[] = {0, 0xFF, 0xFF, 0xFF};
    memset(head, 0xFF, sizeof head);
    espimage_record_initialise(version, head);
    assert_ok(flash_write(&b->flash, PARAMETERS, head, sizeof head, &b->err), &b->err);
    assert_ok(flash_write(&b->flash, SELECTOR, selector, sizeof selector, &b->err), &b->err);
}

static void save(struct bench *b, uint8_t wanted)
{
    uint8_t slot = 0;
    assert_ok(save_other_slot(&b->flash, &slot, &b->err), &b->err);
    assert_int_equal(slot, wanted);
}

static void assert_bytes(struct bench *b, uint32_t at, const char *hex)
{
    for (; *hex != '\0'; hex += hex[2] == ' ' ? 3 : 2) {
        const char pair[] = {hex[0], hex[1], '\0'};
        uint8_t byte = 0;
        assert_ok(flash_read(&b->flash, at++, &byte, 1, &b->err), &b->err);
        assert_int_equal(byte, strtoul(pair, NULL, 16));
    }
}

/* ---- as the SDK's own code wrote it, on a device with boot 1.6 ---- */

static void test_two_updates(void **state)
{
    struct bench b;
    (void)state;
    open_bench(&b);
    first_boot(&b, ESPIMAGE_BOOT_1_6);
    save(&b, 2);
    assert_bytes(&b, PARAMETERS, "FC E6 FF FF FF FF FF FF FF");
    assert_bytes(&b, COPY_B, "FD E6 FF FF FF FF FF FF FF");
    assert_bytes(&b, SELECTOR,
                 "01 FF FF FF AA 55 AA 55 01 00 00 00 FF FF FF FF 20 00 00 00 FF FF FF FF F4 00 00 "
                 "00 55 AA 55 AA FF");
    assert_int_equal(boots(&b, ESPIMAGE_BOOT_1_6), 2);
    save(&b, 1);
    assert_bytes(&b, PARAMETERS, "FC E6 FF FF");
    assert_bytes(&b, SELECTOR,
                 "00 FF FF FF AA 55 AA 55 02 00 00 00 20 00 00 00 20 00 00 00 F5 00 00 00 F4 00 00 "
                 "00 55 AA 55 AA FF");
    assert_int_equal(boots(&b, ESPIMAGE_BOOT_1_6), 1);
    flash_file_close(&b.flash);
}

/* What an owner stored behind the first eight bytes stays; what is behind the record does not. */
static void test_settings_are_kept(void **state)
{
    static const uint8_t ssid[] = {'h', 'o', 'm', 'e'};
    struct bench b;
    (void)state;
    open_bench(&b);
    first_boot(&b, ESPIMAGE_BOOT_1_6);
    assert_ok(flash_write(&b.flash, PARAMETERS + 0x10, ssid, 4, &b.err), &b.err);
    assert_ok(flash_write(&b.flash, PARAMETERS + 1188, ssid, 4, &b.err), &b.err);
    save(&b, 2);
    assert_bytes(&b, COPY_B + 0x10, "68 6F 6D 65");
    assert_bytes(&b, COPY_B + 1188, "FF FF FF FF");
    flash_file_close(&b.flash);
}

static void test_order_of_changes(void **state)
{
    static const enum flash_change changes[] = {FLASH_ERASE, FLASH_WRITE, FLASH_ERASE, FLASH_WRITE};
    static const uint32_t addresses[] = {COPY_B, COPY_B, SELECTOR, SELECTOR};
    struct bench b;
    (void)state;
    open_bench(&b);
    first_boot(&b, ESPIMAGE_BOOT_1_6);
    b.cut = SAVE_CHANGES;
    b.flash.power = power;
    b.flash.context = &b;
    save(&b, 2);
    assert_int_equal(b.seen, SAVE_CHANGES);
    assert_memory_equal(b.changes, changes, sizeof changes);
    assert_memory_equal(b.addresses, addresses, sizeof addresses);
    flash_file_close(&b.flash);
}

/* ---- loss of power ---- */

struct cut {
    const char *name;
    enum save_change change;
    uint32_t still; /* bytes of it that happen */
    /* Which slot boots then, when the update goes from user1 to user2 by copy B, and when it goes
     * from user2 to user1 by copy A. */
    uint8_t to_b;
    uint8_t to_a;
};

/* While the selector is blank copy B counts, whatever was meant. The first byte of the selector is
 * all that bootloaders read of it. */
static const struct cut cuts[] = {
    {"before the erase of the record", SAVE_ERASE_RECORD, 0, 1, 2},
    {"in the erase of the record", SAVE_ERASE_RECORD, 100, 1, 2},
    {"after the erase of the record", SAVE_ERASE_RECORD, ESPIMAGE_SECTOR, 1, 2},
    {"before the record", SAVE_WRITE_RECORD, 0, 1, 2},
    {"after a byte of the record", SAVE_WRITE_RECORD, 1, 1, 2},
    {"after half of the record", SAVE_WRITE_RECORD, 594, 1, 2},
    {"after the record", SAVE_WRITE_RECORD, 1188, 1, 2},
    {"before the erase of the selector", SAVE_ERASE_SELECTOR, 0, 1, 2},
    {"in the erase of the selector", SAVE_ERASE_SELECTOR, 1, 2, 2},
    {"after the erase of the selector", SAVE_ERASE_SELECTOR, ESPIMAGE_SECTOR, 2, 2},
    {"before the selector", SAVE_WRITE_SELECTOR, 0, 2, 2},
    {"after a byte of the selector", SAVE_WRITE_SELECTOR, 1, 2, 1},
    {"after half of the selector", SAVE_WRITE_SELECTOR, 16, 2, 1},
    {"after the selector", SAVE_WRITE_SELECTOR, 32, 2, 1},
};

static void cut_power(struct bench *b, const struct cut *c)
{
    uint8_t slot = 0;
    b->seen = 0;
    b->cut = c->change;
    b->still = c->still;
    b->flash.power = power;
    b->flash.context = b;
    assert_code(ESPIMAGE_ERR_IO, save_other_slot(&b->flash, &slot, &b->err), &b->err);
    assert_int_equal(slot, 0);
    b->flash.power = NULL;
    b->flash.dead = false;
}

static void test_loss_of_power(void **state)
{
    const struct cut *c = *state;
    for (int v = ESPIMAGE_BOOT_1_2; v <= ESPIMAGE_BOOT_1_7; v++) {
        enum espimage_boot_version version = (enum espimage_boot_version)v;
        for (uint8_t running = 1; running <= 2; running++) {
            struct bench b;
            uint8_t wanted = running == 1 ? c->to_b : c->to_a;
            open_bench(&b);
            first_boot(&b, version);
            if (running == 2) {
                save(&b, 2);
            }
            cut_power(&b, c);
            assert_int_equal(boots(&b, version), wanted);
            /* The SDK agrees, and its next update works. */
            uint8_t says = 0;
            assert_ok(save_running_slot(&b.flash, &says, &b.err), &b.err);
            assert_int_equal(says, wanted);
            save(&b, (uint8_t)(3 - wanted));
            assert_int_equal(boots(&b, version), 3 - wanted);
            flash_file_close(&b.flash);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_two_updates),
        cmocka_unit_test(test_settings_are_kept),
        cmocka_unit_test(test_order_of_changes),
    };
    int failures = cmocka_run_group_tests_name("save", tests, NULL, NULL);
    return failures + run_table("loss of power", cuts, test_loss_of_power);
}
