/* SPDX-License-Identifier: MIT */
#ifndef SERVER_LISTEN_H
#define SERVER_LISTEN_H

#include <espimage/error.h>
#include <stdint.h>

/* A listening TCP socket; *port becomes the real one. */
enum espimage_code listen_on(const char *address, uint16_t *port, int *out,
                             struct espimage_error *err);

#endif
