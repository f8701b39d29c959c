/* SPDX-License-Identifier: MIT */
#include <espimage/version.h>

const char *espimage_version(void)
{
    return ESPIMAGE_VERSION;
}
