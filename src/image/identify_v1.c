/* SPDX-License-Identifier: MIT */
/* Which of the many files that begin with E9 one is. */
#include "base/bytes.h"
#include "image/chip.h"
#include "image/identify.h"
#include "image/image_format.h"
#include "image/image_link.h"

#include <espimage/parameters.h>
#include <string.h>

/* Every bootloader seen ends below it; behind comes blank flash at most. */
#define BOOTLOADER_LIMIT 0x2C00U

/* Arduino's bootloader eboot loads itself there; its sketch is one sector behind it. */
#define EBOOT_ADDRESS UINT32_C(0x4010F000)

static bool ends_word(uint8_t c)
{
    return c <= ' ' || c > '~';
}

/* The word behind `text`, as in "rBoot v1.4.2"; false when the text is not there. */
static bool find_version(const uint8_t *bytes, size_t size, const char *text, char version[16])
{
    size_t length = strlen(text);
    for (size_t i = 0; i + length <= size; i++) {
        if (memcmp(bytes + i, text, length) == 0) {
            const uint8_t *from = bytes + i + length;
            size_t used = 0;
            while (used < 15 && i + length + used < size && !ends_word(from[used])) {
                version[used] = (char)from[used];
                used++;
            }
            version[used] = '\0';
            return true;
        }
    }
    return false;
}

static bool identify_bootloader(const struct espimage_image_view *v, struct espimage_identity *out)
{
    char version[16];
    size_t end = v->checksum_offset + (size_t)1;
    if (v->extent < ESPIMAGE_EXTENT_CHECKSUM || end > BOOTLOADER_LIMIT) {
        return false;
    }
    /* An old bootloader has its text in a part for flash, behind the checksum. */
    end = v->size < BOOTLOADER_LIMIT ? v->size : BOOTLOADER_LIMIT;
    enum espimage_boot_version espressif = espimage_boot_version(v->bytes, end);
    if (espressif != ESPIMAGE_BOOT_UNKNOWN) {
        return identify_as(out, ESPIMAGE_MISTAKE_BOOTLOADER, "Espressif's bootloader %s",
                           espimage_boot_version_name(espressif));
    }
    if (find_version(v->bytes, end, "rBoot v", version)) {
        return identify_as(out, ESPIMAGE_MISTAKE_RBOOT_BOOTLOADER, "the bootloader rBoot %s",
                           version);
    }
    return find_version(v->bytes, end, "2nd stage bootloader", version) &&
           identify_as(out, ESPIMAGE_MISTAKE_RTOS3_BOOTLOADER, NULL);
}

static bool has_segment_in(const struct espimage_image_view *v, uint32_t start, uint32_t size)
{
    for (size_t i = 0; i < v->segment_count; i++) {
        if (v->segment[i].address - start < size) {
            return true;
        }
    }
    return false;
}

static bool identify_arduino(const struct espimage_image_view *v, struct espimage_identity *out)
{
    if (!has_segment_in(v, EBOOT_ADDRESS, 1)) {
        return false;
    }
    bool sketch = v->size > ESPIMAGE_SECTOR && v->bytes[ESPIMAGE_SECTOR] == MAGIC_V1;
    return identify_as(out, ESPIMAGE_MISTAKE_ARDUINO,
                       sketch ? NULL : "eboot, the bootloader of Arduino, without a sketch");
}

static bool is_for_slot(const struct espimage_image_view *v)
{
    /* gen_appbin.py writes 0 and the app number in the old layout too. */
    if (v->inner[HEADER_MODE] == 0 &&
        (v->inner[HEADER_SIZE_FREQ] == 1 || v->inner[HEADER_SIZE_FREQ] == 2)) {
        return true;
    }
    uint32_t at_start = image_link_words(v, ESPIMAGE_WINDOW_START + OLD_IROM_OFFSET);
    for (size_t i = 0; i < CHIP_OLD_BOOT_OFFSETS; i++) {
        if (image_link_words(v, ESPIMAGE_WINDOW_START + chip_old_boot_offsets[i]) > at_start) {
            return true;
        }
    }
    return false;
}

static bool identify_both_parts(const struct espimage_image_view *v, struct espimage_identity *out)
{
    size_t end = v->checksum_offset + (size_t)1;
    if (v->extent < ESPIMAGE_EXTENT_CHECKSUM || end >= OLD_IROM_OFFSET ||
        v->size <= OLD_IROM_OFFSET) {
        return false;
    }
    const uint8_t *gap = v->bytes + end;
    size_t length = OLD_IROM_OFFSET - end;
    bool empty = bytes_all(gap, length, 0xFF) || bytes_all(gap, length, 0);
    if (!empty || bytes_all(v->bytes + OLD_IROM_OFFSET, v->size - OLD_IROM_OFFSET, 0xFF)) {
        return false;
    }
    return identify_as(
        out, is_for_slot(v) ? ESPIMAGE_MISTAKE_OLD_FORMAT : ESPIMAGE_MISTAKE_ONE_FILE, NULL);
}

void identify_v1(const struct espimage_image_view *v, struct espimage_identity *out)
{
    const struct espimage_region *window = espimage_region(ESPIMAGE_REGION_IROM);
    if (v->extent >= ESPIMAGE_EXTENT_INNER && chip_is_esp32_address(v->entry)) {
        (void)identify_as(out, ESPIMAGE_MISTAKE_ESP32, NULL);
        return;
    }
    if (identify_bootloader(v, out) || identify_arduino(v, out)) {
        return;
    }
    if (has_segment_in(v, window->start, window->size)) {
        (void)identify_as(out, ESPIMAGE_MISTAKE_RTOS3, NULL);
        return;
    }
    if (identify_both_parts(v, out)) {
        return;
    }
    if (v->extent < ESPIMAGE_EXTENT_CHECKSUM && identify_is_text_mode(v->bytes, v->size)) {
        (void)identify_as(out, ESPIMAGE_MISTAKE_TEXT_MODE, NULL);
        return;
    }
    (void)identify_as(out, ESPIMAGE_MISTAKE_V1,
                      v->extent < ESPIMAGE_EXTENT_CHECKSUM ? "a v1 image, truncated" : NULL);
}
