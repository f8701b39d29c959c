/* SPDX-License-Identifier: MIT */
#include "device/upgrade.h"

#include "base/error.h"
#include "device/answer.h"
#include "device/probe.h"
#include "device/save.h"
#include "image/checksum.h"
#include "image/image_format.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>

struct upgrade {
    const struct upgrade_options *options;
    struct upgrade_result *result;
    uint32_t slot; /* flash address of the one that is written */
    struct power power;
    bool stalled;
    unsigned quarter;              /* of the image, last announced */
    enum espimage_code flash_code; /* of a flash that failed */
    struct espimage_error flash_error;
};

static void say(const struct upgrade *u, const char *line)
{
    u->options->say(u->options->context, line);
}

static bool stopping(const struct upgrade *u)
{
    return atomic_load(u->options->stop);
}

/* ---- what the client does to the flash ---- */

static bool end_with(struct upgrade *u, enum upgrade_end end)
{
    u->result->end = end;
    return false;
}

/* False when the upgrade ends. */
static bool flash_did(struct upgrade *u, enum espimage_code code)
{
    if (code == ESPIMAGE_OK) {
        return true;
    }
    if (u->options->flash->dead) {
        return end_with(u, UPGRADE_NO_POWER);
    }
    u->flash_code = code;
    return end_with(u, UPGRADE_STOPPED);
}

static bool go_on(void *context)
{
    struct upgrade *u = context;
    return !stopping(u) || end_with(u, UPGRADE_STOPPED);
}

static bool erased_itself(struct upgrade *u)
{
    const struct upgrade_options *o = u->options;
    if (o->executing == 0 || u->slot != o->map->slot[o->executing - 1]) {
        return false;
    }
    (void)snprintf(u->result->found, sizeof u->result->found,
                   "the SDK takes user%u for the running slot, so the update erases user%u, which "
                   "runs",
                   o->running, o->executing);
    u->result->end = UPGRADE_ERASED_ITSELF;
    return true;
}

static bool erase(void *context, uint32_t bytes)
{
    struct upgrade *u = context;
    uint32_t count = bytes / ESPIMAGE_SECTOR;
    say(u, "upgrade file download start");
    for (uint32_t i = 0; i < count; i++) {
        uint32_t address = u->slot + i * ESPIMAGE_SECTOR;
        if (!go_on(u) || !flash_did(u, flash_erase(u->options->flash, address, &u->flash_error)) ||
            erased_itself(u)) {
            return false;
        }
    }
    return true;
}

static void received(void *context, uint8_t *bytes, size_t from, size_t size)
{
    const struct upgrade *u = context;
    size_t header = answer_header_size(bytes, size);
    size_t at = header + u->options->faults.flip;
    if (u->options->faults.flips && header != 0 && at >= from && at < size) {
        bytes[at] ^= (uint8_t)(1U << u->options->faults.flip % 8);
    }
}

static void show_progress(struct upgrade *u, uint32_t done, uint32_t total)
{
    char line[96];
    atomic_store(u->options->progress, done);
    atomic_store(u->options->total, total);
    unsigned quarter = total != 0 ? (unsigned)((uint64_t)done * 4 / total) : 0;
    if (quarter != u->quarter && done < total) {
        (void)snprintf(line, sizeof line, "firmware: %u of %u bytes", done, total);
        say(u, line);
    }
    u->quarter = quarter;
}

static void stall(struct upgrade *u, uint32_t done, uint32_t total)
{
    struct pollfd stop = {u->options->stop_fd, POLLIN, 0};
    if (!u->stalled && u->options->faults.stall != 0 && done >= total / 2) {
        u->stalled = true;
        (void)poll(&stop, 1, (int)u->options->faults.stall * 1000);
    }
}

/* Never beyond the slot, whatever a server sends. */
static enum espimage_code write_body(struct upgrade *u, uint32_t offset, const uint8_t *bytes,
                                     size_t size)
{
    uint32_t limit = u->options->map->slot_limit;
    size_t room = offset < limit ? limit - offset : 0;
    return flash_write_any(u->options->flash, u->slot + offset, bytes, size < room ? size : room,
                           &u->flash_error);
}

static bool write_bytes(void *context, const struct ota_client *client, uint32_t offset,
                        const uint8_t *bytes, size_t size)
{
    struct upgrade *u = context;
    const struct faults *faults = &u->options->faults;
    bool drop = faults->drops && offset + size >= faults->drop_after;
    if (drop) {
        size = faults->drop_after > offset ? faults->drop_after - offset : 0;
    }
    if (!flash_did(u, write_body(u, offset, bytes, size))) {
        return false;
    }
    uint32_t done = offset + (uint32_t)size;
    u->result->bytes = done;
    show_progress(u, done, client->length);
    stall(u, done, client->length);
    if (drop) {
        u->result->rule = OTA_RULE_COMPLETE;
        u->result->late = true;
        (void)snprintf(u->result->found, sizeof u->result->found,
                       "the device closed the connection after %u of %u bytes", done,
                       client->length);
        return end_with(u, UPGRADE_REFUSED);
    }
    return go_on(u);
}

