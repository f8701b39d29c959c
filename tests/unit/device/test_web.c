/* SPDX-License-Identifier: MIT */
/* Requests to the devices that images are pushed to, and the text of their answers. */
#include "support/test.h"

#include "device/web.h"

#include <stdio.h>
#include <string.h>

#define END "\r\nHost: x\r\n\r\n"

enum { LINK = UPLOAD_ESP_LINK, HTTPD = UPLOAD_LIBESPHTTPD, ESPRUINO = UPLOAD_ESPRUINO };

static const struct {
    int dialect;
    const char *head;
    enum web_action action;
    bool post;
    bool force;
    uint32_t length;
} rows[] = {
    {LINK, "GET /flash/next HTTP/1.1" END, WEB_NEXT, false, false, 0},
    {LINK, "POST /flash/upload HTTP/1.1\r\nContent-Length: 5000" END, WEB_UPLOAD, true, false,
     5000},
    {LINK, "GET /flash/upload HTTP/1.1" END, WEB_UPLOAD, false, false, 0},
    {LINK, "POST /flash/reboot HTTP/1.1" END, WEB_REBOOT, true, false, 0},
    {LINK, "GET /flash/reboot HTTP/1.0" END, WEB_REBOOT, false, false, 0},
    {LINK, "GET / HTTP/1.0" END, WEB_OTHER, false, false, 0},
    {LINK, "GET /flash/next/ HTTP/1.0" END, WEB_OTHER, false, false, 0},
    {LINK, "HEAD /flash/next HTTP/1.0" END, WEB_SILENT, false, false, 0},
    {LINK, "GET" END, WEB_SILENT, false, false, 0},
    {LINK, "GET /flash/next" END, WEB_NEXT, false, false, 0},
    /* The field's name is compared with its letter case. */
    {LINK, "POST /flash/upload HTTP/1.1\r\ncontent-length: 5000" END, WEB_UPLOAD, true, false, 0},
    {LINK, "POST /flash/upload HTTP/1.1\r\nContent-Length:77" END, WEB_UPLOAD, true, false, 77},
    {LINK, "POST /flash/upload HTTP/1.1\r\nContent-Length: -1" END, WEB_UPLOAD, true, false, 0},
    {LINK, "POST /flash/upload HTTP/1.1\r\nContent-Length: 99999999999" END, WEB_UPLOAD, true,
     false, 0},
    {HTTPD, "POST /flash/upload?force=1 HTTP/1.1\r\nContent-Length: 9" END, WEB_UPLOAD, true, true,
     9},
    {HTTPD, "POST /flash/upload?a=b&force=1 HTTP/1.1" END, WEB_UPLOAD, true, true, 0},
    {HTTPD, "POST /flash/upload?force=0 HTTP/1.1" END, WEB_UPLOAD, true, false, 0},
    {HTTPD, "POST /flash/upload?enforce=1 HTTP/1.1" END, WEB_UPLOAD, true, false, 0},
    {HTTPD, "GET /flash/reboot?x HTTP/1.1" END, WEB_REBOOT, false, false, 0},
    {ESPRUINO, "GET /flash/next HTTP/1.1" END, WEB_NEXT, false, false, 0},
    {ESPRUINO, "POST /flash/next HTTP/1.1" END, WEB_NOT_FOUND, true, false, 0},
    {ESPRUINO, "GET /flash/next?x HTTP/1.1" END, WEB_NOT_FOUND, false, false, 0},
    {ESPRUINO, "GET /flash/reboot HTTP/1.1" END, WEB_NOT_FOUND, false, false, 0},
    {ESPRUINO, "POST /flash/reboot HTTP/1.1" END, WEB_REBOOT, true, false, 0},
    {ESPRUINO, "GET /flash/upload HTTP/1.1" END, WEB_NOT_FOUND, false, false, 0},
    {ESPRUINO, "GET / HTTP/1.1" END, WEB_NOT_FOUND, false, false, 0},
};

static void test_requests(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct web_request got;
        size_t size = strlen(rows[i].head);
        print_message("row %zu\n", i);
        assert_false(web_parse((enum upload_dialect)rows[i].dialect, rows[i].head, size - 1, &got));
        assert_true(web_parse((enum upload_dialect)rows[i].dialect, rows[i].head, size, &got));
        assert_int_equal(got.action, rows[i].action);
        assert_int_equal(got.head_size, size);
        if (got.action != WEB_SILENT) {
            assert_int_equal(got.upload.post, rows[i].post);
            assert_int_equal(got.upload.force, rows[i].force);
            assert_int_equal(got.upload.length, rows[i].length);
        }
    }
}

