/* SPDX-License-Identifier: MIT */
#include "device/boot.h"

#include "base/error.h"
#include "image/boot_image.h"
#include "image/image_format.h"

#include <string.h>

/* The counter of boot 1.7: a mark, and in the low byte how often it has retried. A word without the
 * mark means 0, and so does the one that it leaves with a fallback. */
#define RETRY_MARK     UINT32_C(0x5A5A5A00)
#define RETRY_COUNT    UINT32_C(0xFF)
#define RETRIES_MOST   3
#define RETRIES_NONE   UINT32_C(0x12345678)
#define READ_LIMIT     UINT32_C(0x400000)
#define SMALLEST_MAP   0 /* for which bootloaders take a map that they do not know */
#define CODE_256KB     1
#define SIZE_256KB     UINT32_C(0x40000)
#define USER2_OF_256KB UINT32_C(0x21000)
#define SLOT_1         UINT32_C(0x1000)

const char *boot_outcome_name(enum boot_outcome outcome)
{
    static const char *const names[] = {"runs", "fallback-set", "retry", "crash",
                                        "dead", "flag-error",   "test",  "enhance"};
    return names[outcome];
}

bool boot_outcome_runs(enum boot_outcome outcome)
{
    return outcome == BOOT_RUNS || outcome == BOOT_TEST || outcome == BOOT_ENHANCE;
}

/* ---- the flash as a bootloader takes it ---- */

/* Codes that no map has count as 512 KB everywhere. */
static const struct espimage_flash_map *map_of(enum espimage_boot_version version, uint8_t map_code)
{
    const struct espimage_flash_map *map = espimage_flash_map_by_code(map_code);
    bool known = map != NULL && espimage_boot_map(version, map_code) != ESPIMAGE_BOOT_MAP_AS_512KB;
    return known ? map : espimage_flash_map_by_code(SMALLEST_MAP);
}

uint32_t boot_flash_size(enum espimage_boot_version version, uint8_t map_code)
{
    return map_of(version, map_code)->flash_size;
}

uint32_t boot_slot_address(enum espimage_boot_version version, uint8_t map_code, uint8_t slot)
{
    const struct espimage_flash_map *map = map_of(version, map_code);
    if (slot == 1) {
        return SLOT_1;
    }
    if (map->code == CODE_256KB) {
        return version < ESPIMAGE_BOOT_1_7 ? USER2_OF_256KB
                                           : espimage_flash_map_by_code(SMALLEST_MAP)->slot[1];
    }
    return map->slot[1];
}

/* ---- one reset ---- */

struct reset {
    const struct boot_chip *chip;
    struct boot_step *step;
    struct espimage_error *err;
    uint32_t parameters;                       /* address of the three sectors */
    uint8_t sectors[ESPIMAGE_PARAMETERS_SIZE]; /* as they are after the changes so far */
};

static enum espimage_copy current_copy(const struct reset *r)
{
    return r->sectors[ESPIMAGE_SELECTOR_OFFSET] == 0 ? ESPIMAGE_COPY_A : ESPIMAGE_COPY_B;
}

static void add_change(struct boot_step *step, enum flash_change change, uint32_t address,
                       const uint8_t *bytes, uint32_t size)
{
    step->changes[step->change_count++] = (struct boot_change){change, address, size, bytes};
}

/* The record goes to the copy that does not count, then the selector is changed: while it is
 * erased, copy B counts. */
static void save(struct reset *r, const uint8_t head[ESPIMAGE_RECORD_HEAD])
{
    struct boot_save *s = &r->step->saves[r->step->save_count++];
    enum espimage_copy from = current_copy(r);
    enum espimage_copy to = from == ESPIMAGE_COPY_A ? ESPIMAGE_COPY_B : ESPIMAGE_COPY_A;
    uint8_t *selector = r->sectors + ESPIMAGE_SELECTOR_OFFSET;
    uint32_t selector_at = r->parameters + ESPIMAGE_SELECTOR_OFFSET;
    uint32_t record_at = r->parameters + ESPIMAGE_COPY_OFFSET(to);

    memcpy(s->record, r->sectors + ESPIMAGE_COPY_OFFSET(from), sizeof s->record);
    memcpy(s->record, head, ESPIMAGE_RECORD_HEAD);
    memcpy(s->selector, selector, sizeof s->selector);
    s->selector[0] = (uint8_t)to;
    add_change(r->step, FLASH_ERASE, record_at, NULL, 0);
    add_change(r->step, FLASH_WRITE, record_at, s->record, sizeof s->record);
    add_change(r->step, FLASH_ERASE, selector_at, NULL, 0);
    add_change(r->step, FLASH_WRITE, selector_at, s->selector, sizeof s->selector);

    memcpy(r->sectors + ESPIMAGE_COPY_OFFSET(to), s->record, sizeof s->record);
    memset(selector, 0xFF, ESPIMAGE_SECTOR);
    memcpy(selector, s->selector, sizeof s->selector);
}

static const uint8_t *current_head(const struct reset *r)
{
    return r->sectors + ESPIMAGE_COPY_OFFSET(current_copy(r));
}

static void choose(struct reset *r)
{
    struct espimage_record record;
    uint8_t head[ESPIMAGE_RECORD_HEAD];
    espimage_record_parse(current_head(r), &record);
    r->step->choice = espimage_boot_choose(r->chip->version, &record);
    if (r->step->choice.initialises) {
        memcpy(head, record.head, sizeof head);
        espimage_record_initialise(r->chip->version, head);
        save(r, head);
    }
    r->step->flag = current_head(r)[0];
}

