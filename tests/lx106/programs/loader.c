/* SPDX-License-Identifier: MIT */
/* The smallest second-stage bootloader that boots a good user1; proves the way on which a vendor's
 * can be run. */
#include "program.h"

static uint32_t next_word(uint32_t *at)
{
    uint32_t word = 0;

    SPIRead(*at, &word, sizeof word);
    *at += sizeof word;
    return word;
}

void program(void)
{
    uint32_t at = 0x1000 + 12;
    uint32_t irom_size = next_word(&at);

    ets_printf("smallest loader: jump to run user1\n");
    at += irom_size;
    uint32_t count = next_word(&at) >> 8 & 0xFF;
    void (*entry)(void) = (void (*)(void))next_word(&at);
    while (count-- > 0) {
        void *address = (void *)next_word(&at);
        uint32_t size = next_word(&at);
        SPIRead(at, address, size);
        at += size;
    }
    Cache_Read_Enable(0, 0, 1);
    entry();
}
