/* SPDX-License-Identifier: MIT */
/* Any bytes as an ELF. What loads must be classified, built and, in profile sdk, accepted. */
#include "fuzz/fuzz.h"

#include <espimage/espimage.h>
#include <stdlib.h>

static void build(const espimage_firmware *fw, const struct espimage_build_options *options)
{
    struct espimage_bytes image = {0};
    struct espimage_notes notes = ESPIMAGE_NOTES_INIT;
    struct espimage_error err;
    espimage_report *report = NULL;
    const struct espimage_verify_options rules = {
        .size = sizeof rules, .map = options->map, .app = options->app};

    if (espimage_image_build(fw, options, &image, &notes, &err) != ESPIMAGE_OK) {
        return;
    }
    if (espimage_verify(image.data, image.size, &rules, &report, &err) == ESPIMAGE_OK &&
        options->profile == ESPIMAGE_PROFILE_SDK && !options->irom_checksum) {
        /* Those that follow have demands of their own, such as other app numbers. */
        for (int c = 0; c <= ESPIMAGE_CONSUMER_OTA3; c++) {
            if (!espimage_report_verdict(report, (enum espimage_consumer)c)->accepts) {
                abort();
            }
        }
    }
    espimage_report_free(report);
    espimage_bytes_free(&image);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    espimage_firmware *fw = NULL;
    struct espimage_error err;
    struct espimage_link link;
    struct espimage_map_choice choice;
    bool assumed = false;
    char line[ESPIMAGE_ERROR_LINE];

    if (espimage_firmware_from_elf(data, size, &fw, &err) != ESPIMAGE_OK) {
        if (espimage_error_line(&err, line, sizeof line)[0] == '\0') {
            abort();
        }
        return 0;
    }
    espimage_classify(fw, &link);
    espimage_map_choice_init(&choice, NULL);
    (void)espimage_map_choice_add(&choice, &link, "fuzz", &err);
    const struct espimage_flash_map *map = espimage_map_choice_map(&choice, &assumed);
    for (int profile = 0; profile < ESPIMAGE_PROFILE_COUNT; profile++) {
        const struct espimage_build_options options = {.size = sizeof options,
                                                       .profile = (enum espimage_profile)profile,
                                                       .map = map,
                                                       .app = 1,
                                                       .irom_checksum =
                                                           profile == ESPIMAGE_PROFILE_RBOOT};
        build(fw, &options);
    }
    espimage_firmware_free(fw);
    return 0;
}
