/* SPDX-License-Identifier: MIT */
#include "push/update.h"

#include <stdio.h>
#include <string.h>

static const char *const names[PUSH_STATE_COUNT] = {
    [PUSH_WAITING] = "waiting",
    [PUSH_INSPECTING] = "inspecting",
    [PUSH_TRIGGERED] = "triggered",
    [PUSH_DOWNLOADING] = "downloading",
    [PUSH_DOWNLOADED] = "downloaded",
    [PUSH_REBOOTING] = "rebooting",
    [PUSH_SWITCHED] = "switched",
    [PUSH_ALREADY] = "up to date",
    [PUSH_UNREACHABLE] = "unreachable",
    [PUSH_BUSY] = "busy",
    [PUSH_REFUSED] = "refused",
    [PUSH_NOT_SWITCHED] = "not switched",
    [PUSH_CAME_BACK] = "came back as before",
    [PUSH_TIMED_OUT] = "timed out",
};

const char *push_state_name(enum push_state state)
{
    return names[state];
}

bool push_state_by_name(const char *name, enum push_state *out)
{
    for (int i = 0; i < PUSH_STATE_COUNT; i++) {
        if (strcmp(names[i], name) == 0) {
            *out = (enum push_state)i;
            return true;
        }
    }
    return false;
}

bool push_state_is_good(enum push_state state)
{
    return state == PUSH_SWITCHED || state == PUSH_ALREADY;
}

void push_update_init(struct push_update *update)
{
    memset(update, 0, sizeof *update);
    update->attempts = 1;
}

void push_update_again(struct push_update *update)
{
    const struct push_update kept = *update;
    push_update_init(update);
    update->attempts = kept.attempts + 1;
    update->has_image = kept.has_image;
    update->before = kept.before;
    update->started = kept.started;
}

/* ---- steps ---- */

static enum push_action end(struct push_update *u, enum push_state state, const char *reason)
{
    u->state = state;
    u->ended = true;
    u->due = 0;
    (void)snprintf(u->reason, sizeof u->reason, "%s", reason != NULL ? reason : "");
    return PUSH_DO_END;
}

static enum push_action wait_until(struct push_update *u, double due)
{
    u->due = due;
    return PUSH_DO_WAIT;
}

static enum push_action begin(struct push_update *u, const struct push_rules *r)
{
    u->state = PUSH_INSPECTING;
    u->due = 0;
    return r->posts ? PUSH_DO_ASK : PUSH_DO_TRIGGER;
}

static enum push_action start(struct push_update *u, const struct push_rules *r, double now)
{
    u->started = u->attempts == 1 ? now : u->started;
    u->attempt_at = now;
    if (!r->inspects) {
        return begin(u, r);
    }
    u->state = PUSH_INSPECTING;
    return PUSH_DO_INSPECT;
}

/* What ran before the update. */
static enum push_action inspected(struct push_update *u, const struct push_rules *r,
                                  enum push_shown shown)
{
    bool was_other = u->before == PUSH_SHOWS_OTHER || u->before == PUSH_SHOWS_UNKNOWN;
    if (shown == PUSH_SHOWS_NEW && u->attempts > 1 && u->has_image && was_other) {
        return end(u, PUSH_SWITCHED, NULL);
    }
    if (shown == PUSH_SHOWS_NEW && !r->force) {
        return end(u, PUSH_ALREADY, NULL);
    }
    if (u->attempts == 1 || shown != PUSH_SHOWS_NOTHING) {
        u->before = shown;
    }
    return begin(u, r);
}

static enum push_action not_reached(struct push_update *u, const struct push_event *e)
{
    switch (e->failure) {
    case PUSH_FAILED_CONNECT: return end(u, PUSH_UNREACHABLE, e->reason);
    case PUSH_FAILED_BUSY: return end(u, PUSH_BUSY, e->reason);
    case PUSH_FAILED_REFUSED: break;
    }
    return end(u, PUSH_REFUSED, e->reason);
}

