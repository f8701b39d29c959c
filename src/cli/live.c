/* SPDX-License-Identifier: MIT */
#include "cli/live.h"

#include <stdio.h>
#include <string.h>

#define NARROWEST_BAR 4
#define WIDEST_BAR    30
/* Everything on a line but address and bar. */
#define BESIDES 39
/* After so long without a byte the time that is left means nothing. A device that erases a sector
 * is silent for less. */
#define SILENT_SECONDS 3.0

void live_bar(char *to, unsigned cells, uint64_t sent, uint64_t size)
{
    uint64_t full = sent < size ? sent * cells / size : cells;
    memset(to, '.', cells);
    memset(to, '#', (size_t)full);
    to[cells] = '\0';
}

void live_speed(char to[LIVE_SPEED], double rate)
{
    if (!(rate > 0)) {
        (void)snprintf(to, LIVE_SPEED, "-");
    } else if (rate < 999.5) {
        (void)snprintf(to, LIVE_SPEED, "%.0f B/s", rate);
    } else if (rate < 999950) {
        (void)snprintf(to, LIVE_SPEED, "%.1f kB/s", rate / 1000);
    } else if (rate < 999950000) {
        (void)snprintf(to, LIVE_SPEED, "%.1f MB/s", rate / 1000000);
    } else {
        (void)snprintf(to, LIVE_SPEED, "> 1 GB/s");
    }
}

void live_time(char to[LIVE_TIME], double seconds)
{
    if (!(seconds >= 0 && seconds < 360000)) {
        (void)snprintf(to, LIVE_TIME, "-:--");
        return;
    }
    unsigned whole = (unsigned)(seconds + 0.5);
    if (whole < 3600) {
        (void)snprintf(to, LIVE_TIME, "%u:%02u", whole / 60, whole % 60);
    } else {
        (void)snprintf(to, LIVE_TIME, "%u:%02u:%02u", whole / 3600, whole / 60 % 60, whole % 60);
    }
}

static void pace(char *to, size_t size, const struct transfer *t, double now)
{
    char speed[LIVE_SPEED];
    char time[LIVE_TIME];
    double silent = now - t->moved;
    if (silent >= SILENT_SECONDS) {
        (void)snprintf(to, size, "silent for %.0f s", silent);
        return;
    }
    double rate = transfer_rate(t, now);
    live_speed(speed, rate);
    live_time(time, rate > 0 && t->sent <= t->size ? (double)(t->size - t->sent) / rate : -1);
    (void)snprintf(to, size, "%10s %7s left", speed, time);
}

/* 0 where it would leave no room for the rest. */
static unsigned bar_cells(unsigned columns, unsigned width)
{
    unsigned taken = BESIDES + width;
    unsigned room = columns > taken ? columns - taken : 0;
    return room < NARROWEST_BAR ? 0 : room > WIDEST_BAR ? WIDEST_BAR : room;
}

/* Copies the line with the cells [first, last) in colour, as far as they are there. */
static void colour(char to[LIVE_LINE], const char *line, size_t first, size_t last)
{
    size_t length = strlen(line);
    last = last < length ? last : length;
    if (first >= last) {
        (void)snprintf(to, LIVE_LINE, "%s", line);
        return;
    }
    (void)snprintf(to, LIVE_LINE, "%.*s\033[32m%.*s\033[0m%s", (int)first, line,
                   (int)(last - first), line + first, line + last);
}

void live_line(char to[LIVE_LINE], const struct transfer *transfer,
               const struct live_screen *screen, int width, double now)
{
    char line[LIVE_COLUMNS + 1];
    char bar[WIDEST_BAR + 1];
    char rest[64];
    unsigned columns = screen->columns < LIVE_COLUMNS ? screen->columns : LIVE_COLUMNS;
    unsigned percent =
        transfer->sent < transfer->size ? (unsigned)(transfer->sent * 100 / transfer->size) : 100;
    unsigned cells = bar_cells(columns, (unsigned)width);
    live_bar(bar, cells, transfer->sent, transfer->size);
    pace(rest, sizeof rest, transfer, now);
    (void)snprintf(line, (size_t)columns + 1, "%-*s user%d %s%s%s%3u %% %s", width,
                   transfer->client, transfer->slot, cells > 0 ? "[" : "", bar,
                   cells > 0 ? "] " : "", percent, rest);
    size_t full = screen->colour ? strspn(bar, "#") : 0;
    size_t first = strcspn(line, "#");
    colour(to, line, first, first + full);
}

static int widest_address(const struct transfer *t, unsigned count)
{
    size_t width = 0;
    for (; count > 0; t = t->next, count--) {
        size_t length = strlen(t->client);
        width = length > width ? length : width;
    }
    return (int)width;
}

unsigned live_block(char (*lines)[LIVE_LINE], const struct transfers *transfers,
                    const struct live_screen *screen, double now)
{
    size_t count = transfers_count(transfers);
    unsigned rows = screen->rows < LIVE_ROWS ? screen->rows : LIVE_ROWS;
    unsigned told = count <= rows ? (unsigned)count : rows > 0 ? rows - 1 : 0;
    const struct transfer *t = transfers_first(transfers);
    int width = widest_address(t, told);
    for (unsigned i = 0; i < told; i++, t = t->next) {
        live_line(lines[i], t, screen, width, now);
    }
    if (told == count || rows == 0) {
        return told;
    }
    unsigned columns = screen->columns < LIVE_COLUMNS ? screen->columns : LIVE_COLUMNS;
    (void)snprintf(lines[told], (size_t)columns + 1, told > 0 ? "and %zu more" : "%zu downloads",
                   count - told);
    return told + 1;
}
