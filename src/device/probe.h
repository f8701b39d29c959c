/* SPDX-License-Identifier: MIT */
/* Plays the upgrade client over real connections and keeps what was received.
 *
 * The segments that the client is given are computed: each answer is cut every `mss` bytes, as a
 * server's kernel cuts it for a device. Where the kernel's counters prove a shorter segment before
 * the body (a header in a segment of its own), that is taken instead. */
#ifndef DEVICE_PROBE_H
#define DEVICE_PROBE_H

#include "device/target.h"
#include "ota/client.h"

#include <espimage/error.h>
#include <netinet/in.h>

/* A device with a flash: what happens to it on the way. Each returns false to end the upgrade. */
struct probe_hooks {
    /* Asked at each step, several times a second. */
    bool (*go_on)(void *context);
    /* The connection for HEAD is closed, that for GET not yet open. */
    bool (*erase)(void *context, uint32_t bytes);
    /* Bytes `from` to `size` of the answer to GET have come; the client has not seen them. */
    void (*received)(void *context, uint8_t *bytes, size_t from, size_t size);
    /* Bytes of the body that the client has accepted, in order; dropped segments do not come. */
    bool (*write)(void *context, const struct ota_client *client, uint32_t offset,
                  const uint8_t *bytes, size_t size);
    void *context;
    int stop_fd; /* waiting ends when it is readable */
};

struct probe_options {
    struct target target;
    struct ota_client_options client;
    uint16_t mss;
    uint32_t speed;                  /* bytes a second; 0: as fast as it goes */
    uint32_t seconds;                /* for the whole upgrade */
    struct in_addr source;           /* own address; INADDR_ANY: the system chooses */
    const struct probe_hooks *hooks; /* NULL: no flash, and the answer is read to its end */
};

/* What one connection brought. */
struct probe_answer {
    bool connected;
    uint8_t *bytes; /* owned */
    size_t size;
    size_t room;
    size_t again;          /* where the answer to a GET on HEAD's connection begins; 0: none */
    uint16_t path;         /* a device's largest segment, where server or network allow less than it
                              announces; 0: they do not */
    uint16_t largest;      /* bytes of a full segment on this connection; 0: not known */
    uint32_t segments;     /* that came; 0: not known */
    uint32_t short_ones;   /* times that the body's segments proved not all full, before its end */
    uint32_t even_ones;    /* times that they proved so far all full */
    bool header_alone;     /* the header was a segment of its own */
    bool cut_unsure;       /* whether header_alone, when this side read too late to be sure */
    bool header_in_pieces; /* it came in more segments than needed; which is not known */
    bool closed;           /* by the server, before the probe had enough */
    bool reset;
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