static enum push_action taken(struct push_update *u, const struct push_rules *r,
                              const struct push_event *e, double now)
{
    u->state = PUSH_DOWNLOADED;
    u->has_image = true;
    u->image_at = now;
    u->fetch_began = e->began;
    u->fetch_over = e->over;
    u->slot = e->slot;
    if (r->posts) {
        u->due = 0;
        return PUSH_DO_REBOOT;
    }
    return wait_until(u, now + (r->inspects ? r->poll : r->proof));
}

static const char *why_late(const struct push_update *u)
{
    if (u->state == PUSH_DOWNLOADING) {
        return "the download did not end in time";
    }
    return u->slot != 0 ? "the device asked for the file, but did not fetch it"
                        : "triggered, but the device asked for no image";
}

/* The device has not taken an image yet. */
static enum push_action before_image(struct push_update *u, const struct push_rules *r,
                                     const struct push_event *e, double now)
{
    switch (e->kind) {
    case PUSH_EVENT_SHOWN:
        /* A device that has begun by itself meanwhile is not triggered. */
        return u->state == PUSH_INSPECTING ? inspected(u, r, e->shown) : PUSH_DO_WAIT;
    case PUSH_EVENT_TRIGGERED:
        if (u->state != PUSH_INSPECTING) {
            return PUSH_DO_WAIT; /* it asks already */
        }
        u->state = PUSH_TRIGGERED;
        return wait_until(u, now + r->ask);
    case PUSH_EVENT_NOT_TRIGGERED: return not_reached(u, e);
    case PUSH_EVENT_WANTS:
        u->slot = e->slot;
        u->before = e->slot != 0 ? PUSH_SHOWS_OTHER : u->before;
        u->state = PUSH_TRIGGERED;
        return e->slot != 0 ? PUSH_DO_POST : not_reached(u, e);
    case PUSH_EVENT_ASKED:
        u->slot = e->slot;
        u->state = u->state == PUSH_DOWNLOADING ? u->state : PUSH_TRIGGERED;
        return wait_until(u, u->attempt_at + r->whole);
    case PUSH_EVENT_PROGRESS:
        u->state = PUSH_DOWNLOADING;
        u->slot = e->slot;
        u->sent = e->sent;
        u->size = e->size;
        return wait_until(u, u->attempt_at + r->whole);
    case PUSH_EVENT_NOT_SERVED: return end(u, PUSH_NOT_SWITCHED, e->reason);
    case PUSH_EVENT_BROKE_OFF: return end(u, PUSH_REFUSED, e->reason);
    case PUSH_EVENT_TAKEN: return taken(u, r, e, now);
    case PUSH_EVENT_TIMER: return end(u, PUSH_TIMED_OUT, why_late(u));
    default: return PUSH_DO_WAIT;
    }
}

static enum push_action out_of_proof(struct push_update *u, const struct push_rules *r)
{
    if (!r->inspects && !r->posts) {
        return end(u, PUSH_DOWNLOADED, "no proof: the device did not ask for the other file");
    }
    if (u->last == PUSH_SHOWS_NOTHING && u->before == PUSH_SHOWS_NOTHING) {
        return end(u, PUSH_DOWNLOADED, "no proof: the device shows nothing, before and after");
    }
    if (u->last == PUSH_SHOWS_NOTHING) {
        return end(u, PUSH_TIMED_OUT, "the device has the image, and does not answer since");
    }
    if (u->last == PUSH_SHOWS_NEW && u->before == PUSH_SHOWS_NEW) {
        return end(u, PUSH_DOWNLOADED, "no proof: it showed this build before the update, too");
    }
    if (u->last == PUSH_SHOWS_NEW) {
        return end(u, PUSH_DOWNLOADED,
                   "no proof: it shows this build, but before the update it did not answer");
    }
    return end(u, PUSH_DOWNLOADED, "no proof: what the device shows names no build");
}

