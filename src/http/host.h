/* SPDX-License-Identifier: MIT */
/* Whether a Host field names this computer. A web page of another host whose DNS name is made to
 * lead here (DNS rebinding) is a page of "the same origin" to a browser, and could read what is
 * served; but its Host field has that other name. */
#ifndef HTTP_HOST_H
#define HTTP_HOST_H

#include <stdbool.h>
#include <stddef.h>

#define HOST_NAMES 20

/* Names by which this computer may be called, beside IP addresses and localhost. */
struct host_names {
    const char *names[HOST_NAMES]; /* borrowed */
    size_t count;
    char own[3][256]; /* of the system: complete, the first label, and that in .local (mDNS) */
};

/* Adds the names that the system has. */
void host_names_add_own(struct host_names *names);
/* False: too many. `name` is borrowed. */
bool host_names_add(struct host_names *names, const char *name);

/* Of a Host field's value: an IP address, localhost or one of the names, with or without a port. */
bool host_is_known(const struct host_names *names, const char *value, size_t size);

#endif
