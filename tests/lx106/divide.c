/* SPDX-License-Identifier: MIT */
/* The lx106 has no division, and its compiler calls the ROM's. */
#include "rom.h"

static uint32_t divide(uint32_t value, uint32_t by, uint32_t *rest)
{
    uint32_t quotient = 0;
    uint32_t left = 0;

    for (int bit = 31; bit >= 0; bit--) {
        bool carry = left >> 31;
        left = left << 1 | (value >> bit & 1);
        if (carry || left >= by) {
            left -= by;
            quotient |= UINT32_C(1) << bit;
        }
    }
    *rest = left;
    return quotient;
}

static uint32_t magnitude(int32_t value)
{
    return value < 0 ? 0 - (uint32_t)value : (uint32_t)value;
}

uint32_t __udivsi3(uint32_t value, uint32_t by)
{
    uint32_t rest;
    return divide(value, by, &rest);
}

uint32_t __umodsi3(uint32_t value, uint32_t by)
{
    uint32_t rest;
    (void)divide(value, by, &rest);
    return rest;
}

int32_t __divsi3(int32_t value, int32_t by)
{
    uint32_t quotient = __udivsi3(magnitude(value), magnitude(by));
    return (int32_t)((value < 0) == (by < 0) ? quotient : 0 - quotient);
}
