/* SPDX-License-Identifier: MIT */
/* Images that the tools of the vendor and of others made of two SDK ELFs, byte for byte. They are
 * not part of this repository: ESPIMAGE_SHARED_DATA names their folder, without it (and without
 * the one beside the source) the test is skipped. */
#include "base/bytes.h"
#include "base/file.h"
#include "image/image_link.h"
#include "support/test.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_VECTORS 64
#define SKIPPED     77

/* <elf>.<mode>-<freq>-<map>[.user<N>].<tool>.bin, or .<address>.bin for a pair without boot. */
struct vector {
    char *name; /* of the file */
    char elf[64];
    char settings[64];
    char user[16];
    char tool[32];
};

static const char *folder(void)
{
    const char *given = getenv("ESPIMAGE_SHARED_DATA");
    return given != NULL ? given : SHARED_DATA;
}

static struct file_bytes read_data(const char *name)
{
    char path[1024];
    struct file_bytes bytes;
    struct espimage_error err;
    (void)snprintf(path, sizeof path, "%s/%s", folder(), name);
    assert_ok(file_read(path, 16 << 20, &bytes, &err), &err);
    return bytes;
}

static bool split(struct vector *v)
{
    if (sscanf(v->name, "%63[^.].%63[^.].%15[^.].%31[^.].bin", v->elf, v->settings, v->user,
               v->tool) == 4 &&
        strncmp(v->user, "user", 4) == 0) {
        return true;
    }
    strcpy(v->user, "user1");
    return sscanf(v->name, "%63[^.].%63[^.].%31[^.].bin", v->elf, v->settings, v->tool) == 3;
}

static espimage_firmware *load_elf(const struct vector *v)
{
    struct espimage_error err;
    espimage_firmware *fw = NULL;
    bool at = strcmp(v->elf, "sdk20-at") == 0;
    struct file_bytes elf = read_data(at ? "sdk20-at.app1.elf" : "sdk12-example.no-boot.elf");
    assert_ok(espimage_firmware_from_elf(elf.data, elf.size, &fw, &err), &err);
    file_bytes_free(&elf);
    return fw;
}

struct tool {
    const char *name;
    enum espimage_profile profile;
    bool irom_checksum;
};

static const struct tool tools[] = {
    {"espimagetool", ESPIMAGE_PROFILE_SDK, false},
    {"gen_appbin", ESPIMAGE_PROFILE_GEN_APPBIN, false},
    {"esptool", ESPIMAGE_PROFILE_ESPTOOL, false},
    {"esptool2", ESPIMAGE_PROFILE_RBOOT, false},
    {"esptool2-iromchksum", ESPIMAGE_PROFILE_RBOOT, true},
};

static struct espimage_build_options options_of(const struct vector *v)
{
    struct espimage_build_options options = {.size = sizeof options,
                                             .app = (uint8_t)(v->user[4] - '0')};
    char mode[16];
    char freq[16];
    char map[32];
    assert_int_equal(sscanf(v->settings, "%15[^-]-%15[^-]-%31s", mode, freq, map), 3);
    options.map = espimage_flash_map_by_name(map);
    assert_non_null(options.map);
    options.flash_mode = espimage_flash_mode_by_name(mode)->code;
    options.flash_freq = espimage_flash_freq_by_name(freq)->code;
    for (size_t i = 0; i < COUNT(tools); i++) {
        if (strcmp(tools[i].name, v->tool) == 0) {
            options.profile = tools[i].profile;
            options.irom_checksum = tools[i].irom_checksum;
            return options;
        }
    }
    assert_memory_equal(v->tool, "0x", 2);
    return options;
}

static struct espimage_bytes build(const struct vector *v, const espimage_firmware *fw)
{
    struct espimage_error err;
    struct espimage_bytes built = {0};
    struct espimage_build_options options = options_of(v);
    struct espimage_irom irom = espimage_firmware_irom(fw);
    if (strcmp(v->tool, "0x00000") == 0) {
        assert_ok(espimage_no_boot_build(fw, &options, &built, &err), &err);
    } else if (v->tool[0] == '0') {
        assert_int_equal(irom.address - ESPIMAGE_WINDOW_START, strtoul(v->tool, NULL, 16));
        built.data = malloc(irom.size);
        assert_non_null(built.data);
        memcpy(built.data, irom.bytes, irom.size);
        built.size = irom.size;
    } else {
        assert_ok(espimage_image_build(fw, &options, &built, NULL, &err), &err);
    }
    return built;
}

