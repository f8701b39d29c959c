/* SPDX-License-Identifier: MIT */
/* The page and the trigger: two TCP servers that answer any request with one small page. The
 * browser closes the connection, as it is told the length; so nothing is closed from callbacks,
 * where the SDK does not allow it. */
#include "c_types.h"
#include "osapi.h"
#include "user_interface.h"

/* Needs what those above declare. */
#include "espconn.h"

#include "firmware.h"
#include "user_config.h"

#define IDLE_SECONDS 5

/* Both pages fit into one segment: a second answer never finds the first one half sent. */
static char body[700];
static char answer[900];

static const char *ICACHE_FLASH_ATTR state_text(void)
{
    switch (upgrade_state()) {
    case UPGRADE_RUNS:
        return "<p>An update is on its way. If it fails, this page says so "
               "within " TEXT(UPGRADE_SECONDS) " seconds.</p>";
    case UPGRADE_FAILED:
        return "<p>The last update failed. Is the image server running, and is its port open in "
               "the computer's firewall?</p>";
    default: return "";
    }
}

/* No "OK" behind the status: the upgrade library drops a segment that holds that line, and this
 * text is a part of the image that it receives. */
static void ICACHE_FLASH_ATTR send_body(struct espconn *to)
{
    os_sprintf(answer,
               "HTTP/1.0 200 Page\r\nContent-Type: text/html\r\nContent-Length: %d\r\n"
               "Connection: close\r\n\r\n%s",
               (int)os_strlen(body), body);
    espconn_send(to, (uint8 *)answer, (uint16)os_strlen(answer));
}

static void ICACHE_FLASH_ATTR on_page_request(void *arg, char *data, unsigned short length)
{
    struct espconn *from = arg;
    const uint8 *own = from->proto.tcp->local_ip;
    (void)data;
    (void)length;
    os_sprintf(body,
               "<!DOCTYPE html><title>Build %d</title><h1>Build %d</h1>"
               "<p>It runs from slot %d.</p>%s"
               "<p><a href=\"http://%d.%d.%d.%d:%d/\">begin update</a></p>\n",
               BUILD, BUILD, upgrade_slot(), state_text(), own[0], own[1], own[2], own[3],
               TRIGGER_PORT);
    send_body(from);
}

static void ICACHE_FLASH_ATTR on_trigger_request(void *arg, char *data, unsigned short length)
{
    struct espconn *from = arg;
    const uint8 *own = from->proto.tcp->local_ip;
    const uint8 *peer = from->proto.tcp->remote_ip;
    (void)data;
    (void)length;
    os_sprintf(body,
               "<!DOCTYPE html><title>Update</title>"
               "<p>Build %d asks %d.%d.%d.%d port %d for user%d.bin.</p>%s"
               "<p><a href=\"http://%d.%d.%d.%d/\">back to the page</a></p>\n",
               BUILD, peer[0], peer[1], peer[2], peer[3], IMAGE_PORT, 3 - upgrade_slot(),
               state_text(), own[0], own[1], own[2], own[3]);
    send_body(from);
}

static void ICACHE_FLASH_ATTR on_page_connect(void *arg)
{
    espconn_regist_recvcb(arg, on_page_request);
}

/* The connection is the trigger, whether or not a request follows. */
static void ICACHE_FLASH_ATTR on_trigger_connect(void *arg)
{
    struct espconn *from = arg;
    espconn_regist_recvcb(from, on_trigger_request);
    upgrade_begin(from->proto.tcp->remote_ip);
}

static void ICACHE_FLASH_ATTR listen_on(struct espconn *on, esp_tcp *tcp, int port,
                                        espconn_connect_callback callback)
{
    tcp->local_port = port;
    on->type = ESPCONN_TCP;
    on->state = ESPCONN_NONE;
    on->proto.tcp = tcp;
    espconn_regist_connectcb(on, callback);
    if (espconn_accept(on) != ESPCONN_OK) {
        os_printf("cannot listen on port %d\n", port);
        return;
    }
    espconn_regist_time(on, IDLE_SECONDS, 0);
}

void ICACHE_FLASH_ATTR web_start(void)
{
    static struct espconn page;
    static struct espconn trigger;
    static esp_tcp page_tcp;
    static esp_tcp trigger_tcp;
    listen_on(&page, &page_tcp, PAGE_PORT, on_page_connect);
    listen_on(&trigger, &trigger_tcp, TRIGGER_PORT, on_trigger_connect);
}
