/* SPDX-License-Identifier: MIT */
/* What the two slots hold, for the board. */
#ifndef SERVER_SLOTS_H
#define SERVER_SLOTS_H

#include "board/board.h"

struct server;

/* Looks at the ELFs and converts what has changed, so it may take a while. `slots` is what was
 * found the time before; {0} at first. */
void slots_look(struct server *server, struct board_slot slots[2]);

#endif
