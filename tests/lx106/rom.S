/* SPDX-License-Identifier: MIT */
/* What stands at fixed addresses: the start, the exception vectors, the ROM's functions. */

#include "rom.h"

/* Where the emulator starts. Literals have to stand before the code that uses them. */
        .section .reset, "ax"
        j       1f
        .literal_position
        .align  4
1:      movi    a0, rom_start
        jx      a0

/* The ROM. What is not filled in here is zero, and three zero bytes are the instruction `ill`: a
 * call of a function that is missing ends in rom_fault(), which names it. */
        .section .rom, "ax"
        .begin  no-transform

        .macro  vector offset, kind
        .org    \offset
        wsr.excsave1 a0
        movi    a0, \kind
        j       fault
        .endm

        .macro  function offset, name
        .org    \offset
        j       \name
        .endm

        vector  0x10, FAULT_DEBUG
        vector  0x20, FAULT_EXCEPTION
        vector  0x30, FAULT_EXCEPTION
        vector  0x50, FAULT_EXCEPTION
        vector  0x70, FAULT_DOUBLE

/* Addresses: eagle.rom.addr.v6.ld of the SDK. */
        function 0x0080, rom_start
        function 0x18A4, memset
        function 0x18B4, memcpy
        function 0x18C4, memmove
        function 0x18D4, memcmp
        function 0x242C, do_nothing             /* ets_install_putc1 */
        function 0x24CC, rom_printf             /* ets_printf */
        function 0x264C, rom_start              /* software_reset */
        function 0x2AC8, strlen                 /* ets_strlen */
        function 0x2AE8, bzero                  /* ets_bzero */
        function 0x2ECC, do_nothing             /* ets_delay_us: time is not emulated */
        function 0x2F04, do_nothing             /* ets_update_cpu_frequency */
        function 0x39D8, do_nothing             /* uart_div_modify */
        function 0x3F58, do_nothing             /* SelectSpiFunction */
        function 0x4644, do_nothing             /* spi_flash_attach */
        function 0x4678, cache_read_enable      /* Cache_Read_Enable */
        function 0x47F0, do_nothing             /* Cache_Read_Disable */
        function 0x4878, do_nothing             /* SPIUnlock */
        function 0x48EC, do_nothing             /* SPIReadModeCnfig */
        function 0x4A00, spi_erase_sector       /* SPIEraseSector */
        function 0x4A4C, spi_write              /* SPIWrite */
        function 0x4B1C, spi_read               /* SPIRead */
        function 0x4C2C, do_nothing             /* SPIParamCfg */
        function 0xDC88, __divsi3
        function 0xDE84, bzero
        function 0xDEA8, memcmp
        function 0xDF48, memcpy
        function 0xE04C, memmove
        function 0xE190, memset
        function 0xE21C, __udivsi3
        function 0xE268, __umodsi3
        .org    ROM_SIZE
        .end    no-transform

        .text
        .literal_position
        .align  4
        .global rom_start
rom_start:
        movi    a1, ROM_STACK
        movi    a2, PS_RUNNING
        wsr.ps  a2
        rsync
        movi    a2, _bss_start
        movi    a3, _bss_end
        movi    a4, 0
1:      bgeu    a2, a3, 2f
        s32i    a4, a2, 0
        addi    a2, a2, 4
        j       1b
2:      call0   rom_main

/* enter(entry): onto a fresh stack and into the program. */
        .align  4
        .global enter
enter:
        movi    a1, ROM_STACK
        callx0  a2
        call0   rom_returned

/* A vector left its kind in a0, and the a0 of the program in excsave1. The stack of the program
 * may be anywhere, so a new one begins; nothing returns from here. */
        .align  4
fault:
        mov     a7, a1
        mov     a2, a0
        movi    a1, ROM_STACK
        rsr.excsave1 a6
        rsr.exccause a4
        rsr.excvaddr a5
        rsr.epc1 a3
        beqi    a2, FAULT_EXCEPTION, 1f
        rsr.depc a3
        beqi    a2, FAULT_DOUBLE, 1f
        rsr.epc2 a3
1:      call0   rom_fault

        .align  4
do_nothing:
        movi    a2, 0
        ret

/* simcall(number, a, b, c): what the emulator does for the program. */
        .align  4
        .global simcall
simcall:
        simcall
        ret
