/* SPDX-License-Identifier: MIT */
#include "device/boot.h"

#include "base/bytes.h"
#include "base/error.h"
#include "device/parameters.h"
#include "image/checksum.h"

#include <espimage/verify.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the record ---- */

struct record {
    bool valid;
    uint32_t sequence;
    uint8_t slot;
};

static uint32_t record_address(const struct flash *flash, unsigned which)
{
    return flash->size - (which == 0 ? PARAMETERS_FIRST_FROM_END : PARAMETERS_SECOND_FROM_END);
}

static struct record parse_record(const uint8_t bytes[PARAMETERS_SIZE])
{
    struct record record = {false, get_le32(bytes + PARAMETERS_SEQUENCE), 0};
    uint32_t slot = get_le32(bytes + PARAMETERS_SLOT);
    if (memcmp(bytes, PARAMETERS_MAGIC, PARAMETERS_SEQUENCE) == 0 && (slot == 1 || slot == 2) &&
        get_le32(bytes + PARAMETERS_CRC) == checksum_crc32(bytes, PARAMETERS_CRC)) {
        record.valid = true;
        record.slot = (uint8_t)slot;
    }
    return record;
}

/* The record that counts, and in *which where it is; not valid when there is none. */
static enum espimage_code find_record(const struct flash *flash, struct record *out,
                                      unsigned *which, struct espimage_error *err)
{
    struct record best = {false, 0, 1};
    *which = 1;
    for (unsigned i = 0; i < 2; i++) {
        uint8_t bytes[PARAMETERS_SIZE];
        enum espimage_code code =
            flash_read(flash, record_address(flash, i), bytes, sizeof bytes, err);
        if (code != ESPIMAGE_OK) {
            return code;
        }
        struct record record = parse_record(bytes);
        if (record.valid && (!best.valid || record.sequence > best.sequence)) {
            best = record;
            *which = i;
        }
    }
    *out = best;
    return ESPIMAGE_OK;
}

enum espimage_code boot_slot(const struct flash *flash, uint8_t *slot, struct espimage_error *err)
{
    struct record record;
    unsigned which = 0;
    enum espimage_code code = find_record(flash, &record, &which, err);
    if (code == ESPIMAGE_OK) {
        *slot = record.slot;
    }
    return code;
}

enum espimage_code boot_set_slot(struct flash *flash, uint8_t slot, struct espimage_error *err)
{
    struct record record;
    unsigned which = 0;
    uint8_t bytes[PARAMETERS_SIZE];
    enum espimage_code code = find_record(flash, &record, &which, err);
    if (code != ESPIMAGE_OK) {
        return code;
    }
    memcpy(bytes, PARAMETERS_MAGIC, sizeof PARAMETERS_MAGIC); /* the NUL is written over */
    put_le32(bytes + PARAMETERS_SEQUENCE, record.sequence + 1);
    put_le32(bytes + PARAMETERS_SLOT, slot);
    put_le32(bytes + PARAMETERS_CRC, checksum_crc32(bytes, PARAMETERS_CRC));
    uint32_t address = record_address(flash, 1 - which);
    code = flash_erase(flash, address, err);
    return code == ESPIMAGE_OK ? flash_write(flash, address, bytes, sizeof bytes, err) : code;
}

/* ---- the decision ---- */

static enum espimage_code judge(const uint8_t *bytes, const struct espimage_flash_map *map,
                                struct boot_try *try, struct espimage_error *err)
{
    const struct espimage_verify_options options = {.size = sizeof options, .map = map};
    espimage_report *report = NULL;
    enum espimage_code code = espimage_verify(bytes, map->slot_limit, &options, &report, err);
    if (code != ESPIMAGE_OK) {
        return code;
    }
    const struct espimage_verdict *verdict =
        espimage_report_verdict(report, ESPIMAGE_CONSUMER_BOOT);
    try->accepted = verdict->accepts;
    if (!verdict->accepts) {
        try->rule = verdict->because->rule->name;
        try->bad_magic =
            strcmp(try->rule, "file.image") == 0 || strcmp(try->rule, "boot.header") == 0;
        (void)snprintf(try->found, sizeof try->found, "%s", verdict->because->found);
    }
    espimage_report_free(report);
    return ESPIMAGE_OK;
}

static enum espimage_code try_slot(const struct flash *flash, const struct espimage_flash_map *map,
                                   uint8_t slot, struct boot_result *out,
                                   struct espimage_error *err)
{
    struct boot_try *try = &out->tried[out->tries++];
    try->slot = slot;
    enum espimage_code code =
        flash_read(flash, map->slot[slot - 1], out->image, out->image_size, err);
    if (code == ESPIMAGE_OK) {
        code = judge(out->image, map, try, err);
    }
    if (code == ESPIMAGE_OK) {
        out->slot = try->accepted ? slot : 0;
    }
    return code;
}

enum espimage_code boot_run(struct flash *flash, const struct espimage_flash_map *map,
                            struct boot_result *out, struct espimage_error *err)
{
    uint8_t slot = 1;
    enum espimage_code code = boot_slot(flash, &slot, err);
    if (code != ESPIMAGE_OK) {
        return code;
    }
    memset(out, 0, sizeof *out);
    out->image_size = map->slot_limit;
    out->image = malloc(out->image_size);
    if (out->image == NULL) {
        return error_no_memory(err);
    }
    code = try_slot(flash, map, slot, out, err);
    if (code == ESPIMAGE_OK && out->slot == 0) {
        code = try_slot(flash, map, 3 - slot, out, err);
        if (code == ESPIMAGE_OK && out->slot != 0) {
            code = boot_set_slot(flash, out->slot, err);
        }
    }
    if (code != ESPIMAGE_OK) {
        boot_result_free(out);
    }
    return code;
}

void boot_result_free(struct boot_result *result)
{
    free(result->image);
    result->image = NULL;
}
