/* SPDX-License-Identifier: MIT */
/* The choice of a header length, held against the upgrade client. */
#include "ota/exchange.h"
#include "ota/wire.h"

#include "support/rounds.h"
#include "support/test.h"

#define LARGEST  60000
#define SHORTEST 64

static const char trap[] = "200 OK\r\n";
#define TRAP_SIZE (sizeof trap - 1)

static uint8_t image_bytes[LARGEST];

static struct ota_client play(const uint8_t *body, size_t size, size_t header_size, uint16_t mss)
{
    char header[WIRE_LONGEST_HEADER + 100];
    struct ota_client client;
    size_t length = fill_header(header, sizeof header, size, header_size);
    assert_int_equal(length, header_size);
    ota_client_play(&client, &slot1, (const uint8_t *)header, length, body, size, mss);
    return client;
}

static struct wire_runs runs_of(const uint8_t *body, size_t size)
{
    struct wire_runs runs;
    assert_true(wire_runs_find(body, size, &runs));
    return runs;
}

/* The traps that lead to it lie across the next boundary: only a lost packet makes it one. */
static bool trap_is_cut(const uint8_t *body, size_t size, struct wire_hazard hazard)
{
    size_t end = hazard.offset + hazard.mss < size ? hazard.offset + hazard.mss : size;
    const uint8_t *segment = body + hazard.offset;
    const uint8_t *zero = memchr(segment, 0, end - hazard.offset);
    size_t length = zero != NULL ? (size_t)(zero - segment) : end - hazard.offset;
    return memmem(segment, length, trap, TRAP_SIZE) == NULL;
}

/* ---- random images ---- */

/* A trap somewhere, with text of up to 500 bytes before it; sometimes so much that nothing helps.
 */
static void plant(struct random *r, uint8_t *body, size_t size)
{
    uint32_t reach = random_below(r, 20) == 0 ? 3000 : 1 + random_below(r, 500);
    if (size < 200) {
        return;
    }
    size_t at = 100 + random_below(r, (uint32_t)(size - 100 - TRAP_SIZE - 4));
    size_t first = at > reach ? at - reach : 4;
    if (random_below(r, 2) == 0) {
        memset(body + first, 'x', at - first);
    }
    if (random_below(r, 2) == 0) {
        body[at - 1 - random_below(r, 40)] = 0;
    }
    memcpy(body + at, trap, TRAP_SIZE);
}

static size_t random_image(struct random *r)
{
    uint32_t limit = random_below(r, 10) == 0 ? LARGEST / 4 : 3000;
    size_t size = 16 + 4 * (size_t)random_below(r, limit - 4);
    random_fill(r, image_bytes, size);
    for (uint32_t left = random_below(r, 6); left > 0; left--) {
        plant(r, image_bytes, size);
    }
    image_bytes[0] = 0xEA;
    image_bytes[1] = 4;
    image_bytes[2] = 0;
    image_bytes[3] = 2;
    seal(image_bytes, size);
    return size;
}

/* What the check says of one layout is what the client meets. */
static void hold_against_client(const struct wire_runs *runs, size_t size, size_t header_size,
                                uint16_t mss)
{
    struct wire_hazard hazard = wire_check(runs, size, header_size, mss);
    struct ota_client client = play(image_bytes, size, header_size, mss);
    if (hazard.kind == WIRE_NO_HAZARD) {
        if (client.state != OTA_STATE_SUCCESS) {
            fail_msg("%zu bytes, header %zu, MSS %u: %s", size, header_size, mss, client.found);
        }
        return;
    }
    assert_int_equal(hazard.mss, mss);
    if (client.state == OTA_STATE_SUCCESS) {
        assert_int_equal(hazard.kind, WIRE_DROPPED);
        assert_true(trap_is_cut(image_bytes, size, hazard));
    }
}

struct choices {
    size_t impossible;
    size_t would_fail;
};

static void check_choice(struct random *r, void *context)
{
    struct choices *choices = context;
    size_t size = random_image(r);
    size_t shortest = SHORTEST + random_below(r, 200);
    struct wire_runs runs = runs_of(image_bytes, size);
    struct wire_choice choice =
        wire_choose(&runs, size, shortest, wire_usual_mss, WIRE_USUAL_COUNT);
    size_t hazards = 0;
    assert_true(choice.header_size >= shortest && choice.header_size <= WIRE_LONGEST_HEADER);
    assert_int_equal(choice.header_size % 4, 0);
    for (size_t i = 0; i < WIRE_USUAL_COUNT; i++) {
        hold_against_client(&runs, size, choice.header_size, wire_usual_mss[i]);
        hold_against_client(&runs, size, 99, wire_usual_mss[i]);
        hazards +=
            wire_check(&runs, size, choice.header_size, wire_usual_mss[i]).kind != WIRE_NO_HAZARD;
        choices->would_fail +=
            play(image_bytes, size, 99, wire_usual_mss[i]).state != OTA_STATE_SUCCESS;
    }
    assert_int_equal(choice.hazards, hazards);
    assert_int_equal(choice.hazard.kind != WIRE_NO_HAZARD, hazards > 0);
    choices->impossible += hazards > 0;
    wire_runs_free(&runs);
}

