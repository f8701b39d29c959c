/* SPDX-License-Identifier: MIT */
/* What people and monitors get: a text that the status's thread has made, and that libmicrohttpd
 * takes piece by piece. */
#ifndef SERVER_BODY_H
#define SERVER_BODY_H

#include <microhttpd.h>
#include <stdbool.h>
#include <stdio.h>

struct exchange;

/* {0} is an empty one. */
struct body {
    char *text; /* owned */
    size_t size;
    size_t at; /* taken so far */
};

/* A stream into an empty body; body_close() ends it. NULL: no memory. */
FILE *body_open(struct body *body);
/* The body stays empty unless all is `good`. */
void body_close(struct body *body, FILE *out, bool good);
void body_clear(struct body *body);
/* Up to `room` bytes; 0 at the end. */
size_t body_take(struct body *body, char *to, size_t room);

/* Answers with what `read` gives until it says that it is the end; then `release`, unless it is
 * NULL, gets the context, also when there is no answer. */
enum MHD_Result body_answer(struct exchange *x, const char *type, MHD_ContentReaderCallback read,
                            void *context, MHD_ContentReaderFreeCallback release);
/* Without a body: there is none now, there may be one later. */
enum MHD_Result body_refuse(struct exchange *x, const char *reason);

#endif
