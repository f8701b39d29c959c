/* SPDX-License-Identifier: MIT */
/* What info shows of an image. */
#ifndef CLI_INFO_IMAGE_H
#define CLI_INFO_IMAGE_H

#include <espimage/image.h>
#include <jansson.h>

/* A line with a bar: how much of `size` bytes is used. */
void info_bar(const char *label, uint32_t used, uint32_t size);

/* Goes on behind the name of the file, without a line feed before. */
void info_image_text(const struct espimage_image_view *view);

/* A new reference. */
json_t *info_image_json(const struct espimage_image_view *view);

#endif
