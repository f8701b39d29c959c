/* SPDX-License-Identifier: MIT */
/* How many connections there are, in all and of each address, and how many there may be. */
#ifndef SERVER_CENSUS_H
#define SERVER_CENSUS_H

#include "server/peer.h"

struct census;

enum census_answer {
    CENSUS_WELCOME,
    CENSUS_FULL,         /* too many in all */
    CENSUS_FULL_ADDRESS, /* too many of this address */
    CENSUS_NO_MEMORY
};

/* Safe from several threads. NULL when there is no memory. */
struct census *census_new(unsigned limit, unsigned address_limit);
void census_free(struct census *census);

/* Counts one more, if it is welcome. Towards the limit of its address it counts only once it has a
 * whole request: those who send none do not keep out others who have the same router. */
enum census_answer census_enter(struct census *census, const struct peer *peer);
/* One that entered has a whole request. False: too many of its address have. */
bool census_admit(struct census *census, const struct peer *peer);
/* One that entered is gone, and was not admitted. */
void census_turn_back(struct census *census, const struct peer *peer);
/* One that was admitted is gone. */
void census_leave(struct census *census, const struct peer *peer);
unsigned census_count(struct census *census);

#endif
