/* SPDX-License-Identifier: MIT */
#include "cli/output.h"

#include "base/text.h"
#include "cli/advice.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const int statuses[] = {
    [ESPIMAGE_OK] = 0,         [ESPIMAGE_ERR_USAGE] = EXIT_USAGE, [ESPIMAGE_ERR_MEMORY] = 74,
    [ESPIMAGE_ERR_ELF] = 65,   [ESPIMAGE_ERR_LAYOUT] = 65,        [ESPIMAGE_ERR_SIZE] = 65,
    [ESPIMAGE_ERR_IMAGE] = 65, [ESPIMAGE_ERR_NO_INPUT] = 66,      [ESPIMAGE_ERR_CREATE] = 73,
    [ESPIMAGE_ERR_IO] = 74,    [ESPIMAGE_ERR_UNAVAILABLE] = 69,   [ESPIMAGE_ERR_TIMEOUT] = 75,
};

int exit_status(enum espimage_code code)
{
    return statuses[code];
}

struct shown shown(const char *text)
{
    struct shown result = {""};
    printable(result.text, sizeof result.text, text);
    return result;
}

int print_error(const struct espimage_error *err)
{
    char line[ESPIMAGE_ERROR_LINE];
    (void)fprintf(stderr, PROGRAM ": %s\n", error_line(err, line, sizeof line));
    return exit_status(err->code);
}

void print_warnings(const char *file, const struct espimage_notes *notes)
{
    for (size_t i = 0; i < notes->count; i++) {
        (void)fprintf(stderr, PROGRAM ": %s: warning: %s\n", shown(file).text, notes->text[i]);
    }
}

int usage_error(const char *format, ...)
{
    char text[ESPIMAGE_ERROR_LINE];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    (void)fprintf(stderr, PROGRAM ": %s\n", shown(text).text);
    return EXIT_USAGE;
}

void failures_add(struct failures *failures, const struct espimage_error *err)
{
    int status = print_error(err);
    if (failures->count == 0) {
        failures->first_status = status;
        failures->list = json_array();
    }
    failures->count++;
    (void)json_array_append_new(failures->list, json_error(err));
}

int failures_status(const struct failures *failures, size_t total)
{
    if (failures->count == 0) {
        return 0;
    }
    return failures->count < total ? EXIT_NOT_ALL : failures->first_status;
}

json_t *failures_json(const struct failures *failures)
{
    return failures->list != NULL ? json_deep_copy(failures->list) : json_array();
}

void failures_free(struct failures *failures)
{
    json_decref(failures->list);
}

void warnings_add(json_t *list, const char *file, const struct espimage_notes *notes)
{
    print_warnings(file, notes);
    for (size_t i = 0; i < notes->count; i++) {
        char text[1536];
        (void)snprintf(text, sizeof text, "%s: %s", shown(file).text, notes->text[i]);
        (void)json_array_append_new(list, json_text(text));
    }
}

int close_stdout(int status)
{
    bool failed = ferror(stdout) != 0;
    errno = 0;
    failed = fclose(stdout) != 0 || failed;
    if (failed) {
        (void)fprintf(stderr, PROGRAM ": cannot write to standard output: %s\n",
                      errno != 0 ? strerror(errno) : "an earlier write failed");
        return status == 0 ? exit_status(ESPIMAGE_ERR_IO) : status;
    }
    return status;
}

static const char *style(const char *sequence)
{
    const char *no_color = getenv("NO_COLOR");
    const char *term = getenv("TERM");
    bool wanted = isatty(STDOUT_FILENO) && (no_color == NULL || no_color[0] == '\0') &&
                  term != NULL && strcmp(term, "dumb") != 0;
    return wanted ? sequence : "";
}

const char *style_good(void)
{
    return style("\033[32m");
}

const char *style_bad(void)
{
    return style("\033[1;31m");
}

const char *style_doubtful(void)
{
    return style("\033[33m");
}

const char *style_faint(void)
{
    return style("\033[2m");
}

const char *style_end(void)
{
    return style("\033[0m");
}

json_t *json_document(const char *command)
{
    return json_pack("{s:i, s:s}", "schema_version", JSON_SCHEMA_VERSION, "command", command);
}

json_t *json_text(const char *text)
{
    json_t *value = json_string(text);
    if (value != NULL) {
        return value;
    }
    /* Not UTF-8: keep what is ASCII. */
    size_t length = strlen(text);
    char *copy = malloc(length * 3 + 1);
    char *to = copy;
    for (size_t i = 0; copy != NULL && i < length; i++) {
        if ((unsigned char)text[i] < 0x80) {
            *to++ = text[i];
        } else {
            memcpy(to, "\xEF\xBF\xBD", 3);
            to += 3;
        }
    }
    if (copy != NULL) {
        *to = '\0';
        value = json_string(copy);
    }
    free(copy);
    return value;
}

json_t *json_hex(uint32_t value, int digits)
{
    return json_sprintf("0x%0*X", digits, value);
}

json_t *json_advice(const char *text, enum espimage_advice advice)
{
    char line[ESPIMAGE_ERROR_LINE];
    (void)snprintf(line, sizeof line, "%s%s", text, advice_means(advice));
    return json_text(line);
}

json_t *json_error(const struct espimage_error *err)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:i}", "file", json_text(err->file), "found",
                     json_text(err->found), "wanted", json_text(err->wanted), "advice",
                     json_advice(err->advice, err->advice_code), "exit_status",
                     exit_status(err->code));
}

json_t *json_notes(const struct espimage_notes *notes)
{
    json_t *list = json_array();
    for (size_t i = 0; i < notes->count; i++) {
        (void)json_array_append_new(list, json_text(notes->text[i]));
    }
    return list;
}

int json_print(json_t *document, int status)
{
    if (document == NULL) {
        (void)fputs(PROGRAM ": out of memory\n", stderr);
        return exit_status(ESPIMAGE_ERR_MEMORY);
    }
    (void)json_dumpf(document, stdout, JSON_INDENT(2));
    (void)fputs("\n", stdout);
    json_decref(document);
    return status;
}
