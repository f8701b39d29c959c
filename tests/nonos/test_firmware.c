/* SPDX-License-Identifier: MIT */
/* The firmware of examples/nonos-sdk-ota, compiled for this computer, with an SDK that only notes
 * what it is asked for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "c_types.h"
#include "osapi.h"
#include "user_interface.h"

#include "espconn.h"
#include "upgrade.h"

#include "firmware.h"
#include "partitions.h"

/* ---- the SDK ---- */

#define LISTENERS 2

static struct {
    uint8 running; /* UPGRADE_FW_BIN... */
    bool refuses;  /* to start an upgrade */
    int starts;
    struct upgrade_server_info *server;
    uint8 flag;
    int reboots;
    int listeners;
    struct espconn *listening[LISTENERS];
    espconn_connect_callback on_connect[LISTENERS];
    espconn_recv_callback on_request;
    char sent[2000];
    init_done_cb_t on_ready;
    uint8 mode;
    struct station_config station;
    struct softap_config softap;
    const partition_item_t *partitions;
    uint32_t partition_count;
    uint32_t map;
} sdk;

int os_printf_plus(const char *format, ...)
{
    (void)format;
    return 0;
}

int ets_sprintf(char *to, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int size = vsprintf(to, format, args);
    va_end(args);
    return size;
}

void *ets_memcpy(void *to, const void *from, unsigned int size)
{
    return memcpy(to, from, size);
}

void *ets_memset(void *at, int value, unsigned int size)
{
    return memset(at, value, size);
}

int ets_strlen(const char *text)
{
    return (int)strlen(text);
}

uint8 system_upgrade_userbin_check(void)
{
    return sdk.running;
}

void system_upgrade_reboot(void)
{
    sdk.reboots++;
}

bool system_upgrade_start(struct upgrade_server_info *server)
{
    sdk.starts++;
    sdk.server = server;
    if (sdk.refuses || sdk.flag == UPGRADE_FLAG_START) {
        return false;
    }
    sdk.flag = UPGRADE_FLAG_START;
    return true;
}

void system_init_done_cb(init_done_cb_t callback)
{
    sdk.on_ready = callback;
}

bool wifi_set_opmode_current(uint8 mode)
{
    sdk.mode = mode;
    return true;
}

bool wifi_station_set_config_current(struct station_config *config)
{
    sdk.station = *config;
    return true;
}

bool wifi_softap_set_config_current(struct softap_config *config)
{
    sdk.softap = *config;
    return true;
}

bool system_partition_table_regist(const partition_item_t *table, uint32_t count, uint32_t map)
{
    sdk.partitions = table;
    sdk.partition_count = count;
    sdk.map = map;
    return true;
}

sint8 espconn_regist_connectcb(struct espconn *on, espconn_connect_callback callback)
{
    assert_true(sdk.listeners < LISTENERS);
    sdk.listening[sdk.listeners] = on;
    sdk.on_connect[sdk.listeners] = callback;
    return ESPCONN_OK;
}

sint8 espconn_accept(struct espconn *on)
{
    assert_ptr_equal(on, sdk.listening[sdk.listeners]);
    assert_int_equal(on->type, ESPCONN_TCP);
    sdk.listeners++;
    return ESPCONN_OK;
}

sint8 espconn_regist_time(struct espconn *of, uint32 seconds, uint8 one_only)
{
    (void)of;
    assert_true(seconds > 0 && one_only == 0);
    return ESPCONN_OK;
}

sint8 espconn_regist_recvcb(struct espconn *on, espconn_recv_callback callback)
{
    (void)on;
    sdk.on_request = callback;
    return ESPCONN_OK;
}

sint8 espconn_send(struct espconn *to, uint8 *data, uint16 length)
{
    (void)to;
    assert_true(length < sizeof sdk.sent);
    memcpy(sdk.sent, data, length);
    sdk.sent[length] = '\0';
    return ESPCONN_OK;
}

