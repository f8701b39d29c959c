/* SPDX-License-Identifier: MIT */
/* Devices to which images are pushed: what esp-link, libesphttpd and Espruino do with an upload.
 * Pieces of the body in; what to write, and at last the answer out.
 *
 * Sources: esp-link's cgiflash.c and httpd.c, libesphttpd's cgiflash.c, Espruino's
 * libs/network/esp8266/ota.c. None of them checks CRC or checksum. */
#ifndef OTA_UPLOAD_H
#define OTA_UPLOAD_H

#include <espimage/flash.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum upload_dialect { UPLOAD_ESP_LINK, UPLOAD_LIBESPHTTPD, UPLOAD_ESPRUINO, UPLOAD_DIALECTS };

/* "esp-link", "libesphttpd", "espruino". */
const char *upload_dialect_name(enum upload_dialect dialect);

/* The largest piece of a body; libesphttpd's relatives collect so much before they handle it. */
#define UPLOAD_LARGEST_PIECE 1024

/* Bytes that the dialect collects: every piece but the last is that long. */
size_t upload_piece_size(enum upload_dialect dialect);

/* The bundle of libesphttpd: "EHUG", a tag of 28 bytes, two i32 lengths, then user1 and user2. */
#define UPLOAD_BUNDLE_HEADER 40U
/* The tag that libesphttpd's makefile sets, and that the virtual device has. */
#define UPLOAD_BUNDLE_TAG "generic"

struct upload_device {
    enum upload_dialect dialect;
    const struct espimage_flash_map *map; /* with slots */
    uint8_t running;                      /* slot, as the SDK takes it: 1 or 2 */
};

/* An HTTP status and the text of the body. 0: none yet. The text is static. */
struct upload_answer {
    int status;
    const char *text;
};

/* Why the device updates nothing at all; status 0: it does. */
struct upload_answer upload_refusal(const struct upload_device *device);

/* The answer to a request for a reboot, and how long after it the device restarts. `header` is the
 * start of the slot that does not run. */
#define UPLOAD_HEADER 12U
struct upload_answer upload_reboot(const struct upload_device *device,
                                   const uint8_t header[UPLOAD_HEADER]);
uint32_t upload_reboot_delay(enum upload_dialect dialect); /* milliseconds */

struct upload_request {
    bool post;
    bool force;      /* the query has force=1: a bundle with any tag */
    uint32_t length; /* Content-Length; 0 when there is none */
};

enum upload_state {
    UPLOAD_START,
    UPLOAD_WRITE,
    UPLOAD_SKIP,
    UPLOAD_DONE,
    UPLOAD_ERROR /* libesphttpd: the rest is read and ignored */
};

struct upload {
    struct upload_device device;
    struct upload_request request;
    enum upload_state state;
    uint32_t received;
    uint8_t slot;     /* that is written, once that is known */
    uint32_t written; /* bytes of that slot */
    uint32_t left;    /* to write */
    uint32_t skip;    /* of the image for the other slot */
    const char *error;
};

void upload_begin(struct upload *u, const struct upload_device *device,
                  const struct upload_request *request);

struct upload_step {
    const uint8_t *bytes; /* within the piece */
    size_t size;          /* to write; 0: nothing */
    uint8_t slot;
    uint32_t offset; /* in the slot */
    struct upload_answer answer;
};

/* Takes the next piece: at most UPLOAD_LARGEST_PIECE bytes, and no byte behind request.length. With
 * a length of 0 it is called once, with no bytes. After an answer it is not called again. */
void upload_take(struct upload *u, const uint8_t *bytes, size_t size, struct upload_step *out);

#endif
