/* SPDX-License-Identifier: MIT */
#include "ota/upload.h"

#include "base/bytes.h"
#include "image/image_format.h"

#include <string.h>

#define HIGHEST_MODE       3U
#define HTTPD_HIGHEST_BYTE 0x40U
#define HIGHEST_MAP_CODE   6U
#define ENTRY_HIGH_HALF    0x4010U
#define ENTRY_OFFSET       4U
#define ADDRESS_OFFSET     8U
/* Espruino compares only the fourth bytes that can be an app number. */
#define ESPRUINO_APP_BYTES 3U

/* EHUG's fields. */
#define TAG_OFFSET     4U
#define TAG_COMPARED   27U
#define LENGTHS_OFFSET 32U

enum { OK = 200, BAD_REQUEST = 400, SERVER_ERROR = 500 };

static const struct {
    const char *name;
    size_t piece;
    uint32_t reserved; /* bytes of half the flash that are not firmware */
    uint32_t shortest;
    uint32_t delay; /* milliseconds from the answer to the restart */
} dialects[UPLOAD_DIALECTS] = {
    [UPLOAD_ESP_LINK] = {"esp-link", 1024, ESPIMAGE_SYSTEM_SIZE, 1024, 2000},
    /* As the sample application has it; it keeps nothing for the SDK. */
    [UPLOAD_LIBESPHTTPD] = {"libesphttpd", 1024, ESPIMAGE_SECTOR, 0, 200},
    [UPLOAD_ESPRUINO] = {"espruino", 512, ESPIMAGE_SYSTEM_SIZE, 512, 2000},
};

static const char too_large[] = "Firmware image too large";

const char *upload_dialect_name(enum upload_dialect dialect)
{
    return dialects[dialect].name;
}

size_t upload_piece_size(enum upload_dialect dialect)
{
    return dialects[dialect].piece;
}

uint32_t upload_reboot_delay(enum upload_dialect dialect)
{
    return dialects[dialect].delay;
}

static uint32_t firmware_size(const struct upload_device *device)
{
    uint32_t reserved = dialects[device->dialect].reserved;
    return device->map->half > reserved ? device->map->half - reserved : 0;
}

static uint8_t wanted(const struct upload_device *device)
{
    return (uint8_t)(3 - device->running);
}

static struct upload_answer answer(int status, const char *text)
{
    return (struct upload_answer){status, text};
}

/* ---- headers ---- */

static bool starts_as_image(const uint8_t *b)
{
    return b[0] == MAGIC_V2;
}

static bool right_entry(const uint8_t *b)
{
    return get_le32(b + ENTRY_OFFSET) >> 16 == ENTRY_HIGH_HALF;
}

static bool right_for_httpd(const uint8_t *b)
{
    return starts_as_image(b) && b[HEADER_COUNT] == SECOND_BYTE && b[HEADER_MODE] <= HIGHEST_MODE &&
           b[HEADER_SIZE_FREQ] <= HTTPD_HIGHEST_BYTE && right_entry(b) &&
           get_le32(b + ADDRESS_OFFSET) == 0;
}

/* esp-link's and Espruino's words, or NULL. */
static const char *header_error(const struct upload_device *device, const uint8_t *b)
{
    uint8_t fourth = b[HEADER_SIZE_FREQ];
    if (!starts_as_image(b)) {
        return "IROM magic missing";
    }
    if (b[HEADER_COUNT] != SECOND_BYTE || b[HEADER_MODE] > HIGHEST_MODE ||
        MAP_CODE(fourth) > HIGHEST_MAP_CODE) {
        return "bad flash header";
    }
    if (device->dialect == UPLOAD_ESPRUINO && fourth < ESPRUINO_APP_BYTES &&
        fourth != wanted(device) - 1) {
        return "Wrong partition binary";
    }
    if (!right_entry(b)) {
        return "Invalid entry addr";
    }
    return get_le32(b + ADDRESS_OFFSET) != 0 ? "Invalid start offset" : NULL;
}

/* ---- without an upload ---- */

struct upload_answer upload_refusal(const struct upload_device *device)
{
    enum { FIRST_MAP_FOR_ESP_LINK = 2 }; /* 1 MB, 512+512 */
    if (device->dialect == UPLOAD_ESP_LINK && device->map->code < FIRST_MAP_FOR_ESP_LINK) {
        return answer(BAD_REQUEST, "Flash too small for OTA update");
    }
    return answer(0, "");
}

struct upload_answer upload_reboot(const struct upload_device *device,
                                   const uint8_t header[UPLOAD_HEADER])
{
    if (device->dialect == UPLOAD_LIBESPHTTPD) {
        return answer(OK, "Rebooting...");
    }
    const char *error = header_error(device, header);
    return error != NULL ? answer(BAD_REQUEST, error) : answer(OK, "");
}

/* ---- esp-link, Espruino ---- */

static void write_all(struct upload *u, const uint8_t *bytes, size_t size, struct upload_step *out)
{
    u->slot = wanted(&u->device);
    out->bytes = bytes;
    out->size = size;
    out->slot = u->slot;
    out->offset = u->received;
    u->received += (uint32_t)size;
    u->written = u->received;
    if (u->received >= u->request.length) {
        out->answer = answer(OK, "");
    }
}

/* A piece too short for a header has none. */
static const char *first_piece_error(const struct upload *u, const uint8_t *bytes, size_t size)
{
    static const uint8_t nothing[UPLOAD_HEADER];
    return header_error(&u->device, size >= UPLOAD_HEADER ? bytes : nothing);
}

