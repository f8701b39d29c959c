/* SPDX-License-Identifier: MIT */
/* ELF bytes -> sections -> firmware. The only file that includes libelf.
 *
 * libelf reads the structures; every size and offset is checked here, against the bytes there are,
 * before it is used. */
#include <espimage/firmware.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/text.h"
#include "image/entry.h"
#include "image/image_format.h"

#include <gelf.h>
#include <stdlib.h>
#include <string.h>

static enum espimage_code check_ident(const uint8_t *bytes, size_t size, struct espimage_error *err)
{
    if (size == 0) {
        error_found(err, ESPIMAGE_ERR_ELF, "the file is empty");
        error_wanted(err, "an ELF file");
        return error_advice(err, "link or copy it again");
    }
    if (size < SELFMAG || memcmp(bytes, ELFMAG, SELFMAG) != 0) {
        error_found(err, ESPIMAGE_ERR_ELF, "not an ELF file: it begins with %02X %02X", bytes[0],
                    size > 1 ? bytes[1] : 0);
        error_wanted(err, "7F 45 4C 46");
        return error_advice(err,
                            bytes[0] == MAGIC_V2
                                ? "it is a ready image: give the ELF that it was made from, or "
                                  "let a web server serve the file as it is"
                                : "give the ELF that the linker wrote");
    }
    if (size < sizeof(Elf32_Ehdr)) {
        error_found(err, ESPIMAGE_ERR_ELF, "%zu bytes, too short for an ELF header", size);
        error_wanted(err, "at least %zu", sizeof(Elf32_Ehdr));
        return error_advice(err, "link or copy it again");
    }
    if (bytes[EI_CLASS] != ELFCLASS32) {
        error_found(err, ESPIMAGE_ERR_ELF, "ELF class %u%s", bytes[EI_CLASS],
                    bytes[EI_CLASS] == ELFCLASS64 ? " (64-bit)" : "");
        error_wanted(err, "1 (32-bit)");
        return error_advice(err, "link it with the ESP8266 toolchain, xtensa-lx106-elf");
    }
    if (bytes[EI_DATA] != ELFDATA2LSB) {
        error_found(err, ESPIMAGE_ERR_ELF, "ELF byte order %u%s", bytes[EI_DATA],
                    bytes[EI_DATA] == ELFDATA2MSB ? " (big-endian)" : "");
        error_wanted(err, "1 (little-endian)");
        return error_advice(err, "link it with the ESP8266 toolchain, xtensa-lx106-elf");
    }
    if (bytes[EI_VERSION] != EV_CURRENT) {
        error_found(err, ESPIMAGE_ERR_ELF, "ELF version %u", bytes[EI_VERSION]);
        error_wanted(err, "%u", EV_CURRENT);
        return error_advice(err, "the ELF is damaged: link or copy it again");
    }
    return ESPIMAGE_OK;
}

static const char *type_name(unsigned type)
{
    switch (type) {
    case ET_REL: return " (object file)";
    case ET_DYN: return " (shared object)";
    case ET_CORE: return " (core dump)";
    default: return "";
    }
}

static enum espimage_code check_header(const GElf_Ehdr *header, size_t size,
                                       struct espimage_error *err)
{
    if (header->e_machine != EM_XTENSA) {
        error_found(err, ESPIMAGE_ERR_ELF, "ELF machine %u", header->e_machine);
        error_wanted(err, "%u (Xtensa)", EM_XTENSA);
        return error_advice(err, "link it with the ESP8266 toolchain, xtensa-lx106-elf");
    }
    if (header->e_type != ET_EXEC) {
        error_found(err, ESPIMAGE_ERR_ELF, "ELF type %u%s", header->e_type,
                    type_name(header->e_type));
        error_wanted(err, "%u (executable)", ET_EXEC);
        return error_advice(err, "give the linked program, not a part of it");
    }
    if (header->e_shoff == 0) {
        error_found(err, ESPIMAGE_ERR_ELF, "the ELF has no section headers");
        return error_advice(err, "give the ELF as the linker wrote it, not a stripped copy");
    }
    if (header->e_shentsize != sizeof(Elf32_Shdr)) {
        error_found(err, ESPIMAGE_ERR_ELF, "section headers of %u bytes each", header->e_shentsize);
        error_wanted(err, "%zu", sizeof(Elf32_Shdr));
        return error_advice(err, "the ELF is damaged: link or copy it again");
    }
    if (header->e_shoff > size || size - header->e_shoff < sizeof(Elf32_Shdr)) {
        error_found(err, ESPIMAGE_ERR_ELF,
                    "truncated: section headers at 0x%jX, but the file is %zu bytes long",
                    (uintmax_t)header->e_shoff, size);
        return error_advice(err, "link or copy it again");
    }
    return ESPIMAGE_OK;
}

