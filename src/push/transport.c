/* SPDX-License-Identifier: MIT */
#include "push/transport.h"

#include "base/error.h"

#include <stdlib.h>
#include <string.h>

#define BIT(consumer) (1U << ESPIMAGE_CONSUMER_##consumer)

static const struct transport_kind kinds[] = {
    {.name = "tcp",
     .port = 88,
     .consumers = BIT(BOOT) | BIT(OTA2) | BIT(OTA3),
     .profile = ESPIMAGE_PROFILE_SDK},
};

static const struct transport_kind *kind_by_name(const char *text, size_t size)
{
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (strlen(kinds[i].name) == size && memcmp(kinds[i].name, text, size) == 0) {
            return &kinds[i];
        }
    }
    return NULL;
}

static bool parse_port(const char *text, uint16_t *port)
{
    char *end = NULL;
    unsigned long number = strtoul(text, &end, 10);
    *port = (uint16_t)number;
    return text[0] >= '0' && text[0] <= '9' && *end == '\0' && number >= 1 && number <= 65535;
}

enum espimage_code transport_parse(const char *text, struct transport *out,
                                   struct espimage_error *err)
{
    size_t size = strcspn(text, ":");
    out->kind = kind_by_name(text, size);
    if (out->kind != NULL) {
        out->port = out->kind->port;
        if (text[size] == '\0' || parse_port(text + size + 1, &out->port)) {
            return ESPIMAGE_OK;
        }
    }
    error_found(err, ESPIMAGE_ERR_USAGE, "unknown value '%s'", text);
    return error_wanted(err, "tcp:PORT");
}
