/* SPDX-License-Identifier: MIT */
/* The upgrade client of the NONOS SDK as a state machine: TCP segments and connection events in,
 * what it does next and at last a verdict out. What it does was observed: the upgrade libraries of
 * SDK 2.0.0 to 3.0.6 were run, and tests/replay compares this model with recordings of them. Where
 * SDK 2.x differs there is an option.
 *
 * The driver opens and closes connections, sends the requests and hands in what arrives, one TCP
 * segment a call: where segments begin and end decides whether an update succeeds. */
#ifndef OTA_CLIENT_H
#define OTA_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Everything that can decide an update, in the order in which it is met. */
enum ota_rule {
    OTA_RULE_CONNECT,      /* a connection, the first within 10 s */
    OTA_RULE_HEAD_HEADER,  /* answer to HEAD: end of header and Content-Length in one segment */
    OTA_RULE_LENGTH,       /* Content-Length above 0, within the partition and 240 sectors */
    OTA_RULE_GET_HEADER,   /* answer to GET: the same */
    OTA_RULE_FIRST_BYTES,  /* body bytes in that segment begin with EA 04 or E9 03 */
    OTA_RULE_APP_NUMBER,   /* ... and the fourth is the slot that does not run */
    OTA_RULE_SAME_LENGTH,  /* GET announces no more than was erased for */
    OTA_RULE_NO_DROP,      /* no segment begins in a zero-free run that leads to "200 OK" CRLF */
    OTA_RULE_COMPLETE,     /* Content-Length bytes arrive */
    OTA_RULE_IN_TIME,      /* before the firmware's own limit */
    OTA_RULE_LAST_SEGMENT, /* the last segment holds at least 4 bytes, of the body and only of it */
    OTA_RULE_CRC,          /* its last four bytes are the CRC of the flash */
    OTA_RULE_COUNT
};

/* "connect", "head-header", ...; and the demand as one clause. */
const char *ota_rule_name(enum ota_rule rule);
const char *ota_rule_demand(enum ota_rule rule);

enum ota_action {
    OTA_WAIT,      /* for the next event */
    OTA_SEND_HEAD, /* on the connection that is open */
    OTA_SEND_GET,  /* on the connection that is open */
    OTA_RECONNECT, /* close, erase ota_client.erased bytes of flash, open a new connection */
    OTA_END        /* close; the verdict is in */
};

enum ota_state {
    OTA_STATE_CONNECTING, /* for HEAD */
    OTA_STATE_HEAD,       /* HEAD sent */
    OTA_STATE_FALLBACK,   /* HEAD gave nothing: GET sent on the same connection, for the length */
    OTA_STATE_RECONNECTING,
    OTA_STATE_GET,  /* GET sent, nothing usable so far */
    OTA_STATE_BODY, /* a length, or bytes that count for the body */
    OTA_STATE_SUCCESS,
    OTA_STATE_FAILURE
};

/* The SDK of the firmware. */
enum ota_sdk {
    OTA_SDK_3, /* 3.0 and later: forgets segments with "200 OK" CRLF */
    OTA_SDK_2  /* 2.0.0 to 2.2.1: does not look for that */
};

struct ota_client_options {
    uint8_t running;    /* slot that it runs from, 1 or 2; the image must be for the other */
    uint32_t partition; /* bytes of its OTA partition; whole sectors count */
    enum ota_sdk sdk;
};

/* When the firmware learns of a failure. */
enum ota_notice {
    OTA_NOTICE_AT_ONCE, /* the library ends the upgrade */
    OTA_NOTICE_LATE     /* when its limit for the whole upgrade, check_times, is over */
};

/* Open to be read; changed only by the functions below. */
struct ota_client {
    struct ota_client_options options;
    enum ota_state state;
    enum ota_rule decided_by; /* valid in FAILURE */
    enum ota_notice notice;   /* valid in FAILURE */
    char found[128];          /* what decided; or, in SUCCESS, what was verified */
    uint32_t head_length;     /* Content-Length that HEAD (or the fallback) announced */
    uint32_t length;          /* ... and that GET announced; 0: none, and the update never ends */
    uint32_t erased;          /* bytes, whole sectors */
    uint32_t written;         /* body bytes so far */
    uint32_t segments;        /* of the body's connection, dropped ones included */
    uint32_t dropped;         /* of the body: segments taken for another header */
    uint32_t dropped_bytes;
    uint32_t forgotten; /* before GET's header: segments with "200 OK" but without all it needs */
    bool head_closed;   /* the server closed HEAD's connection */
    bool fell_back;     /* HEAD gave no usable header */
    bool got_header;    /* GET gave one; without it the whole answer is taken for the image */
    bool checked_first; /* the first bytes were looked at: some came in the header's segment */
    uint32_t crc;       /* of the bytes written that count for it */
    uint8_t first[4];   /* first bytes written, looked at or not */
};

void ota_client_init(struct ota_client *client, const struct ota_client_options *options);

enum ota_action ota_client_connected(struct ota_client *client);

/* One TCP segment of the connection that is open. */
enum ota_action ota_client_segment(struct ota_client *client, const uint8_t *bytes, size_t size);

/* The server closed the connection; `reset` when by a reset. After OTA_RECONNECT: HEAD's. */
enum ota_action ota_client_closed(struct ota_client *client, bool reset);

/* The driver will not go on reading, for the reason `why`. */
enum ota_action ota_client_give_up(struct ota_client *client, const char *why);

/* The update cannot succeed any more, though the client still takes segments: it ends when the
 * server closes or the time is up. */
bool ota_client_is_lost(const struct ota_client *client);

/* No connection within 10 s, or (`connecting` false) the firmware's own limit has passed. */
enum ota_action ota_client_timeout(struct ota_client *client, bool connecting);

/* An answer as a server sends it. */
struct ota_stream {
    const uint8_t *header;
    size_t header_size;
    const uint8_t *body;
    size_t body_size;
    size_t mss;        /* 1..65535 */
    bool header_alone; /* the header is a segment of its own; the body is cut from its first byte */
};

/* Plays the exchange with a server that answers HEAD with the stream's header and GET with all of
 * it, and closes. No sockets. */
void ota_client_replay(struct ota_client *client, const struct ota_client_options *options,
                       const struct ota_stream *stream);

/* The same for header and body in one stream, cut every `mss` bytes. */
void ota_client_play(struct ota_client *client, const struct ota_client_options *options,
                     const uint8_t *header, size_t header_size, const uint8_t *body,
                     size_t body_size, size_t mss);

#endif
