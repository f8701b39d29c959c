/* SPDX-License-Identifier: MIT */
/* One TCP exchange with a device, without blocking: connect, send, read the answer. */
#ifndef PUSH_EXCHANGE_H
#define PUSH_EXCHANGE_H

#include "net/event_loop.h"

#include <netinet/in.h>
#include <stddef.h>

/* Answers are cut there: a page needs no more to show its build. */
#define EXCHANGE_ANSWER 16384

struct exchange_request {
    struct sockaddr_in to;
    const char *head;    /* copied; "" for a connection alone */
    const uint8_t *body; /* borrowed until the end; may be NULL */
    size_t body_size;
    size_t piece;   /* of the body, sent only when the device has acknowledged all before; 0: any */
    double connect; /* seconds, for the connection */
    double idle;    /* seconds, without any progress after that; then, with `head` empty, it ends
                       well */
};

enum exchange_end {
    EXCHANGE_OPEN,
    EXCHANGE_ANSWERED,      /* the device closed, or its HTTP answer is complete */
    EXCHANGE_NO_CONNECTION, /* error says why */
    EXCHANGE_BROKE_OFF,     /* error, or 0 when the device closed too early */
    EXCHANGE_TIMED_OUT
};

struct exchange {
    struct event_loop *loop;
    struct handler handler;
    struct exchange_request request;
    /* `told` is called when it connects, moves on, and at the end; it may begin another. */
    void (*told)(void *context);
    void *context;
    int fd; /* -1: none */
    enum exchange_end end;
    int error;
    bool connected;
    size_t head_size;
    size_t sent;  /* of head and body */
    char *answer; /* owned; NUL-terminated */
    size_t answer_size;
    char *head;
    double due;   /* exchange_timer() is wanted then; 0: none */
    double limit; /* it ends then, unless something happens */
};

void exchange_init(struct exchange *x, struct event_loop *loop, void (*told)(void *context),
                   void *context);
/* Ends one that runs. `told` may be called before it returns. */
void exchange_begin(struct exchange *x, const struct exchange_request *request);
void exchange_timer(struct exchange *x, double now);
/* Closes without telling, and frees; may be done at any time. */
void exchange_close(struct exchange *x);

/* The status of an HTTP answer, or 0; *body is the text behind its header. */
int exchange_status(const struct exchange *x, const char **body);
/* Why it ended, in words. */
const char *exchange_why(const struct exchange *x, char *text, size_t size);

#endif
