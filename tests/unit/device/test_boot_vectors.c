/* SPDX-License-Identifier: MIT */
/* Every recorded case of Espressif's bootloaders 1.1 to 1.7, see tests/data/boot-vectors.tsv. */
#include "support/firmware_builder.h"
#include "support/test.h"

#include "device/boot.h"
#include "device/flash_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEAD 8

struct vector {
    const char *name; /* the line, owned */
    enum espimage_boot_version version;
    uint8_t map_code;
    bool good[2];
    uint8_t selector;
    uint8_t copy[2][HEAD];
    const char *resets; /* in the line */
};

struct device {
    struct flash flash;
    struct boot_chip chip;
    struct espimage_error err;
};

/* The recorder kept RTC memory from case to case, so that the counter of boot 1.7 goes on. */
static uint32_t retries[ESPIMAGE_BOOT_1_7 + 1];

/* ---- the table ---- */

static void parse_hex(const char *hex, uint8_t *bytes)
{
    for (size_t i = 0; i < HEAD; i++) {
        const char pair[] = {hex[2 * i], hex[2 * i + 1], '\0'};
        bytes[i] = (uint8_t)strtoul(pair, NULL, 16);
    }
}

static void parse_line(char *line, struct vector *v)
{
    char *field[8] = {NULL};
    line[strcspn(line, "\n")] = '\0';
    v->name = strdup(line);
    char *rest = line;
    for (size_t i = 0; i < COUNT(field); i++) {
        field[i] = strsep(&rest, "\t");
        assert_non_null(field[i]);
    }
    v->version = espimage_boot_version_by_name(field[0]);
    v->map_code = (uint8_t)strtoul(field[1], NULL, 10);
    v->good[0] = strcmp(field[2], "ok") == 0;
    v->good[1] = strcmp(field[3], "ok") == 0;
    v->selector = (uint8_t)strtoul(field[4], NULL, 16);
    parse_hex(field[5], v->copy[0]);
    parse_hex(field[6], v->copy[1]);
    v->resets = strdup(field[7]);
    assert_true(v->name != NULL && v->resets != NULL);
}

static size_t read_table(struct vector *vectors, size_t room)
{
    char line[512];
    size_t count = 0;
    FILE *file = fopen(VECTORS, "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file) != NULL) {
        if (line[0] != '#') {
            assert_true(count < room);
            parse_line(line, &vectors[count++]);
        }
    }
    (void)fclose(file);
    return count;
}

/* ---- the device ---- */

static void put(struct device *d, uint32_t address, const uint8_t *bytes, size_t size)
{
    assert_ok(flash_write_any(&d->flash, address, bytes, size, &d->err), &d->err);
}

static void put_images(struct device *d, const struct vector *v)
{
    const struct espimage_flash_map *map = espimage_flash_map_by_code(v->map_code);
    static const uint8_t no_magic[] = {0};
    for (uint8_t slot = 0; slot < 2; slot++) {
        struct espimage_build_options options = options_usual();
        espimage_firmware *fw = firmware_tiny(map->link[slot]);
        options.map = map;
        options.app = slot + 1;
        struct espimage_bytes bytes = image(fw, &options);
        put(d, map->slot[slot], bytes.data, bytes.size);
        espimage_bytes_free(&bytes);
        espimage_firmware_free(fw);
        if (!v->good[slot]) {
            put(d, map->slot[slot], no_magic, sizeof no_magic);
        }
    }
}

static void power_up(struct device *d, const struct vector *v)
{
    uint32_t size = espimage_flash_map_by_code(v->map_code)->flash_size;
    uint32_t parameters = espimage_parameters_address(size);
    uint8_t *blank = malloc(size);
    assert_non_null(blank);
    memset(blank, 0xFF, size);
    assert_ok(flash_file_unnamed(blank, size, &d->flash, &d->err), &d->err);
    free(blank);
    put_images(d, v);
    put(d, parameters, v->copy[0], HEAD);
    put(d, parameters + ESPIMAGE_COPY_OFFSET(ESPIMAGE_COPY_B), v->copy[1], HEAD);
    put(d, parameters + ESPIMAGE_SELECTOR_OFFSET, &v->selector, 1);
    d->chip = (struct boot_chip){&d->flash, v->version, v->map_code, retries[v->version], true};
}

