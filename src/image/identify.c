/* SPDX-License-Identifier: MIT */
/* What a file is. The table of kinds is the only home of their names and texts. */
#include "image/identify.h"

#include "base/bytes.h"
#include "image/checksum.h"
#include "image/image_format.h"

#include <espimage/flash_image.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define KIND(name, is, advice)                                                                     \
    {                                                                                              \
        name, is, advice, is ": " advice                                                           \
    }

#define BINARY_COPY "copy it again in binary mode"
#define OWN_UPDATE  "it cannot be user1 or user2"

static const struct {
    const char *name;
    const char *is;     /* what such a file is */
    const char *advice; /* what it is for, what to do with it */
    const char *text;   /* both */
} kinds[] = {
    [ESPIMAGE_MISTAKE_NONE] = {"none", "", "", ""},

    [ESPIMAGE_MISTAKE_EMPTY] = KIND("empty", "the file is empty", "build or download it again"),
    [ESPIMAGE_MISTAKE_ELF] = KIND("elf", "an ELF file, not an image", "convert it first"),
    [ESPIMAGE_MISTAKE_HTML] =
        KIND("html", "a web page saved as an image", "the download failed; get the file itself"),
    [ESPIMAGE_MISTAKE_HTTP] =
        KIND("http", "an HTTP response, header included", "save only the body"),
    [ESPIMAGE_MISTAKE_GZIP] = KIND("gzip", "compressed with gzip", "decompress it; devices do not"),
    [ESPIMAGE_MISTAKE_ZIP] = KIND("zip", "a zip archive", "unpack it and take the .bin file in it"),
    [ESPIMAGE_MISTAKE_LFS_POINTER] =
        KIND("lfs-pointer", "a Git LFS pointer, not the file itself", "run git lfs pull"),
    [ESPIMAGE_MISTAKE_INTEL_HEX] =
        KIND("intel-hex", "text in Intel HEX", "turn it into bytes with objcopy -I ihex -O binary"),
    [ESPIMAGE_MISTAKE_BASE64] =
        KIND("base64", "text in base64", "turn it into bytes with base64 -d"),
    [ESPIMAGE_MISTAKE_BLANK] = KIND("blank", "erased flash, nothing but FF at the start",
                                    "read or build it again; a blank sector is not an image"),

    [ESPIMAGE_MISTAKE_FLASH] =
        KIND("flash", "a flash dump", "it is written to flash address 0; a slot takes one image"),
    [ESPIMAGE_MISTAKE_BOOTLOADER] =
        KIND("bootloader", "Espressif's bootloader",
             "it is written to flash address 0 by cable and starts user1 and user2; " OWN_UPDATE),
    [ESPIMAGE_MISTAKE_RBOOT_BOOTLOADER] =
        KIND("rboot-bootloader", "the bootloader rBoot",
             "it is written to flash address 0 by cable; " OWN_UPDATE),
    [ESPIMAGE_MISTAKE_RTOS3_BOOTLOADER] =
        KIND("rtos3-bootloader", "the bootloader of Espressif's RTOS SDK 3",
             "esptool writes it to flash address 0; it does not start user1 and user2"),
    [ESPIMAGE_MISTAKE_ARDUINO] = KIND("arduino", "an Arduino image, eboot and a sketch",
                                      "esptool writes it to flash address 0; update it with "
                                      "ArduinoOTA or HTTPUpdate; " OWN_UPDATE),
    [ESPIMAGE_MISTAKE_RTOS3] =
        KIND("rtos3", "an application of Espressif's RTOS SDK 3",
             "esptool or idf.py writes it to its partition, esp_https_ota updates it; " OWN_UPDATE),
    [ESPIMAGE_MISTAKE_ESP32] =
        KIND("esp32", "an image for a chip of the ESP32 family", "the ESP8266 cannot run it"),
    [ESPIMAGE_MISTAKE_OLD_FORMAT] =
        KIND("old-format", "an image in the old layout (v1, irom 64 KB behind its start)",
             "bootloaders 1.4 to 1.7 start it; for the new layout link with an "
             "eagle.app.v6.new.*.ld linker script"),
    [ESPIMAGE_MISTAKE_ONE_FILE] =
        KIND("one-file", "firmware for no bootloader, both parts in one file",
             "it is written to flash address 0 by cable; for user1 and user2 link with an "
             "eagle.app.v6.new.*.ld linker script"),
    [ESPIMAGE_MISTAKE_V1] =
        KIND("v1", "a v1 image, the RAM part of firmware for no bootloader",
             "it is written to flash address 0, its flash part where that is linked; for user1 and "
             "user2 link with an eagle.app.v6.new.*.ld linker script"),
    [ESPIMAGE_MISTAKE_IROM] =
        KIND("irom", "code for flash without a header (eagle.irom0text.bin or the like)",
             "it is written to the flash address that it is linked for, beside the v1 image at 0"),
    [ESPIMAGE_MISTAKE_INIT_DATA] =
        KIND("init-data", "the SDK's init data (esp_init_data_default.bin)",
             "it is written 4 sectors before the end of the flash"),
    [ESPIMAGE_MISTAKE_PARTITION_TABLE] =
        KIND("partition-table", "a partition table of Espressif's RTOS SDK 3",
             "esptool writes it to 0x8000; the layout of user1 and user2 has none"),
    [ESPIMAGE_MISTAKE_EHUG] =
        KIND("ehug", "a libesphttpd bundle (EHUG) of user1 and user2",
             "the upload page of a libesphttpd device takes it; the SDK's library needs one image"),
    [ESPIMAGE_MISTAKE_SMING_BUNDLE] =
        KIND("sming-bundle", "a Sming firmware bundle (firmware.ota)",
             "Sming's own updater takes it; the SDK's library needs one image"),

    [ESPIMAGE_MISTAKE_OFFSET] =
        KIND("offset", "an image begins behind other bytes", "remove what is before it"),
    [ESPIMAGE_MISTAKE_TWO_IMAGES] =
        KIND("two-images", "two images in one file", "cut it into one file for each"),
    [ESPIMAGE_MISTAKE_TEXT_MODE] = KIND(
        "text-mode", "each line feed (0A) became CR LF (0D 0A), a text-mode copy", BINARY_COPY),
    [ESPIMAGE_MISTAKE_UTF8] =
        KIND("utf8", "each byte from 80 on became a UTF-8 character, a text copy", BINARY_COPY),
    [ESPIMAGE_MISTAKE_REPLACED] =
        KIND("replaced", "each byte from 80 on was replaced, a text copy", BINARY_COPY),
    [ESPIMAGE_MISTAKE_TRUNCATED] =
        KIND("truncated", "truncated, the end is missing", "copy or build it again"),
    [ESPIMAGE_MISTAKE_TRAILING] =
        KIND("trailing", "bytes follow the end of the image",
             "cut the file there; devices take the last four bytes for the CRC"),
    [ESPIMAGE_MISTAKE_READBACK] =
        KIND("readback", "no CRC, then erased flash; read back from a device",
             "convert the ELF; devices take the last four bytes for the CRC"),
    [ESPIMAGE_MISTAKE_EDITED] = KIND("edited", "bytes 2 and 3 were changed after the CRC was made",
                                     "convert the ELF for the right slot"),

    [ESPIMAGE_MISTAKE_ESPTOOL] =
        KIND("esptool", "made by esptool elf2image, flash settings in place of the app number",
             "convert the ELF with profile sdk"),
    [ESPIMAGE_MISTAKE_RTOS1] =
        KIND("rtos1",
             "made by gen_appbin of Espressif's RTOS SDK 1.x, flash settings in place of the app "
             "number",
             "that SDK's updater takes it; for the NONOS SDK convert the ELF with profile sdk"),
    [ESPIMAGE_MISTAKE_ESPTOOL2] =
        KIND("esptool2", "made by esptool2 for rBoot, or by an early gen_appbin, without a CRC",
             "bootloaders start it; for the SDK's library convert the ELF with profile sdk"),
    [ESPIMAGE_MISTAKE_APP_0] =
        KIND("app-0", "numbered 0 as user1, as Espruino, esp-link and libesphttpd do",
             "their upload pages take it; for the SDK's library convert the ELF with profile sdk"),
    [ESPIMAGE_MISTAKE_NO_CRC] =
        KIND("no-crc", "made by an early gen_appbin, without app number and CRC",
             "bootloaders start it; for the SDK's library convert the ELF with profile sdk"),
    [ESPIMAGE_MISTAKE_GEN_APPBIN_PY3] =
        KIND("gen_appbin-py3",
             "made by a Python 3 port of gen_appbin.py, the CRC is of the wrong branch (unsigned "
             "arithmetic)",
             "convert the ELF"),
    [ESPIMAGE_MISTAKE_PLAIN_CRC] =
        KIND("plain-crc", "the last four bytes are an ordinary CRC-32",
             "the CRC of devices differs, see espimage-format(5); convert the ELF"),
    [ESPIMAGE_MISTAKE_SECOND_BYTE] =
        KIND("second-byte",
             "made by ESPImageTool from an ELF without exactly three RAM segments, the second byte "
             "is their count, not the constant 04",
             "convert the ELF"),
    [ESPIMAGE_MISTAKE_E9_HEADER] =
        KIND("e9-header", "the new layout with E9 as its first byte, where EA belongs",
             "bootloaders take it for a v1 image and crash; convert the ELF"),

    [ESPIMAGE_MISTAKE_UNKNOWN] = {"unknown", "neither an image nor anything that is known", "",
                                  "neither an image nor anything that is known"},
};

