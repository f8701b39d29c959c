/* SPDX-License-Identifier: MIT */
/* simulate: a virtual ESP8266 with its two ports. */
#include "base/bytes.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/signals.h"
#include "device/flash_file.h"
#include "device/ports.h"
#include "store/elf_file.h"

#include <arpa/inet.h>
#include <errno.h>
#include <espimage/flash_image.h>
#include <espimage/verify.h>
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
    {OPT_BIND, "bind", NULL, 0, "ADDRESS", NULL, "listen on this address (default 127.0.0.1)"},
    {OPT_PAGE_PORT, "page-port", NULL, 0, "PORT", NULL, "the page (default 8080); 0: a free one"},
    {OPT_TRIGGER_PORT, "trigger-port", NULL, 0, "PORT", NULL,
     "a connection begins an update (default 8088)"},
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
     "power fails at image byte N, erase:N or flag:0-3"},
    {OPT_DROP_AFTER, "drop-after", NULL, 0, "BYTES", NULL,
     "the device closes the connection after these"},
    {OPT_FLIP_BIT, "flip-bit", NULL, 0, "OFFSET", NULL, "a bit of this byte is flipped on its way"},
    {OPT_STALL, "stall", NULL, 0, "SECONDS", NULL, "stop reading so long, in the middle"},
    {0, NULL, NULL, 0, NULL, NULL, NULL},
};

#define DEFAULT_MAP          "1MB"
#define DEFAULT_PAGE_PORT    8080
#define DEFAULT_TRIGGER_PORT 8088
#define DEFAULT_MSS          1460
#define LOWEST_MSS           88
#define HIGHEST_MSS          9000
#define DEFAULT_SECONDS      120
#define LARGEST_FLASH        (16U << 20)
#define MAX_DEVICES          2000
#define FIRST_ADDRESS        0x7F010001U /* 127.1.0.1 */
#define ADDRESSES_PER_NET    254U
#define LAST_FLAG_STEP       3

struct simulation {
    struct device_settings settings;
    struct target server;
    struct flash_settings flash;
    const char *load;
    const char *path; /* NULL: unnamed */
    struct in_addr bind;
    bool bound;
    uint32_t page_port;
    uint32_t trigger_port;
    uint32_t mss;
    uint32_t count;
    bool realistic;
    bool json;
    uint8_t *content; /* of a new flash, or of the one there is; owned */
    uint32_t size;
    bool found; /* the file is there and not blank */
    struct device *devices;
    struct ports *ports;
    uint32_t ended;
    bool interrupted;
    double began;
};

/* ---- options ---- */

static enum espimage_code cut_option(const char *value, struct upgrade_faults *faults,
                                     struct espimage_error *err)
{
    static const struct {
        const char *prefix;
        enum upgrade_cut cut;
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

static enum espimage_code fault_option(struct upgrade_faults *f, enum option_id id,
                                       const char *value, struct espimage_error *err)
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
    case OPT_LOAD: s->load = value; return ESPIMAGE_OK;
    case OPT_SERVER: return server_option(value, s, err);
    case OPT_BIND: return bind_option(value, s, err);
    case OPT_PAGE_PORT: return number_option(value, 0, 65535, &s->page_port, err);
    case OPT_TRIGGER_PORT: return number_option(value, 0, 65535, &s->trigger_port, err);
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
    default: return flash_option(&s->flash, id, value, err);
    }
}

/* ---- what is in the flash ---- */

static enum espimage_code check_map(const struct simulation *s, struct espimage_error *err)
{
    const struct espimage_flash_map *map = s->settings.map;
    if (map->half == 0) {
        error_found(err, ESPIMAGE_ERR_USAGE, "the %s map has no slots to update", map->name);
        return error_wanted(err, "another --flash-size");
    }
    if (s->content != NULL && s->size < map->flash_size) {
        error_found(err, ESPIMAGE_ERR_IMAGE, "is %u bytes long, the %s map needs %u", s->size,
                    map->name, map->flash_size);
        error_advice(err, "name its map with --flash-size");
        return error_in_file(err, s->path);
    }
    return ESPIMAGE_OK;
}

