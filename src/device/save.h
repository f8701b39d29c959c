/* SPDX-License-Identifier: MIT */
/* What the SDK does at the end of an update: it chooses the other slot (system_upgrade_reboot). */
#ifndef DEVICE_SAVE_H
#define DEVICE_SAVE_H

#include "device/flash.h"

/* The slot that the SDK takes for the running one, 1 or 2. */
enum espimage_code save_running_slot(const struct flash *flash, uint8_t *slot,
                                     struct espimage_error *err);

/* Chooses the other slot than that. *slot is the one that will be used. The changes, in this order:
 * the copy that does not count is erased and written, then the selector is; each is read back.
 * While the selector is erased copy B counts. ESPIMAGE_ERR_IO also when the flash does not keep
 * what was written. */
enum espimage_code save_other_slot(struct flash *flash, uint8_t *slot, struct espimage_error *err);

/* The changes of save_other_slot(), for faults on the way. */
enum save_change {
    SAVE_ERASE_RECORD,
    SAVE_WRITE_RECORD,
    SAVE_ERASE_SELECTOR,
    SAVE_WRITE_SELECTOR,
    SAVE_CHANGES
};

#endif
