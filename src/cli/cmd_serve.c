/* SPDX-License-Identifier: MIT */
/* serve: convert on request and serve /user1.bin and /user2.bin. */
#include "base/clock.h"
#include "base/error.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/serve_safety.h"
#include "cli/server_module.h"
#include "cli/signals.h"
#include "store/elf_file.h"

#include <arpa/inet.h>
#include <errno.h>
#include <espimage/verify.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const struct option_spec serve_options[] = {
    {OPT_PORT, "port", NULL, 'p', "PORT", NULL, "TCP port (default 8888); 0 takes a free one"},
    {OPT_BIND, "bind", NULL, 0, "ADDRESS", NULL, "address or interface to use (default 0.0.0.0)"},
    {OPT_ONCE, "once", NULL, 0, NULL, NULL, "end after the first complete download"},
    {OPT_PROMISE, "promise", NULL, 0, "SECONDS", NULL,
     "keep what HEAD announced for GET (default 600)"},
    {OPT_MSS, "mss", NULL, 0, "BYTES", NULL, "also suit this TCP segment size"},
    {OPT_APP, "app", NULL, 0, "1|2", "1 2", "the slot of the one ELF, whatever it was linked for"},
    {OPT_PROFILE, "profile", NULL, 0, "PROFILE", "sdk gen_appbin esptool rboot espruino",
     "whose image to make (default sdk)"},
    {0, NULL, NULL, 0, NULL, NULL, NULL},
};

#define DEFAULT_PORT 8888
/* What a client may take after the last byte was handed over. */
#define STOP_SECONDS 2
/* Milliseconds between looks at what still runs. */
#define DRAIN_TICK 20

struct serving {
    const char *address;
    uint32_t port;
    uint32_t promise_seconds;
    uint32_t mss;
    bool once;
    uint8_t app;
    enum espimage_profile profile;
    struct flash_settings flash;
    struct safety safety;
    const struct espimage_flash_map *map;
    bool map_assumed;
    struct elf_file elfs[2]; /* firmware is let go once they are classified */
    size_t elf_count;
    struct store *store;
    unsigned builds[2]; /* that were told */
    const struct server_module *module;
    struct server *server;
    /* Events come from the server's thread. */
    bool show_progress;
    bool progress_shown;
    struct timespec progress_at;
    int done_fd; /* readable when --once has been satisfied */
};

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
    case OPT_APP: return app_option(value, &s->app, err);
    case OPT_PROFILE: return profile_option(value, &s->profile, err);
    default: break;
    }
    enum espimage_code code = safety_option(&s->safety, id, value, err);
    return code == ESPIMAGE_OK ? flash_option(&s->flash, id, value, err) : code;
}

/* ---- which ELF is which ---- */

static int load_elfs(struct serving *s, char **paths, size_t count, struct espimage_error *err)
{
    struct espimage_map_choice choice;
    int status = 0;

    espimage_map_choice_init(&choice, s->flash.map);
    for (size_t i = 0; i < count; i++) {
        struct elf_file *elf = &s->elfs[s->elf_count];
        enum espimage_code code = elf_file_load(paths[i], elf, err);
        if (code == ESPIMAGE_OK) {
            code = espimage_map_choice_add(&choice, &elf->link, paths[i], err);
            code = s->app != 0 ? ESPIMAGE_OK : code;
        }
        elf_file_free(elf);
        if (code != ESPIMAGE_OK) {
            status = print_error(err);
            continue;
        }
        s->elf_count++;
    }
    s->map = espimage_map_choice_map(&choice, &s->map_assumed);
    return status;
}

static enum espimage_code refuse_second(const struct serving *s, const struct elf_file *elf,
                                        int slot, struct espimage_error *err)
{
    error_found(err, ESPIMAGE_ERR_LAYOUT, "%s, but app%d is %s already", elf->link.reason, slot,
                store_path(s->store, slot));
    error_wanted(err, "0x%08X, app%d of the %s map", s->map->link[2 - slot], 3 - slot,
                 s->map->name);
    error_advice(err, "link one of them with %s", s->map->script[2 - slot]);
    return error_in_file(err, elf->path);
}

/* In a map where one address serves both slots, one ELF is for both and of two the first is
 * app1. */
static enum espimage_code assign(struct serving *s, const struct elf_file *elf,
                                 struct espimage_error *err)
{
    unsigned slots = espimage_link_slots(&elf->link, s->map);
    bool forced = s->app != 0;
    if (slots == 0 && !forced) {
        espimage_link_refuse(&elf->link, s->map, err);
        return error_in_file(err, elf->path);
    }
    if (forced) {
        if ((slots & s->app) == 0) {
            (void)fprintf(stderr, PROGRAM ": %s: warning: %s; served for slot %u all the same\n",
                          shown(elf->path).text, elf->link.reason, s->app);
        }
        slots = s->app;
    } else if (slots == 3 && s->elf_count == 2) {
        slots = elf == &s->elfs[0] ? 1 : 2;
    }
    for (int slot = 1; slot <= 2; slot++) {
        if ((slots & (unsigned)slot) == 0) {
            continue;
        }
        if (store_path(s->store, slot) != NULL) {
            return refuse_second(s, elf, slot, err);
        }
        store_set(s->store, slot, elf->path, forced);
    }
    return ESPIMAGE_OK;
}

