/* SPDX-License-Identifier: MIT */
#include "base/bytes.h"
#include "support/elf_builder.h"
#include "support/random.h"
#include "support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static enum espimage_code load(const struct elf_file *file, espimage_firmware **fw,
                               struct espimage_error *err)
{
    *fw = NULL;
    return espimage_firmware_from_elf(file->data, file->size, fw, err);
}

static void check_section(const espimage_firmware *fw, size_t at, size_t sdk_index,
                          enum espimage_region_kind region)
{
    const struct espimage_section *s = espimage_firmware_section(fw, at);
    const struct elf_section *wanted = &elf_sdk_sections[sdk_index];
    assert_string_equal(s->name, wanted->name);
    assert_int_equal(s->region, region);
    assert_int_equal(s->address, wanted->address);
    assert_int_equal(s->size, wanted->size);
    if (wanted->type == SHT_NOBITS) {
        assert_null(s->bytes);
        return;
    }
    for (size_t i = 0; i < s->size; i++) {
        assert_int_equal(s->bytes[i], elf_pattern(sdk_index, i));
    }
}

static void check_sdk(const espimage_firmware *fw)
{
    assert_int_equal(espimage_firmware_entry(fw), 0x40100004);
    assert_int_equal(espimage_firmware_section_count(fw), 5);
    check_section(fw, 0, SDK_DATA, ESPIMAGE_REGION_DRAM);
    check_section(fw, 1, SDK_RODATA, ESPIMAGE_REGION_DRAM);
    check_section(fw, 2, SDK_BSS, ESPIMAGE_REGION_DRAM);
    check_section(fw, 3, SDK_TEXT, ESPIMAGE_REGION_IRAM);
    check_section(fw, 4, SDK_IROM, ESPIMAGE_REGION_IROM);
    assert_int_equal(espimage_firmware_irom(fw).address, 0x40201010);
    assert_int_equal(espimage_firmware_irom(fw).size, 101);
    assert_int_equal(espimage_firmware_use(fw, ESPIMAGE_REGION_DRAM), 18 + 33 + 0x1234);
    assert_int_equal(espimage_firmware_use(fw, ESPIMAGE_REGION_IRAM), 70);
}

static void load_sdk(struct elf_spec spec)
{
    struct espimage_error err;
    espimage_firmware *fw;
    struct elf_file file = elf_build(&spec);
    uint8_t *before = malloc(file.size);
    assert_non_null(before);
    memcpy(before, file.data, file.size);
    assert_ok(load(&file, &fw, &err), &err);
    assert_memory_equal(before, file.data, file.size);
    memset(file.data, 0xEE, file.size); /* the firmware owns its bytes */
    elf_free(&file);
    check_sdk(fw);
    espimage_firmware_free(fw);
    free(before);
}

static void test_sdk_like(void **state)
{
    (void)state;
    load_sdk(elf_sdk);
}

static void test_table_first(void **state)
{
    (void)state;
    struct elf_spec spec = elf_sdk;
    spec.table_first = true;
    load_sdk(spec);
}

static void test_extended_numbering(void **state)
{
    (void)state;
    struct elf_spec spec = elf_sdk;
    spec.extended = true;
    load_sdk(spec);
}

/* Neither the file nor its section headers need to begin at a multiple of anything. */
static void test_unaligned(void **state)
{
    (void)state;
    struct espimage_error err;
    struct elf_file file = elf_build(&elf_sdk);
    for (size_t shift = 1; shift < 4; shift++) {
        espimage_firmware *fw = NULL;
        uint8_t *moved = calloc(1, file.size + 2 * shift);
        assert_non_null(moved);
        struct elf_file view = {moved + shift, file.size + shift, file.count, 0, 0};
        memcpy(view.data, file.data, file.table);
        memcpy(view.data + file.table + shift, file.data + file.table, file.size - file.table);
        const struct elf_patch shoff = EHDR(e_shoff, file.table + (uint32_t)shift);
        elf_apply(&view, &shoff);
        assert_ok(load(&view, &fw, &err), &err);
        check_sdk(fw);
        espimage_firmware_free(fw);
        free(moved);
    }
    elf_free(&file);
}

