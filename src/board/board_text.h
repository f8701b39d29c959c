/* SPDX-License-Identifier: MIT */
/* The board as text: for people, programs and monitors. */
#ifndef BOARD_BOARD_TEXT_H
#define BOARD_BOARD_TEXT_H

#include "board/board.h"

#include <espimage/flash.h>

#include <stdio.h>

/* What else belongs to a view of everything. */
struct board_setting {
    const struct espimage_flash_map *map;
    int64_t started; /* seconds since 1970 */
    int64_t now;
    unsigned listeners;
};

/* The schema of /status.json and /events; grows when a field changes its meaning. */
#define BOARD_SCHEMA_VERSION 1

/* False: no memory. */
bool board_json(FILE *out, const struct board_view *view, const struct board_setting *setting);

/* The same as server-sent events: who we are (once, `first`), and what is new since `version`. */
bool board_events(FILE *out, const struct board_view *view, const struct board_setting *setting,
                  bool first, uint64_t version);

/* Prometheus' text format. */
void board_metrics(FILE *out, const struct board_view *view, const struct board_setting *setting);

/* An image can be had for at least one slot. */
static inline bool board_is_healthy(const struct board_view *view)
{
    return view->slots[0].converts || view->slots[1].converts;
}

#endif
