/* SPDX-License-Identifier: MIT */
#include "store/store.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "store/assign.h"
#include "store/elf_file.h"
#include "store/file_watch.h"
#include "store/ready_image.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct counted {
    struct snapshot snapshot; /* first: a pointer to it is a pointer to this */
    atomic_uint references;
};

struct file {
    struct file_watch watch;
    bool known;                /* `link` is valid */
    struct espimage_link link; /* as last read */
    struct stat linked;        /* the state of the file that was read for it */
};

struct slot {
    struct counted *current; /* NULL until the first conversion */
    struct stat seen;        /* the file that `current` was made of */
    bool settled;            /* a change to it since then must show in its times */
    unsigned builds;
};

struct store {
    struct store_options options;
    size_t file_count;
    /* Held while files are read and converted; taken first. Guards the files. */
    pthread_mutex_t reading;
    struct file files[STORE_FILES];
    /* Held for moments. Who reads files writes what follows with both. */
    pthread_mutex_t lock;
    struct assignment assignment;
    struct slot slots[2];
};

/* For so long after a change a file that cannot be converted may still be being written. */
#define WRITING_SECONDS 1.0
/* For so long a file may be missing while it is built. */
#define MISSING_SECONDS 3.0

static struct counted *counted_of(const struct snapshot *snapshot)
{
    return (struct counted *)(uintptr_t)snapshot;
}

const struct snapshot *snapshot_keep(const struct snapshot *snapshot)
{
    (void)atomic_fetch_add(&counted_of(snapshot)->references, 1);
    return snapshot;
}

void snapshot_release(const struct snapshot *snapshot)
{
    if (snapshot == NULL) {
        return;
    }
    struct counted *counted = counted_of(snapshot);
    if (atomic_fetch_sub(&counted->references, 1) == 1) {
        memory_file_free(&counted->snapshot.image);
        wire_runs_free(&counted->snapshot.runs);
        free(counted);
    }
}

static void assign(struct store *store)
{
    struct assign_file files[STORE_FILES];
    struct assignment assignment;
    for (size_t i = 0; i < store->file_count; i++) {
        const struct file *f = &store->files[i];
        files[i] = (struct assign_file){f->watch.path, f->known ? &f->link : NULL};
    }
    assign_slots(store->options.build.map, store->options.app, files, store->file_count,
                 &assignment);
    (void)pthread_mutex_lock(&store->lock);
    bool other_map = assignment.map != store->assignment.map;
    for (size_t i = 0; i < 2; i++) {
        bool other_file = assignment.file_of[i] != store->assignment.file_of[i];
        store->slots[i].settled = store->slots[i].settled && !other_map && !other_file;
    }
    store->assignment = assignment;
    (void)pthread_mutex_unlock(&store->lock);
}

struct store *store_new(const struct store_options *options, const char *const *paths, size_t count)
{
    struct store *store = calloc(1, sizeof *store);
    if (store == NULL) {
        return NULL;
    }
    store->options = *options;
    store->file_count = count < STORE_FILES ? count : STORE_FILES;
    for (size_t i = 0; i < store->file_count; i++) {
        store->files[i].watch.path = paths[i];
    }
    (void)pthread_mutex_init(&store->reading, NULL);
    (void)pthread_mutex_init(&store->lock, NULL);
    assign(store);
    return store;
}

void store_free(struct store *store)
{
    if (store == NULL) {
        return;
    }
    for (size_t i = 0; i < 2; i++) {
        struct counted *current = store->slots[i].current;
        snapshot_release(current != NULL ? &current->snapshot : NULL);
    }
    (void)pthread_mutex_destroy(&store->lock);
    (void)pthread_mutex_destroy(&store->reading);
    free(store);
}

const char *store_path(struct store *store, int slot)
{
    (void)pthread_mutex_lock(&store->lock);
    int file = store->assignment.file_of[slot - 1];
    (void)pthread_mutex_unlock(&store->lock);
    return file >= 0 ? store->files[file].watch.path : NULL;
}

const struct espimage_flash_map *store_map(struct store *store, bool *assumed)
{
    (void)pthread_mutex_lock(&store->lock);
    const struct espimage_flash_map *map = store->assignment.map;
    if (assumed != NULL) {
        *assumed = store->assignment.assumed;
    }
    (void)pthread_mutex_unlock(&store->lock);
    return map;
}

void store_missing(struct store *store, int slot, char *text, size_t size)
{
    const struct espimage_flash_map *map = store_map(store, NULL);
    (void)snprintf(text, size, "no ELF for app%d was given; link one at 0x%08X with %s", slot,
                   map->link[slot - 1], map->script[slot - 1]);
}

/* ---- reading ---- */

/* What a file holds: an ELF, or an image that is ready. */
struct content {
    struct elf_file elf;     /* owned; firmware is NULL for a ready image */
    struct file_bytes image; /* owned; empty for an ELF */
};

static void content_free(struct content *content)
{
    elf_file_free(&content->elf);
    file_bytes_free(&content->image);
}

