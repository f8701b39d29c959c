/* SPDX-License-Identifier: MIT */
/* push: begin updates, follow them, and prove that each device runs the new build. */
#include "base/clock.h"
#include "base/error.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/push_images.h"
#include "cli/push_report.h"
#include "cli/serve_safety.h"
#include "cli/server_module.h"
#include "cli/signals.h"
#include "push/journal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct option_spec push_options[] = {
    {OPT_VIA, "via", NULL, 0, "TRANSPORT", NULL, "how an update begins (default tcp:88)"},
    {OPT_PORT, "port", NULL, 'p', "PORT", NULL, "TCP port of the image server (default 8888)"},
    {OPT_BIND, "bind", NULL, 0, "ADDRESS", NULL,
     "of the image server (default: towards the devices)"},
    {OPT_PROFILE, "profile", NULL, 0, "PROFILE", SLOT_PROFILE_NAMES,
     "whose image to make (default: the transport's)"},
    {OPT_TAG, "tag", NULL, 0, "TAG", NULL, "of bundles for libesphttpd (default generic)"},
    {OPT_PAGE, "page", NULL, 0, "URL", NULL, "shows the build (default http://{device}/)"},
    {OPT_EXPECT, "expect", NULL, 0, "REGEX", NULL,
     "what only the new one shows (default: its number)"},
    {OPT_FORCE, "force", NULL, 0, NULL, NULL, "update devices that run the build already"},
    {OPT_TIME, "timeout", NULL, 0, "SECONDS", NULL, "for a device to get the image (default 300)"},
    {OPT_PROOF, "proof-timeout", NULL, 0, "SECONDS", NULL, "for the proof after that (default 60)"},
    {OPT_SETTLE, "settle", NULL, 0, "SECONDS", NULL, "the old build may still show (default 10)"},
    {0, NULL, NULL, 0, NULL, NULL, NULL},
};

static const struct option_spec fleet_options[] = {
    {OPT_CANARY, "canary", NULL, 0, "N", NULL, "devices to begin with; all of them must succeed"},
    {OPT_BATCH, "batch", NULL, 0, "N|P%", NULL, "then so many at a time (default: all)"},
    {OPT_PARALLEL, "parallel", NULL, 0, "N", NULL, "updates at once (default 32)"},
    {OPT_STOP_AFTER, "stop-after", NULL, 0, "N|P%", NULL, "failures, then begin no more"},
    {OPT_RETRY, "retry", NULL, 0, "N", NULL, "further attempts for each device (default 0)"},
    {OPT_STATE, "state", NULL, 0, "FILE", NULL, "append what happens, to resume from"},
    {OPT_RESUME, "resume", NULL, 0, NULL, NULL, "leave out what the state file has as updated"},
    {OPT_JUNIT, "junit", NULL, 0, "FILE", NULL, "write the results for CI, too"},
    {0, NULL, NULL, 0, NULL, NULL, NULL},
};

#define DEFAULT_PORT     8888
#define DEFAULT_PARALLEL 32
#define ASK_SECONDS      20.0
#define POLL_SECONDS     0.5
/* esp-link and Espruino restart two seconds after they were told to. */
#define REBOOT_SECONDS 2.5
/* What a client may take after the last byte was handed over. */
#define STOP_SECONDS 2
/* Between two pictures of the progress on a terminal. */
#define PROGRESS_SECONDS 0.2

struct pushing {
    struct transport transport;
    uint32_t port;
    const char *bind;
    const char *tag;
    const char *page;
    const char *expect;
    const char *state_path;
    const char *junit_path;
    bool resume;
    bool json;
    bool profile_given;
    uint32_t timeout;
    uint32_t proof;
    uint32_t settle;
    struct push_rules rules;
    struct fleet_options fleet;
    struct roster roster;
    struct push_images images;
    struct page_expectation expectation;
    bool has_expectation;
    struct journal journal;
    struct push *push;
    const struct server_module *module;
    struct server *server;
    enum push_state *last; /* that was said of each device */
    bool on_terminal;
    double pictured;
    enum espimage_code journal_code;
    struct espimage_error journal_error;
};

