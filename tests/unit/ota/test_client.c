/* SPDX-License-Identifier: MIT */
/* The upgrade client, branch by branch. */
#include "ota/exchange.h"

#include "support/test.h"

#include <stdlib.h>

#define IMAGE_SIZE 3000

struct scene {
    struct ota_client client;
    uint8_t image[IMAGE_SIZE];
};

static const char ok[] = "HTTP/1.1 200 OK\r\nContent-Length: 3000\r\n\r\n";

static enum ota_action text(struct scene *s, const char *segment)
{
    return ota_client_segment(&s->client, (const uint8_t *)segment, strlen(segment));
}

static enum ota_action bytes(struct scene *s, size_t from, size_t size)
{
    return ota_client_segment(&s->client, s->image + from, size);
}

/* `header` and the first `size` bytes of the image in one segment. */
static enum ota_action joined(struct scene *s, const char *header, size_t size)
{
    uint8_t segment[IMAGE_SIZE + 500];
    size_t length = strlen(header);
    memcpy(segment, header, length);
    memcpy(segment + length, s->image, size);
    return ota_client_segment(&s->client, segment, length + size);
}

static void begin(struct scene *s, const struct ota_client_options *options)
{
    struct random r = {7};
    fill_image(&r, s->image, IMAGE_SIZE, 2);
    ota_client_init(&s->client, options);
}

static void to_head(struct scene *s, const struct ota_client_options *options)
{
    begin(s, options);
    assert_int_equal(ota_client_connected(&s->client), OTA_SEND_HEAD);
}

static void to_get(struct scene *s)
{
    to_head(s, &slot1);
    assert_int_equal(text(s, ok), OTA_RECONNECT);
    (void)ota_client_closed(&s->client, false);
    assert_int_equal(ota_client_connected(&s->client), OTA_SEND_GET);
}

static void to_body(struct scene *s)
{
    to_get(s);
    assert_int_equal(joined(s, ok, 1000), OTA_WAIT);
}

static void to_state(struct scene *s, enum ota_state state)
{
    switch (state) {
    case OTA_STATE_CONNECTING: begin(s, &slot1); break;
    case OTA_STATE_HEAD: to_head(s, &slot1); break;
    case OTA_STATE_FALLBACK:
        to_head(s, &slot1);
        assert_int_equal(text(s, "HTTP/1.0 501 No\r\n\r\n"), OTA_SEND_GET);
        break;
    case OTA_STATE_RECONNECTING:
        to_head(s, &slot1);
        assert_int_equal(text(s, ok), OTA_RECONNECT);
        (void)ota_client_closed(&s->client, false);
        break;
    case OTA_STATE_GET: to_get(s); break;
    case OTA_STATE_BODY: to_body(s); break;
    case OTA_STATE_SUCCESS:
        to_get(s);
        assert_int_equal(text(s, ok), OTA_WAIT);
        assert_int_equal(bytes(s, 0, IMAGE_SIZE), OTA_END);
        break;
    case OTA_STATE_FAILURE:
        begin(s, &slot1);
        assert_int_equal(ota_client_timeout(&s->client, true), OTA_END);
        break;
    }
    assert_int_equal(s->client.state, state);
}

static void assert_failed(const struct scene *s, enum ota_rule rule, const char *word)
{
    assert_int_equal(s->client.state, OTA_STATE_FAILURE);
    assert_string_equal(ota_rule_name(s->client.decided_by), ota_rule_name(rule));
    assert_mentions(s->client.found, word);
}

static void assert_success(const struct scene *s)
{
    if (s->client.state != OTA_STATE_SUCCESS) {
        fail_msg("%s: %s", ota_rule_name(s->client.decided_by), s->client.found);
    }
}

/* ---- every state and every event ---- */

enum event { CONNECTED, EMPTY, CLOSED, RESET, TOO_SLOW, OUT_OF_TIME, GIVEN_UP, EVENTS };

static enum ota_action happen(struct scene *s, enum event event)
{
    switch (event) {
    case CONNECTED: return ota_client_connected(&s->client);
    case EMPTY: return text(s, "");
    case CLOSED: return ota_client_closed(&s->client, false);
    case RESET: return ota_client_closed(&s->client, true);
    case TOO_SLOW: return ota_client_timeout(&s->client, true);
    case OUT_OF_TIME: return ota_client_timeout(&s->client, false);
    default: return ota_client_give_up(&s->client, "enough");
    }
}

static void test_connected(void **state)
{
    (void)state;
    static const enum ota_action wanted[] = {
        [OTA_STATE_CONNECTING] = OTA_SEND_HEAD,
        [OTA_STATE_HEAD] = OTA_WAIT,
        [OTA_STATE_FALLBACK] = OTA_WAIT,
        [OTA_STATE_RECONNECTING] = OTA_SEND_GET,
        [OTA_STATE_GET] = OTA_WAIT,
        [OTA_STATE_BODY] = OTA_WAIT,
        [OTA_STATE_SUCCESS] = OTA_END,
        [OTA_STATE_FAILURE] = OTA_END,
    };
    for (unsigned i = 0; i < COUNT(wanted); i++) {
        struct scene s;
        to_state(&s, (enum ota_state)i);
        assert_int_equal(happen(&s, CONNECTED), wanted[i]);
    }
}

