/* SPDX-License-Identifier: MIT */
/* The images that push brings to devices: converted, and checked against what the devices demand.
 */
#ifndef CLI_PUSH_IMAGES_H
#define CLI_PUSH_IMAGES_H

#include "cli/serve_elfs.h"
#include "push/push.h"

struct push_images {
    struct serve_elfs elfs; /* the caller fills in its settings */
    const struct snapshot *snapshots[2];
    struct push_image images[2];
    struct push_image bundle;        /* of both; owned; made for a transport that wants one */
    char names[2 * SHA256_TEXT + 2]; /* their checksums: which images these are */
    char build[BUILD_DIGITS + 1];    /* that both name; "" */
};

/* 0, or an exit status with everything said: an ELF that cannot be converted, an image that a
 * device would refuse, two ELFs of different builds. */
int push_images_load(struct push_images *p, const struct transport_kind *kind, const char *tag,
                     char **paths, size_t count);
void push_images_free(struct push_images *p);

#endif
