/* SPDX-License-Identifier: MIT */
#include "image/mistake.h"

#include "base/bytes.h"
#include "base/text.h"
#include "image/checksum.h"
#include "image/image_format.h"

#include <string.h>

static const struct {
    const char *name;
    const char *text;
} mistakes[] = {
    [ESPIMAGE_MISTAKE_NONE] = {"none", ""},
    [ESPIMAGE_MISTAKE_EMPTY] = {"empty", "the file is empty"},
    [ESPIMAGE_MISTAKE_ELF] = {"elf", "an ELF file, not an image: convert it first"},
    [ESPIMAGE_MISTAKE_HTML] = {"html", "a web page saved as an image: the download failed"},
    [ESPIMAGE_MISTAKE_HTTP] = {"http", "an HTTP response, header included: save only the body"},
    [ESPIMAGE_MISTAKE_GZIP] = {"gzip", "compressed with gzip: devices do not decompress"},
    [ESPIMAGE_MISTAKE_BLANK] = {"blank", "erased flash: nothing but FF at the start"},
    [ESPIMAGE_MISTAKE_V1] = {"v1", "a v1 image, for no bootloader or the old one, or a bootloader: "
                                   "build with an eagle.app.v6.new.*.ld linker script"},
    [ESPIMAGE_MISTAKE_TRUNCATED] = {"truncated", "truncated: the end is missing"},
    [ESPIMAGE_MISTAKE_ESPTOOL] = {"esptool",
                                  "made by esptool elf2image: flash settings where devices look "
                                  "for the app number; convert the ELF with profile sdk"},
    [ESPIMAGE_MISTAKE_ESPTOOL2] = {"esptool2", "made by esptool2 for rBoot: it has no CRC; convert "
                                               "the ELF with profile sdk"},
    [ESPIMAGE_MISTAKE_GEN_APPBIN_PY3] = {"gen_appbin-py3",
                                         "made by a Python 3 port of gen_appbin.py: the CRC is of "
                                         "the wrong branch (unsigned arithmetic)"},
    [ESPIMAGE_MISTAKE_SECOND_BYTE] = {"second-byte", "made by ESPImageTool from an ELF without "
                                                     "exactly three RAM segments: the second byte "
                                                     "is their count, not the constant 04"},
    [ESPIMAGE_MISTAKE_TRAILING] = {"trailing", "bytes follow the CRC: devices take the last four "
                                               "bytes as the CRC; cut the file after it"},
    [ESPIMAGE_MISTAKE_UNKNOWN] = {"unknown", "neither an image nor anything that is known"},
};

const char *espimage_mistake_name(enum espimage_mistake mistake)
{
    return mistakes[mistake].name;
}

const char *espimage_mistake_text(enum espimage_mistake mistake)
{
    return mistakes[mistake].text;
}

static bool begins_with(const struct espimage_image_view *v, const void *with, size_t size)
{
    return v->size >= size && memcmp(v->bytes, with, size) == 0;
}

static bool is_html(const struct espimage_image_view *v)
{
    char head[513];
    size_t size = v->size < sizeof head - 1 ? v->size : sizeof head - 1;
    memcpy(head, v->bytes, size);
    head[size] = '\0';
    return text_find(head, "<html") != NULL || text_find(head, "<!doctype") != NULL ||
           text_find(head, "<head") != NULL;
}

static enum espimage_mistake find_foreign(const struct espimage_image_view *v)
{
    if (begins_with(v,
                    "\x7F"
                    "ELF",
                    4)) {
        return ESPIMAGE_MISTAKE_ELF;
    }
    if (begins_with(v, "HTTP/1.", 7)) {
        return ESPIMAGE_MISTAKE_HTTP;
    }
    if (begins_with(v, "\x1F\x8B", 2)) {
        return ESPIMAGE_MISTAKE_GZIP;
    }
    if (bytes_all(v->bytes, v->size < 256 ? v->size : 256, 0xFF)) {
        return ESPIMAGE_MISTAKE_BLANK;
    }
    return is_html(v) ? ESPIMAGE_MISTAKE_HTML : ESPIMAGE_MISTAKE_UNKNOWN;
}

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

/* The end of a whole v2 image: what follows the checksum. */
static enum espimage_mistake find_at_end(const struct espimage_image_view *v)
{
    if (v->trailing == 0 && settings_outside(v) && !numbers_a_slot(v)) {
        return ESPIMAGE_MISTAKE_ESPTOOL2;
    }
    if (v->trailing < CRC_SIZE) {
        return ESPIMAGE_MISTAKE_TRUNCATED;
    }
    if (v->trailing > CRC_SIZE) {
        return ESPIMAGE_MISTAKE_TRAILING;
    }
    uint32_t crc = checksum_crc32(v->bytes, v->size - CRC_SIZE);
    uint32_t stored = get_le32(v->bytes + v->size - CRC_SIZE);
    if (stored == checksum_device_crc(crc)) {
        return settings_outside(v) && !numbers_a_slot(v) ? ESPIMAGE_MISTAKE_ESPTOOL
                                                         : ESPIMAGE_MISTAKE_NONE;
    }
    return stored == crc + 1 ? ESPIMAGE_MISTAKE_GEN_APPBIN_PY3 : ESPIMAGE_MISTAKE_NONE;
}

enum espimage_mistake mistake_find(const struct espimage_image_view *v)
{
    if (v->size == 0) {
        return ESPIMAGE_MISTAKE_EMPTY;
    }
    if (v->bytes[0] != MAGIC_V2 && v->bytes[0] != MAGIC_V1) {
        return find_foreign(v);
    }
    if (!v->has_irom) {
        return ESPIMAGE_MISTAKE_V1;
    }
    if (v->extent < ESPIMAGE_EXTENT_CHECKSUM) {
        return ESPIMAGE_MISTAKE_TRUNCATED;
    }
    if (v->outer[HEADER_COUNT] != SECOND_BYTE &&
        (v->outer[HEADER_COUNT] == v->inner[HEADER_COUNT] ||
         v->outer[HEADER_COUNT] == v->inner[HEADER_COUNT] + 1)) {
        return ESPIMAGE_MISTAKE_SECOND_BYTE;
    }
    return find_at_end(v);
}