/* The rule that decides when the exchange ends in a state. */
static void test_ends(void **state)
{
    (void)state;
    static const struct {
        enum ota_state state;
        enum ota_rule closed;
        enum ota_rule out_of_time;
    } rows[] = {
        {OTA_STATE_CONNECTING, OTA_RULE_CONNECT, OTA_RULE_CONNECT},
        {OTA_STATE_HEAD, OTA_RULE_HEAD_HEADER, OTA_RULE_HEAD_HEADER},
        {OTA_STATE_FALLBACK, OTA_RULE_HEAD_HEADER, OTA_RULE_HEAD_HEADER},
        {OTA_STATE_RECONNECTING, OTA_RULE_CONNECT, OTA_RULE_CONNECT},
        {OTA_STATE_GET, OTA_RULE_GET_HEADER, OTA_RULE_GET_HEADER},
        {OTA_STATE_BODY, OTA_RULE_COMPLETE, OTA_RULE_IN_TIME},
    };
    static const char *const words[EVENTS] = {[CLOSED] = "closed",
                                              [RESET] = "reset",
                                              [OUT_OF_TIME] = "time ran out",
                                              [GIVEN_UP] = "enough"};
    for (size_t i = 0; i < COUNT(rows); i++) {
        for (unsigned event = 0; event < EVENTS; event++) {
            struct scene s;
            if (words[event] == NULL) {
                continue;
            }
            to_state(&s, rows[i].state);
            if (rows[i].state == OTA_STATE_RECONNECTING && (event == CLOSED || event == RESET)) {
                assert_int_equal(happen(&s, (enum event)event), OTA_WAIT); /* that is HEAD's */
                continue;
            }
            assert_int_equal(happen(&s, (enum event)event), OTA_END);
            assert_int_equal(s.client.notice, OTA_NOTICE_LATE);
            assert_failed(&s, event == OUT_OF_TIME ? rows[i].out_of_time : rows[i].closed,
                          words[event]);
        }
    }
}

static void test_no_connection_in_time(void **state)
{
    (void)state;
    static const enum ota_state states[] = {OTA_STATE_CONNECTING, OTA_STATE_RECONNECTING};
    for (size_t i = 0; i < COUNT(states); i++) {
        struct scene s;
        to_state(&s, states[i]);
        assert_int_equal(happen(&s, TOO_SLOW), OTA_END);
        assert_failed(&s, OTA_RULE_CONNECT, "time ran out");
        assert_int_equal(s.client.notice, i == 0 ? OTA_NOTICE_AT_ONCE : OTA_NOTICE_LATE);
    }
}

/* Nothing that comes after the verdict changes it. */
static void test_verdict_stays(void **state)
{
    (void)state;
    static const enum ota_state states[] = {OTA_STATE_SUCCESS, OTA_STATE_FAILURE};
    for (size_t i = 0; i < COUNT(states); i++) {
        for (unsigned event = 0; event < EVENTS; event++) {
            struct scene s;
            to_state(&s, states[i]);
            assert_int_equal(happen(&s, (enum event)event), OTA_END);
            assert_int_equal(text(&s, ok), OTA_END);
            assert_int_equal(s.client.state, states[i]);
        }
    }
}

/* No connection, no segment: nothing is looked at. */
static void test_segment_without_connection(void **state)
{
    (void)state;
    static const enum ota_state states[] = {OTA_STATE_CONNECTING, OTA_STATE_RECONNECTING};
    for (size_t i = 0; i < COUNT(states); i++) {
        struct scene s;
        to_state(&s, states[i]);
        assert_int_equal(text(&s, ok), OTA_WAIT);
        assert_int_equal(s.client.state, states[i]);
    }
}

/* ---- the answer to HEAD ---- */

struct head_row {
    const char *name;
    const char *segments[3];
    enum ota_action last; /* after the last segment; all before give OTA_WAIT */
    uint32_t length;      /* announced, with OTA_RECONNECT */
    bool sdk2;
};

#define HEAD_OK "HTTP/1.1 200 OK\r\n"
#define LENGTH  "Content-Length: 3000\r\n"

static const struct head_row head_rows[] = {
    {"whole", {HEAD_OK LENGTH "\r\n"}, OTA_RECONNECT, 3000, false},
    {"whole, SDK 2", {HEAD_OK LENGTH "\r\n"}, OTA_RECONNECT, 3000, true},
    {"the status is not looked at",
     {"HTTP/1.1 404 No\r\n" LENGTH "\r\n"},
     OTA_RECONNECT,
     3000,
     false},
    {"no status line at all", {LENGTH "\r\n"}, OTA_RECONNECT, 3000, false},
    {"length only behind the empty line", {HEAD_OK "\r\n" LENGTH}, OTA_RECONNECT, 3000, false},
    /* D1: Content-Length in another spelling is never a fallback; a later segment may have it */
    {"no blank, not OK", {"HTTP/1.1 404 No\r\nContent-Length:0\r\n\r\n"}, OTA_WAIT, 0, false},
    {"no blank, not OK, SDK 2", {"HTTP/1.1 404 No\r\nContent-Length:0\r\n\r\n"}, OTA_WAIT, 0, true},
    {"no blank, then as it should be",
     {"HTTP/1.1 404 No\r\nContent-Length:0\r\n\r\n", HEAD_OK LENGTH "\r\n"},
     OTA_RECONNECT,
     3000,
     false},
    /* D2: the number is followed by CRLF, before the first zero byte */
    {"no CRLF behind the number", {HEAD_OK "\r\nContent-Length: 8000"}, OTA_WAIT, 0, false},
    {"half a CRLF behind the number", {HEAD_OK "\r\nContent-Length: 8000\r"}, OTA_WAIT, 0, false},
    /* D3, SDK 2: no look at 200 OK */
    {"lower case, SDK 2", {HEAD_OK "content-length: 3000\r\n\r\n"}, OTA_SEND_GET, 0, true},
    {"status first, the rest later", {HEAD_OK, LENGTH "\r\n"}, OTA_RECONNECT, 3000, false},
    {"status first, SDK 2", {HEAD_OK}, OTA_SEND_GET, 0, true},
    {"cut within the status", {"HTTP/1.1 20"}, OTA_SEND_GET, 0, false},
    {"length apart from the empty line", {HEAD_OK LENGTH, "\r\n"}, OTA_SEND_GET, 0, false},
    {"lower case", {HEAD_OK "content-length: 3000\r\n\r\n"}, OTA_WAIT, 0, false},
    {"lower case, not OK",
     {"HTTP/1.1 404 No\r\ncontent-length: 9\r\n\r\n"},
     OTA_SEND_GET,
     0,
     false},
    {"no blank behind the colon", {HEAD_OK "Content-Length:3000\r\n\r\n"}, OTA_WAIT, 0, false},
    {"two blanks", {HEAD_OK "Content-Length:  3000\r\n\r\n"}, OTA_RECONNECT, 3000, false},
    {"chunked", {HEAD_OK "Transfer-Encoding: chunked\r\n\r\n"}, OTA_WAIT, 0, false},
    {"no HEAD", {"HTTP/1.0 501 No\r\n\r\n"}, OTA_SEND_GET, 0, false},
    {"LF only", {"HTTP/1.0 200 OK\nContent-Length: 3000\n\n"}, OTA_SEND_GET, 0, false},
    {"empty segment", {""}, OTA_SEND_GET, 0, false},
    {"with text behind the number",
     {"Content-Length: 3000 bytes\r\n\r\n"},
     OTA_RECONNECT,
     3000,
     false},
};

