/* SPDX-License-Identifier: MIT */
#include "c_types.h"
#include "osapi.h"
#include "user_interface.h"

#include "firmware.h"
#include "user_config.h"

_Static_assert(sizeof SSID > 1 && sizeof SSID <= 33, "SSID: 1 to 32 characters");
_Static_assert(sizeof PASSWORD == 1 || (sizeof PASSWORD >= 9 && sizeof PASSWORD <= 64),
               "PASSWORD: empty, or 8 to 63 characters");

/* Tools read it from the image: nothing in the firmware does. */
static const char build_tag[] __attribute__((used)) ICACHE_RODATA_ATTR =
    "espimagetool-build=" TEXT(BUILD);

#if STATION
static void ICACHE_FLASH_ATTR start_network(void)
{
    struct station_config config;
    os_memset(&config, 0, sizeof config);
    os_memcpy(config.ssid, SSID, sizeof SSID - 1);
    os_memcpy(config.password, PASSWORD, sizeof PASSWORD - 1);
    wifi_set_opmode_current(STATION_MODE);
    wifi_station_set_config_current(&config);
}
#else
static void ICACHE_FLASH_ATTR start_network(void)
{
    struct softap_config config;
    os_memset(&config, 0, sizeof config);
    os_memcpy(config.ssid, SSID, sizeof SSID - 1);
    os_memcpy(config.password, PASSWORD, sizeof PASSWORD - 1);
    config.ssid_len = sizeof SSID - 1;
    config.channel = 1;
    config.authmode = sizeof PASSWORD > 1 ? AUTH_WPA2_PSK : AUTH_OPEN;
    config.max_connection = 4;
    config.beacon_interval = 100;
    wifi_set_opmode_current(SOFTAP_MODE);
    wifi_softap_set_config_current(&config);
}
#endif

static void ICACHE_FLASH_ATTR on_system_ready(void)
{
    os_printf("build %d runs from slot %d\n", BUILD, upgrade_slot());
    web_start();
}

void ICACHE_FLASH_ATTR user_init(void)
{
    start_network();
    system_init_done_cb(on_system_ready);
}
