/* SPDX-License-Identifier: MIT */
/* By the system calls: the C library has no functions for them. */
#include "sandbox/capabilities.h"

#include <linux/capability.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

typedef struct __user_cap_data_struct capability_sets[_LINUX_CAPABILITY_U32S_3];

static uint32_t bit(unsigned capability)
{
    return UINT32_C(1) << capability;
}

/* What programs could get that this process starts. It starts none, so this may as well fail: only
 * root has the right to it. */
static void empty_bounding_set(void)
{
    for (unsigned long i = 0; prctl(PR_CAPBSET_READ, i, 0, 0, 0) >= 0; i++) {
        (void)prctl(PR_CAPBSET_DROP, i, 0, 0, 0);
    }
}

/* The least of those that open every file for reading. All used here are in the first word. */
static uint32_t reader(uint32_t effective)
{
    return effective & (effective & bit(CAP_DAC_READ_SEARCH) ? bit(CAP_DAC_READ_SEARCH)
                                                             : bit(CAP_DAC_OVERRIDE));
}

static void describe(uint32_t kept, char left[CAPABILITIES_TEXT])
{
    const char *first = (kept & bit(CAP_DAC_READ_SEARCH)) != 0 ? "CAP_DAC_READ_SEARCH"
                        : (kept & bit(CAP_DAC_OVERRIDE)) != 0  ? "CAP_DAC_OVERRIDE"
                                                               : "";
    bool raw = (kept & bit(CAP_NET_RAW)) != 0;
    (void)snprintf(left, CAPABILITIES_TEXT, "%s%s%s%s",
                   kept == 0 ? "no capabilities" : "no capability but ", first,
                   raw && first[0] != '\0' ? " and " : "", raw ? "CAP_NET_RAW" : "");
}

bool capabilities_drop(bool bound, char left[CAPABILITIES_TEXT])
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    capability_sets sets = {{0}};
    if (syscall(SYS_capget, &header, sets) != 0) {
        return false;
    }
    uint32_t kept = reader(sets[0].effective) | (bound ? sets[0].effective & bit(CAP_NET_RAW) : 0);
    empty_bounding_set();
    (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    const capability_sets less = {{.effective = kept, .permitted = kept}};
    describe(kept, left);
    /* Who has left none, such as systemd, may deny this call as well. */
    return memcmp(sets, less, sizeof sets) == 0 || syscall(SYS_capset, &header, less) == 0;
}
