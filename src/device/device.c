/* SPDX-License-Identifier: MIT */
#include "device/device.h"

#include "base/error.h"
#include "device/boot.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Enough for the resolver and a report of rules; many devices are in one process. */
#define STACK_SIZE ((size_t)512 * 1024)

/* Between automatic updates of which one failed. */
#define PAUSE_SECONDS 1

#define KILOBYTE 1024U

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

/* What the bootloader prints first, of the flash. */
static void say_flash(const struct device *d)
{
    const struct device_settings *s = d->settings;
    const struct espimage_flash_setting *mode = espimage_flash_mode_by_code(s->flash_mode);
    const struct espimage_flash_setting *freq = espimage_flash_freq_by_code(s->flash_freq);
    char upper[8] = "";
    for (size_t i = 0; mode != NULL && mode->name[i] != '\0' && i + 1 < sizeof upper; i++) {
        upper[i] = (char)toupper((unsigned char)mode->name[i]);
    }
    say(d, "2nd boot version : 1.6 (simulated)");
    say(d, "SPI Speed : %.*sMHz", freq != NULL ? (int)strcspn(freq->name, "m") : 1,
        freq != NULL ? freq->name : "?");
    say(d, "SPI Mode : %s", upper);
    say(d, "SPI Flash Size & Map: %uMbit(%uKB+%uKB)",
        s->map->flash_size / (KILOBYTE * KILOBYTE / 8), s->map->half / KILOBYTE,
        s->map->half / KILOBYTE);
}

static void say_tries(const struct device *d, const struct boot_result *boot)
{
    for (unsigned i = 0; i < boot->tries; i++) {
        const struct boot_try *try = &boot->tried[i];
        if (try->accepted) {
            say(d, "jump to run user%u @ %x", try->slot, d->settings->map->slot[try->slot - 1]);
            return;
        }
        if (try->bad_magic) {
            say(d, "error magic!");
        }
        say(d, "boot: user%u is no image to boot: %s: %s", try->slot, try->rule, try->found);
        say(d, i == 0 ? "first boot failed, reboot to try backup bin" : "backup boot failed.");
    }
}

static bool start_firmware(struct device *d, const struct boot_result *boot)
{
    const struct espimage_flash_map *map = d->settings->map;
    struct build build;
    char found[160];
    build_identify(boot->image, boot->image_size, map, boot->slot, &build);
    if (!build.can_run) {
        (void)snprintf(found, sizeof found,
                       "%s in slot user%u runs into code at 0x%08X; of the %s map that slot is "
                       "linked at 0x%08X",
                       build.name, boot->slot, build.refers, map->name, map->link[boot->slot - 1]);
        say(d, "firmware: %s: it restarts for ever", found);
        return die(d, "link", found);
    }
    (void)pthread_mutex_lock(&d->lock);
    d->running = boot->slot;
    d->build = build;
    d->state = DEVICE_RUNNING;
    (void)pthread_mutex_unlock(&d->lock);
    say(d, "firmware: %s runs in slot user%u", build.name, boot->slot);
    return true;
}

static bool flash_failed(struct device *d, const struct espimage_error *err)
{
    say(d, "firmware: %s", err->found);
    return die(d, "flash", err->found);
}

/* False when the device is dead. */
static bool boot(struct device *d)
{
    struct boot_result result;
    struct espimage_error err;
    set_state(d, DEVICE_BOOTING);
    say_flash(d);
    if (boot_run(&d->flash, d->settings->map, &result, &err) != ESPIMAGE_OK) {
        return flash_failed(d, &err);
    }
    say_tries(d, &result);
    bool alive = result.slot != 0 ? start_firmware(d, &result)
                                  : die(d, "boot", "neither slot holds an image to boot");
    boot_result_free(&result);
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

/* False when it is time to end. */
static bool wait_for_trigger(struct device *d)
{
    (void)pthread_mutex_lock(&d->lock);
    if (d->settings->automatic && !d->triggered) {
        d->trigger_from.s_addr = htonl(INADDR_LOOPBACK);
        d->triggered = true;
    }
    while (!d->triggered && !stopping(d)) {
        (void)pthread_cond_wait(&d->wake, &d->lock);
    }
    bool begins = !stopping(d);
    d->state = begins ? DEVICE_UPDATING : d->state;
    (void)pthread_mutex_unlock(&d->lock);
    return begins;
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
    out->slot = 3 - d->running;
    (void)snprintf(out->path, sizeof out->path, "%.900s/user%d.bin", folder, out->slot);
}

static enum espimage_code run_upgrade(struct device *d, struct upgrade_result *out,
                                      struct espimage_error *err)
{
    const struct device_settings *s = d->settings;
    struct upgrade_options options = {
        .flash = &d->flash,
        .map = s->map,
        .running = d->running,
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
    make_target(d, &options.target);
    atomic_store(&d->progress, 0);
    atomic_store(&d->total, 0);
    say(d, "firmware: update from http://%s:%u%s", options.target.host, options.target.port,
        options.target.path);
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
    case UPGRADE_STOPPED: return AFTER_END;
    case UPGRADE_DONE: break;
    }
    say(d, "firmware: update done: %s, %.2f s", result.found, result.seconds);
    return AFTER_RESTART;
}

/* ---- life ---- */

static bool enough(const struct device *d)
{
    return d->settings->updates != 0 && d->succeeded + d->failed >= d->settings->updates;
}

/* Until it restarts; false when it ends. */
static bool run_firmware(struct device *d)
{
    while (!enough(d) && wait_for_trigger(d)) {
        switch (update(d)) {
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
    uint8_t before = d->running;
    say(d, "firmware: restart");
    bool alive = boot(d);
    bool good = alive && d->running != before;
    if (alive && !good) {
        note_failure(d, "boot", "the new image was not booted");
        say(d, "firmware: update failed: boot: the new image was not booted");
    }
    count_update(d, good);
    return alive;
}

static void *live(void *context)
{
    const uint64_t one = 1;
    struct device *d = context;
    bool alive = boot(d);
    while (alive && run_firmware(d)) {
        alive = restart(d);
    }
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