/* The bootloader's header decides, where there is one. */
static enum espimage_code choose_map(struct simulation *s, struct espimage_error *err)
{
    struct device_settings *d = &s->settings;
    const struct espimage_flash_map *given = s->flash.map;
    d->map = given != NULL ? given : espimage_flash_map_by_name(DEFAULT_MAP);
    d->flash_mode = s->flash.mode;
    d->flash_freq = s->flash.freq;
    if (s->found && espimage_recognise(s->content, s->size) == ESPIMAGE_CONTENT_FLASH) {
        struct espimage_flash_view view;
        espimage_flash_parse(s->content, s->size, &view);
        if (view.map == NULL || (given != NULL && given != view.map)) {
            error_found(err, ESPIMAGE_ERR_IMAGE, "its bootloader names %s%s",
                        view.map != NULL ? "the map " : "an unknown map",
                        view.map != NULL ? view.map->name : "");
            error_wanted(err, "%s", given != NULL ? given->name : "one of those of --flash-size");
            return error_in_file(err, s->path);
        }
        d->map = view.map;
        d->flash_mode = view.boot_header[2];
        d->flash_freq = view.boot_header[3] & 0x0F;
    }
    return check_map(s, err);
}

static enum espimage_code image_of_elf(const struct simulation *s, struct espimage_bytes *out,
                                       struct espimage_error *err)
{
    const struct espimage_build_options options = {ESPIMAGE_PROFILE_SDK, s->settings.map, 1,
                                                   s->flash.mode,        s->flash.freq,   false};
    struct elf_file elf;
    enum espimage_code code = elf_file_load(s->load, &elf, err);
    if (code != ESPIMAGE_OK) {
        return code;
    }
    if ((espimage_link_slots(&elf.link, s->settings.map) & 1U) == 0) {
        espimage_link_refuse(&elf.link, s->settings.map, err);
        /* It may be right for the other slot. */
        if (espimage_link_slots(&elf.link, s->settings.map) != 0) {
            error_found(err, ESPIMAGE_ERR_LAYOUT, "%s", elf.link.reason);
            error_wanted(err, "0x%08X, the app1 slot of the %s map", s->settings.map->link[0],
                         s->settings.map->name);
        }
        code = err->code;
    } else {
        code = espimage_image_build(elf.firmware, &options, out, NULL, err);
    }
    elf_file_free(&elf);
    return code == ESPIMAGE_OK ? code : error_in_file(err, s->load);
}

static enum espimage_code check_image(const struct simulation *s,
                                      const struct espimage_bytes *image,
                                      struct espimage_error *err)
{
    const struct espimage_verify_options options = {s->settings.map, 1, 0, false};
    struct espimage_report report;
    espimage_verify(image->data, image->size, &options, &report);
    const struct espimage_verdict *boot = &report.verdicts[ESPIMAGE_CONSUMER_BOOT];
    if (!boot->accepts) {
        error_found(err, ESPIMAGE_ERR_IMAGE, "a bootloader does not start it: %s: %s",
                    boot->because->rule->name, boot->because->found);
        return error_in_file(err, s->load);
    }
    if (image->size > s->settings.map->slot_limit) {
        error_found(err, ESPIMAGE_ERR_SIZE, "is %zu bytes long", image->size);
        error_wanted(err, "at most %u, the slot of the %s map", s->settings.map->slot_limit,
                     s->settings.map->name);
        return error_in_file(err, s->load);
    }
    return ESPIMAGE_OK;
}

