/* SPDX-License-Identifier: MIT */
#ifndef CLI_SIGNALS_H
#define CLI_SIGNALS_H

#include <stdbool.h>

/* For a command that runs until it is told to end: a descriptor that SIGINT and SIGTERM, and with
 * `hangup` SIGHUP, make readable, instead of ending the process; SIGPIPE is ignored. To be called
 * before threads start. -1 when the system refuses. */
int signals_to_descriptor(bool hangup);

/* The signal that is next on that descriptor; 0 when none comes within `milliseconds` (-1: any
 * time). */
int signals_next(int descriptor, int milliseconds);

#endif
