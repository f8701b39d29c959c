/* SPDX-License-Identifier: MIT */
/* What a virtual device's two ports answer, as text. */
#ifndef DEVICE_PAGE_H
#define DEVICE_PAGE_H

#include "device/device.h"

#include <stddef.h>

/* Enough for every answer. */
#define PAGE_ROOM 4096

/* The answer of the page port to what begins with `request` (NUL-terminated). `trigger` is a URL,
 * or NULL when images are pushed to the device, as `page` below is one. Both return the length. */
size_t page_answer(const struct device_view *view, const char *request, const char *trigger,
                   char out[PAGE_ROOM]);

/* The answer of the trigger port, whatever was sent. */
size_t page_trigger_answer(bool begins, const char *page, char out[PAGE_ROOM]);

#endif
