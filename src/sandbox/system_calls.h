/* SPDX-License-Identifier: MIT */
/* The only user of libseccomp. */
#ifndef SANDBOX_SYSTEM_CALLS_H
#define SANDBOX_SYSTEM_CALLS_H

#include <stdbool.h>

/* From now on the kernel denies the calling thread, and those that it starts later, what serving
 * never asks for: new processes and sockets, signals to others, changes to files, and what few
 * programs need and many exploits do. Such a call fails with EPERM, or with ENOSYS where the C
 * library has another way; nothing is killed.
 *
 * A list of what is denied, not of what is allowed: the latter would have to follow each version of
 * the C library, libmicrohttpd and the sanitizers. False, and errno, where the kernel cannot. */
bool system_calls_deny(void);

#endif
