/* SPDX-License-Identifier: MIT */
#include "cli/options.h"
#include "cli/advice.h"

#include "base/error.h"
#include "base/text.h"
#include "cli/output.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const struct option_spec common_options[] = {
    {OPT_JSON, "json", NULL, 0, NULL, NULL, "report as JSON"},
    {OPT_HELP, "help", NULL, 'h', NULL, NULL, "show this help"},
    {0, NULL, NULL, 0, NULL, NULL, NULL},
};

const struct option_spec help_options[] = {
    {OPT_HELP, "help", NULL, 'h', NULL, NULL, "show this help"},
    {0, NULL, NULL, 0, NULL, NULL, NULL},
};

const struct option_spec flash_options[] = {
    {OPT_FLASH_MODE, "flash-mode", "fm mode", 0, "MODE", "qio qout dio dout",
     "how the flash is read (default qio)"},
    {OPT_FLASH_FREQ, "flash-freq", "ff freq", 0, "FREQ", "40m 26m 20m 80m",
     "clock of the flash (default 40m)"},
    {OPT_FLASH_SIZE, "flash-size", "fs size", 0, "SIZE",
     "512KB 256KB 1MB 2MB 4MB 2MB-c1 4MB-c1 8MB 16MB",
     "flash map (default: by the link addresses)"},
    {0, NULL, NULL, 0, NULL, NULL, NULL},
};

#define MAX_SPELLINGS 96

/* The spellings of one command for getopt, with the bytes they need. */
struct spellings {
    struct option longs[MAX_SPELLINGS];
    size_t count;
    char letters[2 * MAX_SPELLINGS + 2];
    char text[2048];
    size_t used;
};

static void add_spelling(struct spellings *s, const struct option_spec *spec, const char *word,
                         size_t length)
{
    if (s->count + 1 >= MAX_SPELLINGS || length + 1 > sizeof s->text - s->used) {
        abort(); /* the tables are ours: grow the bounds */
    }
    char *name = s->text + s->used;
    memcpy(name, word, length);
    name[length] = '\0';
    s->used += length + 1;
    s->longs[s->count++] = (struct option){
        name, spec->argument != NULL ? required_argument : no_argument, NULL, 256 + (int)spec->id};
}

static void collect(const struct command *command, struct spellings *s)
{
    char *letters = s->letters;
    *letters++ = ':';
    for (size_t g = 0; command->groups[g] != NULL; g++) {
        for (const struct option_spec *o = command->groups[g]; o->name != NULL; o++) {
            add_spelling(s, o, o->name, strlen(o->name));
            for (const char *word = o->others; word != NULL && *word != '\0';) {
                size_t length = strcspn(word, " ");
                add_spelling(s, o, word, length);
                word += length + (word[length] == ' ' ? 1 : 0);
            }
            if (o->letter != 0) {
                *letters++ = o->letter;
                if (o->argument != NULL) {
                    *letters++ = ':';
                }
            }
        }
    }
    *letters = '\0';
}

static const struct option_spec *spec_by_id(const struct command *command, int found)
{
    for (size_t g = 0; command->groups[g] != NULL; g++) {
        for (const struct option_spec *o = command->groups[g]; o->name != NULL; o++) {
            if (found == 256 + (int)o->id || found == o->letter) {
                return o;
            }
        }
    }
    return NULL;
}

/* esptool's scripts write --flash_size as well as --flash-size. */
static void underscores_to_hyphens(int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strncmp(argv[i], "--", 2) != 0) {
            continue;
        }
        for (char *c = argv[i] + 2; *c != '\0' && *c != '='; c++) {
            if (*c == '_') {
                *c = '-';
            }
        }
    }
}

