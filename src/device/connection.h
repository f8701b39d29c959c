/* SPDX-License-Identifier: MIT */
/* A TCP connection that knows in which segments its bytes came, as far as the kernel tells.
 *
 * What an application reads are not segments. But Linux counts them, together with the bytes, and
 * one look at both counters tells whether all that came since the last look were full ones. */
#ifndef DEVICE_CONNECTION_H
#define DEVICE_CONNECTION_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Linux peers' timestamps take so much of each segment; a device does not use them. */
#define CONNECTION_TIMESTAMP 12

struct connection {
    int fd;
    int stop_fd;          /* of the route */
    bool counts;          /* the kernel counts segments */
    bool timestamps;      /* both sides send them: CONNECTION_TIMESTAMP bytes of each segment */
    uint16_t largest;     /* bytes that a segment of the server holds at most; 0: not known */
    uint16_t path;        /* set by the user: `largest`, when that is less than was announced */
    uint16_t seen;        /* bytes of the largest one that came; 0: not known */
    bool squeezed;        /* at the last look the server had no room for a full segment */
    uint64_t read;        /* bytes handed out */
    uint64_t queued;      /* bytes that had come at the last look */
    uint32_t segments;    /* that had come at the last look */
    uint32_t queued_from; /* segments at the look before */
    uint64_t read_from;   /* bytes at the look before */
};

enum connection_event {
    CONNECTION_DATA,
    CONNECTION_CLOSED,
    CONNECTION_RESET,
    CONNECTION_SILENT /* nothing within the time, or told to stop */
};

/* What one look at the counters told; set when all bytes up to then are handed out. */
struct arrival {
    bool known;        /* all of it is read, and the counters are there */
    uint64_t bytes;    /* since the last one */
    uint32_t segments; /* that came in that time; some may have been repeated ones */
    bool squeezed;     /* this side read so late that the last one may be cut short for that */
};

struct route {
    struct sockaddr_in to;
    struct in_addr from; /* own address; INADDR_ANY: the system chooses */
    int stop_fd;         /* waiting ends when it is readable; -1: none */
};

/* Connects within `milliseconds`, announcing `mss`. 0, or an errno value with nothing open. */
int connection_open(struct connection *c, const struct route *route, uint16_t mss,
                    int milliseconds);
void connection_close(struct connection *c);

/* False when the server has gone. */
bool connection_send(const struct connection *c, const char *text, size_t size);

/* Waits for bytes and reads up to `room` of them; `*size` is how many. */
enum connection_event connection_receive(struct connection *c, uint8_t *to, size_t room,
                                         int milliseconds, size_t *size, struct arrival *arrival);

#endif
