/* SPDX-License-Identifier: MIT */
/* What a page of a device shows of its build. */
#ifndef PUSH_PAGE_H
#define PUSH_PAGE_H

#include "image/build_number.h"
#include "push/update.h"

#include <espimage/error.h>
#include <regex.h>

struct page_expectation {
    regex_t wanted; /* the new build's page */
    regex_t number; /* "build 7", for what it was */
};

/* `pattern`, an extended regular expression without regard to case, in which {build} stands for the
 * number; NULL: "build 7" alone. ESPIMAGE_ERR_USAGE. */
enum espimage_code page_expectation_init(struct page_expectation *expectation, const char *pattern,
                                         const char *build, struct espimage_error *err);
void page_expectation_free(struct page_expectation *expectation);

/* What the text shows; `build` becomes the number in it, or "". */
enum push_shown page_shows(const struct page_expectation *expectation, const char *text,
                           char build[BUILD_DIGITS + 1]);

#endif
