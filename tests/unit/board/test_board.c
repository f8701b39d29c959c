/* SPDX-License-Identifier: MIT */
/* What the board makes of events, and that it stays of bounded size. */
#include "board/board.h"
#include "board/board_text.h"
#include "support/test.h"
#include "web/page_html.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIZE 400000

/* A board with a clock of its own, and what is seen on it. */
struct fixture {
    struct board *board;
    double now;
    struct board_view view;
    struct server_event event; /* the last one, as the board filled it in */
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    f->board = board_new();
    f->now = 100;
    f->view.devices = calloc(BOARD_SHOWN, sizeof *f->view.devices);
    f->view.device_room = BOARD_SHOWN;
    f->view.results = calloc(BOARD_RESULTS, sizeof *f->view.results);
    f->view.result_room = BOARD_RESULTS;
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    board_free(f->board);
    free(f->view.devices);
    free(f->view.results);
    free(f);
    return 0;
}

static bool tell(struct fixture *f, struct server_event event)
{
    f->event = event;
    f->now += 0.001;
    return board_record(f->board, &f->event, f->now, 1700000000 + (int64_t)f->now);
}

static const struct board_view *look(struct fixture *f)
{
    board_look(f->board, 0, 0, &f->view);
    return &f->view;
}

static struct server_event get(const char *client, int slot)
{
    return (struct server_event){.kind = SERVER_REQUEST,
                                 .client = client,
                                 .client_port = 1000,
                                 .method = "GET",
                                 .target = slot == 1 ? "/user1.bin" : "/user2.bin",
                                 .slot = slot,
                                 .build = 1,
                                 .status = 200,
                                 .sent = SIZE,
                                 .size = SIZE,
                                 .seconds = 0,
                                 .complete = true};
}

static struct server_event head(const char *client, int slot)
{
    struct server_event event = get(client, slot);
    event.method = "HEAD";
    event.sent = 0;
    event.complete = false;
    return event;
}

static struct server_event part(const char *client, int slot, uint64_t sent)
{
    struct server_event event = get(client, slot);
    event.kind = SERVER_PROGRESS;
    event.sent = sent;
    event.complete = false;
    return event;
}

static struct server_event broken(const char *client, int slot)
{
    struct server_event event = part(client, slot, 1000);
    event.kind = SERVER_REQUEST;
    event.reason = "the client went away";
    return event;
}

static void test_update_is_seen(void **state)
{
    struct fixture *f = *state;
    struct server_event second = get("192.0.2.1", 2);
    second.build = 7;
    tell(f, head("192.0.2.1", 2));
    assert_int_equal(f->event.runs, 0);
    tell(f, second);
    assert_int_equal(f->event.runs, 0);
    tell(f, head("192.0.2.1", 1));
    assert_int_equal(f->event.runs, 2);
    assert_int_equal(f->event.runs_build, 7);
    assert_false(f->event.not_taken);
    tell(f, get("192.0.2.1", 1));
    assert_int_equal(f->event.runs, 0);
    const struct board_view *v = look(f);
    assert_int_equal(v->device_count, 1);
    assert_int_equal(v->devices[0].runs, 2);
    assert_int_equal(v->devices[0].runs_build, 7);
    assert_int_equal(v->devices[0].updates, 1);
    assert_int_equal(v->totals.updates, 1);
}

static void test_not_taken(void **state)
{
    struct fixture *f = *state;
    tell(f, get("192.0.2.1", 2));
    tell(f, head("192.0.2.1", 2));
    assert_true(f->event.not_taken);
    assert_int_equal(f->event.runs, 0);
    tell(f, get("192.0.2.1", 2));
    assert_false(f->event.not_taken); /* said once */
    const struct board_view *v = look(f);
    assert_int_equal(v->devices[0].not_taken, 1);
    assert_int_equal(v->devices[0].runs, 0);
    assert_int_equal(v->totals.not_taken, 1);
}

/* Whoever has not got it whole runs what it ran. */
static void test_broken_download_tells_nothing(void **state)
{
    struct fixture *f = *state;
    tell(f, broken("192.0.2.1", 2));
    tell(f, head("192.0.2.1", 1));
    assert_int_equal(f->event.runs, 0);
    tell(f, head("192.0.2.1", 1));
    assert_false(f->event.not_taken);
}

/* The end of HEAD may be told after that of the GET that followed it. */
static void test_told_in_another_order(void **state)
{
    struct fixture *f = *state;
    struct server_event early = head("192.0.2.1", 2);
    struct server_event late = get("192.0.2.1", 2);
    early.seconds = 3;
    late.seconds = 2;
    tell(f, late);
    tell(f, early);
    assert_false(f->event.not_taken);
    tell(f, head("192.0.2.1", 1));
    assert_int_equal(f->event.runs, 2);
}

