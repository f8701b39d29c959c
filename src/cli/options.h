/* SPDX-License-Identifier: MIT */
/* Commands and their options as tables: parsing, help and completions all come from them. */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include <espimage/error.h>
#include <espimage/image.h>
#include <stdbool.h>
#include <stdint.h>

enum option_id {
    OPT_ALL = 1,
    OPT_ALL_MSS,
    OPT_ALLOW,
    OPT_ANY_LAYOUT,
    OPT_APP,
    OPT_AUTO,
    OPT_BATCH,
    OPT_BEFORE_2018,
    OPT_BIND,
    OPT_BOOT,
    OPT_BOOT_VERSION,
    OPT_CANARY,
    OPT_DEVICES,
    OPT_DRAIN,
    OPT_DROP_AFTER,
    OPT_EXPECT,
    OPT_EXTRACT,
    OPT_REDACT,
    OPT_SECRETS,
    OPT_FLASH_FREQ,
    OPT_FLASH_MODE,
    OPT_FLASH_SIZE,
    OPT_FLIP_BIT,
    OPT_FOR,
    OPT_FORCE,
    OPT_HELP,
    OPT_IDLE_TIMEOUT,
    OPT_INIT_DATA,
    OPT_IROM_CHECKSUM,
    OPT_JSON,
    OPT_JUNIT,
    OPT_LOAD,
    OPT_LOG,
    OPT_MAX_CONNECTIONS,
    OPT_MAX_PER_ADDRESS,
    OPT_MAX_RATE,
    OPT_MAX_REQUEST,
    OPT_MSS,
    OPT_NO_BOOT,
    OPT_NO_SANDBOX,
    OPT_ONCE,
    OPT_OTA_SIZE,
    OPT_OUT_DIR,
    OPT_OUTPUT,
    OPT_PAGE,
    OPT_PAGE_PORT,
    OPT_PARALLEL,
    OPT_PATH_TOKEN,
    OPT_HOST,
    OPT_PLAN,
    OPT_PORT,
    OPT_POWER_CUT_AT,
    OPT_PROFILE,
    OPT_PROMISE,
    OPT_PROOF,
    OPT_REALISTIC,
    OPT_REQUEST_TIMEOUT,
    OPT_RESETS,
    OPT_RESUME,
    OPT_RETRY,
    OPT_RUN,
    OPT_RUNNING,
    OPT_SDK,
    OPT_SERVER,
    OPT_SETTLE,
    OPT_SPEED,
    OPT_STALL,
    OPT_STATE,
    OPT_STOP_AFTER,
    OPT_TAG,
    OPT_TIME,
    OPT_TRIGGER_PORT,
    OPT_UPDATES,
    OPT_VIA,
    OPT_WEB
};

struct option_spec {
    enum option_id id;
    const char *name;     /* "flash-size"; NULL ends a table */
    const char *others;   /* more spellings: "fs size", or NULL */
    char letter;          /* -o, or 0 */
    const char *argument; /* "FILE", "DIR", or another word for help; NULL: a flag */
    const char *values;   /* all that are allowed, "qio qout dio dout", or NULL */
    const char *help;     /* NULL: accepted, but not shown */
};

#define MAX_OPTION_GROUPS 6

struct command {
    const char *name;
    const char *arguments; /* "ELF..." */
    const char *files;     /* name patterns of its operands, "*.elf *.bin", or NULL */
    const char *summary;
    const char *details; /* a paragraph, or NULL */
    const char *example;
    const struct option_spec *groups[MAX_OPTION_GROUPS + 1]; /* ended by NULL */
    int (*run)(const struct command *self, int argc, char **argv);
};

/* All commands, ended by NULL. */
extern const struct command *const commands[];

/* For `groups`: --json and --help, --help alone, and the settings of the flash. */
extern const struct option_spec common_options[];
extern const struct option_spec help_options[];
extern const struct option_spec flash_options[];

struct flash_settings {
    const struct espimage_flash_map *map; /* NULL: not given */
    uint8_t mode;
    uint8_t freq;
};

/* What a command does with an option; value is NULL for a flag. Errors carry no file. */
typedef enum espimage_code option_handler(void *context, enum option_id id, const char *value,
                                          struct espimage_error *err);

/* Returned by options_parse() when the command goes on. */
#define OPTIONS_GO_ON (-1)

/* Parses argv[1..]; operands are left in argv[*first..argc-1]. --help is done here.
 * OPTIONS_GO_ON, or the exit status with everything said. */
int options_parse(const struct command *command, int argc, char **argv, option_handler *handler,
                  void *context, int *first);

/* Handles the three options of flash_options. */
enum espimage_code flash_option(struct flash_settings *settings, enum option_id id,
                                const char *value, struct espimage_error *err);

/* A decimal or 0x number within bounds. */
enum espimage_code number_option(const char *value, uint32_t lowest, uint32_t highest,
                                 uint32_t *out, struct espimage_error *err);

/* With "-" as the output *to_stdout is set: 0, or the exit status of a usage error when standard
 * output is a terminal or taken by --json. `output` may be NULL. */
int stdout_option(const struct command *command, const char *output, bool json, bool *to_stdout);

enum espimage_code app_option(const char *value, uint8_t *out, struct espimage_error *err);
/* Every profile; and those for the slots of Espressif's bootloader. */
#define PROFILE_NAMES      "sdk gen_appbin esptool rboot espruino rtos1"
#define SLOT_PROFILE_NAMES "sdk gen_appbin esptool espruino rtos1"
enum espimage_code profile_option(const char *value, enum espimage_profile *out,
                                  struct espimage_error *err);

void command_help(const struct command *command);

/* The name of the command most like `word`, or NULL when none is. */
const char *nearest_command(const char *word);

#endif
