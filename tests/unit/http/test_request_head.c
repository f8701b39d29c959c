/* SPDX-License-Identifier: MIT */
/* The head of a request: what libmicrohttpd gets, and what it never sees. */
#include "http/request_head.h"
#include "support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GET_LINE "GET /user1.bin HTTP/1.0\r\n"

struct row {
    const char *name; /* the request itself, but for the rows below that build theirs */
    enum head_state state;
    unsigned status; /* of a refused one */
    size_t size;     /* of a whole one; 0: all of it */
};

static const struct row rows[] = {
    /* what real firmware sends */
    {GET_LINE "Connection: close\r\n\r\n", HEAD_COMPLETE, 0, 0},
    {GET_LINE "Connection: close\r\n\r\n\r", HEAD_COMPLETE, 0, 46},
    {"HEAD /user2.bin HTTP/1.1\r\n\r\n", HEAD_COMPLETE, 0, 0},
    {"GET /x?action=download_rom&filename=user1.bin HTTP/1.1\r\nHost: a:8888\r\n\r\n",
     HEAD_COMPLETE, 0, 0},
    /* the HEAD of SDK 2.0.0: the last LF never comes, or there are zero bytes behind it (below) */
    {"HEAD /user2.bin HTTP/1.0\r\nConnection: close\r\n\r", HEAD_COMPLETE, 0, 0},
    {"HEAD /user2.bin HTTP/1.0\r\n\r", HEAD_COMPLETE, 0, 0},
    {GET_LINE "\r", HEAD_COMPLETE, 0, 0},
    {"HEAD /user2.bin HTTP/1.0\r\nConnection: close\n\r", HEAD_PARTIAL, 0, 0},
    {"HEAD /user2.bin HTTP/1.0\r\n\rX: y\r\n\r\n", HEAD_REFUSED, 400, 0},
    {"POST /user1.bin HTTP/1.1\r\n\r", HEAD_REFUSED, 405, 0},
    {GET_LINE "Content-Length: 1\r\n\r", HEAD_REFUSED, 400, 0},
    /* tolerated: bare line feeds, an empty line before, a URL for the target, empty values */
    {"GET /user1.bin HTTP/1.0\n\n", HEAD_COMPLETE, 0, 0},
    {"\r\n\r\n" GET_LINE "\r\n", HEAD_COMPLETE, 0, 0},
    {"GET http://h/user1.bin HTTP/1.1\r\n\r\n", HEAD_COMPLETE, 0, 0},
    {GET_LINE "Accept:\r\nX:y\r\n\r\n", HEAD_COMPLETE, 0, 0},
    {GET_LINE "Content-Length: 0\r\n\r\n", HEAD_COMPLETE, 0, 0},
    {GET_LINE "X: \xC3\xA9\ttab\r\n\r\n", HEAD_COMPLETE, 0, 0},
    /* not all there yet */
    {"", HEAD_PARTIAL, 0, 0},
    {"G", HEAD_PARTIAL, 0, 0},
    {"\r", HEAD_PARTIAL, 0, 0},
    {"\r\n\r\n", HEAD_PARTIAL, 0, 0},
    {"GET /user1.bin HTTP/1.0\r", HEAD_PARTIAL, 0, 0},
    {GET_LINE, HEAD_PARTIAL, 0, 0},
    {GET_LINE "Connection: close\r\n", HEAD_PARTIAL, 0, 0},
    /* not HTTP, or none that is spoken here */
    {"GET /user1.bin\r\n\r\n", HEAD_REFUSED, 400, 0},
    {"GET\r\n", HEAD_REFUSED, 400, 0},
    {"GET  /user1.bin HTTP/1.0\r\n\r\n", HEAD_REFUSED, 400, 0},
    {"GET /user 1.bin HTTP/1.0\r\n\r\n", HEAD_REFUSED, 400, 0},
    {"GET user1.bin HTTP/1.0\r\n\r\n", HEAD_REFUSED, 400, 0},
    {"GET /user1.bin HTTP/1.0 \r\n\r\n", HEAD_REFUSED, 400, 0},
    {"GET /user\t1.bin HTTP/1.0\r\n\r\n", HEAD_REFUSED, 400, 0},
    {"GET /user\x7F.bin HTTP/1.0\r\n\r\n", HEAD_REFUSED, 400, 0},
    {"GET /user1.bin http/1.0\r\n\r\n", HEAD_REFUSED, 400, 0},
    {" GET /user1.bin HTTP/1.0\r\n\r\n", HEAD_REFUSED, 400, 0},
    {"G(T /user1.bin HTTP/1.0\r\n\r\n", HEAD_REFUSED, 400, 0},
    {"\x16\x03\x01\x02\n", HEAD_REFUSED, 400, 0},
    {"GET / HTTP/9.9\r\n\r\n", HEAD_REFUSED, 505, 0},
    {"GET / HTTP/1.2\r\n\r\n", HEAD_REFUSED, 505, 0},
    {"PRI * HTTP/2.0\r\n\r\n", HEAD_REFUSED, 400, 0},
    /* fields */
    {GET_LINE "no colon\r\n\r\n", HEAD_REFUSED, 400, 0},
    {GET_LINE ": value\r\n\r\n", HEAD_REFUSED, 400, 0},
    {GET_LINE "Na me: value\r\n\r\n", HEAD_REFUSED, 400, 0},
    {GET_LINE "Name : value\r\n\r\n", HEAD_REFUSED, 400, 0},
    {GET_LINE "A: b\r\n folded\r\n\r\n", HEAD_REFUSED, 400, 0},
    {GET_LINE "A: b\rc\r\n\r\n", HEAD_REFUSED, 400, 0},
    {GET_LINE "A: \x01\r\n\r\n", HEAD_REFUSED, 400, 0},
    {GET_LINE "Expect: 100-continue\r\n\r\n", HEAD_REFUSED, 417, 0},
    /* bodies */
    {GET_LINE "Content-Length: 1\r\n\r\nx", HEAD_REFUSED, 400, 0},
    {GET_LINE "content-length: abc\r\n\r\n", HEAD_REFUSED, 400, 0},
    {GET_LINE "Content-Length:\r\n\r\n", HEAD_REFUSED, 400, 0},
    {GET_LINE "Content-Length: 0\r\nContent-Length: 5\r\n\r\n", HEAD_REFUSED, 400, 0},
    {GET_LINE "Transfer-Encoding: chunked\r\n\r\n", HEAD_REFUSED, 400, 0},
    /* other methods, once the request is whole */
    {"POST /user1.bin HTTP/1.1\r\n", HEAD_PARTIAL, 0, 0},
    {"POST /user1.bin HTTP/1.1\r\nContent-Length: 9\r\n\r\n", HEAD_REFUSED, 405, 0},
    {"get /user1.bin HTTP/1.0\r\n\r\n", HEAD_REFUSED, 405, 0},
    {"HEADER /user1.bin HTTP/1.0\r\n\r\n", HEAD_REFUSED, 405, 0},
};

