/* SPDX-License-Identifier: MIT */
/* The state file: one JSON object a line, appended and synced, so that a run that was killed can be
 * resumed. A line that was cut off is not taken. */
#ifndef PUSH_JOURNAL_H
#define PUSH_JOURNAL_H

#include "push/update.h"

#include <espimage/error.h>

struct journal {
    const char *path; /* borrowed */
    int fd;           /* -1: none */
};

struct journal_record {
    const char *address;
    const char *label;
    enum push_state state; /* PUSH_WAITING: its update begins now */
    const char *reason;
    const char *build_before;
    const char *build_after;
    double seconds;
};

/* Reports the records that were written for these images (any text that names them), in their
 * order. A file that is not there holds none. */
enum espimage_code journal_read(const char *path, const char *images,
                                void (*found)(void *context, const struct journal_record *record),
                                void *context, struct espimage_error *err);

/* Opens it to append records for these images. ESPIMAGE_ERR_CREATE, _ERR_IO. */
enum espimage_code journal_open(struct journal *journal, const char *path, const char *images,
                                struct espimage_error *err);
/* The record is on the disk when this returns ESPIMAGE_OK. Without a file it does nothing. */
enum espimage_code journal_add(struct journal *journal, const struct journal_record *record,
                               struct espimage_error *err);
void journal_close(struct journal *journal);

#endif
