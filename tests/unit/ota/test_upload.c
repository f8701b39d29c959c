/* SPDX-License-Identifier: MIT */
/* What each dialect makes of an upload: images as rows, then bundles, piece by piece. */
#include "support/test.h"

#include "base/bytes.h"
#include "ota/upload.h"

#include <espimage/flash.h>
#include <stdlib.h>
#include <string.h>

#define LENGTH 3000U /* two pieces of 1024, and the rest */

struct outcome {
    struct upload_answer answer;
    uint8_t slot;
    uint32_t written;
    uint32_t taken; /* bytes of the body before the answer */
    uint8_t flash[2 * LENGTH];
};

static struct upload_device device(enum upload_dialect dialect, uint8_t running)
{
    return (struct upload_device){dialect, espimage_flash_map_by_name("1MB"), running};
}

static void fill_image(uint8_t *image, size_t size, uint8_t fourth)
{
    static const uint8_t header[UPLOAD_HEADER] = {0xEA, 0x04, 0, 0, 0x04, 0x00, 0x10, 0x40};
    for (size_t i = 0; i < size; i++) {
        image[i] = (uint8_t)(i * 7 + i / 256);
    }
    memcpy(image, header, size < sizeof header ? size : sizeof header);
    if (size > 3) {
        image[3] = fourth;
    }
}

/* In pieces of the dialect; all that is written lands in out->flash without a gap. */
static void push(const struct upload_device *to, const struct upload_request *request,
                 const uint8_t *body, struct outcome *out)
{
    struct upload u;
    struct upload_step step;
    memset(out, 0, sizeof *out);
    upload_begin(&u, to, request);
    do {
        size_t left = request->length - out->taken;
        size_t piece = upload_piece_size(to->dialect);
        piece = piece < left ? piece : left;
        upload_take(&u, body + out->taken, piece, &step);
        out->taken += (uint32_t)piece;
        if (step.size > 0) {
            assert_int_equal(step.offset, out->written);
            assert_true(step.size <= sizeof out->flash - out->written);
            memcpy(out->flash + out->written, step.bytes, step.size);
            out->written += (uint32_t)step.size;
            out->slot = step.slot;
        }
        assert_true(step.answer.status != 0 || out->taken < request->length);
    } while (step.answer.status == 0);
    out->answer = step.answer;
}

enum { LINK = UPLOAD_ESP_LINK, HTTPD = UPLOAD_LIBESPHTTPD, ESPRUINO = UPLOAD_ESPRUINO };
#define SAME UINT32_MAX /* no change of a byte */

static const struct {
    int dialect;
    uint8_t running;
    uint8_t fourth;
    uint32_t offset; /* of a byte that is changed */
    uint8_t value;
    int status;
    const char *text;
    uint8_t slot; /* that is written; 0: none */
} rows[] = {
    {LINK, 1, 0, SAME, 0, 200, "", 2},
    {LINK, 2, 0, SAME, 0, 200, "", 1},
    {LINK, 1, 0x6F, SAME, 0, 200, "", 2},
    {LINK, 1, 0x70, SAME, 0, 400, "bad flash header", 0},
    {LINK, 1, 0, 0, 0xE9, 400, "IROM magic missing", 0},
    {LINK, 1, 0, 1, 3, 400, "bad flash header", 0},
    {LINK, 1, 0, 2, 3, 200, "", 2},
    {LINK, 1, 0, 2, 4, 400, "bad flash header", 0},
    {LINK, 1, 0, 6, 0x20, 400, "Invalid entry addr", 0},
    {LINK, 1, 0, 7, 0x41, 400, "Invalid entry addr", 0},
    {LINK, 1, 0, 8, 1, 400, "Invalid start offset", 0},
    {LINK, 1, 0, 11, 1, 400, "Invalid start offset", 0},
    {LINK, 1, 0, 2000, 1, 200, "", 2}, /* neither CRC nor checksum */
    /* A plain image goes to user1's place, whatever runs and whatever its number is. */
    {HTTPD, 2, 0, SAME, 0, 200, "", 1},
    {HTTPD, 1, 1, SAME, 0, 200, "", 1},
    {HTTPD, 2, 0x40, SAME, 0, 200, "", 1},
    {HTTPD, 2, 0x41, SAME, 0, 400, "Invalid flash image type!", 0},
    {HTTPD, 2, 0, 0, 0xE9, 400, "Invalid flash image type!", 0},
    {HTTPD, 2, 0, 1, 5, 400, "Invalid flash image type!", 0},
    {HTTPD, 2, 0, 2, 4, 400, "Invalid flash image type!", 0},
    {HTTPD, 2, 0, 6, 0x11, 400, "Invalid flash image type!", 0},
    {HTTPD, 2, 0, 9, 1, 400, "Invalid flash image type!", 0},
    {ESPRUINO, 1, 1, SAME, 0, 200, "", 2},
    {ESPRUINO, 2, 0, SAME, 0, 200, "", 1},
    {ESPRUINO, 1, 0, SAME, 0, 400, "Wrong partition binary", 0},
    {ESPRUINO, 2, 1, SAME, 0, 400, "Wrong partition binary", 0},
    /* The sdk profile's numbers: 2 never, and 1 is the wrong slot's. */
    {ESPRUINO, 1, 2, SAME, 0, 400, "Wrong partition binary", 0},
    {ESPRUINO, 2, 2, SAME, 0, 400, "Wrong partition binary", 0},
    /* Not an app number. */
    {ESPRUINO, 1, 3, SAME, 0, 200, "", 2},
    {ESPRUINO, 1, 0x70, SAME, 0, 400, "bad flash header", 0},
    {ESPRUINO, 1, 1, 0, 0, 400, "IROM magic missing", 0},
    {ESPRUINO, 1, 1, 7, 0, 400, "Invalid entry addr", 0},
    {ESPRUINO, 1, 1, 8, 4, 400, "Invalid start offset", 0},
};

