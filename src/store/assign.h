/* SPDX-License-Identifier: MIT */
/* Which of the given ELFs is for which slot. Pure: link addresses in, slots out. */
#ifndef STORE_ASSIGN_H
#define STORE_ASSIGN_H

#include <espimage/classify.h>
#include <stddef.h>
#include <stdint.h>

#define STORE_FILES 2

/* An ELF as it was last read. */
struct assign_file {
    const char *path;
    const struct espimage_link *link; /* NULL: it could not be read yet */
};

struct assignment {
    const struct espimage_flash_map *map; /* the given one, or what the link addresses leave */
    bool assumed;                         /* they leave several */
    /* For each slot the index of its file, or -1: none was given for it. A file that cannot be used
     * yet takes the slots that the others leave: it may become right for them. */
    int file_of[2];
    /* For each file: ESPIMAGE_OK when it is right for a slot, or when it could not be read yet;
     * else why it is right for none, without a file name in `error`. */
    enum espimage_code code[STORE_FILES];
    struct espimage_error error[STORE_FILES];
};

/* @param given the flash map, or NULL to choose it. @param app the slot of the one file, whatever
 * it was linked for; 0: the link address decides. @param count 1 or 2. */
void assign_slots(const struct espimage_flash_map *given, uint8_t app,
                  const struct assign_file *files, size_t count, struct assignment *out);

#endif