static void assert_row(const struct row *row, const char *bytes, size_t size)
{
    struct request_head head;
    assert_int_equal(head_parse((const uint8_t *)bytes, size, HEAD_LONGEST, false, &head),
                     row->state);
    if (row->state == HEAD_REFUSED) {
        assert_int_equal(head.status, row->status);
        assert_non_null(head.reason);
    }
    if (row->state == HEAD_COMPLETE) {
        assert_int_equal(head.size, row->size != 0 ? row->size : size);
    }
}

static void test_request(void **state)
{
    const struct row *row = *state;
    assert_row(row, row->name, strlen(row->name));
}

/* However it is cut, a request is partial until it is whole, and then stays what it is; except that
 * a byte other than LF may follow what ended in CRLF CR. */
static void test_cut(void **state)
{
    const struct row *row = *state;
    size_t size = strlen(row->name);
    enum head_state before = HEAD_PARTIAL;
    bool unfinished = false;
    for (size_t i = 0; i <= size; i++) {
        struct request_head head;
        enum head_state now = head_parse((const uint8_t *)row->name, i, HEAD_LONGEST, false, &head);
        assert_true(before == HEAD_PARTIAL || now == before || unfinished);
        unfinished = now == HEAD_COMPLETE && head.unfinished;
        before = now;
    }
    assert_int_equal(before, row->state);
}

/* The LF that may follow is part of the head when it is there; what else follows never is. */
static void test_unfinished(void **state)
{
    static const char head_of_sdk[] =
        "HEAD /user2.bin HTTP/1.0\r\nConnection: close\r\n\r\n\0\0\0\0";
    const size_t with_feed = sizeof head_of_sdk - 1 - 4;
    const uint8_t *bytes = (const uint8_t *)head_of_sdk;
    struct request_head head;
    (void)state;
    assert_int_equal(head_parse(bytes, with_feed - 1, HEAD_LONGEST, false, &head), HEAD_COMPLETE);
    assert_true(head.unfinished);
    assert_int_equal(head.size, with_feed - 1);
    assert_string_equal(head.target, "/user2.bin");
    assert_int_equal(head_parse(bytes, with_feed, HEAD_LONGEST, false, &head), HEAD_COMPLETE);
    assert_false(head.unfinished);
    assert_int_equal(head_parse(bytes, with_feed + 4, HEAD_LONGEST, false, &head), HEAD_COMPLETE);
    assert_false(head.unfinished);
    assert_int_equal(head.size, with_feed);
    /* a limit that it just fits */
    assert_int_equal(head_parse(bytes, with_feed - 1, with_feed - 1, false, &head), HEAD_COMPLETE);
    assert_true(head.unfinished);
}

