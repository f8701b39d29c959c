/* SPDX-License-Identifier: MIT */
/* Which slot a path means. */
#include "ota/request.h"
#include "support/test.h"

#include <string.h>

struct row {
    const char *name;
    int slot;
};

static const struct row rows[] = {
    /* seen in the field */
    {"/user1.bin", 1},
    {"/user2.bin", 2},
    {"/User2.bin", 2},
    {"/espup/user2.bin", 2},
    {"/user2.2048.new.5.bin", 2},
    {"user1.bin", 1},
    {"user1.1024.new.2.bin", 1},
    /* letter case, no extension, neighbours */
    {"/USER1.BIN", 1},
    {"/user1", 1},
    {"/app_user2_v3.bin", 2},
    {"/myuser1.bin", 1},
    {"/user2-1.bin", 2},
    {"/user1/user2.bin", 2},
    {"/a.b/user1", 1},
    {"//user1.bin", 1},
    {"/user11-user1.bin", 1},
    {"/user1-user1.bin", 1},
    /* nothing of ours */
    {"", 0},
    {"/", 0},
    {"/favicon.ico", 0},
    {"/user.bin", 0},
    {"/user3.bin", 0},
    {"/user0.bin", 0},
    {"/user12.bin", 0},
    {"/user10", 0},
    {"/user22.bin", 0},
    {"/user1user2.bin", 0},
    {"/user1.bin/", 0},
    {"/user1.bin/x", 0},
    {"/user1/", 0},
    {"/user1.html", 0},
    {"/user1.bin.bak", 0},
    {"/user1.bi", 0},
    {"/user1.binx", 0},
    {"/user1.", 0},
    {"/user1.bin ", 0},
    {"/user1.elf", 0},
    {"/us\xC3\xA9r1.bin", 0},
    {"/user\xEF\xBC\x91.bin", 0}, /* a wide digit */
    {"/user%31.bin", 0},
    {"/../../etc/passwd", 0},
    {"/user1.bin\\..\\x", 0},
};

static void test_slot(void **state)
{
    const struct row *row = *state;
    assert_int_equal(ota_slot_of_name(row->name), row->slot);
}

/* Every occurrence is replaced, also in the path. */
static void test_head_of_get(void **state)
{
    static const char *const cases[][2] = {
        {"GET /user2.bin HTTP/1.0\r\nConnection: close\r\n\r\n\r",
         "HEAD /user2.bin HTTP/1.0\r\nConnection: close\r\n\r\n\r"},
        {"GET /user2.bin HTTP/1.1\r\nConnection: keep-alive\r\n\r\n",
         "HEAD /user2.bin HTTP/1.1\r\nConnection: close\r\n\r\n"},
        {"GET /abcGETxyz/user2.bin HTTP/1.0\r\n\r\n",
         "HEAD /abcHEADxyz/user2.bin HTTP/1.0\r\n\r\n"},
        {"GET /GETGET/keep-alive/get/Keep-Alive", "HEAD /HEADHEAD/close/get/Keep-Alive"},
        {"", ""},
        {"GE", "GE"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char head[200];
        size_t size = strlen(cases[i][1]);
        assert_int_equal(ota_head_of_get(cases[i][0], head, sizeof head), size);
        assert_string_equal(head, cases[i][1]);
        for (size_t room = 0; room <= size; room++) { /* cut, never beyond its room */
            memset(head, '!', sizeof head);
            assert_int_equal(ota_head_of_get(cases[i][0], head, room), size);
            assert_int_equal(head[room], '!');
            assert_true(room == 0 ||
                        (strlen(head) == room - 1 && strncmp(head, cases[i][1], room - 1) == 0));
        }
    }
}

static void test_replaced_in(void **state)
{
    (void)state;
    assert_string_equal(ota_replaced_in("/abcGETxyz/user2.bin"), "GET");
    assert_string_equal(ota_replaced_in("/keep-alive/user2.bin"), "keep-alive");
    assert_null(ota_replaced_in("/get/Keep-Alive/user2.bin"));
    assert_null(ota_replaced_in(""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_head_of_get),
        cmocka_unit_test(test_replaced_in),
    };
    return cmocka_run_group_tests_name("text", tests, NULL, NULL) +
           run_table("slot of a name", rows, test_slot);
}
