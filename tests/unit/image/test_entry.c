/* SPDX-License-Identifier: MIT */
#include "image/entry.h"

#include "base/bytes.h"
#include "support/elf_builder.h"
#include "support/firmware_builder.h"
#include "support/random.h"
#include "support/test.h"

#include <stdlib.h>
#include <string.h>

#define TEXT      UINT32_C(0x40100000)
#define FUNCTION  ELF32_ST_INFO(STB_GLOBAL, STT_FUNC)
#define LABEL     ELF32_ST_INFO(STB_GLOBAL, STT_NOTYPE)
#define OBJECT    ELF32_ST_INFO(STB_GLOBAL, STT_OBJECT)
#define CODE      UINT32_C(0x21F0C112) /* addi a1, a1, -16; l32r */
#define UNDEFINED true

enum { S_TEXT, S_IROM, S_SYMBOLS, S_STRINGS, S_COUNT };

struct symbol {
    const char *name;
    uint32_t address;
    uint8_t info;
    bool undefined;
};

struct entry_case {
    const char *name;
    uint32_t entry;
    uint32_t word; /* at the start of .text; CODE follows */
    struct symbol symbols[3];
    const char *doubt; /* part of it; "": none */
};

static const struct entry_case rows[] = {
    {"a function", TEXT, CODE, {{"call_user_start", TEXT, FUNCTION}}, ""},
    {"a function behind its literals",
     TEXT + 4,
     0x3FFE8000,
     {{"firmware_start", TEXT + 4, FUNCTION}},
     ""},
    {"a start label of an assembler", TEXT, CODE, {{"call_user_start1", TEXT, LABEL}}, ""},
    {"the literals in front of it",
     TEXT,
     0x40100000,
     {{"call_user_start", TEXT + 4, FUNCTION}},
     "the entry point 0x40100000 is not call_user_start, which is at 0x40100004"},
    {"a start symbol that is only wanted",
     TEXT,
     0x3FFFC000,
     {{"call_user_start1", 0, FUNCTION, UNDEFINED}, {"put_text", TEXT + 8, FUNCTION}},
     "the entry point 0x40100000 is a literal (0x3FFFC000), not code"},
    {"a constant that is no address",
     TEXT,
     1000,
     {{"main", TEXT + 4, FUNCTION}},
     "no function begins at the entry point 0x40100000"},
    {"a label of the linker script is no function",
     TEXT,
     1000,
     {{"_text_start", TEXT, LABEL}, {"main", TEXT + 4, FUNCTION}},
     "no function begins at the entry point 0x40100000"},
    {"data of that address", TEXT, 1000, {{"x", TEXT, OBJECT}}, ""},
    {"no symbols, code", TEXT, CODE, {{NULL, 0, 0}}, ""},
    {"no symbols, an address",
     TEXT,
     0x40100000,
     {{NULL, 0, 0}},
     "the entry point 0x40100000 is a literal (0x40100000), not code"},
    {"no symbols, a constant", TEXT, 1000, {{NULL, 0, 0}}, ""},
    {"labels alone, code", TEXT, CODE, {{"_text_start", TEXT, LABEL}}, ""},
    {"labels alone, an address",
     TEXT,
     0x40201010,
     {{"_text_start", TEXT, LABEL}},
     "is a literal (0x40201010)"},
};

struct tables {
    uint8_t text[16];
    uint8_t symbols[4 * sizeof(Elf32_Sym)];
    char strings[200];
    struct elf_section sections[S_COUNT];
};

static void fill_tables(const struct entry_case *row, struct tables *t)
{
    size_t count = 1; /* the first symbol is none */
    size_t at = 1;
    memset(t, 0, sizeof *t);
    put_le32(t->text, row->word);
    put_le32(t->text + 4, CODE);
    for (size_t i = 0; i < COUNT(row->symbols) && row->symbols[i].name != NULL; i++, count++) {
        uint8_t *p = t->symbols + count * sizeof(Elf32_Sym);
        put_le32(p, (uint32_t)at);
        put_le32(p + offsetof(Elf32_Sym, st_value), row->symbols[i].address);
        p[offsetof(Elf32_Sym, st_info)] = row->symbols[i].info;
        p[offsetof(Elf32_Sym, st_shndx)] = row->symbols[i].undefined ? 0 : 1;
        strcpy(t->strings + at, row->symbols[i].name);
        at += strlen(row->symbols[i].name) + 1;
    }
    const struct elf_section sections[S_COUNT] = {
        {".text", SHT_PROGBITS, SHF_ALLOC | SHF_EXECINSTR, TEXT, sizeof t->text, t->text},
        {".irom0.text", SHT_PROGBITS, SHF_ALLOC, 0x40201010, 64, NULL},
        {".symtab", SHT_SYMTAB, 0, 0, (uint32_t)(count * sizeof(Elf32_Sym)), t->symbols},
        {".strtab", SHT_STRTAB, 0, 0, (uint32_t)at, (const uint8_t *)t->strings},
    };
    memcpy(t->sections, sections, sizeof sections);
}

