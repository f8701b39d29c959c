/* SPDX-License-Identifier: MIT */
/* For which slot the flash part of an image was linked: no header says so, the addresses do.
 *
 * Code refers to its own flash part by absolute addresses, in literals and tables. Counting the
 * aligned words that lie in [B, B + length of the flash part) for each possible link address B
 * names the right one: of 90 images that shipped the true B had the most words 90 times. */
#ifndef IMAGE_IMAGE_LINK_H
#define IMAGE_IMAGE_LINK_H

#include <espimage/image.h>

enum image_link_verdict {
    IMAGE_LINK_NONE,     /* no flash part, or no other address is possible at its length */
    IMAGE_LINK_UNCLEAR,  /* too few words, or about as many for two addresses */
    IMAGE_LINK_AGREES,   /* the words name the address that is wanted */
    IMAGE_LINK_ELSEWHERE /* a clear majority names another one */
};

struct image_link {
    enum image_link_verdict verdict;
    uint32_t wanted;       /* link address of the slot */
    uint32_t wanted_words; /* words of the image that fit it */
    uint32_t other;        /* the other address with the most words; 0 when there is none */
    uint32_t other_words;
};

/* @param map  one with slots.
 * @param app  1 or 2; 0: whichever of the map's slots has more words is the wanted one. */
void image_link_judge(const struct espimage_image_view *view, const struct espimage_flash_map *map,
                      uint8_t app, struct image_link *out);

/* Aligned words of the image that would be addresses of its flash part, linked at `address`. */
uint32_t image_link_words(const struct espimage_image_view *view, uint32_t address);

/* The map that has this link address, `first` before the others, and its slot, 1 or 2. */
const struct espimage_flash_map *image_link_map(const struct espimage_image_view *view,
                                                uint32_t address,
                                                const struct espimage_flash_map *first,
                                                uint8_t *app);

#endif
