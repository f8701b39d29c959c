/* SPDX-License-Identifier: MIT */
#include "device/target.h"

#include "base/error.h"
#include "base/text.h"
#include "ota/request.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static const char scheme[] = "http://";

static enum espimage_code refuse(struct espimage_error *err, const char *what)
{
    error_found(err, ESPIMAGE_ERR_USAGE, "the URL %s", what);
    return error_wanted(err, "http://HOST[:PORT]/PATH");
}

static enum espimage_code parse_port(const char *text, size_t length, uint16_t *out,
                                     struct espimage_error *err)
{
    uint32_t port = 0;
    for (size_t i = 0; i < length && port <= UINT16_MAX; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return refuse(err, "has a port that is no number");
        }
        port = port * 10 + (uint32_t)(text[i] - '0');
    }
    if (port == 0 || port > UINT16_MAX) {
        return refuse(err, "has a port that is not within 1 to 65535");
    }
    *out = (uint16_t)port;
    return ESPIMAGE_OK;
}

static enum espimage_code parse_host(const char *text, size_t length, struct target *out,
                                     struct espimage_error *err)
{
    const char *colon = memchr(text, ':', length);
    size_t host = colon != NULL ? (size_t)(colon - text) : length;
    if (memchr(text, '@', length) != NULL) {
        return refuse(err, "has a user name, which a device does not send");
    }
    if (length > 0 && text[0] == '[') {
        return refuse(err, "has an IPv6 address; a device speaks IPv4 only");
    }
    if (host == 0 || host >= sizeof out->host) {
        return refuse(err, "has no host, or a very long one");
    }
    memcpy(out->host, text, host);
    out->host[host] = '\0';
    out->port = 80;
    return colon == NULL ? ESPIMAGE_OK : parse_port(colon + 1, length - host - 1, &out->port, err);
}

size_t target_request(const struct target *target, char *text, size_t room)
{
    int size = snprintf(text, room, "GET %s HTTP/1.0\r\nConnection: close\r\n\r\n\r", target->path);
    return (size_t)size;
}

bool target_fits(const struct target *target)
{
    char get[OTA_REQUEST_ROOM];
    return target_request(target, get, sizeof get) < sizeof get &&
           ota_head_of_get(get, NULL, 0) < OTA_REQUEST_ROOM;
}

static enum espimage_code parse_path(const char *text, struct target *out,
                                     struct espimage_error *err)
{
    if (strlen(text) >= sizeof out->path) {
        return refuse(err, "is too long for a device");
    }
    for (const char *c = text; *c != '\0'; c++) {
        if (*c <= ' ' || *c > '~') {
            return refuse(err, "has spaces or other characters that need %-encoding");
        }
    }
    if (strchr(text, '#') != NULL) {
        return refuse(err, "has a fragment (#), which is never sent");
    }
    (void)snprintf(out->path, sizeof out->path, "%s", text[0] != '\0' ? text : "/");
    return target_fits(out) ? ESPIMAGE_OK : refuse(err, "is too long for a device");
}

enum espimage_code target_parse(const char *url, struct target *out, struct espimage_error *err)
{
    struct target target = {0};
    char start[sizeof scheme];
    (void)snprintf(start, sizeof start, "%s", url);
    if (!text_same(start, scheme)) {
        return refuse(err, "is not one of plain HTTP; a device speaks nothing else");
    }
    const char *host = url + sizeof scheme - 1;
    size_t length = strcspn(host, "/?#");
    enum espimage_code code = parse_host(host, length, &target, err);
    if (code == ESPIMAGE_OK && host[length] != '\0' && host[length] != '/') {
        return refuse(err, "has no path");
    }
    if (code == ESPIMAGE_OK) {
        code = parse_path(host + length, &target, err);
    }
    if (code == ESPIMAGE_OK) {
        target.slot = ota_slot_of_target(target.path, strlen(target.path));
        *out = target;
    }
    return code;
}