static void test_images(void **state)
{
    (void)state;
    static struct outcome got;
    static uint8_t image[LENGTH];
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct upload_device to =
            device((enum upload_dialect)rows[i].dialect, rows[i].running);
        const struct upload_request request = {true, false, LENGTH};
        fill_image(image, sizeof image, rows[i].fourth);
        if (rows[i].offset != SAME) {
            image[rows[i].offset] = rows[i].value;
        }
        push(&to, &request, image, &got);
        print_message("row %zu: %s\n", i, got.answer.text);
        assert_int_equal(got.answer.status, rows[i].status);
        assert_string_equal(got.answer.text, rows[i].text);
        assert_int_equal(got.slot, rows[i].slot);
        assert_int_equal(got.written, rows[i].slot != 0 ? LENGTH : 0);
        assert_memory_equal(got.flash, image, got.written);
    }
}

/* esp-link and Espruino answer at the first piece, libesphttpd when all of it has come. */
static void test_when_a_refusal_comes(void **state)
{
    (void)state;
    static struct outcome got;
    static uint8_t image[LENGTH];
    static const uint32_t taken[UPLOAD_DIALECTS] = {1024, LENGTH, 512};
    for (int d = 0; d < UPLOAD_DIALECTS; d++) {
        const struct upload_device to = device((enum upload_dialect)d, 1);
        const struct upload_request request = {true, false, LENGTH};
        push(&to, &request, image, &got);
        assert_int_equal(got.answer.status, 400);
        assert_int_equal(got.taken, taken[d]);
    }
}

static const struct {
    int dialect;
    uint32_t length;
    int status; /* of the first piece; 0: it goes on */
    const char *text;
} lengths[] = {
    {LINK, 0, 400, "Invalid request"},
    {LINK, 1023, 400, "Invalid request"},
    {LINK, 1024, 200, ""},
    {LINK, 0x7B000, 0, ""},
    {LINK, 0x7B001, 400, "Firmware image too large"},
    {ESPRUINO, 0, 400, "Firmware too small"},
    {ESPRUINO, 511, 400, "Firmware too small"},
    {ESPRUINO, 512, 200, ""},
    {ESPRUINO, 0x7B000, 0, ""},
    {ESPRUINO, 0x7B001, 400, "Firmware image too large"},
    {HTTPD, 0, 200, "Premature end"},
    {HTTPD, 11, 400, "Invalid flash image type!"},
    {HTTPD, 12, 200, ""},
    {HTTPD, 0x7F000, 0, ""},
};

static void test_lengths(void **state)
{
    (void)state;
    uint8_t image[UPLOAD_LARGEST_PIECE];
    fill_image(image, sizeof image, 1);
    for (size_t i = 0; i < COUNT(lengths); i++) {
        const struct upload_device to = device((enum upload_dialect)lengths[i].dialect, 1);
        const struct upload_request request = {true, false, lengths[i].length};
        size_t piece = upload_piece_size(to.dialect);
        struct upload u;
        struct upload_step step;
        upload_begin(&u, &to, &request);
        upload_take(&u, image, piece < lengths[i].length ? piece : lengths[i].length, &step);
        print_message("row %zu: %s\n", i, step.answer.text);
        assert_int_equal(step.answer.status, lengths[i].status);
        assert_string_equal(step.answer.text, lengths[i].text);
    }
}

