/* SPDX-License-Identifier: MIT */
/* How downloads look on a terminal: text only, nothing is written. */
#ifndef CLI_LIVE_H
#define CLI_LIVE_H

#include "cli/transfers.h"

#include <stdbool.h>
#include <stddef.h>

#define LIVE_SPEED 16
#define LIVE_TIME  24

/* Larger terminals are used up to these. */
#define LIVE_ROWS    200
#define LIVE_COLUMNS 400
/* Of a line with its colours. */
#define LIVE_LINE (LIVE_COLUMNS + 32)

struct live_screen {
    unsigned rows; /* to be used at most */
    unsigned columns;
    bool colour;
};

/* `cells` of # and ., with a NUL behind them. */
void live_bar(char *to, unsigned cells, uint64_t sent, uint64_t size);
/* "41.2 kB/s"; "-" when it is 0. */
void live_speed(char to[LIVE_SPEED], double rate);
/* "0:07", "1:02:03"; "-:--" when that is not to be said: negative, or 100 hours and more. */
void live_time(char to[LIVE_TIME], double seconds);

/* One line without a line feed, cut to the columns of the screen; the address gets `width`. */
void live_line(char to[LIVE_LINE], const struct transfer *transfer,
               const struct live_screen *screen, int width, double now);

/* As many lines as the screen has rows, each in LIVE_LINE bytes of `lines`; the last of them counts
 * those for which there was no room. Returns how many lines there are. */
unsigned live_block(char (*lines)[LIVE_LINE], const struct transfers *transfers,
                    const struct live_screen *screen, double now);

#endif
