/* SPDX-License-Identifier: MIT */
/* The secret component of a path: what it opens, and that the log does not tell it. */
#include "http/token.h"
#include "support/test.h"

#include <stdlib.h>
#include <string.h>

#define TOKEN "s3cret-token"

static void test_check(void **state)
{
    static const char *const good[] = {
        "12345678", TOKEN, "A.b_c~d-",
        "0123456789012345678901234567890123456789012345678901234567890123"};
    static const char *const bad[] = {
        "abcGETxyz",
        "my-keep-alive",
        "",
        "1234567",
        "with/slash",
        "with space",
        "per%63ent",
        "ques?tion",
        "\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4",
        "01234567890123456789012345678901234567890123456789012345678901234"};
    struct espimage_error err;
    (void)state;
    for (size_t i = 0; i < COUNT(good); i++) {
        assert_int_equal(token_check(good[i], &err), ESPIMAGE_OK);
    }
    for (size_t i = 0; i < COUNT(bad); i++) {
        assert_int_equal(token_check(bad[i], &err), ESPIMAGE_ERR_USAGE);
        /* Not even a refused one is told. */
        assert_true(bad[i][0] == '\0' || strstr(err.found, bad[i]) == NULL);
    }
}

static const char *strip(const char *token, const char *path)
{
    return token_strip(token, path, strlen(path));
}

static void test_strip(void **state)
{
    static const char *const closed[] = {"",
                                         "/",
                                         "/user1.bin",
                                         "/" TOKEN,
                                         "/" TOKEN "x/user1.bin",
                                         "/s3cret-tokeN/user1.bin",
                                         "/s3cret-toke/user1.bin",
                                         "//" TOKEN "/user1.bin",
                                         "/x/" TOKEN "/user1.bin",
                                         TOKEN "/user1.bin",
                                         "/../" TOKEN "/user1.bin"};
    (void)state;
    for (size_t i = 0; i < COUNT(closed); i++) {
        assert_null(token_strip(TOKEN, closed[i], strlen(closed[i])));
    }
    assert_string_equal(strip(TOKEN, "/" TOKEN "/user1.bin"), "/user1.bin");
    assert_string_equal(strip(TOKEN, "/" TOKEN "/"), "/");
    assert_string_equal(strip(NULL, "/user1.bin"), "/user1.bin");
}

static void test_mask(void **state)
{
    static const struct {
        const char *target;
        const char *shown;
    } cases[] = {
        {"/" TOKEN "/user1.bin", "/***/user1.bin"},
        {"/" TOKEN, "/***"},
        {"/" TOKEN "?a=" TOKEN, "/***?a=***"},
        {"/s3cret-tokem/user1.bin", "/***/user1.bin"}, /* mistyped */
        {"/s3cret%2Dtoken", "/***"},
        {"/a/" TOKEN "/" TOKEN, "/***/***/***"},
        {"/user1.bin", "/user1.bin"},
        {"/favicon.ico?x=%20", "/favicon.ico?x=%20"},
        {"http://host/" TOKEN "/user1.bin", "http://host/***/user1.bin"},
        {"/", "/"},
        {"", ""},
        {"//", "//"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char *shown = token_mask(TOKEN, cases[i].target);
        assert_string_equal(shown, cases[i].shown);
        free(shown);
        shown = token_mask(NULL, cases[i].target);
        assert_string_equal(shown, cases[i].target);
        free(shown);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_check),
        cmocka_unit_test(test_strip),
        cmocka_unit_test(test_mask),
    };
    return cmocka_run_group_tests_name("token", tests, NULL, NULL);
}
