/* SPDX-License-Identifier: MIT */
/* What push says: a line for each step of each device, and what came of all. */
#ifndef CLI_PUSH_REPORT_H
#define CLI_PUSH_REPORT_H

#include "push/push.h"

/* A line about a device's state, on stdout or, with `json`, on stderr. */
void push_report_line(const struct push_device *device, bool json);
/* How many are where; on a terminal, in place, with `line` of it. */
void push_report_progress(const struct push *push);
void push_report_end_progress(void);

/* The summary, or the JSON document; returns the exit status. */
int push_report_end(const struct push *push, bool json);

/* Writes the results for CI. ESPIMAGE_ERR_CREATE, _ERR_IO, _ERR_MEMORY. */
enum espimage_code push_report_junit(const struct push *push, const char *path,
                                     struct espimage_error *err);

#endif
