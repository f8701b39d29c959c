/* SPDX-License-Identifier: MIT */
/* A stand-in: declares only what examples/nonos-sdk-ota uses of the SDK's header of this name. */
#ifndef OSAPI_H
#define OSAPI_H

#include "c_types.h"

int os_printf(const char *format, ...) __attribute__((format(printf, 1, 2)));
int os_sprintf(char *to, const char *format, ...) __attribute__((format(printf, 2, 3)));
void *os_memcpy(void *to, const void *from, size_t size);
void *os_memset(void *at, int value, size_t size);
size_t os_strlen(const char *text);

#endif
