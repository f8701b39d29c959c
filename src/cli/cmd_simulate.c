/* SPDX-License-Identifier: MIT */
/* simulate: a virtual ESP8266 with its two ports. */
#include "base/clock.h"
#include "base/error.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/signals.h"
#include "cli/simulate_flash.h"
#include "cli/simulate_report.h"
#include "cli/simulate_resets.h"
#include "device/ports.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

static const struct option_spec simulate_options[] = {
    {OPT_LOAD, "load", NULL, 0, "FILE", NULL, "ELF or image for slot user1 of a new flash"},
    {OPT_SERVER, "server", NULL, 0, "URL", NULL,
     "where images are (default: who triggers, port 8888)"},
    {OPT_BOOT_VERSION, "boot-version", NULL, 0, "VERSION", "1.1 1.2 1.3 1.4 1.5 1.6 1.7",
     "bootloader (default: the one in the flash, or 1.6)"},
    {OPT_RESETS, "resets", NULL, 0, "N", NULL, "N resets, without network; report what each boots"},
    {OPT_BIND, "bind", NULL, 0, "ADDRESS", NULL, "listen on this address (default 127.0.0.1)"},
    {OPT_PAGE_PORT, "page-port", NULL, 0, "PORT", NULL, "the page (default 8080); 0: a free one"},
    {OPT_TRIGGER_PORT, "trigger-port", NULL, 0, "PORT", NULL,
     "a connection begins an update (default 8088)"},
    {OPT_WEB, "web", NULL, 0, "DIALECT", "tutorial esp-link libesphttpd espruino",
     "how updates come (default tutorial)"},
    {OPT_AUTO, "auto", NULL, 0, NULL, NULL, "begin an update after each boot, untriggered"},
    {OPT_UPDATES, "updates", NULL, 0, "N", NULL, "end after so many; status 0 if all succeeded"},
    {OPT_DEVICES, "devices", NULL, 0, "N", NULL, "so many devices, at 127.1.0.1 and up"},
    {OPT_REALISTIC, "realistic", NULL, 0, NULL, NULL, "erase and write as slowly as a flash chip"},
    {OPT_MSS, "mss", NULL, 0, "BYTES", NULL, "largest segment the device takes (default 1460)"},
    {OPT_SPEED, "speed", NULL, 0, "BYTES/S", NULL,
     "read no faster than this (20000 to 60000 is usual)"},
    {OPT_TIME, "time", NULL, 0, "SECONDS", NULL, "limit for an upgrade (default 120)"},
    {0, NULL, NULL, 0, NULL, NULL, NULL},
};

static const struct option_spec fault_options[] = {
    {OPT_POWER_CUT_AT, "power-cut-at", NULL, 0, "WHEN", NULL,
     "power fails at image byte N, erase:N or flag:0-6"},
    {OPT_DROP_AFTER, "drop-after", NULL, 0, "BYTES", NULL,
     "the device closes the connection after these"},
    {OPT_FLIP_BIT, "flip-bit", NULL, 0, "OFFSET", NULL, "a bit of this byte is flipped on its way"},
    {OPT_STALL, "stall", NULL, 0, "SECONDS", NULL, "stop reading so long, in the middle"},
    {0, NULL, NULL, 0, NULL, NULL, NULL},
};

#define DEFAULT_PAGE_PORT    8080
#define DEFAULT_TRIGGER_PORT 8088
#define DEFAULT_MSS          1460
#define LOWEST_MSS           88
#define HIGHEST_MSS          9000
#define DEFAULT_SECONDS      120
#define MAX_DEVICES          2000
#define FIRST_ADDRESS        0x7F010001U /* 127.1.0.1 */
#define ADDRESSES_PER_NET    254U
#define LAST_FLAG_STEP       (FLAG_STEPS - 1)
#define MAX_RESETS           1000

struct simulation {
    struct device_settings settings;
    struct target server;
    struct simulate_flash flash;
    struct in_addr bind;
    bool bound;
    uint32_t page_port;
    uint32_t trigger_port;
    uint32_t mss;
    uint32_t count;
    uint32_t resets; /* 0: a device with ports */
    bool trigger_given;
    bool realistic;
    bool json;
    struct device *devices;
    struct ports *ports;
    uint32_t ended;
    bool interrupted;
    double began;
};

/* ---- options ---- */

