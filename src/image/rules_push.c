/* SPDX-License-Identifier: MIT */
/* What libesphttpd, esp-link and Espruino check before they write an image that is pushed to them.
 * They look at its first twelve bytes and at its length; neither CRC nor checksum counts.
 * Source: their cgiflash.c. */
#include "base/bytes.h"
#include "image/image_format.h"
#include "image/rules.h"

#define HIGHEST_MODE       3U
#define HTTPD_HIGHEST_BYTE 0x40U
#define LINK_HIGHEST_CODE  6U
#define SHORTEST_IMAGE     1024U

enum espimage_outcome rule_push_header(const struct subject *s, struct espimage_finding *f)
{
    const uint8_t *b = s->view->bytes;
    if (s->view->size < 3) {
        return rule_not_reached(f);
    }
    bool right = b[0] == MAGIC_V2 && b[1] == SECOND_BYTE && b[2] <= HIGHEST_MODE;
    return rule_find(f, rule_pass_if(right, ESPIMAGE_FAIL), "%02X %02X %02X", b[0], b[1], b[2]);
}

static enum espimage_outcome fourth_byte(const struct subject *s, struct espimage_finding *f,
                                         bool (*right)(const struct subject *, uint8_t))
{
    if (s->view->size < 4) {
        return rule_not_reached(f);
    }
    uint8_t b = s->view->bytes[HEADER_SIZE_FREQ];
    return rule_find(f, rule_pass_if(right(s, b), ESPIMAGE_FAIL), "%02X", b);
}

static bool right_for_httpd(const struct subject *s, uint8_t b)
{
    (void)s;
    return b <= HTTPD_HIGHEST_BYTE;
}

static bool right_for_link(const struct subject *s, uint8_t b)
{
    (void)s;
    return MAP_CODE(b) <= LINK_HIGHEST_CODE;
}

static bool right_for_espruino(const struct subject *s, uint8_t b)
{
    return s->options->app == 0 ? b <= 1 : b == s->options->app - 1;
}

enum espimage_outcome rule_httpd_settings(const struct subject *s, struct espimage_finding *f)
{
    return fourth_byte(s, f, right_for_httpd);
}

enum espimage_outcome rule_link_settings(const struct subject *s, struct espimage_finding *f)
{
    return fourth_byte(s, f, right_for_link);
}

enum espimage_outcome rule_espruino_app(const struct subject *s, struct espimage_finding *f)
{
    return fourth_byte(s, f, right_for_espruino);
}

enum espimage_outcome rule_push_entry(const struct subject *s, struct espimage_finding *f)
{
    if (s->view->size < 8) {
        return rule_not_reached(f);
    }
    uint32_t entry = get_le32(s->view->bytes + 4);
    return rule_find(f, rule_pass_if(entry >> 16 == 0x4010, ESPIMAGE_FAIL), "0x%08X", entry);
}

enum espimage_outcome rule_push_address(const struct subject *s, struct espimage_finding *f)
{
    if (s->view->size < 12) {
        return rule_not_reached(f);
    }
    uint32_t address = get_le32(s->view->bytes + 8);
    return rule_find(f, rule_pass_if(address == 0, ESPIMAGE_FAIL), "%08X", address);
}

/* Half of the flash, less what the SDK keeps at its end. */
enum espimage_outcome rule_push_length(const struct subject *s, struct espimage_finding *f)
{
    if (s->map == NULL || s->map->half == 0) {
        return rule_find(f, ESPIMAGE_WARN, "%zu bytes; the flash map is unknown or has no slots",
                         s->view->size);
    }
    uint32_t limit = s->map->half - ESPIMAGE_SYSTEM_SIZE;
    return rule_find(f, rule_pass_if(s->view->size <= limit, ESPIMAGE_FAIL), "%zu of %u bytes (%s)",
                     s->view->size, limit, s->map->name);
}

enum espimage_outcome rule_link_length(const struct subject *s, struct espimage_finding *f)
{
    return rule_find(f, rule_pass_if(s->view->size >= SHORTEST_IMAGE, ESPIMAGE_FAIL), "%zu bytes",
                     s->view->size);
}