static enum espimage_code load_image(const struct simulation *s, struct espimage_bytes *out,
                                     struct espimage_error *err)
{
    struct file_bytes file;
    enum espimage_code code = file_read(s->load, INPUT_LIMIT, &file, err);
    if (code != ESPIMAGE_OK) {
        return code;
    }
    if (espimage_recognise(file.data, file.size) == ESPIMAGE_CONTENT_ELF) {
        file_bytes_free(&file);
        return image_of_elf(s, out, err);
    }
    *out = (struct espimage_bytes){file.data, file.size};
    return check_image(s, out, err);
}

/* An erased flash with an image in slot user1. */
static enum espimage_code fill_new(struct simulation *s, const struct espimage_bytes *image,
                                   struct espimage_error *err)
{
    const struct espimage_flash_map *map = s->settings.map;
    uint8_t *content = malloc(map->flash_size);
    if (content == NULL) {
        return error_no_memory(err);
    }
    memset(content, 0xFF, map->flash_size);
    memcpy(content + map->slot[0], image->data, image->size);
    free(s->content);
    s->content = content;
    s->size = map->flash_size;
    return ESPIMAGE_OK;
}

static enum espimage_code new_content(struct simulation *s, struct espimage_error *err)
{
    struct espimage_bytes image = {NULL, 0};
    if (s->load == NULL) {
        error_found(err, ESPIMAGE_ERR_NO_INPUT, "a new flash holds nothing to boot");
        error_advice(err, "give --load APP1.elf, for slot user1");
        return s->path != NULL ? error_in_file(err, s->path) : err->code;
    }
    enum espimage_code code = load_image(s, &image, err);
    if (code == ESPIMAGE_OK) {
        code = fill_new(s, &image, err);
    }
    espimage_bytes_free(&image);
    return code;
}

static enum espimage_code find_content(struct simulation *s, struct espimage_error *err)
{
    struct file_bytes file = {0};
    if (s->path != NULL && access(s->path, F_OK) == 0) {
        enum espimage_code code = file_read(s->path, LARGEST_FLASH, &file, err);
        if (code != ESPIMAGE_OK) {
            return code;
        }
        s->content = file.data;
        s->size = (uint32_t)file.size;
        s->found = !bytes_all(file.data, file.size, 0xFF);
    }
    enum espimage_code code = choose_map(s, err);
    if (code == ESPIMAGE_OK && !s->found) {
        code = new_content(s, err);
    }
    return code;
}

/* ---- devices ---- */

/* "flash.bin" -> "flash.7.bin". */
static void numbered(const char *path, uint32_t number, char *out, size_t room)
{
    static const char ending[] = ".bin";
    size_t length = strlen(path);
    bool bin = length > sizeof ending - 1 && strcmp(path + length - sizeof ending + 1, ending) == 0;
    length -= bin ? sizeof ending - 1 : 0;
    (void)snprintf(out, room, "%.*s.%u%s", (int)length, path, number, bin ? ending : "");
}

static enum espimage_code open_flash(const struct simulation *s, uint32_t index, struct flash *out,
                                     struct espimage_error *err)
{
    char path[4096];
    enum espimage_code code = ESPIMAGE_OK;
    uint32_t size = s->settings.map->flash_size;
    if (s->path == NULL) {
        code = flash_file_unnamed(s->content, size, out, err);
    } else {
        if (s->count == 1) {
            (void)snprintf(path, sizeof path, "%s", s->path);
        } else {
            numbered(s->path, index + 1, path, sizeof path);
        }
        bool there = s->count == 1 ? s->found : access(path, F_OK) == 0;
        code = there ? ESPIMAGE_OK : file_write(path, s->content, s->size, err);
        code = code == ESPIMAGE_OK ? flash_file_open(path, size, out, err) : code;
    }
    out->realistic = code == ESPIMAGE_OK && s->realistic;
    return code;
}

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
        code = open_flash(s, i, &s->devices[i].flash, err);
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
    char line[64];
    for (uint32_t i = 0; i < s->count; i++) {
        const struct device *d = &s->devices[i];
        (void)snprintf(line, sizeof line, "page on http://%s:%u/", d->address_text, d->page_port);
        say(d, line);
        (void)snprintf(line, sizeof line, "trigger on port %u", d->trigger_port);
        say(d, line);
    }
}