/* ---- options ---- */

static enum espimage_code share_option(const char *value, struct fleet_share *out,
                                       struct espimage_error *err)
{
    char number[16];
    size_t size = strlen(value);
    uint32_t n = 0;
    out->percent = size > 0 && value[size - 1] == '%';
    (void)snprintf(number, sizeof number, "%.*s", (int)(size - out->percent), value);
    if (size >= sizeof number ||
        number_option(number, 1, out->percent ? 100 : ROSTER_MOST, &n, err) != ESPIMAGE_OK) {
        error_found(err, ESPIMAGE_ERR_USAGE, "'%s'", value);
        return error_wanted(err, "a number of devices, or 1%% to 100%%");
    }
    out->number = n;
    return ESPIMAGE_OK;
}

static enum espimage_code count_option(const char *value, uint32_t lowest, unsigned *out,
                                       struct espimage_error *err)
{
    uint32_t n = 0;
    enum espimage_code code = number_option(value, lowest, ROSTER_MOST, &n, err);
    *out = n;
    return code;
}

static enum espimage_code fleet_option(struct pushing *p, enum option_id id, const char *value,
                                       struct espimage_error *err)
{
    switch (id) {
    case OPT_CANARY: return count_option(value, 1, &p->fleet.canaries, err);
    case OPT_BATCH: return share_option(value, &p->fleet.group, err);
    case OPT_PARALLEL: return count_option(value, 1, &p->fleet.parallel, err);
    case OPT_STOP_AFTER: return share_option(value, &p->fleet.stop_after, err);
    case OPT_RETRY: return count_option(value, 0, &p->fleet.retries, err);
    case OPT_STATE: p->state_path = value; return ESPIMAGE_OK;
    case OPT_RESUME: p->resume = true; return ESPIMAGE_OK;
    case OPT_JUNIT: p->junit_path = value; return ESPIMAGE_OK;
    default: return flash_option(&p->images.elfs.flash, id, value, err);
    }
}

static enum espimage_code page_option(const char *value, const char **out,
                                      struct espimage_error *err)
{
    if (!transport_url_is_good(value)) {
        error_found(err, ESPIMAGE_ERR_USAGE, "'%s' is not a page of a device", value);
        return error_wanted(err, "http://{device}[:PORT]/[PATH]");
    }
    *out = value;
    return ESPIMAGE_OK;
}

static enum espimage_code tag_option(const char *value, const char **out,
                                     struct espimage_error *err)
{
    if (strlen(value) >= TRANSPORT_BUNDLE_TAG) {
        error_found(err, ESPIMAGE_ERR_USAGE, "'%s' is too long", value);
        return error_wanted(err, "up to %d characters", TRANSPORT_BUNDLE_TAG - 1);
    }
    *out = value;
    return ESPIMAGE_OK;
}

static enum espimage_code set_option(void *context, enum option_id id, const char *value,
                                     struct espimage_error *err)
{
    struct pushing *p = context;
    switch (id) {
    case OPT_VIA: return transport_parse(value, &p->transport, err);
    case OPT_PORT: return number_option(value, 1, 65535, &p->port, err);
    case OPT_BIND: p->bind = value; return ESPIMAGE_OK;
    case OPT_PROFILE:
        p->profile_given = true;
        return profile_option(value, &p->images.elfs.profile, err);
    case OPT_TAG: return tag_option(value, &p->tag, err);
    case OPT_PAGE: return page_option(value, &p->page, err);
    case OPT_EXPECT: p->expect = value; return ESPIMAGE_OK;
    case OPT_FORCE: p->rules.force = true; return ESPIMAGE_OK;
    case OPT_TIME: return number_option(value, 1, 86400, &p->timeout, err);
    case OPT_PROOF: return number_option(value, 1, 86400, &p->proof, err);
    case OPT_SETTLE: return number_option(value, 0, 3600, &p->settle, err);
    case OPT_JSON: p->json = true; return ESPIMAGE_OK;
    default: return fleet_option(p, id, value, err);
    }
}