static void test_random_images(void **state)
{
    (void)state;
    struct choices choices = {0};
    uint64_t rounds = run_rounds(4000, check_choice, &choices);
    if (rounds >= 1000) {
        /* The images are such that the choice matters, and that it is possible for most. */
        assert_true(choices.would_fail > rounds / 4);
        assert_true(choices.impossible > 0 && choices.impossible < rounds / 2);
    }
}

/* ---- images of growing size ---- */

#define GROWING 2000

static size_t growing_image(size_t i)
{
    struct random r = {i};
    size_t size = 20000 + 4 * i;
    fill_image(&r, image_bytes, size, 2);
    return size;
}

static void test_growing_images_all_pass(void **state)
{
    (void)state;
    for (size_t i = 0; i < GROWING; i++) {
        size_t size = growing_image(i);
        struct wire_runs runs = runs_of(image_bytes, size);
        struct wire_choice choice =
            wire_choose(&runs, size, SHORTEST, wire_usual_mss, WIRE_USUAL_COUNT);
        assert_int_equal(choice.hazards, 0);
        for (size_t m = 0; m < WIRE_USUAL_COUNT; m++) {
            struct ota_client client =
                play(image_bytes, size, choice.header_size, wire_usual_mss[m]);
            assert_int_equal(client.state, OTA_STATE_SUCCESS);
        }
        wire_runs_free(&runs);
    }
}

/* libmicrohttpd's own header is 99 bytes long for a length of six digits: one size in 365 fails. */
static void test_without_the_choice_some_fail(void **state)
{
    (void)state;
    size_t failures = 0;
    for (size_t i = 0; i < GROWING; i++) {
        size_t size = growing_image(i);
        struct ota_client client = play(image_bytes, size, 99, 1460);
        bool short_last = (99 + size) % 1460 == 3;
        assert_int_equal(client.state, short_last ? OTA_STATE_FAILURE : OTA_STATE_SUCCESS);
        if (short_last) {
            assert_int_equal(client.decided_by, OTA_RULE_LAST_SEGMENT);
            failures++;
        }
    }
    assert_in_range(failures, GROWING / 365, GROWING / 365 + 1);
}

/* ---- single cases ---- */

/* Text of 3,000 bytes before a trap: no boundary of any MSS can avoid it. */
static void test_impossible(void **state)
{
    (void)state;
    struct random r = {1};
    size_t size = 20000;
    fill_image(&r, image_bytes, size, 2);
    image_bytes[6999] = 0;
    memset(image_bytes + 7000, 'x', 3000);
    memcpy(image_bytes + 10000, trap, TRAP_SIZE);
    seal(image_bytes, size);
    struct wire_runs runs = runs_of(image_bytes, size);
    struct wire_choice choice =
        wire_choose(&runs, size, SHORTEST, wire_usual_mss, WIRE_USUAL_COUNT);
    assert_int_equal(runs.count, 1);
    assert_int_equal(runs.run[0].first, 7000);
    assert_int_equal(runs.run[0].last, 10000);
    assert_int_equal(choice.hazards, WIRE_USUAL_COUNT);
    assert_int_equal(choice.hazard.kind, WIRE_DROPPED);
    assert_in_range(choice.hazard.offset, 7000, 10000);
    for (size_t i = 0; i < WIRE_USUAL_COUNT; i++) {
        struct ota_client client = play(image_bytes, size, choice.header_size, wire_usual_mss[i]);
        assert_int_equal(client.decided_by, OTA_RULE_NO_DROP);
    }
    wire_runs_free(&runs);
}

/* When not all can be had, the one with the fewest hazards is taken. */
static void test_best_of_what_there_is(void **state)
{
    (void)state;
    struct random r = {1};
    size_t size = 20000;
    fill_image(&r, image_bytes, size, 2);
    image_bytes[9199] = 0;
    memset(image_bytes + 9200, 'x', 800); /* too much for 536, not for the others */
    memcpy(image_bytes + 10000, trap, TRAP_SIZE);
    seal(image_bytes, size);
    struct wire_runs runs = runs_of(image_bytes, size);
    static const uint16_t two[] = {536, 1460};
    struct wire_choice choice = wire_choose(&runs, size, SHORTEST, two, COUNT(two));
    assert_int_equal(choice.hazards, 1);
    assert_int_equal(choice.hazard.mss, 536);
    assert_int_equal(wire_check(&runs, size, choice.header_size, 1460).kind, WIRE_NO_HAZARD);
    wire_runs_free(&runs);
}

