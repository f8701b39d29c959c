/* SPDX-License-Identifier: MIT */
/* Everything that the program says: results on stdout, errors and warnings on stderr. */
#ifndef CLI_OUTPUT_H
#define CLI_OUTPUT_H

#include <espimage/error.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#define PROGRAM "espimagetool"

/* The schema of every --json document; grows when a field changes its meaning. */
#define JSON_SCHEMA_VERSION 1

/* Exit status of a failure; the table is in espimagetool(1). */
#define EXIT_NOT_ALL 1
#define EXIT_USAGE   2
int exit_status(enum espimage_code code);

/* Text from outside, such as a path, as it may be shown: printable() of it. */
struct shown {
    char text[1024];
};
struct shown shown(const char *text);

/* One line on stderr; returns the exit status. */
int print_error(const struct espimage_error *err);
void print_warnings(const char *file, const struct espimage_notes *notes);
__attribute__((format(printf, 1, 2))) int usage_error(const char *format, ...);

/* Failures of a command that goes on with the next file. */
struct failures {
    size_t count;
    int first_status;
    json_t *list; /* owned; NULL until the first */
};

/* Prints it and remembers it. */
void failures_add(struct failures *failures, const struct espimage_error *err);
/* 0; 1 when some of `total` inputs failed; when all did, the exit status of the first. */
int failures_status(const struct failures *failures, size_t total);
/* All of them, as a new array. */
json_t *failures_json(const struct failures *failures);
void failures_free(struct failures *failures);

/* Warnings of such a command: prints them and adds them to an array, with the file's name. */
void warnings_add(json_t *list, const char *file, const struct espimage_notes *notes);

/* Flushes stdout; a full disk turns `status` 0 into 74, with a line on stderr. */
int close_stdout(int status);

/* Escape sequences when stdout is a terminal that wants them, else "". */
const char *style_good(void);
const char *style_bad(void);
const char *style_doubtful(void);
const char *style_faint(void);
const char *style_end(void);

/* {"schema_version": 1, "command": name}. NULL when out of memory, as for all of jansson. */
json_t *json_document(const char *command);
/* A string from bytes that may not be UTF-8 (a path): what is not becomes U+FFFD. */
json_t *json_text(const char *text);
json_t *json_hex(uint32_t value, int digits);
/* Advice of the library, in the terms of this program. */
json_t *json_advice(const char *text, enum espimage_advice advice);
json_t *json_error(const struct espimage_error *err);
json_t *json_notes(const struct espimage_notes *notes);
/* Prints and frees it; returns status, or 74 when memory ran out while it was made. */
int json_print(json_t *document, int status);

#endif
