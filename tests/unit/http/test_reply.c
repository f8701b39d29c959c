/* SPDX-License-Identifier: MIT */
/* Answers without a body, to the byte. */
#include "http/reply.h"
#include "support/test.h"

#include <string.h>

static void test_text(void **state)
{
    static const struct {
        struct reply reply;
        const char *text;
    } cases[] = {
        {{404, "none", NULL},
         "HTTP/1.1 404 Not Found\r\nConnection: close\r\nX-Espimage-Reason: none\r\n"
         "Content-Length: 0\r\n\r\n"},
        {{405, "no", NULL},
         "HTTP/1.1 405 Method Not Allowed\r\nConnection: close\r\nAllow: GET, HEAD\r\n"
         "X-Espimage-Reason: no\r\nContent-Length: 0\r\n\r\n"},
        {{304, NULL, "ETag: \"x\""},
         "HTTP/1.1 304 Not Modified\r\nConnection: close\r\nETag: \"x\"\r\n"
         "Content-Length: 0\r\n\r\n"},
        {{503, "later", NULL},
         "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 2\r\n"
         "X-Espimage-Reason: later\r\nContent-Length: 0\r\n\r\n"},
        {{429, "often", "Retry-After: 9"},
         "HTTP/1.1 429 Too Many Requests\r\nConnection: close\r\nRetry-After: 9\r\n"
         "X-Espimage-Reason: often\r\nContent-Length: 0\r\n\r\n"},
        {{503, "a\r\nSet-Cookie: b", NULL},
         "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 2\r\n"
         "X-Espimage-Reason: a??Set-Cookie: b\r\nContent-Length: 0\r\n\r\n"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char text[REPLY_LONGEST];
        size_t size = reply_write(&cases[i].reply, text);
        assert_int_equal(size, strlen(cases[i].text));
        assert_string_equal(text, cases[i].text);
    }
}

static void test_longest(void **state)
{
    char reason[2 * ESPIMAGE_ERROR_LINE];
    char text[REPLY_LONGEST];
    (void)state;
    memset(reason, 'x', sizeof reason - 1);
    reason[sizeof reason - 1] = '\0';
    const struct reply reply = {431, reason, NULL};
    size_t size = reply_write(&reply, text);
    assert_true(size < REPLY_LONGEST);
    assert_string_equal(text + size - 23, "\r\nContent-Length: 0\r\n\r\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_text), cmocka_unit_test(test_longest)};
    return cmocka_run_group_tests_name("reply", tests, NULL, NULL);
}
