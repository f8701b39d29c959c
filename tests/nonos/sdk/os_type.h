/* SPDX-License-Identifier: MIT */
/* A stand-in: declares only what examples/nonos-sdk-ota uses of the SDK's header of this name. */
#ifndef OS_TYPE_H
#define OS_TYPE_H

#include "ets_sys.h"

#endif
