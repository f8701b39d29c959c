/* SPDX-License-Identifier: MIT */
/* A stand-in: declares only what examples/nonos-sdk-ota uses of the SDK's header of this name. */
#ifndef C_TYPES_H
#define C_TYPES_H

#include <stddef.h> /* the SDK's own defines size_t, for 32 bits */

typedef unsigned int uint32_t;

typedef unsigned char uint8;
typedef signed char sint8;
typedef unsigned short uint16;
typedef unsigned int uint32;

/* The SDK has no _Bool. */
typedef unsigned char bool;
#define true (1)
#define false (0)

#if defined(ICACHE_FLASH) && defined(__XTENSA__)
#define ICACHE_FLASH_ATTR  __attribute__((section(".irom0.text")))
#define ICACHE_RODATA_ATTR __attribute__((section(".irom.text")))
#else
#define ICACHE_FLASH_ATTR
#define ICACHE_RODATA_ATTR
#endif

#endif
