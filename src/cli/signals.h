/* SPDX-License-Identifier: MIT */
#ifndef CLI_SIGNALS_H
#define CLI_SIGNALS_H

/* For a command that runs until it is told to end: a descriptor that SIGINT and SIGTERM make
 * readable, instead of ending the process; SIGPIPE is ignored. To be called before threads start.
 * -1 when the system refuses. */
int signals_to_descriptor(void);

#endif