static enum push_action seen_old(struct push_update *u, const struct push_rules *r, double now)
{
    u->old_since = u->old_since > 0 ? u->old_since : now;
    if (now - u->old_since >= r->settle) {
        return u->was_down ? end(u, PUSH_CAME_BACK, "it rebooted into what it ran before")
                           : end(u, PUSH_NOT_SWITCHED, "it has the image, and did not start it");
    }
    return wait_until(u, now + r->poll);
}

static enum push_action look_again(struct push_update *u, const struct push_rules *r, double now)
{
    u->old_since = 0;
    return now - u->image_at >= r->proof ? out_of_proof(u, r) : wait_until(u, now + r->poll);
}

static enum push_action seen_after(struct push_update *u, const struct push_rules *r,
                                   enum push_shown shown, double now)
{
    bool answered_before = u->before == PUSH_SHOWS_OTHER || u->before == PUSH_SHOWS_UNKNOWN;
    u->last = shown;
    if (shown == PUSH_SHOWS_NOTHING) {
        u->was_down = true;
        u->state = PUSH_REBOOTING;
        return look_again(u, r, now);
    }
    if (shown == PUSH_SHOWS_NEW && answered_before) {
        return end(u, PUSH_SWITCHED, NULL);
    }
    return shown == PUSH_SHOWS_OTHER ? seen_old(u, r, now) : look_again(u, r, now);
}

/* After a reboot the device names the file it wants: the other one when it switched. */
static enum push_action wants_after(struct push_update *u, const struct push_rules *r, int slot,
                                    double now)
{
    u->last = PUSH_SHOWS_OTHER;
    if (slot == 0) {
        return seen_after(u, r, PUSH_SHOWS_NOTHING, now);
    }
    return slot != u->slot ? end(u, PUSH_SWITCHED, NULL) : seen_old(u, r, now);
}

/* A request from before the image was there says nothing about what runs now. */
static enum push_action asked_after(struct push_update *u, const struct push_event *e)
{
    if (e->slot != u->slot && e->began > u->fetch_began) {
        return end(u, PUSH_SWITCHED, NULL);
    }
    if (e->slot == u->slot && e->began > u->fetch_over) {
        return end(u, u->was_down ? PUSH_CAME_BACK : PUSH_NOT_SWITCHED,
                   "it has fetched the image, and asks for the same file again");
    }
    return PUSH_DO_WAIT;
}

/* The device has the image. */
static enum push_action after_image(struct push_update *u, const struct push_rules *r,
                                    const struct push_event *e, double now)
{
    switch (e->kind) {
    case PUSH_EVENT_REBOOT_ASKED: u->state = PUSH_REBOOTING; return wait_until(u, now + r->reboot);
    case PUSH_EVENT_BROKE_OFF: return r->posts ? end(u, PUSH_REFUSED, e->reason) : PUSH_DO_WAIT;
    case PUSH_EVENT_SHOWN: return seen_after(u, r, e->shown, now);
    case PUSH_EVENT_WANTS: return wants_after(u, r, e->slot, now);
    case PUSH_EVENT_ASKED:
    case PUSH_EVENT_NOT_SERVED: return asked_after(u, e);
    case PUSH_EVENT_TIMER:
        u->due = 0;
        if (r->posts) {
            return PUSH_DO_ASK;
        }
        return r->inspects ? PUSH_DO_INSPECT : out_of_proof(u, r);
    default: return PUSH_DO_WAIT;
    }
}

enum push_action push_update_step(struct push_update *u, const struct push_rules *r,
                                  const struct push_event *e, double now)
{
    if (u->ended) {
        return PUSH_DO_END;
    }
    if (e->kind == PUSH_EVENT_START) {
        return start(u, r, now);
    }
    bool has_image = u->state == PUSH_DOWNLOADED || u->state == PUSH_REBOOTING;
    return has_image ? after_image(u, r, e, now) : before_image(u, r, e, now);
}
