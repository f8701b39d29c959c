/* SPDX-License-Identifier: MIT */
/* A command of the user's, run beside the event loop. */
#ifndef PUSH_COMMAND_H
#define PUSH_COMMAND_H

#include "net/event_loop.h"

#include <sys/types.h>

struct command_run {
    struct event_loop *loop;
    struct handler handler;
    void (*ended)(void *context); /* may begin another */
    void *context;
    pid_t child; /* 0: none */
    int fd;      /* of the child; -1: none */
    int status;  /* its exit status; 128 and its signal; or -1: it could not be run */
    int error;   /* why then */
    double due;  /* command_timer() is wanted then; 0: none */
};

void command_init(struct command_run *run, struct event_loop *loop, void (*ended)(void *context),
                  void *context);
/* Runs it with /bin/sh, {device} replaced by the address, which is also in $ESPIMAGETOOL_DEVICE;
 * without standard input, and with standard output on standard error. `ended` may be called before
 * it returns. */
void command_begin(struct command_run *run, const char *command, const char *device,
                   double seconds);
void command_timer(struct command_run *run, double now);
/* Kills one that runs, with all that it has started in its process group. */
void command_close(struct command_run *run);

#endif
