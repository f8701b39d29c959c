/* SPDX-License-Identifier: MIT */
#include "image/entry.h"

#include "base/bytes.h"

#include <stdio.h>

/* The lowest address that the chip has. */
#define DPORT_START UINT32_C(0x3FF00000)

bool entry_word_is_literal(uint32_t word)
{
    return word >= DPORT_START && word < ESPIMAGE_WINDOW_END;
}

/* The word at the entry; 0, which is no address, when there is none. */
static uint32_t word_at(const espimage_firmware *fw, uint32_t entry)
{
    for (size_t i = 0; i < espimage_firmware_section_count(fw); i++) {
        const struct espimage_section *s = espimage_firmware_section(fw, i);
        if (s->bytes != NULL && entry >= s->address && s->size >= 4 &&
            entry - s->address <= s->size - 4) {
            return get_le32(s->bytes + (entry - s->address));
        }
    }
    return 0;
}

uint32_t entry_word(const struct espimage_image_view *v)
{
    for (size_t i = 0; i < v->segment_count; i++) {
        const struct espimage_segment *segment = &v->segment[i];
        if (v->entry >= segment->address && segment->size >= 4 &&
            v->entry - segment->address <= segment->size - 4) {
            return get_le32(v->bytes + segment->offset + (v->entry - segment->address));
        }
    }
    return 0;
}

void entry_judge(const espimage_firmware *fw, const struct entry_symbols *symbols,
                 char doubt[ENTRY_DOUBT_SIZE])
{
    uint32_t entry = espimage_firmware_entry(fw);
    uint32_t word = word_at(fw, entry);

    doubt[0] = '\0';
    if (symbols->at_entry) {
        return;
    }
    if (symbols->functions && symbols->start[0] != '\0') {
        (void)snprintf(doubt, ENTRY_DOUBT_SIZE,
                       "the entry point 0x%08X is not %s, which is at 0x%08X", entry,
                       symbols->start, symbols->start_address);
    } else if (entry_word_is_literal(word)) {
        (void)snprintf(doubt, ENTRY_DOUBT_SIZE,
                       "the entry point 0x%08X is a literal (0x%08X), not code", entry, word);
    } else if (symbols->functions) {
        (void)snprintf(doubt, ENTRY_DOUBT_SIZE, "no function begins at the entry point 0x%08X",
                       entry);
    }
}
