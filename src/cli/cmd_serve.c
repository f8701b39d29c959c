/* SPDX-License-Identifier: MIT */
/* serve: convert on request and serve /user1.bin and /user2.bin. */
#include "base/clock.h"
#include "base/error.h"
#include "base/text.h"
#include "cli/advice.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/serve_announce.h"
#include "cli/serve_elfs.h"
#include "cli/serve_log.h"
#include "cli/serve_safety.h"
#include "cli/serve_view.h"
#include "cli/server_module.h"
#include "cli/signals.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct option_spec serve_options[] = {
    {OPT_PORT, "port", NULL, 'p', "PORT", NULL, "TCP port (default 8888); 0 takes a free one"},
    {OPT_BIND, "bind", NULL, 0, "ADDRESS", NULL, "address or interface to use (default 0.0.0.0)"},
    {OPT_ONCE, "once", NULL, 0, NULL, NULL, "end after the first complete download"},
    {OPT_PROMISE, "promise", NULL, 0, "SECONDS", NULL,
     "keep what HEAD announced for GET (default 600)"},
    {OPT_MSS, "mss", NULL, 0, "BYTES", NULL, "also suit this TCP segment size"},
    {OPT_APP, "app", NULL, 0, "1|2", "1 2", "the slot of the one ELF, whatever it was linked for"},
    {OPT_PROFILE, "profile", NULL, 0, "PROFILE", PROFILE_NAMES,
     "whose image to make (default sdk)"},
    {OPT_LOG, "log", NULL, 0, "FORMAT", "text json", "what the log is written as (default text)"},
    {0, NULL, NULL, 0, NULL, NULL, NULL},
};

#define DEFAULT_PORT 8888
/* What a client may take after the last byte was handed over. */
#define STOP_SECONDS 2
/* What the reader of the log may take after that. */
#define LOG_SECONDS 2
/* Milliseconds between looks at what still runs. */
#define DRAIN_TICK 20
/* After SIGHUP an ELF that is being written is tried again so often (milliseconds), for so long. */
#define RECHECK_TICK    20
#define RECHECK_SECONDS 3.0
/* Milliseconds between looks at the address to listen on while there is news, or nothing tells of
 * it. */
#define LOOK_TICK 1000

struct serving {
    const char *address;
    uint32_t port;
    uint32_t promise_seconds;
    uint32_t mss;
    bool once;
    struct safety safety;
    struct serve_elfs elfs;
    struct serve_announcement announcement;
    bool json;
    struct serve_view *view;
    unsigned builds[2]; /* that were told */
    const struct server_module *module;
    struct server *server;
    double began;
    /* Events come one at a time. */
    uint64_t requests;
    uint64_t downloads;
    uint64_t turned_away;
    bool recheck[2]; /* SIGHUP asked to check the ELF of that slot */
    double recheck_until;
    int done_fd; /* readable when --once has been satisfied */
};

static enum espimage_code log_option(const char *value, struct serving *s,
                                     struct espimage_error *err)
{
    s->json = text_same(value, "json");
    if (!s->json && !text_same(value, "text")) {
        error_found(err, ESPIMAGE_ERR_USAGE, "unknown value '%s'", value);
        return error_wanted(err, "text or json");
    }
    return ESPIMAGE_OK;
}

static enum espimage_code set_option(void *context, enum option_id id, const char *value,
                                     struct espimage_error *err)
{
    struct serving *s = context;
    switch (id) {
    case OPT_PORT: return number_option(value, 0, 65535, &s->port, err);
    case OPT_BIND: s->address = value; return ESPIMAGE_OK;
    case OPT_PROMISE: return number_option(value, 1, 86400, &s->promise_seconds, err);
    case OPT_MSS: return number_option(value, 536, 65535, &s->mss, err);
    case OPT_ONCE: s->once = true; return ESPIMAGE_OK;
    case OPT_APP: return app_option(value, &s->elfs.app, err);
    case OPT_LOG: return log_option(value, s, err);
    case OPT_PROFILE: return profile_option(value, &s->elfs.profile, err);
    default: break;
    }
    enum espimage_code code = safety_option(&s->safety, id, value, err);
    return code == ESPIMAGE_OK ? flash_option(&s->elfs.flash, id, value, err) : code;
}

/* ---- what is said while it runs ---- */

static void warn_of(const struct serving *s, int slot, const struct espimage_notes *notes)
{
    const char *path = slot != 0 ? store_path(s->elfs.store, slot) : NULL;
    for (size_t i = 0; notes != NULL && path != NULL && i < notes->count; i++) {
        serve_view_line(s->view, stderr, serve_log_warning(path, notes->text[i]));
        if (s->json) {
            serve_view_line(s->view, stdout,
                            serve_log_record("warning", json_pack("{s:i, s:o, s:o}", "slot", slot,
                                                                  "elf", json_text(path), "text",
                                                                  json_text(notes->text[i]))));
        }
    }
}

