/* SPDX-License-Identifier: MIT */
/* What a process can still do in the sandbox, tried in children: there is no way out of it. */
#include "server/sandbox.h"
#include "support/test.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOBODY 65534
#define SKIP   77

#define CAP_BIT(capability) (1U << (capability))

struct row {
    const char *name;
    void (*body)(void); /* in a child, which it may end with SKIP */
};

static char folder[PATH_MAX - 16];
static char elf[PATH_MAX];
/* Shared with the children. */
static struct {
    char protection[SANDBOX_TEXT];
    char fault[200];
} * seen;

/* ---- in the child ---- */

__attribute__((format(printf, 2, 3))) static void expect(bool good, const char *format, ...)
{
    va_list arguments;
    if (!good && seen->fault[0] == '\0') {
        va_start(arguments, format);
        (void)vsnprintf(seen->fault, sizeof seen->fault, format, arguments);
        va_end(arguments);
    }
}

static void enter(void)
{
    const char *files[] = {elf};
    sandbox_enter(files, 1, seen->protection);
}

static bool is_readable(const char *path)
{
    char byte = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool readable = fd >= 0 && read(fd, &byte, 1) == 1;
    if (fd >= 0) {
        (void)close(fd);
    }
    return readable;
}

/* ---- capabilities ---- */

typedef struct __user_cap_data_struct capability_sets[_LINUX_CAPABILITY_U32S_3];

static void get_sets(capability_sets sets)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    expect(syscall(SYS_capget, &header, sets) == 0, "no capabilities to be seen");
}

static void set_sets(uint32_t capabilities)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    const capability_sets sets = {
        {.effective = capabilities, .permitted = capabilities, .inheritable = capabilities}};
    expect(syscall(SYS_capset, &header, sets) == 0, "cannot set capabilities");
}

static void expect_only(uint32_t wanted)
{
    capability_sets sets = {{0}};
    get_sets(sets);
    expect(sets[0].effective == wanted && sets[0].permitted == wanted && sets[0].inheritable == 0,
           "capabilities are 0x%x, 0x%x, 0x%x", sets[0].effective, sets[0].permitted,
           sets[0].inheritable);
    expect((sets[1].effective | sets[1].permitted | sets[1].inheritable) == 0, "later ones too");
    for (unsigned long i = 0; prctl(PR_CAPBSET_READ, i, 0, 0, 0) >= 0; i++) {
        expect(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, i, 0, 0) == 0, "%lu is ambient", i);
    }
}

static void expect_no_bound(void)
{
    for (unsigned long i = 0; prctl(PR_CAPBSET_READ, i, 0, 0, 0) >= 0; i++) {
        expect(prctl(PR_CAPBSET_READ, i, 0, 0, 0) == 0, "%lu is in the bounding set", i);
    }
}

/* SKIP without those: not root, or root without rights. */
static void need(uint32_t wanted)
{
    capability_sets sets = {{0}};
    get_sets(sets);
    if ((sets[0].effective & wanted) != wanted) {
        _exit(SKIP);
    }
}

/* The ELF belongs to somebody else now, and only they may read it. */
static void give_away(void)
{
    if (chown(elf, NOBODY, NOBODY) != 0) {
        _exit(SKIP); /* a user namespace without such a user */
    }
}

static void as_root(void)
{
    need(CAP_BIT(CAP_DAC_READ_SEARCH) | CAP_BIT(CAP_SETPCAP) | CAP_BIT(CAP_CHOWN));
    give_away();
    enter();
    expect(strstr(seen->protection, ", no capability but CAP_DAC_READ_SEARCH") != NULL, "not said");
    expect_only(CAP_BIT(CAP_DAC_READ_SEARCH));
    expect_no_bound();
    expect(is_readable(elf), "cannot read the file of somebody else");
}

/* Containers often have this one, but not the lesser one. */
static void as_root_of_a_container(void)
{
    need(CAP_BIT(CAP_DAC_OVERRIDE) | CAP_BIT(CAP_SETPCAP) | CAP_BIT(CAP_CHOWN));
    give_away();
    set_sets(CAP_BIT(CAP_DAC_OVERRIDE) | CAP_BIT(CAP_SETPCAP) | CAP_BIT(CAP_NET_RAW));
    enter();
    expect(strstr(seen->protection, ", no capability but CAP_DAC_OVERRIDE") != NULL, "not said");
    expect_only(CAP_BIT(CAP_DAC_OVERRIDE));
    expect_no_bound();
    expect(is_readable(elf), "cannot read the file of somebody else");
}

/* As a service manager passes one to a user, who may not change the bounding set. */
static void with_an_ambient_capability(void)
{
    need(CAP_BIT(CAP_NET_BIND_SERVICE));
    set_sets(CAP_BIT(CAP_NET_BIND_SERVICE));
    expect(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_BIND_SERVICE, 0, 0) == 0,
           "cannot make it ambient");
    enter();
    expect(strstr(seen->protection, ", no capabilities") != NULL, "not said");
    expect_only(0);
}

/* Has none to lose, and loses nothing. */
static void as_a_user(void)
{
    if (geteuid() == 0) {
        give_away();
        expect(chown(folder, NOBODY, NOBODY) == 0 && setresgid(NOBODY, NOBODY, NOBODY) == 0 &&
                   setresuid(NOBODY, NOBODY, NOBODY) == 0,
               "cannot become somebody else");
    }
    enter();
    expect(strstr(seen->protection, "no new privileges, no capabilities") == seen->protection,
           "not said");
    expect_only(0);
    expect(is_readable(elf), "cannot read the own file");
}

/* ---- Landlock ---- */

static void other_files(void)
{
    enter();
    if (strstr(seen->protection, "reads in the folders of the ELFs only") == NULL) {
        _exit(SKIP);
    }
    expect(is_readable(elf), "cannot read the ELF");
    expect(!is_readable("/etc/passwd") && errno == EACCES, "reads another file");
    expect(open(elf, O_WRONLY | O_CLOEXEC) < 0, "writes the ELF");
}

/* ---- around it ---- */

static void make_elf(void)
{
    const char *above = getenv("TMPDIR");
    (void)snprintf(folder, sizeof folder, "%s/espimage-unit-XXXXXX",
                   above != NULL ? above : P_tmpdir);
    assert_non_null(mkdtemp(folder));
    (void)snprintf(elf, sizeof elf, "%s/app.elf", folder);
    int fd = open(elf, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "an ELF", 6), 6);
    assert_int_equal(close(fd), 0);
}

static int run_child(const struct row *row)
{
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        row->body();
        _exit(0);
    }
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void test_row(void **state)
{
    const struct row *row = *state;
    memset(seen, 0, sizeof *seen);
    make_elf();
    int status = run_child(row);
    assert_int_equal(unlink(elf), 0);
    assert_int_equal(rmdir(folder), 0);
    if (status == SKIP << 8) {
        skip();
    }
    if (seen->fault[0] != '\0') {
        fail_msg("%s; protection: %s", seen->fault, seen->protection);
    }
    assert_int_equal(status, 0);
}

static const struct row rows[] = {
    {"as root", as_root},
    {"as root of a container", as_root_of_a_container},
    {"with an ambient capability", with_an_ambient_capability},
    {"as a user", as_a_user},
    {"other files", other_files},
};

int main(void)
{
    seen = mmap(NULL, sizeof *seen, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return seen == MAP_FAILED ? 1 : run_table("sandbox", rows, test_row);
}