/* The vendor's ELF is linked for app1 of every map. */
static void check_link(const struct vector *v, const struct espimage_bytes *built)
{
    struct espimage_image_view view;
    struct image_link link;
    if (v->tool[0] == '0') {
        return;
    }
    espimage_image_parse(built->data, built->size, &view);
    image_link_judge(&view, espimage_flash_map_by_name("1MB"), 1, &link);
    assert_int_equal(link.verdict, IMAGE_LINK_AGREES);
    assert_in_range(link.wanted_words, 1000, 2000);
    image_link_judge(&view, espimage_flash_map_by_name("1MB"), 2, &link);
    assert_int_equal(link.verdict, IMAGE_LINK_ELSEWHERE);
    assert_int_equal(link.other, 0x40201010);
    image_link_judge(&view, espimage_flash_map_by_name("2MB-c1"), 2, &link);
    assert_int_equal(link.verdict, IMAGE_LINK_AGREES);
}

static void test_vector(void **state)
{
    struct vector *v = *state;
    assert_true(split(v));
    struct file_bytes wanted = read_data(v->name);
    espimage_firmware *fw = load_elf(v);
    struct espimage_bytes built = build(v, fw);
    assert_int_equal(built.size, wanted.size);
    assert_memory_equal(built.data, wanted.data, wanted.size);
    check_link(v, &built);
    espimage_bytes_free(&built);
    espimage_firmware_free(fw);
    file_bytes_free(&wanted);
}

/* gen_appbin.py wrote it; Espruino numbers the apps 0 and 1, the RTOS SDK's copy of the script
 * writes the flash settings there. */
static void test_scripts_relatives(void **state)
{
    (void)state;
    static const struct {
        enum espimage_profile profile;
        uint8_t b2;
        uint8_t b3;
    } relatives[] = {{ESPIMAGE_PROFILE_ESPRUINO, 0, 0}, {ESPIMAGE_PROFILE_RTOS1, 2, 0x5F}};
    char name[] = "sdk20-at.dio-80m-2MB-c1.user1.gen_appbin.bin";
    struct vector v = {.name = name};
    assert_true(split(&v));
    for (size_t i = 0; i < COUNT(relatives); i++) {
        struct espimage_error err;
        struct espimage_bytes built = {0};
        struct espimage_build_options options = options_of(&v);
        struct file_bytes wanted = read_data(v.name);
        espimage_firmware *fw = load_elf(&v);
        options.profile = relatives[i].profile;
        assert_ok(espimage_image_build(fw, &options, &built, NULL, &err), &err);
        wanted.data[2] = relatives[i].b2;
        wanted.data[3] = relatives[i].b3;
        put_le32(wanted.data + wanted.size - 4, espimage_image_crc(wanted.data, wanted.size));
        assert_int_equal(built.size, wanted.size);
        assert_memory_equal(built.data, wanted.data, wanted.size);
        espimage_bytes_free(&built);
        espimage_firmware_free(fw);
        file_bytes_free(&wanted);
    }
}

static bool is_image(const char *name)
{
    size_t length = strlen(name);
    return length > 4 && strcmp(name + length - 4, ".bin") == 0;
}

static size_t find_vectors(DIR *in, struct vector *vectors)
{
    size_t count = 0;
    const struct dirent *entry;
    while (count < MAX_VECTORS && (entry = readdir(in)) != NULL) {
        if (is_image(entry->d_name)) {
            vectors[count++].name = strdup(entry->d_name);
        }
    }
    return count;
}

int main(void)
{
    static struct vector vectors[MAX_VECTORS];
    DIR *in = opendir(folder());
    if (in == NULL) {
        print_message("skipped: no vectors in %s\n", folder());
        return SKIPPED;
    }
    size_t count = find_vectors(in, vectors);
    (void)closedir(in);
    const struct CMUnitTest relatives[] = {cmocka_unit_test(test_scripts_relatives)};
    int failures = cmocka_run_group_tests_name("relatives", relatives, NULL, NULL);
    failures += run_rows("vectors", vectors, sizeof vectors[0], count, test_vector);
    for (size_t i = 0; i < count; i++) {
        free(vectors[i].name);
    }
    return count > 0 ? failures : 1;
}
