/* SPDX-License-Identifier: MIT */
#include "base/error.h"
#include "cli/commands.h"
#include "cli/legacy.h"
#include "cli/output.h"

#include <errno.h>
#include <espimage/version.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

const struct command *const commands[] = {
    &cmd_serve,  &cmd_push,    &cmd_probe, &cmd_simulate,   &cmd_convert, &cmd_info,
    &cmd_verify, &cmd_factory, &cmd_maps,  &cmd_completion, NULL,
};

static void help(void)
{
    (void)printf("Usage: " PROGRAM " COMMAND [OPTION]... [FILE]...\n\n"
                 "ESP8266 firmware for the new bootloader: from ELF to image to device.\n\n"
                 "Commands:\n");
    for (size_t i = 0; commands[i] != NULL; i++) {
        (void)printf("  %-12s%s\n", commands[i]->name, commands[i]->summary);
    }
    (void)printf("\n  " PROGRAM " COMMAND --help   what a command takes\n"
                 "  " PROGRAM " --version        the version\n");
}

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; commands[i] != NULL; i++) {
        if (strcmp(commands[i]->name, name) == 0) {
            return commands[i];
        }
    }
    return NULL;
}

static int run(int argc, char **argv)
{
    if (argc < 2) {
        return usage_error("no command given; see: " PROGRAM " --help");
    }
    const char *word = argv[1];
    const struct command *command = find_command(word);
    if (command != NULL) {
        return command->run(command, argc - 1, argv + 1);
    }
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0) {
        help();
        return 0;
    }
    if (strcmp(word, "--version") == 0) {
        (void)printf(PROGRAM " %s\n", espimage_version());
        return 0;
    }
    /* A mistyped command with an ELF behind it is no command line of ESPImageTool's. */
    const char *near = nearest_command(word);
    int status = 0;
    if ((near == NULL || access(word, F_OK) == 0) && legacy_run(argc, argv, &status)) {
        return status;
    }
    if (near != NULL) {
        return usage_error("unknown command '%s'; did you mean '%s'?", word, near);
    }
    return usage_error("unknown command '%s'; see: " PROGRAM " --help", word);
}

/* With a standard descriptor closed, the next file or socket would get its number, and a line of
 * the log would end up in it. They are opened the wrong way round, so that reading and writing fail
 * as they do on a closed descriptor. */
static bool occupy_closed_descriptors(void)
{
    static const int modes[] = {O_WRONLY, O_RDONLY, O_RDONLY};
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", modes[fd]) != fd) {
            return false;
        }
    }
    return true;
}

int main(int argc, char **argv)
{
    if (!occupy_closed_descriptors()) {
        struct espimage_error err;
        error_found(&err, ESPIMAGE_ERR_IO,
                    "cannot open /dev/null in place of a closed descriptor: %s", strerror(errno));
        return print_error(&err);
    }
    /* A limit on the size of files is an error of writing like others: it is told, and `serve` goes
     * on. */
    (void)signal(SIGXFSZ, SIG_IGN);
    return close_stdout(run(argc, argv));
}
