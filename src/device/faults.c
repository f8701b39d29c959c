/* SPDX-License-Identifier: MIT */
#include "device/faults.h"

#include "device/save.h"

#include <espimage/parameters.h>
#include <stdio.h>

static bool cut_write(const struct power *p, uint32_t address, uint32_t *size)
{
    uint32_t offset = address - p->slot;
    uint32_t at = p->faults->cut_at;
    if (offset + *size < at) {
        return false;
    }
    *size = at > offset ? at - offset : 0;
    return true;
}

static bool cut_erase(const struct power *p, uint32_t address, uint32_t *size)
{
    if ((address - p->slot) / ESPIMAGE_SECTOR != p->faults->cut_at) {
        return false;
    }
    *size = 0;
    return true;
}

/* Which change of the save the power fails at, and after how much of it. */
static const struct {
    enum save_change change;
    enum { NOTHING, HALF, ALL } part;
    const char *words;
} flag_steps[FLAG_STEPS] = {
    [FLAG_BEFORE_RECORD_ERASE] = {SAVE_ERASE_RECORD, NOTHING, "before the record's erase"},
    [FLAG_AFTER_RECORD_ERASE] = {SAVE_ERASE_RECORD, ALL, "after the record's erase"},
    [FLAG_HALF_RECORD] = {SAVE_WRITE_RECORD, HALF, "after half of the record"},
    [FLAG_AFTER_RECORD] = {SAVE_WRITE_RECORD, ALL, "after the record"},
    [FLAG_AFTER_SELECTOR_ERASE] = {SAVE_ERASE_SELECTOR, ALL, "after the selector's erase"},
    [FLAG_HALF_SELECTOR] = {SAVE_WRITE_SELECTOR, HALF, "after half of the selector"},
    [FLAG_AFTER_SELECTOR] = {SAVE_WRITE_SELECTOR, ALL, "after the selector"},
};

static bool cut_save(struct power *p, uint32_t *size)
{
    uint32_t step = p->faults->cut_at;
    if (p->saved++ != flag_steps[step].change) {
        return false;
    }
    switch (flag_steps[step].part) {
    case NOTHING: *size = 0; break;
    case HALF: *size /= 2; break;
    case ALL: break;
    }
    return true;
}

static bool fails(void *context, enum flash_change change, uint32_t address, uint32_t *size)
{
    struct power *p = context;
    bool saving = address >= p->parameters;
    switch (p->faults->cut) {
    case CUT_WRITE: return !saving && change == FLASH_WRITE && cut_write(p, address, size);
    case CUT_ERASE: return !saving && change == FLASH_ERASE && cut_erase(p, address, size);
    case CUT_FLAG: return saving && cut_save(p, size);
    case CUT_NEVER: break;
    }
    return false;
}

void power_watch(struct power *power, struct flash *flash)
{
    power->parameters = espimage_parameters_address(flash->size);
    power->saved = 0;
    flash->power = fails;
    flash->context = power;
}

void power_ignore(struct flash *flash)
{
    flash->power = NULL;
}

void power_failed_at(const struct faults *faults, char *out, size_t room)
{
    switch (faults->cut) {
    case CUT_WRITE: (void)snprintf(out, room, "byte %u of the image", faults->cut_at); break;
    case CUT_ERASE: (void)snprintf(out, room, "sector erase %u", faults->cut_at); break;
    default:
        (void)snprintf(out, room, "flag step %u, %s", faults->cut_at,
                       flag_steps[faults->cut_at].words);
        break;
    }
}

void faults_flip(const struct faults *faults, uint32_t offset, uint8_t *bytes, size_t size)
{
    if (faults->flips && faults->flip >= offset && faults->flip - offset < size) {
        bytes[faults->flip - offset] ^= (uint8_t)(1U << faults->flip % 8);
    }
}