/* The end of a download may be told after that of the HEAD that followed it. */
static void test_told_after_the_next(void **state)
{
    struct fixture *f = *state;
    struct server_event early = get("192.0.2.1", 2);
    early.seconds = 3;
    tell(f, head("192.0.2.1", 1));
    assert_int_equal(f->event.runs, 0);
    tell(f, early);
    assert_int_equal(f->event.runs, 2);
    tell(f, get("192.0.2.1", 1));
    assert_int_equal(f->event.runs, 0);
    assert_int_equal(look(f)->devices[0].updates, 1);
    assert_int_equal(look(f)->devices[0].runs, 2);
}

static void test_addresses_are_apart(void **state)
{
    struct fixture *f = *state;
    tell(f, get("192.0.2.1", 2));
    tell(f, head("192.0.2.2", 1));
    assert_int_equal(f->event.runs, 0);
    tell(f, head("192.0.2.1", 1));
    assert_int_equal(f->event.runs, 2);
}

/* It ran slot 2; now it asks for slot 2 without having fetched slot 1. */
static void test_runs_is_withdrawn(void **state)
{
    struct fixture *f = *state;
    tell(f, get("192.0.2.1", 2));
    tell(f, head("192.0.2.1", 1));
    tell(f, head("192.0.2.1", 1));
    assert_int_equal(look(f)->devices[0].runs, 2);
    tell(f, head("192.0.2.1", 2));
    assert_int_equal(look(f)->devices[0].runs, 0);
}

/* What is derived at the first event of a request holds at its end. */
static void test_derived_at_progress(void **state)
{
    struct fixture *f = *state;
    struct server_event second = get("192.0.2.1", 1);
    second.client_port = 1001;
    tell(f, get("192.0.2.1", 2));
    struct server_event p = part("192.0.2.1", 1, 5000);
    p.client_port = 1001;
    tell(f, p);
    assert_int_equal(f->event.runs, 2);
    tell(f, second);
    assert_int_equal(f->event.runs, 2);
    assert_int_equal(look(f)->devices[0].updates, 1);
    tell(f, head("192.0.2.1", 2));
    assert_int_equal(f->event.runs, 1);
}

static void test_progress(void **state)
{
    struct fixture *f = *state;
    struct server_event p = part("192.0.2.1", 2, 20000);
    p.seconds = 0.5;
    assert_true(tell(f, p));
    const struct board_download *d = &look(f)->devices[0].now;
    assert_int_equal(d->slot, 2);
    assert_int_equal(d->sent, 20000);
    assert_int_equal(d->speed, 40000);
    assert_int_equal(look(f)->totals.active, 1);
    uint64_t version = look(f)->version;
    f->now += BOARD_PROGRESS_SECONDS / 2;
    assert_false(tell(f, part("192.0.2.1", 2, 30000)));
    assert_int_equal(look(f)->version, version);
    board_catch_up(f->board, f->now);
    assert_int_equal(look(f)->version, version);
    board_catch_up(f->board, f->now + BOARD_PROGRESS_SECONDS); /* it has stalled */
    assert_true(look(f)->version > version);
    version = f->view.version;
    board_catch_up(f->board, f->now + 1);
    assert_int_equal(look(f)->version, version);
    f->now += 2;
    assert_true(tell(f, part("192.0.2.1", 2, 80000)));
    assert_true(look(f)->version > version);
    assert_in_range(d->speed, 30000, 40000);
    version = f->view.version;
    board_catch_up(f->board, f->now + 3600);
    assert_true(look(f)->version > version);
    assert_int_equal(d->speed, 0);
    version = f->view.version;
    board_catch_up(f->board, f->now + 3700);
    assert_int_equal(look(f)->version, version);
    assert_true(tell(f, broken("192.0.2.1", 2)));
    assert_int_equal(look(f)->totals.active, 0);
    assert_int_equal(d->slot, 0);
    assert_int_equal(look(f)->totals.broken, 1);
    assert_string_equal(look(f)->devices[0].last_reason, "the client went away");
}