static int assign_elfs(struct serving *s)
{
    struct espimage_error err;
    struct espimage_build_options options = {s->profile,    s->map,        1,
                                             s->flash.mode, s->flash.freq, false};
    int status = 0;
    s->store = store_new(&options);
    if (s->store == NULL) {
        error_no_memory(&err);
        return print_error(&err);
    }
    for (size_t i = 0; i < s->elf_count; i++) {
        if (assign(s, &s->elfs[i], &err) != ESPIMAGE_OK) {
            status = print_error(&err);
        }
    }
    return status;
}

/* What devices would refuse must not be served without a word. */
static void warn_of_refusal(const struct serving *s, int slot, const struct snapshot *snapshot)
{
    struct espimage_verify_options rules = {s->map, (uint8_t)slot, 0, false};
    struct espimage_report report;
    espimage_verify(snapshot->image.data, snapshot->image.size, &rules, &report);
    const struct espimage_verdict *v = &report.verdicts[ESPIMAGE_CONSUMER_OTA3];
    if (!v->accepts) {
        (void)fprintf(stderr, PROGRAM ": %s: warning: devices will refuse this image: %s: %s\n",
                      shown(snapshot->path).text, v->because->rule->name, v->because->found);
    }
}

/* Waits a little for an ELF that is being written. */
static enum espimage_code first_snapshot(struct serving *s, int slot,
                                         const struct snapshot **snapshot,
                                         struct espimage_notes *notes, struct espimage_error *err)
{
    const struct timespec pause = {0, 20000000};
    bool unsettled = true;
    enum espimage_code code = ESPIMAGE_OK;
    for (int try = 0; try < 50 && unsettled; try++) {
        notes->count = 0;
        code = store_get(s->store, slot, snapshot, &unsettled, notes, err);
        if (unsettled) {
            (void)nanosleep(&pause, NULL);
        }
    }
    return code;
}

/* Converts once, so that what is wrong is said now and not to the first device. */
static bool introduce(struct serving *s, int slot)
{
    const char *path = store_path(s->store, slot);
    const struct snapshot *snapshot = NULL;
    struct espimage_notes notes = ESPIMAGE_NOTES_INIT;
    struct espimage_error err;

    if (path == NULL) {
        (void)printf("APP%d: (none); link one at 0x%08X with %s\n", slot, s->map->link[slot - 1],
                     s->map->script[slot - 1]);
        return false;
    }
    if (first_snapshot(s, slot, &snapshot, &notes, &err) != ESPIMAGE_OK) {
        (void)print_error(&err);
        (void)printf("APP%d: (none); %s cannot be converted\n", slot, shown(path).text);
        return false;
    }
    (void)printf("APP%d: %s, %zu bytes of %u, sha256 %.16s\n", slot, shown(path).text,
                 snapshot->image.size, s->map->slot_limit, snapshot->sha256);
    print_warnings(path, &notes);
    warn_of_refusal(s, slot, snapshot);
    s->builds[slot - 1] = snapshot->build;
    snapshot_release(snapshot);
    return true;
}

/* Converts now what has changed, and says so. */
static void look_again(struct serving *s, int slot)
{
    const char *path = store_path(s->store, slot);
    const struct snapshot *snapshot = NULL;
    struct espimage_notes notes = ESPIMAGE_NOTES_INIT;
    struct espimage_error err;
    char text[ESPIMAGE_ERROR_LINE + 32];
    char line[ESPIMAGE_ERROR_LINE];
    if (path == NULL) {
        return;
    }
    if (first_snapshot(s, slot, &snapshot, &notes, &err) != ESPIMAGE_OK) {
        (void)snprintf(text, sizeof text, "APP%d: not converted: %s", slot,
                       espimage_error_line(&err, line, sizeof line));
    } else {
        unsigned before = s->builds[slot - 1];
        s->builds[slot - 1] = snapshot->build;
        (void)snprintf(text, sizeof text, "APP%d: %s: %zu bytes, sha256 %.16s, build %u", slot,
                       before == snapshot->build ? "unchanged" : "changed", snapshot->image.size,
                       snapshot->sha256, snapshot->build);
        snapshot_release(snapshot);
    }
    s->module->notice(s->server, text);
    print_warnings(path, &notes);
}

/* ---- URLs ---- */

