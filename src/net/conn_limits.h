/* SPDX-License-Identifier: MIT */
/* How many connections there are, in all and of each address, and how many there may be. */
#ifndef NET_CONN_LIMITS_H
#define NET_CONN_LIMITS_H

#include "net/peer.h"

struct conn_limits;

enum conn_limits_answer {
    CONN_LIMITS_OK,
    CONN_LIMITS_FULL,         /* too many in all */
    CONN_LIMITS_FULL_ADDRESS, /* too many of this address */
    CONN_LIMITS_NO_MEMORY
};

/* Safe from several threads. NULL when there is no memory. */
struct conn_limits *conn_limits_new(unsigned limit, unsigned address_limit);
void conn_limits_free(struct conn_limits *census);

/* Counts one more, if it is welcome. Towards the limit of its address it counts only once it has a
 * whole request: those who send none do not keep out others who have the same router. */
enum conn_limits_answer conn_limits_enter(struct conn_limits *census, const struct peer *peer);
/* One that entered has a whole request. False: too many of its address have. */
bool conn_limits_admit(struct conn_limits *census, const struct peer *peer);
/* One that entered is gone, and was not admitted. */
void conn_limits_leave_pending(struct conn_limits *census, const struct peer *peer);
/* One that was admitted is gone. */
void conn_limits_leave(struct conn_limits *census, const struct peer *peer);
unsigned conn_limits_count(struct conn_limits *census);

#endif
