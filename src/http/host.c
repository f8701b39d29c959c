/* SPDX-License-Identifier: MIT */
#include "http/host.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

bool host_names_add(struct host_names *n, const char *name)
{
    if (n->count == HOST_NAMES) {
        return false;
    }
    n->names[n->count++] = name;
    return true;
}

void host_names_add_own(struct host_names *n)
{
    char *complete = n->own[0];
    if (gethostname(complete, sizeof n->own[0] - 1) != 0 || complete[0] == '\0') {
        return;
    }
    size_t label = strcspn(complete, ".");
    (void)snprintf(n->own[1], sizeof n->own[1], "%.*s", (int)label, complete);
    (void)snprintf(n->own[2], sizeof n->own[2], "%.*s.local", (int)(label < 63 ? label : 63),
                   complete);
    for (size_t i = 0; i < 3; i++) {
        (void)host_names_add(n, n->own[i]);
    }
}

static bool is_port(const char *text)
{
    return text[0] == ':' && strspn(text + 1, "0123456789") == strlen(text + 1);
}

/* [::1] or [::1]:8888 */
static bool is_bracketed(char *host)
{
    struct in6_addr v6;
    char *close = strchr(host, ']');
    if (close == NULL || (close[1] != '\0' && !is_port(close + 1))) {
        return false;
    }
    *close = '\0';
    return inet_pton(AF_INET6, host + 1, &v6) == 1;
}

bool host_is_known(const struct host_names *n, const char *value, size_t size)
{
    struct in_addr v4;
    char host[256 + sizeof ":65535"];
    if (size == 0 || size >= sizeof host || memchr(value, '\0', size) != NULL) {
        return false;
    }
    memcpy(host, value, size);
    host[size] = '\0';
    if (host[0] == '[') {
        return is_bracketed(host);
    }
    char *colon = strchr(host, ':');
    if (colon != NULL && !is_port(colon)) {
        return false;
    }
    host[colon != NULL ? (size_t)(colon - host) : size] = '\0';
    size_t length = strlen(host);
    if (length > 0 && host[length - 1] == '.') { /* the root of all names */
        host[length - 1] = '\0';
    }
    bool known = strcasecmp(host, "localhost") == 0 || inet_pton(AF_INET, host, &v4) == 1;
    for (size_t i = 0; i < n->count && !known; i++) {
        known = host[0] != '\0' && strcasecmp(host, n->names[i]) == 0;
    }
    return known;
}
