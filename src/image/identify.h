/* SPDX-License-Identifier: MIT */
/* What the parts of the identification have in common: see espimage/identify.h. */
#ifndef IMAGE_IDENTIFY_H
#define IMAGE_IDENTIFY_H

#include <espimage/identify.h>
#include <espimage/image.h>

/* Fills mistake and text; `found` replaces what the table says that such a file is. Returns true,
 * so that a check can end in `return identify_as(...)`. */
bool identify_as(struct espimage_identity *out, enum espimage_mistake mistake, const char *found,
                 ...) __attribute__((format(printf, 3, 4)));

/* Of a file that begins with neither EA nor E9; false when it is not known. */
bool identify_foreign(const uint8_t *bytes, size_t size, struct espimage_identity *out);

/* Of a v1 image; always known, if only as that. */
void identify_v1(const struct espimage_image_view *view, struct espimage_identity *out);

/* Whether an image seems to begin there: headers with addresses of this chip. */
bool identify_is_image(const uint8_t *bytes, size_t size);

/* Every 0A follows a 0D, and there are several: a copy in text mode. */
bool identify_is_text_mode(const uint8_t *bytes, size_t size);

#endif
