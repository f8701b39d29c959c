/* SPDX-License-Identifier: MIT */
/* The capabilities of the process: what root, or a service manager, has given it. */
#ifndef SANDBOX_CAPABILITIES_H
#define SANDBOX_CAPABILITIES_H

#include <stdbool.h>

#define CAPABILITIES_TEXT 80

/* Gives up all of them for the calling thread and those that it starts later, but for these when
 * they are there:
 *
 * - the one with which root reads files of others, for an ELF that was rebuilt may be such a file:
 *   CAP_DAC_READ_SEARCH, or CAP_DAC_OVERRIDE where only that is there, as in a container;
 * - with `bound` CAP_NET_RAW, to bind the port to an interface that was made anew.
 *
 * `left` says on part of a line what is left. False, and errno, when that could not be done. */
bool capabilities_drop(bool bound, char left[CAPABILITIES_TEXT]);

#endif
