/* SPDX-License-Identifier: MIT */
#include "server/slots.h"

#include "base/text.h"

#include <string.h>

static void describe_elf(struct store *store, int slot, struct board_slot *state)
{
    const char *path = store_path(store, slot);
    if (path == NULL) {
        store_missing(store, slot, state->reason, sizeof state->reason);
        return;
    }
    const char *last = strrchr(path, '/');
    printable(state->elf, sizeof state->elf, last != NULL ? last + 1 : path);
}

static void describe_image(const struct snapshot *snapshot, struct board_slot *state)
{
    state->converts = true;
    state->build = snapshot->build;
    state->size = snapshot->image.size;
    state->converted = snapshot->converted;
    memcpy(state->sha256, snapshot->sha256, sizeof state->sha256);
    state->reason[0] = '\0';
}

static void describe_failure(struct espimage_error *err, struct board_slot *state)
{
    char line[ESPIMAGE_ERROR_LINE];
    err->file[0] = '\0'; /* it is named already, and its folder concerns nobody */
    state->converts = false;
    printable(state->reason, sizeof state->reason, espimage_error_line(err, line, sizeof line));
}

/* The warnings of this conversion are recorded now: the next request finds the image made. */
static void record_notes(struct journal *journal, int slot, unsigned build,
                         const struct espimage_notes *notes)
{
    const struct server_event event = {.kind = SERVER_CONVERTED,
                                       .client = "",
                                       .method = "",
                                       .target = "",
                                       .slot = slot,
                                       .build = build,
                                       .notes = notes};
    if (notes->count > 0) {
        journal_record(journal, &event);
    }
}

/* A file that is being written is as it was, for now. */
static void poll_image(struct store *store, struct journal *journal, int slot,
                       struct board_slot *state)
{
    struct espimage_notes notes = ESPIMAGE_NOTES_INIT;
    struct espimage_error err;
    const struct snapshot *snapshot = NULL;
    bool unsettled = false;
    unsigned build = state->build;
    if (store_get(store, slot, &snapshot, &unsettled, &notes, &err) == ESPIMAGE_OK) {
        describe_image(snapshot, state);
        if (build != state->build) {
            record_notes(journal, slot, state->build, &notes);
        }
    } else if (!unsettled || build == 0) {
        describe_failure(&err, state);
    }
    snapshot_release(snapshot);
}

void slots_poll(struct store *store, struct journal *journal, struct board_slot slots[2])
{
    for (int slot = 1; slot <= 2; slot++) {
        struct board_slot *state = &slots[slot - 1];
        describe_elf(store, slot, state);
        if (store_path(store, slot) != NULL) {
            poll_image(store, journal, slot, state);
        }
        journal_set_slot(journal, slot, state);
    }
}