static enum espimage_code cut_option(const char *value, struct faults *faults,
                                     struct espimage_error *err)
{
    static const struct {
        const char *prefix;
        enum power_cut cut;
        uint32_t highest;
    } kinds[] = {{"erase:", CUT_ERASE, LARGEST_FLASH / ESPIMAGE_SECTOR},
                 {"flag:", CUT_FLAG, LAST_FLAG_STEP},
                 {"", CUT_WRITE, LARGEST_FLASH}};
    size_t i = 0;
    while (strncmp(value, kinds[i].prefix, strlen(kinds[i].prefix)) != 0) {
        i++;
    }
    faults->cut = kinds[i].cut;
    return number_option(value + strlen(kinds[i].prefix), 0, kinds[i].highest, &faults->cut_at,
                         err);
}

static enum espimage_code server_option(const char *value, struct simulation *s,
                                        struct espimage_error *err)
{
    enum espimage_code code = target_parse(value, &s->server, err);
    if (code != ESPIMAGE_OK) {
        return code;
    }
    char *path = s->server.path;
    if (s->server.slot != 0 || strchr(path, '?') != NULL) {
        error_found(err, ESPIMAGE_ERR_USAGE, "'%s' names an image", value);
        return error_wanted(err, "http://HOST[:PORT][/FOLDER]; the device adds user1.bin or "
                                 "user2.bin, the slot that it does not run");
    }
    for (size_t length = strlen(path); length > 0 && path[length - 1] == '/'; length--) {
        path[length - 1] = '\0';
    }
    struct target longest = s->server;
    (void)snprintf(longest.path, sizeof longest.path, "%.480s/user1.bin", path);
    if (strlen(path) > 480 || !target_fits(&longest)) {
        return error_found(err, ESPIMAGE_ERR_USAGE, "the URL is too long for a device");
    }
    s->settings.server = &s->server;
    return ESPIMAGE_OK;
}

static enum espimage_code bind_option(const char *value, struct simulation *s,
                                      struct espimage_error *err)
{
    s->bound = true;
    if (inet_pton(AF_INET, value, &s->bind) != 1) {
        error_found(err, ESPIMAGE_ERR_USAGE, "'%s' is no IPv4 address", value);
        return error_wanted(err, "a numeric one, such as 192.168.4.2");
    }
    return ESPIMAGE_OK;
}

static enum espimage_code boot_version_option(const char *value, enum espimage_boot_version *out,
                                              struct espimage_error *err)
{
    *out = espimage_boot_version_by_name(value);
    if (*out == ESPIMAGE_BOOT_UNKNOWN) {
        error_found(err, ESPIMAGE_ERR_USAGE, "'%s' is not a version of the bootloader", value);
        return error_wanted(err, "1.1 to 1.7");
    }
    return ESPIMAGE_OK;
}

static enum espimage_code web_option(const char *value, struct device_settings *settings,
                                     struct espimage_error *err)
{
    settings->pushed = false;
    if (strcmp(value, "tutorial") == 0) {
        return ESPIMAGE_OK;
    }
    for (int i = 0; i < UPLOAD_DIALECTS; i++) {
        if (strcmp(value, upload_dialect_name((enum upload_dialect)i)) == 0) {
            settings->pushed = true;
            settings->dialect = (enum upload_dialect)i;
            return ESPIMAGE_OK;
        }
    }
    error_found(err, ESPIMAGE_ERR_USAGE, "'%s' is not a dialect", value);
    return error_wanted(err, "tutorial, esp-link, libesphttpd or espruino");
}

static enum espimage_code fault_option(struct faults *f, enum option_id id, const char *value,
                                       struct espimage_error *err)
{
    switch (id) {
    case OPT_POWER_CUT_AT: return cut_option(value, f, err);
    case OPT_DROP_AFTER:
        f->drops = true;
        return number_option(value, 0, LARGEST_FLASH, &f->drop_after, err);
    case OPT_FLIP_BIT:
        f->flips = true;
        return number_option(value, 0, LARGEST_FLASH, &f->flip, err);
    default: return number_option(value, 1, 86400, &f->stall, err);
    }
}

