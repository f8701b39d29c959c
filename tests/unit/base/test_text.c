/* SPDX-License-Identifier: MIT */
#include "base/text.h"
#include "support/test.h"

#include <locale.h>
#include <string.h>

static void test_same(void **state)
{
    (void)state;
    static const struct {
        const char *a;
        const char *b;
        bool same;
    } cases[] = {
        {"", "", true},
        {"a", "", false},
        {"", "a", false},
        {"2MB-c1", "2mb-C1", true},
        {"2MB-c1", "2MB-c", false},
        {"AZ", "az", true},
        {"@[", "`{", false},
        {"\xC3\x84", "\xC3\xA4", false},
        {"\xC3\x84", "\xC3\x84", true},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        assert_int_equal(text_same(cases[i].a, cases[i].b), cases[i].same);
        assert_int_equal(text_same(cases[i].b, cases[i].a), cases[i].same);
    }
}

static void test_find(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *word;
        int at; /* -1: nowhere */
    } cases[] = {
        {"/User2.bin", "user2", 1},
        {"user2", "USER2", 0},
        {"aaab", "aab", 1},
        {"user", "user2", -1},
        {"", "x", -1},
        {"xuser2user2", "user2", 1},
        {"abc", "c", 2},
        {"abc", "d", -1},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        const char *wanted = cases[i].at < 0 ? NULL : cases[i].text + cases[i].at;
        assert_ptr_equal(text_find(cases[i].text, cases[i].word), wanted);
    }
}

/* In Turkish, I and i are not one letter. The locale need not be there; then it is "C". */
static void test_no_locale(void **state)
{
    (void)state;
    (void)setlocale(LC_ALL, "tr_TR.UTF-8");
    assert_true(text_same("QIO", "qio"));
    assert_non_null(text_find("DIO", "dio"));
    (void)setlocale(LC_ALL, "C");
}

struct printable_case {
    const char *name;
    const char *from;
    size_t size;
    const char *wanted;
};

static const struct printable_case printable_rows[] = {
    {"plain", "app.elf", 32, "app.elf"},
    {"exact", "app.elf", 8, "app.elf"},
    {"cut", "app.elf", 7, "app.el"},
    {"one byte of room", "app.elf", 1, ""},
    {"first and last of ASCII", " ~", 32, " ~"},
    {"last control", "\x1F", 32, "?"},
    {"control", "a\nb\tc\x1B[0m\x01\x7F", 32, "a?b?c?[0m??"},
    {"two bytes", "\xC3\xA4", 32, "\xC3\xA4"},
    {"three bytes", "\xE2\x82\xAC", 32, "\xE2\x82\xAC"},
    {"four bytes", "\xF0\x9F\x98\x80", 32, "\xF0\x9F\x98\x80"},
    {"C1 control",
     "a\xC2\x9B"
     "31m",
     32, "a?31m"},
    {"last C1 control", "\xC2\x9F", 32, "?"},
    {"no-break space", "\xC2\xA0", 32, "?"},
    {"first behind it", "\xC2\xA1", 32, "\xC2\xA1"},
    {"soft hyphen",
     "a\xC2\xAD"
     "b",
     32, "a?b"},
    {"zero width space", "/user1\xE2\x80\x8B.bin", 32, "/user1?.bin"},
    {"line and paragraph separator", "\xE2\x80\xA8\xE2\x80\xA9", 32, "??"},
    {"right-to-left override", "/\xE2\x80\xAEnib.1resu", 32, "/?nib.1resu"},
    {"isolates", "\xE2\x81\xA6\xE2\x81\xA9", 32, "??"},
    {"byte order mark", "\xEF\xBB\xBFx", 32, "?x"},
    {"tag", "\xF3\xA0\x81\x81", 32, "?"},
    {"first of three bytes", "\xE0\xA0\x80", 32, "\xE0\xA0\x80"},
    {"first of four bytes", "\xF0\x90\x80\x80", 32, "\xF0\x90\x80\x80"},
    {"first behind surrogates", "\xEE\x80\x80", 32, "\xEE\x80\x80"},
    {"last surrogate", "\xED\xBF\xBF", 32, "???"},
    {"overlong of four", "\xF0\x8F\xBF\xBF", 32, "????"},
    {"lone continuation", "a\x80z", 32, "a?z"},
    {"Latin-1",
     "gr\xFC"
     "n",
     32, "gr?n"},
    {"sequence ends", "a\xE2\x82", 32, "a??"},
    {"sequence broken", "a\xE2\x82z", 32, "a??z"},
    {"overlong slash", "\xC0\xAF", 32, "??"},
    {"overlong of three", "\xE0\x80\xAF", 32, "???"},
    {"surrogate", "\xED\xA0\x80", 32, "???"},
    {"last before surrogates", "\xED\x9F\xBF", 32, "\xED\x9F\xBF"},
    {"beyond Unicode", "\xF4\x90\x80\x80", 32, "????"},
    {"last of Unicode", "\xF4\x8F\xBF\xBF", 32, "\xF4\x8F\xBF\xBF"},
    {"F5", "\xF5\x80\x80\x80", 32, "????"},
    {"cut before a letter", "abc\xC3\xA4", 5, "abc"},
    {"cut behind a letter", "abc\xC3\xA4z", 6, "abc\xC3\xA4"},
    {"cut in four bytes", "\xF0\x9F\x98\x80", 4, ""},
};

static void test_printable(void **state)
{
    const struct printable_case *row = *state;
    char to[40];
    memset(to, '#', sizeof to);
    printable(to, row->size, row->from);
    assert_string_equal(to, row->wanted);
    assert_int_equal(to[row->size], '#');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same),
        cmocka_unit_test(test_find),
        cmocka_unit_test(test_no_locale),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) +
           run_table("printable", printable_rows, test_printable);
}
