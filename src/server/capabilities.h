/* SPDX-License-Identifier: MIT */
/* The capabilities of the process: what root, or a service manager, has given it. */
#ifndef SERVER_CAPABILITIES_H
#define SERVER_CAPABILITIES_H

/* Gives up all of them for the calling thread and those that it starts later, but for the one with
 * which root reads files of others: an ELF that was rebuilt may be such a file. CAP_DAC_READ_SEARCH
 * is kept, or CAP_DAC_OVERRIDE where only that is there, as in a container.
 *
 * Returns what is left, as words for a line; NULL, and errno, when that could not be done. */
const char *capabilities_drop(void);

#endif
