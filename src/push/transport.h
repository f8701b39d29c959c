/* SPDX-License-Identifier: MIT */
/* How an update begins and how the image reaches the device. */
#ifndef PUSH_TRANSPORT_H
#define PUSH_TRANSPORT_H

#include <espimage/image.h>
#include <espimage/verify.h>

enum transport_trigger {
    TRIGGER_CONNECTION, /* any connection to the port; the device fetches the image */
    TRIGGER_REQUEST,    /* an HTTP request; the same */
    TRIGGER_COMMAND,    /* a command of the user's; the same */
    TRIGGER_NONE        /* the device names the file it wants, and the image is posted */
};

struct transport_kind {
    const char *name;
    enum transport_trigger trigger;
    uint16_t port;      /* default */
    unsigned consumers; /* bit per espimage_consumer that has to accept the image */
    enum espimage_profile profile;
    /* Of TRIGGER_NONE: */
    size_t piece;       /* see exchange_request */
    bool bundle;        /* both images in one EHUG bundle: a plain one overwrites what runs */
    const char *reboot; /* method of /flash/reboot */
};

/* As --via has it. */
struct transport {
    const struct transport_kind *kind;
    uint16_t port;
    const char *method;  /* of TRIGGER_REQUEST */
    const char *url;     /* ... with {device} as its host; borrowed */
    const char *command; /* of TRIGGER_COMMAND, with {device}; borrowed */
};

/* "tcp:88", "esp-link", "espruino:8080", "http://{device}/update", "http:POST http://{device}/",
 * "exec:COMMAND". ESPIMAGE_ERR_USAGE. */
enum espimage_code transport_parse(const char *text, struct transport *out,
                                   struct espimage_error *err);

/* "http://{device}[:PORT]/[PATH]", without blanks. */
bool transport_url_is_good(const char *url);

#define TRANSPORT_BUNDLE_TAG 28 /* bytes, with a NUL */

/* The EHUG bundle of two images, to be freed; NULL: no memory. */
uint8_t *transport_bundle(const uint8_t *first, size_t first_size, const uint8_t *second,
                          size_t second_size, const char *tag, size_t *size);

#endif