const char *espimage_mistake_name(enum espimage_mistake mistake)
{
    return kinds[mistake].name;
}

const char *espimage_mistake_text(enum espimage_mistake mistake)
{
    return kinds[mistake].text;
}

bool identify_as(struct espimage_identity *out, enum espimage_mistake mistake, const char *found,
                 ...)
{
    out->mistake = mistake;
    if (found == NULL) {
        (void)snprintf(out->is, sizeof out->is, "%s", kinds[mistake].is);
        (void)snprintf(out->text, sizeof out->text, "%s", kinds[mistake].text);
        return true;
    }
    va_list args;
    va_start(args, found);
    (void)vsnprintf(out->is, sizeof out->is, found, args);
    va_end(args);
    (void)snprintf(out->text, sizeof out->text, "%s: %s", out->is, kinds[mistake].advice);
    return true;
}

bool identify_is_text_mode(const uint8_t *bytes, size_t size)
{
    size_t line_feeds = 0;
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] == '\n') {
            if (i == 0 || bytes[i - 1] != '\r') {
                return false;
            }
            line_feeds++;
        }
    }
    return line_feeds >= 2; /* by chance: 1 in 65536 */
}

/* ---- images for the new bootloader ---- */

/* Both headers carry the same flash settings, as esptool and esptool2 write them. */
static bool settings_outside(const struct espimage_image_view *v)
{
    return v->outer[HEADER_MODE] == v->inner[HEADER_MODE] &&
           v->outer[HEADER_SIZE_FREQ] == v->inner[HEADER_SIZE_FREQ];
}

