/* SPDX-License-Identifier: MIT */
/* Programs for the test of the stand-in call it as firmware does: by the ROM's addresses, which
 * program.ld has. */
#ifndef PROGRAM_H
#define PROGRAM_H

#include <stddef.h>
#include <stdint.h>

int ets_printf(const char *format, ...);
void *ets_memcpy(void *to, const void *from, size_t size);
void *ets_memmove(void *to, const void *from, size_t size);
void *ets_memset(void *to, int value, size_t size);
int ets_memcmp(const void *a, const void *b, size_t size);
size_t ets_strlen(const char *text);
void ets_delay_us(uint32_t microseconds);
void software_reset(void);
void Cache_Read_Enable(uint8_t odd, uint8_t pair, uint8_t unknown);
uint32_t SPIEraseSector(uint32_t sector);
uint32_t SPIWrite(uint32_t address, const void *from, uint32_t size);
uint32_t SPIRead(uint32_t address, void *to, uint32_t size);
void no_such_function(void);

void program(void);

#endif