/* One or two fields of the SDK-like ELF overwritten, then all but `keep` bytes cut off. */
struct refusal {
    const char *name;
    struct elf_patch patch[3];
    size_t keep; /* 0: all */
    enum espimage_code code;
    struct telling tells;
};

#define TOOLCHAIN "xtensa-lx106-elf"
#define AGAIN     "link or copy it again"

static const struct refusal refusals[] = {
    {"one byte", {{0}}, 1, ESPIMAGE_ERR_ELF, {"begins with 7F 00", "7F 45 4C 46", NULL}},
    {"magic cut", {{0}}, 3, ESPIMAGE_ERR_ELF, {"begins with 7F 45", "7F 45 4C 46", NULL}},
    {"magic only", {{0}}, 4, ESPIMAGE_ERR_ELF, {"4 bytes, too short", "at least 52", AGAIN}},
    {"header cut", {{0}}, 51, ESPIMAGE_ERR_ELF, {"51 bytes, too short", "at least 52", AGAIN}},
    {"not ELF",
     {IDENT(0, 0xEA), IDENT(1, 4)},
     0,
     ESPIMAGE_ERR_ELF,
     {"not an ELF file: it begins with EA 04", "7F 45 4C 46", NULL}},
    {"class none", {IDENT(4, 0)}, 0, ESPIMAGE_ERR_ELF, {"ELF class 0", "1 (32-bit)", TOOLCHAIN}},
    {"class 64",
     {IDENT(4, 2)},
     0,
     ESPIMAGE_ERR_ELF,
     {"ELF class 2 (64-bit)", "1 (32-bit)", TOOLCHAIN}},
    {"big-endian",
     {IDENT(5, 2)},
     0,
     ESPIMAGE_ERR_ELF,
     {"byte order 2 (big-endian)", "1 (little-endian)", TOOLCHAIN}},
    {"byte order 7",
     {IDENT(5, 7)},
     0,
     ESPIMAGE_ERR_ELF,
     {"byte order 7", "1 (little-endian)", TOOLCHAIN}},
    {"ident version", {IDENT(6, 2)}, 0, ESPIMAGE_ERR_ELF, {"ELF version 2", "1", NULL}},
    {"machine x86-64",
     {EHDR(e_machine, 62)},
     0,
     ESPIMAGE_ERR_ELF,
     {"ELF machine 62", "94 (Xtensa)", TOOLCHAIN}},
    {"machine 0",
     {EHDR(e_machine, 0)},
     0,
     ESPIMAGE_ERR_ELF,
     {"ELF machine 0", "94 (Xtensa)", TOOLCHAIN}},
    {"object file",
     {EHDR(e_type, ET_REL)},
     0,
     ESPIMAGE_ERR_ELF,
     {"ELF type 1 (object file)", "2 (executable)", "the linked program"}},
    {"shared object",
     {EHDR(e_type, ET_DYN)},
     0,
     ESPIMAGE_ERR_ELF,
     {"ELF type 3 (shared object)", "2 (executable)", "the linked program"}},
    {"core dump",
     {EHDR(e_type, ET_CORE)},
     0,
     ESPIMAGE_ERR_ELF,
     {"ELF type 4 (core dump)", "2 (executable)", "the linked program"}},
    {"no type",
     {EHDR(e_type, ET_NONE)},
     0,
     ESPIMAGE_ERR_ELF,
     {"ELF type 0", "2 (executable)", "the linked program"}},
    {"stripped of sections",
     {EHDR(e_shoff, 0), EHDR(e_shnum, 0)},
     0,
     ESPIMAGE_ERR_ELF,
     {"no section headers", "", "not a stripped copy"}},
    {"no section count", {EHDR(e_shnum, 0)}, 0, ESPIMAGE_ERR_ELF, {NULL, NULL, NULL}},
    {"only section 0",
     {EHDR(e_shnum, 1)},
     0,
     ESPIMAGE_ERR_ELF,
     {"none of its 1 sections occupies memory", "", "the linked program"}},
    {"entry size 39",
     {EHDR(e_shentsize, 39)},
     0,
     ESPIMAGE_ERR_ELF,
     {"section headers of 39 bytes", "40", NULL}},
    {"entry size 64",
     {EHDR(e_shentsize, 64)},
     0,
     ESPIMAGE_ERR_ELF,
     {"section headers of 64 bytes", "40", NULL}},
    {"entry size 0",
     {EHDR(e_shentsize, 0)},
     0,
     ESPIMAGE_ERR_ELF,
     {"section headers of 0 bytes", "40", NULL}},
    {"table outside",
     {EHDR(e_shoff, 0x100000)},
     0,
     ESPIMAGE_ERR_ELF,
     {"section headers at 0x100000", NULL, AGAIN}},
    {"table at 4 GB",
     {EHDR(e_shoff, 0xFFFFFFF0)},
     0,
     ESPIMAGE_ERR_ELF,
     {"section headers at 0xFFFFFFF0", NULL, AGAIN}},
    {"one section too many",
     {EHDR(e_shnum, SDK_SECTIONS + 3)},
     0,
     ESPIMAGE_ERR_ELF,
     {"truncated: 13 section headers at 0x", NULL, AGAIN}},
    {"65279 sections claimed",
     {EHDR(e_shnum, 65279)},
     0,
     ESPIMAGE_ERR_ELF,
     {"truncated: 65279 section headers at 0x", NULL, AGAIN}},
    {"4 G sections claimed",
     {EHDR(e_shnum, 0), SHDR(ELF_ZERO, sh_size, 0xFFFFFFFF)},
     0,
     ESPIMAGE_ERR_ELF,
     {NULL, NULL, NULL}},
    {"content outside",
     {SHDR(SDK_TEXT, sh_offset, 0x100000)},
     0,
     ESPIMAGE_ERR_ELF,
     {"section .text, 70 bytes at offset 0x100000, leaves the file", NULL, AGAIN}},
    {"content at 4 GB",
     {SHDR(SDK_TEXT, sh_offset, 0xFFFFFFFF)},
     0,
     ESPIMAGE_ERR_ELF,
     {"section .text, 70 bytes at offset 0xFFFFFFFF, leaves the file", NULL, AGAIN}},
    {"content too long",
     {SHDR(SDK_IROM, sh_size, 0x80000)},
     0,
     ESPIMAGE_ERR_ELF,
     {"section .irom0.text, 524288 bytes", NULL, AGAIN}},
    {"4 GB of content",
     {SHDR(SDK_DATA, sh_size, 0xFFFFFFFF), SHDR(SDK_DATA, sh_addr, 0)},
     0,
     ESPIMAGE_ERR_ELF,
     {"section .data, 4294967295 bytes", NULL, AGAIN}},
    {"4 GB of nothing",
     {SHDR(SDK_BSS, sh_size, 0xC0000000)},
     0,
     ESPIMAGE_ERR_SIZE,
     {"section .bss at 0x3FFE8048, 3221225472 bytes, ends past the DRAM", "at or below 0x3FFFC000",
      "smaller"}},
    {"address wraps",
     {SHDR(SDK_DATA, sh_addr, 0xFFFFFFF0)},
     0,
     ESPIMAGE_ERR_ELF,
     {"section .data at 0xFFFFFFF0, 18 bytes, wraps around 2^32", NULL, "linker script"}},
    {"size wraps",
     {SHDR(SDK_BSS, sh_size, 0xFFFFFFFF)},
     0,
     ESPIMAGE_ERR_ELF,
     {"section .bss at 0x3FFE8048, 4294967295 bytes, wraps around 2^32", NULL, "linker script"}},
    {"no memory there",
     {SHDR(SDK_RODATA, sh_addr, 0x20000000)},
     0,
     ESPIMAGE_ERR_LAYOUT,
     {"section .rodata at 0x20000000 is in no memory", "IRAM 0x40100000", "linker script"}},
    {"dport with content",
     {SHDR(SDK_DATA, sh_addr, 0x3FF00000)},
     0,
     ESPIMAGE_ERR_LAYOUT,
     {"section .data at 0x3FF00000 is in no memory", "DRAM 0x3FFE8000", "linker script"}},
    {"overlap",
     {SHDR(SDK_RODATA, sh_addr, 0x3FFE8010)},
     0,
     ESPIMAGE_ERR_LAYOUT,
     {"section .data (0x3FFE8000, 18 bytes) overlaps section .rodata (0x3FFE8010)", NULL,
      "linker script"}},
    {"overlap with .bss",
     {SHDR(SDK_BSS, sh_addr, 0x3FFE8020)},
     0,
     ESPIMAGE_ERR_LAYOUT,
     {"overlaps section", NULL, "linker script"}},
    {"inside a word",
     {SHDR(SDK_TEXT, sh_addr, 0x40100002)},
     0,
     ESPIMAGE_ERR_LAYOUT,
     {"section .text begins at 0x40100002, inside a word", "a multiple of 4", "align it"}},
    {"past the DRAM",
     {SHDR(SDK_DATA, sh_addr, 0x3FFFBFF0)},
     0,
     ESPIMAGE_ERR_SIZE,
     {"section .data at 0x3FFFBFF0, 18 bytes, ends past the DRAM", "0x3FFFC000", "smaller"}},
    {"past the IRAM",
     {SHDR(SDK_TEXT, sh_addr, 0x4010BFBC)},
     0,
     ESPIMAGE_ERR_SIZE,
     {"section .text at 0x4010BFBC, 70 bytes, ends past the IRAM", "0x4010C000", "smaller"}},
    {"past the RTC memory",
     {SHDR(SDK_DATA, sh_addr, 0x600013F0)},
     0,
     ESPIMAGE_ERR_SIZE,
     {"section .data at 0x600013F0, 18 bytes, ends past the RTC", "0x60001400", "smaller"}},
    {"past all flash",
     {SHDR(SDK_IROM, sh_addr, 0x411FFFA0)},
     0,
     ESPIMAGE_ERR_SIZE,
     {"section .irom0.text at 0x411FFFA0, 101 bytes, ends past the irom", "0x41200000", "smaller"}},
    {"stray flash section",
     {SHDR(SDK_RODATA, sh_addr, 0x40301010)},
     0,
     ESPIMAGE_ERR_SIZE,
     {"spread over 1048609 bytes (0x40201010 to 0x40301031)", "at most 1048576", "stray address"}},
};

