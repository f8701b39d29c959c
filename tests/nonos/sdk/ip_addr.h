/* SPDX-License-Identifier: MIT */
/* A stand-in: declares only what examples/nonos-sdk-ota uses of the SDK's header of this name. */
#ifndef IP_ADDR_H
#define IP_ADDR_H

#include "c_types.h"

struct ip_addr {
    uint32 addr;
};
typedef struct ip_addr ip_addr_t;

#endif
