/* SPDX-License-Identifier: MIT */
/**
 * @file version.h
 * The version of libespimage and of espimagetool; CMakeLists.txt reads it from here.
 */
#ifndef ESPIMAGE_VERSION_H
#define ESPIMAGE_VERSION_H

#include <espimage/export.h>

ESPIMAGE_BEGIN

#define ESPIMAGE_VERSION_MAJOR 0
#define ESPIMAGE_VERSION_MINOR 1
#define ESPIMAGE_VERSION_PATCH 0

/**
 * For the preprocessor: 0x000100 is 0.1.0, one byte each for major, minor and patch.
 *
 *     #if ESPIMAGE_VERSION_NUMBER >= 0x000200
 */
#define ESPIMAGE_VERSION_NUMBER                                                                    \
    (ESPIMAGE_VERSION_MAJOR * 0x10000 + ESPIMAGE_VERSION_MINOR * 0x100 + ESPIMAGE_VERSION_PATCH)

#define ESPIMAGE_TEXT_OF(number) #number
#define ESPIMAGE_DOTTED(a, b, c) ESPIMAGE_TEXT_OF(a) "." ESPIMAGE_TEXT_OF(b) "." ESPIMAGE_TEXT_OF(c)

/** "major.minor.patch" of these headers. */
#define ESPIMAGE_VERSION                                                                           \
    ESPIMAGE_DOTTED(ESPIMAGE_VERSION_MAJOR, ESPIMAGE_VERSION_MINOR, ESPIMAGE_VERSION_PATCH)

/** The version of the library in use, which may be newer than these headers. Static storage. */
ESPIMAGE_API const char *espimage_version(void);

ESPIMAGE_END

#endif
