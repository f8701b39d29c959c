/* SPDX-License-Identifier: MIT */
/* An HTTP answer: what people should know about it, and a device cannot tell them. */
#ifndef DEVICE_ANSWER_H
#define DEVICE_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The length of the HTTP header at the start of `bytes`, CRLFCRLF included; 0 when it has no end.
 */
size_t answer_header_size(const uint8_t *bytes, size_t size);

/* The first line without its end, printable; "" when there is none. */
void answer_status_line(const uint8_t *bytes, size_t size, char *to, size_t room);

/* The value of a field, its name compared without letter case, printable. */
bool answer_field(const uint8_t *bytes, size_t size, const char *name, char *to, size_t room);

typedef void answer_sink(void *context, const char *cause);

/* Tells what in the header at the start of `bytes` is in the way of an update. */
void answer_causes(const uint8_t *bytes, size_t size, answer_sink *sink, void *context);

#endif