/* The chosen target has no image, and the bootloader is intact. */
static void fail(struct reset *r)
{
    struct boot_step *step = r->step;
    uint8_t head[ESPIMAGE_RECORD_HEAD];
    struct espimage_record record;
    uint32_t tried = (step->retries & RETRY_MARK) == RETRY_MARK ? step->retries & RETRY_COUNT : 0;
    bool counts = r->chip->version == ESPIMAGE_BOOT_1_7;
    bool handled = r->chip->version >= ESPIMAGE_BOOT_1_3 && step->choice.mode != ESPIMAGE_BOOT_TEST;

    memcpy(head, current_head(r), sizeof head);
    espimage_record_parse(head, &record);
    step->failed_before = handled && record.failed;
    if (handled && counts && tried < RETRIES_MOST) {
        step->outcome = BOOT_RETRY;
        step->retries = RETRY_MARK | (tried + 1);
    } else if (handled && !record.failed) {
        step->outcome = BOOT_FALLBACK_SET;
        step->retries = counts ? RETRIES_NONE : step->retries;
        espimage_record_set_failed(head);
        save(r, head);
    } else {
        step->outcome = BOOT_DEAD;
    }
}

static enum boot_outcome outcome_of(const struct espimage_boot_choice *choice)
{
    switch (choice->mode) {
    case ESPIMAGE_BOOT_TEST: return BOOT_TEST;
    case ESPIMAGE_BOOT_ENHANCE: return BOOT_ENHANCE;
    case ESPIMAGE_BOOT_NORMAL: break;
    }
    return BOOT_RUNS;
}

static enum espimage_code read_flash(const void *context, uint32_t address, uint8_t *to,
                                     size_t size, struct espimage_error *err)
{
    return flash_read(context, address, to, size, err);
}

static enum espimage_code load(struct reset *r)
{
    struct boot_step *step = r->step;
    const struct boot_source source = {read_flash, r->chip->flash, r->chip->flash->size};
    enum boot_image image = BOOT_IMAGE_RUNS;
    enum espimage_code code = boot_image_judge(&source, r->chip->version, step->address, &image,
                                               step->found, sizeof step->found, r->err);
    if (code != ESPIMAGE_OK) {
        return code;
    }
    switch (image) {
    case BOOT_IMAGE_RUNS: step->outcome = outcome_of(&step->choice); break;
    case BOOT_IMAGE_CRASHES: step->outcome = BOOT_CRASH; break;
    case BOOT_IMAGE_NO_MAGIC:
        step->complaint = BOOT_SAYS_MAGIC;
        fail(r);
        break;
    case BOOT_IMAGE_NOT_LOADED: fail(r); break;
    }
    return ESPIMAGE_OK;
}

static uint8_t slot_at(const struct boot_chip *chip, uint32_t address)
{
    for (uint8_t slot = 1; slot <= 2; slot++) {
        if (boot_slot_address(chip->version, chip->map_code, slot) == address) {
            return slot;
        }
    }
    return 0;
}

static enum espimage_code go_on(struct reset *r)
{
    struct boot_step *step = r->step;
    const struct boot_chip *chip = r->chip;
    switch (step->choice.target) {
    case ESPIMAGE_BOOT_FLAG_ERROR: step->outcome = BOOT_FLAG_ERROR; return ESPIMAGE_OK;
    case ESPIMAGE_BOOT_SLOT:
        step->slot = step->choice.slot;
        step->address = boot_slot_address(chip->version, chip->map_code, step->slot);
        break;
    case ESPIMAGE_BOOT_AT_ADDRESS:
        step->address = step->choice.address;
        step->slot = slot_at(chip, step->address);
        break;
    }
    return load(r);
}

/* The ROM of a chip does not read the parameters: user1 is what is left, and nothing is written. */
static void choose_blindly(struct boot_step *step)
{
    step->choice = (struct espimage_boot_choice){.target = ESPIMAGE_BOOT_SLOT, .slot = 1};
}

enum espimage_code boot_step(const struct boot_chip *chip, struct boot_step *out,
                             struct espimage_error *err)
{
    struct reset r = {.chip = chip, .step = out, .err = err};
    memset(out, 0, sizeof *out);
    out->retries_before = chip->retries;
    out->retries = chip->retries;
    if (espimage_boot_map(chip->version, chip->map_code) == ESPIMAGE_BOOT_MAP_REFUSED) {
        out->outcome = BOOT_DEAD;
        out->complaint = BOOT_SAYS_NO_MAP;
        return ESPIMAGE_OK;
    }
    r.parameters = espimage_parameters_address(boot_flash_size(chip->version, chip->map_code));
    if (r.parameters >= READ_LIMIT && !chip->reads_beyond_4mb) {
        choose_blindly(out);
    } else {
        enum espimage_code code =
            flash_read(chip->flash, r.parameters, r.sectors, sizeof r.sectors, err);
        if (code != ESPIMAGE_OK) {
            return code;
        }
        choose(&r);
    }
    return go_on(&r);
}

enum espimage_code boot_apply(const struct boot_step *step, struct flash *flash,
                              struct espimage_error *err)
{
    enum espimage_code code = ESPIMAGE_OK;
    for (size_t i = 0; i < step->change_count && code == ESPIMAGE_OK; i++) {
        const struct boot_change *c = &step->changes[i];
        code = c->change == FLASH_ERASE ? flash_erase(flash, c->address, err)
                                        : flash_write(flash, c->address, c->bytes, c->size, err);
    }
    return code;
}
