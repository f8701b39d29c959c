/* SPDX-License-Identifier: MIT */
#include "http/request_head.h"

#include "base/text.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

struct line {
    const char *at;
    size_t size; /* without its end */
};

static enum head_state refuse(struct request_head *head, unsigned status, const char *reason)
{
    head->status = status;
    head->reason = reason;
    return HEAD_REFUSED;
}

/* The next line that has its end, and steps behind it. */
static bool next_line(const char **at, const char *end, struct line *line)
{
    const char *feed = memchr(*at, '\n', (size_t)(end - *at));
    if (feed == NULL) {
        return false;
    }
    line->at = *at;
    line->size = (size_t)(feed - *at);
    if (line->size > 0 && feed[-1] == '\r') {
        line->size--;
    }
    *at = feed + 1;
    return true;
}

/* RFC 9110's token. */
static bool is_token(const char *text, size_t size)
{
    static const char others[] = "!#$%&'*+-.^_`|~";
    for (size_t i = 0; i < size; i++) {
        char c = text[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && (c == '\0' || strchr(others, c) == NULL)) {
            return false;
        }
    }
    return size > 0;
}

/* Controls would end up in logs, and mean different things to different parsers. */
static bool has_controls(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)text[i];
        if ((c < ' ' && c != '\t') || c == 0x7F) {
            return true;
        }
    }
    return false;
}

/* For the log: cut, and printable. */
static void copy_word(char *to, size_t room, const char *from, size_t size)
{
    char word[sizeof((struct request_head *)0)->target];
    size = size < sizeof word - 1 ? size : sizeof word - 1;
    memcpy(word, from, size);
    word[size] = '\0';
    printable(to, room, word);
}

static enum head_state parse_version(const char *text, size_t size, struct request_head *head)
{
    bool http = size == 8 && memcmp(text, "HTTP/", 5) == 0 && text[6] == '.';
    if (!http) {
        return refuse(head, 400, "the request line does not end in HTTP/1.0 or HTTP/1.1");
    }
    if (text[5] != '1' || (text[7] != '0' && text[7] != '1')) {
        return refuse(head, 505, "only HTTP/1.0 and HTTP/1.1 are spoken");
    }
    return HEAD_COMPLETE;
}

/* "GET /user1.bin HTTP/1.0" */
static enum head_state parse_request_line(const struct line *line, struct request_head *head)
{
    const char *end = line->at + line->size;
    const char *space = memchr(line->at, ' ', line->size);
    const char *target = space != NULL ? space + 1 : end;
    const char *second = memchr(target, ' ', (size_t)(end - target));
    const char *method_end = space != NULL ? space : end;

    copy_word(head->method, sizeof head->method, line->at, (size_t)(method_end - line->at));
    copy_word(head->target, sizeof head->target, target,
              (size_t)((second != NULL ? second : end) - target));
    if (!is_token(line->at, (size_t)(method_end - line->at)) || second == NULL) {
        return refuse(head, 400, "the request line is not 'GET /user1.bin HTTP/1.0'");
    }
    size_t target_size = (size_t)(second - target);
    head->path = (struct head_text){target, target_size};
    if ((*target != '/' && *target != 'h' && *target != 'H') || has_controls(target, target_size) ||
        memchr(target, '\t', target_size) != NULL) {
        return refuse(head, 400, "the path does not begin with /, or holds control characters");
    }
    return parse_version(second + 1, (size_t)(end - second - 1), head);
}

static bool is_field(const struct line *line, size_t name_size, const char *name)
{
    return name_size == strlen(name) && strncasecmp(line->at, name, name_size) == 0;
}

static struct head_text trimmed(const char *at, const char *end)
{
    while (at < end && (*at == ' ' || *at == '\t')) {
        at++;
    }
    while (end > at && (end[-1] == ' ' || end[-1] == '\t')) {
        end--;
    }
    return (struct head_text){at, (size_t)(end - at)};
}

/* Nothing here has a body. */
static bool is_zero(const struct head_text *value)
{
    for (size_t i = 0; i < value->size; i++) {
        if (value->at[i] != '0') {
            return false;
        }
    }
    return value->size > 0;
}

static size_t count_cookies(const struct head_text *value)
{
    size_t count = 1;
    for (size_t i = 0; i < value->size; i++) {
        count += value->at[i] == ';' || value->at[i] == ',';
    }
    return count;
}

