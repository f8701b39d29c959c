/* SPDX-License-Identifier: MIT */
#include <espimage/parameters.h>

#include "base/bytes.h"
#include "image/image_format.h"

#include <string.h>

/* ---- record ----
 *
 *     byte 0   ....sfcc   cc chosen slot, f 0: it failed; s and the rest: not ours
 *     byte 1   mmmvvvvv   m mode, v minor version of the bootloader
 *     2..4, 5..7          addresses of test and enhance mode
 */
#define CHOSEN_MASK    0x03
#define NOT_FAILED     0x04
#define NIBBLE_MASK    0x0F
#define VERSION_MASK   0x1F
#define MODE_TESTED    0x20
#define MODE_UNTESTED  0x40
#define MODE_NORMAL    0x80
#define VERSION_NONE   0x1F
#define FIRST_BYTE_0   0xFC
#define FIRST_BYTE_1   0xE0
#define BLANK          0xFF
#define TEST_OFFSET    2
#define ENHANCE_OFFSET 5

/* ---- selector ---- */
#define SELECTOR_MAGIC      4
#define SELECTOR_SAVES      8
#define SELECTOR_LENGTH     12 /* of copy A, then of B */
#define SELECTOR_CHECKSUM   20 /* the same */
#define SELECTOR_END        28
#define SELECTOR_MAGIC_WORD UINT32_C(0x55AA55AA)
#define SELECTOR_END_WORD   UINT32_C(0xAA55AA55)
#define NEVER_SAVED         UINT32_C(0xFFFFFFFF)

static uint32_t get_le24(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16;
}

uint32_t espimage_parameters_address(uint32_t flash_size)
{
    return flash_size - ESPIMAGE_PARAMETERS_SIZE;
}

static enum espimage_boot_mode mode_of(uint8_t byte)
{
    if ((byte & MODE_UNTESTED) == 0 && (byte & MODE_TESTED) != 0) {
        return ESPIMAGE_BOOT_TEST;
    }
    return (byte & MODE_NORMAL) != 0 ? ESPIMAGE_BOOT_NORMAL : ESPIMAGE_BOOT_ENHANCE;
}

/* The low nibble of byte 0 is the slot, and no bit notes a failure. */
static bool is_plain(uint8_t version)
{
    return version == ESPIMAGE_BOOT_1_2 || version == VERSION_NONE;
}

void espimage_record_parse(const uint8_t head[ESPIMAGE_RECORD_HEAD], struct espimage_record *out)
{
    memcpy(out->head, head, sizeof out->head);
    out->chosen = (enum espimage_chosen)(head[0] & CHOSEN_MASK);
    out->version = head[1] & VERSION_MASK;
    out->failed = (head[0] & NOT_FAILED) == 0 && !is_plain(out->version);
    out->mode = mode_of(head[1]);
    out->test_address = get_le24(head + TEST_OFFSET);
    out->enhance_address = get_le24(head + ENHANCE_OFFSET);
}

void espimage_record_initialise(enum espimage_boot_version version,
                                uint8_t head[ESPIMAGE_RECORD_HEAD])
{
    switch (version) {
    case ESPIMAGE_BOOT_UNKNOWN:
    case ESPIMAGE_BOOT_1_1: return;
    case ESPIMAGE_BOOT_1_2:
        head[0] = head[0] == BLANK ? 0 : head[0];
        head[1] = (uint8_t)version;
        return;
    default: break;
    }
    memset(head, BLANK, ESPIMAGE_RECORD_HEAD);
    head[0] = FIRST_BYTE_0;
    head[1] = (uint8_t)(FIRST_BYTE_1 | version);
}

void espimage_record_set_failed(uint8_t head[ESPIMAGE_RECORD_HEAD])
{
    head[0] &= (uint8_t)~NOT_FAILED;
}

/* Records of boot 1.2, and those that no bootloader has written, have only a slot in their low
 * nibble. */
