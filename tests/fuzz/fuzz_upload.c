/* SPDX-License-Identifier: MIT */
/* Any bytes as a request to a device that images are pushed to, and as the body of an upload. The
 * first byte chooses dialect and running slot. */
#include "fuzz/fuzz.h"

#include "device/web.h"

#include <espimage/flash.h>
#include <stdlib.h>

static void check(const struct upload *u, const struct upload_step *step, const uint8_t *piece,
                  size_t size)
{
    if (step->size > size || step->bytes < piece || step->bytes > piece + (size - step->size)) {
        abort(); /* a write from outside the piece */
    }
    if (step->size > 0 && step->slot != 1 && step->slot != 2) {
        abort();
    }
    if (u->written > u->request.length || step->offset > u->written) {
        abort();
    }
}

static void push(const struct upload_device *to, const struct upload_request *request,
                 const uint8_t *body, size_t room)
{
    struct upload u;
    struct upload_step step;
    size_t taken = 0;
    upload_begin(&u, to, request);
    do {
        size_t left = request->length - taken;
        size_t piece = upload_piece_size(to->dialect);
        piece = piece < left ? piece : left;
        if (piece > room - taken) {
            return; /* the connection ends */
        }
        upload_take(&u, body + taken, piece, &step);
        check(&u, &step, body + taken, piece);
        taken += piece;
        if (step.answer.status == 0 && taken >= request->length) {
            abort(); /* no answer to all of it */
        }
    } while (step.answer.status == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct web_request request;
    if (size == 0) {
        return 0;
    }
    const struct upload_device to = {(enum upload_dialect)(data[0] % UPLOAD_DIALECTS),
                                     espimage_flash_map_by_name("1MB"),
                                     (uint8_t)(1 + data[0] / UPLOAD_DIALECTS % 2)};
    if (!web_parse(to.dialect, (const char *)data + 1, size - 1, &request)) {
        return 0;
    }
    if (request.head_size > size - 1) {
        abort();
    }
    if (request.action == WEB_UPLOAD) {
        push(&to, &request.upload, data + 1 + request.head_size, size - 1 - request.head_size);
    }
    return 0;
}
