/* SPDX-License-Identifier: MIT */
/* Files that begin with neither EA nor E9: other formats, and images that were changed or that
 * something stands before. */
#include "base/bytes.h"
#include "base/text.h"
#include "image/identify.h"
#include "image/image_format.h"

#include <stdio.h>
#include <string.h>

/* A page, a header or a boundary is looked for in so much of the start. */
#define HEAD_SIZE 512U

/* What may stand before an image by mistake is short; before an image for the new bootloader
 * anything may. */
#define PREFIX_LIMIT 4096U

struct file {
    const uint8_t *bytes;
    size_t size;
};

static bool begins_with(const struct file *f, const void *with, size_t size)
{
    return f->size >= size && memcmp(f->bytes, with, size) == 0;
}

#define BEGINS_WITH(f, literal) begins_with(f, literal, sizeof(literal) - 1)

/* ---- text and archives ---- */

static bool is_html(const struct file *f)
{
    char head[HEAD_SIZE + 1];
    size_t size = f->size < HEAD_SIZE ? f->size : HEAD_SIZE;
    memcpy(head, f->bytes, size);
    head[size] = '\0';
    return text_find(head, "<html") != NULL || text_find(head, "<!doctype") != NULL ||
           text_find(head, "<head") != NULL;
}

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool is_digit(uint8_t c, bool hex)
{
    return (c >= '0' && c <= '9') || (hex && ((c >= 'A' && c <= 'F') || (c >= 'a' && c <= 'f')));
}

/* Lines ":" and hex digits, 11 characters at least, in all of the head. */
static bool is_intel_hex(const struct file *f)
{
    size_t size = f->size < HEAD_SIZE ? f->size : HEAD_SIZE;
    size_t digits = 0;
    for (size_t i = 0; i < size; i++) {
        bool starts = i == 0 || f->bytes[i - 1] == '\n';
        if (starts ? f->bytes[i] != ':' && !is_space(f->bytes[i])
                   : !is_digit(f->bytes[i], true) && !is_space(f->bytes[i])) {
            return false;
        }
        digits += starts ? 0 : 1;
    }
    return size > 0 && f->bytes[0] == ':' && digits >= 10;
}

static bool is_base64_digit(uint8_t c)
{
    return is_digit(c, false) || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '+' ||
           c == '/' || c == '=';
}

/* EA 04 is "6gQ", E9 is "6Q" to "6f" in base64. */
static bool is_base64(const struct file *f)
{
    size_t size = f->size < HEAD_SIZE ? f->size : HEAD_SIZE;
    bool image = BEGINS_WITH(f, "6gQ") ||
                 (BEGINS_WITH(f, "6") && f->size > 1 && f->bytes[1] >= 'Q' && f->bytes[1] <= 'f');
    for (size_t i = 0; i < size; i++) {
        if (!is_base64_digit(f->bytes[i]) && !is_space(f->bytes[i])) {
            return false;
        }
    }
    return image && size >= 32;
}

static bool identify_format(const struct file *f, struct espimage_identity *out)
{
    static const struct {
        const char *start;
        size_t size;
        enum espimage_mistake mistake;
    } formats[] = {
        {"\x7F\x45LF", 4, ESPIMAGE_MISTAKE_ELF},
        {"\x1F\x8B", 2, ESPIMAGE_MISTAKE_GZIP},
        {"PK\x03\x04", 4, ESPIMAGE_MISTAKE_ZIP},
        {"version https://git-lfs.github.com/spec/", 40, ESPIMAGE_MISTAKE_LFS_POINTER},
        {"\x20\xF0\x1A\xF0", 4, ESPIMAGE_MISTAKE_SMING_BUNDLE},
        {"\x2A\xF0\x1A\xF0", 4, ESPIMAGE_MISTAKE_SMING_BUNDLE},
    };
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
        if (begins_with(f, formats[i].start, formats[i].size)) {
            return identify_as(out, formats[i].mistake, NULL);
        }
    }
    return false;
}

static bool identify_text(const struct file *f, struct espimage_identity *out)
{
    if (is_html(f)) {
        return identify_as(out, ESPIMAGE_MISTAKE_HTML, NULL);
    }
    if (is_intel_hex(f)) {
        return identify_as(out, ESPIMAGE_MISTAKE_INTEL_HEX, NULL);
    }
    return is_base64(f) && identify_as(out, ESPIMAGE_MISTAKE_BASE64, NULL);
}

/* ---- parts of a flash ---- */

#define EHUG_TAG_SIZE    28U
#define EHUG_HEADER_SIZE 40U