/* Converts what has changed, and reports it. False when the ELF is still being written. */
static bool recheck(struct serving *s, int slot)
{
    const struct snapshot *snapshot = NULL;
    struct espimage_notes notes = ESPIMAGE_NOTES_INIT;
    struct espimage_error err;
    char text[ESPIMAGE_ERROR_LINE + 32];
    char line[ESPIMAGE_ERROR_LINE];
    bool unsettled = false;
    if (store_path(s->elfs.store, slot) == NULL) {
        return true;
    }
    enum espimage_code code = store_get(s->elfs.store, slot, &snapshot, &unsettled, &notes, &err);
    if (code != ESPIMAGE_OK && unsettled && now_seconds() < s->recheck_until) {
        return false;
    }
    if (code != ESPIMAGE_OK) {
        (void)snprintf(text, sizeof text, "APP%d: not converted: %s", slot,
                       error_line(&err, line, sizeof line));
    } else {
        unsigned before = s->builds[slot - 1];
        s->builds[slot - 1] = snapshot->build;
        (void)snprintf(text, sizeof text, "APP%d: %s: %zu bytes, sha256 %.16s, build %u", slot,
                       before == snapshot->build ? "unchanged" : "changed", snapshot->image.size,
                       snapshot->sha256, snapshot->build);
        snapshot_release(snapshot);
    }
    s->module->notice(s->server, text);
    warn_of(s, slot, &notes);
    return true;
}

/* After SIGHUP, until each ELF is read or the time for that is over. */
static void recheck_pending(struct serving *s)
{
    for (int slot = 1; slot <= 2; slot++) {
        s->recheck[slot - 1] = s->recheck[slot - 1] && !recheck(s, slot);
    }
}

static void count(struct serving *s, const struct server_event *e)
{
    s->requests += e->kind == SERVER_REQUEST;
    s->downloads += e->complete;
    s->turned_away += e->kind == SERVER_TURNED_AWAY;
}

static void say_stopped(const struct serving *s, const char *because)
{
    if (s->json) {
        serve_view_line(
            s->view, stdout,
            serve_log_record("stopped", json_pack("{s:s, s:f, s:I, s:I, s:I, s:I}", "because",
                                                  because, "seconds", now_seconds() - s->began,
                                                  "requests", (json_int_t)s->requests, "downloads",
                                                  (json_int_t)s->downloads, "turned_away",
                                                  (json_int_t)s->turned_away, "lost",
                                                  (json_int_t)serve_view_lost(s->view))));
    }
}

static void on_event(void *context, const struct server_event *e)
{
    struct serving *s = context;
    if (e->kind == SERVER_PROGRESS) {
        if (serve_view_progress(s->view, e) && s->json) {
            serve_view_line(s->view, stdout, serve_log_json(e));
        }
        return;
    }
    if (e->kind == SERVER_CONVERTED) {
        warn_of(s, e->slot, e->notes);
        return;
    }
    if (e->quiet) {
        count(s, e);
        return;
    }
    count(s, e);
    if (e->kind == SERVER_REQUEST) {
        serve_view_done(s->view, e);
        warn_of(s, e->slot, e->notes);
    }
    serve_view_line(s->view, stdout, s->json ? serve_log_json(e) : serve_log_text(e));
    if (s->once && e->complete) {
        const uint64_t one = 1;
        (void)!write(s->done_fd, &one, sizeof one);
    }
}

/* ---- running ---- */

/* The terminal that serve was started on has been closed; SIGHUP without that is a request. */
static bool terminal_is_gone(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        struct pollfd look = {fd, 0, 0};
        struct stat status;
        if (fstat(fd, &status) == 0 && S_ISCHR(status.st_mode) && poll(&look, 1, 0) > 0 &&
            (look.revents & POLLHUP) != 0) {
            return true;
        }
    }
    return false;
}

/* Waits for a signal that ends it, or for the download that --once waits for; says which it was. */
static const char *wait_for_end(struct serving *s, int signal_fd)
{
    for (;;) {
        recheck_pending(s);
        int tick = s->module->poll(s->server) ? LOOK_TICK : -1;
        struct pollfd wait[] = {{signal_fd, POLLIN, 0},
                                {s->done_fd, POLLIN, 0},
                                {tick < 0 ? s->module->poll_fd(s->server) : -1, POLLIN, 0}};
        tick = s->recheck[0] || s->recheck[1] ? RECHECK_TICK : tick;
        if (poll(wait, 3, tick) <= 0 || (wait[0].revents | wait[1].revents) == 0) {
            continue;
        }
        if (wait[1].revents != 0) {
            return "once";
        }
        if (signals_next(signal_fd, 0) != SIGHUP || terminal_is_gone()) {
            return "signal";
        }
        s->recheck[0] = true;
        s->recheck[1] = true;
        s->recheck_until = now_seconds() + RECHECK_SECONDS;
    }
}

