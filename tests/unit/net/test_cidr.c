/* SPDX-License-Identifier: MIT */
/* Networks: how they are written, and who is in them. */
#include "net/cidr.h"
#include "support/peers.h"
#include "support/test.h"

#include <string.h>

static void test_who_is_in_it(void **state)
{
    static const struct {
        const char *network;
        const char *address;
        bool in;
    } cases[] = {
        {"192.168.4.0/24", "192.168.4.255", true},
        {"192.168.4.0/24", "192.168.5.0", false},
        {"192.168.4.0/25", "192.168.4.127", true},
        {"192.168.4.0/25", "192.168.4.128", false},
        {"10.0.0.0/8", "10.255.0.1", true},
        {"10.0.0.0/8", "11.0.0.0", false},
        {"172.16.0.0/12", "172.31.255.255", true},
        {"172.16.0.0/12", "172.32.0.0", false},
        {"0.0.0.0/0", "203.0.113.9", true},
        {"0.0.0.0/0", "2001:db8::1", false},
        {"192.0.2.7", "192.0.2.7", true},
        {"192.0.2.7", "192.0.2.6", false},
        {"192.0.2.7/32", "192.0.2.8", false},
        {"192.0.2.6/31", "192.0.2.7", true},
        {"192.0.2.0/24", "::ffff:192.0.2.9", true}, /* of a dual-stack socket */
        {"::ffff:192.0.2.0/120", "192.0.2.9", true},
        {"2001:db8::/32", "2001:db8:ffff::1", true},
        {"2001:db8::/33", "2001:db8:8000::", false},
        {"::/0", "192.0.2.1", true},
        {"::1", "::1", true},
        {"::1/128", "::2", false},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct espimage_error err;
        struct cidr cidr;
        struct peer p = peer_at(cases[i].address, 0);
        assert_int_equal(cidr_parse(cases[i].network, &cidr, &err), ESPIMAGE_OK);
        if (cidr_holds(&cidr, &p) != cases[i].in) {
            fail_msg("%s in %s", cases[i].address, cases[i].network);
        }
    }
}

static void test_what_is_no_network(void **state)
{
    static const char *const texts[] = {
        "",
        "/",
        "/24",
        "192.168.4.0/",
        "192.168.4.0/33",
        "192.168.4",
        "192.168.4/24",
        "::1/129",
        "192.168.4.0/-1",
        "192.168.4.0/024x",
        "::/0x10",
        "eth0",
        "1.2.3.4/8/8",
        " 1.2.3.4",
        "1.2.3.4/ 8",
        "1.2.3.4/9999999999",
        "fe80::1%lo",
        "0000:0000:0000:0000:0000:0000:0000:0000:0000/64",
        "1.2.3.4.5.6.7.8.9.10.11.12.13.14.15.16.17.18.19.20.21.22.23"};
    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++) {
        struct espimage_error err;
        struct cidr cidr;
        if (cidr_parse(texts[i], &cidr, &err) != ESPIMAGE_ERR_USAGE) {
            fail_msg("'%s' was taken", texts[i]);
        }
        assert_non_null(strstr(err.wanted, "192.168.4.0/24"));
    }
}

static void test_what_was_meant(void **state)
{
    static const struct {
        const char *text;
        const char *wanted;
    } cases[] = {
        {"::ffff:192.0.2.0/24", "192.0.2.0/24"},
        {"::ffff:192.0.2.9/24", "192.0.2.0/24"},
        {"::ffff:10.0.0.0/8", "10.0.0.0/8"},
        {"192.168.4.77/24", "192.168.4.0/24"},
        {"10.1.0.0/8", "10.0.0.0/8"},
        {"::ffff:192.0.2.9/120", "192.0.2.0/24"},
        {"2001:db8::1/32", "2001:db8::/32"},
        {"1.2.3.4/0", "0.0.0.0/0"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct espimage_error err;
        struct cidr cidr;
        if (cidr_parse(cases[i].text, &cidr, &err) != ESPIMAGE_ERR_USAGE) {
            fail_msg("'%s' was taken", cases[i].text);
        }
        if (strncmp(err.wanted, cases[i].wanted, strlen(cases[i].wanted)) != 0) {
            fail_msg("'%s': %s", cases[i].text, err.wanted);
        }
    }
}

static void test_local(void **state)
{
    static const char *const local[] = {"127.0.0.1",   "127.9.9.9",   "10.1.2.3",   "172.16.0.1",
                                        "192.168.1.1", "169.254.1.1", "100.64.0.1", "::1",
                                        "fd00::2",     "fe80::1"};
    static const char *const far[] = {"8.8.8.8",     "172.32.0.1", "192.169.0.1",
                                      "100.128.0.1", "2600::1",    "::2"};
    (void)state;
    for (size_t i = 0; i < COUNT(local); i++) {
        struct peer p = peer_at(local[i], 0);
        assert_true(peer_is_local(&p));
    }
    for (size_t i = 0; i < COUNT(far); i++) {
        struct peer p = peer_at(far[i], 0);
        assert_false(peer_is_local(&p));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_who_is_in_it),
        cmocka_unit_test(test_what_is_no_network),
        cmocka_unit_test(test_what_was_meant),
        cmocka_unit_test(test_local),
    };
    return cmocka_run_group_tests_name("cidr", tests, NULL, NULL);
}
