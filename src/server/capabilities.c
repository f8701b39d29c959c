/* SPDX-License-Identifier: MIT */
/* By the system calls: the C library has no functions for them. */
#include "server/capabilities.h"

#include <linux/capability.h>
#include <stdint.h>
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

/* The least of those that open every file for reading. Both are in the first word. */
static uint32_t reader(uint32_t effective)
{
    return effective & (effective & bit(CAP_DAC_READ_SEARCH) ? bit(CAP_DAC_READ_SEARCH)
                                                             : bit(CAP_DAC_OVERRIDE));
}

const char *capabilities_drop(void)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    capability_sets sets = {{0}};
    if (syscall(SYS_capget, &header, sets) != 0) {
        return NULL;
    }
    uint32_t kept = reader(sets[0].effective);
    empty_bounding_set();
    (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    const capability_sets less = {{.effective = kept, .permitted = kept}};
    /* Who has left none, such as systemd, may deny this call as well. */
    if (memcmp(sets, less, sizeof sets) != 0 && syscall(SYS_capset, &header, less) != 0) {
        return NULL;
    }
    return kept == 0                          ? "no capabilities"
           : kept == bit(CAP_DAC_READ_SEARCH) ? "no capability but CAP_DAC_READ_SEARCH"
                                              : "no capability but CAP_DAC_OVERRIDE";
}