/* Number of edits that turn one word into the other; words are short. */
static size_t distance(const char *a, const char *b)
{
    size_t row[64];
    size_t width = strlen(b);
    if (width >= sizeof row / sizeof row[0]) {
        return SIZE_MAX;
    }
    for (size_t j = 0; j <= width; j++) {
        row[j] = j;
    }
    for (size_t i = 1; a[i - 1] != '\0'; i++) {
        size_t corner = row[0];
        row[0] = i;
        for (size_t j = 1; j <= width; j++) {
            size_t change = corner + (a[i - 1] == b[j - 1] ? 0 : 1);
            size_t least = row[j] < row[j - 1] ? row[j] + 1 : row[j - 1] + 1;
            corner = row[j];
            row[j] = change < least ? change : least;
        }
    }
    return row[width];
}

static void keep_nearer(const char *word, const char *candidate, const char **best, size_t *least)
{
    size_t d = distance(word, candidate);
    if (d < *least) {
        *least = d;
        *best = candidate;
    }
}

const char *nearest_command(const char *word)
{
    const char *best = NULL;
    size_t least = strlen(word) / 2 + 1;
    for (size_t i = 0; commands[i] != NULL; i++) {
        keep_nearer(word, commands[i]->name, &best, &least);
    }
    return best;
}

static int unknown_option(const struct command *command, const char *word)
{
    const char *best = NULL;
    const char *bare = word + strspn(word, "-");
    size_t least = strlen(bare) / 2 + 1;
    for (size_t g = 0; command->groups[g] != NULL; g++) {
        for (const struct option_spec *o = command->groups[g]; o->name != NULL; o++) {
            if (o->help != NULL) {
                keep_nearer(bare, o->name, &best, &least);
            }
            if (o->help != NULL && strlen(bare) > 1 && strncmp(o->name, bare, strlen(bare)) == 0) {
                best = o->name;
                least = 0;
            }
        }
    }
    if (best != NULL) {
        return usage_error("%s: unknown option '%s'; did you mean '--%s'?", command->name, word,
                           best);
    }
    return usage_error("%s: unknown option '%s'; see: " PROGRAM " %s --help", command->name, word,
                       command->name);
}

int options_parse(const struct command *command, int argc, char **argv, option_handler *handler,
                  void *context, int *first)
{
    struct spellings spellings = {0};
    int found = 0;

    collect(command, &spellings);
    underscores_to_hyphens(argc, argv);
    opterr = 0;
    optind = 1;
    while ((found = getopt_long_only(argc, argv, spellings.letters, spellings.longs, NULL)) != -1) {
        const char *word = argv[optind - 1];
        if (found == ':') {
            return usage_error("%s: %s needs a value", command->name, word);
        }
        if (found == '?') {
            return unknown_option(command, word);
        }
        const struct option_spec *spec = spec_by_id(command, found);
        if (spec->id == OPT_HELP) {
            command_help(command);
            return 0;
        }
        struct espimage_error err;
        if (handler(context, spec->id, optarg, &err) != ESPIMAGE_OK) {
            char line[ESPIMAGE_ERROR_LINE];
            return usage_error("%s: --%s: %s", command->name, spec->name,
                               error_line(&err, line, sizeof line));
        }
    }
    *first = optind;
    return OPTIONS_GO_ON;
}

static enum espimage_code bad_value(enum option_id id, const char *value,
                                    struct espimage_error *err)
{
    error_found(err, ESPIMAGE_ERR_USAGE, "unknown value '%s'", value);
    for (const struct option_spec *o = flash_options; o->name != NULL; o++) {
        if (o->id == id) {
            error_wanted(err, "one of %s", o->values);
        }
    }
    return err->code;
}

enum espimage_code flash_option(struct flash_settings *settings, enum option_id id,
                                const char *value, struct espimage_error *err)
{
    const struct espimage_flash_setting *setting = NULL;
    switch (id) {
    case OPT_FLASH_MODE:
        setting = espimage_flash_mode_by_name(value);
        settings->mode = setting != NULL ? setting->code : 0;
        return setting != NULL ? ESPIMAGE_OK : bad_value(id, value, err);
    case OPT_FLASH_FREQ:
        setting = espimage_flash_freq_by_name(value);
        settings->freq = setting != NULL ? setting->code : 0;
        return setting != NULL ? ESPIMAGE_OK : bad_value(id, value, err);
    case OPT_FLASH_SIZE:
        settings->map = espimage_flash_map_by_name(value);
        return settings->map != NULL ? ESPIMAGE_OK : bad_value(id, value, err);
    default: return ESPIMAGE_OK;
    }
}