/* The one that began last; then the other again. HEAD is no download. */
static void test_two_downloads_of_an_address(void **state)
{
    struct fixture *f = *state;
    struct server_event first = part("192.0.2.1", 1, 1000);
    struct server_event second = part("192.0.2.1", 2, 2000);
    struct server_event asking = part("192.0.2.1", 2, 0);
    first.seconds = 5;
    second.seconds = 1;
    second.client_port = 1001;
    asking.method = "HEAD";
    asking.client_port = 1002;
    assert_false(tell(f, asking));
    assert_int_equal(look(f)->totals.active, 0);
    tell(f, first);
    tell(f, second);
    tell(f, first);
    assert_int_equal(look(f)->devices[0].now.slot, 2);
    assert_int_equal(look(f)->totals.active, 1);
    second.kind = SERVER_REQUEST;
    second.complete = true;
    tell(f, second);
    assert_int_equal(look(f)->devices[0].now.slot, 0);
    tell(f, first);
    assert_int_equal(f->event.runs, 0); /* it began before */
    assert_int_equal(look(f)->devices[0].now.slot, 1);
    first.kind = SERVER_REQUEST;
    tell(f, first);
    assert_int_equal(look(f)->totals.active, 0);
}

static void test_totals(void **state)
{
    struct fixture *f = *state;
    struct server_event e = head("192.0.2.1", 2);
    e.status = 503;
    e.size = 0;
    e.reason = "is no ELF";
    e.not_converted = true;
    tell(f, e);
    tell(f, (struct server_event){.kind = SERVER_TURNED_AWAY,
                                  .client = "192.0.2.9",
                                  .reason = "too many connections"});
    tell(f, (struct server_event){.kind = SERVER_REQUEST,
                                  .client = "192.0.2.8",
                                  .method = "GET",
                                  .target = "/",
                                  .status = 200,
                                  .looks = true});
    tell(f, get("192.0.2.1", 2));
    const struct board_view *v = look(f);
    assert_int_equal(v->totals.requests[503], 1);
    assert_int_equal(v->totals.requests[200], 2);
    assert_int_equal(v->totals.not_converted, 1);
    assert_int_equal(v->totals.turned_away, 1);
    assert_int_equal(v->totals.complete, 1);
    assert_int_equal(v->totals.image_bytes, SIZE);
    assert_int_equal(v->device_count, 1); /* who looks or is turned away is no device */
    assert_int_equal(v->result_count, 3);
    assert_true(v->results[1].turned_away);
    assert_string_equal(v->results[0].reason, "is no ELF");
}

static void test_oldest_device_is_forgotten(void **state)
{
    struct fixture *f = *state;
    char client[INET6_ADDRSTRLEN];
    for (int i = 0; i < BOARD_DEVICES + 500; i++) {
        (void)snprintf(client, sizeof client, "10.0.%d.%d", i / 250, i % 250);
        tell(f, i == 0 || i == 900 ? part(client, 2, 5) : get(client, 2));
        tell(f, part("10.0.3.150", 2, (uint64_t)i)); /* number 900 stays in use */
        f->now += 1;
    }
    const struct board_view *v = look(f);
    assert_int_equal(v->device_count, BOARD_SHOWN);
    assert_int_equal(v->totals.devices, BOARD_DEVICES);
    assert_int_equal(v->totals.active, 1); /* of number 0 nothing is left */
    assert_string_equal(v->devices[BOARD_SHOWN - 1].client, "10.0.3.150");
    for (size_t i = 1; i < v->device_count; i++) {
        assert_true(v->devices[i - 1].version < v->devices[i].version);
    }
    tell(f, head("10.0.0.0", 1));
    assert_int_equal(f->event.runs, 0);
    tell(f, head(client, 1));
    assert_int_equal(f->event.runs, 2);
}

static void test_oldest_result_is_forgotten(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < BOARD_RESULTS + 10; i++) {
        tell(f, get("192.0.2.1", 2));
    }
    const struct board_view *v = look(f);
    assert_int_equal(v->result_count, BOARD_RESULTS);
    assert_int_equal(v->results[0].number, 11);
    assert_int_equal(v->results[BOARD_RESULTS - 1].number, BOARD_RESULTS + 10);
}

/* With little room everything is seen in several looks, and nothing twice. */
static void test_looks_in_parts(void **state)
{
    struct fixture *f = *state;
    char client[INET6_ADDRSTRLEN];
    size_t devices = 0;
    size_t results = 0;
    uint64_t version = 0;
    uint64_t result = 0;
    for (int i = 0; i < 50; i++) {
        (void)snprintf(client, sizeof client, "10.0.0.%d", i);
        tell(f, get(client, 2));
    }
    f->view.device_room = 7;
    f->view.result_room = 3;
    do {
        board_look(f->board, version, result, &f->view);
        devices += f->view.device_count;
        results += f->view.result_count;
        assert_true(f->view.version >= version);
        version = f->view.version;
        result = f->view.result;
    } while (f->view.device_count > 0 || f->view.result_count > 0);
    assert_int_equal(devices, 50);
    assert_int_equal(results, 50);
}

