/* SPDX-License-Identifier: MIT */
/* A stand-in: declares only what examples/nonos-sdk-ota uses of the SDK's header of this name. */
#ifndef USER_INTERFACE_H
#define USER_INTERFACE_H

#include "os_type.h"

#include "ip_addr.h"
#include "user_config.h"

typedef enum {
    SYSTEM_PARTITION_INVALID,
    SYSTEM_PARTITION_BOOTLOADER,
    SYSTEM_PARTITION_OTA_1,
    SYSTEM_PARTITION_OTA_2,
    SYSTEM_PARTITION_RF_CAL,
    SYSTEM_PARTITION_PHY_DATA,
    SYSTEM_PARTITION_SYSTEM_PARAMETER
} partition_type_t;

typedef struct {
    partition_type_t type;
    uint32_t addr;
    uint32_t size;
} partition_item_t;

bool system_partition_table_regist(const partition_item_t *table, uint32_t count, uint32_t map);

typedef void (*init_done_cb_t)(void);
void system_init_done_cb(init_done_cb_t callback);

#define UPGRADE_FW_BIN1 0
#define UPGRADE_FW_BIN2 1
uint8 system_upgrade_userbin_check(void);
void system_upgrade_reboot(void);

#define STATION_MODE 1
#define SOFTAP_MODE  2
bool wifi_set_opmode_current(uint8 mode);

typedef enum { AUTH_OPEN, AUTH_WEP, AUTH_WPA_PSK, AUTH_WPA2_PSK, AUTH_WPA_WPA2_PSK } AUTH_MODE;

struct station_config {
    uint8 ssid[32];
    uint8 password[64];
    uint8 bssid_set;
    uint8 bssid[6];
};
bool wifi_station_set_config_current(struct station_config *config);

struct softap_config {
    uint8 ssid[32];
    uint8 password[64];
    uint8 ssid_len;
    uint8 channel;
    AUTH_MODE authmode;
    uint8 ssid_hidden;
    uint8 max_connection;
    uint16 beacon_interval;
};
bool wifi_softap_set_config_current(struct softap_config *config);

#endif
