/* SPDX-License-Identifier: MIT */
/* readers ADDRESS PORT PATH IMAGE: plays many devices that fetch one image, in one thread.
 *
 *   --readers N   connections at once (default 100)
 *   --speed B     bytes a second that each reads at most; 0: as fast as it goes (default 60000)
 *   --pause MS    each stops once, somewhere, for so long (default 0)
 *   --seconds S   begin again when done, for so long; otherwise each fetches once
 *   --fetches N   begin again when done, until so many were begun in all
 *
 * Every byte is compared with IMAGE. Prints one line of JSON: fetches whole and failed, requests a
 * second, seconds, and the time to the first byte at some percentiles. */
#include "base/clock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define TICK_SECONDS 0.05
#define WINDOW       8192 /* of a reader with a speed: small, as a device's */
#define LONGEST      300.0
#define BATCH        200 /* begun before the others are looked at again */

struct reader {
    int fd;
    char header[600];
    size_t header_got;
    bool in_body;
    size_t got; /* of the image */
    size_t pause_at;
    double began;
    double first; /* when the first byte came; 0: not yet */
    double resume;
    double credit; /* bytes that it may read */
    bool asked;    /* the request was sent */
    uint32_t watched;
};

static struct {
    struct sockaddr_in to;
    const char *path;
    uint8_t *image;
    size_t size;
    size_t readers;
    double speed;
    double pause;
    double seconds;
    size_t fetches;
    int epoll;
    double start;
    size_t open;
    size_t begun;
    size_t whole;
    size_t failed;
    float *first_bytes; /* milliseconds */
    size_t first_count;
    size_t first_room;
} run;