static struct upload_answer esp_link_refuses(const struct upload *u, const uint8_t *bytes,
                                             size_t size)
{
    const char *error = NULL;
    if (!u->request.post || u->request.length < dialects[UPLOAD_ESP_LINK].shortest) {
        return answer(BAD_REQUEST, "Invalid request");
    }
    if (u->request.length > firmware_size(&u->device)) {
        return answer(BAD_REQUEST, too_large);
    }
    error = u->received == 0 ? first_piece_error(u, bytes, size) : NULL;
    if (error != NULL) {
        return answer(BAD_REQUEST, error);
    }
    if (u->received % dialects[UPLOAD_ESP_LINK].piece != 0) {
        return answer(SERVER_ERROR, "Buffering problem");
    }
    return answer(0, "");
}

static struct upload_answer espruino_refuses(const struct upload *u, const uint8_t *bytes,
                                             size_t size)
{
    if (u->request.length > firmware_size(&u->device)) {
        return answer(BAD_REQUEST, too_large);
    }
    if (u->request.length < dialects[UPLOAD_ESPRUINO].shortest) {
        return answer(BAD_REQUEST, "Firmware too small");
    }
    const char *error = u->received == 0 ? first_piece_error(u, bytes, size) : NULL;
    return error != NULL ? answer(BAD_REQUEST, error) : answer(0, "");
}

/* ---- libesphttpd ---- */

static void httpd_fail(struct upload *u, const char *error)
{
    u->state = UPLOAD_ERROR;
    u->error = error;
}

static bool tag_is_ours(const uint8_t *bundle)
{
    char tag[TAG_COMPARED + 1] = "";
    memcpy(tag, bundle + TAG_OFFSET, TAG_COMPARED);
    return strcmp(tag, UPLOAD_BUNDLE_TAG) == 0;
}

static void begin_bundle(struct upload *u, const uint8_t *bundle)
{
    uint32_t first = get_le32(bundle + LENGTHS_OFFSET);
    uint32_t second = get_le32(bundle + LENGTHS_OFFSET + 4);
    if (!tag_is_ours(bundle) && !u->request.force) {
        httpd_fail(u, "Firmware not intended for this device!\n");
        return;
    }
    if (u->request.length > firmware_size(&u->device) * 2 + UPLOAD_BUNDLE_HEADER) {
        httpd_fail(u, too_large);
        return;
    }
    u->slot = wanted(&u->device);
    u->left = u->slot == 1 ? first : second;
    u->skip = u->slot == 1 ? second : first;
    u->state = u->slot == 1 ? UPLOAD_WRITE : UPLOAD_SKIP;
}

/* Always to the place of user1, also while user1 runs. */
static void begin_plain(struct upload *u)
{
    if (u->request.length > firmware_size(&u->device)) {
        httpd_fail(u, too_large);
        return;
    }
    u->slot = 1;
    u->left = u->request.length;
    u->state = UPLOAD_WRITE;
}

/* Bytes of the piece that are its header. */
static size_t httpd_start(struct upload *u, const uint8_t *bytes, size_t size)
{
    if (size >= UPLOAD_BUNDLE_HEADER && memcmp(bytes, "EHUG", 4) == 0) {
        begin_bundle(u, bytes);
        return UPLOAD_BUNDLE_HEADER;
    }
    if (size >= UPLOAD_HEADER && right_for_httpd(bytes)) {
        begin_plain(u);
    } else {
        httpd_fail(u, "Invalid flash image type!");
    }
    return 0;
}

static size_t httpd_skip(struct upload *u, size_t size)
{
    size_t part = size < u->skip ? size : u->skip;
    u->skip -= (uint32_t)part;
    if (u->skip == 0) {
        u->state = u->left != 0 ? UPLOAD_WRITE : UPLOAD_DONE;
    }
    return part;
}

static size_t httpd_write(struct upload *u, const uint8_t *bytes, size_t size,
                          struct upload_step *out)
{
    size_t part = size < u->left ? size : u->left;
    *out = (struct upload_step){bytes, part, u->slot, u->written, {0, ""}};
    u->written += (uint32_t)part;
    u->left -= (uint32_t)part;
    if (u->left == 0) {
        u->state = u->skip != 0 ? UPLOAD_SKIP : UPLOAD_DONE;
    }
    return part;
}

static void httpd_take(struct upload *u, const uint8_t *bytes, size_t size, struct upload_step *out)
{
    size_t at = u->state == UPLOAD_START && size > 0 ? httpd_start(u, bytes, size) : 0;
    while (at < size && (u->state == UPLOAD_WRITE || u->state == UPLOAD_SKIP)) {
        at += u->state == UPLOAD_WRITE ? httpd_write(u, bytes + at, size - at, out)
                                       : httpd_skip(u, size - at);
    }
    u->received += (uint32_t)size;
    if (u->received >= u->request.length) {
        out->answer = answer(u->state == UPLOAD_ERROR ? BAD_REQUEST : OK,
                             u->state == UPLOAD_DONE ? "" : u->error);
    }
}

/* ---- any ---- */

void upload_begin(struct upload *u, const struct upload_device *device,
                  const struct upload_request *request)
{
    /* The words of libesphttpd for a body that ends too early; its status is 200 all the same. */
    *u = (struct upload){.device = *device, .request = *request, .error = "Premature end"};
}

void upload_take(struct upload *u, const uint8_t *bytes, size_t size, struct upload_step *out)
{
    *out = (struct upload_step){bytes, 0, 0, 0, {0, ""}};
    if (u->device.dialect == UPLOAD_LIBESPHTTPD) {
        httpd_take(u, bytes, size, out);
        return;
    }
    out->answer = u->device.dialect == UPLOAD_ESP_LINK ? esp_link_refuses(u, bytes, size)
                                                       : espruino_refuses(u, bytes, size);
    if (out->answer.status == 0) {
        write_all(u, bytes, size, out);
    }
}
