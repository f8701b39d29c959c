/* SPDX-License-Identifier: MIT */
#include "base/bytes.h"
#include "image/checksum.h"
#include "support/firmware_builder.h"
#include "support/test.h"

#include <stdlib.h>
#include <string.h>

static enum espimage_mistake mistake_in(const uint8_t *bytes, size_t size)
{
    struct espimage_identity identity;
    espimage_identify(bytes, size, &identity);
    assert_int_equal(identity.text[0] == '\0', identity.mistake == ESPIMAGE_MISTAKE_NONE);
    return identity.mistake;
}

struct foreign_case {
    const char *name;
    const char *bytes;
    size_t size; /* 0: of the text */
    enum espimage_mistake mistake;
};

#define FF16 "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF"

static const struct foreign_case foreign_rows[] = {
    {"ELF",
     "\x7F"
     "ELF\1\1\1",
     16, ESPIMAGE_MISTAKE_ELF},
    {"ELF magic",
     "\x7F"
     "ELF",
     4, ESPIMAGE_MISTAKE_ELF},
    {"zip", "PK\x03\x04", 30, ESPIMAGE_MISTAKE_ZIP},
    {"response", "HTTP/1.1 200 OK\r\n\r\n\xEA\x04", 0, ESPIMAGE_MISTAKE_HTTP},
    {"old response", "HTTP/1.0 404 Not Found\r\n\r\n<html>", 0, ESPIMAGE_MISTAKE_HTTP},
    {"gzip", "\x1F\x8B\x08", 10, ESPIMAGE_MISTAKE_GZIP},
    {"page", "<!DOCTYPE html>\n<html>", 0, ESPIMAGE_MISTAKE_HTML},
    {"page in capitals", "\r\n  <HTML LANG=en>", 0, ESPIMAGE_MISTAKE_HTML},
    {"page without html", "<head><title>Login</title>", 0, ESPIMAGE_MISTAKE_HTML},
    {"blank", FF16 FF16, 32, ESPIMAGE_MISTAKE_BLANK},
    {"one FF", "\xFF", 1, ESPIMAGE_MISTAKE_BLANK},
    {"not quite blank", FF16 "\xFE" FF16, 33, ESPIMAGE_MISTAKE_UNKNOWN},
    {"text", "hello", 0, ESPIMAGE_MISTAKE_UNKNOWN},
    {"one byte", "h", 0, ESPIMAGE_MISTAKE_UNKNOWN},
    {"cut ELF magic",
     "\x7F"
     "EL",
     0, ESPIMAGE_MISTAKE_UNKNOWN},
    {"zeros", "\0\0\0\0", 4, ESPIMAGE_MISTAKE_UNKNOWN},
    {"one EA", "\xEA", 1, ESPIMAGE_MISTAKE_TRUNCATED},
    {"one E9", "\xE9", 1, ESPIMAGE_MISTAKE_V1},
};

static void test_foreign(void **state)
{
    const struct foreign_case *row = *state;
    size_t size = row->size != 0 ? row->size : strlen(row->bytes);
    uint8_t *copy = calloc(1, size); /* exact, for sanitizers */
    assert_non_null(copy);
    size_t given =
        row->mistake == ESPIMAGE_MISTAKE_BLANK || row->size == 33 ? size : strlen(row->bytes);
    memcpy(copy, row->bytes, given < size ? given : size);
    assert_int_equal(mistake_in(copy, size), row->mistake);
    free(copy);
}

/* A page is looked for in the first half KB only, blank flash in the first 256 bytes. */
static void test_far_away(void **state)
{
    (void)state;
    uint8_t *bytes = malloc(4096);
    assert_non_null(bytes);
    memset(bytes, ' ', 4096);
    memcpy(bytes + 506, "<html>", 6);
    assert_int_equal(mistake_in(bytes, 4096), ESPIMAGE_MISTAKE_HTML);
    memset(bytes, ' ', 4096);
    memcpy(bytes + 600, "<html>", 6);
    assert_int_equal(mistake_in(bytes, 4096), ESPIMAGE_MISTAKE_UNKNOWN);
    memset(bytes, 0xFF, 4096);
    bytes[256] = 0;
    assert_int_equal(mistake_in(bytes, 4096), ESPIMAGE_MISTAKE_BLANK);
    bytes[255] = 0;
    assert_int_equal(mistake_in(bytes, 4096), ESPIMAGE_MISTAKE_UNKNOWN);
    free(bytes);
}

struct image_case {
    const char *name;
    enum espimage_profile profile;
    uint8_t app;
    int longer;      /* bytes appended or cut off */
    int second_byte; /* overwritten when not 0, and the CRC made right */
    enum espimage_mistake mistake;
};