static bool identify_ehug(const struct file *f, struct espimage_identity *out)
{
    if (!BEGINS_WITH(f, "EHUG") || f->size < EHUG_HEADER_SIZE) {
        return false;
    }
    char tag[EHUG_TAG_SIZE + 1];
    char shown[EHUG_TAG_SIZE + 1];
    memcpy(tag, f->bytes + 4, EHUG_TAG_SIZE);
    tag[EHUG_TAG_SIZE] = '\0';
    printable(shown, sizeof shown, tag);
    return identify_as(out, ESPIMAGE_MISTAKE_EHUG,
                       "a libesphttpd bundle (EHUG '%s'): user1, %u bytes at offset %u, and user2, "
                       "%u bytes",
                       shown, get_le32(f->bytes + 32), EHUG_HEADER_SIZE, get_le32(f->bytes + 36));
}

/* esp_init_data_default.bin, alone or read back with the rest of its sector. */
static bool is_init_data(const struct file *f)
{
    return f->size >= ESPIMAGE_INIT_DATA_SIZE && f->size <= ESPIMAGE_SECTOR && f->bytes[0] == 5 &&
           bytes_all(f->bytes + ESPIMAGE_INIT_DATA_SIZE, f->size - ESPIMAGE_INIT_DATA_SIZE, 0xFF);
}

#define PARTITION_SIZE 32U

static bool is_partition_table(const struct file *f)
{
    return f->size >= PARTITION_SIZE && f->size <= ESPIMAGE_SECTOR && BEGINS_WITH(f, "\xAA\x50");
}

/* Of all words of a flash part about one in a hundred is an address of flash, and as many are of
 * RAM or ROM; of random bytes one in 4096. */
static bool is_irom(const struct file *f)
{
    size_t addresses = 0;
    for (size_t i = 0; i + 4 <= f->size; i += 4) {
        uint32_t word = get_le32(f->bytes + i);
        addresses += word >= ESPIMAGE_WINDOW_START && word < ESPIMAGE_WINDOW_END ? 1 : 0;
    }
    return addresses >= 8 && addresses > f->size / 4 / 512;
}

static bool identify_part(const struct file *f, struct espimage_identity *out)
{
    if (bytes_all(f->bytes, f->size < 256 ? f->size : 256, 0xFF)) {
        return identify_as(out, ESPIMAGE_MISTAKE_BLANK, NULL);
    }
    if (is_init_data(f)) {
        return identify_as(out, ESPIMAGE_MISTAKE_INIT_DATA, NULL);
    }
    return is_partition_table(f) && identify_as(out, ESPIMAGE_MISTAKE_PARTITION_TABLE, NULL);
}

/* ---- images that were copied as text ---- */

/* All of it is UTF-8, as far as lead bytes and continuation bytes go. */
static bool is_utf8(const struct file *f)
{
    unsigned open = 0;
    for (size_t i = 0; i < f->size; i++) {
        uint8_t c = f->bytes[i];
        if (open > 0) {
            if ((c & 0xC0) != 0x80) {
                return false;
            }
            open--;
        } else if (c >= 0x80) {
            if (c < 0xC2 || c > 0xF4) {
                return false;
            }
            open = 1;
            open += c >= 0xE0 ? 1 : 0;
            open += c >= 0xF0 ? 1 : 0;
        }
    }
    return true;
}

static bool is_ascii(const struct file *f)
{
    for (size_t i = 0; i < f->size; i++) {
        if (f->bytes[i] >= 0x80) {
            return false;
        }
    }
    return true;
}

/* Behind what became of EA or E9: the second byte of an image, and bytes that text has not. */
static bool goes_on_like_image(const struct file *f, size_t at)
{
    return f->size >= at + 32 && f->bytes[at] > 0 && f->bytes[at] <= 16 &&
           memchr(f->bytes, 0, f->size) != NULL;
}

static bool identify_text_copy(const struct file *f, struct espimage_identity *out)
{
    if ((BEGINS_WITH(f, "\xC3\xAA") || BEGINS_WITH(f, "\xC3\xA9")) && goes_on_like_image(f, 2) &&
        is_utf8(f)) {
        return identify_as(out, ESPIMAGE_MISTAKE_UTF8, NULL);
    }
    if (BEGINS_WITH(f, "\xEF\xBF\xBD") && goes_on_like_image(f, 3) && is_utf8(f)) {
        return identify_as(out, ESPIMAGE_MISTAKE_REPLACED,
                           "each byte from 80 on was replaced by EF BF BD, a text copy");
    }
    if ((BEGINS_WITH(f, "?") || BEGINS_WITH(f, "\x6A") || BEGINS_WITH(f, "\x69")) &&
        goes_on_like_image(f, 1) && is_ascii(f)) {
        return identify_as(out, ESPIMAGE_MISTAKE_REPLACED,
                           "each byte from 80 on was replaced by one below, a text copy");
    }
    return false;
}

/* ---- images that something stands before ---- */