/* Takes the bytes, also on failure. */
static enum espimage_code parse(const char *path, struct file_bytes *bytes, struct content *out,
                                struct espimage_error *err)
{
    memset(out, 0, sizeof *out);
    if (!ready_image_is(bytes->data, bytes->size)) {
        enum espimage_code code = elf_file_parse(path, bytes, &out->elf, err);
        file_bytes_free(bytes);
        return code;
    }
    out->image = *bytes;
    if (ready_image_link(bytes->data, bytes->size, &out->elf.link, err) != ESPIMAGE_OK) {
        content_free(out);
        return error_in_file(err, path);
    }
    return ESPIMAGE_OK;
}

static enum espimage_code read_content(struct file *f, double now, struct content *out,
                                       bool *unsettled, struct espimage_error *err)
{
    struct file_bytes bytes;
    bool incomplete = false;
    double age = file_watch_age(&f->watch, now);
    enum espimage_code code =
        file_watch_read(&f->watch, INPUT_LIMIT, now, &bytes, &incomplete, err);
    if (code != ESPIMAGE_OK) {
        *unsettled = incomplete || age < MISSING_SECONDS;
        return code;
    }
    code = parse(f->watch.path, &bytes, out, err);
    if (code != ESPIMAGE_OK) {
        *unsettled = age < WRITING_SECONDS;
        return code;
    }
    f->known = true;
    f->link = out->elf.link;
    f->linked = f->watch.status;
    return ESPIMAGE_OK;
}

/* Polls all files and reads those whose link address may have changed: an ELF may have become right
 * for another slot. */
static void refresh_links(struct store *store, double now)
{
    bool changed = false;
    for (size_t i = 0; i < store->file_count; i++) {
        struct file *f = &store->files[i];
        struct espimage_error err;
        struct content content;
        bool unsettled = false;
        file_watch_poll(&f->watch, now);
        if (f->watch.presence == FILE_PRESENT &&
            !(f->known && file_status_same(&f->watch.status, &f->linked)) &&
            read_content(f, now, &content, &unsettled, &err) == ESPIMAGE_OK) {
            content_free(&content);
            changed = true;
        }
    }
    if (changed) {
        assign(store);
    }
}

/* ---- converting ---- */

/* What was converted, and of which file; `fresh` is NULL when the image is the same as before. */
static void publish(struct store *store, int number, struct counted *fresh, const struct file *f,
                    double now)
{
    struct slot *slot = &store->slots[number - 1];
    struct counted *old = NULL;
    (void)pthread_mutex_lock(&store->lock);
    if (fresh != NULL) {
        fresh->snapshot.build = ++slot->builds;
        old = slot->current;
        slot->current = fresh;
    }
    slot->seen = f->watch.status;
    slot->settled = file_watch_is_settled(&f->watch, now);
    (void)pthread_mutex_unlock(&store->lock);
    snapshot_release(old != NULL ? &old->snapshot : NULL);
}

static bool same_image(const struct counted *a, const struct espimage_bytes *b, const char *path)
{
    return a != NULL && b->data != NULL && a->snapshot.path == path &&
           a->snapshot.image.size == b->size &&
           memcmp(a->snapshot.image.data, b->data, b->size) == 0;
}

/* A device asked to take a longer one erases nothing and reports nothing until its time is up.
 * rBoot's clients are not the SDK's. */
static enum espimage_code check_update_limit(const struct espimage_build_options *options,
                                             size_t size, struct espimage_error *err)
{
    uint32_t limit = espimage_update_limit(options->map->slot_limit);
    if (options->profile == ESPIMAGE_PROFILE_RBOOT || size <= limit) {
        return ESPIMAGE_OK;
    }
    error_found(err, ESPIMAGE_ERR_SIZE, "the image is %zu bytes long", size);
    error_wanted(err, "at most %u: the SDK's upgrade client erases no more than %u sectors", limit,
                 limit / ESPIMAGE_SECTOR);
    return error_advice(err, "make the firmware smaller, or flash it by cable");
}

static enum espimage_code fill(struct snapshot *fresh, const struct espimage_bytes *image,
                               struct espimage_error *err)
{
    if (!wire_runs_find(image->data, image->size, &fresh->runs)) {
        return error_no_memory(err);
    }
    sha256_text(image->data, image->size, fresh->sha256);
    return memory_file_make(image->data, image->size, &fresh->image, err);
}

static enum espimage_code take(struct store *store, int number, const struct file *f,
                               const struct espimage_bytes *image, double now,
                               struct espimage_error *err)
{
    if (same_image(store->slots[number - 1].current, image, f->watch.path)) {
        publish(store, number, NULL, f, now);
        return ESPIMAGE_OK;
    }
    struct counted *fresh = calloc(1, sizeof *fresh);
    if (fresh == NULL) {
        return error_no_memory(err);
    }
    enum espimage_code code = fill(&fresh->snapshot, image, err);
    if (code != ESPIMAGE_OK) {
        wire_runs_free(&fresh->snapshot.runs);
        free(fresh);
        return code;
    }
    atomic_init(&fresh->references, 1);
    fresh->snapshot.path = f->watch.path;
    fresh->snapshot.converted = time(NULL);
    publish(store, number, fresh, f, now);
    return ESPIMAGE_OK;
}