/* ---- operands ---- */

static bool looks_like_elf(const char *word)
{
    struct in_addr address;
    struct stat status;
    size_t size = strlen(word);
    if (word[0] == '@' || inet_pton(AF_INET, word, &address) == 1) {
        return false;
    }
    return (size > 4 && strcmp(word + size - 4, ".elf") == 0) ||
           (stat(word, &status) == 0 && S_ISREG(status.st_mode));
}

/* The ELFs are the last one or two. Returns how many devices come before them. */
static size_t split_operands(char **words, size_t count)
{
    size_t devices = count;
    while (devices > 0 && count - devices < 2 && looks_like_elf(words[devices - 1])) {
        devices--;
    }
    return devices;
}

/* ---- the server ---- */

/* The local address from which a device is reached; 0.0.0.0: none. */
static struct in_addr local_address(struct in_addr device)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(88), .sin_addr = device};
    struct sockaddr_in from = {0};
    socklen_t size = sizeof from;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd >= 0) {
        if (connect(fd, (const struct sockaddr *)&to, sizeof to) != 0 ||
            getsockname(fd, (struct sockaddr *)&from, &size) != 0) {
            from.sin_addr.s_addr = 0;
        }
        (void)close(fd);
    }
    return from.sin_addr;
}

/* The one address towards all devices, or every address. */
static void choose_address(const struct roster *roster, char text[INET_ADDRSTRLEN])
{
    struct in_addr chosen = {0};
    for (size_t i = 0; i < roster->count; i++) {
        if (roster->devices[i].ip.s_addr == 0) {
            continue;
        }
        struct in_addr local = local_address(roster->devices[i].ip);
        if (chosen.s_addr != 0 && local.s_addr != chosen.s_addr) {
            chosen.s_addr = 0;
            break;
        }
        chosen = local;
    }
    (void)inet_ntop(AF_INET, &chosen, text, INET_ADDRSTRLEN);
}

static void on_server_event(void *context, const struct server_event *event)
{
    struct pushing *p = context;
    push_on_server_event(p->push, event);
}

static enum espimage_code start_server(struct pushing *p, struct espimage_error *err)
{
    static const struct safety safety = SAFETY_INIT;
    char address[INET_ADDRSTRLEN];
    struct server_options options = {.port = (uint16_t)p->port,
                                     .promise_seconds = 600,
                                     .progress = true,
                                     .store = p->images.elfs.store,
                                     .event = on_server_event,
                                     .context = p};
    choose_address(&p->roster, address);
    safety_apply(&safety, &options);
    options.address = p->bind != NULL ? p->bind : address;
    options.no_sandbox =
        true; /* the process goes on to connect to devices and to write its files */
    enum espimage_code code = server_module_load(&p->module, err);
    return code == ESPIMAGE_OK ? p->module->start(&options, &p->server, err) : code;
}

/* ---- running ---- */

static enum espimage_code note(struct pushing *p, const struct push_device *d)
{
    const struct push_update *u = &d->update;
    const struct journal_record record = {d->at->name,     d->at->label,   u->state,  u->reason,
                                          d->build_before, d->build_after, d->seconds};
    if (p->journal_code == ESPIMAGE_OK) {
        p->journal_code = journal_add(&p->journal, &record, &p->journal_error);
        if (p->journal_code != ESPIMAGE_OK) {
            (void)print_error(&p->journal_error);
        }
    }
    return p->journal_code;
}