static bool has_zero_load_address(const uint8_t *bytes, size_t size)
{
    return size >= IROM_OFFSET && bytes[HEADER_COUNT] == SECOND_BYTE && get_le32(bytes + 8) == 0;
}

static bool is_in(uint32_t address, enum espimage_region_kind kind)
{
    const struct espimage_region *region = espimage_region_at(address);
    return region != NULL && region->kind == kind;
}

bool identify_is_image(const uint8_t *bytes, size_t size)
{
    uint32_t entry = size < IROM_OFFSET ? 0 : get_le32(bytes + 4);
    bool enters_iram = is_in(entry, ESPIMAGE_REGION_IRAM);
    if (!enters_iram && !is_in(entry, ESPIMAGE_REGION_IROM)) { /* of RTOS SDK 3 */
        return false;
    }
    if (bytes[HEADER_MAGIC] == MAGIC_V2) {
        if (!enters_iram || !has_zero_load_address(bytes, size)) {
            return false;
        }
        size_t irom = get_le32(bytes + 12);
        return irom < size - IROM_OFFSET && bytes[IROM_OFFSET + irom] == MAGIC_V1;
    }
    const struct espimage_region *region = espimage_region_at(get_le32(bytes + 8));
    return bytes[HEADER_MAGIC] == MAGIC_V1 && bytes[HEADER_COUNT] > 0 &&
           bytes[HEADER_COUNT] <= 16 && region != NULL && get_le32(bytes + 12) < size;
}

/* Where an image begins behind the first byte, or 0. */
static size_t find_image(const struct file *f)
{
    for (size_t i = 1; i < f->size; i++) {
        bool worth_it = f->bytes[i] == MAGIC_V2 || (i < PREFIX_LIMIT && f->bytes[i] == MAGIC_V1);
        if (worth_it && identify_is_image(f->bytes + i, f->size - i)) {
            return i;
        }
    }
    return 0;
}

static bool is_text(const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if ((bytes[i] < ' ' && !is_space(bytes[i])) || bytes[i] > '~') {
            return false;
        }
    }
    return true;
}

static bool is_spaces(const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (!is_space(bytes[i])) {
            return false;
        }
    }
    return true;
}

/* "Name: value" first and an empty line last, or a boundary of a multipart body. */
static bool is_header(const uint8_t *bytes, size_t size)
{
    const uint8_t *colon = memchr(bytes, ':', size);
    const uint8_t *line = memchr(bytes, '\n', size);
    bool named = colon != NULL && line != NULL && colon < line;
    bool boundary = size > 2 && bytes[0] == '-' && bytes[1] == '-';
    bool ends = (size >= 2 && memcmp(bytes + size - 2, "\n\n", 2) == 0) ||
                (size >= 4 && memcmp(bytes + size - 4, "\r\n\r\n", 4) == 0);
    return ends && (named || boundary);
}

static const char *name_prefix(const uint8_t *bytes, size_t size)
{
    if (size == 3 && memcmp(bytes, "\xEF\xBB\xBF", 3) == 0) {
        return "a byte order mark of UTF-8";
    }
    if (size == 2 && (memcmp(bytes, "\xFF\xFE", 2) == 0 || memcmp(bytes, "\xFE\xFF", 2) == 0)) {
        return "a byte order mark of UTF-16";
    }
    if (is_spaces(bytes, size)) {
        return size <= 2 && memchr(bytes, '\n', size) != NULL ? "a line feed" : "white space";
    }
    if (is_text(bytes, size)) {
        return is_header(bytes, size) ? "an HTTP or MIME header" : "text";
    }
    if (bytes_all(bytes, size, 0xFF)) {
        return "erased flash";
    }
    return bytes_all(bytes, size, 0) ? "zeros" : "other bytes";
}

static bool identify_behind(const struct file *f, struct espimage_identity *out)
{
    out->offset = find_image(f);
    if (BEGINS_WITH(f, "HTTP/1.")) {
        return out->offset > 0 ? identify_as(out, ESPIMAGE_MISTAKE_HTTP,
                                             "an HTTP response, header included, its image begins "
                                             "at offset %zu",
                                             out->offset)
                               : identify_as(out, ESPIMAGE_MISTAKE_HTTP, NULL);
    }
    return out->offset > 0 &&
           identify_as(out, ESPIMAGE_MISTAKE_OFFSET, "an image begins at offset %zu, behind %s",
                       out->offset, name_prefix(f->bytes, out->offset));
}

bool identify_foreign(const uint8_t *bytes, size_t size, struct espimage_identity *out)
{
    const struct file f = {bytes, size};
    return identify_format(&f, out) || identify_ehug(&f, out) || identify_behind(&f, out) ||
           identify_part(&f, out) || identify_text(&f, out) || identify_text_copy(&f, out) ||
           (is_irom(&f) && identify_as(out, ESPIMAGE_MISTAKE_IROM, NULL));
}