static void test_slots(void **state)
{
    struct fixture *f = *state;
    struct board_slot slot = {.elf = "a.elf", .converts = true, .build = 1, .size = 5};
    assert_true(board_set_slot(f->board, 1, &slot));
    assert_false(board_set_slot(f->board, 1, &slot));
    assert_true(board_is_healthy(look(f)));
    slot.converts = false;
    assert_true(board_set_slot(f->board, 1, &slot));
    assert_false(board_is_healthy(look(f)));
    assert_int_equal(look(f)->slots[0].version, look(f)->version);
}

static void test_hostile_texts(void **state)
{
    struct fixture *f = *state;
    char target[1000];
    char reason[2000];
    memset(target, '<', sizeof target - 1);
    memset(reason, 0xC3, sizeof reason - 1); /* no UTF-8 */
    target[sizeof target - 1] = '\0';
    reason[sizeof reason - 1] = '\0';
    struct server_event e = broken("192.0.2.1", 2);
    e.target = target;
    e.reason = reason;
    e.status = 4000000;
    tell(f, e);
    const struct board_view *v = look(f);
    assert_int_equal(strlen(v->results[0].target), BOARD_TARGET - 1);
    assert_int_equal(strlen(v->results[0].reason), BOARD_REASON - 1);
    assert_int_equal(v->results[0].reason[0], '?');
}

/* ---- as text ---- */

static char *text_of(void (*write)(FILE *, const struct board_view *, const struct board_setting *),
                     const struct board_view *view)
{
    const struct board_setting setting = {
        .map = espimage_flash_map_by_name("1MB"), .started = 1700000000, .now = 1700000001};
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    write(out, view, &setting);
    assert_int_equal(fclose(out), 0);
    return text;
}

static void write_json(FILE *out, const struct board_view *view,
                       const struct board_setting *setting)
{
    assert_true(board_json(out, view, setting));
    assert_true(board_events(out, view, setting, true, 0));
}

static void test_html_text(void **state)
{
    char text[64] = "";
    FILE *out = fmemopen(text, sizeof text, "w");
    (void)state;
    page_html_text(out, "<a href=\"x\">'&");
    (void)fclose(out);
    assert_string_equal(text, "&lt;a href=&quot;x&quot;&gt;&#39;&amp;");
}

#define EVIL "\"'><img src=x onerror=alert(1)>{{script}}</script>&\\"

static void test_nothing_breaks_out(void **state)
{
    struct fixture *f = *state;
    struct server_event e = broken(EVIL, 2); /* an address cannot be that; if it were */
    struct board_slot slot = {.elf = EVIL, .reason = EVIL};
    e.target = "/" EVIL;
    e.reason = EVIL;
    tell(f, e);
    struct server_event away = {.kind = SERVER_TURNED_AWAY, .client = EVIL, .reason = EVIL};
    tell(f, away);
    (void)board_set_slot(f->board, 1, &slot);
    char *html = text_of(page_html_write, look(f));
    assert_silent(html, "<img");
    assert_silent(html, "\"'");
    assert_mentions(html, "&lt;img src=x onerror=alert(1)&gt;{{script}}&lt;/script&gt;&amp;");
    free(html);
    char *json = text_of(write_json, look(f));
    assert_silent(json, "\"\"'>");
    assert_mentions(json, "\\\"'><img src=x");
    free(json);
    char *metrics = text_of(board_metrics, look(f));
    assert_silent(metrics, "img");
    free(metrics);
}

static void test_page_fits_its_policy(void **state)
{
    struct fixture *f = *state;
    char policy[PAGE_POLICY];
    (void)f;
    page_html_policy(policy);
    assert_true(strlen(policy) < PAGE_POLICY - 1);
    assert_mentions(policy, "default-src 'none'; img-src data:; style-src 'sha256-");
    assert_mentions(policy, "frame-ancestors 'none'");
}

#define on_board(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        on_board(test_update_is_seen),
        on_board(test_not_taken),
        on_board(test_broken_download_tells_nothing),
        on_board(test_told_in_another_order),
        on_board(test_told_after_the_next),
        on_board(test_addresses_are_apart),
        on_board(test_runs_is_withdrawn),
        on_board(test_derived_at_progress),
        on_board(test_progress),
        on_board(test_two_downloads_of_an_address),
        on_board(test_totals),
        on_board(test_oldest_device_is_forgotten),
        on_board(test_oldest_result_is_forgotten),
        on_board(test_looks_in_parts),
        on_board(test_slots),
        on_board(test_hostile_texts),
        cmocka_unit_test(test_html_text),
        on_board(test_nothing_breaks_out),
        on_board(test_page_fits_its_policy),
    };
    return cmocka_run_group_tests_name("board", tests, NULL, NULL);
}
