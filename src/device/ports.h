/* SPDX-License-Identifier: MIT */
/* The page port and the trigger port of all devices of a process, served by one thread. */
#ifndef DEVICE_PORTS_H
#define DEVICE_PORTS_H

#include "device/device.h"

struct ports;

/* Listens for each device at its address and ports, port 0 becoming the one that the system chose,
 * and begins to serve. The devices outlive it. ESPIMAGE_ERR_UNAVAILABLE when a port is not to be
 * had, _ERR_MEMORY. */
enum espimage_code ports_open(struct device *devices, size_t count, struct ports **out,
                              struct espimage_error *err);

/* Accepts NULL. */
void ports_close(struct ports *ports);

#endif
