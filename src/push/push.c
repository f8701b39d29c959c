/* SPDX-License-Identifier: MIT */
#include "push/push.h"

#include "base/clock.h"
#include "base/text.h"
#include "push/command.h"
#include "push/exchange.h"
#include "push/inbox.h"

#include <arpa/inet.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

/* A device that is up accepts a connection in milliseconds; on a bad network a SYN is sent again
 * after one second and after three. */
#define CONNECT_SECONDS 5
/* Silence of a device that writes flash. */
#define IDLE_SECONDS 10
/* A trigger's connection is held so long, unless the device closes it. */
#define TRIGGER_SECONDS 2
#define RETRY_SECONDS   1
/* A device that takes an image erases and writes flash in between. */
#define POST_SECONDS    20
#define COMMAND_SECONDS 60
#define REQUEST         1024

struct active {
    struct push_device device;
    struct push *push;
    struct exchange exchange;
    struct command_run command;
    enum push_action doing; /* what the exchange is for */
    bool told_connected;
    double again; /* another attempt begins then; 0: none */
    double began_download;
};

struct push {
    struct push_options options;
    struct fleet fleet;
    struct fleet_device *places;
    struct active *devices;
    size_t count;
    struct event_loop *loop;
    struct inbox *inbox;
    struct handler signals;
    int signal_fd;
    bool (*interrupted)(int signal_fd);
    unsigned interruptions;
};

static void step(struct active *a, const struct push_event *event);

/* ---- exchanges ---- */

static struct sockaddr_in address_of(const struct active *a, uint16_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = a->device.at->ip};
}

static void begin_post(struct active *a, const char *head, const struct push_image *image)
{
    const struct transport *via = &a->push->options.transport;
    const struct exchange_request request = {.to = address_of(a, via->port),
                                             .head = head,
                                             .body = image->data,
                                             .body_size = image->size,
                                             .piece = via->kind->piece,
                                             .connect = CONNECT_SECONDS,
                                             .idle = POST_SECONDS};
    exchange_begin(&a->exchange, &request);
}

static void begin_exchange(struct active *a, uint16_t port, const char *head, double idle)
{
    const struct exchange_request request = {
        .to = address_of(a, port), .head = head, .connect = CONNECT_SECONDS, .idle = idle};
    a->told_connected = false;
    exchange_begin(&a->exchange, &request);
}

/* "http://{device}:8080/path": the host is the device, whatever the URL calls it. */
static uint16_t split_page(const char *url, const char **path)
{
    const char *host = strstr(url, "://");
    host = host != NULL ? host + 3 : url;
    size_t size = strcspn(host, "/");
    const char *colon = memchr(host, ':', size);
    *path = host[size] != '\0' ? host + size : "/";
    return colon != NULL ? (uint16_t)strtoul(colon + 1, NULL, 10) : 80;
}

static void inspect(struct active *a)
{
    char head[REQUEST];
    const char *path = "/";
    uint16_t port = split_page(a->push->options.page, &path);
    (void)snprintf(head, sizeof head,
                   "GET %.700s HTTP/1.0\r\nHost: %s\r\nConnection: close\r\n\r\n", path,
                   a->device.at->address);
    begin_exchange(a, port, head, IDLE_SECONDS);
}

static void on_shown(struct active *a)
{
    struct push_event e = {.kind = PUSH_EVENT_SHOWN, .shown = PUSH_SHOWS_NOTHING};
    char build[BUILD_DIGITS + 1] = "";
    const char *body = NULL;
    if (a->exchange.end == EXCHANGE_ANSWERED) {
        bool good = exchange_status(&a->exchange, &body) == 200;
        e.shown = good ? page_shows(a->push->options.expectation, body, build) : PUSH_SHOWS_UNKNOWN;
    }
    if (a->device.update.state != PUSH_INSPECTING) {
        memcpy(a->device.build_after, build, sizeof build);
    } else if (a->device.update.attempts == 1) {
        memcpy(a->device.build_before, build, sizeof build);
    }
    step(a, &e);
}

/* ---- devices that fetch the image ---- */

