/* SPDX-License-Identifier: MIT */
#include "cli/serve_view.h"

#include "base/clock.h"
#include "cli/live.h"
#include "cli/output.h"
#include "cli/transfers.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define DRAW_SECONDS   0.1
#define REPORT_SECONDS 1.0
/* Lines within this time are written together: a thousand a second wake nobody a thousand times. */
#define GATHER_SECONDS 0.02
/* Between two warnings of lost lines: a full disk loses each of them. */
#define LOST_SECONDS 10.0
/* Kept for a reader that is not there. */
#define KEPT_BYTES (16U << 20)

#define ERASE "\r\033[J"

struct line {
    struct line *next;
    FILE *stream;
    char *text; /* owned */
};

struct serve_view {
    bool live; /* there may be a block */
    bool same; /* stdout is a terminal too */
    bool colour;
    bool started;
    pthread_t thread;

    pthread_mutex_t lock; /* guards all down to `patient_until` */
    pthread_cond_t changed;
    struct transfers *transfers; /* NULL: nobody wants to know */
    struct line *first;
    struct line **end;
    size_t kept; /* bytes */
    size_t lost;
    int lost_why; /* errno of the last one; 0: nobody read it */
    bool stop;
    double patient_until;

    /* The thread's. */
    double drawn_at;
    size_t lost_told;
    double lost_told_at;
    int failed;     /* errno of the first failure of stdout; 0: none */
    bool torn[2];   /* what stdout, stderr have last is no whole line */
    unsigned shown; /* lines of the block on the terminal */
    struct live_screen screen;
    char chunk[PIPE_BUF];             /* lines to be written together */
    char block[LIVE_ROWS][LIVE_LINE]; /* as shown */
    char next[LIVE_ROWS][LIVE_LINE];
};

/* ---- the screen ---- */

static bool knows_sequences(void)
{
    const char *term = getenv("TERM");
    return term != NULL && term[0] != '\0' && strcmp(term, "dumb") != 0;
}

/* Somebody else's turn, after `serve &`. */
static bool in_background(void)
{
    pid_t group = tcgetpgrp(STDERR_FILENO);
    return group > 0 && group != getpgrp();
}

static struct live_screen look_at_screen(bool colour)
{
    struct live_screen screen = {23, 79, colour};
    struct winsize size = {0};
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 && size.ws_col > 0) {
        screen.rows = size.ws_row > 1U ? size.ws_row - 1U : 1;
        screen.columns = size.ws_col > 1U ? size.ws_col - 1U : 1;
    }
    return screen;
}

/* The cursor rests at the start of the block: whatever becomes of the lines when the window
 * changes, the block is what is below. */
static void erase(struct serve_view *view)
{
    if (view->shown > 0) {
        (void)fputs(ERASE, stderr);
        (void)fflush(stderr);
        view->shown = 0;
    }
}

static bool is_as_shown(const struct serve_view *view, const struct live_screen *screen,
                        unsigned count)
{
    bool same = count == view->shown && screen->rows == view->screen.rows &&
                screen->columns == view->screen.columns;
    for (unsigned i = 0; same && i < count; i++) {
        same = strcmp(view->next[i], view->block[i]) == 0;
    }
    return same;
}

/* Draws over what is there, so that nothing flickers. */
static void draw(struct serve_view *view, const struct live_screen *screen, unsigned count)
{
    if (count == 0) {
        erase(view);
        return;
    }
    if (is_as_shown(view, screen, count)) {
        return;
    }
    for (unsigned i = 0; i < count; i++) {
        (void)fprintf(stderr, "%s%s\033[K", i == 0 ? "\r" : "\r\n", view->next[i]);
    }
    (void)fputs("\033[J\r", stderr);
    if (count > 1) {
        (void)fprintf(stderr, "\033[%uA", count - 1);
    }
    (void)fflush(stderr);
    memcpy(view->block, view->next, (size_t)count * sizeof view->block[0]);
    view->shown = count;
    view->screen = *screen;
}

/* ---- lines ---- */

static bool is_impatient(struct serve_view *view)
{
    (void)pthread_mutex_lock(&view->lock);
    bool impatient = view->stop && now_seconds() >= view->patient_until;
    (void)pthread_mutex_unlock(&view->lock);
    return impatient;
}

/* Waits for a terminal that was halted, or for the other end of a pipe. */
static bool wait_for_room(struct serve_view *view, int fd)
{
    struct pollfd room = {fd, POLLOUT, 0};
    bool impatient = false;
    do {
        impatient = is_impatient(view);
        if (poll(&room, 1, impatient ? 0 : 100) > 0) {
            return true;
        }
    } while (!impatient);
    return false;
}

