/* SPDX-License-Identifier: MIT */
#include "cli/push_images.h"

#include "base/error.h"
#include "cli/output.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int not_accepted(const char *path, const struct espimage_verdict *verdict,
                        enum espimage_consumer consumer)
{
    const struct espimage_finding *f = verdict->because;
    (void)fprintf(stderr, PROGRAM ": %s: %s does not take this image: %s: %s\n", shown(path).text,
                  espimage_consumer_title(consumer), f->rule->name, f->found);
    return EXIT_NOT_ALL;
}

static int check(const struct push_images *p, const struct transport_kind *kind, int slot)
{
    const struct espimage_verify_options options = {
        .size = sizeof options, .map = store_map(p->elfs.store, NULL), .app = (uint8_t)slot};
    const struct push_image *image = &p->images[slot - 1];
    struct espimage_error err;
    espimage_report *report = NULL;
    int status = 0;
    if (espimage_verify(image->data, image->size, &options, &report, &err) != ESPIMAGE_OK) {
        return print_error(&err);
    }
    for (int c = 0; c < ESPIMAGE_CONSUMER_COUNT && status == 0; c++) {
        enum espimage_consumer consumer = (enum espimage_consumer)c;
        const struct espimage_verdict *verdict = espimage_report_verdict(report, consumer);
        if ((kind->consumers >> c & 1) != 0 && !verdict->accepts) {
            status = not_accepted(store_path(p->elfs.store, slot), verdict, consumer);
        }
    }
    espimage_report_free(report);
    return status;
}

static int load_slot(struct push_images *p, const struct transport_kind *kind, int slot)
{
    struct push_image *image = &p->images[slot - 1];
    struct espimage_notes notes = ESPIMAGE_NOTES_INIT;
    struct espimage_error err;
    if (serve_elfs_get(&p->elfs, slot, &p->snapshots[slot - 1], &notes, &err) != ESPIMAGE_OK) {
        return print_error(&err);
    }
    const struct snapshot *s = p->snapshots[slot - 1];
    print_warnings(s->path, &notes);
    *image = (struct push_image){.data = s->image.data, .size = s->image.size};
    (void)build_number_find(image->data, image->size, image->build);
    return check(p, kind, slot);
}

/* Every ELF that was given has to be of use. */
static int load_elfs(struct push_images *p, char **paths, size_t count)
{
    int status = serve_elfs_load(&p->elfs, paths, count);
    for (size_t i = 0; i < count && status == 0; i++) {
        struct espimage_error err;
        bool unsettled = false;
        if (store_refresh(p->elfs.store, i, &unsettled, &err) != ESPIMAGE_OK) {
            status = print_error(&err);
        }
    }
    return status;
}

static int compare_builds(struct push_images *p)
{
    const char *first = p->images[0].build;
    const char *second = p->images[1].build;
    if (first[0] != '\0' && second[0] != '\0' && strcmp(first, second) != 0) {
        (void)fprintf(
            stderr, PROGRAM ": %s is build %s, and %s is build %s; give two ELFs of one build\n",
            shown(p->snapshots[0]->path).text, first, shown(p->snapshots[1]->path).text, second);
        return exit_status(ESPIMAGE_ERR_ELF);
    }
    (void)snprintf(p->build, sizeof p->build, "%s", first[0] != '\0' ? first : second);
    return 0;
}

static int make_bundle(struct push_images *p, const char *tag)
{
    const struct push_image *one = &p->images[0];
    const struct push_image *two = &p->images[1];
    struct espimage_error err;
    if (one->data == NULL || two->data == NULL) {
        return usage_error("push: libesphttpd writes a plain image over the slot that runs: give "
                           "both ELFs, for a bundle");
    }
    p->bundle.data =
        transport_bundle(one->data, one->size, two->data, two->size, tag, &p->bundle.size);
    if (p->bundle.data == NULL) {
        error_no_memory(&err);
        return print_error(&err);
    }
    return 0;
}

int push_images_load(struct push_images *p, const struct transport_kind *kind, const char *tag,
                     char **paths, size_t count)
{
    int status = load_elfs(p, paths, count);
    for (int slot = 1; slot <= 2 && status == 0; slot++) {
        if (store_path(p->elfs.store, slot) != NULL) {
            status = load_slot(p, kind, slot);
        }
    }
    if (status == 0 && kind->bundle) {
        status = make_bundle(p, tag);
    }
    if (status != 0) {
        return status;
    }
    (void)snprintf(p->names, sizeof p->names, "%s,%s",
                   p->snapshots[0] != NULL ? p->snapshots[0]->sha256 : "",
                   p->snapshots[1] != NULL ? p->snapshots[1]->sha256 : "");
    return compare_builds(p);
}

void push_images_free(struct push_images *p)
{
    free((void *)(uintptr_t)p->bundle.data);
    snapshot_release(p->snapshots[0]);
    snapshot_release(p->snapshots[1]);
    serve_elfs_free(&p->elfs);
}
