/* SPDX-License-Identifier: MIT */
/* Which Host names this computer. */
#include "http/host.h"
#include "support/test.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct row {
    const char *name;
    bool known;
};

static const struct row rows[] = {
    {"127.0.0.1", true},
    {"127.0.0.1:8888", true},
    {"192.168.4.2", true},
    {"[::1]", true},
    {"[::1]:8888", true},
    {"[fd00::2]:80", true},
    {"localhost", true},
    {"LocalHost:8888", true},
    {"localhost.", true},
    {"workbench", true},
    {"WorkBench:8888", true},
    {"workbench.example.", true},
    {"evil.example", false},
    {"evil.example:8888", false},
    {"workbench.evil.example", false},
    {"localhost.evil.example", false},
    {"127.0.0.1.evil.example", false},
    {"127.0.0.1@evil.example", false},
    {"2130706433", false}, /* 127.0.0.1 to a browser, which sends it dotted */
    {"", false},
    {".", false},
    {":8888", false},
    {"localhost:http", false},
    {"localhost:80:80", false},
    {"[::1", false},
    {"[::1]x", false},
    {"[localhost]", false},
    {"::1", false},
    {"workbench,evil.example", false},
};

static void test_row(void **state)
{
    const struct row *row = *state;
    struct host_names names = {.count = 0};
    assert_true(host_names_add(&names, "workbench"));
    assert_true(host_names_add(&names, "workbench.example"));
    assert_int_equal(host_is_known(&names, row->name, strlen(row->name)), row->known);
}

static void test_own_names(void **state)
{
    struct host_names names = {.count = 0};
    char own[256] = "";
    char label[300];
    (void)state;
    assert_int_equal(gethostname(own, sizeof own - 1), 0);
    host_names_add_own(&names);
    assert_true(host_is_known(&names, own, strlen(own)));
    own[strcspn(own, ".")] = '\0';
    assert_true(host_is_known(&names, own, strlen(own)));
    (void)snprintf(label, sizeof label, "%s.local:8888", own);
    assert_true(host_is_known(&names, label, strlen(label)));
    (void)snprintf(label, sizeof label, "%s.evil", own);
    assert_false(host_is_known(&names, label, strlen(label)));
}

static void test_no_more_than_fit(void **state)
{
    struct host_names names = {.count = 0};
    char text[400];
    (void)state;
    for (int i = 0; i < HOST_NAMES; i++) {
        assert_true(host_names_add(&names, "a"));
    }
    assert_false(host_names_add(&names, "b"));
    memset(text, 'a', sizeof text);
    assert_false(host_is_known(&names, text, sizeof text));
    assert_false(host_is_known(&names, "localhost\0x", 11));
}

int main(void)
{
    const struct CMUnitTest others[] = {cmocka_unit_test(test_own_names),
                                        cmocka_unit_test(test_no_more_than_fit)};
    int failed = run_table("host", rows, test_row);
    return failed + cmocka_run_group_tests_name("names", others, NULL, NULL);
}
