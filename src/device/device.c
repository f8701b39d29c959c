/* SPDX-License-Identifier: MIT */
#include "device/device.h"

#include "base/error.h"
#include "device/boot_words.h"
#include "device/save.h"
#include "device/web.h"

#include <arpa/inet.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* Enough for the resolver and a report of rules; many devices are in one process. */
#define STACK_SIZE ((size_t)512 * 1024)

/* Between automatic updates of which one failed. */
#define PAUSE_SECONDS 1

/* For the client to close after the answer to an upload. */
#define DRAIN_MS 2000

static void say(const struct device *d, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void say(const struct device *d, const char *format, ...)
{
    char line[512];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(line, sizeof line, format, args);
    va_end(args);
    d->settings->say(d, line);
}

static void say_line(void *context, const char *line)
{
    const struct device *d = context;
    d->settings->say(d, line);
}

static bool stopping(const struct device *d)
{
    return atomic_load(&d->settings->stop);
}

static void set_state(struct device *d, enum device_state state)
{
    (void)pthread_mutex_lock(&d->lock);
    d->state = state;
    (void)pthread_mutex_unlock(&d->lock);
}

static void note_failure(struct device *d, const char *rule, const char *found)
{
    (void)pthread_mutex_lock(&d->lock);
    (void)snprintf(d->last_rule, sizeof d->last_rule, "%s", rule);
    (void)snprintf(d->last_found, sizeof d->last_found, "%s", found);
    (void)pthread_mutex_unlock(&d->lock);
}

static void count_update(struct device *d, bool good)
{
    (void)pthread_mutex_lock(&d->lock);
    d->succeeded += good ? 1 : 0;
    d->failed += good ? 0 : 1;
    (void)pthread_mutex_unlock(&d->lock);
}

/* False, for those who end with it. */
static bool die(struct device *d, const char *rule, const char *found)
{
    note_failure(d, rule, found);
    set_state(d, DEVICE_DEAD);
    return false;
}

/* ---- boot ---- */

static struct boot_chip chip_of(const struct device *d)
{
    return (struct boot_chip){.flash = &d->flash,
                              .version = d->settings->boot_version,
                              .map_code = d->settings->map->code,
                              .retries = d->retries};
}

static bool flash_failed(struct device *d, const struct espimage_error *err)
{
    say(d, "firmware: %s", err->found);
    return die(d, "flash", err->found);
}

/* What /flash/next and /flash/reboot need, for the thread of the ports. */
static enum espimage_code look_at_slots(struct device *d, struct espimage_error *err)
{
    uint8_t other[UPLOAD_HEADER];
    const struct espimage_flash_map *map = d->settings->map;
    uint8_t running = 0;
    enum espimage_code code = save_running_slot(&d->flash, &running, err);
    if (code == ESPIMAGE_OK) {
        code = flash_read(&d->flash, map->slot[2 - running], other, sizeof other, err);
    }
    if (code != ESPIMAGE_OK) {
        return code;
    }
    (void)pthread_mutex_lock(&d->lock);
    d->upload_to = (struct upload_device){d->settings->dialect, map, running};
    memcpy(d->other, other, sizeof d->other);
    (void)pthread_mutex_unlock(&d->lock);
    return ESPIMAGE_OK;
}

/* Names what the bootloader has started; false when the chip runs into other code. */
static bool start_firmware(struct device *d, const struct boot_step *step,
                           const struct build *build)
{
    struct espimage_error err;
    if (build->trouble[0] != '\0') {
        char found[sizeof build->name + sizeof build->trouble + 2];
        (void)snprintf(found, sizeof found, "%s: %s", build->name, build->trouble);
        say(d, "firmware: %s", found);
        return die(d, "link", found);
    }
    if (d->settings->pushed && look_at_slots(d, &err) != ESPIMAGE_OK) {
        return flash_failed(d, &err);
    }
    (void)pthread_mutex_lock(&d->lock);
    d->running = step->slot;
    d->build = *build;
    d->state = DEVICE_RUNNING;
    (void)pthread_mutex_unlock(&d->lock);
    if (step->slot != 0) {
        say(d, "firmware: %s runs in slot user%u", build->name, step->slot);
    } else {
        say(d, "firmware: %s runs at 0x%X", build->name, step->address);
    }
    return true;
}

static bool start(struct device *d, const struct boot_step *step)
{
    struct espimage_error err;
    struct build build;
    enum espimage_code code = build_read(&d->flash, step->address, d->settings->map, &build, &err);
    return code == ESPIMAGE_OK ? start_firmware(d, step, &build) : flash_failed(d, &err);
}

/* The bootloader, or the chip, has given up. */
static bool stay_down(struct device *d, const struct boot_step *step)
{
    const char *version = espimage_boot_version_name(d->settings->boot_version);
    char found[256];
    switch (step->outcome) {
    case BOOT_CRASH:
        (void)snprintf(found, sizeof found, "user%u crashes at every reset: %s", step->slot,
                       step->found);
        break;
    case BOOT_FLAG_ERROR:
        (void)snprintf(found, sizeof found,
                       "boot %s takes no record that begins with %02X: nothing boots until the "
                       "three sectors of the parameters are blank",
                       version, step->flag);
        break;
    default:
        if (step->complaint == BOOT_SAYS_NO_MAP) {
            (void)snprintf(found, sizeof found, "boot %s does not know the flash map", version);
        } else if (step->failed_before) {
            (void)snprintf(found, sizeof found, "neither slot holds an image to boot: user%u %s",
                           step->slot, step->found);
        } else {
            (void)snprintf(found, sizeof found,
                           "0x%X holds no image to boot (%s), and boot %s does not fall back",
                           step->address, step->found, version);
        }
        break;
    }
    say(d, "boot: %s", found);
    return die(d, "boot", found);
}

/* One reset; true when there is another. */
static bool reset(struct device *d, struct boot_step *step, bool *alive)
{
    struct boot_chip chip = chip_of(d);
    struct espimage_error err;
    boot_say_settings(&chip, d->settings->flash_mode, d->settings->flash_freq, say_line, d);
    enum espimage_code code = boot_step(&chip, step, &err);
    code = code == ESPIMAGE_OK ? boot_apply(step, &d->flash, &err) : code;
    if (code != ESPIMAGE_OK) {
        *alive = flash_failed(d, &err);
        return false;
    }
    d->retries = step->retries;
    boot_say_step(&chip, step, say_line, d);
    if (step->outcome == BOOT_FALLBACK_SET || step->outcome == BOOT_RETRY) {
        return true;
    }
    *alive = boot_outcome_runs(step->outcome) ? start(d, step) : stay_down(d, step);
    return false;
}

/* Reset until something runs; false when the device is dead. A bootloader resets the chip at most
 * seven times: three retries of each slot, and a fallback. */
static bool boot(struct device *d)
{
    struct boot_step step;
    bool alive = false;
    set_state(d, DEVICE_BOOTING);
    while (reset(d, &step, &alive)) {
    }
    return alive;
}

/* ---- update ---- */

static void wait_seconds(struct device *d, time_t seconds)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += seconds;
    (void)pthread_mutex_lock(&d->lock);
    while (!stopping(d) && pthread_cond_timedwait(&d->wake, &d->lock, &until) == 0) {
    }
    (void)pthread_mutex_unlock(&d->lock);
}

