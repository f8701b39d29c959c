/* SPDX-License-Identifier: MIT */
#include "device/web.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEAD_END "\r\n\r\n"

static const struct {
    size_t head_room;  /* of the buffer for a header */
    const char *start; /* of an answer's header: status and its word follow */
    const char *server;
    const char *bad; /* the word of a status from 400 on */
} dialects[UPLOAD_DIALECTS] = {
    [UPLOAD_ESP_LINK] = {1024, "HTTP/1.0", "Server: esp-link\r\n", "ERROR"},
    [UPLOAD_LIBESPHTTPD] = {1024, "HTTP/1.0", "Server: esp8266-httpd/0.4\r\n", "OK"},
    [UPLOAD_ESPRUINO] = {512, "HTTP/1.1", "", "ERROR"},
};

static const struct {
    const char *path;
    enum web_action action;
    const char *method; /* the only one of Espruino */
} paths[] = {
    {"/flash/next", WEB_NEXT, "GET"},
    {"/flash/upload", WEB_UPLOAD, "POST"},
    {"/flash/reboot", WEB_REBOOT, "POST"},
};

#define PATHS (sizeof paths / sizeof paths[0])

/* ---- requests ---- */

/* "force=1" of a query, as httpdFindArg() and atoi() have it. */
static bool forced(const char *query)
{
    while (query != NULL && *query != '\0') {
        if (strncmp(query, "force=", 6) == 0) {
            return strtol(query + 6, NULL, 10) != 0;
        }
        query = strchr(query, '&');
        query = query != NULL ? query + 1 : NULL;
    }
    return false;
}

/* All three compare the field's name with its letter case. */
static uint32_t content_length(const char *head)
{
    static const char field[] = "\r\nContent-Length:";
    const char *at = strstr(head, field);
    long long length = at != NULL ? strtoll(at + sizeof field - 1, NULL, 10) : 0;
    return length > 0 && length <= INT32_MAX ? (uint32_t)length : 0;
}

static enum web_action action_of(enum upload_dialect dialect, const char *method, const char *path)
{
    size_t i = 0;
    bool espruino = dialect == UPLOAD_ESPRUINO;
    if (!espruino && strcmp(method, "GET") != 0 && strcmp(method, "POST") != 0) {
        return WEB_SILENT;
    }
    while (i < PATHS && strcmp(path, paths[i].path) != 0) {
        i++;
    }
    if (espruino && (i == PATHS || strcmp(method, paths[i].method) != 0)) {
        return WEB_NOT_FOUND;
    }
    return i < PATHS ? paths[i].action : WEB_OTHER;
}

/* Takes the request line apart, in place; false when it is none. */
static bool request_line(char *line, char **method, char **path)
{
    *method = line;
    *path = strchr(line, ' ');
    if (*path == NULL) {
        return false;
    }
    *(*path)++ = '\0';
    char *end = strchr(*path, ' ');
    if (end != NULL) {
        *end = '\0';
    }
    return true;
}

static void parse_head(enum upload_dialect dialect, char *head, struct web_request *out)
{
    char *method = NULL;
    char *path = NULL;
    char *query = NULL;
    out->upload.length = content_length(head);
    *strstr(head, "\r\n") = '\0';
    if (!request_line(head, &method, &path)) {
        return;
    }
    query = dialect != UPLOAD_ESPRUINO ? strchr(path, '?') : NULL;
    if (query != NULL) {
        *query++ = '\0';
        out->upload.force = forced(query);
    }
    out->upload.post = strcmp(method, "POST") == 0;
    out->action = action_of(dialect, method, path);
}

bool web_parse(enum upload_dialect dialect, const char *bytes, size_t size, struct web_request *out)
{
    char head[1024 + 1];
    size_t room = dialects[dialect].head_room;
    size_t searched = size < room ? size : room;
    const char *end = memmem(bytes, searched, HEAD_END, sizeof HEAD_END - 1);
    *out = (struct web_request){.action = WEB_SILENT};
    if (end == NULL) {
        return size >= room;
    }
    out->head_size = (size_t)(end - bytes) + sizeof HEAD_END - 1;
    memcpy(head, bytes, out->head_size);
    head[out->head_size] = '\0';
    /* A header with a zero byte ends there, without the end of its first line. */
    if (strstr(head, "\r\n") != NULL) {
        parse_head(dialect, head, out);
    }
    return true;
}

/* ---- answers ---- */

const char *web_next(const struct upload_device *device)
{
    return device->running == 2 ? "user1.bin" : "user2.bin";
}

static bool counted(enum upload_dialect dialect, enum web_action action, int status)
{
    return dialect == UPLOAD_ESPRUINO || (action == WEB_NEXT && status == 200) ||
           (dialect == UPLOAD_ESP_LINK && action == WEB_REBOOT && status == 200);
}

static void body_of(enum upload_dialect dialect, enum web_action action,
                    const struct upload_answer *answer, char *out, size_t room)
{
    bool empty = answer->text[0] == '\0';
    if (dialect == UPLOAD_LIBESPHTTPD && action == WEB_UPLOAD && !empty) {
        (void)snprintf(out, room, "Firmware image error:%s\n", answer->text);
    } else if (dialect == UPLOAD_ESP_LINK && answer->status >= 400) {
        (void)snprintf(out, room, "%s\r\n", answer->text);
    } else {
        (void)snprintf(out, room, "%s", answer->text);
    }
}

size_t web_reply(enum upload_dialect dialect, enum web_action action,
                 const struct upload_answer *answer, char out[WEB_ROOM])
{
    char body[WEB_ROOM / 2];
    char length[40] = "";
    body_of(dialect, action, answer, body, sizeof body);
    if (counted(dialect, action, answer->status)) {
        (void)snprintf(length, sizeof length, "Content-Length: %zu\r\n", strlen(body));
    }
    int size = snprintf(out, WEB_ROOM,
                        "%s %d %s\r\n%sConnection: close\r\nContent-Type: text/plain\r\n%s\r\n%s",
                        dialects[dialect].start, answer->status,
                        answer->status < 400 ? "OK" : dialects[dialect].bad,
                        dialects[dialect].server, length, body);
    return size < WEB_ROOM ? (size_t)size : WEB_ROOM - 1;
}
