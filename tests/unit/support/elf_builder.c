/* SPDX-License-Identifier: MIT */
#include "support/elf_builder.h"

#include <stdlib.h>
#include <string.h>

#define A  SHF_ALLOC
#define AX (SHF_ALLOC | SHF_EXECINSTR)
#define WA (SHF_ALLOC | SHF_WRITE)

const struct elf_section elf_sdk_sections[SDK_SECTIONS] = {
    [SDK_DPORT_RODATA] = {".dport0.rodata", SHT_PROGBITS, WA, 0x3FF00000, 0, NULL},
    [SDK_DPORT_DATA] = {".dport0.data", SHT_PROGBITS, WA, 0x3FF00000, 0, NULL},
    [SDK_DATA] = {".data", SHT_PROGBITS, WA, 0x3FFE8000, 18, NULL},
    [SDK_RODATA] = {".rodata", SHT_PROGBITS, A, 0x3FFE8020, 33, NULL},
    [SDK_BSS] = {".bss", SHT_NOBITS, WA, 0x3FFE8048, 0x1234, NULL},
    [SDK_TEXT] = {".text", SHT_PROGBITS, AX, 0x40100000, 70, NULL},
    [SDK_TBSS] = {".tbss", SHT_NOBITS, WA | SHF_TLS, 0x40100010, 16, NULL},
    [SDK_IROM] = {".irom0.text", SHT_PROGBITS, AX, 0x40201010, 101, NULL},
    [SDK_INFO] = {".xtensa.info", SHT_NOTE, 0, 0, 56, NULL},
    [SDK_COMMENT] = {".comment", SHT_PROGBITS, SHF_MERGE | SHF_STRINGS, 0, 29, NULL},
};

const struct elf_spec elf_sdk = {0x40100004, elf_sdk_sections, SDK_SECTIONS, false, false};

uint8_t elf_pattern(size_t index, size_t at)
{
    return (uint8_t)(index * 37 + at * 11 + 1);
}

static void put(uint8_t *at, size_t width, uint32_t value)
{
    for (size_t i = 0; i < width; i++) {
        at[i] = (uint8_t)(value >> (8 * i));
    }
}

static uint32_t stored_size(const struct elf_section *s)
{
    return s->type == SHT_NOBITS ? 0 : (s->size + 3) & ~3U;
}

static uint32_t names_size(const struct elf_spec *spec)
{
    size_t size = 1 + sizeof ".shstrtab";
    for (size_t i = 0; i < spec->count; i++) {
        size += strlen(spec->sections[i].name) + 1;
    }
    return (uint32_t)size;
}

static void put_file_header(struct elf_file *file, const struct elf_spec *spec)
{
    static const uint8_t ident[] = {0x7F, 'E', 'L', 'F', ELFCLASS32, ELFDATA2LSB, EV_CURRENT};
    const struct elf_patch fields[] = {
        EHDR(e_type, ET_EXEC),
        EHDR(e_machine, EM_XTENSA),
        EHDR(e_version, EV_CURRENT),
        EHDR(e_entry, spec->entry),
        EHDR(e_phoff, sizeof(Elf32_Ehdr)),
        EHDR(e_shoff, file->table),
        EHDR(e_flags, 0x300),
        EHDR(e_ehsize, sizeof(Elf32_Ehdr)),
        EHDR(e_phentsize, sizeof(Elf32_Phdr)),
        EHDR(e_phnum, 1),
        EHDR(e_shentsize, sizeof(Elf32_Shdr)),
        EHDR(e_shnum, spec->extended ? 0 : (uint32_t)file->count),
        EHDR(e_shstrndx, spec->extended ? SHN_XINDEX : (uint32_t)file->count - 1),
    };
    memcpy(file->data, ident, sizeof ident);
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        elf_apply(file, &fields[i]);
    }
    put(file->data + sizeof(Elf32_Ehdr), 4, PT_LOAD); /* an empty one, as SDK ELFs have it */
    if (spec->extended) {
        put(file->data + file->table + offsetof(Elf32_Shdr, sh_size), 4, (uint32_t)file->count);
        put(file->data + file->table + offsetof(Elf32_Shdr, sh_link), 4, (uint32_t)file->count - 1);
    }
}

static void put_section_header(const struct elf_file *file, size_t index,
                               const struct elf_section *s, uint32_t name, uint32_t offset)
{
    uint8_t *at = file->data + file->table + index * sizeof(Elf32_Shdr);
    put(at + offsetof(Elf32_Shdr, sh_name), 4, name);
    put(at + offsetof(Elf32_Shdr, sh_type), 4, s->type);
    put(at + offsetof(Elf32_Shdr, sh_flags), 4, s->flags);
    put(at + offsetof(Elf32_Shdr, sh_addr), 4, s->address);
    put(at + offsetof(Elf32_Shdr, sh_offset), 4, offset);
    put(at + offsetof(Elf32_Shdr, sh_size), 4, s->size);
    put(at + offsetof(Elf32_Shdr, sh_addralign), 4, 1);
}

static void put_content(uint8_t *at, const struct elf_section *s, size_t index)
{
    for (size_t i = 0; s->type != SHT_NOBITS && i < s->size; i++) {
        at[i] = s->bytes != NULL ? s->bytes[i] : elf_pattern(index, i);
    }
}

struct elf_file elf_build(const struct elf_spec *spec)
{
    struct elf_file file = {.count = spec->count + 2};
    uint32_t table_size = (uint32_t)(file.count * sizeof(Elf32_Shdr));
    uint32_t at = sizeof(Elf32_Ehdr) + sizeof(Elf32_Phdr);
    uint32_t first = at + (spec->table_first ? table_size : 0);
    uint32_t end = first;

    for (size_t i = 0; i < spec->count; i++) {
        end += stored_size(&spec->sections[i]);
    }
    file.names = end;
    end += (names_size(spec) + 3) & ~3U;
    file.table = spec->table_first ? at : end;
    file.size = end + (spec->table_first ? 0 : table_size);
    file.data = calloc(1, file.size);
    if (file.data == NULL) {
        abort();
    }
    put_file_header(&file, spec);
    uint32_t offset = first;
    uint32_t name = 1;
    for (size_t i = 0; i < spec->count; i++) {
        const struct elf_section *s = &spec->sections[i];
        put_section_header(&file, i + 1, s, name, offset);
        put_content(file.data + offset, s, i);
        memcpy(file.data + file.names + name, s->name, strlen(s->name) + 1);
        offset += stored_size(s);
        name += (uint32_t)strlen(s->name) + 1;
    }
    const struct elf_section names = {".shstrtab", SHT_STRTAB, 0, 0, names_size(spec), NULL};
    put_section_header(&file, file.count - 1, &names, name, file.names);
    memcpy(file.data + file.names + name, names.name, sizeof ".shstrtab");
    return file;
}

void elf_free(struct elf_file *file)
{
    free(file->data);
    file->data = NULL;
}

void elf_apply(struct elf_file *file, const struct elf_patch *patch)
{
    size_t at = patch->offset;
    if (patch->section != ELF_HEADER) {
        size_t index = patch->section == ELF_NAMES  ? file->count - 1
                       : patch->section == ELF_ZERO ? 0
                                                    : (size_t)patch->section + 1;
        at += file->table + index * sizeof(Elf32_Shdr);
    }
    put(file->data + at, patch->width, patch->value);
}
