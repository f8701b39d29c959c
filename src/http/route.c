/* SPDX-License-Identifier: MIT */
#include "http/route.h"

#include "http/token.h"
#include "ota/request.h"

#include <string.h>

/* It must not say what it is that is missing. */
#define NO_TOKEN "nothing is served under this path"

#define NO_PAGE UINT32_MAX

/* A target counts only as it is written here: with a query or an escape it is for a device. */
static unsigned page_of(const struct head_text *path, const struct route_rules *rules)
{
    for (size_t i = 0; i < rules->page_count; i++) {
        if (strlen(rules->pages[i]) == path->size &&
            memcmp(rules->pages[i], path->at, path->size) == 0) {
            return (unsigned)i;
        }
    }
    return NO_PAGE;
}

static struct route reply(struct route r, unsigned status, const char *reason)
{
    r.handler = ROUTE_REPLY;
    r.status = status;
    r.reason = reason;
    return r;
}

static bool is_foreign(const struct request_head *head, const struct route_rules *rules)
{
    return head->host.at != NULL && !host_is_known(rules->hosts, head->host.at, head->host.size);
}

/* The path behind the token; {NULL} without it. */
static struct head_text strip_token(const struct head_text *path, const char *token)
{
    if (path->at == NULL) {
        return *path;
    }
    const char *rest = token_strip(token, path->at, path->size);
    return rest != NULL ? (struct head_text){rest, path->size - (size_t)(rest - path->at)}
                        : (struct head_text){NULL, 0};
}

struct route route(const struct request_head *head, const struct route_rules *rules)
{
    static const char foreign[] = "the Host field does not name this computer; see --host";
    struct route r = {.head = strcmp(head->method, "HEAD") == 0};
    const struct head_text path = strip_token(&head->path, rules->token);
    r.slot = path.at != NULL ? ota_slot_of_target(path.at, path.size) : 0;
    if (head->status != 0) {
        return reply(r, head->status, head->reason);
    }
    if (path.at == NULL) {
        return reply(r, 404, NO_TOKEN);
    }
    r.page = page_of(&path, rules);
    if (r.page != NO_PAGE) {
        r.handler = ROUTE_PAGE;
        return is_foreign(head, rules) ? reply(r, 421, foreign) : r;
    }
    if (r.slot == 0) {
        return reply(r, 404, "not an image; ask for /user1.bin or /user2.bin");
    }
    if (head->browser && is_foreign(head, rules)) {
        return reply(r, 421, foreign);
    }
    if (!rules->slots[r.slot - 1]) {
        return reply(r, 404, NULL);
    }
    r.handler = ROUTE_IMAGE;
    return r;
}
