/* SPDX-License-Identifier: MIT */
#include "device/ports.h"

#include "base/error.h"
#include "device/page.h"
#include "device/web.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BACKLOG      64
#define MAX_VISITORS 512
/* A request is read so far; of a longer one the start counts. */
#define REQUEST_ROOM DEVICE_EARLY_ROOM
/* For a request to come; whoever sends nothing to the trigger port is answered then. */
#define REQUEST_MS 2000
/* For the client to close after the answer; closing first could take the answer away from it. */
#define DRAIN_MS 2000
#define TICK_MS  100
#define EVENTS   64

struct listener {
    int fd; /* -1: not open */
    bool trigger;
    bool paused; /* accepts again at the next tick */
    struct device *device;
};

struct visitor {
    int fd; /* -1: nobody */
    bool trigger;
    bool begins; /* what the trigger did */
    bool answered;
    struct device *device;
    int64_t deadline; /* milliseconds */
    size_t size;
    char request[REQUEST_ROOM];
};

struct ports {
    struct listener *listeners;
    size_t listener_count;
    size_t paused_count;
    struct visitor *visitors; /* MAX_VISITORS */
    size_t visitor_count;
    int epoll;
    int stop_fd;
    pthread_t thread;
    bool started;
};

static int64_t now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- listening ---- */

static enum espimage_code cannot_listen(const struct device *d, uint16_t port, int error,
                                        struct espimage_error *err)
{
    error_found(err, ESPIMAGE_ERR_UNAVAILABLE, "cannot listen on %s port %u: %s", d->address_text,
                port, strerror(error));
    return error == EADDRINUSE
               ? error_advice(err, "choose others with --page-port and --trigger-port; 0 takes "
                                   "free ones")
               : err->code;
}

static enum espimage_code listen_at(struct listener *l, uint16_t *port, struct espimage_error *err)
{
    const int on = 1;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(*port)};
    socklen_t size = sizeof at;
    at.sin_addr = l->device->address;
    l->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (l->fd < 0) {
        return cannot_listen(l->device, *port, errno, err);
    }
    (void)setsockopt(l->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(l->fd, (const struct sockaddr *)&at, sizeof at) != 0 || listen(l->fd, BACKLOG) != 0 ||
        getsockname(l->fd, (struct sockaddr *)&at, &size) != 0) {
        return cannot_listen(l->device, *port, errno, err);
    }
    *port = ntohs(at.sin_port);
    return ESPIMAGE_OK;
}

