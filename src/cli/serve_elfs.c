/* SPDX-License-Identifier: MIT */
#include "cli/serve_elfs.h"

#include "base/clock.h"
#include "base/error.h"
#include "cli/output.h"

#include <time.h>

/* At start, for an ELF that is being written. */
#define WAIT_SECONDS 3.0

static bool waits(enum espimage_code code, bool unsettled, double deadline)
{
    const struct timespec pause = {0, 5000000};
    bool again = unsettled && code != ESPIMAGE_ERR_NO_INPUT && now_seconds() < deadline;
    if (again) {
        (void)nanosleep(&pause, NULL);
    }
    return again;
}

static enum espimage_code load(const struct serve_elfs *e, size_t file, struct espimage_error *err)
{
    double deadline = now_seconds() + WAIT_SECONDS;
    enum espimage_code code = ESPIMAGE_OK;
    bool unsettled = false;
    do {
        code = store_refresh(e->store, file, &unsettled, err);
    } while (waits(code, unsettled, deadline));
    return code;
}

int serve_elfs_load(struct serve_elfs *e, char **paths, size_t count)
{
    const struct store_options options = {.build = {.size = sizeof options.build,
                                                    .profile = e->profile,
                                                    .map = e->flash.map,
                                                    .flash_mode = e->flash.mode,
                                                    .flash_freq = e->flash.freq},
                                          .app = e->app};
    struct espimage_error err;
    e->store = store_new(&options, (const char *const *)paths, count);
    if (e->store == NULL) {
        error_no_memory(&err);
        return print_error(&err);
    }
    for (size_t i = 0; i < count; i++) {
        (void)load(e, i, &err);
    }
    return 0;
}

void serve_elfs_free(struct serve_elfs *e)
{
    store_free(e->store);
    e->store = NULL;
}

enum espimage_code serve_elfs_get(const struct serve_elfs *e, int slot,
                                  const struct snapshot **snapshot, struct espimage_notes *notes,
                                  struct espimage_error *err)
{
    double deadline = now_seconds() + WAIT_SECONDS;
    enum espimage_code code = ESPIMAGE_OK;
    bool unsettled = false;
    do {
        notes->count = 0;
        code = store_get(e->store, slot, snapshot, &unsettled, notes, err);
    } while (waits(code, unsettled, deadline));
    return code;
}
