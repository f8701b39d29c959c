/* SPDX-License-Identifier: MIT */
/* How a function fills the error it returns: found first, then wanted and advice. */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#include <espimage/error.h>

/* Starts a new error; every other text becomes empty. Returns code. */
enum espimage_code error_found(struct espimage_error *err, enum espimage_code code,
                               const char *format, ...) __attribute__((format(printf, 3, 4)));
/* These return err->code, so that a check can end in `return error_advice(...)`. */
enum espimage_code error_wanted(struct espimage_error *err, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
enum espimage_code error_advice(struct espimage_error *err, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The same, with a code by which a program can complete the advice. */
enum espimage_code error_advice_coded(struct espimage_error *err, enum espimage_advice advice,
                                      const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Names the file an error is about, unless a deeper function did. Returns err->code. */
enum espimage_code error_in_file(struct espimage_error *err, const char *file);

enum espimage_code error_no_memory(struct espimage_error *err);

/* Adds a note; `notes` may be NULL, and what does not fit is dropped. */
void note_add(struct espimage_notes *notes, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
