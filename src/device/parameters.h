/* SPDX-License-Identifier: MIT */
/* Where a virtual device remembers which slot to boot. Also compiled for the lx106, where the boot
 * ROM stand-in of tests/lx106 reads it.
 *
 * On a chip this is part of the system parameters, the last three sectors of the flash, in a format
 * that the vendor does not publish; it is not imitated. A virtual device keeps a record of its own
 * at the start of the first two of those sectors:
 *
 *     0   4  "boot"
 *     4   4  sequence number, 1 and up
 *     8   4  slot to boot, 1 or 2
 *    12   4  CRC-32 (zlib's) of the 12 bytes before it
 *
 * The valid record with the higher sequence number counts; when there is none, as in a blank flash,
 * slot 1 is booted. A new record goes into the sector of the other one, which is erased first:
 * power may fail at any moment. */
#ifndef DEVICE_PARAMETERS_H
#define DEVICE_PARAMETERS_H

#define PARAMETERS_MAGIC    "boot"
#define PARAMETERS_SEQUENCE 4
#define PARAMETERS_SLOT     8
#define PARAMETERS_CRC      12
#define PARAMETERS_SIZE     16

/* Distance of the two records from the end of the flash, in bytes. */
#define PARAMETERS_FIRST_FROM_END  0x3000
#define PARAMETERS_SECOND_FROM_END 0x2000

#endif