static void trigger(struct active *a)
{
    const struct transport *via = &a->push->options.transport;
    char head[REQUEST];
    const char *path = "/";
    switch (via->kind->trigger) {
    case TRIGGER_REQUEST: {
        uint16_t port = split_page(via->url, &path);
        (void)snprintf(head, sizeof head,
                       "%s %.700s HTTP/1.0\r\nHost: %s\r\n%sConnection: close\r\n\r\n", via->method,
                       path, a->device.at->address,
                       strcmp(via->method, "POST") == 0 ? "Content-Length: 0\r\n" : "");
        begin_exchange(a, port, head, IDLE_SECONDS);
        break;
    }
    case TRIGGER_COMMAND:
        command_begin(&a->command, via->command, a->device.at->address, COMMAND_SECONDS);
        break;
    default: begin_exchange(a, via->port, "", TRIGGER_SECONDS); break;
    }
}

static void not_triggered(struct active *a, enum push_failure failure, const char *reason)
{
    const struct push_event e = {
        .kind = PUSH_EVENT_NOT_TRIGGERED, .failure = failure, .reason = reason};
    step(a, &e);
}

static bool means_busy(int status)
{
    return status == 409 || status == 423 || status == 429 || status == 503;
}

/* A device that begins at once may not get round to an answer. */
static void on_trigger_answer(struct active *a)
{
    const struct push_event triggered = {.kind = PUSH_EVENT_TRIGGERED};
    char why[PUSH_REASON];
    const char *body = NULL;
    int status = exchange_status(&a->exchange, &body);
    if (a->exchange.end == EXCHANGE_NO_CONNECTION) {
        not_triggered(a, PUSH_FAILED_CONNECT, exchange_why(&a->exchange, why, sizeof why));
    } else if (a->exchange.end == EXCHANGE_ANSWERED && status >= 400) {
        (void)snprintf(why, sizeof why, "the trigger was answered with status %d", status);
        not_triggered(a, means_busy(status) ? PUSH_FAILED_BUSY : PUSH_FAILED_REFUSED, why);
    } else if (a->exchange.end != EXCHANGE_OPEN) {
        step(a, &triggered);
    }
}

static void on_command(void *context)
{
    const struct push_event triggered = {.kind = PUSH_EVENT_TRIGGERED};
    struct active *a = context;
    char why[PUSH_REASON];
    if (a->command.status == 0) {
        step(a, &triggered);
    } else if (a->command.status > 0) {
        (void)snprintf(why, sizeof why, "the command ended with status %d", a->command.status);
        not_triggered(a, PUSH_FAILED_REFUSED, why);
    } else {
        (void)snprintf(why, sizeof why, "the command: %s", strerror(a->command.error));
        not_triggered(a, PUSH_FAILED_REFUSED, why);
    }
}

/* ---- devices that the image is posted to ---- */

static void ask(struct active *a)
{
    char head[REQUEST];
    (void)snprintf(head, sizeof head,
                   "GET /flash/next HTTP/1.0\r\nHost: %s\r\nConnection: close\r\n\r\n",
                   a->device.at->address);
    begin_exchange(a, a->push->options.transport.port, head, IDLE_SECONDS);
}

/* The status and the first words of an answer that is not what was wanted. */
static void quote(const struct active *a, const char *request, char why[PUSH_REASON])
{
    char shown[100];
    char words[100];
    const char *body = "";
    int status = exchange_status(&a->exchange, &body);
    if (a->exchange.end != EXCHANGE_ANSWERED) {
        (void)snprintf(why, PUSH_REASON, "%s: %s", request,
                       exchange_why(&a->exchange, words, sizeof words));
        return;
    }
    (void)snprintf(words, sizeof words, "%.*s", (int)strcspn(body, "\r\n"), body);
    printable(shown, sizeof shown, words);
    (void)snprintf(why, PUSH_REASON, "%s: answered with status %d: %s", request, status, shown);
}

static void on_next(struct active *a)
{
    char why[PUSH_REASON];
    const char *body = "";
    struct push_event e = {.kind = PUSH_EVENT_WANTS, .failure = PUSH_FAILED_CONNECT};
    int status = exchange_status(&a->exchange, &body);
    if (a->exchange.end == EXCHANGE_ANSWERED) {
        e.slot = status == 200 && strcmp(body, "user1.bin") == 0 ? 1 : 0;
        e.slot = status == 200 && strcmp(body, "user2.bin") == 0 ? 2 : e.slot;
        e.failure = PUSH_FAILED_REFUSED;
    } else if (a->exchange.end == EXCHANGE_BROKE_OFF) {
        e.failure = PUSH_FAILED_BUSY; /* it serves one client at a time */
    }
    if (e.slot == 0) {
        quote(a, "GET /flash/next", why);
        e.reason = why;
    }
    step(a, &e);
}

