/* SPDX-License-Identifier: MIT */
/* What the second-stage bootloader does, in its words; written from the observed behaviour of
 * Espressif's 1.6 and 1.7. Older ones differ only in what libespimage knows of them. */
#include "rom.h"

#include <espimage/flash.h>
#include <espimage/parameters.h>

#include "image/image_format.h"

#define KB        1024u
#define MAP_512KB 0

/* Boot 1.7 counts how often it has tried a slot: in memory that a reset does not clear. */
#define RETRIES     ((volatile uint32_t *)0x600011DC)
#define RETRY_MARK  0x5A5A5A00u
#define MAX_RETRIES 3

struct boot {
    enum espimage_boot_version version;
    const struct espimage_flash_map *map;
    struct espimage_parameters parameters;
};

/* What became of a slot or an address. */
enum attempt { NO_IMAGE, CRASHES };

static enum espimage_boot_version find_version(void)
{
    enum espimage_boot_version version = (enum espimage_boot_version)settings->boot_version;

    if (version == ESPIMAGE_BOOT_UNKNOWN && flash_holds(0, ESPIMAGE_SECTOR)) {
        version = espimage_boot_version(flash_at(0), ESPIMAGE_SECTOR);
    }
    return version == ESPIMAGE_BOOT_UNKNOWN ? ESPIMAGE_BOOT_1_6 : version;
}

static const struct espimage_flash_map *find_map(enum espimage_boot_version version)
{
    uint32_t code = settings->map_code;

    if (code == MAP_FROM_HEADER) {
        if (!flash_holds(0, HEADER_SIZE) || *flash_at(0) != MAGIC_V1) {
            rom_printf("stand-in: no header at flash address 0 that tells the flash map\n");
            leave(STATUS_BAD_FLASH);
        }
        code = MAP_CODE(flash_at(0)[HEADER_SIZE_FREQ]);
    }
    switch (espimage_boot_map(version, (uint8_t)code)) {
    case ESPIMAGE_BOOT_MAP_AS_512KB: code = MAP_512KB; break;
    case ESPIMAGE_BOOT_MAP_REFUSED:
        rom_printf("flash map not support\n");
        leave(STATUS_BOOT_FAILED);
    default: break;
    }
    const struct espimage_flash_map *map = espimage_flash_map_by_code((uint8_t)code);
    if (map == NULL || map->half == 0) {
        rom_printf("stand-in: flash map %u has no slots\n", code);
        leave(STATUS_BAD_FLASH);
    }
    if (map->flash_size > settings->flash_size) {
        rom_printf("stand-in: flash map %s is for %u KB, the flash has %u KB\n", map->name,
                   map->flash_size / KB, settings->flash_size / KB);
        leave(STATUS_BAD_FLASH);
    }
    return map;
}

/* ---- parameters ---- */

static void read_parameters(struct boot *boot)
{
    uint32_t at = espimage_parameters_address(boot->map->flash_size);

    espimage_parameters_parse(flash_at(at), &boot->parameters);
}

/* The copy that counts, with another head, becomes the other copy, which counts then. */
static void put_record(struct boot *boot, const uint8_t head[ESPIMAGE_RECORD_HEAD])
{
    uint32_t at = espimage_parameters_address(boot->map->flash_size);
    bool to_b = boot->parameters.current == ESPIMAGE_COPY_A;
    uint32_t from = at + ESPIMAGE_COPY_OFFSET(boot->parameters.current);
    uint32_t to = at + ESPIMAGE_COPY_OFFSET(to_b ? ESPIMAGE_COPY_B : ESPIMAGE_COPY_A);
    uint32_t selector = at + ESPIMAGE_SELECTOR_OFFSET;
    const uint8_t choice[] = {to_b ? 1 : 0, 0xFF, 0xFF, 0xFF};

    spi_erase_sector(to / ESPIMAGE_SECTOR);
    spi_write(to, head, ESPIMAGE_RECORD_HEAD);
    spi_write(to + ESPIMAGE_RECORD_HEAD, flash_at(from + ESPIMAGE_RECORD_HEAD),
              ESPIMAGE_SECTOR - ESPIMAGE_RECORD_HEAD);
    spi_erase_sector(selector / ESPIMAGE_SECTOR);
    spi_write(selector, choice, sizeof choice);
    read_parameters(boot);
}

static void copy_head(const struct boot *boot, uint8_t head[ESPIMAGE_RECORD_HEAD])
{
    memcpy(head, espimage_record_current(&boot->parameters)->head, ESPIMAGE_RECORD_HEAD);
}

static void initialise_record(struct boot *boot)
{
    uint8_t head[ESPIMAGE_RECORD_HEAD];

    copy_head(boot, head);
    espimage_record_initialise(boot->version, head);
    put_record(boot, head);
}

