/* SPDX-License-Identifier: MIT */
/* The log of a server, as text and as JSON: one line an event. docs/log.md describes both. Every
 * line is from malloc() and ends in a line feed; NULL when there is no memory. */
#ifndef CLI_SERVE_LOG_H
#define CLI_SERVE_LOG_H

#include "server/server.h"

#include <jansson.h>

/* Grows when a field changes its meaning or goes away. */
#define LOG_SCHEMA_VERSION 1

/* For SERVER_REQUEST and SERVER_TURNED_AWAY. */
char *serve_log_text(const struct server_event *event);
/* For events of every kind but SERVER_CONVERTED. */
char *serve_log_json(const struct server_event *event);
/* For what is no event of the server's; `fields` are its own from now on. */
char *serve_log_record(const char *name, json_t *fields);

/* What print_warnings() prints. */
char *serve_log_warning(const char *file, const char *text);

#endif
