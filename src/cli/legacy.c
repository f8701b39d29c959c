/* SPDX-License-Identifier: MIT */
#include "cli/legacy.h"

#include "base/text.h"
#include "cli/commands.h"
#include "cli/output.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static int find(int argc, char **argv, const char *word)
{
    for (int i = 1; i < argc; i++) {
        if (text_same(argv[i], word)) {
            return i;
        }
    }
    return 0;
}

static bool ends_in(const char *text, const char *end)
{
    size_t length = strlen(text);
    size_t wanted = strlen(end);
    return length >= wanted && text_same(text + length - wanted, end);
}

/* A mistyped command is no file; an ELF that is missing still looks like one. */
static bool names_a_file(int argc, char **argv)
{
    struct stat status;
    for (int i = 1; i < argc; i++) {
        if (argv[i][0] != '-' &&
            (ends_in(argv[i], ".elf") || ends_in(argv[i], ".out") || stat(argv[i], &status) == 0)) {
            return true;
        }
    }
    return false;
}

static int refuse_serial(int argc, char **argv)
{
    if (find(argc, argv, "--program") != 0 || find(argc, argv, "--erase") != 0) {
        return usage_error("--program and --erase are not done here: convert, then write the files "
                           "with esptool.py write_flash");
    }
    return 0;
}

/* New argv: the command, words put in front, then the old words but those at skip, skip + 1. */
static int run_as(const struct command *command, const char *const *front, size_t front_count,
                  int argc, char **argv, int skip)
{
    char **words = calloc((size_t)argc + front_count + 2, sizeof *words);
    int count = 0;
    if (words == NULL) {
        return usage_error("out of memory");
    }
    words[count++] = (char *)(uintptr_t)command->name;
    for (size_t i = 0; i < front_count; i++) {
        words[count++] = (char *)(uintptr_t)front[i];
    }
    for (int i = 1; i < argc; i++) {
        if (skip == 0 || (i != skip && i != skip + 1)) {
            words[count++] = argv[i];
        }
    }
    int status = command->run(command, count, words);
    free(words);
    return status;
}

bool legacy_run(int argc, char **argv, int *status)
{
    int ota = find(argc, argv, "--ota");
    if (ota == 0 && !names_a_file(argc, argv)) {
        return false;
    }
    *status = refuse_serial(argc, argv);
    if (*status != 0) {
        return true;
    }
    if (ota == 0) {
        const char *const front[] = {"--any-layout"};
        *status = run_as(&cmd_convert, front, 1, argc, argv, 0);
        return true;
    }
    if (ota + 1 >= argc) {
        *status = usage_error("--OTA needs a port: --OTA 8888 app1.elf app2.elf");
        return true;
    }
    const char *const front[] = {"--once", "--port", argv[ota + 1]};
    *status = run_as(&cmd_serve, front, 3, argc, argv, ota);
    return true;
}