enum order { ORDER_END, ORDER_UPDATE, ORDER_UPLOAD, ORDER_REBOOT };

static bool due(const struct device *d)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return d->reboots &&
           (now.tv_sec > d->reboot_at.tv_sec ||
            (now.tv_sec == d->reboot_at.tv_sec && now.tv_nsec >= d->reboot_at.tv_nsec));
}

/* With the lock held. */
static enum order order_of(const struct device *d)
{
    if (stopping(d)) {
        return ORDER_END;
    }
    if (due(d)) {
        return ORDER_REBOOT;
    }
    if (d->uploading) {
        return ORDER_UPLOAD;
    }
    return d->triggered ? ORDER_UPDATE : ORDER_END;
}

static enum order wait_for_order(struct device *d)
{
    (void)pthread_mutex_lock(&d->lock);
    if (d->settings->automatic && !d->triggered) {
        d->trigger_from.s_addr = htonl(INADDR_LOOPBACK);
        d->triggered = true;
    }
    while (order_of(d) == ORDER_END && !stopping(d)) {
        if (d->reboots) {
            (void)pthread_cond_timedwait(&d->wake, &d->lock, &d->reboot_at);
        } else {
            (void)pthread_cond_wait(&d->wake, &d->lock);
        }
    }
    enum order order = order_of(d);
    if (order != ORDER_END) {
        d->state = order == ORDER_REBOOT ? DEVICE_BOOTING : DEVICE_UPDATING;
    }
    (void)pthread_mutex_unlock(&d->lock);
    return order;
}

