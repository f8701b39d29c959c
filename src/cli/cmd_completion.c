/* SPDX-License-Identifier: MIT */
/* completion: what bash, zsh and fish need to complete our command lines, from the tables. */
#include "cli/commands.h"
#include "cli/output.h"

#include <stdio.h>
#include <string.h>

static enum espimage_code set_option(void *context, enum option_id id, const char *value,
                                     struct espimage_error *err)
{
    (void)context;
    (void)id;
    (void)value;
    (void)err;
    return ESPIMAGE_OK;
}

typedef void option_printer(const struct command *command, const struct option_spec *option);

static void each_option(const struct command *command, option_printer *print)
{
    for (size_t g = 0; command->groups[g] != NULL; g++) {
        for (const struct option_spec *o = command->groups[g]; o->name != NULL; o++) {
            if (o->help != NULL) {
                print(command, o);
            }
        }
    }
}

static bool takes_file(const struct option_spec *o)
{
    return o->argument != NULL && o->values == NULL && strcmp(o->argument, "FILE") == 0;
}

static bool takes_folder(const struct option_spec *o)
{
    return o->argument != NULL && strcmp(o->argument, "DIR") == 0;
}

/* ---- bash ---- */

static void bash_word(const struct command *command, const struct option_spec *o)
{
    (void)command;
    (void)printf(" --%s", o->name);
}

static void bash_value(const struct command *command, const struct option_spec *o)
{
    if (o->argument == NULL) {
        return;
    }
    (void)printf("        '%s --%s'", command->name, o->name);
    if (o->letter != 0) {
        (void)printf(" | '%s -%c'", command->name, o->letter);
    }
    if (o->values != NULL) {
        (void)printf(") values='%s' ;;\n", o->values);
    } else {
        (void)printf(") action=%s ;;\n", takes_folder(o) ? "-d" : takes_file(o) ? "-f" : "''");
    }
}

static void print_bash(void)
{
    (void)printf("# bash completion for " PROGRAM "\n"
                 "_" PROGRAM "()\n{\n"
                 "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}\n"
                 "    local command=${COMP_WORDS[1]} options='' values='' action=none\n"
                 "    COMPREPLY=()\n"
                 "    if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
                 "        mapfile -t COMPREPLY < <(compgen -W '");
    for (size_t i = 0; commands[i] != NULL; i++) {
        (void)printf("%s ", commands[i]->name);
    }
    (void)printf("--help --version' -- \"$cur\")\n        return\n    fi\n"
                 "    case \"$command $prev\" in\n");
    for (size_t i = 0; commands[i] != NULL; i++) {
        each_option(commands[i], bash_value);
    }
    (void)printf("    esac\n    case $command in\n");
    for (size_t i = 0; commands[i] != NULL; i++) {
        (void)printf("        %s) options='", commands[i]->name);
        each_option(commands[i], bash_word);
        (void)printf("' ;;\n");
    }
    (void)printf(
        "    esac\n"
        "    if [ -n \"$values\" ]; then\n"
        "        mapfile -t COMPREPLY < <(compgen -W \"$values\" -- \"$cur\")\n"
        "    elif [ \"$action\" != none ]; then\n"
        "        [ -z \"$action\" ] || mapfile -t COMPREPLY < <(compgen \"$action\" -- \"$cur\")\n"
        "    elif [ \"${cur:0:1}\" = - ]; then\n"
        "        mapfile -t COMPREPLY < <(compgen -W \"$options\" -- \"$cur\")\n"
        "    elif [ \"$command\" = completion ]; then\n"
        "        mapfile -t COMPREPLY < <(compgen -W 'bash zsh fish' -- \"$cur\")\n"
        "    elif [ \"$command\" = push ] && [ \"${cur:0:1}\" = @ ]; then\n"
        "        mapfile -t COMPREPLY < <(compgen -f -P @ -- \"${cur:1}\")\n"
        "    else\n"
        "        mapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n"
        "    fi\n"
        "}\n"
        "complete -o filenames -F _" PROGRAM " " PROGRAM "\n");
}

/* ---- zsh ---- */

/* Quotes for '...' with : and [ ] escaped, as _arguments reads them. */
static void zsh_text(const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '\'') {
            (void)printf("'\\''");
        } else if (strchr("[]:", *text) != NULL) {
            (void)printf("\\%c", *text);
        } else {
            (void)putchar(*text);
        }
    }
}

