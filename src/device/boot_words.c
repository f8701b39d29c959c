/* SPDX-License-Identifier: MIT */
/* The words of 1.2, 1.6 and 1.7 are those of Espressif's binaries; 1.1 is taken to speak as 1.2
 * does, and 1.3 to 1.5 as 1.6 does. */
#include "device/boot_words.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define KILOBYTE 1024U
#define MEGABIT  (KILOBYTE * KILOBYTE / 8)
#define NIBBLE   0x0F
#define CHOSEN   0x03

struct words {
    enum espimage_boot_version from; /* the first version that speaks so */
    const char *version;             /* behind the number */
    const char *speed;
    const char *mode;
    const char *size;
    bool size_with_map;
    bool says_address;
    const char *no_magic;
    const char *flag_error; /* before the value */
    uint8_t flag_mask;
};

static const struct words all_words[] = {
    {ESPIMAGE_BOOT_1_7, "(5d6f877)", "SPI Speed : ", "SPI Mode : ", "SPI Flash Size & Map: ", true,
     true, "error magic!", "error user bin flag = ", CHOSEN},
    {ESPIMAGE_BOOT_1_3, "",
     "  SPI Speed      : ", "  SPI Mode       : ", "  SPI Flash Size & Map: ", true, true,
     "error magic!", "error user bin flag, flag = ", CHOSEN},
    {ESPIMAGE_BOOT_1_1, "", "  SPI Speed      : ", "  SPI Mode       : ", "  SPI Flash Size : ",
     false, false, "get flash_addr error!", "error user bin flag, flag = ", NIBBLE},
};

static const struct words *words_of(enum espimage_boot_version version)
{
    const struct words *w = all_words;
    while (version < w->from) {
        w++;
    }
    return w;
}

struct port {
    boot_say *say;
    void *context;
};

static void print(const struct port *port, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void print(const struct port *port, const char *format, ...)
{
    char line[128];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(line, sizeof line, format, args);
    va_end(args);
    port->say(port->context, line);
}

/* ---- settings ---- */

static void print_speed(const struct port *port, const struct words *w, uint8_t freq_code)
{
    static const char *const speeds[] = {"40MHz", "26.7MHz", "20MHz"};
    bool fast = freq_code >= sizeof speeds / sizeof speeds[0];
    print(port, "%s%s", w->speed, fast ? "80MHz" : speeds[freq_code]);
}

static void print_mode(const struct port *port, const struct words *w, uint8_t mode_code)
{
    const struct espimage_flash_setting *mode = espimage_flash_mode_by_code(mode_code);
    char upper[8] = "";
    for (size_t i = 0; mode != NULL && mode->name[i] != '\0' && i + 1 < sizeof upper; i++) {
        upper[i] = (char)toupper((unsigned char)mode->name[i]);
    }
    print(port, "%s%s", w->mode, upper);
}

static void print_size(const struct port *port, const struct words *w, const struct boot_chip *chip)
{
    const struct espimage_flash_map *map = espimage_flash_map_by_code(chip->map_code);
    uint32_t megabit = boot_flash_size(chip->version, chip->map_code) / MEGABIT;
    bool known = map != NULL && map->flash_size / MEGABIT == megabit && map->half != 0;
    if (known && w->size_with_map) {
        print(port, "%s%uMbit(%uKB+%uKB)", w->size, megabit, map->half / KILOBYTE,
              map->half / KILOBYTE);
    } else {
        print(port, "%s%uMbit", w->size, megabit);
    }
}

void boot_say_settings(const struct boot_chip *chip, uint8_t flash_mode, uint8_t flash_freq,
                       boot_say *say, void *context)
{
    const struct port port = {say, context};
    const struct words *w = words_of(chip->version);
    print(&port, "2nd boot version : %s%s", espimage_boot_version_name(chip->version), w->version);
    print_speed(&port, w, flash_freq);
    print_mode(&port, w, flash_mode);
    if (espimage_boot_map(chip->version, chip->map_code) != ESPIMAGE_BOOT_MAP_REFUSED) {
        print_size(&port, w, chip);
    }
}

/* ---- a step ---- */

static void print_target(const struct port *port, const struct words *w,
                         const struct boot_step *step)
{
    switch (step->choice.mode) {
    case ESPIMAGE_BOOT_TEST: print(port, "test mode, jump to run bin @ %x", step->address); return;
    case ESPIMAGE_BOOT_ENHANCE:
        print(port, "enhance boot mode, jump to run bin @ %x", step->address);
        return;
    case ESPIMAGE_BOOT_NORMAL: break;
    }
    if (w->says_address) {
        print(port, "jump to run user%u @ %x", step->slot, step->address);
    } else {
        print(port, "jump to run user%u", step->slot);
    }
}

static void print_end(const struct port *port, const struct boot_step *step)
{
    const char *failed = step->failed_before ? "backup boot failed" : "first boot failed";
    switch (step->outcome) {
    case BOOT_FALLBACK_SET: print(port, "first boot failed, reboot to try backup bin"); break;
    case BOOT_RETRY:
        print(port, "%s %x, reboot to try this bin again", failed, step->retries_before);
        break;
    case BOOT_DEAD:
        if (step->failed_before) {
            print(port, "backup boot failed.");
        }
        break;
    default: break;
    }
}

void boot_say_step(const struct boot_chip *chip, const struct boot_step *step, boot_say *say,
                   void *context)
{
    const struct port port = {say, context};
    const struct words *w = words_of(chip->version);
    if (step->complaint == BOOT_SAYS_NO_MAP) {
        print(&port, "flash map not support");
        return;
    }
    if (step->outcome == BOOT_FLAG_ERROR) {
        print(&port, "%s%x", w->flag_error, (unsigned)(step->flag & w->flag_mask));
        return;
    }
    print_target(&port, w, step);
    if (step->complaint == BOOT_SAYS_MAGIC) {
        print(&port, "%s", w->no_magic);
    }
    print_end(&port, step);
}