static void make_target(const struct device *d, struct target *out)
{
    char folder[sizeof out->path] = "";
    memset(out, 0, sizeof *out);
    if (d->settings->server != NULL) {
        *out = *d->settings->server;
        memcpy(folder, out->path, sizeof folder);
    } else {
        (void)inet_ntop(AF_INET, &d->trigger_from, out->host, sizeof out->host);
        out->port = DEVICE_SERVER_PORT;
    }
    out->slot = 3 - d->says;
    (void)snprintf(out->path, sizeof out->path, "%.480s/user%d.bin", folder, out->slot);
}

static enum espimage_code run_upgrade(struct device *d, struct upgrade_result *out,
                                      struct espimage_error *err)
{
    const struct device_settings *s = d->settings;
    struct upgrade_options options = {
        .flash = &d->flash,
        .map = s->map,
        .executing = d->running,
        .source = d->source,
        .mss = s->mss,
        .speed = s->speed,
        .seconds = s->seconds,
        .faults = s->faults,
        .stop = &d->settings->stop,
        .stop_fd = s->stop_fd,
        .progress = &d->progress,
        .total = &d->total,
        .say = say_line,
        .context = d,
    };
    /* As the SDK does, from the parameters: not always the slot that runs. */
    enum espimage_code code = save_running_slot(&d->flash, &d->says, err);
    if (code != ESPIMAGE_OK) {
        return code;
    }
    options.running = d->says;
    make_target(d, &options.target);
    atomic_store(&d->progress, 0);
    atomic_store(&d->total, 0);
    say(d, "firmware: update from http://%s:%u%s", options.target.host, options.target.port,
        options.target.path);
    if (ota_replaced_in(options.target.path) != NULL) {
        char head[OTA_REQUEST_ROOM];
        (void)ota_head_of_get(options.target.path, head, sizeof head);
        say(d, "firmware: HEAD asks for %s: the SDK replaces %s everywhere in the request", head,
            ota_replaced_in(options.target.path));
    }
    return upgrade_run(&options, out, err);
}

enum after { AFTER_WAIT, AFTER_RESTART, AFTER_END };

static enum after refused(struct device *d, const struct upgrade_result *result)
{
    const char *rule = ota_rule_name(result->rule);
    say(d, "firmware: update failed: %s: %s (wanted: %s)", rule, result->found,
        ota_rule_demand(result->rule));
    if (result->late) {
        say(d, "firmware: a chip notices that only when its time is up, %u s after the trigger",
            d->settings->seconds);
    }
    note_failure(d, rule, result->found);
    count_update(d, false);
    return AFTER_WAIT;
}

