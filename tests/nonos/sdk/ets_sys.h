/* SPDX-License-Identifier: MIT */
/* A stand-in: declares only what examples/nonos-sdk-ota uses of the SDK's header of this name. */
#ifndef ETS_SYS_H
#define ETS_SYS_H

#include "c_types.h"

#endif
