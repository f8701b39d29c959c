/* SPDX-License-Identifier: MIT */
/* What a device with this flash runs, and what it asks for at its next update. */
#ifndef IMAGE_FLASH_BOOT_H
#define IMAGE_FLASH_BOOT_H

#include <espimage/flash_image.h>
#include <espimage/parameters.h>

enum flash_boot_outcome {
    FLASH_BOOT_RUNS,
    FLASH_BOOT_FALLS_BACK,  /* the chosen slot has no image: it runs the other, within 4 resets */
    FLASH_BOOT_CRASHES,     /* the image that is started, at every reset, for ever */
    FLASH_BOOT_DEAD,        /* no image that the bootloader would try */
    FLASH_BOOT_FLAG_ERROR,  /* "error user bin flag" */
    FLASH_BOOT_ADDRESS,     /* test or enhance mode */
    FLASH_BOOT_MAP_REFUSED, /* boot 1.7: "flash map not support" */
    FLASH_BOOT_UNKNOWN      /* the parameter sectors are not in the file */
};

struct flash_boot {
    enum flash_boot_outcome outcome;
    enum espimage_boot_version version; /* UNKNOWN: no loader of Espressif's; judged as 1.6 */
    char found[160];                    /* of the slot tried last: why it does not run, or "" */
    enum espimage_boot_map map;         /* what it makes of the map in its header */
    uint8_t runs;                       /* slot; 0: none */
    uint8_t selected;                   /* slot that the record chose; 0: none */
    bool failed;                        /* it failed, and is not tried again until an update */
    uint8_t asks;                       /* slot whose file the next update requests; 0: unknown */
    uint32_t address;                   /* for FLASH_BOOT_ADDRESS */
    uint32_t sectors;                   /* flash address of the three parameter sectors */
    struct espimage_parameters parameters;
    uint8_t networks; /* stored names of networks, of the copy that counts */
};

/* @param flash  parsed from the bytes. */
void flash_boot_find(const uint8_t *bytes, size_t size, const struct espimage_flash_view *flash,
                     struct flash_boot *out);

#endif
