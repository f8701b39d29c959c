/* SPDX-License-Identifier: MIT */
/* The update of one device as a state machine: what was observed in, what to do next out. No
 * sockets, no clock.
 *
 * Two families: a device that is triggered and then fetches the image itself, and a device that
 * names the file it wants and to which the image is posted. An update counts as switched only with
 * proof from the device; without proof the last state is PUSH_DOWNLOADED. */
#ifndef PUSH_UPDATE_H
#define PUSH_UPDATE_H

#include <stdbool.h>
#include <stdint.h>

enum push_state {
    PUSH_WAITING,     /* for its turn */
    PUSH_INSPECTING,  /* what runs, and which file is wanted? */
    PUSH_TRIGGERED,   /* the trigger was taken; no image is on its way yet */
    PUSH_DOWNLOADING, /* the device takes the image */
    PUSH_DOWNLOADED,  /* the device has all of it */
    PUSH_REBOOTING,   /* ... and does not answer, or was told to reboot */
    PUSH_SWITCHED,    /* proof: it runs the new build */
    PUSH_ALREADY,     /* it ran the build before */
    PUSH_UNREACHABLE,
    PUSH_BUSY,
    PUSH_REFUSED,      /* the device did not take the image */
    PUSH_NOT_SWITCHED, /* proof: it runs what it ran, and was not seen to reboot */
    PUSH_CAME_BACK,    /* proof: it rebooted, and runs what it ran */
    PUSH_TIMED_OUT,
    PUSH_STATE_COUNT
};

/* "waiting", "came back as before", ...: for people and for --json. */
const char *push_state_name(enum push_state state);
/* False for a name that is none. */
bool push_state_by_name(const char *name, enum push_state *out);
/* PUSH_SWITCHED or PUSH_ALREADY. */
bool push_state_is_good(enum push_state state);

struct push_rules {
    bool inspects; /* a page or a command shows which build runs */
    bool posts;    /* the image is posted to the device */
    bool force;    /* update a device that runs the build already */
    /* Seconds: */
    double ask;    /* for a triggered device to ask for an image */
    double whole;  /* for the update, until the device has the image */
    double proof;  /* for the proof, after that */
    double settle; /* the old build may still be seen so long */
    double reboot; /* before the first look at a device that was told to reboot */
    double poll;   /* between two looks at the device */
};

enum push_event_kind {
    PUSH_EVENT_START,
    PUSH_EVENT_TIMER,         /* `due` has come */
    PUSH_EVENT_SHOWN,         /* which build runs: shown */
    PUSH_EVENT_TRIGGERED,     /* the trigger was taken */
    PUSH_EVENT_NOT_TRIGGERED, /* ... or not: failure */
    PUSH_EVENT_ASKED,         /* the device asks our server for the image of `slot` */
    PUSH_EVENT_NOT_SERVED,    /* ... which has none: reason */
    PUSH_EVENT_PROGRESS,      /* sent of size */
    PUSH_EVENT_TAKEN,         /* it has the whole image of `slot` */
    PUSH_EVENT_BROKE_OFF,     /* it does not take the rest, or said no: reason */
    PUSH_EVENT_WANTS,         /* the device names the file it wants: slot */
    PUSH_EVENT_REBOOT_ASKED   /* it was told to reboot */
};

enum push_shown {
    PUSH_SHOWS_NOTHING, /* no answer */
    PUSH_SHOWS_UNKNOWN, /* an answer without a build */
    PUSH_SHOWS_OTHER,
    PUSH_SHOWS_NEW
};

enum push_failure { PUSH_FAILED_CONNECT, PUSH_FAILED_BUSY, PUSH_FAILED_REFUSED };

struct push_event {
    enum push_event_kind kind;
    int slot; /* 1, 2; 0 in WANTS: no answer, and reason says why */
    enum push_shown shown;
    enum push_failure failure; /* of NOT_TRIGGERED, and of WANTS without a slot */
    uint64_t sent;
    uint64_t size;
    /* Of ASKED, NOT_SERVED and TAKEN, when the request began and ended: such events may come late
     * and in another order. */
    double began;
    double over;
    const char *reason; /* or NULL */
};

enum push_action {
    PUSH_DO_WAIT,    /* for the next event, or for `due` */
    PUSH_DO_INSPECT, /* to be answered by SHOWN */
    PUSH_DO_TRIGGER, /* TRIGGERED or NOT_TRIGGERED */
    PUSH_DO_ASK,     /* WANTS */
    PUSH_DO_POST,    /* the image of `slot`: PROGRESS, TAKEN or BROKE_OFF */
    PUSH_DO_REBOOT,  /* REBOOT_ASKED */
    PUSH_DO_END
};

#define PUSH_REASON 200

/* Open to be read; changed only by the functions below. */
struct push_update {
    enum push_state state;
    bool ended;
    unsigned attempts;
    int slot; /* that the device wants or has; 0: not known */
    uint64_t sent;
    uint64_t size;
    char reason[PUSH_REASON]; /* why it ended so; "" when all went well */
    double started;           /* the first attempt */
    double attempt_at;        /* this one */
    double due;               /* a TIMER is wanted then; 0: none */
    bool has_image;           /* it took a whole one, in this attempt or an earlier one */
    enum push_shown before;   /* the first attempt's; NOTHING: not seen */
    enum push_shown last;
    double image_at;
    double fetch_began; /* the request that brought the image */
    double fetch_over;
    double old_since; /* what it ran before is seen since then; 0: not now */
    bool was_down;
};

void push_update_init(struct push_update *update);
/* For another attempt: what is known of the device is kept. */
void push_update_again(struct push_update *update);

enum push_action push_update_step(struct push_update *update, const struct push_rules *rules,
                                  const struct push_event *event, double now);

#endif
