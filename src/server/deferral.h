/* SPDX-License-Identifier: MIT */
/* Whether the kernel keeps a new connection until its request is there, for up to a second
 * (TCP_DEFER_ACCEPT, tcp(7)). It should when many come: nobody is woken for less, and who only
 * knocks costs next to nothing. One at a time, with requests that follow at once, are answered
 * sooner without. */
#ifndef SERVER_DEFERRAL_H
#define SERVER_DEFERRAL_H

struct deferral;

enum newcomers {
    NEWCOMER_ALONE, /* one, who asked or left at once, and nobody else wants in */
    NEWCOMER_LATE,  /* who asked or left some time later */
    NEWCOMERS       /* several at once */
};

/* Of a listening socket, borrowed, however many doors share it. It is on at first. NULL when there
 * is no memory. */
struct deferral *deferral_new(int listening);
void deferral_free(struct deferral *deferral); /* accepts NULL */

/* Who has come; `now` is of the clock that does not jump. From any thread. */
void deferral_note(struct deferral *deferral, enum newcomers who, double now);

#endif
