/* SPDX-License-Identifier: MIT */
#include "push/page.h"

#include "base/error.h"

#include <stdio.h>
#include <string.h>

#define PATTERN         1024
#define DEFAULT_PATTERN "(^|[^[:alnum:]])build[ =:#]*{build}([^0-9]|$)"
#define NUMBER_PATTERN  "(^|[^[:alnum:]])build[ =:#]*([0-9]+)"

/* False when it does not fit. */
static bool fill_in(const char *pattern, const char *build, char out[PATTERN])
{
    static const char mark[] = "{build}";
    size_t used = 0;
    while (*pattern != '\0') {
        bool marked = strncmp(pattern, mark, sizeof mark - 1) == 0;
        const char *from = marked ? build : pattern;
        size_t size = marked ? strlen(build) : 1;
        if (size >= PATTERN - used) {
            return false;
        }
        memcpy(out + used, from, size);
        used += size;
        pattern += marked ? sizeof mark - 1 : 1;
    }
    out[used] = '\0';
    return true;
}

static enum espimage_code compile(regex_t *out, const char *pattern, struct espimage_error *err)
{
    char why[128];
    int error = regcomp(out, pattern, REG_EXTENDED | REG_ICASE);
    if (error == 0) {
        return ESPIMAGE_OK;
    }
    (void)regerror(error, out, why, sizeof why);
    return error_found(err, ESPIMAGE_ERR_USAGE, "'%s' is not a regular expression: %s", pattern,
                       why);
}

enum espimage_code page_expectation_init(struct page_expectation *e, const char *pattern,
                                         const char *build, struct espimage_error *err)
{
    char wanted[PATTERN];
    if (!fill_in(pattern != NULL ? pattern : DEFAULT_PATTERN, build, wanted)) {
        return error_found(err, ESPIMAGE_ERR_USAGE, "the pattern is too long");
    }
    enum espimage_code code = compile(&e->number, NUMBER_PATTERN, err);
    if (code != ESPIMAGE_OK) {
        return code;
    }
    code = compile(&e->wanted, wanted, err);
    if (code != ESPIMAGE_OK) {
        regfree(&e->number);
    }
    return code;
}

void page_expectation_free(struct page_expectation *e)
{
    regfree(&e->wanted);
    regfree(&e->number);
}

enum push_shown page_shows(const struct page_expectation *e, const char *text,
                           char build[BUILD_DIGITS + 1])
{
    regmatch_t match[3];
    build[0] = '\0';
    bool numbered = regexec(&e->number, text, 3, match, 0) == 0;
    if (numbered) {
        int size = (int)(match[2].rm_eo - match[2].rm_so);
        (void)snprintf(build, BUILD_DIGITS + 1, "%.*s", size < BUILD_DIGITS ? size : BUILD_DIGITS,
                       text + match[2].rm_so);
    }
    if (regexec(&e->wanted, text, 0, NULL, 0) == 0) {
        return PUSH_SHOWS_NEW;
    }
    return numbered ? PUSH_SHOWS_OTHER : PUSH_SHOWS_UNKNOWN;
}