static void print_urls(const struct serving *s, const char *host, uint16_t port)
{
    const char *open = strchr(host, ':') != NULL ? "[" : "";
    const char *close = open[0] != '\0' ? "]" : "";
    const char *token = s->safety.path_token;
    for (int slot = 1; slot <= 2; slot++) {
        if (store_path(s->store, slot) != NULL) {
            (void)printf("  http://%s%s%s:%u%s%s/user%d.bin\n", open, host, close, port,
                         token != NULL ? "/" : "", token != NULL ? token : "", slot);
        }
    }
}

static void print_interface_urls(const struct serving *s, int family, bool loopback, uint16_t port)
{
    struct ifaddrs *all = NULL;
    if (getifaddrs(&all) != 0) {
        return;
    }
    for (struct ifaddrs *i = all; i != NULL; i = i->ifa_next) {
        char text[INET6_ADDRSTRLEN];
        if (i->ifa_addr == NULL || i->ifa_addr->sa_family != family ||
            (i->ifa_flags & IFF_UP) == 0 || ((i->ifa_flags & IFF_LOOPBACK) != 0) != loopback) {
            continue;
        }
        /* Link-local IPv6 needs a scope that a URL cannot carry. */
        if (family == AF_INET) {
            struct sockaddr_in v4;
            memcpy(&v4, i->ifa_addr, sizeof v4);
            (void)inet_ntop(AF_INET, &v4.sin_addr, text, sizeof text);
        } else {
            struct sockaddr_in6 v6;
            memcpy(&v6, i->ifa_addr, sizeof v6);
            if (IN6_IS_ADDR_LINKLOCAL(&v6.sin6_addr)) {
                continue;
            }
            (void)inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof text);
        }
        print_urls(s, text, port);
    }
    freeifaddrs(all);
}

static void announce(const struct serving *s)
{
    const struct server_facts facts = s->module->facts(s->server);
    uint16_t port = facts.port;
    safety_print(&s->safety, &facts);
    (void)printf("Serving on port %u%s, flash map %s%s:\n", port,
                 facts.inherited ? " (passed by systemd)" : "", s->map->name,
                 s->map_assumed ? " (assumed; give --flash-size)" : "");
    bool v4 = strcmp(facts.address, "0.0.0.0") == 0;
    if (!v4 && strcmp(facts.address, "::") != 0) {
        print_urls(s, facts.address, port);
    } else {
        print_interface_urls(s, AF_INET, false, port);
        if (!v4) {
            print_interface_urls(s, AF_INET6, false, port);
        }
        print_interface_urls(s, AF_INET, true, port);
    }
    (void)fflush(stdout);
}

/* ---- events ---- */

#define BAR_WIDTH        20
#define PROGRESS_SECONDS 0.1

static void clear_progress(struct serving *s)
{
    if (s->progress_shown) {
        (void)fputs("\r\033[K", stderr);
        s->progress_shown = false;
    }
}

static void show_progress(struct serving *s, const struct server_event *e)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    double passed = (double)(now.tv_sec - s->progress_at.tv_sec) +
                    (double)(now.tv_nsec - s->progress_at.tv_nsec) / 1000000000.0;
    if (!s->show_progress || e->size == 0 || (passed < PROGRESS_SECONDS && e->sent < e->size)) {
        return;
    }
    char cells[BAR_WIDTH + 1];
    memset(cells, '.', BAR_WIDTH);
    memset(cells, '#', (size_t)(e->sent * BAR_WIDTH / e->size));
    cells[BAR_WIDTH] = '\0';
    (void)fprintf(stderr, "\r\033[K%s user%d [%s] %3u %%", e->client, e->slot, cells,
                  (unsigned)(e->sent * 100 / e->size));
    s->progress_shown = true;
    s->progress_at = now;
}

static void log_request(const struct serving *s, const struct server_event *e)
{
    (void)s;
    (void)printf("%s %s %s", e->client, e->method, e->target);
    if (e->slot != 0) {
        (void)printf(" user%d", e->slot);
    }
    (void)printf(" %u", e->status);
    if (e->size != 0 && strcmp(e->method, "HEAD") == 0) {
        (void)printf(" build %u, told %ju bytes", e->build, (uintmax_t)e->size);
    } else if (e->size != 0) {
        (void)printf(" build %u%s, %ju of %ju bytes", e->build, e->promised ? " as promised" : "",
                     (uintmax_t)e->sent, (uintmax_t)e->size);
    }
    (void)printf(" %.2f s", e->seconds);
    if (e->reason != NULL) {
        (void)printf(": %s", e->reason);
    }
    (void)printf("\n");
    (void)fflush(stdout);
}

static void log_turned_away(const struct server_event *e)
{
    if (e->kind == SERVER_NOTICE) {
        (void)printf("%s\n", e->reason);
    } else {
        (void)printf("%s turned away: %s\n", e->client, e->reason);
    }
    (void)fflush(stdout);
}