static void die(const char *what)
{
    (void)fprintf(stderr, "readers: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void note_first_byte(double milliseconds)
{
    if (run.first_count == run.first_room) {
        run.first_room = run.first_room == 0 ? 4096 : run.first_room * 2;
        run.first_bytes = realloc(run.first_bytes, run.first_room * sizeof *run.first_bytes);
        if (run.first_bytes == NULL) {
            die("memory");
        }
    }
    run.first_bytes[run.first_count++] = (float)milliseconds;
}

static void watch(struct reader *r, uint32_t events)
{
    struct epoll_event event = {.events = events, .data = {.ptr = r}};
    if (r->watched != events) {
        (void)epoll_ctl(run.epoll, EPOLL_CTL_MOD, r->fd, &event);
        r->watched = events;
    }
}

/* Each from an address of its own, as devices are. Who begins again goes on with what it may
 * read. */
static void begin(struct reader *r, size_t number, double now)
{
    const int window = WINDOW;
    struct sockaddr_in from = {.sin_family = AF_INET};
    from.sin_addr.s_addr = htonl(0x7F010000U + (uint32_t)number + 1);
    *r = (struct reader){.credit = r->credit, .began = now};
    r->pause_at = run.pause > 0 ? (size_t)rand() % run.size : SIZE_MAX;
    r->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (r->fd < 0) {
        die("socket");
    }
    if (run.speed > 0) {
        (void)setsockopt(r->fd, SOL_SOCKET, SO_RCVBUF, &window, sizeof window);
    }
    if (bind(r->fd, (struct sockaddr *)&from, sizeof from) != 0 ||
        (connect(r->fd, (struct sockaddr *)&run.to, sizeof run.to) != 0 && errno != EINPROGRESS)) {
        die("connect");
    }
    r->watched = EPOLLIN | EPOLLOUT;
    struct epoll_event event = {.events = r->watched, .data = {.ptr = r}};
    if (epoll_ctl(run.epoll, EPOLL_CTL_ADD, r->fd, &event) != 0) {
        die("epoll");
    }
    run.open++;
    run.begun++;
}

/* It is connected, or never will be. */
static void ask(struct reader *r)
{
    char request[256];
    int size = snprintf(request, sizeof request,
                        "GET %s HTTP/1.0\r\nHost: bench\r\nConnection: close\r\n\r\n", run.path);
    r->asked = true;
    /* What went wrong is seen when it reads. */
    (void)!send(r->fd, request, (size_t)size, MSG_NOSIGNAL);
    watch(r, EPOLLIN);
}

static void finish(struct reader *r, bool whole)
{
    (void)close(r->fd);
    r->fd = -1;
    run.open--;
    if (whole) {
        run.whole++;
    } else {
        run.failed++;
    }
}

/* Takes the header off; the number of body bytes at the end of `bytes`, or SIZE_MAX. */
static size_t skip_header(struct reader *r, const uint8_t *bytes, size_t size)
{
    size_t room = sizeof r->header - r->header_got;
    size_t take = size < room ? size : room;
    size_t before = r->header_got;
    memcpy(r->header + before, bytes, take);
    r->header_got += take;
    const char *end = memmem(r->header, r->header_got, "\r\n\r\n", 4);
    if (end == NULL) {
        return r->header_got == sizeof r->header ? SIZE_MAX : 0;
    }
    r->in_body = true;
    return size - ((size_t)(end + 4 - r->header) - before);
}

static void take(struct reader *r, const uint8_t *bytes, size_t size)
{
    if (!r->in_body) {
        size_t body = skip_header(r, bytes, size);
        if (body == SIZE_MAX) {
            finish(r, false);
            return;
        }
        bytes += size - body;
        size = body;
    }
    if (size > run.size - r->got || memcmp(bytes, run.image + r->got, size) != 0) {
        finish(r, false);
        return;
    }
    r->got += size;
    if (r->got == run.size) {
        finish(r, true);
    }
}

static void read_some(struct reader *r, double now)
{
    static uint8_t scrap[1 << 18];
    size_t room = sizeof scrap;
    if (run.speed > 0) {
        room = r->credit < (double)room ? (size_t)r->credit : room;
        if (room == 0 || now < r->resume) {
            watch(r, 0);
            return;
        }
    }
    ssize_t got = recv(r->fd, scrap, room, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (got <= 0) {
        finish(r, false);
        return;
    }
    if (r->first == 0) {
        r->first = now;
        note_first_byte((now - r->began) * 1000);
    }
    r->credit -= (double)got;
    take(r, scrap, (size_t)got);
    if (r->fd >= 0 && r->got >= r->pause_at) {
        r->pause_at = SIZE_MAX;
        r->resume = now + run.pause;
        watch(r, 0);
    }
}

static int compare(const void *a, const void *b)
{
    const float *x = a;
    const float *y = b;
    return *x < *y ? -1 : *x > *y;
}

static double percentile(double share)
{
    size_t at = (size_t)((double)run.first_count * share);
    return run.first_count == 0
               ? 0
               : (double)run.first_bytes[at < run.first_count ? at : run.first_count - 1];
}

static void report(double seconds)
{
    qsort(run.first_bytes, run.first_count, sizeof *run.first_bytes, compare);
    (void)printf("{\"whole\": %zu, \"failed\": %zu, \"per_second\": %.1f, \"seconds\": %.2f, "
                 "\"first_byte_ms\": {\"50\": %.3f, \"99\": %.3f, \"max\": %.3f}}\n",
                 run.whole, run.failed, (double)run.whole / seconds, seconds, percentile(0.5),
                 percentile(0.99), percentile(1));
}

static void load_image(const char *path)
{
    FILE *file = fopen(path, "rb");
    run.image = malloc(1 << 20);
    if (file == NULL || run.image == NULL) {
        die(path);
    }
    run.size = fread(run.image, 1, 1 << 20, file);
    (void)fclose(file);
    if (run.size == 0) {
        die(path);
    }
}

static void parse(int argc, char **argv)
{
    if (argc < 5) {
        (void)fprintf(stderr, "usage: readers ADDRESS PORT PATH IMAGE [--readers N] [--speed B] "
                              "[--pause MS] [--seconds S] [--fetches N]\n");
        exit(2);
    }
    run.to.sin_family = AF_INET;
    run.to.sin_port = htons((uint16_t)atoi(argv[2]));
    if (inet_pton(AF_INET, argv[1], &run.to.sin_addr) != 1) {
        die("address");
    }
    run.path = argv[3];
    load_image(argv[4]);
    run.readers = 100;
    run.speed = 60000;
    for (int i = 5; i + 1 < argc; i += 2) {
        double value = strtod(argv[i + 1], NULL);
        if (strcmp(argv[i], "--readers") == 0) {
            run.readers = (size_t)value;
        } else if (strcmp(argv[i], "--speed") == 0) {
            run.speed = value;
        } else if (strcmp(argv[i], "--pause") == 0) {
            run.pause = value / 1000;
        } else if (strcmp(argv[i], "--seconds") == 0) {
            run.seconds = value;
        } else if (strcmp(argv[i], "--fetches") == 0) {
            run.fetches = (size_t)value;
        }
    }
}

/* Everybody's share of bytes for the time since the last tick. */
static void tick(struct reader *readers, size_t begun, double now, double passed)
{
    for (size_t i = 0; i < begun && run.speed > 0; i++) {
        struct reader *r = &readers[i];
        if (r->fd >= 0 && r->asked) {
            double most = run.speed * TICK_SECONDS * 2;
            r->credit += run.speed * passed;
            r->credit = r->credit < most ? r->credit : most;
            watch(r, now >= r->resume && r->credit >= 1 ? EPOLLIN : 0);
        }
    }
}

static void serve_events(struct reader *readers, bool wait)
{
    static struct epoll_event events[1024];
    int most = run.speed > 0 ? (int)(TICK_SECONDS * 1000) : 100;
    int count = epoll_wait(run.epoll, events, 1024, wait ? most : 0);
    double now = now_seconds();
    for (int i = 0; i < count; i++) {
        struct reader *r = events[i].data.ptr;
        if (r->fd >= 0 && !r->asked) {
            ask(r);
        } else if (r->fd >= 0) {
            read_some(r, now);
        }
        if (r->fd < 0 && (now - run.start < run.seconds || run.begun < run.fetches)) {
            begin(r, (size_t)(r - readers), now_seconds());
        }
    }
}

int main(int argc, char **argv)
{
    struct rlimit limit;
    parse(argc, argv);
    (void)getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    run.epoll = epoll_create1(0);
    struct reader *readers = calloc(run.readers, sizeof *readers);
    if (readers == NULL || run.epoll < 0) {
        die("start");
    }
    run.start = now_seconds();
    double last = run.start;
    size_t begun = 0;
    while ((begun < run.readers || run.open > 0) && now_seconds() - run.start < LONGEST) {
        for (size_t end = begun + BATCH; begun < run.readers && begun < end; begun++) {
            begin(&readers[begun], begun, now_seconds());
        }
        serve_events(readers, begun == run.readers);
        double now = now_seconds();
        if (now - last >= TICK_SECONDS) {
            tick(readers, begun, now, now - last);
            last = now;
        }
    }
    run.failed += run.open;
    report(now_seconds() - run.start);
    free(readers);
    return run.failed == 0 ? 0 : 1;
}