/* libelf has accepted the header; whether the whole table is there is for us to say. */
static enum espimage_code check_table(Elf *elf, const GElf_Ehdr *header, size_t size, size_t *count,
                                      struct espimage_error *err)
{
    if (elf_getshdrnum(elf, count) != 0) {
        error_found(err, ESPIMAGE_ERR_ELF, "libelf cannot read the section headers: %s",
                    elf_errmsg(-1));
        return error_advice(err, "link or copy it again");
    }
    size_t claimed = *count > header->e_shnum ? *count : header->e_shnum;
    if (claimed > (size - header->e_shoff) / sizeof(Elf32_Shdr) || *count < header->e_shnum) {
        error_found(err, ESPIMAGE_ERR_ELF,
                    "truncated: %zu section headers at 0x%jX, but the file is %zu bytes long",
                    claimed, (uintmax_t)header->e_shoff, size);
        return error_advice(err, "link or copy it again");
    }
    return ESPIMAGE_OK;
}

/* Thread-local .tbss has an address but occupies nothing there. */
static bool occupies_memory(const GElf_Shdr *header)
{
    bool tbss = header->sh_type == SHT_NOBITS && (header->sh_flags & SHF_TLS) != 0;
    return (header->sh_flags & SHF_ALLOC) != 0 && header->sh_size > 0 && !tbss;
}

/* The bytes that hold the names of sections or symbols; none when the ELF has no such table. */
struct names {
    const uint8_t *bytes;
    size_t size;
};

/* Of a string table, as much as lies within the file. */
static struct names names_in(const GElf_Shdr *header, const uint8_t *bytes, size_t size)
{
    struct names names = {NULL, 0};
    if (header->sh_type == SHT_STRTAB && header->sh_offset < size) {
        names.bytes = bytes + (size_t)header->sh_offset;
        names.size = size - (size_t)header->sh_offset;
        names.size = header->sh_size < names.size ? (size_t)header->sh_size : names.size;
    }
    return names;
}

/* Not left to elf_strptr(): of a compressed table it would unpack all, however much that is, and
 * in one that does not end in NUL it searches all of the rest for each name. */
static struct names find_names(Elf *elf, const uint8_t *bytes, size_t size)
{
    struct names names = {NULL, 0};
    GElf_Shdr header;
    size_t index = 0;
    if (elf_getshdrstrndx(elf, &index) == 0 && index != 0 &&
        gelf_getshdr(elf_getscn(elf, index), &header) != NULL) {
        names = names_in(&header, bytes, size);
    }
    return names;
}

static void read_name(const struct names *names, size_t at, char name[ESPIMAGE_SECTION_NAME])
{
    char raw[ESPIMAGE_SECTION_NAME + 4] = "";
    for (size_t i = 0; i + 1 < sizeof raw && at < names->size && names->bytes[at] != 0; i++) {
        raw[i] = (char)names->bytes[at++];
    }
    printable(name, ESPIMAGE_SECTION_NAME, raw[0] != '\0' ? raw : "(unnamed)");
}

static enum espimage_code read_section(const GElf_Shdr *header, const struct names *names,
                                       const uint8_t *bytes, size_t size,
                                       struct espimage_section *out, struct espimage_error *err)
{
    read_name(names, header->sh_name, out->name);
    out->address = (uint32_t)header->sh_addr; /* of an ELF32: 32 bits each */
    out->size = (uint32_t)header->sh_size;
    out->bytes = NULL;
    if (out->size > UINT32_MAX - out->address) {
        error_found(err, ESPIMAGE_ERR_ELF, "section %s at 0x%08X, %u bytes, wraps around 2^32",
                    out->name, out->address, out->size);
        return error_advice(err, "check the linker script");
    }
    if (header->sh_type == SHT_NOBITS) {
        return ESPIMAGE_OK;
    }
    if (header->sh_offset > size || header->sh_size > size - header->sh_offset) {
        error_found(err, ESPIMAGE_ERR_ELF,
                    "section %s, %u bytes at offset 0x%jX, leaves the file of %zu bytes", out->name,
                    out->size, (uintmax_t)header->sh_offset, size);
        return error_advice(err, "the ELF is truncated or damaged: link or copy it again");
    }
    out->bytes = bytes + header->sh_offset;
    return ESPIMAGE_OK;
}

static enum espimage_code read_sections(Elf *elf, const uint8_t *bytes, size_t size,
                                        struct espimage_section *sections, size_t *count,
                                        struct espimage_error *err)
{
    struct names names = find_names(elf, bytes, size);
    Elf_Scn *scn = NULL;

    while ((scn = elf_nextscn(elf, scn)) != NULL) {
        GElf_Shdr header;
        if (gelf_getshdr(scn, &header) == NULL) {
            error_found(err, ESPIMAGE_ERR_ELF, "libelf cannot read section header %zu: %s",
                        elf_ndxscn(scn), elf_errmsg(-1));
            return error_advice(err, "link or copy it again");
        }
        if (!occupies_memory(&header)) {
            continue;
        }
        enum espimage_code code =
            read_section(&header, &names, bytes, size, &sections[*count], err);
        if (code != ESPIMAGE_OK) {
            return code;
        }
        (*count)++;
    }
    return ESPIMAGE_OK;
}