void espimage_record_choose_other(uint8_t head[ESPIMAGE_RECORD_HEAD])
{
    if (is_plain(head[1] & VERSION_MASK)) {
        uint8_t slot = (head[0] & NIBBLE_MASK) == ESPIMAGE_CHOSEN_USER2 ? 0 : 1;
        head[0] = (uint8_t)((head[0] & ~NIBBLE_MASK) | slot);
        return;
    }
    if ((head[0] & NOT_FAILED) != 0) {
        uint8_t slot = (head[0] & CHOSEN_MASK) == ESPIMAGE_CHOSEN_USER2 ? 0 : 1;
        head[0] = (uint8_t)((head[0] & ~CHOSEN_MASK) | slot);
    }
    head[0] |= NOT_FAILED;
    head[1] |= MODE_NORMAL;
}

/* ---- choice ---- */

static struct espimage_boot_choice to_slot(uint8_t slot)
{
    return (struct espimage_boot_choice){.target = ESPIMAGE_BOOT_SLOT, .slot = slot};
}

/* Boot 1.1 and 1.2: the low nibble alone. */
static struct espimage_boot_choice by_nibble(uint8_t byte)
{
    static const struct espimage_boot_choice error = {.target = ESPIMAGE_BOOT_FLAG_ERROR};
    switch (byte & NIBBLE_MASK) {
    case ESPIMAGE_CHOSEN_USER1: return to_slot(1);
    case ESPIMAGE_CHOSEN_USER2: return to_slot(2);
    default: return error;
    }
}

static struct espimage_boot_choice at_address(enum espimage_boot_mode mode, uint32_t address)
{
    return (struct espimage_boot_choice){
        .target = ESPIMAGE_BOOT_AT_ADDRESS, .mode = mode, .address = address};
}

/* Boot 1.3 and 1.4 answer any failure with user1. */
static struct espimage_boot_choice by_flags(enum espimage_boot_version version,
                                            const struct espimage_record *record)
{
    if (record->chosen == ESPIMAGE_CHOSEN_INVALID) {
        return (struct espimage_boot_choice){.target = ESPIMAGE_BOOT_FLAG_ERROR};
    }
    uint8_t slot = record->chosen == ESPIMAGE_CHOSEN_USER2 ? 2 : 1;
    if (!record->failed) {
        return to_slot(slot);
    }
    struct espimage_boot_choice choice = to_slot(version <= ESPIMAGE_BOOT_1_4 ? 1 : 3 - slot);
    choice.fallback = choice.slot != slot;
    return choice;
}

struct espimage_boot_choice espimage_boot_choose(enum espimage_boot_version version,
                                                 const struct espimage_record *record)
{
    struct espimage_boot_choice choice;
    struct espimage_record own = *record;
    if (version <= ESPIMAGE_BOOT_1_1) {
        return record->head[0] == BLANK ? to_slot(1) : by_nibble(record->head[0]);
    }
    bool strange =
        version == ESPIMAGE_BOOT_1_2
            ? record->head[1] != version
            : record->version != version || record->chosen == ESPIMAGE_CHOSEN_NEVER_WRITTEN;
    if (strange) {
        uint8_t head[ESPIMAGE_RECORD_HEAD];
        memcpy(head, record->head, sizeof head);
        espimage_record_initialise(version, head);
        espimage_record_parse(head, &own);
    }
    if (version == ESPIMAGE_BOOT_1_2) {
        choice = by_nibble(own.head[0]);
    } else if (own.mode == ESPIMAGE_BOOT_TEST) {
        choice = at_address(own.mode, own.test_address);
    } else if (own.mode == ESPIMAGE_BOOT_ENHANCE) {
        choice = at_address(own.mode, own.failed ? own.test_address : own.enhance_address);
        choice.fallback = own.failed;
    } else {
        choice = by_flags(version, &own);
    }
    choice.initialises = strange;
    return choice;
}

uint8_t espimage_sdk_running(const struct espimage_record *record)
{
    if (is_plain(record->version)) {
        return (record->head[0] & NIBBLE_MASK) == ESPIMAGE_CHOSEN_USER2 ? 2 : 1;
    }
    bool second = record->chosen == ESPIMAGE_CHOSEN_USER2;
    return second != record->failed ? 2 : 1;
}

/* ---- selector and the three sectors ---- */

uint8_t espimage_record_checksum(const uint8_t *copy)
{
    uint8_t sum = CHECKSUM_INIT;
    for (size_t i = 0; i < ESPIMAGE_RECORD_CHECKED; i++) {
        sum ^= copy[i];
    }
    return sum;
}