static struct elf_file build(const struct entry_case *row)
{
    struct tables t;
    fill_tables(row, &t);
    const struct elf_spec spec = {row->entry, t.sections, S_COUNT, false, false};
    struct elf_file file = elf_build(&spec);
    const struct elf_patch link = SHDR(S_SYMBOLS, sh_link, S_STRINGS + 1);
    elf_apply(&file, &link);
    return file;
}

static void test_entry(void **state)
{
    const struct entry_case *row = *state;
    struct espimage_error err;
    espimage_firmware *fw = NULL;
    struct espimage_bytes built = {0};
    struct espimage_notes notes = ESPIMAGE_NOTES_INIT;
    struct espimage_build_options options = options_usual();
    struct elf_file file = build(row);
    assert_ok(espimage_firmware_from_elf(file.data, file.size, &fw, &err), &err);
    if (row->doubt[0] == '\0') {
        assert_string_equal(espimage_firmware_entry_doubt(fw), "");
    } else {
        assert_mentions(espimage_firmware_entry_doubt(fw), row->doubt);
    }
    assert_ok(espimage_image_build(fw, &options, &built, &notes, &err), &err);
    assert_int_equal(notes.count, row->doubt[0] != '\0' ? 1 : 0);
    if (notes.count > 0) {
        assert_mentions(notes.text[0], row->doubt);
        assert_mentions(notes.text[0], "crashes");
    }
    espimage_bytes_free(&built);
    espimage_firmware_free(fw);
    elf_free(&file);
}

/* Any bytes in the headers of the two tables and in the symbols: less is known, nothing breaks. */
static void test_hostile_symbols(void **state)
{
    (void)state;
    struct random r = {11};
    for (int round = 0; round < 3000; round++) {
        struct espimage_error err;
        espimage_firmware *fw = NULL;
        struct elf_file file = build(&rows[3]);
        for (uint32_t i = 0; i < 1 + random_below(&r, 3); i++) {
            int section = S_SYMBOLS + (int)random_below(&r, 2);
            size_t field = 4 * random_below(&r, sizeof(Elf32_Shdr) / 4);
            const uint32_t values[] = {
                0, 1, 15, (uint32_t)file.size, UINT32_MAX, (uint32_t)random_u64(&r)};
            const struct elf_patch patch = {section, field, 4,
                                            values[random_below(&r, COUNT(values))]};
            elf_apply(&file, &patch);
        }
        if (espimage_firmware_from_elf(file.data, file.size, &fw, &err) == ESPIMAGE_OK) {
            assert_true(strlen(espimage_firmware_entry_doubt(fw)) < ENTRY_DOUBT_SIZE);
            espimage_firmware_free(fw);
        }
        elf_free(&file);
    }
}

static void test_words(void **state)
{
    (void)state;
    static const uint32_t literals[] = {0x3FF00000, 0x3FFE8000, 0x3FFFC000, 0x40000080,
                                        0x40100000, 0x40201010, 0x402FFFFC};
    static const uint32_t others[] = {0,          1000,       CODE,      0x3FEFFFFF,
                                      0x40300000, 0x60000000, 0xFFFFFFFF};
    for (size_t i = 0; i < COUNT(literals); i++) {
        assert_true(entry_word_is_literal(literals[i]));
        assert_false(entry_word_is_literal(others[i]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_hostile_symbols),
    };
    int failures = cmocka_run_group_tests_name("entry", tests, NULL, NULL);
    return failures + run_table("entry points", rows, test_entry);
}
