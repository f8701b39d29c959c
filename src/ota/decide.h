/* SPDX-License-Identifier: MIT */
/* What to answer, without sockets.
 *
 * The upgrade library never looks at the status code: it erases the other slot for any
 * Content-Length above 0 and writes any body to flash. So nothing but an image may have a body;
 * every other answer has Content-Length: 0 and its reason in a header. */
#ifndef OTA_DECIDE_H
#define OTA_DECIDE_H

#include <espimage/error.h>
#include <stdbool.h>

enum ota_method { OTA_GET, OTA_HEAD, OTA_OTHER };

struct ota_request {
    enum ota_method method;
    int slot; /* 1, 2, or 0: the path names none */
};

/* What there is for the slot. */
enum ota_supply {
    OTA_READY,    /* an image */
    OTA_NO_ELF,   /* no ELF was given for this slot */
    OTA_NOT_READY /* there is an ELF, but right now it cannot be read or converted */
};

struct ota_answer {
    unsigned status;    /* HTTP */
    bool image;         /* Content-Length is the image's; otherwise 0 */
    const char *reason; /* why there is no image; NULL with one. Static. */
};

struct ota_answer ota_decide(const struct ota_request *request, enum ota_supply supply);

enum ota_method ota_method_of(const char *method);

#endif
