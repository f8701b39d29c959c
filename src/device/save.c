/* SPDX-License-Identifier: MIT */
#include "device/save.h"

#include "base/error.h"

#include <espimage/parameters.h>
#include <string.h>

/* Bytes of the record that SDK 3.0 reads and writes; 2.0 to 2.2 have 8 to 16 fewer. */
#define RECORD_SIZE 1188

struct parameters {
    uint32_t address;
    uint8_t selector[ESPIMAGE_SELECTOR_SIZE];
    enum espimage_copy current;
    uint8_t record[RECORD_SIZE]; /* the copy that counts */
};

static enum espimage_code load(const struct flash *flash, struct parameters *out,
                               struct espimage_error *err)
{
    out->address = espimage_parameters_address(flash->size);
    enum espimage_code code = flash_read(flash, out->address + ESPIMAGE_SELECTOR_OFFSET,
                                         out->selector, sizeof out->selector, err);
    if (code != ESPIMAGE_OK) {
        return code;
    }
    out->current = out->selector[0] == 0 ? ESPIMAGE_COPY_A : ESPIMAGE_COPY_B;
    return flash_read(flash, out->address + ESPIMAGE_COPY_OFFSET(out->current), out->record,
                      sizeof out->record, err);
}

static uint8_t running_slot(const struct parameters *p)
{
    struct espimage_record record;
    espimage_record_parse(p->record, &record);
    return espimage_sdk_running(&record);
}

enum espimage_code save_running_slot(const struct flash *flash, uint8_t *slot,
                                     struct espimage_error *err)
{
    struct parameters p;
    enum espimage_code code = load(flash, &p, err);
    if (code == ESPIMAGE_OK) {
        *slot = running_slot(&p);
    }
    return code;
}

/* Erased, written and read back; at most a record. */
static enum espimage_code store(struct flash *flash, uint32_t address, const uint8_t *bytes,
                                uint32_t size, struct espimage_error *err)
{
    uint8_t back[RECORD_SIZE];
    enum espimage_code code = flash_erase(flash, address, err);
    if (code == ESPIMAGE_OK) {
        code = flash_write(flash, address, bytes, size, err);
    }
    if (code == ESPIMAGE_OK) {
        code = flash_read(flash, address, back, size, err);
    }
    if (code == ESPIMAGE_OK && memcmp(back, bytes, size) != 0) {
        return error_found(err, ESPIMAGE_ERR_IO, "the flash at 0x%X does not keep what is written",
                           address);
    }
    return code;
}

enum espimage_code save_other_slot(struct flash *flash, uint8_t *slot, struct espimage_error *err)
{
    struct parameters p;
    uint8_t selector[ESPIMAGE_SELECTOR_SIZE];
    enum espimage_code code = load(flash, &p, err);
    if (code != ESPIMAGE_OK) {
        return code;
    }
    uint8_t other = (uint8_t)(3 - running_slot(&p));
    enum espimage_copy to = p.current == ESPIMAGE_COPY_A ? ESPIMAGE_COPY_B : ESPIMAGE_COPY_A;
    espimage_record_choose_other(p.record);
    espimage_selector_saved(p.selector, to, espimage_record_checksum(p.record), selector);
    code = store(flash, p.address + ESPIMAGE_COPY_OFFSET(to), p.record, sizeof p.record, err);
    if (code == ESPIMAGE_OK) {
        code = store(flash, p.address + ESPIMAGE_SELECTOR_OFFSET, selector, sizeof selector, err);
    }
    if (code == ESPIMAGE_OK) {
        *slot = other;
    }
    return code;
}