static bool watch(const struct ports *p, int fd, void *who)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = who};
    return epoll_ctl(p->epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

static enum espimage_code add_listener(struct ports *p, struct device *device, bool trigger,
                                       struct espimage_error *err)
{
    struct listener *l = &p->listeners[p->listener_count++];
    *l = (struct listener){.fd = -1, .trigger = trigger, .device = device};
    enum espimage_code code =
        listen_at(l, trigger ? &device->trigger_port : &device->page_port, err);
    if (code == ESPIMAGE_OK && !watch(p, l->fd, l)) {
        return error_no_memory(err);
    }
    return code;
}

/* ---- visitors ---- */

/* Far smaller than a fresh socket's buffer. */
static void send_text(struct visitor *v, const char *text, size_t size)
{
    (void)!send(v->fd, text, size, MSG_NOSIGNAL);
    (void)shutdown(v->fd, SHUT_WR);
    v->answered = true;
    v->deadline = now_ms() + DRAIN_MS;
}

static void answer(struct visitor *v)
{
    char text[PAGE_ROOM];
    char url[64];
    size_t size = 0;
    struct sockaddr_in here = {0};
    socklen_t here_size = sizeof here;
    char address[INET_ADDRSTRLEN] = "";
    (void)getsockname(v->fd, (struct sockaddr *)&here, &here_size);
    (void)inet_ntop(AF_INET, &here.sin_addr, address, sizeof address);
    const unsigned port = v->trigger ? v->device->page_port : v->device->trigger_port;
    (void)snprintf(url, sizeof url, "http://%s:%u/", address, port);
    if (v->trigger) {
        size = page_trigger_answer(v->begins, url, text);
    } else {
        struct device_view view;
        device_look(v->device, &view);
        v->request[v->size < sizeof v->request ? v->size : sizeof v->request - 1] = '\0';
        size = page_answer(&view, v->request, v->device->settings->pushed ? NULL : url, text);
    }
    send_text(v, text, size);
}

static bool request_is_there(const struct visitor *v)
{
    return v->size == sizeof v->request || memmem(v->request, v->size, "\r\n\r\n", 4) != NULL ||
           memmem(v->request, v->size, "\n\n", 2) != NULL;
}

/* The device's thread closes the connection from now on: this one forgets it. */
static bool hand_over(struct visitor *v, const struct web_request *request)
{
    struct device_upload upload = {.request = request->upload};
    size_t early = v->size - request->head_size;
    upload.fd = dup(v->fd);
    upload.early_size = early < request->upload.length ? early : request->upload.length;
    memcpy(upload.early, v->request + request->head_size, upload.early_size);
    if (upload.fd >= 0 && !device_upload(v->device, &upload)) {
        (void)close(upload.fd);
    }
    return false;
}

static void web_answer(struct visitor *v, enum web_action action,
                       const struct upload_answer *answer)
{
    char text[WEB_ROOM];
    size_t size = web_reply(v->device->settings->dialect, action, answer, text);
    send_text(v, text, size);
}

/* False when it is to be closed. */
static bool on_web_request(struct visitor *v, const struct web_request *request)
{
    struct upload_device device;
    struct upload_answer reply = {404, "Not found"};
    uint8_t other[UPLOAD_HEADER];
    if (request->action == WEB_SILENT || !device_answers(v->device, &device, other)) {
        return false;
    }
    if (request->action == WEB_OTHER) {
        answer(v);
        return true;
    }
    if (request->action != WEB_NOT_FOUND && upload_refusal(&device).status != 0) {
        reply = upload_refusal(&device);
    } else if (request->action == WEB_UPLOAD) {
        return hand_over(v, request);
    } else if (request->action == WEB_NEXT) {
        reply = (struct upload_answer){200, web_next(&device)};
    } else if (request->action == WEB_REBOOT) {
        reply = upload_reboot(&device, other);
        if (reply.status == 200) {
            device_reboot(v->device, upload_reboot_delay(device.dialect));
        }
    }
    web_answer(v, request->action, &reply);
    return true;
}

/* False when it is to be closed. */
static bool on_web_bytes(struct visitor *v)
{
    struct web_request request;
    return !web_parse(v->device->settings->dialect, v->request, v->size, &request) ||
           on_web_request(v, &request);
}

/* False when it is to be closed. */
static bool on_bytes(struct visitor *v)
{
    char waste[REQUEST_ROOM];
    char *to = v->answered ? waste : v->request + v->size;
    size_t room = v->answered ? sizeof waste : sizeof v->request - v->size;
    ssize_t got = recv(v->fd, to, room, MSG_DONTWAIT);
    if (got < 0) {
        return errno == EAGAIN || errno == EINTR;
    }
    if (got == 0) {
        if (!v->answered && (v->trigger || v->size > 0)) {
            answer(v);
        }
        return false;
    }
    v->size += v->answered ? 0 : (size_t)got;
    if (!v->answered && v->device->settings->pushed) {
        return on_web_bytes(v);
    }
    if (!v->answered && request_is_there(v)) {
        answer(v);
    }
    return true;
}

/* False when it is to be closed. */
static bool on_deadline(struct visitor *v)
{
    bool wait = !v->answered && v->trigger;
    if (wait) {
        answer(v);
    }
    return wait;
}

/* An upload goes on under another descriptor, so closing this one leaves it in the epoll set. */
static void say_goodbye(struct ports *p, struct visitor *v)
{
    (void)epoll_ctl(p->epoll, EPOLL_CTL_DEL, v->fd, NULL);
    (void)close(v->fd);
    v->fd = -1;
    p->visitor_count--;
}

static struct visitor *free_seat(const struct ports *p)
{
    for (size_t i = 0; i < MAX_VISITORS; i++) {
        if (p->visitors[i].fd < 0) {
            return &p->visitors[i];
        }
    }
    return NULL;
}

/* Without a free descriptor the connection stays in the kernel's queue and the listener stays
 * readable: polling it would spin. */
static void set_paused(struct ports *p, struct listener *l, bool paused)
{
    struct epoll_event event = {.events = paused ? 0 : EPOLLIN, .data.ptr = l};
    if (l->paused != paused && epoll_ctl(p->epoll, EPOLL_CTL_MOD, l->fd, &event) == 0) {
        l->paused = paused;
        p->paused_count = paused ? p->paused_count + 1 : p->paused_count - 1;
    }
}

static void resume_listeners(struct ports *p)
{
    for (size_t i = 0; i < p->listener_count && p->paused_count > 0; i++) {
        set_paused(p, &p->listeners[i], false);
    }
}

static void welcome(struct ports *p, struct listener *l)
{
    struct sockaddr_in from = {0};
    socklen_t size = sizeof from;
    int fd = accept4(l->fd, (struct sockaddr *)&from, &size, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) {
        set_paused(p, l, errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM);
        return;
    }
    bool begins = l->trigger && device_trigger(l->device, from.sin_addr);
    struct visitor *v = free_seat(p);
    if (v == NULL || !watch(p, fd, v)) {
        (void)close(fd);
        return;
    }
    v->fd = fd;
    v->trigger = l->trigger;
    v->begins = begins;
    v->answered = false;
    v->device = l->device;
    v->deadline = now_ms() + REQUEST_MS;
    v->size = 0;
    p->visitor_count++;
}

static void on_deadlines(struct ports *p)
{
    int64_t now = now_ms();
    for (size_t i = 0; i < MAX_VISITORS && p->visitor_count > 0; i++) {
        struct visitor *v = &p->visitors[i];
        if (v->fd >= 0 && now >= v->deadline && !on_deadline(v)) {
            say_goodbye(p, v);
        }
    }
}

/* ---- the thread ---- */

static bool is_listener(const struct ports *p, const void *who)
{
    const struct listener *l = who;
    return l >= p->listeners && l < p->listeners + p->listener_count;
}

static void *serve(void *context)
{
    struct ports *p = context;
    struct epoll_event events[EVENTS];
    for (;;) {
        bool ticks = p->visitor_count > 0 || p->paused_count > 0;
        int count = epoll_wait(p->epoll, events, EVENTS, ticks ? TICK_MS : -1);
        resume_listeners(p);
        for (int i = 0; i < count; i++) {
            void *who = events[i].data.ptr;
            if (who == p) {
                return NULL;
            }
            if (is_listener(p, who)) {
                welcome(p, who);
            } else if (!on_bytes(who)) {
                say_goodbye(p, who);
            }
        }
        on_deadlines(p);
    }
}

static enum espimage_code prepare(struct ports *p, size_t count, struct espimage_error *err)
{
    p->listeners = calloc(2 * count, sizeof *p->listeners);
    p->visitors = calloc(MAX_VISITORS, sizeof *p->visitors);
    for (size_t i = 0; p->visitors != NULL && i < MAX_VISITORS; i++) {
        p->visitors[i].fd = -1;
    }
    p->epoll = epoll_create1(EPOLL_CLOEXEC);
    p->stop_fd = eventfd(0, EFD_CLOEXEC);
    if (p->listeners == NULL || p->visitors == NULL || p->epoll < 0 || p->stop_fd < 0 ||
        !watch(p, p->stop_fd, p)) {
        return error_no_memory(err);
    }
    return ESPIMAGE_OK;
}

static enum espimage_code start(struct ports *p, struct espimage_error *err)
{
    int failure = pthread_create(&p->thread, NULL, serve, p);
    p->started = failure == 0;
    return failure == 0 ? ESPIMAGE_OK
                        : error_found(err, ESPIMAGE_ERR_MEMORY, "cannot start a thread: %s",
                                      strerror(failure));
}

enum espimage_code ports_open(struct device *devices, size_t count, struct ports **out,
                              struct espimage_error *err)
{
    struct ports *p = calloc(1, sizeof *p);
    if (p == NULL) {
        return error_no_memory(err);
    }
    enum espimage_code code = prepare(p, count, err);
    for (size_t i = 0; i < count && code == ESPIMAGE_OK; i++) {
        code = add_listener(p, &devices[i], false, err);
        if (code == ESPIMAGE_OK && !devices[i].settings->pushed) {
            code = add_listener(p, &devices[i], true, err);
        }
    }
    code = code == ESPIMAGE_OK ? start(p, err) : code;
    if (code != ESPIMAGE_OK) {
        ports_close(p);
        return code;
    }
    *out = p;
    return ESPIMAGE_OK;
}

void ports_close(struct ports *p)
{
    const uint64_t one = 1;
    if (p == NULL) {
        return;
    }
    if (p->started) {
        (void)!write(p->stop_fd, &one, sizeof one);
        (void)pthread_join(p->thread, NULL);
    }
    for (size_t i = 0; p->visitors != NULL && i < MAX_VISITORS; i++) {
        if (p->visitors[i].fd >= 0) {
            say_goodbye(p, &p->visitors[i]);
        }
    }
    for (size_t i = 0; i < p->listener_count; i++) {
        if (p->listeners[i].fd >= 0) {
            (void)close(p->listeners[i].fd);
        }
    }
    if (p->epoll >= 0) {
        (void)close(p->epoll);
    }
    if (p->stop_fd >= 0) {
        (void)close(p->stop_fd);
    }
    free(p->visitors);
    free(p->listeners);
    free(p);
}
