/* SPDX-License-Identifier: MIT */
#ifndef CLI_SERVER_MODULE_H
#define CLI_SERVER_MODULE_H

#include "server/server.h"

/* Loads the server, for the rest of the process. */
enum espimage_code server_module_load(const struct server_module **out, struct espimage_error *err);

#endif
