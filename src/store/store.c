/* SPDX-License-Identifier: MIT */
#include "store/store.h"

#include "base/error.h"
#include "base/file.h"
#include "store/elf_file.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct counted {
    struct snapshot snapshot; /* first: a pointer to it is a pointer to this */
    atomic_uint references;
};

struct slot {
    const char *path; /* borrowed; NULL: no ELF */
    bool forced;
    pthread_mutex_t converting; /* held for a whole conversion; taken first */
    /* Guards what follows, and is held for moments; who converts writes with both. */
    pthread_mutex_t lock;
    struct counted *current; /* NULL until the first conversion */
    struct stat seen;        /* the file that `current` was made of */
    bool settled;            /* it was old enough that a change must show in its times */
    unsigned builds;
};

struct store {
    struct espimage_build_options options;
    struct slot slots[2];
};

/* A file system notes times in steps; a second write within one leaves no trace. FAT's are of 2
 * seconds; those that note fractions of a second go with the kernel's ticks, of 10 ms at most. */
#define STEP_SECONDS 2.0
#define TICK_SECONDS 0.1

/* A file is left alone for so long after a change. Linkers write the headers last, so one that is
 * half written rarely parses; this is for the rest. */
#define QUIET_SECONDS 0.010

/* For so long after a change a file that cannot be converted may still be being written. */
#define WRITING_SECONDS 1.0

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

struct store *store_new(const struct espimage_build_options *options)
{
    struct store *store = calloc(1, sizeof *store);
    if (store != NULL) {
        store->options = *options;
        for (size_t i = 0; i < 2; i++) {
            (void)pthread_mutex_init(&store->slots[i].converting, NULL);
            (void)pthread_mutex_init(&store->slots[i].lock, NULL);
        }
    }
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
        (void)pthread_mutex_destroy(&store->slots[i].lock);
        (void)pthread_mutex_destroy(&store->slots[i].converting);
    }
    free(store);
}

void store_set(struct store *store, int slot, const char *path, bool forced)
{
    store->slots[slot - 1].path = path;
    store->slots[slot - 1].forced = forced;
}

const char *store_path(const struct store *store, int slot)
{
    return store->slots[slot - 1].path;
}

const struct espimage_flash_map *store_map(const struct store *store)
{
    return store->options.map;
}

void store_missing(const struct store *store, int slot, char *text, size_t size)
{
    const struct espimage_flash_map *map = store->options.map;
    (void)snprintf(text, size, "no ELF for app%d was given; link one at 0x%08X with %s", slot,
                   map->link[slot - 1], map->script[slot - 1]);
}

static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
           a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/* Seconds since a file was last changed; large when its clock is ahead of ours. */
static double age(const struct stat *status)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    const struct timespec *changed = &status->st_ctim;
    double seconds = (double)(now.tv_sec - changed->tv_sec) +
                     (double)(now.tv_nsec - changed->tv_nsec) / 1000000000.0;
    return seconds < -1.0 ? STEP_SECONDS : seconds;
}

/* A change from now on will show in its times. */
static bool is_old(const struct stat *status)
{
    return age(status) >= (status->st_ctim.tv_nsec != 0 ? TICK_SECONDS : STEP_SECONDS);
}

/* What was converted, and of which file; `fresh` is NULL when the image is the same as before. */
static void publish(struct slot *slot, struct counted *fresh, const struct stat *status)
{
    struct counted *old = NULL;
    (void)pthread_mutex_lock(&slot->lock);
    if (fresh != NULL) {
        fresh->snapshot.build = ++slot->builds;
        old = slot->current;
        slot->current = fresh;
    }
    slot->seen = *status;
    slot->settled = is_old(status);
    (void)pthread_mutex_unlock(&slot->lock);
    snapshot_release(old != NULL ? &old->snapshot : NULL);
}

static bool same_image(const struct counted *a, const struct espimage_bytes *b)
{
    return a != NULL && b->data != NULL && a->snapshot.image.size == b->size &&
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

static enum espimage_code convert(const struct store *store, int number, const struct slot *slot,
                                  struct elf_file *elf, struct espimage_bytes *image,
                                  struct espimage_notes *notes, struct espimage_error *err)
{
    struct espimage_build_options options = store->options;
    options.app = (uint8_t)number;
    unsigned slots = espimage_link_slots(&elf->link, options.map);
    if (!slot->forced && (slots & (unsigned)number) == 0) {
        return espimage_link_refuse(&elf->link, options.map, err);
    }
    enum espimage_code code = espimage_image_build(elf->firmware, &options, image, notes, err);
    return code == ESPIMAGE_OK ? check_update_limit(&options, image->size, err) : code;
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

static enum espimage_code take(struct slot *slot, const struct espimage_bytes *image,
                               const struct stat *status, struct espimage_error *err)
{
    if (same_image(slot->current, image)) {
        publish(slot, NULL, status);
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
    fresh->snapshot.path = slot->path;
    fresh->snapshot.converted = time(NULL);
    publish(slot, fresh, status);
    return ESPIMAGE_OK;
}

/* Was the file left alone, before and while it was read? */
static bool is_quiet(const struct slot *slot, const struct stat *read)
{
    struct stat now;
    return age(read) >= QUIET_SECONDS && stat(slot->path, &now) == 0 && same_file(read, &now);
}

static enum espimage_code refresh(struct store *store, int number, bool *unsettled,
                                  struct espimage_notes *notes, struct espimage_error *err)
{
    struct slot *slot = &store->slots[number - 1];
    struct elf_file elf;
    struct espimage_bytes image = {0};
    enum espimage_code code = elf_file_load(slot->path, &elf, err);
    if (code == ESPIMAGE_OK) {
        code = convert(store, number, slot, &elf, &image, notes, err);
    }
    if (code == ESPIMAGE_OK && !is_quiet(slot, &elf.status)) {
        error_found(err, ESPIMAGE_ERR_IO, "is being written");
        code = error_advice(err, "try again when the build is done");
        *unsettled = true;
    } else if (code != ESPIMAGE_OK) {
        struct stat now;
        *unsettled = stat(slot->path, &now) != 0 || age(&now) < WRITING_SECONDS;
    }
    if (code == ESPIMAGE_OK) {
        code = take(slot, &image, &elf.status, err);
    }
    espimage_bytes_free(&image);
    elf_file_free(&elf);
    return code == ESPIMAGE_OK ? code : error_in_file(err, slot->path);
}

const struct snapshot *store_peek(struct store *store, int slot_number)
{
    struct slot *slot = &store->slots[slot_number - 1];
    const struct snapshot *found = NULL;
    struct stat now;
    if (stat(slot->path, &now) == 0) {
        (void)pthread_mutex_lock(&slot->lock);
        if (slot->current != NULL && slot->settled && same_file(&now, &slot->seen)) {
            found = snapshot_keep(&slot->current->snapshot);
        }
        (void)pthread_mutex_unlock(&slot->lock);
    }
    return found;
}

enum espimage_code store_get(struct store *store, int slot_number, const struct snapshot **out,
                             bool *unsettled, struct espimage_notes *notes,
                             struct espimage_error *err)
{
    struct slot *slot = &store->slots[slot_number - 1];
    enum espimage_code code = ESPIMAGE_OK;

    *unsettled = false;
    (void)pthread_mutex_lock(&slot->converting);
    *out = store_peek(store, slot_number);
    if (*out == NULL) {
        code = refresh(store, slot_number, unsettled, notes, err);
        *out = code == ESPIMAGE_OK ? snapshot_keep(&slot->current->snapshot) : NULL;
    }
    (void)pthread_mutex_unlock(&slot->converting);
    return code;
}