static bool on_changed(void *context, const struct push_device *d)
{
    struct pushing *p = context;
    size_t index = (size_t)(d->at - p->roster.devices);
    bool begins = d->update.state == PUSH_WAITING;
    bool good = true;
    if (begins || d->update.ended) {
        good = note(p, d) == ESPIMAGE_OK;
    }
    if (!begins && (p->last[index] != d->update.state || d->update.ended)) {
        p->last[index] = d->update.state;
        if (p->on_terminal) {
            push_report_end_progress();
        }
        if (d->update.state != PUSH_INSPECTING && (!p->on_terminal || d->update.ended)) {
            push_report_line(d, p->json);
        }
    }
    if (p->on_terminal && now_seconds() - p->pictured > PROGRESS_SECONDS) {
        p->pictured = now_seconds();
        push_report_progress(p->push);
    }
    return good;
}

static bool on_interrupt(int signal_fd)
{
    return signals_next(signal_fd, 0) != 0;
}

static void on_record(void *context, const struct journal_record *record)
{
    struct pushing *p = context;
    for (size_t i = 0; i < p->roster.count; i++) {
        if (strcmp(p->roster.devices[i].name, record->address) == 0) {
            p->last[i] = record->state;
            return;
        }
    }
}

static void skip_updated(struct pushing *p)
{
    for (size_t i = 0; i < p->roster.count; i++) {
        if (push_state_is_good(p->last[i])) {
            push_skip(p->push, i, PUSH_ALREADY, "updated by an earlier run");
        }
        p->last[i] = PUSH_WAITING;
    }
}

