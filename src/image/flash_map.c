/* SPDX-License-Identifier: MIT */
/* The flash maps and the flash settings: the only home of these numbers and names. */
#include <espimage/flash.h>

#include "base/text.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define KB           UINT32_C(1024)
#define MB           (1024 * KB)

/* Slot limits: what the upgrade library accepts, 58, 122 and 250 sectors. irom limits: the length
 * of irom0_0_seg in the linker scripts. */
#define MAP_256_256(code, name, legacy, size, remark)                                              \
    {                                                                                              \
        code, name, legacy, size, 256 * KB, {0x1000, 0x41000}, 0x3A000, 0x2B000,                   \
            {0x40201010, 0x40241010},                                                              \
            {"eagle.app.v6.new.512.app1.ld", "eagle.app.v6.new.512.app2.ld"}, remark               \
    }
#define MAP_512_512(code, name, legacy, size, remark)                                              \
    {                                                                                              \
        code, name, legacy, size, 512 * KB, {0x1000, 0x81000}, 0x7A000, 0x6B000,                   \
            {0x40201010, 0x40281010},                                                              \
            {"eagle.app.v6.new.1024.app1.ld", "eagle.app.v6.new.1024.app2.ld"}, remark             \
    }
#define MAP_1024_1024(code, name, legacy, size, remark)                                            \
    {                                                                                              \
        code, name, legacy, size, 1024 * KB, {0x1000, 0x101000}, 0xFA000, 0xE0000,                 \
            {0x40201010, 0x40201010}, {"eagle.app.v6.new.2048.ld", "eagle.app.v6.new.2048.ld"},    \
            remark                                                                                 \
    }

static const char stays_in_user1[] =
    "users report that boot 1.7 never leaves user1 with this map; declare the chip as 2MB-c1";

/* Code 7 (4MB-c2, 2048+2048) is left out: no released bootloader runs it. */
static const struct espimage_flash_map maps[] = {
    MAP_256_256(0, "512KB", "4m", 512 * KB, NULL),
    {1, "256KB", "2m", 256 * KB, 0, {0, 0}, 0, 0, {0, 0}, {NULL, NULL}, NULL},
    MAP_512_512(2, "1MB", "8m", 1 * MB, NULL),
    MAP_512_512(3, "2MB", "16m", 2 * MB, NULL),
    MAP_512_512(4, "4MB", "32m", 4 * MB, NULL),
    MAP_1024_1024(5, "2MB-c1", "16m-c1", 2 * MB, NULL),
    MAP_1024_1024(6, "4MB-c1", "32m-c1", 4 * MB, NULL),
    MAP_1024_1024(8, "8MB", NULL, 8 * MB, stays_in_user1),
    MAP_1024_1024(9, "16MB", NULL, 16 * MB, stays_in_user1),
};

static const struct espimage_flash_setting modes[] = {
    {0, "qio", "quad I/O"},
    {1, "qout", "quad output"},
    {2, "dio", "dual I/O"},
    {3, "dout", "dual output"},
};

static const struct espimage_flash_setting freqs[] = {
    {0x0, "40m", "40 MHz"},
    {0x1, "26m", "26.7 MHz"},
    {0x2, "20m", "20 MHz"},
    {0xF, "80m", "80 MHz"},
};

size_t espimage_flash_map_count(void)
{
    return COUNT(maps);
}

const struct espimage_flash_map *espimage_flash_map_at(size_t index)
{
    return &maps[index];
}

uint32_t espimage_update_limit(uint32_t partition)
{
    uint32_t sectors = partition / ESPIMAGE_SECTOR;
    return (sectors < ESPIMAGE_UPDATE_SECTORS ? sectors : ESPIMAGE_UPDATE_SECTORS) *
           ESPIMAGE_SECTOR;
}

const struct espimage_flash_map *espimage_flash_map_by_code(uint8_t code)
{
    for (size_t i = 0; i < COUNT(maps); i++) {
        if (maps[i].code == code) {
            return &maps[i];
        }
    }
    return NULL;
}

const struct espimage_flash_map *espimage_flash_map_by_name(const char *name)
{
    for (size_t i = 0; i < COUNT(maps); i++) {
        if (text_same(maps[i].name, name) ||
            (maps[i].legacy_name != NULL && text_same(maps[i].legacy_name, name))) {
            return &maps[i];
        }
    }
    return NULL;
}

bool espimage_flash_map_is_windowed(const struct espimage_flash_map *map)
{
    return map->half != 0 && map->link[0] == map->link[1];
}

static const struct espimage_flash_setting *by_code(const struct espimage_flash_setting *settings,
                                                    size_t count, uint8_t code)
{
    for (size_t i = 0; i < count; i++) {
        if (settings[i].code == code) {
            return &settings[i];
        }
    }
    return NULL;
}

static const struct espimage_flash_setting *by_name(const struct espimage_flash_setting *settings,
                                                    size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (text_same(settings[i].name, name)) {
            return &settings[i];
        }
    }
    return NULL;
}

size_t espimage_flash_mode_count(void)
{
    return COUNT(modes);
}

const struct espimage_flash_setting *espimage_flash_mode_at(size_t index)
{
    return &modes[index];
}

const struct espimage_flash_setting *espimage_flash_mode_by_code(uint8_t code)
{
    return by_code(modes, COUNT(modes), code);
}

const struct espimage_flash_setting *espimage_flash_mode_by_name(const char *name)
{
    return by_name(modes, COUNT(modes), name);
}

size_t espimage_flash_freq_count(void)
{
    return COUNT(freqs);
}

const struct espimage_flash_setting *espimage_flash_freq_at(size_t index)
{
    return &freqs[index];
}

const struct espimage_flash_setting *espimage_flash_freq_by_code(uint8_t code)
{
    return by_code(freqs, COUNT(freqs), code);
}

const struct espimage_flash_setting *espimage_flash_freq_by_name(const char *name)
{
    return by_name(freqs, COUNT(freqs), name);
}