static void test_refusal(void **state)
{
    const struct refusal *row = *state;
    struct espimage_error err;
    espimage_firmware *fw;
    struct elf_file file = elf_build(&elf_sdk);
    for (size_t i = 0; i < COUNT(row->patch) && row->patch[i].width != 0; i++) {
        elf_apply(&file, &row->patch[i]);
    }
    if (row->keep != 0) {
        file.data = realloc(file.data, row->keep);
        file.size = row->keep;
        assert_non_null(file.data);
    }
    assert_code(row->code, load(&file, &fw, &err), &err);
    assert_null(fw);
    assert_true(err.found[0] != '\0');
    assert_string_equal(err.file, "");
    assert_tells(&err, &row->tells);
    elf_free(&file);
}

static void test_empty(void **state)
{
    (void)state;
    struct espimage_error err;
    espimage_firmware *fw = NULL;
    assert_code(ESPIMAGE_ERR_ELF, espimage_firmware_from_elf("", 0, &fw, &err), &err);
    assert_mentions(err.found, "empty");
    assert_mentions(err.wanted, "an ELF file");
}

static void test_only_non_alloc(void **state)
{
    (void)state;
    struct espimage_error err;
    espimage_firmware *fw;
    struct elf_file file = elf_build(&elf_sdk);
    for (int i = 0; i < SDK_SECTIONS; i++) {
        const struct elf_patch flags = SHDR(i, sh_flags, 0);
        elf_apply(&file, &flags);
    }
    assert_code(ESPIMAGE_ERR_ELF, load(&file, &fw, &err), &err);
    assert_mentions(err.found, "none of its 12 sections occupies memory");
    elf_free(&file);
}