static void post(struct active *a)
{
    const struct push_options *o = &a->push->options;
    int slot = a->device.update.slot;
    const struct push_image *image = o->transport.kind->bundle ? &o->bundle : &o->images[slot - 1];
    char head[REQUEST];
    if (image->data == NULL) {
        char why[PUSH_REASON];
        const struct push_event e = {.kind = PUSH_EVENT_NOT_SERVED, .slot = slot, .reason = why};
        (void)snprintf(why, sizeof why, "the device wants user%d.bin: no ELF for app%d was given",
                       slot, slot);
        step(a, &e);
        return;
    }
    (void)snprintf(head, sizeof head,
                   "POST /flash/upload HTTP/1.1\r\nHost: %s\r\nContent-Length: %zu\r\n"
                   "Connection: close\r\n\r\n",
                   a->device.at->address, image->size);
    begin_post(a, head, image);
}

static size_t body_sent(const struct exchange *x)
{
    return x->sent > x->head_size ? x->sent - x->head_size : 0;
}

static void on_post(struct active *a)
{
    const struct exchange *x = &a->exchange;
    char why[PUSH_REASON];
    const char *body = "";
    struct push_event e = {.kind = PUSH_EVENT_PROGRESS,
                           .slot = a->device.update.slot,
                           .sent = body_sent(x),
                           .size = x->request.body_size};
    if (x->end != EXCHANGE_OPEN) {
        /* libesphttpd reports an error with status 200, too. */
        bool good = x->end == EXCHANGE_ANSWERED && exchange_status(x, &body) == 200 &&
                    text_find(body, "error") == NULL && e.sent == e.size;
        e.kind = good ? PUSH_EVENT_TAKEN : PUSH_EVENT_BROKE_OFF;
        quote(a, "POST /flash/upload", why);
        e.reason = good ? NULL : why;
    } else if (e.sent == 0) {
        return;
    }
    step(a, &e);
}

static void reboot(struct active *a)
{
    const struct transport *via = &a->push->options.transport;
    char head[REQUEST];
    (void)snprintf(head, sizeof head,
                   "%s /flash/reboot HTTP/1.1\r\nHost: %s\r\n%sConnection: close\r\n\r\n",
                   via->kind->reboot, a->device.at->address,
                   strcmp(via->kind->reboot, "POST") == 0 ? "Content-Length: 0\r\n" : "");
    begin_exchange(a, via->port, head, IDLE_SECONDS);
}

/* A device that restarts at once gives no answer; one that refuses says why. */
static void on_reboot(struct active *a)
{
    char why[PUSH_REASON];
    const char *body = "";
    struct push_event e = {.kind = PUSH_EVENT_REBOOT_ASKED};
    if (a->exchange.end == EXCHANGE_ANSWERED && exchange_status(&a->exchange, &body) >= 400) {
        quote(a, "/flash/reboot", why);
        e = (struct push_event){.kind = PUSH_EVENT_BROKE_OFF, .reason = why};
    }
    step(a, &e);
}

static void on_trigger(struct active *a)
{
    char why[PUSH_REASON];
    struct push_event e = {.kind = PUSH_EVENT_TRIGGERED};
    if (a->exchange.end == EXCHANGE_NO_CONNECTION) {
        e = (struct push_event){.kind = PUSH_EVENT_NOT_TRIGGERED,
                                .failure = PUSH_FAILED_CONNECT,
                                .reason = exchange_why(&a->exchange, why, sizeof why)};
        step(a, &e);
    } else if (!a->told_connected) {
        a->told_connected = true;
        step(a, &e);
    }
}

static void on_end_of_exchange(struct active *a)
{
    switch (a->doing) {
    case PUSH_DO_INSPECT: on_shown(a); break;
    case PUSH_DO_ASK: on_next(a); break;
    case PUSH_DO_REBOOT: on_reboot(a); break;
    default: break;
    }
}

