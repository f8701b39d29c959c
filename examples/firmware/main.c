/* SPDX-License-Identifier: MIT */
/* The part of the firmware that runs from RAM. */

#include "firmware.h"

#define ETS_PRINTF 0x400024CCu

typedef int rom_printf(const char *format, ...);

/* Loaded with the RAM segments: a wrong value in the report means a wrong load. */
uint32_t data_mark = 0x600DDA7A;

static uint32_t bss_words[64];

/* The only way out for text. Formats use nothing but %u and %x, and must be in RAM. */
void put_text(const char *format, uint32_t value)
{
    ((rom_printf *)ETS_PRINTF)(format, value);
}

IRAM2_CODE uint32_t bss_content(void)
{
    const volatile uint32_t *word = bss_words;
    uint32_t bits = 0;

    for (unsigned int i = 0; i < sizeof(bss_words) / sizeof(bss_words[0]); i++) {
        bits |= word[i];
    }
    return bits;
}

static void clear_bss(void)
{
    for (uint32_t *word = _bss_start; word < _bss_end; word++) {
        *word = 0;
    }
}

#ifdef SIMCALL_EXIT
static void leave_emulator(void)
{
    register uint32_t number __asm__("a2") = 1;
    register uint32_t status __asm__("a3") = 0;

    __asm__ volatile("simcall" : "+r"(number), "+r"(status) : : "memory");
}
#endif

void firmware_main(void)
{
    clear_bss();
    report();
#ifdef SIMCALL_EXIT
    leave_emulator();
#endif
    for (;;) {
        __asm__ volatile("waiti 15"); /* sleeps, so that an emulator leaves the PC alone */
    }
}