static void test_head(void **state)
{
    const struct head_row *row = *state;
    struct scene s;
    enum ota_action action = OTA_WAIT;
    to_head(&s, row->sdk2 ? &slot1_sdk2 : &slot1);
    for (size_t i = 0; i < COUNT(row->segments) && row->segments[i] != NULL; i++) {
        assert_int_equal(action, OTA_WAIT);
        action = text(&s, row->segments[i]);
    }
    assert_int_equal(action, row->last);
    assert_int_equal(s.client.fell_back, row->last == OTA_SEND_GET);
    if (action == OTA_RECONNECT) {
        assert_int_equal(s.client.head_length, row->length);
    }
}

/* A zero byte ends what is searched. */
static void test_zero_ends_the_header(void **state)
{
    (void)state;
    static const char segment[] = HEAD_OK "\0Content-Length: 3000\r\n\r\n";
    static const char number[] = HEAD_OK "\r\nContent-Length: 8000\0\r\n";
    struct scene s;
    to_head(&s, &slot1);
    assert_int_equal(ota_client_segment(&s.client, (const uint8_t *)segment, sizeof segment - 1),
                     OTA_WAIT);
    assert_int_equal(ota_client_segment(&s.client, (const uint8_t *)number, sizeof number - 1),
                     OTA_WAIT);
}

struct length_row {
    const char *number;
    uint32_t length; /* 0: refused */
    uint32_t erased;
};

static void test_lengths(void **state)
{
    (void)state;
    static const struct length_row rows[] = {
        {"0", 0, 0},
        {"", 0, 0},
        {"abc", 0, 0},
        {"-1", 0, 0},
        {"1", 1, 0x1000},
        {"4096", 4096, 0x1000},
        {"4097", 4097, 0x2000},
        {"0003000", 3000, 0x1000},
        {"983040", 0xF0000, 0xF0000},
        {"1024001", 0, 0},
        {"-18446744073709543616", 0, 0}, /* D11: 8000 modulo 2 to the 64th */
        {"4294975296", 0, 0},            /* 8000 modulo 2 to the 32nd */
        {" +3000", 3000, 0x1000},
        {"4294967295", 0, 0},
        {"4294967296", 0, 0},
        {"99999999999999999999999", 0, 0},
        {"0000000000000000000000000003000", 3000, 0x1000}, /* 31 characters */
        {"00000000000000000000000000003000", 0, 0},        /* D10: more than the buffer takes */
        {"00000000000000000000000000000000000000000000003000", 0, 0},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        char segment[200];
        struct scene s;
        (void)snprintf(segment, sizeof segment, HEAD_OK "Content-Length: %s\r\n\r\n",
                       rows[i].number);
        to_head(&s, &slot1);
        enum ota_action action = text(&s, segment);
        if (rows[i].length == 0) {
            assert_int_equal(action, OTA_END);
            assert_failed(&s, OTA_RULE_LENGTH, "partition 1024000");
            assert_int_equal(s.client.notice, OTA_NOTICE_AT_ONCE);
        } else {
            assert_int_equal(action, OTA_RECONNECT);
            assert_int_equal(s.client.head_length, rows[i].length);
            assert_int_equal(s.client.erased, rows[i].erased);
        }
    }
}

/* D3: above 240 sectors nothing is erased, and the firmware does not learn it. D4: whole sectors of
 * the partition count. */