static enum espimage_code set_option(void *context, enum option_id id, const char *value,
                                     struct espimage_error *err)
{
    struct simulation *s = context;
    switch (id) {
    case OPT_LOAD: s->flash.load = value; return ESPIMAGE_OK;
    case OPT_SERVER: return server_option(value, s, err);
    case OPT_BOOT_VERSION: return boot_version_option(value, &s->flash.boot_version, err);
    case OPT_RESETS: return number_option(value, 1, MAX_RESETS, &s->resets, err);
    case OPT_BIND: return bind_option(value, s, err);
    case OPT_PAGE_PORT: return number_option(value, 0, 65535, &s->page_port, err);
    case OPT_WEB: return web_option(value, &s->settings, err);
    case OPT_TRIGGER_PORT:
        s->trigger_given = true;
        return number_option(value, 0, 65535, &s->trigger_port, err);
    case OPT_AUTO: s->settings.automatic = true; return ESPIMAGE_OK;
    case OPT_UPDATES: return number_option(value, 1, 1U << 30, &s->settings.updates, err);
    case OPT_DEVICES: return number_option(value, 1, MAX_DEVICES, &s->count, err);
    case OPT_REALISTIC: s->realistic = true; return ESPIMAGE_OK;
    case OPT_MSS: return number_option(value, LOWEST_MSS, HIGHEST_MSS, &s->mss, err);
    case OPT_SPEED: return number_option(value, 1, 1U << 30, &s->settings.speed, err);
    case OPT_TIME: return number_option(value, 1, 86400, &s->settings.seconds, err);
    case OPT_POWER_CUT_AT:
    case OPT_DROP_AFTER:
    case OPT_FLIP_BIT:
    case OPT_STALL: return fault_option(&s->settings.faults, id, value, err);
    case OPT_JSON: s->json = true; return ESPIMAGE_OK;
    default: return flash_option(&s->flash.given, id, value, err);
    }
}

/* ---- devices ---- */

static void place(const struct simulation *s, uint32_t index, struct device *d)
{
    d->page_port = (uint16_t)s->page_port;
    d->trigger_port = (uint16_t)s->trigger_port;
    d->address = s->bind;
    if (s->count > 1) {
        d->address.s_addr =
            htonl(FIRST_ADDRESS + index / ADDRESSES_PER_NET * 256U + index % ADDRESSES_PER_NET);
        d->source = d->address;
    }
    (void)inet_ntop(AF_INET, &d->address, d->address_text, sizeof d->address_text);
}

static enum espimage_code make_devices(struct simulation *s, struct espimage_error *err)
{
    enum espimage_code code = ESPIMAGE_OK;
    s->devices = calloc(s->count, sizeof *s->devices);
    if (s->devices == NULL) {
        return error_no_memory(err);
    }
    for (uint32_t i = 0; i < s->count; i++) {
        device_init(&s->devices[i], &s->settings);
        place(s, i, &s->devices[i]);
    }
    for (uint32_t i = 0; i < s->count && code == ESPIMAGE_OK; i++) {
        struct flash *flash = &s->devices[i].flash;
        code = simulate_flash_open(&s->flash, s->count > 1 ? i + 1 : 0, flash, err);
        flash->realistic = code == ESPIMAGE_OK && s->realistic;
    }
    return code;
}

/* ---- the log ---- */

/* With --json the report has standard output for itself. */
static FILE *log_stream;
static bool log_addresses;

static void say(const struct device *d, const char *line)
{
    (void)fprintf(log_stream, "%s%s%s\n", log_addresses ? d->address_text : "",
                  log_addresses ? " " : "", line);
    (void)fflush(log_stream);
}

static void announce(const struct simulation *s)
{
    char line[128];
    if (s->flash.assumed) {
        (void)snprintf(line, sizeof line,
                       "the bootloader in the flash does not name its version: taken for boot %s; "
                       "--boot-version chooses another",
                       espimage_boot_version_name(s->flash.boot_version));
        say(&s->devices[0], line);
    }
    for (uint32_t i = 0; i < s->count; i++) {
        const struct device *d = &s->devices[i];
        (void)snprintf(line, sizeof line, "page on http://%s:%u/", d->address_text, d->page_port);
        say(d, line);
        if (!s->settings.pushed) {
            (void)snprintf(line, sizeof line, "trigger on port %u", d->trigger_port);
            say(d, line);
        }
    }
}

/* ---- running ---- */

static void wait_for_end(struct simulation *s, int signal_fd)
{
    struct pollfd wait[] = {{signal_fd, POLLIN, 0}, {s->settings.done_fd, POLLIN, 0}};
    while (s->ended < s->count && !s->interrupted) {
        uint64_t count = 0;
        if (poll(wait, 2, -1) < 0) {
            continue;
        }
        s->interrupted = wait[0].revents != 0;
        if (wait[1].revents != 0 &&
            read(s->settings.done_fd, &count, sizeof count) == (ssize_t)sizeof count) {
            s->ended += (uint32_t)count;
        }
    }
}

static void stop(struct simulation *s)
{
    const uint64_t one = 1;
    atomic_store(&s->settings.stop, true);
    (void)!write(s->settings.stop_fd, &one, sizeof one);
    for (uint32_t i = 0; s->devices != NULL && i < s->count; i++) {
        device_wake(&s->devices[i]);
    }
    for (uint32_t i = 0; s->devices != NULL && i < s->count; i++) {
        device_join(&s->devices[i]);
    }
    ports_close(s->ports);
}

