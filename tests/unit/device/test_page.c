/* SPDX-License-Identifier: MIT */
/* What the page says in each state, and to whom it says nothing. */
#include "support/test.h"

#include "device/page.h"

#include <stdlib.h>
#include <string.h>

#define TRIGGER "http://127.0.0.1:8088/"

static struct device_view usual(void)
{
    struct device_view view = {.state = DEVICE_RUNNING, .running = 2, .build = "build 7"};
    return view;
}

static const char *ask(const struct device_view *view, const char *request)
{
    static char out[PAGE_ROOM];
    size_t size = page_answer(view, request, TRIGGER, out);
    assert_int_equal(size, strlen(out));
    const char *body = strstr(out, "\r\n\r\n") + 4;
    const char *length = strstr(out, "Content-Length: ");
    assert_non_null(length);
    size_t announced = strtoul(length + 16, NULL, 10);
    if (strncmp(request, "HEAD", 4) == 0) {
        assert_int_equal(strlen(body), 0);
    } else {
        assert_int_equal(strlen(body), announced);
    }
    return out;
}

static void test_running(void **state)
{
    (void)state;
    struct device_view view = usual();
    const char *page = ask(&view, "GET / HTTP/1.1\r\n\r\n");
    assert_mentions(page, "HTTP/1.0 200 OK\r\n");
    assert_mentions(page, "build 7 runs in slot user2");
    assert_mentions(page, "<a href=\"" TRIGGER "\">begin update</a>");
    assert_silent(page, "refresh");
    assert_mentions(ask(&view, "HEAD / HTTP/1.1\r\n\r\n"), "200 OK");
    assert_mentions(ask(&view, "GET /?x=1 HTTP/1.1\r\n\r\n"), "200 OK");
}

static void test_without_a_trigger(void **state)
{
    (void)state;
    char out[PAGE_ROOM];
    struct device_view view = usual();
    (void)page_answer(&view, "GET / HTTP/1.1\r\n\r\n", NULL, out);
    assert_mentions(out, "build 7 runs in slot user2");
    assert_mentions(out, "uploaded to /flash/upload");
    assert_silent(out, "begin update");
}

static void test_updating(void **state)
{
    (void)state;
    struct device_view view = usual();
    view.state = DEVICE_UPDATING;
    view.progress = 1000;
    view.total = 4000;
    const char *page = ask(&view, "GET / HTTP/1.0\r\n\r\n");
    assert_mentions(page, "update: 1000 of 4000 bytes");
    assert_mentions(page, "refresh");
    assert_silent(page, "begin update");
    view.total = 0;
    assert_mentions(ask(&view, "GET / HTTP/1.0\r\n\r\n"), "max=\"1\"");
}

static void test_last_failure_is_escaped_and_bounded(void **state)
{
    (void)state;
    struct device_view view = usual();
    view.failed = 3;
    (void)strcpy(view.last_rule, "crc");
    memset(view.last_found, '<', sizeof view.last_found - 1);
    const char *page = ask(&view, "GET / HTTP/1.0\r\n\r\n");
    assert_mentions(page, "0 done, 3 failed");
    assert_mentions(page, "last failure: crc: &#60;&#60;");
    assert_silent(page, "<<");
    assert_mentions(page, "</html>");
}

static void test_other_requests(void **state)
{
    (void)state;
    struct device_view view = usual();
    assert_mentions(ask(&view, "GET /favicon.ico HTTP/1.1\r\n\r\n"), "404 Not Found");
    assert_mentions(ask(&view, "POST / HTTP/1.1\r\n\r\n"), "400 Bad Request");
    assert_mentions(ask(&view, ""), "400 Bad Request");
    assert_mentions(ask(&view, "GET /"), "404 Not Found");
}

static void test_trigger(void **state)
{
    (void)state;
    char out[PAGE_ROOM];
    (void)page_trigger_answer(true, "http://127.0.0.1:8080/", out);
    assert_mentions(out, "update begins");
    assert_mentions(out, "http://127.0.0.1:8080/");
    (void)page_trigger_answer(false, "http://127.0.0.1:8080/", out);
    assert_mentions(out, "no update begins");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_running),
        cmocka_unit_test(test_without_a_trigger),
        cmocka_unit_test(test_updating),
        cmocka_unit_test(test_last_failure_is_escaped_and_bounded),
        cmocka_unit_test(test_other_requests),
        cmocka_unit_test(test_trigger),
    };
    return cmocka_run_group_tests_name("page", tests, NULL, NULL);
}