static void on_exchange(void *context)
{
    struct active *a = context;
    bool by_request = a->push->options.transport.kind->trigger == TRIGGER_REQUEST;
    if (a->doing == PUSH_DO_POST) {
        on_post(a);
    } else if (a->doing == PUSH_DO_TRIGGER && by_request) {
        on_trigger_answer(a);
    } else if (a->doing == PUSH_DO_TRIGGER) {
        on_trigger(a);
    } else if (a->exchange.end != EXCHANGE_OPEN) {
        on_end_of_exchange(a);
    }
}

/* ---- one device ---- */

static bool report(struct active *a)
{
    return a->push->options.changed(a->push->options.context, &a->device);
}

static const char *image_build(const struct active *a)
{
    int slot = a->device.update.slot;
    return slot != 0 ? a->push->options.images[slot - 1].build : "";
}

static void on_end(struct active *a, double now)
{
    struct push *p = a->push;
    struct push_device *d = &a->device;
    d->seconds = now - d->update.started;
    if (d->update.state == PUSH_SWITCHED && d->build_after[0] == '\0') {
        memcpy(d->build_after, image_build(a), sizeof d->build_after);
    }
    if (d->update.state == PUSH_ALREADY) {
        memcpy(d->build_after, d->build_before, sizeof d->build_after);
    }
    exchange_close(&a->exchange);
    command_close(&a->command);
    a->doing = PUSH_DO_WAIT;
    if (fleet_end(&p->fleet, (size_t)(a - p->devices), d->update.state)) {
        a->again = now + RETRY_SECONDS;
    } else {
        (void)report(a);
    }
}

static void act(struct active *a, enum push_action action, double now)
{
    if (action != PUSH_DO_WAIT) {
        a->doing = action;
    }
    switch (action) {
    case PUSH_DO_INSPECT: inspect(a); break;
    case PUSH_DO_TRIGGER: trigger(a); break;
    case PUSH_DO_ASK: ask(a); break;
    case PUSH_DO_POST: post(a); break;
    case PUSH_DO_REBOOT: reboot(a); break;
    case PUSH_DO_END: on_end(a, now); break;
    default: break;
    }
}

static void measure(struct active *a, const struct push_event *e, double now)
{
    if (e->kind == PUSH_EVENT_PROGRESS && a->began_download == 0) {
        a->began_download = now;
    }
    double seconds = now - a->began_download;
    if (e->kind == PUSH_EVENT_PROGRESS && seconds > 0) {
        a->device.speed = (double)e->sent / seconds;
    }
}

static void step(struct active *a, const struct push_event *event)
{
    struct push_update *u = &a->device.update;
    double now = now_seconds();
    if (u->ended) {
        return;
    }
    enum push_state before = u->state;
    measure(a, event, now);
    enum push_action action = push_update_step(u, &a->push->options.rules, event, now);
    if (!u->ended && (u->state != before || event->kind == PUSH_EVENT_PROGRESS)) {
        (void)report(a);
    }
    act(a, action, now);
}

static void start(struct active *a)
{
    const struct push_event start = {.kind = PUSH_EVENT_START};
    const struct push_event unknown = {.kind = PUSH_EVENT_NOT_TRIGGERED,
                                       .failure = PUSH_FAILED_CONNECT,
                                       .reason = "the name cannot be resolved"};
    a->began_download = 0;
    if (!report(a)) {
        fleet_stop(&a->push->fleet);
    }
    step(a, a->device.at->ip.s_addr != 0 ? &start : &unknown);
}

/* ---- our server's events ---- */

static void on_message(void *context, const struct inbox_message *m)
{
    struct push *p = context;
    for (size_t i = 0; i < p->count; i++) {
        struct active *a = &p->devices[i];
        if (a->device.at->ip.s_addr != m->from.s_addr) {
            continue;
        }
        if (p->places[i].place == FLEET_RUNS && a->again == 0) {
            const struct push_event e = {.kind = m->kind,
                                         .slot = m->slot,
                                         .sent = m->sent,
                                         .size = m->size,
                                         .began = m->began,
                                         .over = m->over,
                                         .reason = m->reason[0] != '\0' ? m->reason : NULL};
            step(a, &e);
        }
        return;
    }
}

void push_on_server_event(struct push *p, const struct server_event *event)
{
    if (inbox_put(p->inbox, event)) {
        event_loop_wake(p->loop);
    }
}

/* ---- all of them ---- */