/* ---- the report ---- */

struct totals {
    uint32_t succeeded;
    uint32_t failed;
    uint32_t dead;
    double seconds;
};

static struct totals count_up(const struct simulation *s)
{
    struct totals t = {.seconds = now_seconds() - s->began};
    for (uint32_t i = 0; i < s->count; i++) {
        const struct device *d = &s->devices[i];
        t.succeeded += d->succeeded;
        t.failed += d->failed;
        t.dead += d->state == DEVICE_DEAD ? 1 : 0;
    }
    return t;
}

static int status_of(const struct simulation *s, const struct totals *t)
{
    uint64_t wanted = (uint64_t)s->settings.updates * s->count;
    if (wanted != 0) {
        return t->succeeded == wanted && t->dead == 0 ? 0 : EXIT_NOT_ALL;
    }
    return s->interrupted ? 0 : EXIT_NOT_ALL;
}

static void report_dead(const struct simulation *s)
{
    for (uint32_t i = 0; i < s->count; i++) {
        const struct device *d = &s->devices[i];
        if (d->state == DEVICE_DEAD) {
            (void)fprintf(stderr, PROGRAM ": the device at %s is dead: %s: %s\n", d->address_text,
                          d->last_rule, d->last_found);
        }
    }
}

static json_t *device_json(const struct device *d)
{
    static const char *const states[] = {"booting", "running", "updating", "dead"};
    bool failed = d->last_rule[0] != '\0';
    return json_pack(
        "{s:s, s:i, s:i, s:s, s:i, s:s, s:I, s:I, s:f, s:o}", "address", d->address_text,
        "page_port", (int)d->page_port, "trigger_port", (int)d->trigger_port, "state",
        states[d->state], "slot", (int)d->running, "build", d->build.name, "succeeded",
        (json_int_t)d->succeeded, "failed", (json_int_t)d->failed, "seconds", d->seconds,
        "last_failure",
        failed ? json_pack("{s:s, s:o}", "rule", d->last_rule, "found", json_text(d->last_found))
               : json_null());
}

static int report(const struct simulation *s)
{
    struct totals t = count_up(s);
    int status = status_of(s, &t);
    report_dead(s);
    if (s->json) {
        json_t *document = json_document("simulate");
        json_t *list = json_array();
        for (uint32_t i = 0; i < s->count; i++) {
            (void)json_array_append_new(list, device_json(&s->devices[i]));
        }
        (void)json_object_set_new(document, "flash_map", json_string(s->settings.map->name));
        (void)json_object_set_new(document, "succeeded", json_integer(t.succeeded));
        (void)json_object_set_new(document, "failed", json_integer(t.failed));
        (void)json_object_set_new(document, "dead", json_integer(t.dead));
        (void)json_object_set_new(document, "seconds", json_real(t.seconds));
        (void)json_object_set_new(document, "devices", list);
        return json_print(document, status);
    }
    (void)printf("%u device%s: %u update%s done, %u failed, %u dead, %.1f s\n", s->count,
                 s->count == 1 ? "" : "s", t.succeeded, t.succeeded == 1 ? "" : "s", t.failed,
                 t.dead, t.seconds);
    return status;
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
    enum espimage_code code = find_content(s, err);
    if (code == ESPIMAGE_OK) {
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
    free(s->content);
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
    s.path = argc > first ? argv[first] : NULL;
    s.settings.mss = (uint16_t)s.mss;
    log_stream = s.json ? stderr : stdout;
    log_addresses = s.count > 1;
    status = simulate(&s);
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
               "failed, or the device is dead (nothing to boot, power cut).",
    .example = PROGRAM " simulate --load app1.elf flash.bin",
    .groups = {simulate_options, fault_options, flash_options, common_options, NULL},
    .run = run,
};
