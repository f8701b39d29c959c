/* SPDX-License-Identifier: MIT */
/* Puts a file in memory into sockets without copying it, through a pipe. sendfile() does that too,
 * but looks up and locks each page of 4 KB anew; by way of a view of the file they are found many
 * at once. */
#ifndef SERVER_CONVEYOR_H
#define SERVER_CONVEYOR_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct conveyor {
    int in; /* -1: there is none */
    int out;
    int null; /* borrowed */
    size_t room;
};

/* `null` is /dev/null, open for writing. A conveyor that could not be had sends nothing. */
void conveyor_open(struct conveyor *conveyor, int null);
void conveyor_close(struct conveyor *conveyor);

/* As send() to a socket that does not wait: how much it took; -1 and errno, ENOSYS for one that
 * sends nothing. The bytes must be a view of a file and never change, but the view may end: what
 * the socket took are the pages of the file. */
ssize_t conveyor_send(struct conveyor *conveyor, int socket, const uint8_t *bytes, size_t size);

#endif
