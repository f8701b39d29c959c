/* SPDX-License-Identifier: MIT */
/* A virtual ESP8266: boots from its flash, waits for its trigger, updates itself, restarts. Each
 * has a thread of its own; the ports of all are served by that of ports.h. */
#ifndef DEVICE_DEVICE_H
#define DEVICE_DEVICE_H

#include "device/build.h"
#include "device/receive.h"
#include "device/upgrade.h"

#include <espimage/parameters.h>
#include <pthread.h>

/* Where images are when no server is given: on who pulled the trigger. */
#define DEVICE_SERVER_PORT 8888

struct device;

/* Of an upload: the bytes of its body that came with its header. */
#define DEVICE_EARLY_ROOM 2048

/* The same for all devices of a process; outlives them. */
struct device_settings {
    const struct espimage_flash_map *map;
    enum espimage_boot_version boot_version; /* a known one */
    uint8_t flash_mode;                      /* codes of known settings, for the log */
    uint8_t flash_freq;
    bool pushed; /* images are pushed to the page port, in `dialect`; there is no trigger port */
    enum upload_dialect dialect;
    const struct target *server; /* its path is a folder, "" or "/prefix"; NULL: see above */
    uint16_t mss;
    uint32_t speed;
    uint32_t seconds;
    struct faults faults;
    bool automatic;   /* an update begins after each boot */
    uint32_t updates; /* finished ones after which a device ends; 0: never */
    atomic_bool stop;
    int stop_fd; /* becomes readable with `stop` */
    int done_fd; /* an eventfd, counted up by each device that has ended */
    /* A line for the log, from the device's thread. */
    void (*say)(const struct device *device, const char *line);
};

struct device_upload {
    int fd;
    struct upload_request request;
    uint8_t early[DEVICE_EARLY_ROOM];
    size_t early_size;
};

enum device_state { DEVICE_BOOTING, DEVICE_RUNNING, DEVICE_UPDATING, DEVICE_DEAD };

struct device {
    struct device_settings *settings;
    struct flash flash;
    struct in_addr address; /* of its ports */
    char address_text[INET_ADDRSTRLEN];
    struct in_addr source; /* of its connections; INADDR_ANY: the system chooses */
    uint16_t page_port;
    uint16_t trigger_port;
    pthread_t thread;
    bool started;
    uint32_t retries; /* in RTC memory, of the bootloader */
    uint8_t says;     /* slot that the SDK took for the running one at the last update */

    pthread_mutex_t lock; /* for what follows */
    pthread_cond_t wake;
    enum device_state state;
    bool triggered;
    struct in_addr trigger_from;
    bool ended;                     /* its thread takes no more orders */
    bool uploading;                 /* an upload waits, or is taken */
    struct device_upload upload;    /* valid when it waits */
    bool reboots;                   /* at reboot_at */
    struct timespec reboot_at;      /* monotonic */
    struct upload_device upload_to; /* of one that is pushed to */
    uint8_t other[UPLOAD_HEADER];   /* the start of the slot that does not run */
    uint8_t running;                /* slot; 0: none yet, or an address that is no slot */
    struct build build;
    uint32_t succeeded; /* updates whose image runs */
    uint32_t failed;
    char last_rule[32]; /* of the last failure: of src/ota, "boot" or "power"; "": none failed */
    char last_found[320];
    double seconds; /* that updates took */

    atomic_uint progress; /* of the update that runs, bytes */
    atomic_uint total;
};

/* Everything but flash, address, source and ports, which the caller sets. */
void device_init(struct device *device, struct device_settings *settings);

/* ESPIMAGE_ERR_MEMORY when there is no thread to be had. */
enum espimage_code device_start(struct device *device, struct espimage_error *err);

/* What the trigger port does; true when an update begins. */
bool device_trigger(struct device *device, struct in_addr from);

/* What it is to those who push: false when it does not answer. `other` is the start of the slot
 * that does not run. */
bool device_answers(struct device *device, struct upload_device *out, uint8_t other[UPLOAD_HEADER]);

/* Hands an upload to the device's thread, which answers and closes the connection. False when it
 * takes none now: then the connection is still the caller's. */
bool device_upload(struct device *device, const struct device_upload *upload);

/* Restarts from the other slot after so many milliseconds. */
void device_reboot(struct device *device, uint32_t milliseconds);

/* Wakes it, when settings->stop is set. */
void device_wake(struct device *device);
void device_join(struct device *device);

/* What a page says of it. */
struct device_view {
    enum device_state state;
    uint8_t running;
    char build[sizeof((struct build *)0)->name];
    uint32_t progress;
    uint32_t total;
    uint32_t succeeded;
    uint32_t failed;
    char last_rule[sizeof((struct device *)0)->last_rule];
    char last_found[sizeof((struct device *)0)->last_found];
};
void device_look(struct device *device, struct device_view *out);

#endif
