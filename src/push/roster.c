/* SPDX-License-Identifier: MIT */
#include "push/roster.h"

#include "base/error.h"
#include "base/file.h"
#include "net/cidr.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LIST_LIMIT  ((size_t)1024 * 1024)
#define MOST_BITS   12 /* of a network: 4094 devices */
#define MAPPED_BITS 96

static bool is_there(const struct roster *r, const struct roster_device *d)
{
    for (size_t i = 0; i < r->count; i++) {
        const struct roster_device *other = &r->devices[i];
        if (d->ip.s_addr != 0 ? other->ip.s_addr == d->ip.s_addr
                              : strcmp(other->name, d->name) == 0) {
            return true;
        }
    }
    return false;
}

static enum espimage_code add(struct roster *r, const struct roster_device *device,
                              struct espimage_error *err)
{
    if (is_there(r, device)) {
        return ESPIMAGE_OK;
    }
    if (r->count == ROSTER_MOST) {
        return error_found(err, ESPIMAGE_ERR_USAGE, "more than %d devices", ROSTER_MOST);
    }
    if (r->devices == NULL) {
        r->devices = calloc(ROSTER_MOST, sizeof *r->devices);
        if (r->devices == NULL) {
            return error_no_memory(err);
        }
    }
    struct roster_device *d = &r->devices[r->count++];
    *d = *device;
    if (d->ip.s_addr != 0) {
        (void)inet_ntop(AF_INET, &d->ip, d->address, sizeof d->address);
    } else {
        d->address[0] = '\0';
    }
    return ESPIMAGE_OK;
}

static enum espimage_code add_network(struct roster *r, const char *word, const char *label,
                                      struct espimage_error *err)
{
    struct cidr network;
    struct roster_device d = {0};
    enum espimage_code code = cidr_parse(word, &network, err);
    if (code != ESPIMAGE_OK) {
        return code;
    }
    unsigned bits = 128 - network.bits;
    if (network.bits < MAPPED_BITS || !IN6_IS_ADDR_V4MAPPED(&network.network) || bits > MOST_BITS) {
        error_found(err, ESPIMAGE_ERR_USAGE, "'%s' is not a small IPv4 network", word);
        return error_wanted(err, "at least /%d", 32 - MOST_BITS);
    }
    uint32_t first = 0;
    uint32_t count = 1U << bits;
    memcpy(&first, network.network.s6_addr + 12, sizeof first);
    first = ntohl(first);
    for (uint32_t i = bits > 1 ? 1 : 0; i < (bits > 1 ? count - 1 : count); i++) {
        d.ip.s_addr = htonl(first + i);
        (void)inet_ntop(AF_INET, &d.ip, d.name, INET_ADDRSTRLEN);
        (void)snprintf(d.label, sizeof d.label, "%s", label);
        code = add(r, &d, err);
        if (code != ESPIMAGE_OK) {
            return code;
        }
    }
    return ESPIMAGE_OK;
}

static void resolve(struct roster_device *d)
{
    const struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    if (inet_pton(AF_INET, d->name, &d->ip) != 1) {
        d->ip.s_addr = 0;
        if (getaddrinfo(d->name, NULL, &hints, &found) == 0) {
            struct sockaddr_in address;
            memcpy(&address, found->ai_addr, sizeof address);
            d->ip = address.sin_addr;
            freeaddrinfo(found);
        }
    }
}

static bool is_host(const char *word)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_";
    size_t size = strlen(word);
    return size > 0 && size < ROSTER_NAME && word[0] != '-' && strspn(word, letters) == size;
}

static enum espimage_code add_word(struct roster *r, const char *word, const char *label,
                                   struct espimage_error *err)
{
    struct roster_device d = {0};
    if (strchr(word, '/') != NULL) {
        return add_network(r, word, label, err);
    }
    if (!is_host(word)) {
        error_found(err, ESPIMAGE_ERR_USAGE, "'%s' is not a device", word);
        return error_wanted(err, "an IPv4 address, a name, a network such as 192.168.4.0/24, or "
                                 "@FILE");
    }
    (void)snprintf(d.name, sizeof d.name, "%s", word);
    (void)snprintf(d.label, sizeof d.label, "%s", label);
    resolve(&d);
    return add(r, &d, err);
}

/* "ADDRESS [LABEL]"; the line is changed. */
static enum espimage_code add_line(struct roster *r, char *line, struct espimage_error *err)
{
    static const char blanks[] = " \t\r";
    line[strcspn(line, "#")] = '\0';
    line += strspn(line, blanks);
    size_t size = strcspn(line, blanks);
    if (size == 0) {
        return ESPIMAGE_OK;
    }
    char *label = line + size;
    if (*label != '\0') {
        *label++ = '\0';
        label += strspn(label, blanks);
    }
    for (size_t end = strlen(label); end > 0 && strchr(blanks, label[end - 1]) != NULL; end--) {
        label[end - 1] = '\0';
    }
    return add_word(r, line, label, err);
}

static enum espimage_code add_list(struct roster *r, const char *path, struct espimage_error *err)
{
    struct file_bytes bytes;
    enum espimage_code code = file_read(path, LIST_LIMIT, &bytes, err);
    if (code != ESPIMAGE_OK) {
        return error_in_file(err, path);
    }
    char *text = malloc(bytes.size + 1);
    if (text == NULL) {
        code = error_no_memory(err);
    } else {
        memcpy(text, bytes.data, bytes.size);
        text[bytes.size] = '\0';
        if (strlen(text) != bytes.size) {
            code = error_found(err, ESPIMAGE_ERR_IMAGE, "is not a text file");
        }
    }
    unsigned number = 0;
    for (char *line = text; code == ESPIMAGE_OK && line != NULL && *line != '\0';) {
        char *next = strchr(line, '\n');
        if (next != NULL) {
            *next++ = '\0';
        }
        number++;
        code = add_line(r, line, err);
        line = next;
    }
    if (code != ESPIMAGE_OK) {
        char where[512];
        (void)snprintf(where, sizeof where, number > 0 ? "%.480s:%u" : "%.480s", path, number);
        error_in_file(err, where);
    }
    free(text);
    file_bytes_free(&bytes);
    return code;
}

enum espimage_code roster_add(struct roster *r, const char *word, struct espimage_error *err)
{
    return word[0] == '@' ? add_list(r, word + 1, err) : add_word(r, word, "", err);
}

void roster_free(struct roster *r)
{
    free(r->devices);
    *r = (struct roster){0};
}
