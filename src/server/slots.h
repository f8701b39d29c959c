/* SPDX-License-Identifier: MIT */
/* What the two slots hold, for the board. */
#ifndef SERVER_SLOTS_H
#define SERVER_SLOTS_H

#include "server/journal.h"
#include "store/store.h"

/* Checks the ELFs for changes and converts what has changed, so it may take a while. `slots` is
 * what was found the time before; {0} at first. */
void slots_poll(struct store *store, struct journal *journal, struct board_slot slots[2]);

#endif