static enum espimage_record_state state_of(const uint8_t *selector, enum espimage_copy which,
                                           const uint8_t *copy)
{
    uint32_t length = get_le32(selector + SELECTOR_LENGTH + 4 * (size_t)which);
    uint32_t checksum = get_le32(selector + SELECTOR_CHECKSUM + 4 * (size_t)which);
    if (length == NEVER_SAVED) {
        return ESPIMAGE_RECORD_NOT_SAVED;
    }
    return length == ESPIMAGE_RECORD_CHECKED && checksum == espimage_record_checksum(copy)
               ? ESPIMAGE_RECORD_GOOD
               : ESPIMAGE_RECORD_CHANGED;
}

void espimage_parameters_parse(const uint8_t *sectors, struct espimage_parameters *out)
{
    const uint8_t *selector = sectors + ESPIMAGE_SELECTOR_OFFSET;
    memset(out, 0, sizeof *out);
    out->blank = bytes_all(sectors, ESPIMAGE_PARAMETERS_SIZE, BLANK);
    out->current = selector[0] == 0 ? ESPIMAGE_COPY_A : ESPIMAGE_COPY_B;
    out->saved = get_le32(selector + SELECTOR_MAGIC) == SELECTOR_MAGIC_WORD &&
                 get_le32(selector + SELECTOR_END) == SELECTOR_END_WORD;
    out->saves = out->saved ? get_le32(selector + SELECTOR_SAVES) : 0;
    for (enum espimage_copy copy = ESPIMAGE_COPY_A; copy <= ESPIMAGE_COPY_B; copy++) {
        const uint8_t *bytes = sectors + ESPIMAGE_COPY_OFFSET(copy);
        espimage_record_parse(bytes, &out->record[copy]);
        out->state[copy] = out->saved ? state_of(selector, copy, bytes) : ESPIMAGE_RECORD_NOT_SAVED;
    }
}

const struct espimage_record *espimage_record_current(const struct espimage_parameters *parameters)
{
    return &parameters->record[parameters->current];
}

/* FFFFFFFF counts as never saved, so the counter begins with 1. */
void espimage_selector_saved(const uint8_t before[ESPIMAGE_SELECTOR_SIZE], enum espimage_copy copy,
                             uint8_t checksum, uint8_t out[ESPIMAGE_SELECTOR_SIZE])
{
    uint8_t selector[ESPIMAGE_SELECTOR_SIZE];
    memcpy(selector, before, sizeof selector);
    memset(selector, BLANK, SELECTOR_MAGIC);
    selector[0] = (uint8_t)copy;
    put_le32(selector + SELECTOR_MAGIC, SELECTOR_MAGIC_WORD);
    put_le32(selector + SELECTOR_SAVES, get_le32(before + SELECTOR_SAVES) + 1);
    if (get_le32(before + SELECTOR_SAVES) == NEVER_SAVED) {
        put_le32(selector + SELECTOR_SAVES, 1);
    }
    put_le32(selector + SELECTOR_LENGTH + 4 * (size_t)copy, ESPIMAGE_RECORD_CHECKED);
    put_le32(selector + SELECTOR_CHECKSUM + 4 * (size_t)copy, checksum);
    put_le32(selector + SELECTOR_END, SELECTOR_END_WORD);
    memcpy(out, selector, sizeof selector);
}

void espimage_parameters_build(enum espimage_boot_version version, uint8_t slot, uint8_t *sectors)
{
    uint8_t *copy_b = sectors + ESPIMAGE_COPY_OFFSET(ESPIMAGE_COPY_B);
    uint8_t *selector = sectors + ESPIMAGE_SELECTOR_OFFSET;
    memset(sectors, BLANK, ESPIMAGE_PARAMETERS_SIZE);
    if (slot != 2) {
        return;
    }
    espimage_record_initialise(version, sectors);
    memcpy(copy_b, sectors, ESPIMAGE_RECORD_HEAD);
    espimage_record_choose_other(copy_b);
    espimage_selector_saved(selector, ESPIMAGE_COPY_B, espimage_record_checksum(copy_b), selector);
}

uint8_t espimage_network_count(const uint8_t *copy)
{
    uint8_t count = copy[ESPIMAGE_NETWORK_COUNT_OFFSET];
    return count <= ESPIMAGE_MAX_NETWORKS ? count : 0;
}