struct push *push_new(const struct push_options *options, const struct roster *roster)
{
    struct push *p = calloc(1, sizeof *p);
    if (p == NULL) {
        return NULL;
    }
    p->options = *options;
    p->count = roster->count;
    p->places = calloc(p->count, sizeof *p->places);
    p->devices = calloc(p->count, sizeof *p->devices);
    p->loop = event_loop_new();
    p->inbox = inbox_new();
    if (p->places == NULL || p->devices == NULL || p->loop == NULL || p->inbox == NULL) {
        p->count = p->devices != NULL ? p->count : 0;
        push_free(p);
        return NULL;
    }
    for (size_t i = 0; i < p->count; i++) {
        struct active *a = &p->devices[i];
        a->push = p;
        a->device.at = &roster->devices[i];
        push_update_init(&a->device.update);
        exchange_init(&a->exchange, p->loop, on_exchange, a);
        command_init(&a->command, p->loop, on_command, a);
    }
    fleet_init(&p->fleet, &options->fleet, p->places, p->count);
    return p;
}

void push_free(struct push *p)
{
    if (p == NULL) {
        return;
    }
    for (size_t i = 0; i < p->count; i++) {
        if (p->devices[i].push != NULL) {
            exchange_close(&p->devices[i].exchange);
            command_close(&p->devices[i].command);
        }
    }
    free(p->places);
    free(p->devices);
    inbox_free(p->inbox);
    event_loop_free(p->loop);
    free(p);
}

void push_skip(struct push *p, size_t index, enum push_state state, const char *reason)
{
    struct push_update *u = &p->devices[index].device.update;
    u->state = state;
    u->ended = true;
    (void)snprintf(u->reason, sizeof u->reason, "%s", reason);
    p->places[index] = (struct fleet_device){FLEET_DONE, state, 0};
}

static void on_signal(void *context, uint32_t events)
{
    struct push *p = context;
    (void)events;
    if (p->interrupted(p->signal_fd)) {
        p->interruptions++;
        fleet_stop(&p->fleet);
    }
}

static double earlier(double a, double b)
{
    return a == 0 || (b != 0 && b < a) ? b : a;
}

static int timeout(const struct push *p, double now)
{
    double due = 0;
    for (size_t i = 0; i < p->count; i++) {
        const struct active *a = &p->devices[i];
        if (p->places[i].place == FLEET_RUNS) {
            due = earlier(due, earlier(a->again, a->device.update.due));
            due = earlier(due, earlier(a->exchange.due, a->command.due));
        }
    }
    if (due == 0) {
        return -1;
    }
    return due > now ? (int)ceil((due - now) * 1000) : 0;
}

static void on_timers(struct push *p, double now)
{
    const struct push_event timer = {.kind = PUSH_EVENT_TIMER};
    for (size_t i = 0; i < p->count; i++) {
        struct active *a = &p->devices[i];
        if (p->places[i].place != FLEET_RUNS) {
            continue;
        }
        if (a->again != 0 && now >= a->again) {
            a->again = 0;
            push_update_again(&a->device.update);
            start(a);
            continue;
        }
        exchange_timer(&a->exchange, now);
        command_timer(&a->command, now);
        double due = a->device.update.due;
        if (p->places[i].place == FLEET_RUNS && due != 0 && now >= due) {
            step(a, &timer);
        }
    }
}

static void begin_more(struct push *p)
{
    for (size_t i = fleet_begin(&p->fleet); i < p->count; i = fleet_begin(&p->fleet)) {
        start(&p->devices[i]);
    }
}

void push_run(struct push *p, int signal_fd, bool (*interrupted)(int signal_fd))
{
    p->signal_fd = signal_fd;
    p->interrupted = interrupted;
    p->signals = (struct handler){on_signal, p};
    (void)event_loop_add(p->loop, signal_fd, EPOLLIN, &p->signals);
    for (;;) {
        begin_more(p);
        if (fleet_is_over(&p->fleet) || p->interruptions > 1) {
            break;
        }
        event_loop_run_once(p->loop, timeout(p, now_seconds()));
        inbox_take(p->inbox, on_message, p);
        on_timers(p, now_seconds());
    }
    event_loop_remove(p->loop, signal_fd);
}

size_t push_count(const struct push *p)
{
    return p->count;
}

const struct push_device *push_device_at(const struct push *p, size_t index)
{
    return &p->devices[index].device;
}

bool push_was_stopped(const struct push *p)
{
    return p->fleet.stopped;
}
