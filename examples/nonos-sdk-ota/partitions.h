/* SPDX-License-Identifier: MIT */
/* Where things are in flash, by map. Slots and bootloader cannot be moved. */
#ifndef PARTITIONS_H
#define PARTITIONS_H

#include "user_config.h"

#if FLASH_MAP == 2
#define FLASH_BYTES 0x100000
#elif FLASH_MAP == 3 || FLASH_MAP == 5
#define FLASH_BYTES 0x200000
#elif FLASH_MAP == 4 || FLASH_MAP == 6
#define FLASH_BYTES 0x400000
#else
#error "FLASH_MAP: 2 (1MB), 3 (2MB), 4 (4MB), 5 (2MB-c1) or 6 (4MB-c1)"
#endif

#define SLOT_1 0x1000
#if FLASH_MAP <= 4
#define SLOT_2    0x81000
#define SLOT_SIZE 0x7A000
#else
#define SLOT_2    0x101000
#define SLOT_SIZE 0xFA000
#endif

/* The last five sectors. */
#define RF_CALIBRATION   (FLASH_BYTES - 0x5000)
#define PHY_DATA         (FLASH_BYTES - 0x4000)
#define SYSTEM_PARAMETER (FLASH_BYTES - 0x3000)

#endif
