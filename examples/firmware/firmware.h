/* SPDX-License-Identifier: MIT */
/* What the parts of the example firmware know of each other. */
#ifndef FIRMWARE_H
#define FIRMWARE_H

#include <stdint.h>

/* Code and constants that stay in flash. The rest is copied to RAM before it runs. */
#define IROM_CODE __attribute__((section(".irom0.text")))
#define IROM_DATA __attribute__((section(".irom0.rodata")))

/* Code in RAM that the five-segments layout gives a section of its own. */
#define IRAM2_CODE __attribute__((section(".iram2.text")))

/* From firmware.ld.in and start.S. */
extern const char firmware_start[];
extern uint32_t _bss_start[], _bss_end[];
extern const uint32_t _irom0_start[], _irom0_end[];

/* start.S jumps here, on a fresh stack. */
void firmware_main(void) __attribute__((noreturn));

/* main.c: in RAM */
extern uint32_t data_mark;
void put_text(const char *format, uint32_t value);
uint32_t bss_content(void);

/* irom.c: in flash */
void report(void);

#endif