/* Nobody new; downloads that run may finish, until the time is over or SIGINT comes. False then. */
static bool drain(const struct serving *s, int signal_fd)
{
    char text[128];
    double end = now_seconds() + s->safety.drain_seconds;
    s->module->begin_drain(s->server);
    unsigned running = s->module->active(s->server);
    if (running > 0 && s->safety.drain_seconds > 0) {
        (void)snprintf(text, sizeof text,
                       "ending: %u request%s still being answered, for up to %u s; Ctrl-C ends now",
                       running, running == 1 ? " is" : "s are", s->safety.drain_seconds);
        s->module->notice(s->server, text);
    }
    while (s->module->active(s->server) > 0) {
        if (now_seconds() >= end || signals_next(signal_fd, DRAIN_TICK) == SIGINT) {
            return false;
        }
    }
    return true;
}

static enum espimage_code start(struct serving *s, struct espimage_error *err)
{
    struct server_options options = {.address = s->address,
                                     .port = (uint16_t)s->port,
                                     .promise_seconds = s->promise_seconds,
                                     .extra_mss = (uint16_t)s->mss,
                                     .store = s->elfs.store,
                                     .event = on_event,
                                     .context = s};
    safety_apply(&s->safety, &options);
    s->began = now_seconds();
    s->view = serve_view_new(s->json);
    if (s->view == NULL) {
        return error_no_memory(err);
    }
    options.progress = serve_view_follows(s->view);
    enum espimage_code code = server_module_load(&s->module, err);
    return code == ESPIMAGE_OK ? s->module->start(&options, &s->server, err) : code;
}

/* Lines are printed only after the announcement. False when it was ended in a hurry. */
static bool serve_until_end(struct serving *s, int signal_fd)
{
    const struct server_facts facts = s->module->facts(s->server);
    serve_announce_server(&s->announcement, &s->safety, &facts);
    if (!serve_view_start(s->view)) {
        (void)fputs(PROGRAM ": no thread for the log: it comes at the end\n", stderr);
    }
    const char *because = wait_for_end(s, signal_fd);
    bool finished = strcmp(because, "once") == 0 || drain(s, signal_fd);
    s->module->stop(s->server, finished ? STOP_SECONDS : 0);
    say_stopped(s, because);
    return finished;
}

static int run_server(struct serving *s)
{
    struct espimage_error err;
    int status = 0;
    bool finished = true;
    int signal_fd = signals_to_descriptor(true);
    s->done_fd = eventfd(0, EFD_CLOEXEC);
    if (signal_fd < 0 || s->done_fd < 0) {
        error_found(&err, ESPIMAGE_ERR_IO, "cannot wait for signals: %s", strerror(errno));
        status = print_error(&err);
    } else if (start(s, &err) != ESPIMAGE_OK) {
        status = print_error(&err);
    } else {
        finished = serve_until_end(s, signal_fd);
    }
    int unwritten = serve_view_free(s->view, finished ? LOG_SECONDS : 0);
    if (unwritten != 0 && status == 0) {
        error_found(&err, ESPIMAGE_ERR_IO, "cannot write to standard output: %s",
                    strerror(unwritten));
        status = print_error(&err);
    }
    if (signal_fd >= 0) {
        (void)close(signal_fd);
    }
    if (s->done_fd >= 0) {
        (void)close(s->done_fd);
    }
    return status;
}

static int serve(struct serving *s, char **paths, size_t count)
{
    int status = serve_elfs_load(&s->elfs, paths, count);
    if (s->elfs.store == NULL) {
        return status;
    }
    serve_announce_init(&s->announcement, &s->elfs, s->json);
    s->builds[0] = serve_announce_slot(&s->announcement, 1);
    s->builds[1] = serve_announce_slot(&s->announcement, 2);
    return run_server(s);
}

static int run(const struct command *self, int argc, char **argv)
{
    struct serving s = {.address = "0.0.0.0",
                        .port = DEFAULT_PORT,
                        .promise_seconds = 600,
                        .safety = SAFETY_INIT,
                        .done_fd = -1};
    int first = 0;
    int status = options_parse(self, argc, argv, set_option, &s, &first);
    if (status != OPTIONS_GO_ON) {
        return status;
    }
    size_t count = (size_t)(argc - first);
    if (count == 0 || count > 2) {
        return usage_error("serve: give one or two ELF files; see: " PROGRAM " serve --help");
    }
    if (s.elfs.app != 0 && count > 1) {
        return usage_error("serve: --app goes with one ELF");
    }
    status = serve(&s, argv + first, count);
    serve_announce_free(&s.announcement);
    serve_elfs_free(&s.elfs);
    return status;
}

const struct command cmd_serve = {
    .name = "serve",
    .arguments = "APP1.elf [APP2.elf]",
    .files = "*.elf *.out *.bin",
    .summary = "Convert on request and serve /user1.bin and /user2.bin",
    .details = "The link address decides which slot an ELF is for. A changed ELF is converted\n"
               "again at the next request. Ready images (user1.bin) are served as they are,\n"
               "when a device would accept them. Ctrl-C ends it.",
    .example = PROGRAM " serve app1.elf app2.elf",
    .groups = {serve_options, safety_options, flash_options, help_options, NULL},
    .run = run,
};
