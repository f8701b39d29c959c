/* SPDX-License-Identifier: MIT */
/* The build number by which a firmware names itself in its image. */
#ifndef IMAGE_BUILD_NUMBER_H
#define IMAGE_BUILD_NUMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* In the flash part of an image, with a decimal number and a NUL behind it. The example firmware
 * has it. */
#define BUILD_TAG "espimagetool-build="

#define BUILD_DIGITS 10

/* The first such number in the bytes, as it is written. */
bool build_number_find(const uint8_t *bytes, size_t size, char digits[BUILD_DIGITS + 1]);

#endif
