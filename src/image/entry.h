/* SPDX-License-Identifier: MIT */
/* Is the entry point of an ELF code? */
#ifndef IMAGE_ENTRY_H
#define IMAGE_ENTRY_H

#include <espimage/firmware.h>
#include <espimage/image.h>

#define ENTRY_DOUBT_SIZE 160

/* What the symbol table of an ELF says about its entry point. */
struct entry_symbols {
    bool functions;                    /* there are symbols of functions */
    bool at_entry;                     /* one of them, or the start symbol, is at the entry */
    char start[ESPIMAGE_SECTION_NAME]; /* call_user_start or the like, elsewhere; "": none */
    uint32_t start_address;
};

/* True when a word is an address between the dport registers and the end of the flash window: a
 * literal rather than code. No function that the compiler makes begins with the bytes of one. */
bool entry_word_is_literal(uint32_t word);

/* The word that an image loads to its entry; 0, which is no address, when there is none. */
uint32_t entry_word(const struct espimage_image_view *view);

/* Fills `doubt` with why the entry seems not to be code, or with "". */
void entry_judge(const espimage_firmware *fw, const struct entry_symbols *symbols,
                 char doubt[ENTRY_DOUBT_SIZE]);

/* Of an espimage_firmware made from an ELF, before it is handed out. */
void firmware_set_symbols(espimage_firmware *fw, const struct entry_symbols *symbols);

#endif
