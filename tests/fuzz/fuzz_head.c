/* SPDX-License-Identifier: MIT */
/* Any bytes as the head of a request, as they come in bit by bit, and all that is made of it before
 * a byte is sent: the route, the range, the target in the log. */
#include "fuzz/fuzz.h"

#include "http/range.h"
#include "http/request_head.h"
#include "http/route.h"
#include "http/token.h"

#include <stdlib.h>
#include <string.h>

#define TOKEN "s3cret-token"

static void require(bool good)
{
    if (!good) {
        abort();
    }
}

static bool is_within(const struct head_text *text, const uint8_t *data, size_t size)
{
    const char *begin = (const char *)data;
    return text->at == NULL || (text->at >= begin && text->at <= begin + size &&
                                text->size <= (size_t)(begin + size - text->at));
}

static void check_route(const struct request_head *head, bool token)
{
    static const char *const pages[] = {"/", "/events", "/healthz", "/metrics", "/status.json"};
    static const struct host_names hosts = {{"workbench"}, 1, {""}};
    const struct route_rules rules = {token ? TOKEN : NULL, &hosts, pages, 5, {true, false}};
    const struct route r = route(head, &rules);
    bool tokened = head->path.at == NULL || !token ||
                   token_strip(TOKEN, head->path.at, head->path.size) != NULL;
    require(r.slot >= 0 && r.slot <= 2);
    require(tokened || (r.handler == ROUTE_REPLY && r.slot == 0));
    require(head->status == 0 || (r.handler == ROUTE_REPLY && r.status == head->status));
    require(r.handler != ROUTE_REPLY || (r.status >= 400 && (r.reason != NULL || r.slot == 2)));
    require(r.handler != ROUTE_IMAGE || r.slot == 1);
    require(r.handler != ROUTE_PAGE || r.page < 5);
}

static void check_range(const struct head_text *text)
{
    char value[64];
    size_t first = 0;
    size_t count = 0;
    if (text->at != NULL && text->size < sizeof value) {
        memcpy(value, text->at, text->size);
        value[text->size] = '\0';
        if (range_parse(value, 8000, &first, &count) == RANGE_ONE) {
            require(count > 0 && first < 8000 && count <= 8000 - first);
        }
    }
}

static void check_complete(const struct request_head *head, const uint8_t *data, size_t size)
{
    require(head->size <= size && head->fields <= HEAD_FIELDS && head->status == 0);
    const struct head_text *texts[] = {&head->path, &head->host, &head->range, &head->if_range,
                                       &head->if_none_match};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        require(is_within(texts[i], data, size));
    }
    char *masked = token_mask(TOKEN, head->target);
    require(masked == NULL || strstr(masked, TOKEN) == NULL);
    free(masked);
    check_range(&head->range);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct request_head whole;
    struct request_head part;
    enum head_state state = head_parse(data, size, HEAD_LONGEST, false, &whole);
    if (state == HEAD_COMPLETE) {
        check_complete(&whole, data, size);
    }
    require(state != HEAD_REFUSED || (whole.reason != NULL && whole.status >= 400));
    /* What was decided of a part stays so, but for SDK 2.0.0's head, which ends in CRLF CR: what
     * follows may make a field of the CR. */
    enum head_state earlier = head_parse(data, size / 2, HEAD_LONGEST, false, &part);
    require(earlier == HEAD_PARTIAL || earlier == state || part.unfinished);
    /* Nothing is undecided when nothing more comes. */
    require(head_parse(data, size, HEAD_LONGEST, true, &whole) != HEAD_PARTIAL);
    check_route(&whole, false);
    check_route(&whole, true);
    return 0;
}
