/* SPDX-License-Identifier: MIT */
#include "cli/simulate_resets.h"

#include "base/error.h"
#include "cli/output.h"
#include "device/boot_words.h"
#include "device/build.h"

#include <stdio.h>

#define ADDRESS_DIGITS 8

static const char *slot_name(const struct boot_step *step)
{
    static const char *const names[] = {NULL, "user1", "user2"};
    return names[step->slot];
}

/* The slot that runs, or NULL. */
static const char *runs(const struct boot_step *step)
{
    return boot_outcome_runs(step->outcome) ? slot_name(step) : NULL;
}

static void on_serial(void *context, const char *line)
{
    (void)context;
    (void)fprintf(stderr, "%s\n", line);
}

static void print_line(uint32_t number, const struct boot_step *step)
{
    const char *name = slot_name(step);
    (void)printf("%u: %s", number, boot_outcome_name(step->outcome));
    if (step->address != 0) {
        (void)printf(" %s at 0x%X", name != NULL ? name : "code", step->address);
    }
    if (step->outcome == BOOT_FLAG_ERROR) {
        (void)printf(": the record begins with %02X", step->flag);
    }
    if (step->complaint == BOOT_SAYS_NO_MAP) {
        (void)printf(": the bootloader refuses the flash map");
    }
    (void)printf("%s%s\n", step->found[0] != '\0' ? ": " : "", step->found);
}

static json_t *step_json(const struct boot_step *step)
{
    const char *name = runs(step);
    return json_pack("{s:o, s:s, s:o, s:o}", "runs", name != NULL ? json_string(name) : json_null(),
                     "outcome", boot_outcome_name(step->outcome), "address",
                     step->address != 0 ? json_hex(step->address, ADDRESS_DIGITS) : json_null(),
                     "found", step->found[0] != '\0' ? json_text(step->found) : json_null());
}

/* The bootloader starts an image of another slot too, and the chip crashes in it. */
static enum espimage_code check_firmware(const struct simulate_flash *f, const struct flash *flash,
                                         struct boot_step *step, struct espimage_error *err)
{
    struct build build;
    if (!boot_outcome_runs(step->outcome)) {
        return ESPIMAGE_OK;
    }
    enum espimage_code code = build_read(flash, step->address, f->map, &build, err);
    if (code == ESPIMAGE_OK && build.trouble[0] != '\0') {
        step->outcome = BOOT_CRASH;
        (void)snprintf(step->found, sizeof step->found, "%s", build.trouble);
    }
    return code;
}

static enum espimage_code reset(const struct simulate_flash *f, struct flash *flash,
                                uint32_t *retries, struct boot_step *step,
                                struct espimage_error *err)
{
    const struct boot_chip chip = {flash, f->boot_version, f->map->code, *retries, false};
    boot_say_settings(&chip, f->mode, f->freq, on_serial, NULL);
    enum espimage_code code = boot_step(&chip, step, err);
    if (code == ESPIMAGE_OK) {
        boot_say_step(&chip, step, on_serial, NULL);
        code = boot_apply(step, flash, err);
    }
    if (code == ESPIMAGE_OK) {
        code = check_firmware(f, flash, step, err);
    }
    *retries = step->retries;
    return code;
}

static int report(const struct simulate_flash *f, json_t *list, int status, bool json)
{
    if (!json) {
        json_decref(list);
        return status;
    }
    json_t *document = json_document("simulate");
    (void)json_object_set_new(document, "flash_map", json_string(f->map->name));
    (void)json_object_set_new(document, "boot_version",
                              json_string(espimage_boot_version_name(f->boot_version)));
    (void)json_object_set_new(document, "resets", list);
    return json_print(document, status);
}

static enum espimage_code open_flash(struct simulate_flash *f, struct flash *flash,
                                     struct espimage_error *err)
{
    enum espimage_code code = simulate_flash_find(f, err);
    if (code == ESPIMAGE_OK && f->assumed) {
        (void)fprintf(stderr,
                      PROGRAM ": warning: the bootloader in the flash does not name its version: "
                              "taken for boot %s; --boot-version chooses another\n",
                      espimage_boot_version_name(f->boot_version));
    }
    return code == ESPIMAGE_OK ? simulate_flash_open(f, 0, flash, err) : code;
}

int simulate_resets(struct simulate_flash *f, uint32_t count, bool json)
{
    static struct boot_step step;
    struct flash flash = {.fd = -1};
    struct espimage_error err;
    uint32_t retries = 0;
    enum espimage_code code = open_flash(f, &flash, &err);
    json_t *list = json_array();
    for (uint32_t i = 1; i <= count && code == ESPIMAGE_OK; i++) {
        code = reset(f, &flash, &retries, &step, &err);
        if (code == ESPIMAGE_OK && json) {
            (void)json_array_append_new(list, step_json(&step));
        } else if (code == ESPIMAGE_OK) {
            print_line(i, &step);
        }
    }
    flash_file_close(&flash);
    if (code != ESPIMAGE_OK) {
        json_decref(list);
        return print_error(&err);
    }
    return report(f, list, boot_outcome_runs(step.outcome) ? 0 : EXIT_NOT_ALL, json);
}
