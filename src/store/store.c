/* SPDX-License-Identifier: MIT */
#include "store/store.h"

#include "base/error.h"
#include "store/elf_file.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct counted {
    struct snapshot snapshot; /* first: a pointer to it is a pointer to this */
    atomic_uint references;
};

struct slot {
    const char *path; /* borrowed; NULL: no ELF */
    bool forced;
    pthread_mutex_t lock;    /* guards what follows */
    struct counted *current; /* NULL until the first conversion */
    struct stat seen;        /* the file that `current` was made of */
    bool settled;            /* it was old enough that a change must show in its times */
    unsigned builds;
};

struct store {
    struct espimage_build_options options;
    struct slot slots[2];
};

/* A file system notes times in steps; a second write within one leaves no trace. */
#define SETTLE_SECONDS 2

static struct counted *counted_of(const struct snapshot *snapshot)
{
    return (struct counted *)(uintptr_t)snapshot;
}

void snapshot_release(const struct snapshot *snapshot)
{
    if (snapshot == NULL) {
        return;
    }
    struct counted *counted = counted_of(snapshot);
    if (atomic_fetch_sub(&counted->references, 1) == 1) {
        espimage_bytes_free(&counted->snapshot.image);
        free(counted);
    }
}

struct store *store_new(const struct espimage_build_options *options)
{
    struct store *store = calloc(1, sizeof *store);
    if (store != NULL) {
        store->options = *options;
        for (size_t i = 0; i < 2; i++) {
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

static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
           a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

static bool is_current(const struct slot *slot)
{
    struct stat now;
    return slot->current != NULL && slot->settled && stat(slot->path, &now) == 0 &&
           same_file(&now, &slot->seen);
}

static void remember_file(struct slot *slot, const struct stat *status)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    slot->seen = *status;
    slot->settled = now.tv_sec - status->st_ctim.tv_sec > SETTLE_SECONDS;
}

static void replace(struct slot *slot, struct counted *fresh)
{
    struct counted *old = slot->current;
    atomic_init(&fresh->references, 1);
    fresh->snapshot.build = ++slot->builds;
    slot->current = fresh;
    snapshot_release(old != NULL ? &old->snapshot : NULL);
}

static bool same_image(const struct counted *a, const struct espimage_bytes *b)
{
    return a != NULL && b->data != NULL && a->snapshot.image.size == b->size &&
           memcmp(a->snapshot.image.data, b->data, b->size) == 0;
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
    return espimage_image_build(elf->firmware, &options, image, notes, err);
}

static enum espimage_code refresh(struct store *store, int number, struct espimage_notes *notes,
                                  struct espimage_error *err)
{
    struct slot *slot = &store->slots[number - 1];
    struct elf_file elf;
    struct espimage_bytes image = {0};
    enum espimage_code code = elf_file_load(slot->path, &elf, err);
    if (code != ESPIMAGE_OK) {
        return code;
    }
    code = convert(store, number, slot, &elf, &image, notes, err);
    if (code == ESPIMAGE_OK && !same_image(slot->current, &image)) {
        struct counted *fresh = calloc(1, sizeof *fresh);
        if (fresh == NULL) {
            code = error_no_memory(err);
        } else {
            fresh->snapshot.image = image;
            fresh->snapshot.path = slot->path;
            sha256_text(image.data, image.size, fresh->snapshot.sha256);
            image = (struct espimage_bytes){0};
            replace(slot, fresh);
        }
    }
    if (code == ESPIMAGE_OK) {
        remember_file(slot, &elf.status);
    }
    espimage_bytes_free(&image);
    elf_file_free(&elf);
    return code == ESPIMAGE_OK ? code : error_in_file(err, slot->path);
}

enum espimage_code store_get(struct store *store, int slot_number, const struct snapshot **out,
                             struct espimage_notes *notes, struct espimage_error *err)
{
    struct slot *slot = &store->slots[slot_number - 1];
    enum espimage_code code = ESPIMAGE_OK;

    (void)pthread_mutex_lock(&slot->lock);
    if (!is_current(slot)) {
        code = refresh(store, slot_number, notes, err);
    }
    if (code == ESPIMAGE_OK) {
        (void)atomic_fetch_add(&slot->current->references, 1);
        *out = &slot->current->snapshot;
    }
    (void)pthread_mutex_unlock(&slot->lock);
    return code;
}
