/* SPDX-License-Identifier: MIT */
#include "device/receive.h"

#include "base/clock.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/* As Espruino has it; the others leave it to the SDK. */
#define SILENCE_MS 30000

struct receive {
    const struct receive_options *options;
    struct receive_result *result;
    struct upload upload;
    struct power power;
    size_t early_used;
    uint32_t taken; /* bytes of the body */
    bool stalled;
    double began;
};

static bool end_with(struct receive *r, enum receive_end end)
{
    r->result->end = end;
    return false;
}

/* ---- the connection ---- */

static bool stopping(const struct receive *r)
{
    return atomic_load(r->options->stop);
}

/* Until told to stop. */
static void rest(const struct receive *r, double seconds)
{
    struct pollfd stop = {r->options->stop_fd, POLLIN, 0};
    if (seconds > 0) {
        (void)poll(&stop, 1, (int)(seconds * 1000) + 1);
    }
}

static bool broken(struct receive *r, const char *how)
{
    (void)snprintf(r->result->found, sizeof r->result->found, "%s after %u of %u bytes", how,
                   r->taken, r->options->request.length);
    return end_with(r, RECEIVE_BROKEN);
}

static bool take_early(struct receive *r, uint8_t *to, size_t size, size_t *got)
{
    size_t early = r->options->early_size - r->early_used;
    *got = early < size ? early : size;
    if (*got > 0) {
        memcpy(to, r->options->early + r->early_used, *got);
        r->early_used += *got;
    }
    return *got > 0;
}

/* Some of the bytes, perhaps none; false when the upload ends. */
static bool take_some(struct receive *r, uint8_t *to, size_t size, size_t *got)
{
    struct pollfd wait[] = {{r->options->fd, POLLIN, 0}, {r->options->stop_fd, POLLIN, 0}};
    if (take_early(r, to, size, got)) {
        return true;
    }
    int ready = poll(wait, 2, SILENCE_MS);
    if (stopping(r)) {
        return end_with(r, RECEIVE_STOPPED);
    }
    if (ready <= 0) {
        return ready < 0 || broken(r, "nothing came");
    }
    ssize_t count = recv(r->options->fd, to, size, MSG_DONTWAIT);
    if (count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR)) {
        return broken(r, count == 0 ? "the connection ended" : strerror(errno));
    }
    *got = count > 0 ? (size_t)count : 0;
    return true;
}

/* Exactly `size` bytes; false when the upload ends. */
static bool collect(struct receive *r, uint8_t *to, size_t size)
{
    size_t got = 0;
    for (size_t have = 0; have < size; have += got) {
        if (!take_some(r, to + have, size - have, &got)) {
            return false;
        }
    }
    return true;
}

/* Slow devices and those that stall. */
static void take_time(struct receive *r)
{
    const struct receive_options *o = r->options;
    if (o->speed != 0) {
        rest(r, r->began + (double)r->taken / o->speed - now_seconds());
    }
    if (!r->stalled && o->faults->stall != 0 && r->taken >= o->request.length / 2) {
        r->stalled = true;
        rest(r, o->faults->stall);
    }
}

/* ---- the flash ---- */

/* The part of a write within one sector, which is erased when the write begins with it. */
static enum espimage_code write_in_sector(const struct receive *r, uint32_t address,
                                          const uint8_t *bytes, size_t size,
                                          struct espimage_error *err)
{
    enum espimage_code code = ESPIMAGE_OK;
    if (address % ESPIMAGE_SECTOR == 0) {
        code = flash_erase(r->options->flash, address, err);
    }
    return code == ESPIMAGE_OK ? flash_write_any(r->options->flash, address, bytes, size, err)
                               : code;
}

/* Never beyond the flash, whatever a bundle says. */
static enum espimage_code write_step(const struct receive *r, const struct upload_step *step,
                                     struct espimage_error *err)
{
    const struct flash *flash = r->options->flash;
    uint32_t address = r->options->device.map->slot[step->slot - 1] + step->offset;
    uint32_t room = address < flash->size ? flash->size - address : 0;
    size_t size = step->size < room ? step->size : room;
    enum espimage_code code = ESPIMAGE_OK;
    for (size_t done = 0; done < size && code == ESPIMAGE_OK;) {
        uint32_t at = address + (uint32_t)done;
        size_t part = ESPIMAGE_SECTOR - at % ESPIMAGE_SECTOR;
        part = part < size - done ? part : size - done;
        code = write_in_sector(r, at, step->bytes + done, part, err);
        done += part;
    }
    return code;
}

/* ---- pieces ---- */

static bool answered(struct receive *r, const struct upload_answer *answer)
{
    r->result->answer = *answer;
    r->result->bytes = r->upload.written;
    r->result->slot = r->upload.slot;
    if (answer->status == 200 && answer->text[0] == '\0') {
        return end_with(r, RECEIVE_DONE);
    }
    (void)snprintf(r->result->found, sizeof r->result->found, "%d %s", answer->status,
                   answer->text);
    return end_with(r, RECEIVE_REFUSED);
}

/* False when the upload ends, or the flash has failed. */
static bool take_piece(struct receive *r, const uint8_t *piece, size_t size,
                       enum espimage_code *code, struct espimage_error *err)
{
    struct upload_step step;
    upload_take(&r->upload, piece, size, &step);
    if (step.size > 0) {
        r->power.slot = r->options->device.map->slot[step.slot - 1];
        *code = write_step(r, &step, err);
        if (*code != ESPIMAGE_OK) {
            return false;
        }
        if (step.slot == r->options->executing) {
            (void)snprintf(r->result->found, sizeof r->result->found,
                           "the upload overwrites user%u, which runs", step.slot);
            return end_with(r, RECEIVE_ERASED_ITSELF);
        }
    }
    return step.answer.status == 0 || answered(r, &step.answer);
}

/* The next piece, as it comes out of a network with faults. */
static bool next_piece(struct receive *r, uint8_t *piece, size_t size)
{
    const struct faults *faults = r->options->faults;
    if (!collect(r, piece, size)) {
        return false;
    }
    faults_flip(faults, r->taken, piece, size);
    r->taken += (uint32_t)size;
    atomic_store(r->options->progress, r->taken);
    take_time(r);
    if (faults->drops && r->taken >= faults->drop_after) {
        return broken(r, "the device closed the connection");
    }
    return true;
}

static enum espimage_code take_all(struct receive *r, struct espimage_error *err)
{
    uint8_t piece[UPLOAD_LARGEST_PIECE];
    enum espimage_code code = ESPIMAGE_OK;
    size_t whole = upload_piece_size(r->options->device.dialect);
    bool more = true;
    while (more) {
        uint32_t left = r->options->request.length - r->taken;
        size_t size = left < whole ? left : whole;
        more = next_piece(r, piece, size) && take_piece(r, piece, size, &code, err);
    }
    return code;
}

enum espimage_code receive_run(const struct receive_options *options, struct receive_result *out,
                               struct espimage_error *err)
{
    struct receive r = {.options = options, .result = out, .began = now_seconds()};
    memset(out, 0, sizeof *out);
    r.power.faults = options->faults;
    upload_begin(&r.upload, &options->device, &options->request);
    power_watch(&r.power, options->flash);
    enum espimage_code code = take_all(&r, err);
    power_ignore(options->flash);
    out->seconds = now_seconds() - r.began;
    if (options->flash->dead) {
        out->end = RECEIVE_NO_POWER;
        power_failed_at(options->faults, out->found, sizeof out->found);
        return ESPIMAGE_OK;
    }
    return code;
}
