/* SPDX-License-Identifier: MIT */
/**
 * @file version.h
 * The version of libespimage and of espimagetool; CMakeLists.txt reads it from here.
 */
#ifndef ESPIMAGE_VERSION_H
#define ESPIMAGE_VERSION_H

#include <espimage/export.h>

ESPIMAGE_BEGIN

#define ESPIMAGE_VERSION "0.1.0"

/** The version of the library in use, "major.minor.patch". Static storage. */
ESPIMAGE_API const char *espimage_version(void);

ESPIMAGE_END

#endif
