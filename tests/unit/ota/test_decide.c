/* SPDX-License-Identifier: MIT */
/* What is answered to a request. */
#include "ota/decide.h"
#include "support/test.h"

struct row {
    const char *name;
    enum ota_method method;
    int slot;
    enum ota_supply supply;
    unsigned status;
    bool image;
};

static const struct row rows[] = {
    {"GET user1", OTA_GET, 1, OTA_READY, 200, true},
    {"GET user2", OTA_GET, 2, OTA_READY, 200, true},
    {"HEAD user2", OTA_HEAD, 2, OTA_READY, 200, true},
    {"GET without ELF", OTA_GET, 1, OTA_NO_ELF, 404, false},
    {"HEAD without ELF", OTA_HEAD, 1, OTA_NO_ELF, 404, false},
    {"GET while the ELF is written", OTA_GET, 2, OTA_NOT_READY, 503, false},
    {"HEAD while the ELF is written", OTA_HEAD, 2, OTA_NOT_READY, 503, false},
    {"GET of something else", OTA_GET, 0, OTA_READY, 404, false},
    {"HEAD of something else", OTA_HEAD, 0, OTA_READY, 404, false},
    {"GET of something else, nothing there", OTA_GET, 0, OTA_NO_ELF, 404, false},
    {"POST of an image", OTA_OTHER, 1, OTA_READY, 405, false},
    {"POST of something else", OTA_OTHER, 0, OTA_NO_ELF, 405, false},
};

static void test_answer(void **state)
{
    const struct row *row = *state;
    const struct ota_request request = {row->method, row->slot};
    struct ota_answer answer = ota_decide(&request, row->supply);
    assert_int_equal(answer.status, row->status);
    assert_int_equal(answer.image, row->image);
    /* A body without reason, or a reason with a body: never. */
    assert_int_equal(answer.reason == NULL, row->image);
    assert_int_equal(answer.status == 200, answer.image);
}

static void test_method(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum ota_method method;
    } methods[] = {
        {"GET", OTA_GET},    {"HEAD", OTA_HEAD},  {"POST", OTA_OTHER},
        {"get", OTA_OTHER},  {"Head", OTA_OTHER}, {"", OTA_OTHER},
        {"GETX", OTA_OTHER}, {" GET", OTA_OTHER}, {"OPTIONS", OTA_OTHER},
    };
    for (size_t i = 0; i < COUNT(methods); i++) {
        assert_int_equal(ota_method_of(methods[i].text), methods[i].method);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_method)};
    int failures = cmocka_run_group_tests(tests, NULL, NULL);
    return failures + run_table("answers", rows, test_answer);
}
