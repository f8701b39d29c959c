/* SPDX-License-Identifier: MIT */
/* One update of a virtual device: the upgrade client on real connections, its bytes in the flash,
 * and the faults that can be asked for. */
#ifndef DEVICE_UPGRADE_H
#define DEVICE_UPGRADE_H

#include "device/faults.h"
#include "device/target.h"
#include "ota/client.h"

#include <netinet/in.h>
#include <stdatomic.h>

/* A line for the log. */
typedef void upgrade_say(void *context, const char *line);

struct upgrade_options {
    struct flash *flash;
    const struct espimage_flash_map *map;
    uint8_t running;   /* slot, as the SDK takes it; the other one is written */
    uint8_t executing; /* slot that really runs; 0: neither */
    struct target target;
    struct in_addr source;
    uint16_t mss;
    uint32_t speed;
    uint32_t seconds;
    struct faults faults;
    atomic_bool *stop; /* set, and stop_fd readable: give up */
    int stop_fd;
    atomic_uint *progress; /* body bytes so far */
    atomic_uint *total;
    upgrade_say *say;
    void *context;
};

enum upgrade_end {
    UPGRADE_DONE,    /* the parameters name the other slot */
    UPGRADE_REFUSED, /* by a rule; the running firmware goes on */
    UPGRADE_NO_POWER,
    UPGRADE_ERASED_ITSELF, /* the SDK took the other slot for the running one */
    UPGRADE_STOPPED
};

struct upgrade_result {
    enum upgrade_end end;
    enum ota_rule rule; /* valid when refused */
    bool late;          /* when refused: the firmware knows it only when its time is up */
    char found[192];    /* what decided; what was verified; where the power failed */
    uint32_t bytes;     /* of the image that were written */
    double seconds;
};

/* ESPIMAGE_ERR_IO when the flash file cannot be read or written, ESPIMAGE_ERR_MEMORY; everything
 * else is in the result. */
enum espimage_code upgrade_run(const struct upgrade_options *options, struct upgrade_result *out,
                               struct espimage_error *err);

#endif
