/* SPDX-License-Identifier: MIT */
/* ets_printf, written to the emulator's standard output. */
#include "rom.h"

#include <stdarg.h>

#define SIMCALL_EXIT  1
#define SIMCALL_WRITE 4
#define STDOUT        1

static char pending[256];
static uint32_t pending_size;

static void flush(void)
{
    if (pending_size > 0) {
        (void)simcall(SIMCALL_WRITE, STDOUT, (uint32_t)pending, pending_size);
        pending_size = 0;
    }
}

static void put(char c)
{
    pending[pending_size++] = c;
    if (pending_size == sizeof pending) {
        flush();
    }
}

/* A directive: % flags width letter. */
struct directive {
    bool left;
    char fill;
    uint32_t width;
    char letter;
};

static const char *parse(const char *at, struct directive *d)
{
    *d = (struct directive){.fill = ' '};
    for (;; at++) {
        if (*at == '-') {
            d->left = true;
        } else if (*at == '0') {
            d->fill = '0';
        } else {
            break;
        }
    }
    for (; *at >= '0' && *at <= '9'; at++) {
        d->width = d->width * 10 + (uint32_t)(*at - '0');
    }
    while (*at == 'l' || *at == 'h') {
        at++;
    }
    d->letter = *at;
    return at;
}

static void put_field(const struct directive *d, const char *text, size_t size)
{
    size_t room = d->width > size ? d->width - size : 0;

    for (; room > 0 && !d->left; room--) {
        put(d->fill);
    }
    for (size_t i = 0; i < size; i++) {
        put(text[i]);
    }
    for (; room > 0; room--) {
        put(' ');
    }
}

static void put_number(struct directive *d, uint32_t value, uint32_t base, bool negative)
{
    const char *digits = d->letter == 'X' ? "0123456789ABCDEF" : "0123456789abcdef";
    char text[12];
    size_t at = sizeof text;

    do {
        text[--at] = digits[value % base];
        value /= base;
    } while (value > 0);
    if (negative && d->fill == '0') {
        put('-');
        d->width -= d->width > 0;
    } else if (negative) {
        text[--at] = '-';
    }
    put_field(d, text + at, sizeof text - at);
}

static void put_directive(struct directive *d, va_list *args)
{
    if (d->letter == 's') {
        const char *text = va_arg(*args, const char *);
        text = text != NULL ? text : "(null)";
        put_field(d, text, strlen(text));
    } else if (d->letter == 'c') {
        char c = (char)va_arg(*args, int);
        put_field(d, &c, 1);
    } else if (d->letter == 'd' || d->letter == 'i') {
        int32_t value = va_arg(*args, int32_t);
        put_number(d, value < 0 ? 0 - (uint32_t)value : (uint32_t)value, 10, value < 0);
    } else if (d->letter == 'u') {
        put_number(d, va_arg(*args, uint32_t), 10, false);
    } else if (d->letter == 'x' || d->letter == 'X') {
        put_number(d, va_arg(*args, uint32_t), 16, false);
    } else if (d->letter == 'p') {
        put('0');
        put('x');
        put_number(d, va_arg(*args, uint32_t), 16, false);
    } else {
        put(d->letter);
    }
}

int rom_printf(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    for (const char *at = format; *at != '\0'; at++) {
        struct directive d;
        if (*at != '%' || at[1] == '\0') {
            put(*at);
            continue;
        }
        at = parse(at + 1, &d);
        if (d.letter == '\0') {
            break;
        }
        put_directive(&d, &args);
    }
    va_end(args);
    flush();
    return 0;
}

void leave(uint32_t status)
{
    (void)simcall(SIMCALL_EXIT, status, 0, 0);
    for (;;) {
    }
}