static enum after update(struct device *d)
{
    struct upgrade_result result;
    struct espimage_error err;
    if (run_upgrade(d, &result, &err) != ESPIMAGE_OK) {
        (void)flash_failed(d, &err);
        return AFTER_END;
    }
    (void)pthread_mutex_lock(&d->lock);
    d->seconds += result.seconds;
    d->triggered = false;
    d->state = result.end == UPGRADE_DONE ? DEVICE_BOOTING : DEVICE_RUNNING;
    (void)pthread_mutex_unlock(&d->lock);
    switch (result.end) {
    case UPGRADE_REFUSED: return refused(d, &result);
    case UPGRADE_NO_POWER:
        say(d, "power cut at %s", result.found);
        (void)die(d, "power", result.found);
        return AFTER_END;
    case UPGRADE_ERASED_ITSELF:
        say(d, "firmware: crashes: %s", result.found);
        count_update(d, false);
        (void)die(d, "boot", result.found);
        return AFTER_END;
    case UPGRADE_STOPPED: return AFTER_END;
    case UPGRADE_DONE: break;
    }
    say(d, "firmware: update done: %s, %.2f s", result.found, result.seconds);
    return AFTER_RESTART;
}

/* ---- images that are pushed ---- */

/* The client closes first, when it has the answer; closing before that could take it away. */
static void send_answer(const struct device *d, int fd, const struct upload_answer *answer)
{
    char text[WEB_ROOM];
    uint8_t waste[4096];
    struct pollfd wait[] = {{fd, POLLIN, 0}, {d->settings->stop_fd, POLLIN, 0}};
    size_t size = web_reply(d->settings->dialect, WEB_UPLOAD, answer, text);
    (void)!send(fd, text, size, MSG_NOSIGNAL);
    (void)shutdown(fd, SHUT_WR);
    while (poll(wait, 2, DRAIN_MS) > 0 && wait[1].revents == 0 &&
           recv(fd, waste, sizeof waste, MSG_DONTWAIT) > 0) {
    }
}

static enum espimage_code receive(struct device *d, struct receive_result *out,
                                  struct espimage_error *err)
{
    const struct device_upload *upload = &d->upload;
    const struct receive_options options = {
        .flash = &d->flash,
        .device = d->upload_to,
        .request = upload->request,
        .executing = d->running,
        .fd = upload->fd,
        .early = upload->early,
        .early_size = upload->early_size,
        .speed = d->settings->speed,
        .faults = &d->settings->faults,
        .stop = &d->settings->stop,
        .stop_fd = d->settings->stop_fd,
        .progress = &d->progress,
    };
    atomic_store(&d->progress, 0);
    atomic_store(&d->total, upload->request.length);
    say(d, "firmware: upload of %u bytes", upload->request.length);
    enum espimage_code code = receive_run(&options, out, err);
    bool answers = out->end == RECEIVE_DONE || out->end == RECEIVE_REFUSED;
    if (code == ESPIMAGE_OK && out->end != RECEIVE_NO_POWER) {
        code = look_at_slots(d, err);
    }
    /* With the answer the client may come with the next one. */
    (void)pthread_mutex_lock(&d->lock);
    d->uploading = false;
    (void)pthread_mutex_unlock(&d->lock);
    if (code == ESPIMAGE_OK && answers) {
        send_answer(d, options.fd, &out->answer);
    }
    (void)close(options.fd);
    return code;
}

static enum after upload_failed(struct device *d, const struct receive_result *result)
{
    say(d, "firmware: upload failed: %s", result->found);
    note_failure(d, "upload", result->found);
    count_update(d, false);
    set_state(d, DEVICE_RUNNING);
    return AFTER_WAIT;
}