static void test_libesphttpd_too_large(void **state)
{
    (void)state;
    const struct upload_device to = device(UPLOAD_LIBESPHTTPD, 1);
    uint8_t image[UPLOAD_LARGEST_PIECE];
    struct upload u;
    struct upload_step step;
    struct upload_request request = {true, false, 0x7F001};
    fill_image(image, sizeof image, 1);
    upload_begin(&u, &to, &request);
    upload_take(&u, image, sizeof image, &step);
    assert_int_equal(u.state, UPLOAD_ERROR);
    assert_string_equal(u.error, "Firmware image too large");
    assert_int_equal(step.size, 0);
}

/* A piece that is not what esp-link's server collects: only its last one may be shorter. */
static void test_esp_link_buffering(void **state)
{
    (void)state;
    const struct upload_device to = device(UPLOAD_ESP_LINK, 1);
    const struct upload_request request = {true, false, LENGTH};
    uint8_t image[UPLOAD_LARGEST_PIECE];
    struct upload u;
    struct upload_step step;
    fill_image(image, sizeof image, 0);
    upload_begin(&u, &to, &request);
    upload_take(&u, image, 1000, &step);
    assert_int_equal(step.answer.status, 0);
    upload_take(&u, image, 1024, &step);
    assert_int_equal(step.answer.status, 500);
    assert_string_equal(step.answer.text, "Buffering problem");
    assert_int_equal(step.size, 0);
}

static void test_esp_link_wants_post(void **state)
{
    (void)state;
    const struct upload_device to = device(UPLOAD_ESP_LINK, 1);
    const struct upload_request request = {false, false, LENGTH};
    static struct outcome got;
    uint8_t image[LENGTH];
    fill_image(image, sizeof image, 0);
    push(&to, &request, image, &got);
    assert_int_equal(got.answer.status, 400);
    assert_string_equal(got.answer.text, "Invalid request");
}

/* ---- bundles ---- */

#define FIRST  1500U
#define SECOND 1100U
#define BUNDLE (UPLOAD_BUNDLE_HEADER + FIRST + SECOND)

static void fill_bundle(uint8_t bundle[BUNDLE], const char *tag, uint32_t first, uint32_t second)
{
    memset(bundle, 0, BUNDLE);
    memcpy(bundle, "EHUG", 4);
    memcpy(bundle + 4, tag, strlen(tag));
    put_le32(bundle + 32, first);
    put_le32(bundle + 36, second);
    fill_image(bundle + UPLOAD_BUNDLE_HEADER, FIRST, 0);
    fill_image(bundle + UPLOAD_BUNDLE_HEADER + FIRST, SECOND, 1);
}

static void test_bundle_goes_to_the_other_slot(void **state)
{
    (void)state;
    static struct outcome got;
    uint8_t bundle[BUNDLE];
    const struct upload_request request = {true, false, BUNDLE};
    fill_bundle(bundle, UPLOAD_BUNDLE_TAG, FIRST, SECOND);
    struct upload_device to = device(UPLOAD_LIBESPHTTPD, 1);
    push(&to, &request, bundle, &got);
    assert_int_equal(got.answer.status, 200);
    assert_string_equal(got.answer.text, "");
    assert_int_equal(got.slot, 2);
    assert_int_equal(got.written, SECOND);
    assert_memory_equal(got.flash, bundle + UPLOAD_BUNDLE_HEADER + FIRST, SECOND);
    to.running = 2;
    push(&to, &request, bundle, &got);
    assert_int_equal(got.answer.status, 200);
    assert_int_equal(got.slot, 1);
    assert_int_equal(got.written, FIRST);
    assert_memory_equal(got.flash, bundle + UPLOAD_BUNDLE_HEADER, FIRST);
}

static void test_bundle_with_another_tag(void **state)
{
    (void)state;
    static struct outcome got;
    uint8_t bundle[BUNDLE];
    const struct upload_device to = device(UPLOAD_LIBESPHTTPD, 1);
    struct upload_request request = {true, false, BUNDLE};
    fill_bundle(bundle, "generic2", FIRST, SECOND);
    push(&to, &request, bundle, &got);
    assert_int_equal(got.answer.status, 400);
    assert_string_equal(got.answer.text, "Firmware not intended for this device!\n");
    assert_int_equal(got.written, 0);
    request.force = true;
    push(&to, &request, bundle, &got);
    assert_int_equal(got.answer.status, 200);
    assert_int_equal(got.written, SECOND);
}

