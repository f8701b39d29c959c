/* SPDX-License-Identifier: MIT */
/* Mistakes that are known by their look. */
#ifndef IMAGE_MISTAKE_H
#define IMAGE_MISTAKE_H

#include <espimage/verify.h>

enum espimage_mistake mistake_find(const struct espimage_image_view *view);

#endif
