/* SPDX-License-Identifier: MIT */
/* Is a file complete, or is a program still writing it?
 *
 * A build replaces a file (it gets a new inode) or overwrites it in place (scp, rsync --inplace,
 * dd). A half-written new file rarely parses, because linkers and copies write the section headers
 * last. A file that is overwritten in place is old at its end and new at its beginning, and parses.
 * So where the inode stays, only a lease, or some time without a change, shows that the writer is
 * done.
 *
 * Times are those of the monotonic clock, counted from when a change was seen: the clock of a file
 * server may differ from ours. */
#ifndef STORE_FILE_WATCH_H
#define STORE_FILE_WATCH_H

#include "base/file.h"

enum file_presence {
    FILE_NOT_POLLED,
    FILE_MISSING, /* or cannot be inspected */
    FILE_PRESENT
};

struct file_watch {
    const char *path;            /* borrowed; the rest begins as {0} */
    enum file_presence presence; /* at the last poll */
    struct stat status;          /* then, when it was present */
    double since;                /* no poll has seen a change from then on */
    bool replaced;               /* the last change brought another inode */
    bool taken;                  /* since then it was read completely */
    enum file_lease lease;       /* at the last read */
};

/* Inspects the file. */
void file_watch_poll(struct file_watch *w, double now);

/* Reads the file as file_read() does, unless it may be incomplete: then ESPIMAGE_ERR_IO, with
 * *incomplete set. To be called after a poll. */
enum espimage_code file_watch_read(struct file_watch *w, size_t limit, double now,
                                   struct file_bytes *out, bool *incomplete,
                                   struct espimage_error *err);

/* Seconds without a change. */
double file_watch_age(const struct file_watch *w, double now);

/* A change from now on is sure to show in the times of the file. */
bool file_watch_is_settled(const struct file_watch *w, double now);

/* Both are of one file in one state. */
bool file_status_same(const struct stat *a, const struct stat *b);

#endif