static void test_runs(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t size;
        size_t count;
        size_t first[2];
        size_t last[2];
    } rows[] = {
        {"", 0, 0, {0}, {0}},
        {"200 OK\r", 7, 0, {0}, {0}},
        {"200 OK\r\n", 8, 1, {0}, {0}},
        {"abc200 OK\r\n", 11, 1, {0}, {3}},
        {"a\0c200 OK\r\n", 11, 1, {2}, {3}},
        {"ab\0"
         "200 OK\r\n",
         11,
         1,
         {3},
         {3}},
        {"200 OK\r\nab200 OK\r\n", 18, 2, {0, 1}, {0, 10}},
        {"200 OK\r\n\0b200 OK\r\n", 18, 2, {0, 9}, {0, 10}},
        {"200 200 OK\r\n", 12, 1, {0}, {4}},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct wire_runs runs = runs_of((const uint8_t *)rows[i].text, rows[i].size);
        assert_int_equal(runs.count, rows[i].count);
        for (size_t n = 0; n < runs.count; n++) {
            assert_int_equal(runs.run[n].first, rows[i].first[n]);
            assert_int_equal(runs.run[n].last, rows[i].last[n]);
        }
        wire_runs_free(&runs);
        assert_null(runs.run);
    }
}

struct check_row {
    const char *name;
    size_t body;
    size_t header;
    uint16_t mss;
    enum wire_hazard_kind kind;
    size_t offset;
};

/* With one run at 1000..1010 of the body. */
static const struct check_row check_rows[] = {
    {"far from it", 2000, 100, 536, WIRE_NO_HAZARD, 0},
    {"the segment begins at the run's start", 2000, 72, 536, WIRE_DROPPED, 1000},
    {"one byte before it", 2000, 73, 536, WIRE_NO_HAZARD, 0},
    {"at the trap itself", 2000, 62, 536, WIRE_DROPPED, 1010},
    {"one byte behind", 2000, 61, 536, WIRE_NO_HAZARD, 0},
    {"last segment of 1", 1973, 100, 518, WIRE_SHORT_LAST, 1972},
    {"last segment of 3", 1975, 100, 518, WIRE_SHORT_LAST, 1972},
    {"last segment of 4", 1976, 100, 518, WIRE_NO_HAZARD, 0},
    {"last segment full", 1972, 100, 518, WIRE_NO_HAZARD, 0},
    {"all in one segment", 1303, 100, 1460, WIRE_JOINED, 0},
    {"just in one segment", 1360, 100, 1460, WIRE_JOINED, 0},
    {"four bytes more", 1364, 100, 1460, WIRE_NO_HAZARD, 0},
    {"four body bytes in the first", 1500, 532, 536, WIRE_NO_HAZARD, 0},
    {"three", 1500, 533, 536, WIRE_SHORT_FIRST, 0},
    {"none", 1500, 536, 536, WIRE_SHORT_FIRST, 0},
    {"header too long", 1500, 600, 536, WIRE_SHORT_FIRST, 0},
    {"no MSS", 1500, 100, 0, WIRE_SHORT_FIRST, 0},
};

static void test_check(void **state)
{
    const struct check_row *row = *state;
    uint8_t body[2000] = {0};
    memset(body + 1000, 'x', 10);
    memcpy(body + 1010, trap, TRAP_SIZE);
    struct wire_runs runs = runs_of(body, row->body);
    struct wire_hazard hazard = wire_check(&runs, row->body, row->header, row->mss);
    assert_int_equal(hazard.kind, row->kind);
    assert_int_equal(hazard.offset, row->offset);
    assert_int_equal(hazard.mss, row->mss);
    wire_runs_free(&runs);
}

static void test_bounds_of_the_choice(void **state)
{
    (void)state;
    const struct wire_runs none = {NULL, 0};
    static const struct {
        size_t shortest;
        size_t chosen;
    } rows[] = {{1, 4},     {64, 64},   {65, 68},   {99, 100},
                {505, 508}, {508, 508}, {509, 512}, {700, 700}};
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct wire_choice choice =
            wire_choose(&none, 20000, rows[i].shortest, wire_usual_mss, WIRE_USUAL_COUNT);
        assert_int_equal(choice.header_size, rows[i].chosen);
        assert_int_equal(choice.hazards, rows[i].chosen > 536 ? 1 : 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_random_images, show_seed),
        cmocka_unit_test(test_growing_images_all_pass),
        cmocka_unit_test(test_without_the_choice_some_fail),
        cmocka_unit_test(test_impossible),
        cmocka_unit_test(test_best_of_what_there_is),
        cmocka_unit_test(test_runs),
        cmocka_unit_test(test_bounds_of_the_choice),
    };
    int failures = cmocka_run_group_tests(tests, NULL, NULL);
    return failures + run_table("layouts", check_rows, test_check);
}