/* The file cannot be read now, for want of a descriptor or because a program has just opened it for
 * writing, but it has not changed: the image that was made of it is right. */
static bool is_current(const struct store *store, int number, const struct file *f)
{
    const struct slot *slot = &store->slots[number - 1];
    return slot->current != NULL && slot->current->snapshot.path == f->watch.path &&
           f->watch.presence == FILE_PRESENT && file_status_same(&f->watch.status, &slot->seen);
}

/* `image` is for the caller to free, unless it is the content's own. */
static enum espimage_code make_image(const struct espimage_build_options *options,
                                     const struct content *content, struct espimage_bytes *image,
                                     struct espimage_notes *notes, struct espimage_error *err)
{
    enum espimage_code code = ESPIMAGE_OK;
    if (content->elf.firmware == NULL) {
        *image = (struct espimage_bytes){content->image.data, content->image.size};
        code = ready_image_check(image->data, image->size, options->map, options->app, notes, err);
    } else {
        code = espimage_image_build(content->elf.firmware, options, image, notes, err);
    }
    return code == ESPIMAGE_OK ? check_update_limit(options, image->size, err) : code;
}

/* With `reading` held nothing else writes the assignment: it is read without the lock. */
static enum espimage_code convert(struct store *store, int number, double now, bool *unsettled,
                                  struct espimage_notes *notes, struct espimage_error *err)
{
    const struct assignment *a = &store->assignment;
    struct file *f = &store->files[a->file_of[number - 1]];
    struct espimage_build_options options = store->options.build;
    struct espimage_bytes image = {0};
    struct content content;
    enum espimage_code code = read_content(f, now, &content, unsettled, err);
    if (code != ESPIMAGE_OK) {
        bool current = is_current(store, number, f);
        *unsettled = *unsettled && !current;
        return current ? ESPIMAGE_OK : error_in_file(err, f->watch.path);
    }
    options.map = a->map;
    options.app = (uint8_t)number;
    if (store->options.app != 0 &&
        (espimage_link_slots(&f->link, a->map) & store->options.app) == 0) {
        note_add(notes, "%s; served for slot %u all the same", f->link.reason, store->options.app);
    }
    if (a->code[a->file_of[number - 1]] != ESPIMAGE_OK) {
        *err = a->error[a->file_of[number - 1]];
        code = err->code;
    } else {
        code = make_image(&options, &content, &image, notes, err);
    }
    if (code == ESPIMAGE_OK) {
        code = take(store, number, f, &image, now, err);
    }
    if (content.elf.firmware != NULL) {
        espimage_bytes_free(&image);
    }
    content_free(&content);
    return code == ESPIMAGE_OK ? code : error_in_file(err, f->watch.path);
}

static enum espimage_code no_file(struct store *store, int number, struct espimage_error *err)
{
    char text[256];
    store_missing(store, number, text, sizeof text);
    return error_found(err, ESPIMAGE_ERR_NO_INPUT, "%s", text);
}

const struct snapshot *store_peek(struct store *store, int number)
{
    const struct snapshot *found = NULL;
    const char *path = store_path(store, number);
    struct stat now;
    if (path != NULL && stat(path, &now) == 0) {
        (void)pthread_mutex_lock(&store->lock);
        const struct slot *slot = &store->slots[number - 1];
        if (slot->current != NULL && slot->settled && file_status_same(&now, &slot->seen)) {
            found = snapshot_keep(&slot->current->snapshot);
        }
        (void)pthread_mutex_unlock(&store->lock);
    }
    return found;
}

enum espimage_code store_get(struct store *store, int number, const struct snapshot **out,
                             bool *unsettled, struct espimage_notes *notes,
                             struct espimage_error *err)
{
    enum espimage_code code = ESPIMAGE_OK;
    *unsettled = false;
    (void)pthread_mutex_lock(&store->reading);
    *out = store_peek(store, number);
    if (*out == NULL) {
        double now = now_seconds();
        refresh_links(store, now);
        code = store->assignment.file_of[number - 1] < 0
                   ? no_file(store, number, err)
                   : convert(store, number, now, unsettled, notes, err);
        *out =
            code == ESPIMAGE_OK ? snapshot_keep(&store->slots[number - 1].current->snapshot) : NULL;
    }
    (void)pthread_mutex_unlock(&store->reading);
    return code;
}

enum espimage_code store_refresh(struct store *store, size_t file, bool *unsettled,
                                 struct espimage_error *err)
{
    *unsettled = false;
    (void)pthread_mutex_lock(&store->reading);
    double now = now_seconds();
    struct file *f = &store->files[file];
    struct content content;
    file_watch_poll(&f->watch, now);
    enum espimage_code code = read_content(f, now, &content, unsettled, err);
    if (code == ESPIMAGE_OK) {
        content_free(&content);
        assign(store);
        code = store->assignment.code[file];
        *err = store->assignment.error[file];
    }
    (void)pthread_mutex_unlock(&store->reading);
    return code == ESPIMAGE_OK ? code : error_in_file(err, f->watch.path);
}
