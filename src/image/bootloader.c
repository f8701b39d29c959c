/* SPDX-License-Identifier: MIT */
/* What is known of Espressif's bootloaders, by version. */
#include <espimage/parameters.h>

#include <string.h>

#define VERSION_TEXT "2nd boot version : 1."
#define FIRST        '1'
#define LAST         '7'

#define CODE_1024_1024 5 /* 5 and 6 */
#define CODE_4MB_C2    7
#define CODE_8MB       8
#define CODE_16MB      9

static const char *const names[] = {"unknown", "1.1", "1.2", "1.3", "1.4", "1.5", "1.6", "1.7"};

static enum espimage_boot_version by_digit(char digit)
{
    return digit >= FIRST && digit <= LAST ? (enum espimage_boot_version)(digit - '0')
                                           : ESPIMAGE_BOOT_UNKNOWN;
}

/* A letter or a bracket may follow, as in 1.4(b1) and 1.7(5d6f877). */
enum espimage_boot_version espimage_boot_version(const uint8_t *bytes, size_t size)
{
    static const char text[] = VERSION_TEXT;
    const size_t length = sizeof text - 1;
    for (size_t at = 0; at + length < size; at++) {
        const uint8_t *p = bytes + at;
        bool longer = at + length + 1 < size && p[length + 1] >= '0' && p[length + 1] <= '9';
        if (memcmp(p, text, length) == 0 && !longer) {
            return by_digit((char)p[length]);
        }
    }
    return ESPIMAGE_BOOT_UNKNOWN;
}

const char *espimage_boot_version_name(enum espimage_boot_version version)
{
    return names[version];
}

enum espimage_boot_version espimage_boot_version_by_name(const char *name)
{
    for (int version = ESPIMAGE_BOOT_1_1; version <= ESPIMAGE_BOOT_1_7; version++) {
        if (strcmp(names[version], name) == 0) {
            return (enum espimage_boot_version)version;
        }
    }
    return ESPIMAGE_BOOT_UNKNOWN;
}

enum espimage_boot_map espimage_boot_map(enum espimage_boot_version version, uint8_t map_code)
{
    if (map_code < CODE_1024_1024) {
        return ESPIMAGE_BOOT_MAP_RIGHT;
    }
    if (version == ESPIMAGE_BOOT_1_7) {
        switch (map_code) {
        case CODE_4MB_C2: return ESPIMAGE_BOOT_MAP_REFUSED;
        case CODE_8MB:
        case CODE_16MB: return ESPIMAGE_BOOT_MAP_STAYS_IN_USER1;
        default: break;
        }
    }
    bool known = version >= ESPIMAGE_BOOT_1_4 && map_code < CODE_4MB_C2;
    return known ? ESPIMAGE_BOOT_MAP_RIGHT : ESPIMAGE_BOOT_MAP_AS_512KB;
}

bool espimage_boot_falls_back(enum espimage_boot_version version, uint8_t slot)
{
    return version >= ESPIMAGE_BOOT_1_5 || (version >= ESPIMAGE_BOOT_1_3 && slot == 2);
}

bool espimage_boot_takes_v2(enum espimage_boot_version version)
{
    return version >= ESPIMAGE_BOOT_1_2;
}