static const struct {
    uint32_t first;
    uint32_t second;
    const char *text;
    uint32_t written; /* with user1 running, of user2 */
} bundle_lengths[] = {
    {FIRST, SECOND + 1, "Premature end", SECOND},
    {FIRST + SECOND, SECOND, "Premature end", 0},
    {0, FIRST, "", FIRST},
    {FIRST, 0, "", 0},
    {UINT32_MAX, SECOND, "Premature end", 0},
    {0, UINT32_MAX, "Premature end", FIRST + SECOND},
};

/* The status is 200 all the same: only the body says that it failed. */
static void test_bundle_lengths(void **state)
{
    (void)state;
    static struct outcome got;
    uint8_t bundle[BUNDLE];
    const struct upload_device to = device(UPLOAD_LIBESPHTTPD, 1);
    const struct upload_request request = {true, false, BUNDLE};
    for (size_t i = 0; i < COUNT(bundle_lengths); i++) {
        fill_bundle(bundle, UPLOAD_BUNDLE_TAG, bundle_lengths[i].first, bundle_lengths[i].second);
        push(&to, &request, bundle, &got);
        assert_int_equal(got.answer.status, 200);
        assert_string_equal(got.answer.text, bundle_lengths[i].text);
        assert_int_equal(got.written, bundle_lengths[i].written);
    }
}

static void test_bundle_is_for_libesphttpd_alone(void **state)
{
    (void)state;
    static struct outcome got;
    uint8_t bundle[BUNDLE];
    const struct upload_request request = {true, false, BUNDLE};
    fill_bundle(bundle, UPLOAD_BUNDLE_TAG, FIRST, SECOND);
    for (int d = 0; d < UPLOAD_DIALECTS; d++) {
        const struct upload_device to = device((enum upload_dialect)d, 1);
        push(&to, &request, bundle, &got);
        assert_int_equal(got.answer.status, d == UPLOAD_LIBESPHTTPD ? 200 : 400);
    }
}

/* ---- reboot ---- */

static void test_reboot(void **state)
{
    (void)state;
    uint8_t header[UPLOAD_HEADER];
    uint8_t blank[UPLOAD_HEADER];
    memset(blank, 0xFF, sizeof blank);
    fill_image(header, sizeof header, 1);
    struct upload_device to = device(UPLOAD_ESP_LINK, 1);
    assert_int_equal(upload_reboot(&to, header).status, 200);
    assert_int_equal(upload_reboot(&to, blank).status, 400);
    assert_string_equal(upload_reboot(&to, blank).text, "IROM magic missing");
    to.dialect = UPLOAD_ESPRUINO;
    assert_int_equal(upload_reboot(&to, header).status, 200);
    to.running = 2;
    assert_string_equal(upload_reboot(&to, header).text, "Wrong partition binary");
    to.dialect = UPLOAD_LIBESPHTTPD;
    assert_int_equal(upload_reboot(&to, blank).status, 200);
    assert_int_equal(upload_reboot_delay(UPLOAD_LIBESPHTTPD), 200);
    assert_int_equal(upload_reboot_delay(UPLOAD_ESP_LINK), 2000);
    assert_int_equal(upload_reboot_delay(UPLOAD_ESPRUINO), 2000);
}

static void test_small_flash(void **state)
{
    (void)state;
    struct upload_device to = {UPLOAD_ESP_LINK, espimage_flash_map_by_name("512KB"), 1};
    assert_int_equal(upload_refusal(&to).status, 400);
    assert_string_equal(upload_refusal(&to).text, "Flash too small for OTA update");
    to.dialect = UPLOAD_ESPRUINO;
    assert_int_equal(upload_refusal(&to).status, 0);
    to = device(UPLOAD_ESP_LINK, 1);
    assert_int_equal(upload_refusal(&to).status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_images),
        cmocka_unit_test(test_when_a_refusal_comes),
        cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_libesphttpd_too_large),
        cmocka_unit_test(test_esp_link_buffering),
        cmocka_unit_test(test_esp_link_wants_post),
        cmocka_unit_test(test_bundle_goes_to_the_other_slot),
        cmocka_unit_test(test_bundle_with_another_tag),
        cmocka_unit_test(test_bundle_lengths),
        cmocka_unit_test(test_bundle_is_for_libesphttpd_alone),
        cmocka_unit_test(test_reboot),
        cmocka_unit_test(test_small_flash),
    };
    return cmocka_run_group_tests_name("upload", tests, NULL, NULL);
}
