/* SPDX-License-Identifier: MIT */
#include "push/journal.h"

#include "base/error.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define JOURNAL_LIMIT ((size_t)256 * 1024 * 1024)

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "";
}

struct reading {
    const char *images;
    bool ours; /* the records that follow are for these images */
    void (*found)(void *context, const struct journal_record *record);
    void *context;
};

static void read_line(struct reading *r, const char *line, size_t size)
{
    json_t *object = json_loadb(line, size, 0, NULL);
    const char *run = text_of(object, "images");
    struct journal_record record = {.address = text_of(object, "address"),
                                    .label = text_of(object, "label"),
                                    .reason = text_of(object, "reason"),
                                    .build_before = text_of(object, "build_before"),
                                    .build_after = text_of(object, "build_after"),
                                    .seconds =
                                        json_number_value(json_object_get(object, "seconds"))};
    if (run[0] != '\0') {
        r->ours = strcmp(run, r->images) == 0;
    } else if (r->ours && record.address[0] != '\0' &&
               push_state_by_name(text_of(object, "state"), &record.state)) {
        r->found(r->context, &record);
    }
    json_decref(object);
}

enum espimage_code journal_read(const char *path, const char *images,
                                void (*found)(void *context, const struct journal_record *record),
                                void *context, struct espimage_error *err)
{
    struct reading r = {images, false, found, context};
    struct file_bytes bytes;
    if (access(path, F_OK) != 0) {
        return ESPIMAGE_OK;
    }
    enum espimage_code code = file_read(path, JOURNAL_LIMIT, &bytes, err);
    if (code != ESPIMAGE_OK) {
        return error_in_file(err, path);
    }
    const char *at = (const char *)bytes.data;
    const char *end = at + bytes.size;
    for (const char *next; at < end; at = next + 1) {
        next = memchr(at, '\n', (size_t)(end - at));
        if (next == NULL) {
            break; /* cut off: that record does not count */
        }
        read_line(&r, at, (size_t)(next - at));
    }
    file_bytes_free(&bytes);
    return ESPIMAGE_OK;
}

/* Takes the object. */
static enum espimage_code append(struct journal *j, json_t *object, struct espimage_error *err)
{
    enum espimage_code code = ESPIMAGE_OK;
    char *text = json_dumps(object, JSON_COMPACT);
    size_t size = text != NULL ? strlen(text) : 0;
    json_decref(object);
    if (text == NULL) {
        return error_no_memory(err);
    }
    text[size] = '\n'; /* in place of the NUL */
    code = file_write_all(j->fd, (const uint8_t *)text, size + 1, err);
    if (code == ESPIMAGE_OK && fsync(j->fd) != 0 && errno != EINVAL) {
        error_found(err, ESPIMAGE_ERR_IO, "cannot sync: %s", strerror(errno));
        code = err->code;
    }
    free(text);
    return code == ESPIMAGE_OK ? code : error_in_file(err, j->path);
}

/* What a killed run began is ended, so that the next record has a line of its own. */
static enum espimage_code end_line(struct journal *j, struct espimage_error *err)
{
    char last = '\n';
    off_t size = lseek(j->fd, 0, SEEK_END);
    if (size > 0 && pread(j->fd, &last, 1, size - 1) != 1) {
        return error_found(err, ESPIMAGE_ERR_IO, "cannot read: %s", strerror(errno));
    }
    return last == '\n' ? ESPIMAGE_OK : file_write_all(j->fd, (const uint8_t *)"\n", 1, err);
}

enum espimage_code journal_open(struct journal *j, const char *path, const char *images,
                                struct espimage_error *err)
{
    *j = (struct journal){path, open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666)};
    if (j->fd < 0) {
        error_found(err, ESPIMAGE_ERR_CREATE, "cannot open for writing: %s", strerror(errno));
        return error_in_file(err, path);
    }
    enum espimage_code code = end_line(j, err);
    if (code != ESPIMAGE_OK) {
        return error_in_file(err, path);
    }
    return append(j, json_pack("{s:s}", "images", images), err);
}

enum espimage_code journal_add(struct journal *j, const struct journal_record *record,
                               struct espimage_error *err)
{
    if (j->fd < 0) {
        return ESPIMAGE_OK;
    }
    return append(j,
                  json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:f}", "address", record->address,
                            "label", record->label, "state", push_state_name(record->state),
                            "reason", record->reason, "build_before", record->build_before,
                            "build_after", record->build_after, "seconds", record->seconds),
                  err);
}

void journal_close(struct journal *j)
{
    if (j->fd >= 0) {
        (void)close(j->fd);
    }
    j->fd = -1;
}