/* How much of it was written; less than all: nobody reads it, or errno says why not. */
static size_t put(struct serve_view *view, int fd, const char *text, size_t size)
{
    size_t at = 0;
    while (at < size) {
        if (!wait_for_room(view, fd)) {
            errno = 0;
            break;
        }
        ssize_t done = write(fd, text + at, size - at);
        if (done < 0 && errno != EINTR && errno != EAGAIN) {
            break;
        }
        at += done > 0 ? (size_t)done : 0;
    }
    return at;
}

static size_t count_lines(const char *text, size_t size)
{
    size_t count = 0;
    for (size_t i = 0; i < size; i++) {
        count += text[i] == '\n';
    }
    return count;
}

/* Whole lines, not glued to what became of those before. How many were not written. */
static size_t put_lines(struct serve_view *view, FILE *stream, const char *text, size_t size)
{
    bool *torn = &view->torn[stream == stderr];
    size_t lines = count_lines(text, size);
    if (*torn && put(view, fileno(stream), "\n", 1) == 0) {
        return lines;
    }
    size_t done = put(view, fileno(stream), text, size);
    *torn = done > 0 && text[done - 1] != '\n';
    return lines - count_lines(text, done);
}

static void lose(struct serve_view *view, FILE *stream, size_t lines, int why)
{
    if (stream == stdout && view->failed == 0) {
        view->failed = why;
    }
    (void)pthread_mutex_lock(&view->lock);
    view->lost += lines;
    view->lost_why = why;
    (void)pthread_mutex_unlock(&view->lock);
}

static void print(struct serve_view *view, FILE *stream, const char *text, size_t size)
{
    bool room = wait_for_room(view, fileno(stream));
    if (room && (stream == stderr || view->same)) {
        erase(view);
    }
    errno = 0;
    size_t lost = room ? put_lines(view, stream, text, size) : count_lines(text, size);
    if (lost > 0) {
        lose(view, stream, lost, errno);
    }
    (void)pthread_mutex_lock(&view->lock);
    view->kept -= size;
    (void)pthread_mutex_unlock(&view->lock);
}

static struct line *line_free(struct line *line)
{
    struct line *next = line->next;
    free(line->text);
    free(line);
    return next;
}

/* Prints those at the front that go to the same place, as many as fit into a chunk, and one in any
 * case; returns those behind them. */
static struct line *print_some(struct serve_view *view, struct line *line)
{
    FILE *stream = line->stream;
    size_t size = 0;
    size_t next = strlen(line->text);
    if (next > sizeof view->chunk) {
        print(view, stream, line->text, next);
        return line_free(line);
    }
    while (line != NULL && line->stream == stream && next <= sizeof view->chunk - size) {
        memcpy(view->chunk + size, line->text, next);
        size += next;
        line = line_free(line);
        next = line != NULL ? strlen(line->text) : 0;
    }
    print(view, stream, view->chunk, size);
    return line;
}

static void print_all(struct serve_view *view, struct line *line)
{
    while (line != NULL) {
        line = print_some(view, line);
    }
}

/* At once, then now and then, and at the end. */
static void tell_lost(struct serve_view *view, bool last)
{
    double now = now_seconds();
    (void)pthread_mutex_lock(&view->lock);
    size_t lost = view->lost - view->lost_told;
    int why = view->lost_why;
    (void)pthread_mutex_unlock(&view->lock);
    bool due = last || view->lost_told == 0 || now - view->lost_told_at >= LOST_SECONDS;
    if (lost == 0 || !due) {
        return;
    }
    erase(view);
    if (fprintf(stderr, PROGRAM ": warning: %zu line%s of the log %s lost: %s\n", lost,
                lost == 1 ? "" : "s", lost == 1 ? "was" : "were",
                why != 0 ? strerror(why) : "nobody read it") > 0) {
        view->lost_told += lost;
        view->lost_told_at = now;
    }
}

/* ---- the thread ---- */

/* With the lock held. Waits until there is something to do, and some time has passed since it was
 * done last. */
static void wait_for_work(struct serve_view *view)
{
    while (!view->stop) {
        bool active = view->live && transfers_count(view->transfers) > 0;
        if (view->first == NULL && !active && view->shown == 0) {
            (void)pthread_cond_wait(&view->changed, &view->lock);
            continue;
        }
        double at = view->drawn_at + (view->live ? DRAW_SECONDS : GATHER_SECONDS);
        if (now_seconds() >= at) {
            return;
        }
        const struct timespec until = clock_time(at);
        (void)pthread_cond_timedwait(&view->changed, &view->lock, &until);
    }
}

