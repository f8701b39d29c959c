/* SPDX-License-Identifier: MIT */
/* What the system leaves to this process. */
#ifndef NET_SYSTEM_LIMITS_H
#define NET_SYSTEM_LIMITS_H

#include <stddef.h>

struct system_limits {
    unsigned processors;  /* 1 to 64 */
    unsigned descriptors; /* after they were raised to what is allowed; at most 1048576 */
    size_t unsent;        /* bytes of TCP that may wait in the kernel to be sent */
};

/* Reads a file that a confined process has no right to. */
struct system_limits system_limits_raise(void);

#endif