/* ---- the user of the device ---- */

/* Connects from 192.168.4.2, and sends a request. What was answered; "" without a request. */
static const char *visit(int port, bool asks)
{
    static char request[] = "GET / HTTP/1.1\r\n\r\n";
    esp_tcp tcp = {51234, port, {192, 168, 4, 1}, {192, 168, 4, 2}};
    struct espconn peer = {ESPCONN_TCP, ESPCONN_NONE, {&tcp}};
    sdk.sent[0] = '\0';
    for (int i = 0; i < sdk.listeners; i++) {
        if (sdk.listening[i]->proto.tcp->local_port == port) {
            sdk.on_connect[i](&peer);
            if (asks) {
                sdk.on_request(&peer, request, sizeof request - 1);
            }
            return sdk.sent;
        }
    }
    fail_msg("no listener on port %d", port);
    return NULL;
}

/* The library ends the upgrade that runs, well or not. */
static void end_upgrade(bool well)
{
    sdk.server->upgrade_flag = well;
    sdk.flag = well ? UPGRADE_FLAG_FINISH : UPGRADE_FLAG_IDLE;
    sdk.server->check_cb(sdk.server);
}

static int boot(void **unused)
{
    (void)unused;
    static bool running;
    /* The state of an upgrade lives until a reset, and there is none here. */
    if (running && upgrade_state() == UPGRADE_RUNS) {
        end_upgrade(false);
    }
    running = true;
    memset(&sdk, 0, sizeof sdk);
    user_pre_init();
    user_init();
    assert_int_equal(sdk.listeners, 0);
    sdk.on_ready();
    return 0;
}

static void assert_has(const char *text, const char *part)
{
    if (strstr(text, part) == NULL) {
        fail_msg("\"%s\" is not in \"%s\"", part, text);
    }
}

/* ---- tests ---- */

static void test_first_page_says_nothing_of_updates(void **unused)
{
    (void)unused;
    assert_null(strstr(visit(80, true), "update failed"));
}

static void test_page(void **unused)
{
    (void)unused;
    for (uint8 running = UPGRADE_FW_BIN1; running <= UPGRADE_FW_BIN2; running++) {
        char slot[20];
        char build[20];
        sdk.running = running;
        const char *page = visit(80, true);
        snprintf(slot, sizeof slot, "slot %d.", running + 1);
        snprintf(build, sizeof build, "<h1>Build %d<", BUILD);
        assert_has(page, slot);
        assert_has(page, build);
        assert_has(page, "<a href=\"http://192.168.4.1:88/\">begin update</a>");
        assert_has(page, "HTTP/1.0 200 ");
    }
    assert_int_equal(sdk.starts, 0);
}

static void test_pages_fit_and_announce_their_length(void **unused)
{
    (void)unused;
    visit(88, false);
    end_upgrade(false);
    for (int i = 0; i < 2; i++) {
        const char *page = visit(i == 0 ? 80 : 88, true);
        const char *field = strstr(page, "Content-Length: ");
        const char *end = strstr(page, "\r\n\r\n");
        assert_non_null(field);
        assert_non_null(end);
        assert_int_equal(atoi(field + strlen("Content-Length: ")), strlen(end + 4));
        assert_true(strlen(page) < 800);
        /* The upgrade library would take such a segment of the image for a header. */
        assert_null(strstr(page, "200 OK\r\n"));
    }
}

static void test_trigger_asks_the_peer_for_the_other_slot(void **unused)
{
    (void)unused;
    static const uint8 peer[4] = {192, 168, 4, 2};
    for (uint8 running = UPGRADE_FW_BIN1; running <= UPGRADE_FW_BIN2; running++) {
        sdk.running = running;
        visit(88, false);
        assert_int_equal(sdk.starts, running + 1);
        assert_memory_equal(sdk.server->ip, peer, sizeof peer);
        assert_int_equal(sdk.server->port, 8888);
        assert_string_equal((const char *)sdk.server->url,
                            running == UPGRADE_FW_BIN1
                                ? "GET /user2.bin HTTP/1.0\r\nConnection: close\r\n\r\n"
                                : "GET /user1.bin HTTP/1.0\r\nConnection: close\r\n\r\n");
        assert_in_range(sdk.server->check_times, 60000, 120000);
        assert_true(strlen((const char *)sdk.server->upgrade_version) < 16);
        end_upgrade(false);
    }
}

