/* SPDX-License-Identifier: MIT */
/* What can go wrong while a virtual device is updated, and the power that fails on the way. */
#ifndef DEVICE_FAULTS_H
#define DEVICE_FAULTS_H

#include "device/flash.h"

enum power_cut {
    CUT_NEVER,
    CUT_WRITE, /* after so many bytes of the image */
    CUT_ERASE, /* before this sector erase, the first is 0 */
    CUT_FLAG   /* while the slot to boot is saved: see enum flag_step */
};

/* For CUT_FLAG: where in the SDK's save, see save.h. */
enum flag_step {
    FLAG_BEFORE_RECORD_ERASE,
    FLAG_AFTER_RECORD_ERASE,
    FLAG_HALF_RECORD,
    FLAG_AFTER_RECORD,
    FLAG_AFTER_SELECTOR_ERASE,
    FLAG_HALF_SELECTOR,
    FLAG_AFTER_SELECTOR,
    FLAG_STEPS
};

struct faults {
    enum power_cut cut;
    uint32_t cut_at;
    bool drops;
    uint32_t drop_after; /* bytes of the body after which the device closes the connection */
    bool flips;
    uint32_t flip;  /* of the byte at this offset of the image, bit `flip` modulo 8 */
    uint32_t stall; /* seconds for which it stops reading, in the middle */
};

/* The power of one update. */
struct power {
    const struct faults *faults;
    uint32_t slot;       /* flash address of the one that is written */
    uint32_t parameters; /* the following are for faults.c */
    unsigned saved;      /* changes of the save */
};

/* Until power_ignore() the flash asks it before each change; it must live as long. */
void power_watch(struct power *power, struct flash *flash);
void power_ignore(struct flash *flash);

/* Where the power failed. */
void power_failed_at(const struct faults *faults, char *out, size_t room);

/* Flips the bit that is to be flipped when it lies in these bytes of the image. */
void faults_flip(const struct faults *faults, uint32_t offset, uint8_t *bytes, size_t size);

#endif
