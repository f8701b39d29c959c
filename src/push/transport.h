/* SPDX-License-Identifier: MIT */
/* How an update begins and how the image reaches the device. */
#ifndef PUSH_TRANSPORT_H
#define PUSH_TRANSPORT_H

#include <espimage/image.h>
#include <espimage/verify.h>

struct transport_kind {
    const char *name;
    bool posts;         /* the image is posted to the device, which names the file it wants */
    uint16_t port;      /* default */
    unsigned consumers; /* bit per espimage_consumer that has to accept the image */
    enum espimage_profile profile;
    size_t piece;       /* see exchange_request */
    bool bundle;        /* both images in one EHUG bundle */
    const char *reboot; /* method of /flash/reboot */
};

/* As --via has it. */
struct transport {
    const struct transport_kind *kind;
    uint16_t port;
};

/* "tcp:88", "esp-link", "espruino:8080". ESPIMAGE_ERR_USAGE. */
enum espimage_code transport_parse(const char *text, struct transport *out,
                                   struct espimage_error *err);

#endif