static enum after upload(struct device *d)
{
    struct receive_result result;
    struct espimage_error err;
    enum espimage_code code = receive(d, &result, &err);
    (void)pthread_mutex_lock(&d->lock);
    d->seconds += result.seconds;
    (void)pthread_mutex_unlock(&d->lock);
    if (code != ESPIMAGE_OK) {
        (void)flash_failed(d, &err);
        return AFTER_END;
    }
    switch (result.end) {
    case RECEIVE_REFUSED:
    case RECEIVE_BROKEN: return upload_failed(d, &result);
    case RECEIVE_NO_POWER:
        say(d, "power cut at %s", result.found);
        (void)die(d, "power", result.found);
        return AFTER_END;
    case RECEIVE_ERASED_ITSELF:
        say(d, "firmware: crashes: %s", result.found);
        count_update(d, false);
        (void)die(d, "boot", result.found);
        return AFTER_END;
    case RECEIVE_STOPPED: return AFTER_END;
    case RECEIVE_DONE: break;
    }
    set_state(d, DEVICE_RUNNING);
    say(d, "firmware: upload done: %u bytes in user%u, %.2f s", result.bytes, result.slot,
        result.seconds);
    return AFTER_WAIT;
}

/* The restart takes an upload that waits with it. */
static void drop_orders(struct device *d)
{
    (void)pthread_mutex_lock(&d->lock);
    bool waits = d->uploading;
    d->uploading = false;
    d->reboots = false;
    (void)pthread_mutex_unlock(&d->lock);
    if (waits) {
        (void)close(d->upload.fd);
    }
}

/* What system_upgrade_reboot() does. */
static enum after reboot(struct device *d)
{
    char found[160];
    uint8_t slot = 0;
    struct espimage_error err;
    struct power power = {.faults = &d->settings->faults};
    drop_orders(d);
    d->says = d->upload_to.running;
    say(d, "reboot to use %d", 3 - d->says);
    power_watch(&power, &d->flash);
    enum espimage_code code = save_other_slot(&d->flash, &slot, &err);
    power_ignore(&d->flash);
    if (d->flash.dead) {
        power_failed_at(&d->settings->faults, found, sizeof found);
        say(d, "power cut at %s", found);
        (void)die(d, "power", found);
        return AFTER_END;
    }
    if (code != ESPIMAGE_OK) {
        (void)flash_failed(d, &err);
        return AFTER_END;
    }
    return AFTER_RESTART;
}

/* ---- life ---- */

static bool enough(const struct device *d)
{
    return d->settings->updates != 0 && d->succeeded + d->failed >= d->settings->updates;
}

static enum after obey(struct device *d, enum order order)
{
    switch (order) {
    case ORDER_UPDATE: return update(d);
    case ORDER_UPLOAD: return upload(d);
    case ORDER_REBOOT: return reboot(d);
    case ORDER_END: break;
    }
    return AFTER_END;
}

/* Until it restarts; false when it ends. */
static bool run_firmware(struct device *d)
{
    while (!enough(d)) {
        switch (obey(d, wait_for_order(d))) {
        case AFTER_RESTART: return true;
        case AFTER_END: return false;
        case AFTER_WAIT: break;
        }
        if (d->settings->automatic && !enough(d)) {
            wait_seconds(d, PAUSE_SECONDS);
        }
    }
    return false;
}

/* An update is good when its image runs. */
static bool restart(struct device *d)
{
    say(d, "firmware: restart");
    bool alive = boot(d);
    bool good = alive && d->running == 3 - d->says;
    if (alive && !good) {
        note_failure(d, "boot", "the new image was not booted");
        say(d, "firmware: update failed: boot: the new image was not booted");
    }
    count_update(d, good);
    return alive;
}

static void stop_listening(struct device *d)
{
    (void)pthread_mutex_lock(&d->lock);
    d->ended = true;
    (void)pthread_mutex_unlock(&d->lock);
    drop_orders(d);
}

static void *live(void *context)
{
    const uint64_t one = 1;
    struct device *d = context;
    bool alive = boot(d);
    while (alive && run_firmware(d)) {
        alive = restart(d);
    }
    stop_listening(d);
    (void)!write(d->settings->done_fd, &one, sizeof one);
    return NULL;
}

