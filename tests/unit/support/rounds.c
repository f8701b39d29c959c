/* SPDX-License-Identifier: MIT */
#include "support/rounds.h"

#include "support/test.h"

#include <stdlib.h>

static uint64_t seed; /* of the round that runs; 0: none does */

static uint64_t number_from_env(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text != NULL ? strtoull(text, NULL, 0) : otherwise;
}

uint64_t run_rounds(uint64_t usual, void (*check)(struct random *r, void *context), void *context)
{
    uint64_t first = number_from_env("ESPIMAGE_TEST_SEED", 1);
    uint64_t rounds = number_from_env("ESPIMAGE_TEST_ROUNDS", usual);
    for (seed = first; seed < first + rounds; seed++) {
        struct random r = {seed};
        check(&r, context);
    }
    seed = 0;
    return rounds;
}

int show_seed(void **state)
{
    (void)state;
    if (seed != 0) {
        print_error("to see it again: ESPIMAGE_TEST_SEED=%llu ESPIMAGE_TEST_ROUNDS=1\n",
                    (unsigned long long)seed);
    }
    return 0;
}