static void on_event(void *context, const struct server_event *e)
{
    struct serving *s = context;
    if (e->kind == SERVER_PROGRESS) {
        show_progress(s, e);
        return;
    }
    if (e->quiet) {
        return;
    }
    clear_progress(s);
    if (e->kind == SERVER_TURNED_AWAY || e->kind == SERVER_NOTICE) {
        log_turned_away(e);
        return;
    }
    if (e->notes != NULL && e->slot != 0 && store_path(s->store, e->slot) != NULL) {
        print_warnings(store_path(s->store, e->slot), e->notes);
    }
    log_request(s, e);
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

/* Waits for a signal that ends it, true, or for the download that --once waits for. */
static bool wait_for_end(struct serving *s, int signal_fd)
{
    for (;;) {
        struct pollfd wait[] = {{signal_fd, POLLIN, 0}, {s->done_fd, POLLIN, 0}};
        if (poll(wait, 2, -1) < 0) {
            continue;
        }
        if (wait[1].revents != 0) {
            return false;
        }
        if (signals_next(signal_fd, 0) != SIGHUP || terminal_is_gone()) {
            return true;
        }
        look_again(s, 1);
        look_again(s, 2);
    }
}

/* Nobody new; downloads that run may finish, until the time is over or SIGINT comes. False then. */
static bool drain(const struct serving *s, int signal_fd)
{
    char text[128];
    double end = now_seconds() + s->safety.drain_seconds;
    unsigned running = s->module->close(s->server);
    if (running > 0 && s->safety.drain_seconds > 0) {
        (void)snprintf(text, sizeof text,
                       "ending: %u request%s still being answered, for up to %u s; Ctrl-C ends now",
                       running, running == 1 ? " is" : "s are", s->safety.drain_seconds);
        s->module->notice(s->server, text);
    }
    while (s->module->close(s->server) > 0) {
        if (now_seconds() >= end || signals_next(signal_fd, DRAIN_TICK) == SIGINT) {
            return false;
        }
    }
    return true;
}

static void run_until_end(struct serving *s, int signal_fd)
{
    bool finished = !wait_for_end(s, signal_fd) || drain(s, signal_fd);
    s->module->stop(s->server, finished ? STOP_SECONDS : 0);
    clear_progress(s);
}

static enum espimage_code start_server(struct serving *s, struct espimage_error *err)
{
    struct server_options options = {.address = s->address,
                                     .port = (uint16_t)s->port,
                                     .promise_seconds = s->promise_seconds,
                                     .extra_mss = (uint16_t)s->mss,
                                     .store = s->store,
                                     .event = on_event,
                                     .context = s};
    safety_apply(&s->safety, &options);
    enum espimage_code code = server_module_load(&s->module, err);
    return code == ESPIMAGE_OK ? s->module->start(&options, &s->server, err) : code;
}

static int run_server(struct serving *s)
{
    struct espimage_error err;
    int status = 0;
    int signal_fd = signals_to_descriptor(true);
    s->done_fd = eventfd(0, EFD_CLOEXEC);
    s->show_progress = isatty(STDERR_FILENO) != 0;
    if (signal_fd < 0 || s->done_fd < 0) {
        error_found(&err, ESPIMAGE_ERR_IO, "cannot wait for signals: %s", strerror(errno));
        status = print_error(&err);
    } else if (start_server(s, &err) != ESPIMAGE_OK) {
        status = print_error(&err);
    } else {
        announce(s);
        run_until_end(s, signal_fd);
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
    struct espimage_error err;
    int status = load_elfs(s, paths, count, &err);
    if (s->elf_count == 0) {
        return status;
    }
    int assign_status = assign_elfs(s);
    status = status != 0 ? status : assign_status;
    if (s->store == NULL) {
        return status;
    }
    bool app1 = introduce(s, 1);
    bool app2 = introduce(s, 2);
    if (!app1 && !app2) {
        return status != 0 ? status : exit_status(ESPIMAGE_ERR_LAYOUT);
    }
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
    if (s.app != 0 && count > 1) {
        return usage_error("serve: --app goes with one ELF");
    }
    status = serve(&s, argv + first, count);
    store_free(s.store);
    return status;
}

const struct command cmd_serve = {
    .name = "serve",
    .arguments = "APP1.elf [APP2.elf]",
    .files = "*.elf *.out",
    .summary = "Convert on request and serve /user1.bin and /user2.bin",
    .details = "Which ELF is for which slot is told by its link address. A changed ELF is\n"
               "converted again when it is next asked for. Ctrl-C ends it.",
    .example = PROGRAM " serve app1.elf app2.elf",
    .groups = {serve_options, safety_options, flash_options, help_options, NULL},
    .run = run,
};
