/* SPDX-License-Identifier: MIT */
#ifndef ESPIMAGE_EXPORT_H
#define ESPIMAGE_EXPORT_H

/** Marks what the shared library exports; everything else is hidden. */
#if defined(__GNUC__)
#define ESPIMAGE_API __attribute__((visibility("default")))
#else
#define ESPIMAGE_API
#endif

#ifdef __cplusplus
#define ESPIMAGE_BEGIN extern "C" {
#define ESPIMAGE_END   }
#else
#define ESPIMAGE_BEGIN
#define ESPIMAGE_END
#endif

#endif