static void test_zero_byte(void **state)
{
    static const char in_line[] = "GET /user\0001.bin HTTP/1.0\r\n\r\n";
    static const char in_field[] = GET_LINE "A: \000\r\n\r\n";
    static const char in_method[] = "G\000T /user1.bin HTTP/1.0\r\n\r\n";
    const struct row refused = {NULL, HEAD_REFUSED, 400, 0};
    (void)state;
    assert_row(&refused, in_line, sizeof in_line - 1);
    assert_row(&refused, in_field, sizeof in_field - 1);
    assert_row(&refused, in_method, sizeof in_method - 1);
}

static void test_too_long(void **state)
{
    char *bytes = malloc(HEAD_LONGEST);
    const struct row path = {NULL, HEAD_REFUSED, 414, 0};
    const struct row fields = {NULL, HEAD_REFUSED, 431, 0};
    const struct row partial = {NULL, HEAD_PARTIAL, 0, 0};
    (void)state;
    assert_non_null(bytes);
    memset(bytes, 'a', HEAD_LONGEST);
    memcpy(bytes, "GET /", 5);
    assert_row(&partial, bytes, HEAD_LONGEST - 1);
    assert_row(&path, bytes, HEAD_LONGEST);
    memcpy(bytes, GET_LINE "X: ", strlen(GET_LINE "X: "));
    assert_row(&partial, bytes, HEAD_LONGEST - 1);
    assert_row(&fields, bytes, HEAD_LONGEST);
    free(bytes);
}

static void test_number_of_fields(void **state)
{
    char bytes[sizeof GET_LINE + 6 * (HEAD_FIELDS + 1)] = GET_LINE;
    const struct row whole = {NULL, HEAD_COMPLETE, 0, 0};
    const struct row refused = {NULL, HEAD_REFUSED, 431, 0};
    size_t size = strlen(bytes);
    (void)state;
    for (int i = 0; i < HEAD_FIELDS; i++, size += 4) {
        memcpy(bytes + size, "A:\r\n", 4);
    }
    memcpy(bytes + size, "\r\n", 2);
    assert_row(&whole, bytes, size + 2);
    memcpy(bytes + size, "A:\r\n\r\n", 6);
    assert_row(&refused, bytes, size + 6);
}

static void test_what_the_log_gets(void **state)
{
    static const char text[] = "DELETE-EVERYTHING-NOW /a\x01"
                               "b HTTP/1.0\r\n\r\n";
    struct request_head head;
    (void)state;
    assert_int_equal(head_parse((const uint8_t *)text, sizeof text - 1, HEAD_LONGEST, false, &head),
                     HEAD_REFUSED);
    assert_string_equal(head.method, "DELETE-EVERYTHI");
    assert_string_equal(head.target, "/a?b");
}

/* The longest path that a device can ask for is not cut. */
static void test_long_target(void **state)
{
    char bytes[600];
    struct request_head head;
    (void)state;
    int size = snprintf(bytes, sizeof bytes, "GET /%0483d/user1.bin HTTP/1.0\r\n\r\n", 0);
    assert_int_equal(size, 511);
    assert_int_equal(head_parse((const uint8_t *)bytes, (size_t)size, HEAD_LONGEST, false, &head),
                     HEAD_COMPLETE);
    assert_int_equal(head.path.size, 1 + 483 + strlen("/user1.bin"));
    assert_memory_equal(head.path.at + 484, "/user1.bin", 10);
}

/* A request that fits exactly is whole; one byte more is too long, known as soon as it is. */
static void test_limit(void **state)
{
    static const char fits[] = "GET /user1.bin HTTP/1.0\r\nA: bcdefghij\r\n\r\n";
    static const char path[] = "GET /user1.bin?0123456789012345678901234";
    const size_t limit = sizeof fits - 1;
    struct request_head head;
    (void)state;
    assert_int_equal(head_parse((const uint8_t *)fits, limit, limit, false, &head), HEAD_COMPLETE);
    assert_int_equal(head_parse((const uint8_t *)fits, limit - 2, limit, false, &head),
                     HEAD_PARTIAL);
    assert_int_equal(head_parse((const uint8_t *)fits, limit - 2, limit - 2, false, &head),
                     HEAD_REFUSED);
    assert_int_equal(head.status, 431);
    assert_int_equal(head_parse((const uint8_t *)fits, limit, limit - 2, false, &head),
                     HEAD_REFUSED);
    assert_int_equal(head_parse((const uint8_t *)path, 40, 40, false, &head), HEAD_REFUSED);
    assert_int_equal(head.status, 414);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unfinished),       cmocka_unit_test(test_zero_byte),
        cmocka_unit_test(test_too_long),         cmocka_unit_test(test_limit),
        cmocka_unit_test(test_number_of_fields), cmocka_unit_test(test_what_the_log_gets),
        cmocka_unit_test(test_long_target),
    };
    int failed = run_table("a request", rows, test_request);
    failed += run_table("a request that comes bit by bit", rows, test_cut);
    return failed + cmocka_run_group_tests_name("requests", tests, NULL, NULL);
}
