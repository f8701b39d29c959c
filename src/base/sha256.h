/* SPDX-License-Identifier: MIT */
#ifndef BASE_SHA256_H
#define BASE_SHA256_H

#include <stddef.h>
#include <stdint.h>

/* 64 hexadecimal digits and a NUL. */
#define SHA256_TEXT 65

/* 44 characters and a NUL. */
#define SHA256_BASE64 45

void sha256_base64(const uint8_t *bytes, size_t size, char text[SHA256_BASE64]);
void sha256_text(const uint8_t *bytes, size_t size, char text[SHA256_TEXT]);

#endif
