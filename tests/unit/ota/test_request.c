/* SPDX-License-Identifier: MIT */
/* Which slot a path means. */
#include "ota/request.h"
#include "support/test.h"

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

int main(void)
{
    return run_table("slot of a name", rows, test_slot);
}
