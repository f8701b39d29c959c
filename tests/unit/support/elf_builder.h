/* SPDX-License-Identifier: MIT */
/* Makes ELF32 files in memory; every field can be spoilt afterwards. */
#ifndef SUPPORT_ELF_BUILDER_H
#define SUPPORT_ELF_BUILDER_H

#include <elf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct elf_section {
    const char *name;
    uint32_t type;
    uint32_t flags;
    uint32_t address;
    uint32_t size;
    const uint8_t *bytes; /* NULL: bytes of elf_pattern() */
};

struct elf_spec {
    uint32_t entry;
    const struct elf_section *sections;
    size_t count;
    bool table_first; /* section headers before the contents; else behind everything */
    bool extended;    /* e_shnum 0 and e_shstrndx SHN_XINDEX, real values in section 0 */
};

/* The file has section 0, those of the spec, and .shstrtab as the last. */
struct elf_file {
    uint8_t *data; /* owned, exactly size bytes allocated */
    size_t size;
    size_t count; /* section headers */
    uint32_t table;
    uint32_t names;
};

struct elf_file elf_build(const struct elf_spec *spec);
void elf_free(struct elf_file *file);

/* Byte `at` of the made-up content of section `index` of a spec. */
uint8_t elf_pattern(size_t index, size_t at);

/* A field to overwrite: of the file header when section < 0, else of a section of the spec. */
struct elf_patch {
    int section;
    size_t offset;
    size_t width; /* bytes; 0: no patch */
    uint32_t value;
};
enum {
    ELF_HEADER = -1,
    ELF_NAMES = -2, /* the header of .shstrtab */
    ELF_ZERO = -3   /* section header 0 */
};
#define EHDR(field, value)                                                                         \
    {                                                                                              \
        ELF_HEADER, offsetof(Elf32_Ehdr, field), sizeof(((Elf32_Ehdr *)0)->field), value           \
    }
#define IDENT(index, value)                                                                        \
    {                                                                                              \
        ELF_HEADER, index, 1, value                                                                \
    }
#define SHDR(section, field, value)                                                                \
    {                                                                                              \
        section, offsetof(Elf32_Shdr, field), 4, value                                             \
    }

void elf_apply(struct elf_file *file, const struct elf_patch *patch);

/* As the SDK's linker scripts lay it out, every kind of section in it, linked for app1. */
enum {
    SDK_DPORT_RODATA,
    SDK_DPORT_DATA,
    SDK_DATA,
    SDK_RODATA,
    SDK_BSS,
    SDK_TEXT,
    SDK_TBSS,
    SDK_IROM,
    SDK_INFO,
    SDK_COMMENT,
    SDK_SECTIONS
};
extern const struct elf_section elf_sdk_sections[SDK_SECTIONS];
extern const struct elf_spec elf_sdk;

#endif
