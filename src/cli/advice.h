/* SPDX-License-Identifier: MIT */
/* What the library advises, in the terms of this program. */
#ifndef CLI_ADVICE_H
#define CLI_ADVICE_H

#include <espimage/error.h>

/* The option or command that does what is advised, to be printed behind the advice; "" for none. */
const char *advice_means(enum espimage_advice advice);

/* espimage_error_line() with advice_means(). Returns line. */
char *error_line(const struct espimage_error *err, char *line, size_t size);

#endif
