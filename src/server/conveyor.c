/* SPDX-License-Identifier: MIT */
#include "server/conveyor.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

/* Of an image of up to 1 MB: as much as anybody may ask for. */
#define WANTED 1048576

void conveyor_open(struct conveyor *c, int null)
{
    int ends[2];
    *c = (struct conveyor){.in = -1, .out = -1, .null = null};
    if (null < 0 || pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) {
        return;
    }
    c->out = ends[0];
    c->in = ends[1];
    (void)fcntl(c->in, F_SETPIPE_SZ, WANTED);
    int room = fcntl(c->in, F_GETPIPE_SZ);
    c->room = room > 0 ? (size_t)room : 0;
}

void conveyor_close(struct conveyor *c)
{
    if (c->in >= 0) {
        (void)close(c->in);
        (void)close(c->out);
        c->in = -1;
    }
}

/* What the socket did not take. */
static void throw_away(struct conveyor *c, size_t size)
{
    while (size > 0) {
        ssize_t gone = splice(c->out, NULL, c->null, NULL, size, SPLICE_F_NONBLOCK);
        if (gone == 0 || (gone < 0 && errno != EINTR)) {
            conveyor_close(c); /* and all that is in it */
            return;
        }
        size -= gone > 0 ? (size_t)gone : 0;
    }
}

ssize_t conveyor_send(struct conveyor *c, int socket, const uint8_t *bytes, size_t size)
{
    const struct iovec part = {(void *)(uintptr_t)bytes, size < c->room ? size : c->room};
    size_t done = 0;
    int error = 0;
    if (c->in < 0) {
        errno = ENOSYS;
        return -1;
    }
    ssize_t loaded = vmsplice(c->in, &part, 1, SPLICE_F_NONBLOCK);
    if (loaded <= 0) { /* by whatever policy: there are other ways to send */
        conveyor_close(c);
        errno = ENOSYS;
        return -1;
    }
    while (done < (size_t)loaded && error == 0) {
        ssize_t took = splice(c->out, NULL, socket, NULL, (size_t)loaded - done,
                              SPLICE_F_NONBLOCK | SPLICE_F_MORE);
        error = took > 0 ? 0 : took == 0 ? EPIPE : errno == EINTR ? 0 : errno;
        done += took > 0 ? (size_t)took : 0;
    }
    throw_away(c, (size_t)loaded - done);
    errno = error;
    return done > 0 ? (ssize_t)done : -1;
}