static void mark_failed(struct boot *boot)
{
    uint8_t head[ESPIMAGE_RECORD_HEAD];

    copy_head(boot, head);
    espimage_record_set_failed(head);
    put_record(boot, head);
}

/* ---- images ---- */

/* Finds the header of the RAM segments. The new layout begins with a header and the irom part,
 * which is not checked; the old one with the header of the segments. */
static bool find_segments(const struct boot *boot, uint32_t at, uint32_t *segments)
{
    const uint8_t *header = flash_at(at);

    *segments = at;
    if (header[HEADER_MAGIC] == MAGIC_V1) {
        return true;
    }
    if (header[HEADER_MAGIC] != MAGIC_V2 || header[HEADER_COUNT] != SECOND_BYTE ||
        !espimage_boot_takes_v2(boot->version)) {
        rom_printf("error magic!\n");
        return false;
    }
    uint32_t size = flash_u32(at + HEADER_SIZE + 4);
    *segments = at + IROM_OFFSET + size;
    return flash_holds(at + IROM_OFFSET, size);
}

/* Returns only when nothing runs. */
static enum attempt try_image(const struct boot *boot, uint32_t at, uint32_t megabyte)
{
    struct program program;
    uint32_t segments;

    if (!flash_holds(at, 2 * HEADER_SIZE) || !find_segments(boot, at, &segments)) {
        return NO_IMAGE;
    }
    switch (load_segments(segments, &program)) {
    case LOAD_NO_HEADER: return NO_IMAGE;
    case LOAD_BROKEN: return program.covers_bootloader ? CRASHES : NO_IMAGE;
    case LOADED: break;
    }
    window_show(megabyte);
    enter(program.entry);
}

static void crash(void)
{
    rom_printf(
        "\nstand-in: these segments have replaced the bootloader, which crashes here at every "
        "reset\n");
    leave(STATUS_FAULT);
}

/* ---- what follows ---- */

static void reset(void)
{
    rom_printf("stand-in: reset\n\n");
    rom_start();
}

/* Boot 1.7 resets three times to try the same slot. */
static void retry(const struct boot *boot, const char *which)
{
    uint32_t count = *RETRIES;
    uint32_t done = (count & ~0xFFu) == RETRY_MARK ? count & 0xFF : 0;

    if (boot->version < ESPIMAGE_BOOT_1_7 || done >= MAX_RETRIES) {
        *RETRIES = 0;
        return;
    }
    *RETRIES = RETRY_MARK | (done + 1);
    rom_printf("%s boot failed %x, reboot to try this bin again\n\n", which, count);
    reset();
}

static void boot_slot(struct boot *boot, uint32_t slot, bool fallback)
{
    uint32_t at = boot->map->slot[slot - 1];
    bool windowed = espimage_flash_map_is_windowed(boot->map);

    rom_printf("jump to run user%u @ %x\n\n", slot, at);
    if (try_image(boot, at, windowed ? at / boot->map->half : 0) == CRASHES) {
        crash();
    }
    bool last = fallback || !espimage_boot_falls_back(boot->version, (uint8_t)slot);
    retry(boot, last ? "backup" : "first");
    if (last) {
        rom_printf("backup boot failed.\n");
        leave(STATUS_BOOT_FAILED);
    }
    mark_failed(boot);
    rom_printf("first boot failed, reboot to try backup bin\n\n");
    reset();
}

void boot(void)
{
    struct boot boot = {.version = find_version()};

    rom_printf("\n2nd boot version : %s (stand-in of espimagetool)\n",
               espimage_boot_version_name(boot.version));
    boot.map = find_map(boot.version);
    rom_printf("  SPI Flash Size & Map: %s (%uKB+%uKB)\n", boot.map->name, boot.map->half / KB,
               boot.map->half / KB);
    if (espimage_boot_map(boot.version, boot.map->code) == ESPIMAGE_BOOT_MAP_STAYS_IN_USER1) {
        boot_slot(&boot, 1, true);
    }
    read_parameters(&boot);
    struct espimage_boot_choice choice =
        espimage_boot_choose(boot.version, espimage_record_current(&boot.parameters));
    if (choice.initialises) {
        initialise_record(&boot);
    }
    switch (choice.target) {
    case ESPIMAGE_BOOT_SLOT: boot_slot(&boot, choice.slot, choice.fallback); break;
    case ESPIMAGE_BOOT_AT_ADDRESS:
        rom_printf("jump to run bin @ %x\n\n", choice.address);
        if (try_image(&boot, choice.address, 0) == CRASHES) {
            crash();
        }
        break;
    case ESPIMAGE_BOOT_FLAG_ERROR:
        rom_printf("jump to run usererror user bin flag%s = %x\n",
                   boot.version < ESPIMAGE_BOOT_1_7 ? ", flag" : "",
                   espimage_record_current(&boot.parameters)->chosen);
        break;
    }
    leave(STATUS_BOOT_FAILED);
}
