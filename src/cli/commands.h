/* SPDX-License-Identifier: MIT */
/* The commands, one file each: cmd_<name>.c. */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

#include "cli/options.h"

extern const struct command cmd_completion;
extern const struct command cmd_convert;
extern const struct command cmd_factory;
extern const struct command cmd_info;
extern const struct command cmd_maps;
extern const struct command cmd_probe;
extern const struct command cmd_push;
extern const struct command cmd_serve;
extern const struct command cmd_simulate;
extern const struct command cmd_verify;

#endif
