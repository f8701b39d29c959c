/* SPDX-License-Identifier: MIT */
/* The entry point: the boot loader jumps here when the RAM segments are in place. */

        .section .entry.text, "ax"
        .literal_position
        .align  4
        .global firmware_start
        .type   firmware_start, @function
firmware_start:
        movi    a1, _stack_top
        j       firmware_main
        .size   firmware_start, . - firmware_start
