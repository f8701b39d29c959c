/* SPDX-License-Identifier: MIT */
/* Requests to a device that images are pushed to, and its answers, as text. */
#ifndef DEVICE_WEB_H
#define DEVICE_WEB_H

#include "ota/upload.h"

enum web_action {
    WEB_NEXT,      /* /flash/next: which file the device wants */
    WEB_UPLOAD,    /* /flash/upload */
    WEB_REBOOT,    /* /flash/reboot */
    WEB_OTHER,     /* another path */
    WEB_NOT_FOUND, /* a path or method that Espruino answers with 404 */
    WEB_SILENT     /* the device does not answer */
};

struct web_request {
    enum web_action action;
    struct upload_request upload;
    size_t head_size; /* bytes up to the body */
};

/* False while the header is not complete. One that leaves the dialect's buffer is WEB_SILENT. */
bool web_parse(enum upload_dialect dialect, const char *bytes, size_t size,
               struct web_request *out);

#define WEB_ROOM 512

/* The answer with that body (`action` decides about its header). Returns the length. */
size_t web_reply(enum upload_dialect dialect, enum web_action action,
                 const struct upload_answer *answer, char out[WEB_ROOM]);

/* "user1.bin" or "user2.bin": the one for the slot that does not run. */
const char *web_next(const struct upload_device *device);

#endif
