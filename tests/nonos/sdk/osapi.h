/* SPDX-License-Identifier: MIT */
/* A stand-in: declares only what examples/nonos-sdk-ota uses of the SDK's header of this name. */
#ifndef OSAPI_H
#define OSAPI_H

#include <string.h>

#include "os_type.h"
#include "user_config.h"

#define os_memcpy  ets_memcpy
#define os_memset  ets_memset
#define os_printf  os_printf_plus
#define os_sprintf ets_sprintf
#define os_strlen  ets_strlen

void *ets_memcpy(void *to, const void *from, unsigned int size);
void *ets_memset(void *at, int value, unsigned int size);
int os_printf_plus(const char *format, ...) __attribute__((format(printf, 1, 2)));
int ets_sprintf(char *to, const char *format, ...) __attribute__((format(printf, 2, 3)));
int ets_strlen(const char *text);

#endif
