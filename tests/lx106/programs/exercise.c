/* SPDX-License-Identifier: MIT */
/* Calls the ROM's functions and commits faults: which, says the word at flash address 0x8000. */
#include "program.h"

#define CASE_ADDRESS    0x8000
#define SCRATCH_SECTOR  0x20
#define SCRATCH_ADDRESS (SCRATCH_SECTOR * 0x1000)
#define WINDOW          0x40200000

static void print(void)
{
    ets_printf("[%u] [%5u] [%-5u] [%05u]\n", 42, 42, 42, 42);
    ets_printf("[%d] [%6d] [%06d] [%d]\n", -42, -42, -42, 0);
    ets_printf("[%x] [%08x] [%X] [%2x]\n", 0xBEEF, 0xBEEF, 0xBEEF, 0xBEEF);
    ets_printf("[%s] [%6s] [%-6s] [%c] [%p] [%%] [%lu]\n", "text", "text", "text", 'c',
               (void *)0x40100004, 4294967295ul);
}

static void copy(void)
{
    char text[] = "0123456789";

    ets_memmove(text + 2, text, 5);
    ets_printf("%s ", text);
    ets_memmove(text, text + 2, 5);
    ets_printf("%s ", text);
    ets_memset(text, '-', 3);
    ets_memcpy(text + 8, "ab", 2);
    ets_printf("%s %u ", text, ets_strlen(text));
    ets_printf("%d %d\n", ets_memcmp("abc", "abd", 3), ets_memcmp("abc", "abd", 2));
}

static void divide(void)
{
    volatile int32_t a = -1000000007;
    volatile uint32_t b = 4000000009u;
    volatile int32_t by = 97;

    ets_printf("%d %u %u\n", a / by, b / (uint32_t)by, b % (uint32_t)by);
}

static void flash(void)
{
    uint32_t word = 0x12345678;
    uint32_t got = 0;

    ets_printf("erase %u ", SPIEraseSector(SCRATCH_SECTOR));
    ets_printf("write %u ", SPIWrite(SCRATCH_ADDRESS, &word, sizeof word));
    word = 0xFFFF0000;
    ets_printf("write %u ", SPIWrite(SCRATCH_ADDRESS, &word, sizeof word));
    ets_printf("read %u ", SPIRead(SCRATCH_ADDRESS, &got, sizeof got));
    ets_printf("0x%08x, in the window 0x%08x\n", got,
               *(volatile uint32_t *)(WINDOW + SCRATCH_ADDRESS));
    ets_printf("outside: %u %u %u\n", SPIRead(0xFFFFFFFC, &got, sizeof got),
               SPIWrite(0xFFFFFFFC, &got, sizeof got), SPIEraseSector(0xFFFFF));
}

/* The next run reads what this one wrote: another case. */
static void reset(void)
{
    uint32_t next = 0;

    ets_printf("reset\n");
    SPIWrite(CASE_ADDRESS, &next, sizeof next);
    software_reset();
}

static void print_forever(void)
{
    for (;;) {
        ets_printf("again and again and again and again and again and again\n");
        ets_delay_us(1000);
    }
}

static void wait_forever(void)
{
    ets_printf("waiting\n");
    for (;;) {
        __asm__ volatile("waiti 15");
    }
}

static void run(uint32_t number)
{
    switch (number) {
    case 0: print(); break;
    case 1: copy(); break;
    case 2: divide(); break;
    case 3: flash(); break;
    case 4: reset(); break;
    case 5: print_forever(); break;
    case 6: wait_forever(); break;
    case 7: no_such_function(); break;
    case 8: __asm__ volatile("ill"); break;
    case 9: *(volatile uint32_t *)0x3FF00000 = 1; break;
    case 10: ((void (*)(void))0x20000000)(); break;
    case 11: __asm__ volatile("break 1, 1"); break;
    case 12: __asm__ volatile("movi a1, 0x20000000\n\ts32i a1, a1, 0"); break;
    case 13: __asm__ volatile("movi a2, 0x3f\n\twsr.ps a2\n\trsync\n\till"); break;
    default: ets_printf("no case %u\n", number);
    }
}

void program(void)
{
    uint32_t number = ~0u;

    SPIRead(CASE_ADDRESS, &number, sizeof number);
    run(number);
}
