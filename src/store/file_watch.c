/* SPDX-License-Identifier: MIT */
#include "store/file_watch.h"

#include "base/error.h"

/* A file system notes times in steps; a second write within one leaves no trace. FAT's are of 2
 * seconds; those that note fractions of a second go with the kernel's ticks, of 10 ms at most. */
#define STEP_SECONDS 2.0
#define TICK_SECONDS 0.1

/* A file without a writer, and one that replaced another, are left alone for so long. */
#define QUIET_SECONDS 0.010
/* One that is overwritten in place where there are no leases: a copy over a network that stalls for
 * longer than this cannot be told from one that is done. */
#define QUIET_IN_PLACE_SECONDS 1.5
/* A descriptor that is open for writing this long after the last change is one that was forgotten.
 */
#define QUIET_BUSY_SECONDS 30.0

bool file_status_same(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
           a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

void file_watch_poll(struct file_watch *w, double now)
{
    struct stat found;
    enum file_presence presence = stat(w->path, &found) == 0 ? FILE_PRESENT : FILE_MISSING;
    bool same = presence == w->presence &&
                (presence == FILE_MISSING || file_status_same(&found, &w->status));
    if (same) {
        return;
    }
    /* Of the file that is there at the first poll it is not known how it came there. */
    bool other = w->presence == FILE_MISSING ||
                 (w->presence == FILE_PRESENT &&
                  (found.st_dev != w->status.st_dev || found.st_ino != w->status.st_ino));
    /* A file that has just been replaced changes as long as its writer goes on. */
    w->replaced = presence == FILE_PRESENT && (other || (w->replaced && !w->taken));
    w->taken = false;
    w->presence = presence;
    w->since = now;
    if (presence == FILE_PRESENT) {
        w->status = found;
    }
}

double file_watch_age(const struct file_watch *w, double now)
{
    return now - w->since;
}

bool file_watch_is_settled(const struct file_watch *w, double now)
{
    return file_watch_age(w, now) >= (w->status.st_ctim.tv_nsec != 0 ? TICK_SECONDS : STEP_SECONDS);
}

static enum espimage_code being_written(const struct file_watch *w, struct espimage_error *err)
{
    error_found(err, ESPIMAGE_ERR_IO, "is being written");
    error_advice(err, "try again when the build is done");
    return error_in_file(err, w->path);
}

/* Where leases work, the read itself finds out whether there is a writer. */
static double quiet_wanted(const struct file_watch *w)
{
    return w->lease == FILE_LEASE_NONE && !w->replaced ? QUIET_IN_PLACE_SECONDS : QUIET_SECONDS;
}

enum espimage_code file_watch_read(struct file_watch *w, size_t limit, double now,
                                   struct file_bytes *out, bool *incomplete,
                                   struct espimage_error *err)
{
    struct stat after;
    *incomplete = w->presence == FILE_PRESENT && file_watch_age(w, now) < quiet_wanted(w);
    if (*incomplete) {
        return being_written(w, err);
    }
    enum espimage_code code = ESPIMAGE_OK;
    if (file_watch_age(w, now) >= QUIET_BUSY_SECONDS) {
        code = file_read(w->path, limit, out, err);
    } else {
        code = file_read_leased(w->path, limit, out, &w->lease, err);
        *incomplete = code != ESPIMAGE_OK && w->lease == FILE_LEASE_BUSY;
    }
    if (code != ESPIMAGE_OK) {
        return code;
    }
    *incomplete = file_watch_age(w, now) < quiet_wanted(w) || stat(w->path, &after) != 0 ||
                  !file_status_same(&after, &w->status) || !file_status_same(&after, &out->status);
    if (*incomplete) {
        file_bytes_free(out);
        return being_written(w, err);
    }
    w->taken = true;
    return ESPIMAGE_OK;
}
