/* SPDX-License-Identifier: MIT */
/* The ROM's own part: what runs first, and what an exception ends in. */
#include "rom.h"

static bool failing;

void rom_main(void)
{
    struct program program;

    rom_printf("stand-in: boot ROM of espimagetool, not the chip's; flash of %u KB\n",
               settings->flash_size / 1024);
    flash_follow();
    window_show(0);
    if (!settings->own_loader) {
        boot();
    }
    if (load_segments(0, &program) != LOADED) {
        leave(STATUS_BOOT_FAILED);
    }
    enter(program.entry);
}

void rom_returned(void)
{
    rom_printf("stand-in: the program returned\n");
    leave(STATUS_RETURNED);
}

/* Numbers and names: the Xtensa ISA's EXCCAUSE. */
static const char *cause_name(uint32_t cause)
{
    switch (cause) {
    case 0: return "illegal instruction";
    case 1: return "syscall";
    case 2:
    case 12:
    case 14: return "no memory to execute";
    case 3:
    case 13:
    case 15: return "no memory to load from or store to";
    case 6: return "division by zero";
    case 9: return "unaligned load or store";
    default: return "exception";
    }
}

void rom_fault(uint32_t kind, uint32_t address, uint32_t cause, uint32_t data_address,
               uint32_t caller, uint32_t stack)
{
    if (failing) {
        leave(STATUS_FAULT);
    }
    failing = true;
    if (kind == FAULT_EXCEPTION && cause == 0 && address - ROM_START < ROM_SIZE) {
        rom_printf("\nstand-in: no ROM function at 0x%08x (called from 0x%08x)\n", address, caller);
        leave(STATUS_NO_FUNCTION);
    }
    rom_printf("\nstand-in: %s at 0x%08x (EXCCAUSE %u, EXCVADDR 0x%08x, a0 0x%08x, a1 0x%08x)\n",
               kind == FAULT_DEBUG ? "break instruction" : cause_name(cause), address, cause,
               data_address, caller, stack);
    leave(STATUS_FAULT);
}