/* Whether the ELF is taken when only its first `size` bytes are there. */
static bool prefix_loads(const struct elf_file *file, size_t size)
{
    struct espimage_error err;
    espimage_firmware *fw = NULL;
    uint8_t *copy = malloc(size + 1);
    assert_non_null(copy);
    copy = realloc(copy, size > 0 ? size : 1); /* so that a sanitizer sees one byte too far */
    assert_non_null(copy);
    memcpy(copy, file->data, size);
    enum espimage_code code = espimage_firmware_from_elf(copy, size, &fw, &err);
    if (code == ESPIMAGE_OK) {
        assert_int_equal(espimage_firmware_entry(fw), 0x40100004);
        assert_int_equal(espimage_firmware_section_count(fw), 5);
    } else {
        assert_int_equal(code, ESPIMAGE_ERR_ELF);
        assert_null(fw);
    }
    espimage_firmware_free(fw);
    free(copy);
    return code == ESPIMAGE_OK;
}

static void test_every_prefix_table_last(void **state)
{
    (void)state;
    struct elf_file file = elf_build(&elf_sdk);
    for (size_t size = 0; size <= file.size; size++) {
        assert_int_equal(prefix_loads(&file, size), size == file.size);
    }
    elf_free(&file);
}

/* Behind the last content that counts come only .comment and the names. */
static void test_every_prefix_table_first(void **state)
{
    (void)state;
    struct elf_spec spec = elf_sdk;
    spec.table_first = true;
    struct elf_file file = elf_build(&spec);
    size_t comment = (29 + 3) & ~(size_t)3;
    size_t irom_end = file.names - comment - 56 - 3;
    for (size_t size = 0; size <= file.size; size++) {
        assert_int_equal(prefix_loads(&file, size), size >= irom_end);
    }
    elf_free(&file);
}