static bool numbers_a_slot(const struct espimage_image_view *v)
{
    return v->outer[HEADER_APP] == 1 || v->outer[HEADER_APP] == 2;
}

static bool is_iram(uint32_t address)
{
    const struct espimage_region *region = espimage_region_at(address);
    return region != NULL && region->kind == ESPIMAGE_REGION_IRAM;
}

/* The linker scripts have .text behind .data and .rodata, gen_appbin puts it first. */
static bool text_comes_first(const struct espimage_image_view *v)
{
    return v->segment_count > 1 && is_iram(v->segment[0].address) &&
           !is_iram(v->segment[1].address);
}

/* Nothing follows the checksum. */
static bool identify_without_crc(const struct espimage_image_view *v, struct espimage_identity *out)
{
    if (!numbers_a_slot(v) && settings_outside(v) && v->outer[HEADER_SIZE_FREQ] != 0) {
        return identify_as(out, ESPIMAGE_MISTAKE_ESPTOOL2, NULL);
    }
    if (v->outer[HEADER_APP] == 0) {
        bool settings = settings_outside(v) && v->outer[HEADER_MODE] != 0;
        return identify_as(out, settings ? ESPIMAGE_MISTAKE_ESPTOOL2 : ESPIMAGE_MISTAKE_NO_CRC,
                           NULL);
    }
    return identify_as(out, ESPIMAGE_MISTAKE_TRUNCATED, "truncated, the CRC is missing");
}

/* The CRC that devices want, right for bytes 2 and 3 as they are or as they may have been. */
static uint32_t crc_with(const struct espimage_image_view *v, uint8_t b2, uint8_t b3)
{
    const uint8_t head[] = {v->outer[HEADER_MAGIC], v->outer[HEADER_COUNT], b2, b3};
    uint32_t crc = checksum_crc32(head, sizeof head);
    crc = checksum_crc32_more(crc, v->bytes + sizeof head, v->size - sizeof head - CRC_SIZE);
    return checksum_device_crc(crc);
}

static bool find_edited(const struct espimage_image_view *v, uint32_t stored,
                        struct espimage_identity *out)
{
    const uint8_t before[][2] = {{0, 1},
                                 {0, 2},
                                 {0, 0},
                                 {v->inner[HEADER_MODE], v->inner[HEADER_SIZE_FREQ]},
                                 {v->inner[HEADER_MODE], 1},
                                 {v->inner[HEADER_MODE], 2}};
    for (size_t i = 0; i < sizeof before / sizeof before[0]; i++) {
        if (crc_with(v, before[i][0], before[i][1]) == stored) {
            return identify_as(out, ESPIMAGE_MISTAKE_EDITED,
                               "bytes 2 and 3 are %02X %02X, but the CRC was made with %02X %02X",
                               v->outer[HEADER_MODE], v->outer[HEADER_APP], before[i][0],
                               before[i][1]);
        }
    }
    return false;
}

