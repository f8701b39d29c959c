/* SPDX-License-Identifier: MIT */
/* A test with very many random inputs, each from a seed of its own. ESPIMAGE_TEST_SEED gives the
 * first seed, ESPIMAGE_TEST_ROUNDS their number. */
#ifndef SUPPORT_ROUNDS_H
#define SUPPORT_ROUNDS_H

#include "support/random.h"

/* Calls `check` once a round; returns how many there were, `usual` unless told otherwise. */
uint64_t run_rounds(uint64_t usual, void (*check)(struct random *r, void *context), void *context);

/* The teardown of such a test: when it has failed, says with which seed. */
int show_seed(void **state);

#endif