static void zsh_option(const struct command *command, const struct option_spec *o)
{
    (void)command;
    if (o->letter != 0) {
        (void)printf("                '(-%c --%s)'{-%c,--%s}'[", o->letter, o->name, o->letter,
                     o->name);
    } else {
        (void)printf("                '--%s[", o->name);
    }
    zsh_text(o->help);
    (void)printf("]");
    if (o->argument != NULL) {
        (void)printf(":");
        zsh_text(o->argument);
        (void)printf(":");
        if (o->values != NULL) {
            (void)printf("(%s)", o->values);
        } else if (takes_folder(o)) {
            (void)printf("_files -/");
        } else if (takes_file(o)) {
            (void)printf("_files");
        }
    }
    (void)printf("' \\\n");
}

static void print_zsh(void)
{
    (void)printf("#compdef " PROGRAM "\n"
                 "_" PROGRAM "() {\n"
                 "    local -a commands\n"
                 "    commands=(\n");
    for (size_t i = 0; commands[i] != NULL; i++) {
        (void)printf("        '%s:", commands[i]->name);
        zsh_text(commands[i]->summary);
        (void)printf("'\n");
    }
    (void)printf("    )\n"
                 "    if (( CURRENT == 2 )); then\n"
                 "        _describe command commands\n"
                 "        return\n"
                 "    fi\n"
                 "    local command=$words[2]\n"
                 "    shift words\n"
                 "    (( CURRENT-- ))\n"
                 "    case $command in\n");
    for (size_t i = 0; commands[i] != NULL; i++) {
        (void)printf("        %s)\n", commands[i]->name);
        if (strcmp(commands[i]->name, "push") == 0) {
            (void)printf("            compset -P @ && { _files; return }\n");
        }
        (void)printf("            _arguments \\\n");
        each_option(commands[i], zsh_option);
        (void)printf("                '*:file:_files'\n            ;;\n");
    }
    (void)printf("    esac\n}\n"
                 /* Autoloaded, the first call is this file itself. */
                 "if [ \"$funcstack[1]\" = _" PROGRAM " ]; then\n"
                 "    _" PROGRAM " \"$@\"\n"
                 "else\n"
                 "    compdef _" PROGRAM " " PROGRAM "\n"
                 "fi\n");
}

/* ---- fish ---- */

static void fish_text(const char *text)
{
    for (; *text != '\0'; text++) {
        (void)printf(*text == '\'' || *text == '\\' ? "\\%c" : "%c", *text);
    }
}

static void fish_option(const struct command *command, const struct option_spec *o)
{
    (void)printf("complete -c " PROGRAM " -n '__fish_seen_subcommand_from %s' -l %s", command->name,
                 o->name);
    if (o->letter != 0) {
        (void)printf(" -s %c", o->letter);
    }
    if (o->values != NULL) {
        (void)printf(" -x -a '%s'", o->values);
    } else if (takes_folder(o)) {
        (void)printf(" -x -a '(__fish_complete_directories)'");
    } else if (o->argument != NULL) {
        (void)printf(" -r");
    }
    (void)printf(" -d '");
    fish_text(o->help);
    (void)printf("'\n");
}

static void print_fish(void)
{
    (void)printf("# fish completion for " PROGRAM "\n");
    for (size_t i = 0; commands[i] != NULL; i++) {
        (void)printf("complete -c " PROGRAM " -n __fish_use_subcommand -f -a %s -d '",
                     commands[i]->name);
        fish_text(commands[i]->summary);
        (void)printf("'\n");
    }
    for (size_t i = 0; commands[i] != NULL; i++) {
        each_option(commands[i], fish_option);
    }
}

static int run(const struct command *self, int argc, char **argv)
{
    int first = 0;
    int status = options_parse(self, argc, argv, set_option, NULL, &first);
    if (status != OPTIONS_GO_ON) {
        return status;
    }
    const char *shell = first + 1 == argc ? argv[first] : "";
    if (strcmp(shell, "bash") == 0) {
        print_bash();
    } else if (strcmp(shell, "zsh") == 0) {
        print_zsh();
    } else if (strcmp(shell, "fish") == 0) {
        print_fish();
    } else {
        return usage_error("completion: name one shell: bash, zsh or fish");
    }
    return 0;
}

const struct command cmd_completion = {
    .name = "completion",
    .arguments = "bash|zsh|fish",
    .summary = "Print the completions for a shell",
    .example = PROGRAM " completion bash > " PROGRAM ".bash",
    .groups = {help_options, NULL},
    .run = run,
};
