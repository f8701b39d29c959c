/* SPDX-License-Identifier: MIT */
/* What `serve` says at its start: what each slot holds, then where it is served; as text, or as the
 * first record of a log in JSON. */
#ifndef CLI_SERVE_ANNOUNCE_H
#define CLI_SERVE_ANNOUNCE_H

#include "cli/serve_elfs.h"
#include "cli/serve_safety.h"

#include <jansson.h>

struct serve_announcement {
    const struct serve_elfs *elfs; /* borrowed */
    bool json;
    json_t *slots;                  /* as the record has them; owned; NULL once it has */
    char told[ESPIMAGE_ERROR_LINE]; /* the last error: one ELF may be expected for both slots */
};

void serve_announce_init(struct serve_announcement *a, const struct serve_elfs *elfs, bool json);
void serve_announce_free(struct serve_announcement *a);

/* Converts once, so that what is wrong is said now and not to the first device. The build of the
 * image; 0 when there is none. */
unsigned serve_announce_slot(struct serve_announcement *a, int slot);
/* After both slots. */
void serve_announce_server(struct serve_announcement *a, const struct safety *safety,
                           const struct server_facts *facts);

#endif
