/* SPDX-License-Identifier: MIT */
#include "base/error.h"

#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum espimage_code error_found(struct espimage_error *err, enum espimage_code code,
                               const char *format, ...)
{
    va_list args;
    memset(err, 0, sizeof *err);
    err->code = code;
    va_start(args, format);
    (void)vsnprintf(err->found, sizeof err->found, format, args);
    va_end(args);
    return code;
}

enum espimage_code error_wanted(struct espimage_error *err, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(err->wanted, sizeof err->wanted, format, args);
    va_end(args);
    return err->code;
}

enum espimage_code error_advice(struct espimage_error *err, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(err->advice, sizeof err->advice, format, args);
    va_end(args);
    return err->code;
}

enum espimage_code error_advice_coded(struct espimage_error *err, enum espimage_advice advice,
                                      const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(err->advice, sizeof err->advice, format, args);
    va_end(args);
    err->advice_code = advice;
    return err->code;
}

enum espimage_code error_in_file(struct espimage_error *err, const char *file)
{
    if (err->file[0] == '\0') {
        printable(err->file, sizeof err->file, file);
    }
    return err->code;
}

enum espimage_code error_no_memory(struct espimage_error *err)
{
    return error_found(err, ESPIMAGE_ERR_MEMORY, "out of memory");
}

void note_add(struct espimage_notes *notes, const char *format, ...)
{
    if (notes == NULL || notes->count >= sizeof notes->text / sizeof notes->text[0]) {
        return;
    }
    va_list args;
    va_start(args, format);
    (void)vsnprintf(notes->text[notes->count], sizeof notes->text[0], format, args);
    va_end(args);
    notes->count++;
}

char *espimage_error_line(const struct espimage_error *err, char *line, size_t size)
{
    const char *file_gap = err->file[0] != '\0' ? ": " : "";
    const char *wanted_gap = err->wanted[0] != '\0' ? "; wanted " : "";
    const char *advice_gap = err->advice[0] != '\0' ? "; " : "";
    (void)snprintf(line, size, "%s%s%s%s%s%s%s", err->file, file_gap, err->found, wanted_gap,
                   err->wanted, advice_gap, err->advice);
    return line;
}