enum espimage_code number_option(const char *value, uint32_t lowest, uint32_t highest,
                                 uint32_t *out, struct espimage_error *err)
{
    char *end = NULL;
    errno = 0;
    bool hex = value[0] == '0' && (value[1] == 'x' || value[1] == 'X');
    unsigned long long number = strtoull(value, &end, hex ? 16 : 10);
    if (value[0] < '0' || value[0] > '9' || *end != '\0' || errno != 0 || number < lowest ||
        number > highest) {
        error_found(err, ESPIMAGE_ERR_USAGE, "'%s'", value);
        return error_wanted(err, "a number from %u to %u", lowest, highest);
    }
    *out = (uint32_t)number;
    return ESPIMAGE_OK;
}

int stdout_option(const struct command *command, const char *output, bool json, bool *to_stdout)
{
    *to_stdout = output != NULL && strcmp(output, "-") == 0;
    if (*to_stdout && json) {
        return usage_error("%s: -o - and --json both want standard output", command->name);
    }
    if (*to_stdout && isatty(STDOUT_FILENO)) {
        return usage_error("%s: standard output is a terminal; an image does not go there",
                           command->name);
    }
    return 0;
}

enum espimage_code app_option(const char *value, uint8_t *out, struct espimage_error *err)
{
    uint32_t number = 0;
    enum espimage_code code = number_option(value, 1, 2, &number, err);
    *out = (uint8_t)number;
    return code;
}

enum espimage_code profile_option(const char *value, enum espimage_profile *out,
                                  struct espimage_error *err)
{
    if (espimage_profile_by_name(value, out)) {
        return ESPIMAGE_OK;
    }
    error_found(err, ESPIMAGE_ERR_USAGE, "unknown value '%s'", value);
    return error_wanted(err, "one of " PROFILE_NAMES);
}

#define HELP_COLUMN 28
#define HELP_WIDTH  80

/* The words of a list, in as many lines as they need. */
static void values_help(const char *values)
{
    while (*values != '\0') {
        size_t room = HELP_WIDTH - HELP_COLUMN;
        size_t length = strlen(values);
        while (length > room) {
            const char *space = memrchr(values, ' ', length);
            if (space == NULL) {
                break;
            }
            length = (size_t)(space - values);
        }
        (void)printf("%*s%.*s\n", HELP_COLUMN, "", (int)length, values);
        values += length + strspn(values + length, " ");
    }
}

static void option_help(const struct option_spec *o)
{
    char left[80];
    char letter[8] = "";
    if (o->help == NULL) {
        return;
    }
    if (o->letter != 0) {
        (void)snprintf(letter, sizeof letter, "-%c, ", o->letter);
    }
    (void)snprintf(left, sizeof left, "  %s--%s%s%s", letter, o->name,
                   o->argument != NULL ? " " : "", o->argument != NULL ? o->argument : "");
    if (strlen(left) > HELP_COLUMN - 2) {
        (void)printf("%s\n%*s%s\n", left, HELP_COLUMN, "", o->help);
    } else {
        (void)printf("%-*s%s\n", HELP_COLUMN, left, o->help);
    }
    if (o->values != NULL) {
        values_help(o->values);
    }
}

void command_help(const struct command *command)
{
    (void)printf("Usage: " PROGRAM " %s [OPTION]...%s%s\n\n%s.\n", command->name,
                 command->arguments[0] != 0 ? " " : "", command->arguments, command->summary);
    if (command->details != NULL) {
        (void)printf("\n%s\n", command->details);
    }
    (void)printf("\nOptions:\n");
    for (size_t g = 0; command->groups[g] != NULL; g++) {
        for (const struct option_spec *o = command->groups[g]; o->name != NULL; o++) {
            option_help(o);
        }
    }
    (void)printf("\nExample:\n  %s\n", command->example);
}