static void test_sectors(void **state)
{
    (void)state;
    static const struct {
        uint32_t partition;
        uint32_t length;
        bool accepted;
        enum ota_notice notice;
        const char *word;
    } rows[] = {
        {0xFA000, 983040, true, 0, ""},
        {0xFA000, 983041, false, OTA_NOTICE_LATE, "num max=240"},
        {0xFA000, 1024000, false, OTA_NOTICE_LATE, "250 sectors"},
        {0xFA000, 1024001, false, OTA_NOTICE_AT_ONCE, "Content-Length 1024001"},
        {8100, 8000, false, OTA_NOTICE_AT_ONCE, "partition 8100"},
        {8191, 4096, true, 0, ""},
        {8192, 8192, true, 0, ""},
        {8192, 8193, false, OTA_NOTICE_AT_ONCE, "partition 8192"},
        {4095, 1, false, OTA_NOTICE_AT_ONCE, "partition 4095"},
        {UINT32_MAX, INT32_MAX, false, OTA_NOTICE_LATE, "num max=240"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        for (int sdk = 0; sdk < 2; sdk++) {
            const struct ota_client_options options = {1, rows[i].partition,
                                                       sdk == 0 ? OTA_SDK_3 : OTA_SDK_2};
            struct scene s;
            char segment[100];
            (void)snprintf(segment, sizeof segment, HEAD_OK "Content-Length: %u\r\n\r\n",
                           rows[i].length);
            to_head(&s, &options);
            enum ota_action action = text(&s, segment);
            assert_int_equal(action, rows[i].accepted ? OTA_RECONNECT : OTA_END);
            if (!rows[i].accepted) {
                assert_failed(&s, OTA_RULE_LENGTH, rows[i].word);
                assert_int_equal(s.client.notice, rows[i].notice);
                assert_int_equal(s.client.erased, 0);
            }
        }
    }
}

/* D13: the timer that would close HEAD's connection is used again when one sector is erased. */
static void test_one_sector(void **state)
{
    (void)state;
    for (int closed = 0; closed < 2; closed++) {
        struct scene s;
        to_head(&s, &slot1);
        assert_int_equal(text(&s, ok), OTA_RECONNECT);
        if (closed == 1) {
            assert_int_equal(ota_client_closed(&s.client, false), OTA_WAIT);
            assert_int_equal(ota_client_connected(&s.client), OTA_SEND_GET);
            continue;
        }
        assert_int_equal(ota_client_connected(&s.client), OTA_END);
        assert_failed(&s, OTA_RULE_CONNECT, "left HEAD's connection open");
        assert_int_equal(s.client.notice, OTA_NOTICE_LATE);
    }
}

/* The GET on HEAD's connection is for the length only; a second one follows. D16: one for each
 * segment without a header. */
static void test_fallback(void **state)
{
    (void)state;
    struct scene s;
    to_state(&s, OTA_STATE_FALLBACK);
    assert_int_equal(text(&s, "rubbish"), OTA_SEND_GET);
    assert_int_equal(text(&s, HEAD_OK), OTA_WAIT);
    assert_int_equal(joined(&s, ok, 1000), OTA_RECONNECT);
    assert_int_equal(s.client.written, 0);
    (void)ota_client_closed(&s.client, false);
    assert_int_equal(ota_client_connected(&s.client), OTA_SEND_GET);
    assert_int_equal(joined(&s, ok, 1000), OTA_WAIT);
    assert_int_equal(bytes(&s, 1000, 2000), OTA_END);
    assert_success(&s);
    assert_true(s.client.fell_back);
}

static void test_fallback_length_zero(void **state)
{
    (void)state;
    struct scene s;
    to_state(&s, OTA_STATE_FALLBACK);
    assert_int_equal(text(&s, "HTTP/1.0 404 No\r\nContent-Length: 0\r\n\r\n"), OTA_END);
    assert_failed(&s, OTA_RULE_LENGTH, "Content-Length 0");
}

/* ---- the answer to GET ---- */

static void test_success(void **state)
{
    (void)state;
    struct scene s;
    to_body(&s);
    assert_true(s.client.checked_first);
    assert_int_equal(bytes(&s, 1000, 1000), OTA_WAIT);
    assert_int_equal(bytes(&s, 2000, 1000), OTA_END);
    assert_success(&s);
    assert_int_equal(s.client.segments, 3);
    assert_mentions(s.client.found, "3000 bytes in 3 segments");
}

/* Every size of the first and of the last segment that leaves both long enough. */
static void test_every_cut(void **state)
{
    (void)state;
    for (size_t first = 4; first <= IMAGE_SIZE - 4; first++) {
        struct scene s;
        to_get(&s);
        assert_int_equal(joined(&s, ok, first), OTA_WAIT);
        assert_int_equal(bytes(&s, first, IMAGE_SIZE - first), OTA_END);
        assert_success(&s);
    }
}

static void test_single_bytes_until_the_last_four(void **state)
{
    (void)state;
    struct scene s;
    to_body(&s);
    for (size_t i = 1000; i < IMAGE_SIZE - 4; i++) {
        assert_int_equal(bytes(&s, i, 1), OTA_WAIT);
    }
    assert_int_equal(bytes(&s, IMAGE_SIZE - 4, 4), OTA_END);
    assert_success(&s);
}

struct first_row {
    const char *name;
    uint8_t first[4];
    bool accepted;
    enum ota_rule rule;
};

static const struct first_row first_rows[] = {
    {"EA 04", {0xEA, 4, 0, 2}, true, 0},
    {"E9 03", {0xE9, 3, 0, 2}, true, 0},
    {"the two in the middle do not matter", {0xEA, 4, 0x55, 2}, true, 0},
    {"EA 03", {0xEA, 3, 0, 2}, false, OTA_RULE_FIRST_BYTES},
    {"E9 04", {0xE9, 4, 0, 2}, false, OTA_RULE_FIRST_BYTES},
    {"a page", {'<', 'h', 't', 'm'}, false, OTA_RULE_FIRST_BYTES},
    {"the running slot", {0xEA, 4, 0, 1}, false, OTA_RULE_APP_NUMBER},
    {"made by esptool", {0xEA, 4, 0, 0x20}, false, OTA_RULE_APP_NUMBER},
    {"Espruino counts from 0", {0xEA, 4, 0, 0}, false, OTA_RULE_APP_NUMBER},
};

static void test_first(void **state)
{
    const struct first_row *row = *state;
    struct scene s;
    to_get(&s);
    memcpy(s.image, row->first, 4);
    seal(s.image, IMAGE_SIZE);
    enum ota_action action = joined(&s, ok, IMAGE_SIZE - 4);
    assert_memory_equal(s.client.first, row->first, 4);
    if (row->accepted) {
        assert_int_equal(action, OTA_WAIT);
        assert_int_equal(bytes(&s, IMAGE_SIZE - 4, 4), OTA_END);
        assert_success(&s);
    } else {
        assert_int_equal(action, OTA_END);
        assert_failed(&s, row->rule, "bin file");
        assert_int_equal(s.client.notice, OTA_NOTICE_AT_ONCE);
        assert_int_equal(s.client.written, 0);
    }
}

/* A header in a segment of its own spares the image the look at its first bytes. */
static void test_first_not_looked_at(void **state)
{
    const struct first_row *row = *state;
    struct scene s;
    to_get(&s);
    memcpy(s.image, row->first, 4);
    seal(s.image, IMAGE_SIZE);
    assert_int_equal(text(&s, ok), OTA_WAIT);
    assert_int_equal(bytes(&s, 0, IMAGE_SIZE), OTA_END);
    assert_success(&s);
    assert_false(s.client.checked_first);
    assert_memory_equal(s.client.first, row->first, 4);
}

static void test_running_slot_2(void **state)
{
    (void)state;
    static const struct ota_client_options slot2 = {2, PARTITION, OTA_SDK_3};
    for (uint8_t app = 1; app <= 2; app++) {
        struct random r = {1};
        struct scene s;
        begin(&s, &slot2);
        fill_image(&r, s.image, IMAGE_SIZE, app);
        ota_client_play(&s.client, &slot2, (const uint8_t *)ok, strlen(ok), s.image, IMAGE_SIZE,
                        536);
        if (app == 1) {
            assert_success(&s);
        } else {
            assert_failed(&s, OTA_RULE_APP_NUMBER, "running slot 2");
        }
    }
}

static void test_too_few_first_bytes(void **state)
{
    (void)state;
    for (size_t count = 1; count < 4; count++) {
        struct scene s;
        to_get(&s);
        assert_int_equal(joined(&s, ok, count), OTA_END);
        assert_failed(&s, OTA_RULE_FIRST_BYTES, "body bytes in the header's segment");
    }
}

static void test_header_in_two_segments(void **state)
{
    (void)state;
    struct scene s;
    to_get(&s);
    assert_int_equal(text(&s, HEAD_OK), OTA_WAIT);
    assert_int_equal(joined(&s, LENGTH "\r\n", 1000), OTA_WAIT);
    assert_int_equal(bytes(&s, 1000, 2000), OTA_END);
    assert_success(&s);
    assert_int_equal(s.client.forgotten, 1);
    assert_int_equal(s.client.dropped, 0);
}

static void assert_never_ends(struct scene *s, uint32_t written)
{
    assert_true(ota_client_is_lost(&s->client));
    assert_int_equal(s->client.written, written);
    assert_int_equal(ota_client_closed(&s->client, false), OTA_END);
    assert_failed(s, OTA_RULE_GET_HEADER, "no header with a length was found");
    assert_int_equal(s->client.notice, OTA_NOTICE_LATE);
}

/* The second half of the header is taken for the beginning of the image. */
static void test_header_cut_behind_the_length(void **state)
{
    (void)state;
    struct scene s;
    to_get(&s);
    assert_int_equal(text(&s, HEAD_OK LENGTH), OTA_WAIT);
    assert_int_equal(joined(&s, "\r\n", IMAGE_SIZE), OTA_WAIT);
    assert_never_ends(&s, IMAGE_SIZE + 2);
}

/* D5: HEAD's length counts for nothing then. */
static void test_no_header_at_all(void **state)
{
    (void)state;
    struct scene s;
    to_get(&s);
    assert_int_equal(bytes(&s, 0, 1460), OTA_WAIT);
    assert_int_equal(bytes(&s, 1460, IMAGE_SIZE - 1460), OTA_WAIT);
    assert_never_ends(&s, IMAGE_SIZE);
    to_get(&s);
    assert_int_equal(text(&s, HEAD_OK "Connection: close\r\n\r\n"), OTA_WAIT);
    assert_false(ota_client_is_lost(&s.client));
    assert_int_equal(bytes(&s, 0, IMAGE_SIZE), OTA_WAIT);
    assert_never_ends(&s, IMAGE_SIZE);
}

static void test_error_without_length(void **state)
{
    (void)state;
    struct scene s;
    to_get(&s);
    assert_int_equal(text(&s, "HTTP/1.1 500 No\r\n\r\nsorry"), OTA_WAIT);
    assert_never_ends(&s, 24);
}

/* D6: without a blank the length is not read, and none of none is all. */
static void test_get_length_without_blank(void **state)
{
    (void)state;
    static const char header[] = HEAD_OK "Content-Length:3000\r\n\r\n";
    struct scene s;
    to_get(&s);
    assert_int_equal(text(&s, header), OTA_END);
    assert_failed(&s, OTA_RULE_GET_HEADER, "0 of 0 bytes");
    assert_int_equal(s.client.notice, OTA_NOTICE_AT_ONCE);
    to_get(&s);
    assert_int_equal(joined(&s, header, 1000), OTA_WAIT);
    assert_true(s.client.checked_first);
    assert_int_equal(bytes(&s, 1000, 2000), OTA_WAIT);
    assert_never_ends(&s, IMAGE_SIZE);
}

/* D7: with the header in the segment that ends the image, the CRC is looked for elsewhere. */
static void test_one_segment(void **state)
{
    (void)state;
    struct scene s;
    to_get(&s);
    assert_int_equal(joined(&s, ok, IMAGE_SIZE), OTA_END);
    assert_failed(&s, OTA_RULE_LAST_SEGMENT, "header and image came in one segment of 3041 bytes");
    assert_int_equal(s.client.notice, OTA_NOTICE_AT_ONCE);
    assert_int_equal(s.client.written, IMAGE_SIZE);
    to_get(&s);
    assert_int_equal(joined(&s, ok, IMAGE_SIZE - 4), OTA_WAIT);
    assert_int_equal(bytes(&s, IMAGE_SIZE - 4, 4), OTA_END);
    assert_success(&s);
}

/* D9: while no byte of the body is counted, every segment is searched for a header. */
static void test_header_in_the_image(void **state)
{
    (void)state;
    static const char planted[] = "\r\n\r\nContent-Length: 16\r\n";
    struct scene s;
    to_get(&s);
    memset(s.image, 'A', 100);
    memcpy(s.image, (const uint8_t[]){0xEA, 4, 1, 2}, 4);
    memcpy(s.image + 60, planted, sizeof planted - 1);
    seal(s.image, IMAGE_SIZE);
    assert_int_equal(text(&s, ok), OTA_WAIT);
    assert_int_equal(bytes(&s, 0, 1460), OTA_END);
    assert_failed(&s, OTA_RULE_FIRST_BYTES, "error bin file");
    to_get(&s);
    memset(s.image + 1000, 'A', 100);
    memcpy(s.image + 1060, planted, sizeof planted - 1);
    seal(s.image, IMAGE_SIZE);
    assert_int_equal(joined(&s, ok, 1000), OTA_WAIT);
    assert_int_equal(bytes(&s, 1000, 2000), OTA_END);
    assert_success(&s);
}

/* D14, D15: SDK 2.x drops nothing. */
static void test_sdk2_drops_nothing(void **state)
{
    (void)state;
    struct scene s;
    to_head(&s, &slot1_sdk2);
    assert_int_equal(text(&s, ok), OTA_RECONNECT);
    (void)ota_client_closed(&s.client, false);
    (void)ota_client_connected(&s.client);
    memset(s.image + 1000, 'x', 1000);
    memcpy(s.image + 1992, "200 OK\r\n", 8);
    seal(s.image, IMAGE_SIZE);
    assert_int_equal(joined(&s, ok, 1500), OTA_WAIT);
    assert_int_equal(bytes(&s, 1500, 1500), OTA_END);
    assert_success(&s);
    assert_int_equal(s.client.dropped, 0);

    to_head(&s, &slot1_sdk2);
    assert_int_equal(text(&s, ok), OTA_RECONNECT);
    (void)ota_client_closed(&s.client, false);
    (void)ota_client_connected(&s.client);
    assert_int_equal(text(&s, HEAD_OK), OTA_WAIT);
    assert_int_equal(joined(&s, LENGTH "\r\n", IMAGE_SIZE), OTA_WAIT);
    assert_never_ends(&s, (uint32_t)(strlen(HEAD_OK LENGTH "\r\n") + IMAGE_SIZE));
}

/* The header is forgotten, with the part of the body in its segment; the rest never suffices. */
static void test_chunked(void **state)
{
    (void)state;
    struct scene s;
    to_get(&s);
    assert_int_equal(joined(&s, HEAD_OK "Transfer-Encoding: chunked\r\n\r\nbb8\r\n", 1000),
                     OTA_WAIT);
    assert_int_equal(bytes(&s, 1000, 2000), OTA_WAIT);
    assert_int_equal(text(&s, "\r\n0\r\n\r\n"), OTA_WAIT);
    assert_int_equal(ota_client_closed(&s.client, false), OTA_END);
    assert_failed(&s, OTA_RULE_GET_HEADER, "no header");
}

struct get_length_row {
    const char *name;
    uint32_t head;
    uint32_t get;
    uint32_t body;
    enum ota_rule rule; /* OTA_RULE_COUNT: success */
    const char *word;
};

static const struct get_length_row get_length_rows[] = {
    {"the same", 3000, 3000, 3000, OTA_RULE_COUNT, ""},
    {"fewer than HEAD", 4000, 3000, 3000, OTA_RULE_COUNT, ""},
    {"more, within the erased sectors", 100, 3000, 3000, OTA_RULE_COUNT, ""},
    {"more than erased", 3000, 4100, 4100, OTA_RULE_COUNT, ""}, /* D12: for blank flash */
    {"none", 3000, 0, 0, OTA_RULE_LENGTH, "GET announced 0 bytes"},
    {"body shorter than announced", 3000, 3000, 2000, OTA_RULE_COMPLETE, "2000 of 3000"},
    {"body longer than announced", 2000, 2000, 3000, OTA_RULE_LAST_SEGMENT, "follow the body"},
    {"very short", 3, 3, 3, OTA_RULE_FIRST_BYTES, "only 3 body bytes"},
};

static void test_get_length(void **state)
{
    const struct get_length_row *row = *state;
    char header[100];
    uint8_t image[5000];
    struct random r = {3};
    struct scene s;
    enum ota_action action = OTA_WAIT;
    fill_image(&r, image, row->body > 4 ? row->body : 5, 2);
    to_head(&s, &slot1);
    (void)snprintf(header, sizeof header, HEAD_OK "Content-Length: %u\r\n\r\n", row->head);
    assert_int_equal(text(&s, header), OTA_RECONNECT);
    (void)ota_client_closed(&s.client, false);
    (void)ota_client_connected(&s.client);
    (void)snprintf(header, sizeof header, HEAD_OK "Content-Length: %u\r\n\r\n", row->get);
    uint8_t segment[5100];
    size_t length = strlen(header);
    memcpy(segment, header, length);
    memcpy(segment + length, image, row->body);
    size_t first = row->body > 500 ? 500 : row->body;
    action = ota_client_segment(&s.client, segment, length + first);
    if (action == OTA_WAIT) {
        action = ota_client_segment(&s.client, image + first, row->body - first);
    }
    if (action == OTA_WAIT) {
        (void)ota_client_closed(&s.client, false);
    }
    if (row->rule == OTA_RULE_COUNT) {
        assert_success(&s);
    } else {
        assert_failed(&s, row->rule, row->word);
    }
}

/* ---- the body ---- */

struct drop_row {
    const char *name;
    size_t at;        /* of "200 OK" CRLF behind the beginning of a segment */
    size_t zero;      /* a zero byte there; SIZE_MAX: none in the segment */
    const char *text; /* planted */
    bool dropped;
};

static const struct drop_row drop_rows[] = {
    {"at the start", 0, SIZE_MAX, "200 OK\r\n", true},
    {"behind a run", 500, SIZE_MAX, "200 OK\r\n", true},
    {"at the very end", 992, SIZE_MAX, "200 OK\r\n", true},
    {"cut by the end", 993, SIZE_MAX, "200 OK\r\n", false},
    {"behind a zero", 500, 499, "200 OK\r\n", false},
    {"zero at the start", 500, 0, "200 OK\r\n", false},
    {"zero behind it", 500, 508, "200 OK\r\n", true},
    {"other case", 500, SIZE_MAX, "200 ok\r\n", false},
    {"no CR", 500, SIZE_MAX, "200 OK\n", false},
    {"another status", 500, SIZE_MAX, "404 OK\r\n", false},
};

static void test_drop(void **state)
{
    const struct drop_row *row = *state;
    struct scene s;
    size_t length = strlen(row->text);
    to_get(&s);
    memset(s.image + 1000, 'x', 1000);
    memcpy(s.image + 1000 + row->at, row->text, length);
    if (row->zero != SIZE_MAX) {
        s.image[1000 + row->zero] = 0;
    }
    s.image[2000] = 0;
    seal(s.image, IMAGE_SIZE);
    assert_int_equal(joined(&s, ok, 1000), OTA_WAIT);
    assert_int_equal(bytes(&s, 1000, 1000), OTA_WAIT);
    assert_int_equal(bytes(&s, 2000, 1000), row->dropped ? OTA_WAIT : OTA_END);
    if (!row->dropped) {
        assert_success(&s);
        return;
    }
    assert_int_equal(s.client.dropped_bytes, 1000);
    (void)ota_client_closed(&s.client, false);
    assert_failed(&s, OTA_RULE_NO_DROP, "1 segments, 1000 bytes, dropped; closed");
}

static void test_drop_then_time_runs_out(void **state)
{
    (void)state;
    struct scene s;
    to_body(&s);
    assert_int_equal(text(&s, "200 OK\r\n"), OTA_WAIT);
    (void)ota_client_timeout(&s.client, false);
    assert_failed(&s, OTA_RULE_NO_DROP, "time ran out");
}

/* Bytes behind the body make up for the dropped ones, but not for what was in them. */
static void test_drop_then_more_bytes(void **state)
{
    (void)state;
    struct scene s;
    to_body(&s);
    assert_int_equal(text(&s, "200 OK\r\n"), OTA_WAIT);
    assert_int_equal(bytes(&s, 1008, 1992), OTA_WAIT);
    assert_int_equal(bytes(&s, 0, 8), OTA_END);
    assert_failed(&s, OTA_RULE_NO_DROP, "dropped");
}

static void test_short_last(void **state)
{
    (void)state;
    for (size_t last = 1; last <= 8; last++) {
        struct scene s;
        to_body(&s);
        assert_int_equal(bytes(&s, 1000, 2000 - last), OTA_WAIT);
        assert_int_equal(bytes(&s, IMAGE_SIZE - last, last), OTA_END);
        if (last < 4) {
            assert_failed(&s, OTA_RULE_LAST_SEGMENT, "the last segment holds");
        } else {
            assert_success(&s);
        }
    }
}

static void test_bytes_behind_the_body(void **state)
{
    (void)state;
    struct scene s;
    to_body(&s);
    uint8_t segment[2001] = {0};
    memcpy(segment, s.image + 1000, 2000);
    /* D8: done is done when the count equals the length. */
    assert_int_equal(ota_client_segment(&s.client, segment, sizeof segment), OTA_WAIT);
    assert_true(ota_client_is_lost(&s.client));
    assert_int_equal(ota_client_closed(&s.client, false), OTA_END);
    assert_failed(&s, OTA_RULE_LAST_SEGMENT, "1 bytes follow the body");
    assert_int_equal(s.client.notice, OTA_NOTICE_LATE);
}

static void test_wrong_crc(void **state)
{
    (void)state;
    static const size_t places[] = {4, 500, 1500, IMAGE_SIZE - 5, IMAGE_SIZE - 4, IMAGE_SIZE - 1};
    for (size_t i = 0; i < COUNT(places); i++) {
        struct scene s;
        to_get(&s);
        s.image[places[i]] ^= 1;
        assert_int_equal(joined(&s, ok, 1000), OTA_WAIT);
        assert_int_equal(bytes(&s, 1000, 2000), OTA_END);
        assert_failed(&s, OTA_RULE_CRC, "stored");
    }
}

/* Both signs of the CRC. */
static void test_many_crcs(void **state)
{
    (void)state;
    struct random r = {11};
    for (int i = 0; i < 200; i++) {
        struct scene s;
        to_get(&s);
        fill_image(&r, s.image, IMAGE_SIZE, 2);
        assert_int_equal(joined(&s, ok, 1000), OTA_WAIT);
        assert_int_equal(bytes(&s, 1000, 2000), OTA_END);
        assert_success(&s);
    }
}

/* ---- whole exchanges ---- */

static void test_replay(void **state)
{
    (void)state;
    struct random r = {5};
    uint8_t image[IMAGE_SIZE];
    struct ota_client client;
    fill_image(&r, image, sizeof image, 2);
    for (int alone = 0; alone < 2; alone++) {
        for (size_t mss = 88; mss < 4000; mss += 44) {
            const struct ota_stream stream = {(const uint8_t *)ok, strlen(ok), image,
                                              sizeof image,        mss,        alone != 0};
            ota_client_replay(&client, &slot1, &stream);
            size_t cut = sizeof image + (alone != 0 ? 0 : strlen(ok));
            assert_int_equal(client.segments, (cut + mss - 1) / mss + (alone != 0 ? 1 : 0));
            size_t last = cut % mss;
            bool joined = alone == 0 && cut <= mss;
            assert_int_equal(client.state, (last > 0 && last < 4) || joined ? OTA_STATE_FAILURE
                                                                            : OTA_STATE_SUCCESS);
            assert_int_equal(client.checked_first, alone == 0);
        }
    }
}

/* An MSS that no connection has is not an endless loop. */
static void test_replay_of_any_mss(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 65535, 65536, SIZE_MAX};
    struct random r = {5};
    uint8_t image[IMAGE_SIZE];
    fill_image(&r, image, sizeof image, 2);
    for (size_t i = 0; i < COUNT(sizes); i++) {
        struct ota_client client;
        ota_client_play(&client, &slot1, (const uint8_t *)ok, strlen(ok), image, sizeof image,
                        sizes[i]);
        assert_int_equal(client.decided_by,
                         sizes[i] == 1 ? OTA_RULE_HEAD_HEADER : OTA_RULE_LAST_SEGMENT);
    }
}