/* ---- in the words of the table ---- */

struct text {
    char bytes[600];
    size_t length;
};

static void add(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add(struct text *t, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int length = vsnprintf(t->bytes + t->length, sizeof t->bytes - t->length, format, args);
    va_end(args);
    assert_true(length >= 0 && t->length + (size_t)length < sizeof t->bytes);
    t->length += (size_t)length;
}

static void add_change(struct text *t, const struct device *d, const struct boot_change *c,
                       const char *separator)
{
    uint32_t parameters = espimage_parameters_address(d->flash.size);
    bool selector = c->size == BOOT_SELECTOR_WRITE;
    if (c->address < parameters) {
        add(t, "%s0x%x=", separator, c->address);
    } else {
        add(t, "%s%s=", separator, selector ? "sel" : c->address == parameters ? "A" : "B");
    }
    for (size_t i = 0; i < (selector ? BOOT_SELECTOR_WRITE : HEAD); i++) {
        add(t, "%02x", c->bytes[i]);
    }
}

static void add_changes(struct text *t, const struct device *d, const struct boot_step *step)
{
    const char *separator = "[";
    for (size_t i = 0; i < step->change_count; i++) {
        if (step->changes[i].change == FLASH_WRITE) {
            add_change(t, d, &step->changes[i], separator);
            separator = ",";
        }
    }
    add(t, "%s", step->change_count > 0 ? "]" : "");
}

static void add_step(struct text *t, const struct device *d, const struct boot_step *step)
{
    static const char *const ends[] = {[BOOT_FALLBACK_SET] = ":bad:fallback-set",
                                       [BOOT_RETRY] = ":bad:retry-same",
                                       [BOOT_CRASH] = ":crash",
                                       [BOOT_DEAD] = ":bad:dead",
                                       [BOOT_ENHANCE] = NULL};
    static const char *const modes[] = {"", "test:", "enhance:"};
    add(t, "%s", t->length > 0 ? " > " : "");
    if (step->outcome == BOOT_FLAG_ERROR) {
        add(t, "flag-error");
    } else {
        add(t, "%suser%u", modes[step->choice.mode], step->slot);
    }
    /* The rows of boot 1.1 say only which slot it reads. */
    if (d->chip.version != ESPIMAGE_BOOT_1_1 && ends[step->outcome] != NULL) {
        add(t, "%s", ends[step->outcome]);
    }
    add_changes(t, d, step);
}

static void reset(struct device *d, struct boot_step *step)
{
    assert_ok(boot_step(&d->chip, step, &d->err), &d->err);
    assert_ok(boot_apply(step, &d->flash, &d->err), &d->err);
    d->chip.retries = step->retries;
}

static size_t count_resets(const char *resets)
{
    size_t count = 1;
    for (const char *at = resets; (at = strchr(at, '>')) != NULL; at++) {
        count++;
    }
    return count;
}

static void test_vector(void **state)
{
    const struct vector *v = *state;
    static struct boot_step step;
    struct device d = {0};
    struct text text = {.length = 0};
    power_up(&d, v);
    /* With these maps the recorder left 0x7D000..0x7FFFF as the first of two cases had made it. */
    if (espimage_boot_map(v->version, v->map_code) == ESPIMAGE_BOOT_MAP_AS_512KB &&
        v->selector != 0) {
        reset(&d, &step);
    }
    for (size_t left = count_resets(v->resets); left > 0; left--) {
        reset(&d, &step);
        add_step(&text, &d, &step);
    }
    retries[v->version] = d.chip.retries;
    flash_file_close(&d.flash);
    assert_string_equal(text.bytes, v->resets);
}

int main(void)
{
    static struct vector vectors[512];
    size_t count = read_table(vectors, COUNT(vectors));
    assert_int_equal(count, 432);
    return run_rows("boot vectors", vectors, sizeof vectors[0], count, test_vector);
}
