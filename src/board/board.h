/* SPDX-License-Identifier: MIT */
/* What there is to see: fed with every event, it keeps who downloads what, what came of it, and
 * which slot each device runs by what it asks for. Of bounded size; no sockets, no threads. */
#ifndef BOARD_BOARD_H
#define BOARD_BOARD_H

#include "base/sha256.h"
#include "board/event.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Beyond these the oldest is forgotten. */
#define BOARD_DEVICES 16384
/* Of them the last active are shown, at most. */
#define BOARD_SHOWN   1024
#define BOARD_RESULTS 200
/* Progress of a device is news at most every so many seconds. */
#define BOARD_PROGRESS_SECONDS 0.25
#define BOARD_STATUSES         600
#define BOARD_TARGET           160
#define BOARD_REASON           256

/* Texts are printable UTF-8; times are seconds since 1970; a version grows with every change. */

struct board_download {
    uint16_t port;
    int slot; /* 0: none goes on */
    unsigned build;
    uint64_t sent;
    uint64_t size;
    uint64_t speed; /* bytes a second */
    int64_t since;
};

struct board_result {
    uint64_t number; /* 1, 2, ... */
    int64_t time;
    char client[INET6_ADDRSTRLEN];
    bool turned_away; /* before there was a request: only the reason is valid */
    char method[8];
    char target[BOARD_TARGET];
    int slot;
    unsigned build;
    unsigned status;
    uint64_t sent;
    uint64_t size;
    uint64_t milliseconds;
    bool complete;
    int runs;
    unsigned runs_build;
    bool not_taken;
    char reason[BOARD_REASON]; /* "": all went well */
};

/* An address that asked for a slot. */
struct board_device {
    char client[INET6_ADDRSTRLEN];
    uint64_t version;
    int64_t first_seen;
    int64_t seen;
    struct board_download now;
    int runs; /* slot, as told by its requests; 0: not known */
    unsigned runs_build;
    int fetched; /* slot whose image it has whole and has not asked about since; or 0 */
    unsigned fetched_build;
    uint64_t downloads; /* complete */
    uint64_t updates;
    uint64_t not_taken;
    uint64_t failures;
    bool ended; /* there was a last result: */
    int last_slot;
    unsigned last_status;
    bool last_complete;
    bool last_not_taken;
    char last_reason[BOARD_REASON];
};

struct board_slot {
    uint64_t version;
    char elf[256]; /* file name without folders; "": none was given */
    bool converts;
    unsigned build; /* of what follows; 0: nothing was ever converted */
    uint64_t size;
    char sha256[SHA256_TEXT];
    int64_t converted;
    char reason[512]; /* why there is no image; "": there is one */
};

struct board_totals {
    uint64_t version;
    uint64_t requests[BOARD_STATUSES]; /* by status */
    uint64_t image_bytes;              /* acknowledged by clients */
    uint64_t complete;
    uint64_t broken;
    uint64_t turned_away;
    uint64_t not_converted;
    uint64_t updates;
    uint64_t not_taken;
    unsigned active; /* devices that download now */
    unsigned devices;
};

struct board;

struct board *board_new(void); /* NULL: no memory */
void board_free(struct board *board);

/* Fills in what follows for the event: runs, runs_build, not_taken. `now` is in seconds of a clock
 * that does not jump, `time` in seconds since 1970. True when there is something new to see. */
bool board_record(struct board *board, struct server_event *event, double now, int64_t time);

/* Shows progress that was no news when it was told, and who has stalled since. */
void board_catch_up(struct board *board, double now);

/* True when that is news. */
bool board_set_slot(struct board *board, int slot, const struct board_slot *state);

/* What is new since a version and a result, the oldest first, as much as there is room for; of
 * devices that have news the last BOARD_SHOWN. */
struct board_view {
    struct board_device *devices;
    size_t device_room;
    struct board_result *results;
    size_t result_room;
    /* filled in */
    size_t device_count;
    size_t result_count;
    struct board_slot slots[2];
    struct board_totals totals;
    uint64_t version; /* seen with this; less than the board's when there was no room for all */
    uint64_t result;
};
/* With room for so many. False: no memory; to be freed all the same. */
bool board_view_init(struct board_view *view, size_t devices, size_t results);
void board_view_free(struct board_view *view);
void board_look(const struct board *board, uint64_t version, uint64_t result,
                struct board_view *view);

#endif