static bool is_of_browser(const struct line *line, size_t name_size)
{
    static const char prefix[] = "Sec-Fetch-";
    return is_field(line, name_size, "Origin") || is_field(line, name_size, "Referer") ||
           (name_size > sizeof prefix - 1 && strncasecmp(line->at, prefix, sizeof prefix - 1) == 0);
}

/* The first of several counts; two of Host are refused. */
static bool keep(struct head_text *to, const struct head_text *value)
{
    bool first = to->at == NULL;
    *to = first ? *value : *to;
    return first;
}

static enum head_state take_field(const struct line *line, size_t name_size,
                                  const struct head_text *value, bool *body,
                                  struct request_head *head)
{
    if (is_field(line, name_size, "Expect")) {
        return refuse(head, 417, "no expectation is met");
    }
    if (is_field(line, name_size, "Transfer-Encoding")) {
        *body = true;
    } else if (is_field(line, name_size, "Content-Length")) {
        *body = *body || !is_zero(value);
    } else if (is_field(line, name_size, "Cookie")) {
        head->fields += count_cookies(value);
    } else if (is_field(line, name_size, "Range")) {
        (void)keep(&head->range, value);
    } else if (is_field(line, name_size, "If-Range")) {
        (void)keep(&head->if_range, value);
    } else if (is_field(line, name_size, "If-None-Match")) {
        (void)keep(&head->if_none_match, value);
    } else if (is_field(line, name_size, "Host") && !keep(&head->host, value)) {
        return refuse(head, 400, "two Host fields");
    }
    head->browser = head->browser || is_of_browser(line, name_size);
    return HEAD_COMPLETE;
}

static enum head_state parse_field(const struct line *line, bool *body, struct request_head *head)
{
    const char *colon = memchr(line->at, ':', line->size);
    size_t name_size = colon != NULL ? (size_t)(colon - line->at) : 0;
    if (!is_token(line->at, name_size) || has_controls(line->at, line->size)) {
        return refuse(head, 400, "a header field is not 'Name: value'");
    }
    const struct head_text value = trimmed(colon + 1, line->at + line->size);
    if (take_field(line, name_size, &value, body, head) == HEAD_REFUSED) {
        return HEAD_REFUSED;
    }
    head->fields++;
    return head->fields <= HEAD_FIELDS ? HEAD_COMPLETE
                                       : refuse(head, 431, "too many header fields or cookies");
}

static enum head_state finish(struct request_head *head, bool body)
{
    if (strcmp(head->method, "GET") != 0 && strcmp(head->method, "HEAD") != 0) {
        return refuse(head, 405, "only GET and HEAD are answered");
    }
    return body ? refuse(head, 400, "a request for an image has no body") : HEAD_COMPLETE;
}

/* All but the LF of the empty line is there. `at` is behind a line. */
static bool lacks_last_feed(const uint8_t *bytes, const char *at, const char *end)
{
    return end - at == 1 && *at == '\r' && at - (const char *)bytes >= 2 && at[-2] == '\r';
}

static enum head_state not_whole(struct request_head *head, bool may_grow, bool last,
                                 bool first_line)
{
    if (may_grow) {
        return last ? refuse(head, 408, "the request was not complete in time") : HEAD_PARTIAL;
    }
    return first_line ? refuse(head, 414, "the path is too long")
                      : refuse(head, 431, "the header fields are too long");
}

enum head_state head_parse(const uint8_t *bytes, size_t size, size_t limit, bool last,
                           struct request_head *head)
{
    bool may_grow = size < limit;
    size = may_grow ? size : limit;
    const char *at = (const char *)bytes;
    const char *end = at + size;
    struct line line;
    bool body = false;

    memset(head, 0, sizeof *head);
    /* Empty lines before a request are ignored (RFC 9112, 2.2). */
    do {
        if (!next_line(&at, end, &line)) {
            return not_whole(head, may_grow, last, true);
        }
    } while (line.size == 0);
    enum head_state state = parse_request_line(&line, head);
    while (state == HEAD_COMPLETE) {
        if (lacks_last_feed(bytes, at, end)) {
            head->unfinished = true;
            head->size = size;
            return finish(head, body);
        }
        if (!next_line(&at, end, &line)) {
            return not_whole(head, may_grow, last, false);
        }
        if (line.size == 0) {
            head->size = (size_t)(at - (const char *)bytes);
            return finish(head, body);
        }
        state = parse_field(&line, &body, head);
    }
    return state;
}
