/* SPDX-License-Identifier: MIT */
/* What each request is to get. */
#include "http/route.h"
#include "support/test.h"

#include <stdio.h>
#include <string.h>

#define TOKEN "s3cret-token"

struct row {
    const char *name; /* the request, without the empty line */
    bool token;       /* with --path-token */
    enum route_handler handler;
    int slot;
    unsigned status; /* of a reply; otherwise the page */
};

#define END     " HTTP/1.1\r\n"
#define FOREIGN "Host: evil.example\r\n"

static const struct row rows[] = {
    {"GET /user1.bin" END, false, ROUTE_IMAGE, 1, 0},
    {"HEAD /user1.bin" END, false, ROUTE_IMAGE, 1, 0},
    {"GET /x?action=download_rom&filename=user1.bin" END, false, ROUTE_IMAGE, 1, 0},
    {"GET /x?filename=%75ser1%2ebin" END, false, ROUTE_IMAGE, 1, 0},
    {"GET /?a=user1.bin" END, false, ROUTE_IMAGE, 1, 0},
    {"GET /user2.bin" END, false, ROUTE_REPLY, 2, 404}, /* no ELF */
    {"GET /favicon.ico" END, false, ROUTE_REPLY, 0, 404},
    {"GET /" END, false, ROUTE_PAGE, 0, 0},
    {"GET /data" END, false, ROUTE_PAGE, 0, 1},
    {"HEAD /data" END, false, ROUTE_PAGE, 0, 1},
    {"GET /data?" END, false, ROUTE_REPLY, 0, 404},
    {"GET /dat%61" END, false, ROUTE_REPLY, 0, 404},
    {"GET http://localhost/" END, false, ROUTE_REPLY, 0, 404},
    /* refused by the parser: the slot is known all the same */
    {"POST /user1.bin" END, false, ROUTE_REPLY, 1, 405},
    {"GET /user1.bin HTTP/9.9\r\n", false, ROUTE_REPLY, 1, 505},
    {"GET /user1.bin" END "Content-Length: 0 0\r\n", false, ROUTE_REPLY, 1, 400},
    {"nonsense\r\n", false, ROUTE_REPLY, 0, 400},
    /* a token */
    {"GET /" TOKEN "/user1.bin" END, true, ROUTE_IMAGE, 1, 0},
    {"GET /" TOKEN "/" END, true, ROUTE_PAGE, 0, 0},
    {"GET /" TOKEN "/data" END, true, ROUTE_PAGE, 0, 1},
    {"GET /" TOKEN END, true, ROUTE_REPLY, 0, 404},
    {"GET /user1.bin" END, true, ROUTE_REPLY, 0, 404},
    {"GET /" END, true, ROUTE_REPLY, 0, 404},
    /* without it no slot is known, whatever else is wrong */
    {"GET /user1.bin HTTP/9.9\r\n", true, ROUTE_REPLY, 0, 505},
    {"POST /user1.bin" END, true, ROUTE_REPLY, 0, 405},
    {"GET /user1.bin" END "Expect: x\r\n", true, ROUTE_REPLY, 0, 417},
    {"POST /" TOKEN "/user1.bin" END, true, ROUTE_REPLY, 1, 405},
    /* whose page it is */
    {"GET /" END "Host: 127.0.0.1:8888\r\n", false, ROUTE_PAGE, 0, 0},
    {"GET /" END "Host: localhost\r\n", false, ROUTE_PAGE, 0, 0},
    {"GET /" END "Host: workbench:8888\r\n", false, ROUTE_PAGE, 0, 0},
    {"GET /" END FOREIGN, false, ROUTE_REPLY, 0, 421},
    {"GET /data" END FOREIGN, false, ROUTE_REPLY, 0, 421},
    {"GET /" END "Host:\r\n", false, ROUTE_REPLY, 0, 421},
    {"GET /" END "Host: localhost\r\n" FOREIGN, false, ROUTE_REPLY, 0, 400},
    {"GET /" TOKEN "/" END FOREIGN, true, ROUTE_REPLY, 0, 421},
    /* an image: devices send any Host; a browser has to name this computer */
    {"GET /user1.bin" END FOREIGN, false, ROUTE_IMAGE, 1, 0},
    {"GET /user1.bin" END FOREIGN "Origin: http://evil.example\r\n", false, ROUTE_REPLY, 1, 421},
    {"GET /user1.bin" END FOREIGN "referer: http://evil.example/\r\n", false, ROUTE_REPLY, 1, 421},
    {"GET /user1.bin" END FOREIGN "Sec-Fetch-Mode: cors\r\n", false, ROUTE_REPLY, 1, 421},
    {"GET /user1.bin" END "Host: workbench\r\nSec-Fetch-Mode: cors\r\n", false, ROUTE_IMAGE, 1, 0},
    {"GET /user1.bin" END "Sec-Fetch-Mode: cors\r\n", false, ROUTE_IMAGE, 1, 0},
};

static void test_row(void **state)
{
    static const char *const pages[] = {"/", "/data"};
    const struct row *row = *state;
    struct host_names hosts = {.count = 0};
    char bytes[512];
    struct request_head head;
    assert_true(host_names_add(&hosts, "workbench"));
    const struct route_rules rules = {
        row->token ? TOKEN : NULL, &hosts, pages, COUNT(pages), {true, false}};
    int size = snprintf(bytes, sizeof bytes, "%s\r\n", row->name);
    (void)head_parse((const uint8_t *)bytes, (size_t)size, HEAD_LONGEST, true, &head);
    const struct route found = route(&head, &rules);
    assert_int_equal(found.handler, row->handler);
    assert_int_equal(found.slot, row->slot);
    assert_int_equal(found.head, strncmp(row->name, "HEAD", 4) == 0);
    if (row->handler == ROUTE_REPLY) {
        assert_int_equal(found.status, row->status);
        assert_true(found.reason != NULL || found.slot == 2);
    } else if (row->handler == ROUTE_PAGE) {
        assert_int_equal(found.page, row->status);
    }
}

int main(void)
{
    return run_table("route", rows, test_row);
}
