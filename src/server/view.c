/* SPDX-License-Identifier: MIT */
#include "server/view.h"

#include "server/parts.h"

#include <stdlib.h>

bool view_new(struct board_view *view, size_t devices, size_t results)
{
    view->devices = calloc(devices, sizeof *view->devices);
    view->results = calloc(results, sizeof *view->results);
    view->device_room = devices;
    view->result_room = results;
    return view->devices != NULL && view->results != NULL;
}

void view_free(struct board_view *view)
{
    free(view->devices);
    free(view->results);
}

void view_take(struct server *server, uint64_t version, uint64_t result, struct board_view *view)
{
    (void)pthread_mutex_lock(&server->lock);
    board_look(server->board, version, result, view);
    (void)pthread_mutex_unlock(&server->lock);
}