/* Many devices need more descriptors than is usual. */
static void raise_limits(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static enum espimage_code prepare(struct pushing *p, struct espimage_error *err)
{
    const struct push_options options = {
        .transport = p->transport,
        .page = p->page,
        .expectation = &p->expectation,
        .rules = p->rules,
        .fleet = p->fleet,
        .images = {p->images.images[0], p->images.images[1]},
        .bundle = p->images.bundle,
        .changed = on_changed,
        .context = p,
    };
    enum espimage_code code = ESPIMAGE_OK;
    p->last = calloc(p->roster.count, sizeof *p->last);
    p->push = push_new(&options, &p->roster);
    if (p->push == NULL || p->last == NULL) {
        return error_no_memory(err);
    }
    if (p->resume) {
        code = journal_read(p->state_path, p->images.names, on_record, p, err);
        skip_updated(p);
    }
    if (code == ESPIMAGE_OK && p->state_path != NULL) {
        code = journal_open(&p->journal, p->state_path, p->images.names, err);
    }
    if (code == ESPIMAGE_OK && !p->rules.posts) {
        code = start_server(p, err);
    }
    return code;
}

static int report(struct pushing *p)
{
    struct espimage_error err;
    int status = push_report_end(p->push, p->json);
    if (p->junit_path != NULL && push_report_junit(p->push, p->junit_path, &err) != ESPIMAGE_OK) {
        status = print_error(&err);
    }
    return p->journal_code != ESPIMAGE_OK ? exit_status(p->journal_code) : status;
}

static int push(struct pushing *p)
{
    struct espimage_error err;
    int signal_fd = signals_to_descriptor(false);
    if (signal_fd < 0) {
        error_found(&err, ESPIMAGE_ERR_IO, "cannot wait for signals: %s", strerror(errno));
        return print_error(&err);
    }
    raise_limits();
    p->on_terminal = !p->json && isatty(STDOUT_FILENO) != 0;
    int status = 0;
    if (prepare(p, &err) != ESPIMAGE_OK) {
        status = print_error(&err);
    } else {
        push_run(p->push, signal_fd, on_interrupt);
        if (p->on_terminal) {
            push_report_end_progress();
        }
        status = report(p);
    }
    if (p->server != NULL) {
        p->module->stop(p->server, STOP_SECONDS);
    }
    (void)close(signal_fd);
    return status;
}

static enum espimage_code collect(struct pushing *p, char **words, size_t count,
                                  struct espimage_error *err)
{
    enum espimage_code code = ESPIMAGE_OK;
    for (size_t i = 0; i < count && code == ESPIMAGE_OK; i++) {
        code = roster_add(&p->roster, words[i], err);
    }
    if (code == ESPIMAGE_OK && p->roster.count == 0) {
        code = error_found(err, ESPIMAGE_ERR_USAGE, "the list names no device");
    }
    return code;
}

/* A page is of use when something on it tells builds apart. */
static enum espimage_code expect(struct pushing *p, struct espimage_error *err)
{
    bool given = p->expect != NULL || p->images.build[0] != '\0';
    if (p->expect != NULL && strstr(p->expect, "{build}") != NULL && p->images.build[0] == '\0') {
        error_found(err, ESPIMAGE_ERR_USAGE, "--expect: the image names no build number");
        return error_advice(err, "give a text that only the new build shows");
    }
    p->rules.inspects = given && (!p->rules.posts || p->page != NULL);
    if (p->page == NULL) {
        p->page = "http://{device}/";
    }
    enum espimage_code code =
        page_expectation_init(&p->expectation, p->expect, p->images.build, err);
    p->has_expectation = code == ESPIMAGE_OK;
    return code;
}

static int check_and_push(struct pushing *p, char **words, size_t count)
{
    struct espimage_error err;
    size_t devices = split_operands(words, count);
    if (devices == 0 || devices == count) {
        return usage_error("push: give devices, then one or two ELF files; see: " PROGRAM
                           " push --help");
    }
    if (p->resume && p->state_path == NULL) {
        return usage_error("push: --resume needs --state");
    }
    p->rules.posts = p->transport.kind->trigger == TRIGGER_NONE;
    p->rules.reboot = REBOOT_SECONDS;
    if (!p->profile_given) {
        p->images.elfs.profile = p->transport.kind->profile;
    }
    if (collect(p, words, devices, &err) != ESPIMAGE_OK) {
        return print_error(&err);
    }
    int status =
        push_images_load(&p->images, p->transport.kind, p->tag, words + devices, count - devices);
    if (status != 0) {
        return status;
    }
    p->rules.ask = p->timeout < ASK_SECONDS ? p->timeout : ASK_SECONDS;
    p->rules.whole = p->timeout;
    p->rules.settle = p->settle;
    p->rules.poll = POLL_SECONDS;
    p->rules.proof = p->proof;
    return expect(p, &err) == ESPIMAGE_OK ? push(p) : print_error(&err);
}

static int run(const struct command *self, int argc, char **argv)
{
    struct pushing p = {.port = DEFAULT_PORT,
                        .tag = "generic",
                        .timeout = 300,
                        .proof = 60,
                        .settle = 10,
                        .fleet = {.parallel = DEFAULT_PARALLEL},
                        .journal = {.fd = -1}};
    struct espimage_error err;
    int first = 0;
    (void)transport_parse("tcp", &p.transport, &err);
    int status = options_parse(self, argc, argv, set_option, &p, &first);
    if (status != OPTIONS_GO_ON) {
        return status;
    }
    status = check_and_push(&p, argv + first, (size_t)(argc - first));
    push_free(p.push);
    journal_close(&p.journal);
    if (p.has_expectation) {
        page_expectation_free(&p.expectation);
    }
    push_images_free(&p.images);
    roster_free(&p.roster);
    free(p.last);
    return status;
}

const struct command cmd_push = {
    .name = "push",
    .arguments = "DEVICE... APP1.elf [APP2.elf]",
    .files = NULL,
    .summary = "Update devices and prove that each runs the new build",
    .details = "DEVICE is an address, a name, a network such as 192.168.4.0/24, or @FILE with\n"
               "one of these in a line and a label behind it. Ctrl-C lets running updates end.",
    .example = PROGRAM " push --canary 2 @workshop.txt app1.elf app2.elf",
    .groups = {push_options, fleet_options, flash_options, common_options, NULL},
    .run = run,
};