static void test_a_body_begins_behind_the_header(void **state)
{
    (void)state;
    static const char head[] = "POST /flash/upload HTTP/1.1\r\nContent-Length: 4" END "abcd";
    struct web_request got;
    assert_true(web_parse(UPLOAD_ESP_LINK, head, strlen(head), &got));
    assert_string_equal(head + got.head_size, "abcd");
}

/* A header that leaves the device's buffer is never answered; hostile bytes neither. */
static void test_long_and_strange(void **state)
{
    (void)state;
    static const size_t rooms[UPLOAD_DIALECTS] = {1024, 1024, 512};
    static const char nothing[] = "\0\0\0\0\r\n\r\n";
    char head[2048];
    struct web_request got;
    memset(head, 'a', sizeof head);
    for (int d = 0; d < UPLOAD_DIALECTS; d++) {
        assert_false(web_parse((enum upload_dialect)d, head, rooms[d] - 1, &got));
        assert_true(web_parse((enum upload_dialect)d, head, rooms[d], &got));
        assert_int_equal(got.action, WEB_SILENT);
        assert_true(web_parse((enum upload_dialect)d, nothing, sizeof nothing - 1, &got));
        assert_int_equal(got.action, WEB_SILENT);
    }
}

static const struct {
    int dialect;
    enum web_action action;
    struct upload_answer answer;
    const char *status;
    const char *length; /* of the header; NULL: there is none */
    const char *body;
} replies[] = {
    {LINK, WEB_NEXT, {200, "user2.bin"}, "HTTP/1.0 200 OK\r\n", "9", "user2.bin"},
    {LINK, WEB_UPLOAD, {200, ""}, "HTTP/1.0 200 OK\r\n", NULL, ""},
    {LINK,
     WEB_UPLOAD,
     {500, "Buffering problem"},
     "HTTP/1.0 500 ERROR\r\n",
     NULL,
     "Buffering problem\r\n"},
    {LINK, WEB_REBOOT, {200, ""}, "HTTP/1.0 200 OK\r\n", "0", ""},
    {HTTPD, WEB_NEXT, {200, "user1.bin"}, "HTTP/1.0 200 OK\r\n", "9", "user1.bin"},
    {HTTPD, WEB_UPLOAD, {200, ""}, "HTTP/1.0 200 OK\r\n", NULL, ""},
    {HTTPD,
     WEB_UPLOAD,
     {400, "Firmware image too large"},
     "HTTP/1.0 400 OK\r\n",
     NULL,
     "Firmware image error:Firmware image too large\n"},
    {HTTPD,
     WEB_UPLOAD,
     {200, "Premature end"},
     "HTTP/1.0 200 OK\r\n",
     NULL,
     "Firmware image error:Premature end\n"},
    {HTTPD, WEB_REBOOT, {200, "Rebooting..."}, "HTTP/1.0 200 OK\r\n", NULL, "Rebooting..."},
    {ESPRUINO,
     WEB_UPLOAD,
     {400, "Wrong partition binary"},
     "HTTP/1.1 400 ERROR\r\n",
     "22",
     "Wrong partition binary"},
    {ESPRUINO, WEB_UPLOAD, {200, ""}, "HTTP/1.1 200 OK\r\n", "0", ""},
    {ESPRUINO, WEB_NOT_FOUND, {404, "Not found"}, "HTTP/1.1 404 ERROR\r\n", "9", "Not found"},
};

static void test_replies(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(replies); i++) {
        char out[WEB_ROOM];
        char field[40];
        size_t size = web_reply((enum upload_dialect)replies[i].dialect, replies[i].action,
                                &replies[i].answer, out);
        print_message("row %zu: %s\n", i, out);
        assert_int_equal(size, strlen(out));
        assert_int_equal(strncmp(out, replies[i].status, strlen(replies[i].status)), 0);
        assert_string_equal(strstr(out, "\r\n\r\n") + 4, replies[i].body);
        (void)snprintf(field, sizeof field, "Content-Length: %s\r\n",
                       replies[i].length != NULL ? replies[i].length : "");
        if (replies[i].length != NULL) {
            assert_mentions(out, field);
        } else {
            assert_silent(out, "Content-Length");
        }
    }
}

static void test_next(void **state)
{
    (void)state;
    const struct upload_device one = {UPLOAD_ESP_LINK, NULL, 1};
    const struct upload_device two = {UPLOAD_ESP_LINK, NULL, 2};
    assert_string_equal(web_next(&one), "user2.bin");
    assert_string_equal(web_next(&two), "user1.bin");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests),
        cmocka_unit_test(test_a_body_begins_behind_the_header),
        cmocka_unit_test(test_long_and_strange),
        cmocka_unit_test(test_replies),
        cmocka_unit_test(test_next),
    };
    return cmocka_run_group_tests_name("web", tests, NULL, NULL);
}