struct name_case {
    const char *name;
    struct elf_patch patch[2];
    const char *spoil; /* written at the start of .data's name */
    const char *wanted;
};

static const struct name_case names[] = {
    {"control bytes", {{0}}, "\x1B[2J\n", "?[2J?"},
    {"not UTF-8", {{0}}, "\xFF\x80z\xC3", "??z?"},
    {"UTF-8", {{0}}, ".\xC3\xA4t", ".\xC3\xA4t"},
    {"DEL and quote", {{0}}, "\x7F\"\\%s", "?\"\\%s"},
    {"no name", {SHDR(SDK_DATA, sh_name, 0)}, "", "(unnamed)"},
    {"outside", {SHDR(SDK_DATA, sh_name, 0x7FFFFFFF)}, "", "(unnamed)"},
    {"far outside", {SHDR(SDK_DATA, sh_name, 0xFFFFFFFF)}, "", "(unnamed)"},
    {"no table of names", {EHDR(e_shstrndx, 0)}, "", "(unnamed)"},
    {"table of names outside", {EHDR(e_shstrndx, 200)}, "", "(unnamed)"},
    {"names outside the file", {SHDR(ELF_NAMES, sh_offset, 0x10000000)}, "", "(unnamed)"},
    {"names of 4 GB", {SHDR(ELF_NAMES, sh_size, 0xFFFFFFFF)}, "", ".data.which.is.long.enough"},
    {"names without content", {SHDR(ELF_NAMES, sh_type, SHT_NOBITS)}, "", "(unnamed)"},
    {"names of no size", {SHDR(ELF_NAMES, sh_size, 0)}, "", "(unnamed)"},
    {"names compressed",
     {SHDR(ELF_NAMES, sh_flags, SHF_COMPRESSED)},
     "",
     ".data.which.is.long.enough"},
};

