/* SPDX-License-Identifier: MIT */
#include "cli/factory_commands.h"

#include "cli/paths.h"

#include <stdio.h>
#include <string.h>

static const struct factory_source *source_of(const struct factory_inputs *in,
                                              const struct espimage_flash_content *content)
{
    for (size_t i = 0; i < in->source_count; i++) {
        const struct factory_source *s = &in->sources[i];
        if (s->elf.firmware != NULL && content->bytes == s->image.data) {
            return s;
        }
    }
    return NULL;
}

static const struct factory_source *first_elf(const struct factory_inputs *in)
{
    for (size_t i = 0; i < in->source_count; i++) {
        if (in->sources[i].elf.firmware != NULL) {
            return &in->sources[i];
        }
    }
    return NULL;
}

enum espimage_code factory_part_file(const struct factory_inputs *in,
                                     const struct espimage_flash_plan *plan, size_t index,
                                     char path[PATH_MAX], struct espimage_error *err)
{
    const struct espimage_flash_content *content = &plan->contents[index];
    bool boot = plan->parts[index].kind == ESPIMAGE_PART_BOOT;
    const struct factory_source *elf = boot ? first_elf(in) : source_of(in, content);
    if (elf == NULL) {
        return path_join(path, "", content->name, err);
    }
    return path_of_image(path, NULL, elf->path, boot ? "boot" : plan->parts[index].name, err);
}

static void add_word(json_t *line, const char *word)
{
    (void)json_array_append_new(line, json_text(word));
}

static void add_settings(json_t *line, const struct factory_inputs *in, char between)
{
    char option[16];
    const char *const names[] = {"mode", "freq", "size"};
    const char *const values[] = {espimage_flash_mode_by_code(in->flash.mode)->name,
                                  espimage_flash_freq_by_code(in->flash.freq)->name,
                                  in->contents.map->name};
    for (size_t i = 0; i < 3; i++) {
        (void)snprintf(option, sizeof option, "--flash%c%s", between, names[i]);
        add_word(line, option);
        add_word(line, values[i]);
    }
}

/* espimagetool convert ..., or NULL when there is no ELF. */
static json_t *convert_command(const struct factory_inputs *in)
{
    if (first_elf(in) == NULL) {
        return NULL;
    }
    json_t *line = json_pack("[s, s]", PROGRAM, "convert");
    add_settings(line, in, '-');
    if (in->profile != ESPIMAGE_PROFILE_SDK) {
        add_word(line, "--profile");
        add_word(line, espimage_profile_name(in->profile));
    }
    add_word(line, "--boot");
    add_word(line, in->boot_path);
    for (size_t i = 0; i < in->source_count; i++) {
        bool again = i > 0 && strcmp(in->sources[i].path, in->sources[0].path) == 0;
        if (in->sources[i].elf.firmware != NULL && !again) {
            add_word(line, in->sources[i].path);
        }
    }
    return line;
}

/* Blank sectors are erased rather than written: esptool.py needs no file for that. Init data that
 * were not given, and a slot, stay as they are on the chip. */
static json_t *erase_command(const struct espimage_part *part)
{
    char address[16];
    char size[16];
    (void)snprintf(address, sizeof address, "0x%05X", part->address);
    (void)snprintf(size, sizeof size, "0x%X", part->size);
    return json_pack("[s, s, s, s]", "esptool.py", "erase_region", address, size);
}

static enum espimage_code write_command(const struct factory_inputs *in,
                                        const struct espimage_flash_plan *plan, json_t *line,
                                        struct espimage_error *err)
{
    add_settings(line, in, '_');
    for (size_t i = 0; i < plan->part_count; i++) {
        char path[PATH_MAX];
        char address[16];
        if (plan->contents[i].bytes == NULL) {
            continue;
        }
        if (factory_part_file(in, plan, i, path, err) != ESPIMAGE_OK) {
            return err->code;
        }
        (void)snprintf(address, sizeof address, "0x%05X", plan->parts[i].address);
        add_word(line, address);
        add_word(line, path);
    }
    return ESPIMAGE_OK;
}

enum espimage_code factory_commands_make(const struct factory_inputs *in,
                                         const struct espimage_flash_plan *plan, json_t *lines,
                                         struct espimage_error *err)
{
    json_t *convert = convert_command(in);
    if (convert != NULL) {
        (void)json_array_append_new(lines, convert);
    }
    for (size_t i = 0; i < plan->part_count; i++) {
        enum espimage_part_kind kind = plan->parts[i].kind;
        if (kind == ESPIMAGE_PART_RF_CAL || kind == ESPIMAGE_PART_PARAMETERS) {
            (void)json_array_append_new(lines, erase_command(&plan->parts[i]));
        }
    }
    json_t *write = json_pack("[s, s]", "esptool.py", "write_flash");
    (void)json_array_append_new(lines, write);
    return write_command(in, plan, write, err);
}

static void print_word(const char *word)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                "0123456789_./:=,+@%-";
    struct shown text = shown(word);
    if (text.text[0] != '\0' && strspn(text.text, plain) == strlen(text.text)) {
        (void)printf(" %s", text.text);
        return;
    }
    (void)printf(" '");
    for (const char *c = text.text; *c != '\0'; c++) {
        (void)printf(*c == '\'' ? "'\\''" : "%c", *c);
    }
    (void)printf("'");
}

void factory_commands_print(const json_t *lines)
{
    (void)printf("Commands that do the same with a chip; the rest of its flash stays as it is:\n");
    for (size_t i = 0; i < json_array_size(lines); i++) {
        const json_t *line = json_array_get(lines, i);
        (void)printf(" ");
        for (size_t w = 0; w < json_array_size(line); w++) {
            print_word(json_string_value(json_array_get(line, w)));
        }
        (void)printf("\n");
    }
    (void)printf("erase_region makes the bootloader choose user1, and the device forget what the "
                 "SDK\nhas stored, such as Wi-Fi settings.\n");
}
