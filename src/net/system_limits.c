/* SPDX-License-Identifier: MIT */
#include "net/system_limits.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#define MOST_PROCESSORS  64
#define MOST_DESCRIPTORS 1048576
#define FEW_DESCRIPTORS  1024
/* At most, where the kernel does not say how much it has, as in most containers. */
#define SOME_UNSENT ((size_t)64 << 20)
/* Of the memory there is: the same part of it as by the kernel's usual figures. */
#define USUAL_UNSENT(memory) ((memory) / 128 * 3)

static unsigned processors(void)
{
    long count = sysconf(_SC_NPROCESSORS_ONLN);
    return count < 1 ? 1 : count > MOST_PROCESSORS ? MOST_PROCESSORS : (unsigned)count;
}

/* Two processes with as many as the system allows would not be served better by fewer. */
static unsigned descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return FEW_DESCRIPTORS;
    }
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    (void)getrlimit(RLIMIT_NOFILE, &limit);
    return limit.rlim_cur > MOST_DESCRIPTORS ? MOST_DESCRIPTORS : (unsigned)limit.rlim_cur;
}

static size_t some_unsent(size_t page)
{
    long pages = sysconf(_SC_PHYS_PAGES);
    size_t usual = pages > 0 && (unsigned long)pages < SIZE_MAX / page
                       ? USUAL_UNSENT((size_t)pages * page)
                       : SOME_UNSENT;
    return usual < SOME_UNSENT ? usual : SOME_UNSENT;
}

/* Half of what TCP may have before the kernel begins to save: all connections of this computer
 * share it. */
static size_t unsent(void)
{
    char text[64] = "";
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    FILE *file = fopen("/proc/sys/net/ipv4/tcp_mem", "re"); /* three numbers of pages */
    if (file != NULL) {
        (void)!fgets(text, sizeof text, file);
        (void)fclose(file);
    }
    unsigned long pages = strtoul(text, NULL, 10);
    return pages > 0 && pages < SIZE_MAX / page ? pages * page / 2 : some_unsent(page);
}

struct system_limits system_limits_raise(void)
{
    return (struct system_limits){
        .processors = processors(), .descriptors = descriptors(), .unsent = unsent()};
}