/* The offset of section's name in the file. */
static size_t name_at(const struct elf_file *file, size_t section)
{
    const uint8_t *header = file->data + file->table + (section + 1) * sizeof(Elf32_Shdr);
    return file->names + get_le32(header + offsetof(Elf32_Shdr, sh_name));
}

/* A name is for people: a hostile one never keeps an ELF from being read. */
static void test_name(void **state)
{
    const struct name_case *row = *state;
    struct espimage_error err;
    espimage_firmware *fw;
    struct elf_section sections[SDK_SECTIONS];
    struct elf_spec spec = elf_sdk;
    memcpy(sections, elf_sdk_sections, sizeof sections);
    sections[SDK_DATA].name = ".data.which.is.long.enough";
    spec.sections = sections;
    struct elf_file file = elf_build(&spec);
    size_t length = strlen(row->spoil);
    memcpy(file.data + name_at(&file, SDK_DATA), row->spoil, length + (length > 0 ? 1 : 0));
    for (size_t i = 0; i < COUNT(row->patch) && row->patch[i].width != 0; i++) {
        elf_apply(&file, &row->patch[i]);
    }
    assert_ok(load(&file, &fw, &err), &err);
    const struct espimage_section *s = espimage_firmware_section(fw, 0);
    assert_int_equal(s->address, 0x3FFE8000);
    if (row->wanted != NULL) {
        assert_string_equal(s->name, row->wanted);
    }
    espimage_firmware_free(fw);
    elf_free(&file);
}

static void test_long_name_is_cut(void **state)
{
    (void)state;
    struct espimage_error err;
    espimage_firmware *fw;
    char name[200];
    memset(name, 'n', sizeof name);
    name[sizeof name - 1] = '\0';
    memcpy(name + ESPIMAGE_SECTION_NAME - 2, "\xC3\xA4", 2); /* the cut would split it */
    const struct elf_section text = {name, SHT_PROGBITS, SHF_ALLOC, 0x40100000, 8, NULL};
    const struct elf_spec spec = {0x40100000, &text, 1, false, false};
    struct elf_file file = elf_build(&spec);
    assert_ok(load(&file, &fw, &err), &err);
    const char *kept = espimage_firmware_section(fw, 0)->name;
    assert_int_equal(strlen(kept), ESPIMAGE_SECTION_NAME - 2);
    assert_memory_equal(kept, name, ESPIMAGE_SECTION_NAME - 2);
    espimage_firmware_free(fw);
    elf_free(&file);
}

