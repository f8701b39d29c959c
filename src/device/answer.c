/* SPDX-License-Identifier: MIT */
#include "device/answer.h"

#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CAUSE_SIZE 256
#define VALUE_SIZE 96

/* The line at `bytes`, without CR LF; *next is where the one behind it begins, or NULL. */
static size_t line_length(const uint8_t *bytes, size_t size, const uint8_t **next)
{
    const uint8_t *end = memchr(bytes, '\n', size);
    size_t length = end != NULL ? (size_t)(end - bytes) : size;
    *next = end != NULL ? end + 1 : NULL;
    return length > 0 && bytes[length - 1] == '\r' ? length - 1 : length;
}

static void copy_text(const uint8_t *bytes, size_t length, char *to, size_t room)
{
    char raw[512];
    length = length < sizeof raw ? length : sizeof raw - 1;
    memcpy(raw, bytes, length);
    raw[length] = '\0';
    printable(to, room, raw);
}

size_t answer_header_size(const uint8_t *bytes, size_t size)
{
    const uint8_t *end = memmem(bytes, size, "\r\n\r\n", 4);
    return end != NULL ? (size_t)(end - bytes) + 4 : 0;
}

void answer_status_line(const uint8_t *bytes, size_t size, char *to, size_t room)
{
    const uint8_t *next = NULL;
    copy_text(bytes, size > 0 ? line_length(bytes, size, &next) : 0, to, room);
}

/* A header field in the answer. */
struct field {
    char name[64];
    char value[VALUE_SIZE];
};

/* Takes the line at *at; false at the end of the header. */
static bool next_field(const uint8_t **at, const uint8_t *end, struct field *out)
{
    const uint8_t *line = *at;
    if (line == NULL || line >= end) {
        return false;
    }
    size_t length = line_length(line, (size_t)(end - line), at);
    const uint8_t *colon = memchr(line, ':', length);
    size_t name = colon != NULL ? (size_t)(colon - line) : length;
    const uint8_t *value = colon != NULL ? colon + 1 : line + length;
    while (value < line + length && (*value == ' ' || *value == '\t')) {
        value++;
    }
    copy_text(line, name, out->name, sizeof out->name);
    copy_text(value, (size_t)(line + length - value), out->value, sizeof out->value);
    return length > 0;
}

static const uint8_t *first_field(const uint8_t *bytes, size_t size)
{
    const uint8_t *next = NULL;
    if (size > 0) {
        (void)line_length(bytes, size, &next);
    }
    return next;
}

bool answer_field(const uint8_t *bytes, size_t size, const char *name, char *to, size_t room)
{
    struct field field;
    const uint8_t *at = first_field(bytes, size);
    while (next_field(&at, bytes + size, &field)) {
        if (text_same(field.name, name)) {
            (void)snprintf(to, room, "%s", field.value);
            return true;
        }
    }
    return false;
}

/* 0 when the line is none of HTTP. */
static unsigned long status_of(const char *line)
{
    static const char version[] = "HTTP/1.x ";
    bool http = strncmp(line, version, sizeof version - 3) == 0 && line[sizeof version - 2] == ' ';
    return http ? strtoul(line + sizeof version - 1, NULL, 10) : 0;
}

static void status_causes(const uint8_t *bytes, size_t size, answer_sink *sink, void *context)
{
    char line[VALUE_SIZE];
    char location[VALUE_SIZE] = "elsewhere";
    char cause[CAUSE_SIZE];
    answer_status_line(bytes, size, line, sizeof line);
    unsigned long status = status_of(line);
    if (status >= 300 && status < 400) {
        (void)answer_field(bytes, size, "Location", location, sizeof location);
        (void)snprintf(cause, sizeof cause, "%s: a device does not follow redirects (to %s)", line,
                       location);
    } else if (status == 0) {
        (void)snprintf(cause, sizeof cause, "no HTTP status line: the answer begins with \"%.40s\"",
                       line);
    } else if (status != 200) {
        (void)snprintf(cause, sizeof cause,
                       "%s: a device does not look at the status, only at what follows", line);
    } else {
        return;
    }
    sink(context, cause);
}

static void encoding_cause(const struct field *field, answer_sink *sink, void *context)
{
    char cause[CAUSE_SIZE];
    if (text_same(field->name, "Transfer-Encoding")) {
        (void)snprintf(cause, sizeof cause,
                       "Transfer-Encoding: %s: a device takes it for a part of the image",
                       field->value);
    } else if (text_same(field->name, "Content-Encoding") && !text_same(field->value, "identity")) {
        (void)snprintf(cause, sizeof cause, "Content-Encoding: %s: a device does not unpack it",
                       field->value);
    } else {
        return;
    }
    sink(context, cause);
}

/* Content-Length, as a device searches it: by its exact spelling, one blank included. */
static void length_causes(const uint8_t *bytes, size_t size, size_t count, answer_sink *sink,
                          void *context)
{
    static const char exact[] = "Content-Length: ";
    if (count == 0) {
        sink(context, "no Content-Length in the header");
    } else if (memmem(bytes, size, exact, sizeof exact - 1) == NULL) {
        sink(context, "Content-Length is not spelled \"Content-Length: \", which is what a device "
                      "searches for");
    } else if (count > 1) {
        sink(context, "several Content-Length fields; a device takes the first");
    }
}

void answer_causes(const uint8_t *bytes, size_t size, answer_sink *sink, void *context)
{
    size_t header = answer_header_size(bytes, size);
    size_t lengths = 0;
    struct field field;
    if (size == 0) {
        return;
    }
    status_causes(bytes, size, sink, context);
    if (header == 0) {
        sink(context, memmem(bytes, size, "\n\n", 2) != NULL
                          ? "the header's lines end in LF; a device searches for CRLF CRLF"
                          : "the header has no end");
    }
    const uint8_t *at = first_field(bytes, header);
    while (next_field(&at, bytes + header, &field)) {
        lengths += text_same(field.name, "Content-Length") ? 1 : 0;
        encoding_cause(&field, sink, context);
    }
    if (header > 0) {
        length_causes(bytes, header, lengths, sink, context);
    }
}