static void test_play_without_length(void **state)
{
    (void)state;
    static const char header[] = "HTTP/1.1 404 No\r\n\r\n";
    uint8_t image[IMAGE_SIZE] = {0};
    struct ota_client client;
    ota_client_play(&client, &slot1, (const uint8_t *)header, strlen(header), image, sizeof image,
                    1460);
    assert_int_equal(client.decided_by, OTA_RULE_HEAD_HEADER);
    assert_true(client.fell_back);
}

static void test_every_rule_has_words(void **state)
{
    (void)state;
    for (int i = 0; i < OTA_RULE_COUNT; i++) {
        assert_non_null(ota_rule_name((enum ota_rule)i));
        assert_non_null(ota_rule_demand((enum ota_rule)i));
        for (int other = 0; other < i; other++) {
            assert_string_not_equal(ota_rule_name((enum ota_rule)i),
                                    ota_rule_name((enum ota_rule)other));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_connected),
        cmocka_unit_test(test_ends),
        cmocka_unit_test(test_no_connection_in_time),
        cmocka_unit_test(test_verdict_stays),
        cmocka_unit_test(test_segment_without_connection),
        cmocka_unit_test(test_zero_ends_the_header),
        cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_sectors),
        cmocka_unit_test(test_one_sector),
        cmocka_unit_test(test_fallback),
        cmocka_unit_test(test_fallback_length_zero),
        cmocka_unit_test(test_success),
        cmocka_unit_test(test_every_cut),
        cmocka_unit_test(test_single_bytes_until_the_last_four),
        cmocka_unit_test(test_running_slot_2),
        cmocka_unit_test(test_too_few_first_bytes),
        cmocka_unit_test(test_header_in_two_segments),
        cmocka_unit_test(test_header_cut_behind_the_length),
        cmocka_unit_test(test_no_header_at_all),
        cmocka_unit_test(test_error_without_length),
        cmocka_unit_test(test_get_length_without_blank),
        cmocka_unit_test(test_one_segment),
        cmocka_unit_test(test_header_in_the_image),
        cmocka_unit_test(test_sdk2_drops_nothing),
        cmocka_unit_test(test_chunked),
        cmocka_unit_test(test_drop_then_time_runs_out),
        cmocka_unit_test(test_drop_then_more_bytes),
        cmocka_unit_test(test_short_last),
        cmocka_unit_test(test_bytes_behind_the_body),
        cmocka_unit_test(test_wrong_crc),
        cmocka_unit_test(test_many_crcs),
        cmocka_unit_test(test_replay),
        cmocka_unit_test(test_replay_of_any_mss),
        cmocka_unit_test(test_play_without_length),
        cmocka_unit_test(test_every_rule_has_words),
    };
    int failures = cmocka_run_group_tests(tests, NULL, NULL);
    failures += run_table("head", head_rows, test_head);
    failures += run_table("first bytes", first_rows, test_first);
    failures += run_table("first bytes, header alone", first_rows, test_first_not_looked_at);
    failures += run_table("length of GET", get_length_rows, test_get_length);
    failures += run_table("drop", drop_rows, test_drop);
    return failures;
}