/* Many devices need more descriptors than is usual; if there are not enough, an open() says so. */
static void raise_limits(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static enum espimage_code begin(struct simulation *s, struct espimage_error *err)
{
    enum espimage_code code = simulate_flash_find(&s->flash, err);
    if (code == ESPIMAGE_OK) {
        s->settings.map = s->flash.map;
        s->settings.boot_version = s->flash.boot_version;
        s->settings.flash_mode = s->flash.mode;
        s->settings.flash_freq = s->flash.freq;
        code = make_devices(s, err);
    }
    if (code == ESPIMAGE_OK) {
        code = ports_open(s->devices, s->count, &s->ports, err);
    }
    if (code != ESPIMAGE_OK) {
        return code;
    }
    announce(s);
    for (uint32_t i = 0; i < s->count && code == ESPIMAGE_OK; i++) {
        code = device_start(&s->devices[i], err);
    }
    return code;
}

static int report(const struct simulation *s)
{
    const struct simulate_end end = {s->devices, s->count, &s->settings, now_seconds() - s->began,
                                     s->interrupted};
    return simulate_report(&end, s->json);
}

static int simulate(struct simulation *s)
{
    struct espimage_error err;
    int status = 0;
    int signal_fd = signals_to_descriptor(false);
    s->settings.stop_fd = eventfd(0, EFD_CLOEXEC);
    s->settings.done_fd = eventfd(0, EFD_CLOEXEC);
    if (signal_fd < 0 || s->settings.stop_fd < 0 || s->settings.done_fd < 0) {
        error_found(&err, ESPIMAGE_ERR_IO, "cannot wait for signals: %s", strerror(errno));
        return print_error(&err);
    }
    raise_limits();
    s->began = now_seconds();
    if (begin(s, &err) == ESPIMAGE_OK) {
        wait_for_end(s, signal_fd);
        stop(s);
        status = report(s);
    } else {
        stop(s);
        status = print_error(&err);
    }
    (void)close(signal_fd);
    (void)close(s->settings.stop_fd);
    (void)close(s->settings.done_fd);
    return status;
}

static void free_simulation(struct simulation *s)
{
    for (uint32_t i = 0; s->devices != NULL && i < s->count; i++) {
        flash_file_close(&s->devices[i].flash);
    }
    free(s->devices);
    simulate_flash_free(&s->flash);
}

static int run(const struct command *self, int argc, char **argv)
{
    static struct simulation s;
    int first = 0;
    s = (struct simulation){.bind = {htonl(INADDR_LOOPBACK)},
                            .page_port = DEFAULT_PAGE_PORT,
                            .trigger_port = DEFAULT_TRIGGER_PORT,
                            .mss = DEFAULT_MSS,
                            .count = 1,
                            .settings = {.seconds = DEFAULT_SECONDS, .say = say}};
    int status = options_parse(self, argc, argv, set_option, &s, &first);
    if (status != OPTIONS_GO_ON) {
        return status;
    }
    if (argc - first > 1) {
        return usage_error("simulate: give one flash file, or none; see: " PROGRAM
                           " simulate --help");
    }
    if (s.count > 1 && s.bound) {
        return usage_error("simulate: --bind goes with one device; several have addresses of "
                           "their own");
    }
    if (s.settings.pushed &&
        (s.settings.automatic || s.settings.server != NULL || s.trigger_given)) {
        return usage_error("simulate: --auto, --server and --trigger-port are for a device that "
                           "pulls its updates (--web tutorial)");
    }
    s.flash.path = argc > first ? argv[first] : NULL;
    s.settings.mss = (uint16_t)s.mss;
    if (s.resets != 0 && (s.count > 1 || s.settings.automatic || s.settings.updates != 0)) {
        return usage_error("simulate: --resets is for one device, which is not updated");
    }
    log_stream = s.json ? stderr : stdout;
    log_addresses = s.count > 1;
    status = s.resets != 0 ? simulate_resets(&s.flash, s.resets, s.json) : simulate(&s);
    free_simulation(&s);
    return status;
}

const struct command cmd_simulate = {
    .name = "simulate",
    .arguments = "[FLASH.bin]",
    .files = "*.bin",
    .summary = "A virtual ESP8266: boots, updates itself, restarts",
    .details = "Without FLASH.bin the flash is gone at the end. A new one is of the 1MB map\n"
               "unless --flash-size says otherwise. Ctrl-C ends it. The last four options\n"
               "before the flash options make things go wrong. Exit status 1: an update\n"
               "failed, the device is dead (nothing to boot, power cut), or the last of the\n"
               "resets runs nothing.",
    .example = PROGRAM " simulate --load app1.elf flash.bin",
    .groups = {simulate_options, fault_options, flash_options, common_options, NULL},
    .run = run,
};
