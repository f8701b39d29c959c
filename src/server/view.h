/* SPDX-License-Identifier: MIT */
/* A copy of what the board shows, taken while nobody changes it, to make texts of in peace. */
#ifndef SERVER_VIEW_H
#define SERVER_VIEW_H

#include "board/board.h"

struct server;

/* With room for so many. False: no memory; to be freed all the same. */
bool view_new(struct board_view *view, size_t devices, size_t results);
void view_free(struct board_view *view);

/* What is new since a version and a result. */
void view_take(struct server *server, uint64_t version, uint64_t result, struct board_view *view);

#endif