/* Four bytes follow the checksum. */
static bool identify_by_crc(const struct espimage_image_view *v, struct espimage_identity *out)
{
    uint32_t crc = checksum_crc32(v->bytes, v->size - CRC_SIZE);
    uint32_t stored = get_le32(v->bytes + v->size - CRC_SIZE);
    if (stored == checksum_device_crc(crc)) {
        if (numbers_a_slot(v)) {
            return false;
        }
        if (v->outer[HEADER_MODE] == 0 && v->outer[HEADER_APP] == 0) {
            return identify_as(out, ESPIMAGE_MISTAKE_APP_0, NULL);
        }
        return settings_outside(v) &&
               identify_as(out,
                           text_comes_first(v) ? ESPIMAGE_MISTAKE_RTOS1 : ESPIMAGE_MISTAKE_ESPTOOL,
                           NULL);
    }
    if (stored == crc) {
        return identify_as(out, ESPIMAGE_MISTAKE_PLAIN_CRC, NULL);
    }
    if (stored == crc + 1) {
        return identify_as(out, ESPIMAGE_MISTAKE_GEN_APPBIN_PY3, NULL);
    }
    return find_edited(v, stored, out);
}

/* More than a CRC follows the checksum. */
static bool identify_trailing(const struct espimage_image_view *v, struct espimage_identity *out)
{
    size_t end = v->size - v->trailing;
    if (bytes_all(v->bytes + end, v->trailing, 0xFF)) {
        return identify_as(out, ESPIMAGE_MISTAKE_READBACK, NULL);
    }
    uint32_t crc = espimage_image_crc(v->bytes, end + CRC_SIZE);
    bool has_crc = get_le32(v->bytes + end) == crc;
    end += has_crc ? CRC_SIZE : 0;
    size_t next = end;
    while (next < v->size && (v->bytes[next] == 0xFF || v->bytes[next] == 0)) {
        next++;
    }
    if (identify_is_image(v->bytes + next, v->size - next)) {
        out->offset = next;
        return identify_as(out, ESPIMAGE_MISTAKE_TWO_IMAGES,
                           "two images in one file, the second at offset %zu", next);
    }
    return identify_as(out, ESPIMAGE_MISTAKE_TRAILING, "%zu bytes follow the %s at offset %zu",
                       v->size - end, has_crc ? "CRC" : "checksum", end);
}

static bool identify_new_layout(const struct espimage_image_view *v, struct espimage_identity *out)
{
    bool whole = v->extent == ESPIMAGE_EXTENT_CHECKSUM && v->inner[HEADER_MAGIC] == MAGIC_V1;
    bool sums_right = whole && v->checksum_stored == v->checksum_ram;
    if (!sums_right && identify_is_text_mode(v->bytes, v->size)) {
        return identify_as(out, ESPIMAGE_MISTAKE_TEXT_MODE, NULL);
    }
    if (v->extent < ESPIMAGE_EXTENT_CHECKSUM) {
        return identify_as(out, ESPIMAGE_MISTAKE_TRUNCATED, NULL);
    }
    if (v->outer[HEADER_MAGIC] == MAGIC_V1) {
        return identify_as(out, ESPIMAGE_MISTAKE_E9_HEADER, NULL);
    }
    if (v->outer[HEADER_COUNT] != SECOND_BYTE &&
        (v->outer[HEADER_COUNT] == v->inner[HEADER_COUNT] ||
         v->outer[HEADER_COUNT] == v->inner[HEADER_COUNT] + 1)) {
        return identify_as(out, ESPIMAGE_MISTAKE_SECOND_BYTE, NULL);
    }
    if (v->trailing == 0) {
        return identify_without_crc(v, out);
    }
    if (v->trailing < CRC_SIZE) {
        return identify_as(out, ESPIMAGE_MISTAKE_TRUNCATED, "truncated, the CRC is not complete");
    }
    return v->trailing == CRC_SIZE ? identify_by_crc(v, out) : identify_trailing(v, out);
}

void espimage_identify(const uint8_t *bytes, size_t size, struct espimage_identity *out)
{
    struct espimage_image_view view;
    memset(out, 0, sizeof *out);
    if (size == 0) {
        (void)identify_as(out, ESPIMAGE_MISTAKE_EMPTY, NULL);
        return;
    }
    if (espimage_recognise(bytes, size) == ESPIMAGE_CONTENT_FLASH) {
        (void)identify_as(out, ESPIMAGE_MISTAKE_FLASH, NULL);
        return;
    }
    if (bytes[0] != MAGIC_V2 && bytes[0] != MAGIC_V1) {
        if (!identify_foreign(bytes, size, out)) {
            (void)identify_as(out, ESPIMAGE_MISTAKE_UNKNOWN, NULL);
        }
        return;
    }
    espimage_image_parse(bytes, size, &view);
    if (!view.has_irom) {
        identify_v1(&view, out);
    } else {
        (void)identify_new_layout(&view, out);
    }
}
