/* SPDX-License-Identifier: MIT */
/* Images and headers for tests of the exchange. */
#ifndef UNIT_OTA_EXCHANGE_H
#define UNIT_OTA_EXCHANGE_H

#include "ota/client.h"
#include "support/firmware_builder.h"
#include "support/random.h"

#include <stdio.h>
#include <string.h>

#define PARTITION UINT32_C(0xFA000)

static const struct ota_client_options slot1 = {1, PARTITION, OTA_SDK_3};
static const struct ota_client_options slot1_sdk2 = {1, PARTITION, OTA_SDK_2};

/* An image for `app`, as far as the upgrade client looks. */
static inline void fill_image(struct random *r, uint8_t *bytes, size_t size, uint8_t app)
{
    random_fill(r, bytes, size);
    bytes[0] = 0xEA;
    bytes[1] = 4;
    bytes[2] = 0;
    bytes[3] = app;
    seal(bytes, size);
}

/* A header of exactly `size` bytes; below about 50 as short as it goes. Returns its length. */
static inline size_t fill_header(char *to, size_t room, size_t length, size_t size)
{
    static const char pad[] = "X-Pad: ";
    int used = snprintf(to, room, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n", length);
    size_t at = (size_t)used;
    if (size > at + sizeof pad + 3) {
        size_t filler = size - at - (sizeof pad - 1) - 4;
        memcpy(to + at, pad, sizeof pad - 1);
        memset(to + at + sizeof pad - 1, '-', filler);
        at += sizeof pad - 1 + filler;
        memcpy(to + at, "\r\n", 2);
        at += 2;
    }
    memcpy(to + at, "\r\n", 2);
    return at + 2;
}

#endif
