/* SPDX-License-Identifier: MIT */
#include "server/body.h"

#include "board/board_text.h"
#include "server/parts.h"
#include "web/page_html.h"

#include <stdlib.h>
#include <string.h>

#define BLOCK 16384

FILE *body_open(struct body *body)
{
    *body = (struct body){0};
    return open_memstream(&body->text, &body->size);
}

void body_close(struct body *body, FILE *out, bool good)
{
    bool whole = ferror(out) == 0;
    if (fclose(out) != 0 || !whole || !good) {
        body_clear(body);
    }
}

void body_clear(struct body *body)
{
    free(body->text);
    *body = (struct body){0};
}

size_t body_take(struct body *body, char *to, size_t room)
{
    size_t left = body->size - body->at;
    size_t count = left < room ? left : room;
    if (count > 0) {
        memcpy(to, body->text + body->at, count);
        body->at += count;
    }
    return count;
}

static void add_fields(struct MHD_Response *response, const char *type)
{
    static const char *const fields[][2] = {
        {MHD_HTTP_HEADER_CONNECTION, "close"},
        {MHD_HTTP_HEADER_CACHE_CONTROL, "no-store"},
        {"X-Content-Type-Options", "nosniff"},
        {"Referrer-Policy", "no-referrer"},
        {"Cross-Origin-Resource-Policy", "same-origin"},
    };
    char policy[PAGE_POLICY];
    page_html_policy(policy);
    (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    (void)MHD_add_response_header(response, "Content-Security-Policy", policy);
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        (void)MHD_add_response_header(response, fields[i][0], fields[i][1]);
    }
}

/* Without a length, so that a device that asks for this by mistake learns none, and erases and
 * writes nothing. */
enum MHD_Result body_answer(struct exchange *x, const char *type, MHD_ContentReaderCallback read,
                            void *context, MHD_ContentReaderFreeCallback release)
{
    struct MHD_Response *response =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK, read, context, release);
    if (response == NULL) {
        if (release != NULL) {
            release(context);
        }
        return MHD_NO;
    }
    add_fields(response, type);
    x->status = MHD_HTTP_OK;
    enum MHD_Result queued = MHD_queue_response(x->connection, MHD_HTTP_OK, response);
    MHD_destroy_response(response);
    return queued;
}

enum MHD_Result body_refuse(struct exchange *x, const char *reason)
{
    return respond_without(x, MHD_HTTP_SERVICE_UNAVAILABLE, reason, MHD_HTTP_HEADER_RETRY_AFTER,
                           "10");
}
