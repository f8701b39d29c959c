/* SPDX-License-Identifier: MIT */
/* A stand-in: declares only what examples/nonos-sdk-ota uses of the SDK's header of this name. Like
 * that one, it includes nothing: c_types.h has to come before it. */
#ifndef UPGRADE_H
#define UPGRADE_H

#define UPGRADE_FLAG_IDLE   0
#define UPGRADE_FLAG_START  1
#define UPGRADE_FLAG_FINISH 2

#define UPGRADE_FW_BIN1 0
#define UPGRADE_FW_BIN2 1

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

#endif
