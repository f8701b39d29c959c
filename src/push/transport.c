/* SPDX-License-Identifier: MIT */
#include "push/transport.h"

#include "base/bytes.h"
#include "base/error.h"

#include <stdlib.h>
#include <string.h>

#define BIT(consumer) (1U << ESPIMAGE_CONSUMER_##consumer)
#define LONGEST_URL   600
#define PULLED        (BIT(BOOT) | BIT(OTA2) | BIT(OTA3))

/* Sources: the upgrade pages of esp-link, libesphttpd and Espruino; see ota/upload.h. */
static const struct transport_kind kinds[] = {
    {"tcp", TRIGGER_CONNECTION, 88, PULLED, ESPIMAGE_PROFILE_SDK, 0, false, NULL},
    {"http", TRIGGER_REQUEST, 80, PULLED, ESPIMAGE_PROFILE_SDK, 0, false, NULL},
    {"exec", TRIGGER_COMMAND, 0, PULLED, ESPIMAGE_PROFILE_SDK, 0, false, NULL},
    {"esp-link", TRIGGER_NONE, 80, BIT(BOOT) | BIT(ESP_LINK), ESPIMAGE_PROFILE_SDK, 1024, false,
     "GET"},
    {"libesphttpd", TRIGGER_NONE, 80, BIT(BOOT) | BIT(LIBESPHTTPD), ESPIMAGE_PROFILE_SDK, 0, true,
     "GET"},
    {"espruino", TRIGGER_NONE, 88, BIT(BOOT) | BIT(ESPRUINO), ESPIMAGE_PROFILE_ESPRUINO, 0, false,
     "POST"},
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

/* ":PORT" or nothing, and a path or nothing. */
static bool port_and_path_are_good(const char *rest)
{
    char text[8] = "";
    uint16_t port = 0;
    if (*rest != ':') {
        return *rest == '/' || *rest == '\0';
    }
    size_t size = strcspn(rest + 1, "/");
    if (size >= sizeof text) {
        return false;
    }
    memcpy(text, rest + 1, size);
    return parse_port(text, &port);
}

bool transport_url_is_good(const char *url)
{
    static const char start[] = "http://{device}";
    return strncmp(url, start, sizeof start - 1) == 0 && strlen(url) <= LONGEST_URL &&
           strpbrk(url, " \t\r\n") == NULL && port_and_path_are_good(url + sizeof start - 1);
}

/* What is behind "http:": a method, or none, and a URL; or the rest of a URL. */
static bool parse_request(const char *text, struct transport *out)
{
    const char *rest = text + strlen("http:");
    out->method = strncmp(rest, "POST ", 5) == 0 ? "POST" : "GET";
    rest += strncmp(rest, "POST ", 5) == 0 ? 5 : 0;
    rest += strncmp(rest, "GET ", 4) == 0 ? 4 : 0;
    out->url = strncmp(rest, "//", 2) == 0 ? text : rest;
    return transport_url_is_good(out->url);
}

static bool parse(const char *text, struct transport *out)
{
    size_t size = strcspn(text, ":");
    *out = (struct transport){.kind = kind_by_name(text, size)};
    if (out->kind == NULL) {
        return false;
    }
    out->port = out->kind->port;
    switch (out->kind->trigger) {
    case TRIGGER_REQUEST: return text[size] == ':' && parse_request(text, out);
    case TRIGGER_COMMAND:
        out->command = text + size + 1;
        return text[size] == ':' && out->command[0] != '\0';
    default: return text[size] == '\0' || parse_port(text + size + 1, &out->port);
    }
}

enum espimage_code transport_parse(const char *text, struct transport *out,
                                   struct espimage_error *err)
{
    if (parse(text, out)) {
        return ESPIMAGE_OK;
    }
    error_found(err, ESPIMAGE_ERR_USAGE, "unknown value '%s'", text);
    return error_wanted(err, "tcp:PORT, esp-link, libesphttpd or espruino [:PORT], "
                             "http://{device}/PATH, or exec:COMMAND");
}

uint8_t *transport_bundle(const uint8_t *first, size_t first_size, const uint8_t *second,
                          size_t second_size, const char *tag, size_t *size)
{
    enum { HEADER = 40 };
    static const uint8_t magic[4] = {'E', 'H', 'U', 'G'};
    *size = HEADER + first_size + second_size;
    uint8_t *bundle = calloc(1, *size);
    if (bundle != NULL) {
        memcpy(bundle, magic, sizeof magic);
        memcpy(bundle + 4, tag, strnlen(tag, TRANSPORT_BUNDLE_TAG - 1));
        put_le32(bundle + 32, (uint32_t)first_size);
        put_le32(bundle + 36, (uint32_t)second_size);
        memcpy(bundle + HEADER, first, first_size);
        memcpy(bundle + HEADER + first_size, second, second_size);
    }
    return bundle;
}