static const struct image_case image_rows[] = {
    {"sdk", ESPIMAGE_PROFILE_SDK, 1, 0, 0, ESPIMAGE_MISTAKE_NONE},
    {"sdk app 2", ESPIMAGE_PROFILE_SDK, 2, 0, 0, ESPIMAGE_MISTAKE_NONE},
    {"gen_appbin", ESPIMAGE_PROFILE_GEN_APPBIN, 1, 0, 0, ESPIMAGE_MISTAKE_NONE},
    {"espruino", ESPIMAGE_PROFILE_ESPRUINO, 1, 0, 0, ESPIMAGE_MISTAKE_APP_0},
    {"espruino user2", ESPIMAGE_PROFILE_ESPRUINO, 2, 0, 0, ESPIMAGE_MISTAKE_NONE},
    {"esptool", ESPIMAGE_PROFILE_ESPTOOL, 1, 0, 0, ESPIMAGE_MISTAKE_ESPTOOL},
    {"esptool2", ESPIMAGE_PROFILE_RBOOT, 1, 0, 0, ESPIMAGE_MISTAKE_ESPTOOL2},
    {"CRC missing", ESPIMAGE_PROFILE_SDK, 1, -4, 0, ESPIMAGE_MISTAKE_TRUNCATED},
    {"half the CRC", ESPIMAGE_PROFILE_SDK, 1, -2, 0, ESPIMAGE_MISTAKE_TRUNCATED},
    {"checksum missing", ESPIMAGE_PROFILE_RBOOT, 1, -1, 0, ESPIMAGE_MISTAKE_TRUNCATED},
    {"trailing byte", ESPIMAGE_PROFILE_SDK, 1, 1, 0, ESPIMAGE_MISTAKE_TRAILING},
    {"trailing sector", ESPIMAGE_PROFILE_SDK, 1, 4096, 0, ESPIMAGE_MISTAKE_TRAILING},
    {"count in the second byte", ESPIMAGE_PROFILE_SDK, 1, 0, 2, ESPIMAGE_MISTAKE_SECOND_BYTE},
    {"count with irom", ESPIMAGE_PROFILE_SDK, 1, 0, 3, ESPIMAGE_MISTAKE_SECOND_BYTE},
    {"other second byte", ESPIMAGE_PROFILE_SDK, 1, 0, 9, ESPIMAGE_MISTAKE_NONE},
};

static void test_image(void **state)
{
    const struct image_case *row = *state;
    struct espimage_build_options options = options_usual();
    espimage_firmware *fw = firmware_tiny(0x40201010);
    options.profile = row->profile;
    options.app = row->app;
    struct espimage_bytes built = image(fw, &options);
    size_t size = built.size + (size_t)row->longer;
    uint8_t *copy = calloc(1, size);
    assert_non_null(copy);
    memcpy(copy, built.data, size < built.size ? size : built.size);
    if (row->second_byte != 0) {
        copy[1] = (uint8_t)row->second_byte;
        seal(copy, size);
    }
    assert_int_equal(mistake_in(copy, size), row->mistake);
    free(copy);
    espimage_bytes_free(&built);
    espimage_firmware_free(fw);
}

/* Under Python 3 gen_appbin.py sees no negative CRC and adds 1 to each. */
static void test_gen_appbin_py3(void **state)
{
    (void)state;
    struct espimage_build_options options = options_usual();
    espimage_firmware *fw = firmware_tiny(0x40201010);
    unsigned negative = 0;
    for (uint8_t app = 1; app <= 2; app++) {
        options.app = app;
        struct espimage_bytes built = image(fw, &options);
        uint32_t crc = checksum_crc32(built.data, built.size - 4);
        put_le32(built.data + built.size - 4, crc + 1);
        bool wrong = (int32_t)crc < 0;
        negative += wrong ? 1 : 0;
        assert_int_equal(mistake_in(built.data, built.size),
                         wrong ? ESPIMAGE_MISTAKE_GEN_APPBIN_PY3 : ESPIMAGE_MISTAKE_NONE);
        espimage_bytes_free(&built);
    }
    assert_int_equal(negative, 1);
    espimage_firmware_free(fw);
}

static void test_v1(void **state)
{
    (void)state;
    struct espimage_error err;
    struct espimage_bytes built = {0};
    struct espimage_build_options options = options_usual();
    espimage_firmware *fw = firmware_tiny(0x40210000);
    assert_ok(espimage_no_boot_build(fw, &options, &built, &err), &err);
    assert_int_equal(mistake_in(built.data, built.size), ESPIMAGE_MISTAKE_V1);
    espimage_bytes_free(&built);
    espimage_firmware_free(fw);
    assert_int_equal(mistake_in(NULL, 0), ESPIMAGE_MISTAKE_EMPTY);
}

static void test_names(void **state)
{
    (void)state;
    static const char *const names[] = {"none",
                                        "empty",
                                        "elf",
                                        "html",
                                        "http",
                                        "gzip",
                                        "zip",
                                        "lfs-pointer",
                                        "intel-hex",
                                        "base64",
                                        "blank",
                                        "flash",
                                        "bootloader",
                                        "rboot-bootloader",
                                        "rtos3-bootloader",
                                        "arduino",
                                        "rtos3",
                                        "esp32",
                                        "old-format",
                                        "one-file",
                                        "v1",
                                        "irom",
                                        "init-data",
                                        "partition-table",
                                        "ehug",
                                        "sming-bundle",
                                        "offset",
                                        "two-images",
                                        "text-mode",
                                        "utf8",
                                        "replaced",
                                        "truncated",
                                        "trailing",
                                        "readback",
                                        "edited",
                                        "esptool",
                                        "rtos1",
                                        "esptool2",
                                        "app-0",
                                        "no-crc",
                                        "gen_appbin-py3",
                                        "plain-crc",
                                        "second-byte",
                                        "e9-header",
                                        "unknown"};
    assert_int_equal(COUNT(names), ESPIMAGE_MISTAKE_UNKNOWN + 1);
    for (size_t i = 0; i < COUNT(names); i++) {
        enum espimage_mistake mistake = (enum espimage_mistake)i;
        assert_string_equal(espimage_mistake_name(mistake), names[i]);
        assert_int_equal(espimage_mistake_text(mistake)[0] == '\0', i == 0);
        assert_null(strchr(espimage_mistake_text(mistake), '\n'));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_far_away),
        cmocka_unit_test(test_gen_appbin_py3),
        cmocka_unit_test(test_v1),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) +
           run_table("foreign files", foreign_rows, test_foreign) +
           run_table("images", image_rows, test_image);
}
