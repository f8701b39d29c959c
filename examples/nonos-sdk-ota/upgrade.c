/* SPDX-License-Identifier: MIT */
#include "c_types.h"
#include "osapi.h"
#include "user_interface.h"

/* Needs what those above declare. */
#include "upgrade.h"

#include "firmware.h"
#include "user_config.h"

_Static_assert(BUILD >= 0 && BUILD <= 999999999, "BUILD: up to 9 digits");

static enum upgrade_state state;
/* The library keeps the address of both until it is done, and frees neither. */
static struct upgrade_server_info server;
static char request[64];

enum upgrade_state ICACHE_FLASH_ATTR upgrade_state(void)
{
    return state;
}

uint8 ICACHE_FLASH_ATTR upgrade_slot(void)
{
    return system_upgrade_userbin_check() == UPGRADE_FW_BIN1 ? 1 : 2;
}

static void ICACHE_FLASH_ATTR on_upgrade_end(void *arg)
{
    const struct upgrade_server_info *ended = arg;
    if (ended->upgrade_flag) {
        os_printf("upgrade: received and checked, starting it\n");
        system_upgrade_reboot();
        return;
    }
    /* The library has released its memory and reset its flag. */
    os_printf("upgrade: failed, build %d stays\n", BUILD);
    state = UPGRADE_FAILED;
}

void ICACHE_FLASH_ATTR upgrade_begin(const uint8 ip[4])
{
    if (state == UPGRADE_RUNS) {
        return;
    }
    /* Ends with the empty line. A CR behind it, as the SDK's sample sends, is no part of a request:
     * a server that has answered and closed may reset the connection because of it. */
    os_sprintf(request, "GET /user%d.bin HTTP/1.0\r\nConnection: close\r\n\r\n",
               3 - upgrade_slot());
    os_memset(&server, 0, sizeof server);
    os_memcpy(server.ip, ip, sizeof server.ip);
    os_sprintf((char *)server.upgrade_version, "after %d", BUILD);
    server.port = IMAGE_PORT;
    server.check_cb = on_upgrade_end;
    server.check_times = UPGRADE_SECONDS * 1000;
    server.url = (uint8 *)request;
    /* Makes its own connection, whatever `pespconn` is, and sets the upgrade flag to START itself;
     * it refuses while that is set. */
    state = system_upgrade_start(&server) ? UPGRADE_RUNS : UPGRADE_FAILED;
}
