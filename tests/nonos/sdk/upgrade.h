/* SPDX-License-Identifier: MIT */
/* A stand-in: declares only what examples/nonos-sdk-ota uses of the SDK's header of this name. */
#ifndef UPGRADE_H
#define UPGRADE_H

#include "c_types.h"

#define UPGRADE_FLAG_IDLE   0
#define UPGRADE_FLAG_START  1
#define UPGRADE_FLAG_FINISH 2

struct espconn;
typedef void (*upgrade_states_check_callback)(void *arg);

struct upgrade_server_info {
    uint8 ip[4];
    uint16 port;
    uint8 upgrade_flag;
    uint8 pre_version[16];
    uint8 upgrade_version[16];
    uint32 check_times;
    uint8 *url;
    upgrade_states_check_callback check_cb;
    struct espconn *pespconn;
};

bool system_upgrade_start(struct upgrade_server_info *server);
void system_upgrade_deinit(void);

#endif
