/* SPDX-License-Identifier: MIT */
/* The devices that push was given: addresses, names, networks and lists in files. */
#ifndef PUSH_ROSTER_H
#define PUSH_ROSTER_H

#include <espimage/error.h>
#include <netinet/in.h>
#include <stddef.h>

#define ROSTER_MOST 4096
#define ROSTER_NAME 256

struct roster_device {
    char name[ROSTER_NAME];  /* as it was given; of a network its address */
    char label[ROSTER_NAME]; /* or "" */
    char address[INET_ADDRSTRLEN];
    struct in_addr ip; /* 0.0.0.0: the name could not be resolved */
};

struct roster {
    struct roster_device *devices; /* owned */
    size_t count;
};

/* Adds what the word stands for: an IPv4 address, a name, a network such as 192.168.4.0/24 (without
 * its first and last address), or @FILE, with one of these in a line, a label behind it, and
 * comments from # on. A device that is there already is not added again. ESPIMAGE_ERR_USAGE for
 * words, _ERR_NO_INPUT, _ERR_IMAGE and others for files. */
enum espimage_code roster_add(struct roster *roster, const char *word, struct espimage_error *err);
void roster_free(struct roster *roster);

#endif
