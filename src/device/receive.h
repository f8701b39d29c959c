/* SPDX-License-Identifier: MIT */
/* One upload to a virtual device: the bytes of a connection through ota/upload.h into its flash,
 * with the faults that can be asked for. */
#ifndef DEVICE_RECEIVE_H
#define DEVICE_RECEIVE_H

#include "device/faults.h"
#include "ota/upload.h"

#include <stdatomic.h>

struct receive_options {
    struct flash *flash;
    struct upload_device device;
    struct upload_request request;
    uint8_t executing; /* slot that really runs; 0: neither */
    int fd;            /* owned by the caller; non-blocking */
    const uint8_t *early;
    size_t early_size; /* bytes of the body that came with the header */
    uint32_t speed;    /* bytes a second; 0: as they come */
    const struct faults *faults;
    atomic_bool *stop; /* set, and stop_fd readable: give up */
    int stop_fd;
    atomic_uint *progress; /* body bytes so far */
};

enum receive_end {
    RECEIVE_DONE,    /* taken and written */
    RECEIVE_REFUSED, /* by the device: the answer says why */
    RECEIVE_BROKEN,  /* the connection ended or was silent before the end; no answer */
    RECEIVE_NO_POWER,
    RECEIVE_ERASED_ITSELF, /* it has overwritten the slot that runs */
    RECEIVE_STOPPED
};

struct receive_result {
    enum receive_end end;
    struct upload_answer answer; /* when done or refused */
    char found[160];
    uint8_t slot;   /* that was written */
    uint32_t bytes; /* of it */
    double seconds;
};

/* Sends no answer: the caller does. ESPIMAGE_ERR_IO when the flash file cannot be read or written;
 * everything else is in the result. */
enum espimage_code receive_run(const struct receive_options *options, struct receive_result *out,
                               struct espimage_error *err);

#endif