/* The last name has no NUL and the file ends behind it. */
static void test_unterminated_name(void **state)
{
    (void)state;
    struct espimage_error err;
    espimage_firmware *fw;
    struct elf_spec spec = elf_sdk;
    spec.table_first = true;
    struct elf_file file = elf_build(&spec);
    const struct elf_patch name = SHDR(SDK_DATA, sh_name, (uint32_t)(file.size - file.names - 1));
    const struct elf_patch size = SHDR(ELF_NAMES, sh_size, 0xFFFFFFFF);
    elf_apply(&file, &name);
    elf_apply(&file, &size);
    file.data[file.size - 1] = 'x';
    assert_ok(load(&file, &fw, &err), &err);
    assert_int_equal(espimage_firmware_section_count(fw), 5);
    assert_string_equal(espimage_firmware_section(fw, 0)->name, "x");
    espimage_firmware_free(fw);
    elf_free(&file);
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

#define MANY 65000U

/* `count` flash sections of one byte, from the last address to the first. */
static struct elf_section *many_sections(size_t count)
{
    struct elf_section *sections = calloc(count, sizeof *sections);
    assert_non_null(sections);
    for (size_t i = 0; i < count; i++) {
        uint32_t address = 0x40201010 + (uint32_t)(count - i - 1) * 3;
        sections[i] = (struct elf_section){"n", SHT_PROGBITS, SHF_ALLOC, address, 1, NULL};
    }
    return sections;
}

static void load_many(struct elf_file *file, size_t count)
{
    struct espimage_error err;
    espimage_firmware *fw;
    double start = seconds();
    assert_ok(load(file, &fw, &err), &err);
    assert_true(seconds() - start < 2.0);
    assert_int_equal(espimage_firmware_section_count(fw), count);
    assert_int_equal(espimage_firmware_irom(fw).size, (count - 1) * 3 + 1);
    espimage_firmware_free(fw);
}

static void test_many_sections(void **state)
{
    (void)state;
    for (unsigned extended = 0; extended < 2; extended++) {
        size_t count = extended != 0 ? MANY + 1000 : MANY;
        struct elf_section *sections = many_sections(count);
        const struct elf_spec spec = {0x40100000, sections, count, false, extended != 0};
        struct elf_file file = elf_build(&spec);
        load_many(&file, count);
        elf_free(&file);
        free(sections);
    }
}

/* Names that take long to look for: one NUL at the start, 8 MB without any behind it. */
static void test_many_endless_names(void **state)
{
    (void)state;
    struct elf_section *sections = many_sections(MANY);
    const struct elf_spec spec = {0x40100000, sections, MANY, true, false};
    struct elf_file file = elf_build(&spec);
    size_t more = 8000000;
    file.data = realloc(file.data, file.size + more);
    assert_non_null(file.data);
    memset(file.data + file.names + 1, 'a', file.size + more - file.names - 1);
    file.size += more;
    const struct elf_patch size = SHDR(ELF_NAMES, sh_size, (uint32_t)(file.size - file.names));
    elf_apply(&file, &size);
    load_many(&file, MANY);
    elf_free(&file);
    free(sections);
}

/* Whatever a byte is changed to: no crash, and either a firmware or a refusal that says why. */
static void test_random_damage(void **state)
{
    (void)state;
    struct random r = {20240607};
    struct elf_file good = elf_build(&elf_sdk);
    for (unsigned round = 0; round < 30000; round++) {
        struct espimage_error err = {0};
        espimage_firmware *fw = NULL;
        uint8_t *copy = malloc(good.size);
        assert_non_null(copy);
        memcpy(copy, good.data, good.size);
        for (unsigned n = 1 + random_below(&r, 4); n > 0; n--) {
            bool table = random_below(&r, 2) != 0;
            uint32_t at = table ? good.table + random_below(&r, (uint32_t)good.size - good.table)
                                : random_below(&r, 96);
            copy[at] = (uint8_t)random_u64(&r);
        }
        enum espimage_code code = espimage_firmware_from_elf(copy, good.size, &fw, &err);
        assert_true((code == ESPIMAGE_OK) == (fw != NULL));
        assert_true((code == ESPIMAGE_OK) == (err.found[0] == '\0'));
        espimage_firmware_free(fw);
        free(copy);
    }
    elf_free(&good);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sdk_like),
        cmocka_unit_test(test_table_first),
        cmocka_unit_test(test_extended_numbering),
        cmocka_unit_test(test_unaligned),
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_only_non_alloc),
        cmocka_unit_test(test_every_prefix_table_last),
        cmocka_unit_test(test_every_prefix_table_first),
        cmocka_unit_test(test_long_name_is_cut),
        cmocka_unit_test(test_unterminated_name),
        cmocka_unit_test(test_many_sections),
        cmocka_unit_test(test_many_endless_names),
        cmocka_unit_test(test_random_damage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) +
           run_table("elf refusals", refusals, test_refusal) +
           run_table("elf names", names, test_name);
}