static void test_success_reboots(void **unused)
{
    (void)unused;
    visit(88, true);
    assert_int_equal(sdk.reboots, 0);
    end_upgrade(true);
    assert_int_equal(sdk.reboots, 1);
}

static void test_failure_is_on_the_page_and_can_be_tried_again(void **unused)
{
    (void)unused;
    visit(88, true);
    end_upgrade(false);
    assert_int_equal(sdk.reboots, 0);
    assert_has(visit(80, true), "update failed");
    assert_has(visit(88, true), "on its way");
    assert_int_equal(sdk.starts, 2);
}

static void test_second_trigger_is_ignored(void **unused)
{
    (void)unused;
    visit(88, false);
    sdk.server->port = 1;
    assert_has(visit(88, true), "on its way");
    assert_int_equal(sdk.starts, 1);
    assert_int_equal(sdk.server->port, 1);
    assert_has(visit(80, true), "on its way");
}

static void test_start_refused(void **unused)
{
    (void)unused;
    sdk.refuses = true;
    visit(88, false);
    assert_has(visit(80, true), "update failed");
    assert_int_equal(sdk.reboots, 0);
}

static void test_network(void **unused)
{
    (void)unused;
#if STATION
    assert_int_equal(sdk.mode, STATION_MODE);
    assert_string_equal((const char *)sdk.station.ssid, SSID);
    assert_string_equal((const char *)sdk.station.password, PASSWORD);
    assert_int_equal(sdk.station.bssid_set, 0);
#else
    assert_int_equal(sdk.mode, SOFTAP_MODE);
    assert_string_equal((const char *)sdk.softap.ssid, SSID);
    assert_int_equal(sdk.softap.ssid_len, strlen(SSID));
    assert_int_equal(sdk.softap.authmode, PASSWORD[0] != '\0' ? AUTH_WPA2_PSK : AUTH_OPEN);
#endif
}

/* What `espimagetool maps` says comes from the command line. */
static void test_partitions(void **unused)
{
    (void)unused;
    static const uint32_t wanted[][2] = {
        {0, 0x1000},
        {0x1000, LIMIT},
        {USER2, LIMIT},
        {FLASH - 0x5000, 0x1000},
        {FLASH - 0x4000, 0x1000},
        {FLASH - 0x3000, 0x3000},
    };
    assert_int_equal(sdk.map, FLASH_MAP);
    assert_int_equal(sdk.partition_count, 6);
    for (uint32_t i = 0; i < sdk.partition_count; i++) {
        assert_int_equal(sdk.partitions[i].type, i + SYSTEM_PARTITION_BOOTLOADER);
        assert_int_equal(sdk.partitions[i].addr, wanted[i][0]);
        assert_int_equal(sdk.partitions[i].size, wanted[i][1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_first_page_says_nothing_of_updates, boot),
        cmocka_unit_test_setup(test_page, boot),
        cmocka_unit_test_setup(test_pages_fit_and_announce_their_length, boot),
        cmocka_unit_test_setup(test_trigger_asks_the_peer_for_the_other_slot, boot),
        cmocka_unit_test_setup(test_success_reboots, boot),
        cmocka_unit_test_setup(test_failure_is_on_the_page_and_can_be_tried_again, boot),
        cmocka_unit_test_setup(test_second_trigger_is_ignored, boot),
        cmocka_unit_test_setup(test_start_refused, boot),
        cmocka_unit_test_setup(test_network, boot),
        cmocka_unit_test_setup(test_partitions, boot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
