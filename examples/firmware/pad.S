/* SPDX-License-Identifier: MIT */
/* PAD_KB kilobytes of numbers that look random and are the same in every build. */

        .section PAD_SECTION, "a"
        .align  4
        .set    .Lword, 0x2545F491
        .rept   PAD_KB * 256
        .set    .Lword, (.Lword * 1664525 + 1013904223) & 0xFFFFFFFF
        .long   .Lword
        .endr
