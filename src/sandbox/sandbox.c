/* SPDX-License-Identifier: MIT */
/* Landlock by its system calls: the C library has no functions for them, and linux/landlock.h may
 * be older than the kernel. */
#include "sandbox/sandbox.h"

#include "sandbox/capabilities.h"
#include "sandbox/system_calls.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The same on every architecture. */
#define CREATE_RULESET 444
#define ADD_RULE       445
#define RESTRICT_SELF  446

#define VERSION_FLAG  1U
#define BENEATH       1
#define READ_FILE     (UINT64_C(1) << 2)
#define READ_DIR      (UINT64_C(1) << 3)
#define NET_RIGHTS    UINT64_C(3) /* bind and connect, TCP */
#define SCOPES        UINT64_C(3) /* abstract UNIX sockets, signals */
#define ABI_NET       4
#define ABI_SCOPES    6
#define BITS(highest) ((UINT64_C(2) << (highest)) - 1)

struct ruleset {
    uint64_t files;
    uint64_t net;
    uint64_t scopes;
};

struct __attribute__((packed)) beneath {
    uint64_t allowed;
    int32_t folder;
};

/* Every right to files that this version of Landlock knows, so that all are taken away. */
static uint64_t file_rights(long abi)
{
    static const unsigned highest[] = {12, 13, 14, 14, 15};
    size_t last = sizeof highest / sizeof highest[0];
    return BITS(highest[(abi < (long)last ? (size_t)abi : last) - 1]);
}

static int make_ruleset(long abi)
{
    const struct ruleset rules = {file_rights(abi), abi >= ABI_NET ? NET_RIGHTS : 0,
                                  abi >= ABI_SCOPES ? SCOPES : 0};
    size_t size = abi >= ABI_SCOPES ? sizeof rules
                  : abi >= ABI_NET  ? offsetof(struct ruleset, scopes)
                                    : offsetof(struct ruleset, net);
    return (int)syscall(CREATE_RULESET, &rules, size, 0);
}

static bool allow(int ruleset, const char *folder, uint64_t rights)
{
    struct beneath rule = {rights, open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC)};
    bool added = rule.folder >= 0 && syscall(ADD_RULE, ruleset, BENEATH, &rule, 0) == 0;
    if (rule.folder >= 0) {
        (void)close(rule.folder);
    }
    return added;
}

/* Cuts the last component off. */
static void to_folder(char *path)
{
    char *slash = strrchr(path, '/');
    if (slash == NULL) {
        memcpy(path, ".", sizeof ".");
    } else {
        slash[slash == path ? 1 : 0] = '\0';
    }
}

/* Too much lies in there to be opened for a build's sake. */
static bool is_too_wide(const char *folder)
{
    char home[PATH_MAX];
    const char *named = getenv("HOME");
    if (strrchr(folder, '/') == folder) {
        return true;
    }
    size_t size = strlen(folder);
    return named != NULL && realpath(named, home) != NULL && strncmp(home, folder, size) == 0 &&
           (home[size] == '/' || home[size] == '\0');
}

static void allow_if_narrow(int ruleset, const char *folder)
{
    char real[PATH_MAX];
    if (realpath(folder, real) != NULL && !is_too_wide(real)) {
        (void)allow(ruleset, real, READ_FILE);
    }
}

/* The folder of a file, and the one above it. */
static bool allow_around(int ruleset, const char *file)
{
    char path[PATH_MAX];
    if (snprintf(path, sizeof path, "%s", file) >= (int)sizeof path) {
        return false;
    }
    to_folder(path);
    bool allowed = allow(ruleset, path, READ_FILE);
    if (path[0] == '/') {
        to_folder(path);
        allow_if_narrow(ruleset, path);
    } else {
        allow_if_narrow(ruleset, ".");
    }
    return allowed;
}

static bool allow_file(int ruleset, const char *file)
{
    char real[PATH_MAX];
    return allow_around(ruleset, file) && realpath(file, real) != NULL &&
           allow_around(ruleset, real);
}

/* What instruments need: sanitizers look at /proc when they report, counters of lines are written
 * when the process ends. */
static bool allow_tools(int ruleset, long abi)
{
#if defined SANDBOX_FOR_SANITIZER
    (void)abi;
    return allow(ruleset, "/proc", READ_FILE | READ_DIR);
#elif defined SANDBOX_FOR_COUNTERS
    return allow(ruleset, SANDBOX_FOR_COUNTERS, file_rights(abi));
#else
    (void)ruleset;
    (void)abi;
    return true;
#endif
}

static bool restrict_to(long abi, const char *const *files, size_t count)
{
    int ruleset = make_ruleset(abi);
    if (ruleset < 0) {
        return false;
    }
    bool allowed = allow_tools(ruleset, abi);
    for (size_t i = 0; i < count && allowed; i++) {
        allowed = allow_file(ruleset, files[i]);
    }
    bool done = allowed && syscall(RESTRICT_SELF, ruleset, 0) == 0;
    (void)close(ruleset);
    return done;
}

/* Appends to the line. */
__attribute__((format(printf, 2, 3))) static void say(char text[SANDBOX_TEXT], const char *format,
                                                      ...)
{
    size_t length = strlen(text);
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text + length, SANDBOX_TEXT - length, format, arguments);
    va_end(arguments);
}

static void drop_capabilities(bool bound, char text[SANDBOX_TEXT])
{
    char left[CAPABILITIES_TEXT];
    if (capabilities_drop(bound, left)) {
        say(text, ", %s", left);
    } else {
        say(text, " (capabilities are kept: %s)", strerror(errno));
    }
}

/* What both keep from happening is said once, also when the kernel has but one of them. */
static void deny(const char *const *files, size_t count, char text[SANDBOX_TEXT])
{
    long abi = syscall(CREATE_RULESET, NULL, (size_t)0, VERSION_FLAG);
    bool landlock = abi >= 1 && restrict_to(abi, files, count);
    const char *no_landlock = abi >= 1 ? strerror(errno) : "the kernel has none";
    bool seccomp = system_calls_deny();
    const char *no_seccomp = strerror(errno);
    say(text, "%s%s%s", landlock ? ", reads in the folders of the ELFs only" : "",
        landlock || seccomp ? ", writes nothing, starts nothing" : "",
        seccomp                      ? ", no new sockets"
        : landlock && abi >= ABI_NET ? ", no other TCP"
                                     : "");
    if (!landlock) {
        say(text, " (no Landlock: %s)", no_landlock);
    }
    if (!seccomp) {
        say(text, " (no seccomp: %s)", no_seccomp);
    }
}

void sandbox_enter(const char *const *files, size_t count, bool bound, char text[SANDBOX_TEXT])
{
    text[0] = '\0';
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
        say(text, "none: %s", strerror(errno));
        return;
    }
    say(text, "no new privileges");
    drop_capabilities(bound, text);
    deny(files, count, text);
}
