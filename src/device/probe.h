/* SPDX-License-Identifier: MIT */
/* Plays the upgrade client over real connections and keeps what was received.
 *
 * The segments that the client is given are computed: each answer is cut every `mss` bytes, as a
 * server's kernel cuts it for a device. Where the kernel's counters prove a shorter segment before
 * the body (a header in a segment of its own), that is taken instead. */
#ifndef DEVICE_PROBE_H
#define DEVICE_PROBE_H

#include "device/probe_answer.h"
#include "device/target.h"
#include "ota/client.h"

#include <espimage/error.h>
#include <netinet/in.h>

struct probe_options {
    struct target target;
    struct ota_client_options client;
    uint16_t mss;
    uint32_t speed;                  /* bytes a second; 0: as fast as it goes */
    uint32_t seconds;                /* for the whole upgrade */
    struct in_addr source;           /* own address; INADDR_ANY: the system chooses */
    const struct probe_hooks *hooks; /* NULL: no flash, and the answer is read to its end */
};

struct probe_result {
    struct ota_client client; /* with the verdict */
    struct probe_answer head;
    struct probe_answer get;
    char address[24];  /* "192.0.2.1:80" */
    int connect_error; /* errno of a connection that failed; 0: none did */
    bool timed_out;    /* the time for the upgrade ran out */
    double seconds;
};

/* Errors: ESPIMAGE_ERR_UNAVAILABLE when the name has no IPv4 address, _ERR_MEMORY. Whatever happens
 * after that is in the result. */
enum espimage_code probe_run(const struct probe_options *options, struct probe_result *out,
                             struct espimage_error *err);
void probe_result_free(struct probe_result *result);

#endif