static void *run(void *context)
{
    struct serve_view *view = context;
    bool stop = false;
    while (!stop) {
        unsigned count = 0;
        (void)pthread_mutex_lock(&view->lock);
        wait_for_work(view);
        struct live_screen screen = {0};
        bool hidden = view->live && in_background();
        if (view->live && !view->stop && !hidden) {
            screen = look_at_screen(view->colour);
            count = live_block(view->next, view->transfers, &screen, now_seconds());
        }
        struct line *lines = view->first;
        view->first = NULL;
        view->end = &view->first;
        stop = view->stop;
        (void)pthread_mutex_unlock(&view->lock);
        view->drawn_at = now_seconds();
        view->shown = hidden ? 0 : view->shown; /* what is there now belongs to others */
        print_all(view, lines);
        if (wait_for_room(view, STDERR_FILENO)) {
            if (stop || !is_impatient(view)) { /* or there are more to come */
                tell_lost(view, stop);
            }
            draw(view, &screen, count);
        }
    }
    return NULL;
}

/* ---- for the server ---- */

static void init_condition(pthread_cond_t *condition)
{
    pthread_condattr_t attributes;
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(condition, &attributes);
    (void)pthread_condattr_destroy(&attributes);
}

struct serve_view *serve_view_new(bool follows)
{
    struct serve_view *view = calloc(1, sizeof *view);
    if (view == NULL) {
        return NULL;
    }
    const char *no_color = getenv("NO_COLOR");
    view->live = isatty(STDERR_FILENO) != 0 && knows_sequences();
    view->same = isatty(STDOUT_FILENO) != 0;
    view->colour = no_color == NULL || no_color[0] == '\0';
    view->end = &view->first;
    view->transfers = view->live || follows ? transfers_new() : NULL;
    if ((view->live || follows) && view->transfers == NULL) {
        free(view);
        return NULL;
    }
    (void)pthread_mutex_init(&view->lock, NULL);
    init_condition(&view->changed);
    return view;
}

bool serve_view_start(struct serve_view *view)
{
    errno = 0;
    if (fflush(stdout) != 0 || ferror(stdout) != 0) {
        view->torn[0] = true;
        lose(view, stdout, 1, errno != 0 ? errno : EIO);
        clearerr(stdout); /* told here, and so not once more when it is closed */
    }
    view->started = pthread_create(&view->thread, NULL, run, view) == 0;
    return view->started;
}

int serve_view_free(struct serve_view *view, double patience)
{
    if (view == NULL) {
        return 0;
    }
    (void)pthread_mutex_lock(&view->lock);
    view->stop = true;
    view->patient_until = now_seconds() + patience;
    (void)pthread_cond_signal(&view->changed);
    (void)pthread_mutex_unlock(&view->lock);
    if (view->started) {
        (void)pthread_join(view->thread, NULL);
    } else {
        print_all(view, view->first);
    }
    (void)pthread_cond_destroy(&view->changed);
    (void)pthread_mutex_destroy(&view->lock);
    transfers_free(view->transfers);
    int failed = view->failed;
    free(view);
    return failed;
}

void serve_view_line(struct serve_view *view, FILE *stream, char *text)
{
    struct line *line = text != NULL ? malloc(sizeof *line) : NULL;
    if (line == NULL) {
        free(text);
        return;
    }
    size_t length = strlen(text);
    *line = (struct line){NULL, stream, text};
    (void)pthread_mutex_lock(&view->lock);
    bool room = view->kept + length <= KEPT_BYTES;
    if (room) {
        bool first = view->first == NULL;
        view->kept += length;
        *view->end = line;
        view->end = &line->next;
        if (first) {
            (void)pthread_cond_signal(&view->changed);
        }
    } else {
        view->lost++;
        view->lost_why = 0;
    }
    (void)pthread_mutex_unlock(&view->lock);
    if (!room) {
        free(text);
        free(line);
    }
}

size_t serve_view_lost(struct serve_view *view)
{
    (void)pthread_mutex_lock(&view->lock);
    size_t lost = view->lost;
    (void)pthread_mutex_unlock(&view->lock);
    return lost;
}

bool serve_view_follows(const struct serve_view *view)
{
    return view->transfers != NULL;
}

bool serve_view_progress(struct serve_view *view, const struct server_event *event)
{
    if (view->transfers == NULL || strcmp(event->method, "GET") != 0) {
        return false;
    }
    double now = now_seconds();
    (void)pthread_mutex_lock(&view->lock);
    bool first = transfers_count(view->transfers) == 0;
    struct transfer *transfer = transfers_note(view->transfers, event, now);
    bool due =
        transfer != NULL && (transfer->reported <= 0 || now - transfer->reported >= REPORT_SECONDS);
    if (due) {
        transfer->reported = now;
    }
    if (first && view->live) {
        (void)pthread_cond_signal(&view->changed);
    }
    (void)pthread_mutex_unlock(&view->lock);
    return due;
}

void serve_view_done(struct serve_view *view, const struct server_event *event)
{
    if (view->transfers != NULL) {
        (void)pthread_mutex_lock(&view->lock);
        transfers_end(view->transfers, event);
        (void)pthread_mutex_unlock(&view->lock);
    }
}