static size_t count_sections(Elf *elf)
{
    size_t count = 0;
    Elf_Scn *scn = NULL;
    while ((scn = elf_nextscn(elf, scn)) != NULL) {
        GElf_Shdr header;
        count += gelf_getshdr(scn, &header) == NULL || occupies_memory(&header) ? 1 : 0;
    }
    return count;
}

/* The SDK's entry point, call_user_start or, since SDK 3.0.6, call_user_start1. */
static bool is_start(const char *name)
{
    return strncmp(name, "call_user_start", sizeof "call_user_start" - 1) == 0;
}

static void note_symbol(const Elf32_Sym *symbol, const struct names *names, uint32_t entry,
                        struct entry_symbols *out)
{
    unsigned type = ELF32_ST_TYPE(symbol->st_info);
    char name[ESPIMAGE_SECTION_NAME];
    if (symbol->st_shndx == SHN_UNDEF || (type != STT_FUNC && type != STT_NOTYPE)) {
        return;
    }
    bool function = type == STT_FUNC;
    out->functions = out->functions || function;
    out->at_entry = out->at_entry || (function && symbol->st_value == entry);
    if (names->bytes == NULL || symbol->st_name >= names->size ||
        names->size - symbol->st_name < sizeof "call_user_start" ||
        !is_start((const char *)names->bytes + symbol->st_name)) {
        return;
    }
    read_name(names, symbol->st_name, name);
    if (symbol->st_value == entry) {
        out->at_entry = true;
    } else if (out->start[0] == '\0') {
        memcpy(out->start, name, sizeof name);
        out->start_address = symbol->st_value;
    }
}

/* A damaged symbol table only means that less is known. */
static void read_symbols(Elf *elf, const uint8_t *bytes, size_t size, uint32_t entry,
                         struct entry_symbols *out)
{
    Elf_Scn *scn = NULL;
    GElf_Shdr header;
    GElf_Shdr strings;
    while ((scn = elf_nextscn(elf, scn)) != NULL) {
        if (gelf_getshdr(scn, &header) == NULL || header.sh_type != SHT_SYMTAB ||
            header.sh_offset > size || header.sh_size > size - header.sh_offset) {
            continue;
        }
        struct names names = {NULL, 0};
        if (gelf_getshdr(elf_getscn(elf, header.sh_link), &strings) != NULL) {
            names = names_in(&strings, bytes, size);
        }
        for (size_t at = 0; header.sh_size - at >= sizeof(Elf32_Sym); at += sizeof(Elf32_Sym)) {
            const uint8_t *p = bytes + (size_t)header.sh_offset + at;
            const Elf32_Sym symbol = {
                .st_name = get_le32(p),
                .st_value = get_le32(p + offsetof(Elf32_Sym, st_value)),
                .st_info = p[offsetof(Elf32_Sym, st_info)],
                .st_shndx = (Elf32_Section)(p[offsetof(Elf32_Sym, st_shndx)] |
                                            p[offsetof(Elf32_Sym, st_shndx) + 1] << 8)};
            note_symbol(&symbol, &names, entry, out);
        }
        return;
    }
}

enum espimage_code espimage_firmware_from_elf(const void *bytes, size_t size,
                                              espimage_firmware **out, struct espimage_error *err)
{
    Elf *elf = NULL;
    struct espimage_section *sections = NULL;
    GElf_Ehdr header;
    size_t table = 0;
    size_t count = 0;
    enum espimage_code code = check_ident(bytes, size, err);

    if (code != ESPIMAGE_OK) {
        goto done;
    }
    (void)elf_version(EV_CURRENT);
    /* elf_memory() takes char *, but for reading it neither writes to the bytes nor keeps them. */
    elf = elf_memory((char *)(uintptr_t)bytes, size);
    if (elf == NULL || gelf_getehdr(elf, &header) == NULL) {
        error_found(err, ESPIMAGE_ERR_ELF, "libelf cannot read it: %s", elf_errmsg(-1));
        code = error_advice(err, "the ELF is truncated or damaged: link or copy it again");
        goto done;
    }
    code = check_header(&header, size, err);
    if (code == ESPIMAGE_OK) {
        code = check_table(elf, &header, size, &table, err);
    }
    if (code != ESPIMAGE_OK) {
        goto done;
    }
    sections = calloc(count_sections(elf) + 1, sizeof *sections);
    if (sections == NULL) {
        code = error_no_memory(err);
        goto done;
    }
    code = read_sections(elf, bytes, size, sections, &count, err);
    if (code == ESPIMAGE_OK && count == 0) {
        error_found(err, ESPIMAGE_ERR_ELF, "none of its %zu sections occupies memory", table);
        code = error_advice(err, "give the linked program");
    }
    if (code == ESPIMAGE_OK) {
        code = espimage_firmware_from_sections((uint32_t)header.e_entry, sections, count, out, err);
    }
    if (code == ESPIMAGE_OK) {
        struct entry_symbols symbols = {0};
        read_symbols(elf, bytes, size, (uint32_t)header.e_entry, &symbols);
        firmware_set_symbols(*out, &symbols);
    }
done:
    free(sections);
    (void)elf_end(elf);
    return code;
}