/* ---- the end ---- */

/* The CRC of the flash, over what the client counted. */
static enum espimage_code flash_crc(const struct upgrade *u, uint32_t length, uint32_t *crc,
                                    struct espimage_error *err)
{
    uint8_t bytes[ESPIMAGE_SECTOR];
    uint32_t counted = length < CRC_SIZE ? 0 : length - CRC_SIZE;
    *crc = 0;
    for (uint32_t at = 0; at < counted;) {
        uint32_t part = counted - at < sizeof bytes ? counted - at : (uint32_t)sizeof bytes;
        enum espimage_code code = flash_read(u->options->flash, u->slot + at, bytes, part, err);
        if (code != ESPIMAGE_OK) {
            return code;
        }
        *crc = checksum_crc32_more(*crc, bytes, part);
        at += part;
    }
    return ESPIMAGE_OK;
}

static enum espimage_code read_back(struct upgrade *u, const struct ota_client *client,
                                    struct espimage_error *err)
{
    uint32_t crc = 0;
    enum espimage_code code = flash_crc(u, client->length, &crc, err);
    if (code == ESPIMAGE_OK && crc != client->crc) {
        u->result->end = UPGRADE_REFUSED;
        u->result->rule = OTA_RULE_CRC;
        (void)snprintf(u->result->found, sizeof u->result->found, "flash %08X, received %08X",
                       checksum_device_crc(crc), checksum_device_crc(client->crc));
    }
    return code;
}

static enum espimage_code save(struct upgrade *u, struct espimage_error *err)
{
    char line[32];
    uint8_t slot = 0;
    (void)snprintf(line, sizeof line, "reboot to use %d", 3 - u->options->running);
    say(u, line);
    return save_other_slot(u->options->flash, &slot, err);
}

static enum espimage_code finish(struct upgrade *u, const struct ota_client *client,
                                 struct espimage_error *err)
{
    (void)snprintf(u->result->found, sizeof u->result->found, "%s", client->found);
    if (client->state != OTA_STATE_SUCCESS) {
        u->result->end = UPGRADE_REFUSED;
        u->result->rule = client->decided_by;
        u->result->late = client->notice == OTA_NOTICE_LATE;
        return ESPIMAGE_OK;
    }
    say(u, "upgrade file download finish");
    enum espimage_code code = read_back(u, client, err);
    if (code == ESPIMAGE_OK && u->result->end == UPGRADE_DONE) {
        code = save(u, err);
    }
    return code;
}

static void no_server(struct upgrade *u, const struct espimage_error *err)
{
    u->result->end = UPGRADE_REFUSED;
    u->result->rule = OTA_RULE_CONNECT;
    u->result->late = true;
    (void)snprintf(u->result->found, sizeof u->result->found, "%.*s",
                   (int)sizeof u->result->found - 1, err->found);
}

static enum espimage_code exchange(struct upgrade *u, struct espimage_error *err)
{
    const struct upgrade_options *o = u->options;
    const struct probe_hooks hooks = {go_on, erase, received, write_bytes, u, o->stop_fd};
    const struct probe_options options = {
        .target = o->target,
        .client = {.running = o->running, .partition = o->map->slot_limit},
        .mss = o->mss,
        .speed = o->speed,
        .seconds = o->seconds,
        .source = o->source,
        .hooks = &hooks,
    };
    struct probe_result probe;
    enum espimage_code code = probe_run(&options, &probe, err);
    if (code == ESPIMAGE_ERR_UNAVAILABLE) {
        no_server(u, err);
        return ESPIMAGE_OK;
    }
    if (code != ESPIMAGE_OK) {
        return code;
    }
    u->result->seconds = probe.seconds;
    if (u->flash_code != ESPIMAGE_OK) {
        *err = u->flash_error;
        code = u->flash_code;
    } else if (u->result->end == UPGRADE_DONE) {
        code = finish(u, &probe.client, err);
    }
    probe_result_free(&probe);
    return code;
}

enum espimage_code upgrade_run(const struct upgrade_options *options, struct upgrade_result *out,
                               struct espimage_error *err)
{
    struct upgrade u = {.options = options, .result = out};
    u.slot = options->map->slot[2 - options->running];
    memset(out, 0, sizeof *out);
    u.power = (struct power){.faults = &options->faults, .slot = u.slot};
    power_watch(&u.power, options->flash);
    enum espimage_code code = exchange(&u, err);
    power_ignore(options->flash);
    if (options->flash->dead) {
        out->end = UPGRADE_NO_POWER;
        power_failed_at(&options->faults, out->found, sizeof out->found);
        return ESPIMAGE_OK;
    }
    return code;
}