void device_init(struct device *d, struct device_settings *settings)
{
    pthread_condattr_t clock;
    memset(d, 0, sizeof *d);
    d->settings = settings;
    d->flash.fd = -1;
    (void)pthread_mutex_init(&d->lock, NULL);
    (void)pthread_condattr_init(&clock);
    (void)pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&d->wake, &clock);
    (void)pthread_condattr_destroy(&clock);
}

enum espimage_code device_start(struct device *d, struct espimage_error *err)
{
    pthread_attr_t attributes;
    (void)pthread_attr_init(&attributes);
    (void)pthread_attr_setstacksize(&attributes, STACK_SIZE);
    int failure = pthread_create(&d->thread, &attributes, live, d);
    (void)pthread_attr_destroy(&attributes);
    d->started = failure == 0;
    if (failure != 0) {
        return error_found(err, ESPIMAGE_ERR_MEMORY, "cannot start a thread: %s",
                           strerror(failure));
    }
    return ESPIMAGE_OK;
}

bool device_trigger(struct device *d, struct in_addr from)
{
    (void)pthread_mutex_lock(&d->lock);
    bool begins = d->state == DEVICE_RUNNING && !d->triggered && !stopping(d);
    if (begins) {
        d->triggered = true;
        d->trigger_from = from;
        (void)pthread_cond_signal(&d->wake);
    }
    (void)pthread_mutex_unlock(&d->lock);
    return begins;
}

/* With the lock held. */
static bool is_up(const struct device *d)
{
    return (d->state == DEVICE_RUNNING || d->state == DEVICE_UPDATING) && !d->ended;
}

bool device_answers(struct device *d, struct upload_device *out, uint8_t other[UPLOAD_HEADER])
{
    (void)pthread_mutex_lock(&d->lock);
    bool answers = is_up(d) && d->upload_to.map != NULL;
    *out = d->upload_to;
    memcpy(other, d->other, UPLOAD_HEADER);
    (void)pthread_mutex_unlock(&d->lock);
    return answers;
}

bool device_upload(struct device *d, const struct device_upload *upload)
{
    (void)pthread_mutex_lock(&d->lock);
    bool takes = is_up(d) && !d->uploading && !stopping(d);
    if (takes) {
        d->uploading = true;
        d->upload = *upload;
        (void)pthread_cond_signal(&d->wake);
    }
    (void)pthread_mutex_unlock(&d->lock);
    return takes;
}

void device_reboot(struct device *d, uint32_t milliseconds)
{
    (void)pthread_mutex_lock(&d->lock);
    if (is_up(d)) {
        (void)clock_gettime(CLOCK_MONOTONIC, &d->reboot_at);
        d->reboot_at.tv_nsec += (long)(milliseconds % 1000) * 1000000;
        d->reboot_at.tv_sec += (time_t)(milliseconds / 1000) + d->reboot_at.tv_nsec / 1000000000;
        d->reboot_at.tv_nsec %= 1000000000;
        d->reboots = true;
        (void)pthread_cond_signal(&d->wake);
    }
    (void)pthread_mutex_unlock(&d->lock);
}

void device_wake(struct device *d)
{
    (void)pthread_mutex_lock(&d->lock);
    (void)pthread_cond_broadcast(&d->wake);
    (void)pthread_mutex_unlock(&d->lock);
}

void device_join(struct device *d)
{
    if (d->started) {
        (void)pthread_join(d->thread, NULL);
        d->started = false;
    }
}

void device_look(struct device *d, struct device_view *out)
{
    (void)pthread_mutex_lock(&d->lock);
    out->state = d->state;
    out->running = d->running;
    memcpy(out->build, d->build.name, sizeof out->build);
    out->succeeded = d->succeeded;
    out->failed = d->failed;
    memcpy(out->last_rule, d->last_rule, sizeof out->last_rule);
    memcpy(out->last_found, d->last_found, sizeof out->last_found);
    (void)pthread_mutex_unlock(&d->lock);
    out->progress = atomic_load(&d->progress);
    out->total = atomic_load(&d->total);
}
