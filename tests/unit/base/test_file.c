/* SPDX-License-Identifier: MIT */
#include "base/file.h"
#include "support/test.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* Every test has a new folder and works in it. */
static char home[PATH_MAX];

static int enter_folder(void **state)
{
    const char *above = getenv("TMPDIR");
    static char folder[PATH_MAX];
    (void)snprintf(folder, sizeof folder, "%s/espimage-unit-XXXXXX",
                   above != NULL ? above : P_tmpdir);
    *state = mkdtemp(folder);
    return *state == NULL || getcwd(home, sizeof home) == NULL || chdir(folder) != 0;
}

static int leave_folder(void **state)
{
    DIR *here = opendir(".");
    const struct dirent *entry;
    while (here != NULL && (entry = readdir(here)) != NULL) {
        if (unlink(entry->d_name) != 0) {
            (void)rmdir(entry->d_name);
        }
    }
    if (here != NULL) {
        (void)closedir(here);
    }
    return chdir(home) != 0 || rmdir(*state) != 0;
}

static size_t files_here(void)
{
    size_t count = 0;
    DIR *here = opendir(".");
    assert_non_null(here);
    const struct dirent *entry;
    while ((entry = readdir(here)) != NULL) {
        count += entry->d_name[0] != '.' || entry->d_name[1] > '.' ? 1 : 0;
    }
    (void)closedir(here);
    return count;
}

static void put_file(const char *name, const char *text)
{
    FILE *f = fopen(name, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void check_file(const char *name, const char *text)
{
    struct espimage_error err;
    struct file_bytes bytes;
    assert_ok(file_read(name, 1 << 20, &bytes, &err), &err);
    assert_int_equal(bytes.size, strlen(text));
    assert_memory_equal(bytes.data, text, bytes.size);
    file_bytes_free(&bytes);
}

static enum espimage_code write_text(const char *name, const char *text, struct espimage_error *err)
{
    return file_write(name, (const uint8_t *)text, strlen(text), err);
}

static void test_read(void **state)
{
    (void)state;
    struct espimage_error err;
    struct file_bytes bytes;
    put_file("f", "12345678");
    assert_ok(file_read("f", 8, &bytes, &err), &err);
    assert_int_equal(bytes.size, 8);
    assert_int_equal(bytes.status.st_size, 8);
    assert_memory_equal(bytes.data, "12345678", 8);
    file_bytes_free(&bytes);
    assert_null(bytes.data);
    assert_int_equal(bytes.size, 0);
    put_file("empty", "");
    assert_ok(file_read("empty", 0, &bytes, &err), &err);
    assert_int_equal(bytes.size, 0);
    assert_non_null(bytes.data);
    file_bytes_free(&bytes);
}

static void check_refused(const char *path, size_t limit, enum espimage_code code,
                          const struct telling *tells)
{
    struct espimage_error err;
    struct file_bytes bytes = {.data = NULL, .size = 77};
    assert_code(code, file_read(path, limit, &bytes, &err), &err);
    assert_tells(&err, tells);
    assert_string_equal(err.file, path);
    assert_null(bytes.data);
    assert_int_equal(bytes.size, 77);
}

static void make_socket(const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", name);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof address), 0);
    (void)close(fd);
}

static void test_read_refusals(void **state)
{
    (void)state;
    const struct telling missing = {"cannot open: No such file", "", ""};
    const struct telling not_folder = {"cannot open: Not a directory", "", ""};
    const struct telling folder = {"is a directory", "a regular file", ""};
    const struct telling fifo = {"is a pipe", "a regular file", ""};
    const struct telling device = {"is a device", "a regular file", ""};
    const struct telling large = {"is 9 bytes long", "at most 8", ""};
    const struct telling sock = {"is a socket", "a regular file", ""};
    put_file("large", "123456789");
    assert_int_equal(mkfifo("fifo", 0600), 0);
    make_socket("socket");
    check_refused("missing", 8, ESPIMAGE_ERR_NO_INPUT, &missing);
    check_refused("", 8, ESPIMAGE_ERR_NO_INPUT, &missing);
    check_refused("large/x", 8, ESPIMAGE_ERR_NO_INPUT, &not_folder);
    check_refused(".", 8, ESPIMAGE_ERR_NO_INPUT, &folder);
    (void)alarm(5); /* nobody writes to it: opening must not wait */
    check_refused("fifo", 8, ESPIMAGE_ERR_NO_INPUT, &fifo);
    (void)alarm(0);
    check_refused("/dev/null", 8, ESPIMAGE_ERR_NO_INPUT, &device);
    check_refused("/dev/zero", 8, ESPIMAGE_ERR_NO_INPUT, &device);
    check_refused("socket", 8, ESPIMAGE_ERR_NO_INPUT, &sock);
    check_refused("large", 8, ESPIMAGE_ERR_SIZE, &large);
}

static void test_read_unreadable(void **state)
{
    (void)state;
    const struct telling denied = {"cannot open: Permission denied", "", ""};
    if (geteuid() == 0) {
        skip();
    }
    put_file("secret", "x");
    assert_int_equal(chmod("secret", 0), 0);
    check_refused("secret", 8, ESPIMAGE_ERR_NO_INPUT, &denied);
}

/* A file of /proc says that it is empty and yields more: it "grows" while it is read. */
static void test_read_without_size(void **state)
{
    (void)state;
    static const char constant[] = "/proc/version";
    char wanted[1024];
    struct espimage_error err;
    struct file_bytes bytes;
    FILE *f = fopen(constant, "r");
    if (f == NULL) {
        skip();
    }
    size_t size = fread(wanted, 1, sizeof wanted, f);
    (void)fclose(f);
    assert_ok(file_read(constant, size, &bytes, &err), &err);
    assert_int_equal(bytes.size, size);
    assert_memory_equal(bytes.data, wanted, size);
    file_bytes_free(&bytes);
}

static void test_read_growing(void **state)
{
    (void)state;
    static const char growing[] = "/proc/self/status";
    const struct telling grew = {"grew to more than 10 bytes", "", "try again"};
    struct espimage_error err;
    struct file_bytes bytes;
    if (access(growing, R_OK) != 0) {
        skip();
    }
    assert_ok(file_read(growing, 1 << 20, &bytes, &err), &err);
    assert_int_equal(bytes.status.st_size, 0);
    assert_true(bytes.size > 100);
    assert_memory_equal(bytes.data, "Name:", 5);
    file_bytes_free(&bytes);
    check_refused(growing, 10, ESPIMAGE_ERR_SIZE, &grew);
}

static void test_write_new(void **state)
{
    (void)state;
    struct espimage_error err;
    struct stat status;
    mode_t before = umask(027);
    assert_ok(write_text("new", "content", &err), &err);
    (void)umask(before);
    check_file("new", "content");
    assert_int_equal(stat("new", &status), 0);
    assert_int_equal(status.st_mode & 07777, 0640);
    assert_ok(write_text("empty", "", &err), &err);
    check_file("empty", "");
    assert_int_equal(files_here(), 2);
}

/* Who has the old file open keeps reading the old bytes. */
static void test_write_replace(void **state)
{
    (void)state;
    struct espimage_error err;
    char old[8] = "";
    put_file("f", "old");
    int fd = open("f", O_RDONLY);
    assert_true(fd >= 0);
    assert_ok(write_text("f", "a longer new content", &err), &err);
    check_file("f", "a longer new content");
    assert_int_equal(read(fd, old, sizeof old), 3);
    assert_memory_equal(old, "old", 3);
    (void)close(fd);
    assert_ok(write_text("f", "s", &err), &err);
    check_file("f", "s");
    assert_int_equal(files_here(), 1);
}

static void check_link(const char *name)
{
    struct stat status;
    assert_int_equal(lstat(name, &status), 0);
    assert_true(S_ISLNK(status.st_mode));
}

static void test_write_through_link(void **state)
{
    (void)state;
    struct espimage_error err;
    char absolute[PATH_MAX];
    assert_int_equal(mkdir("sub", 0700), 0);
    put_file("sub/target", "old");
    assert_int_equal(symlink("target", "sub/link"), 0);
    assert_int_equal(symlink("sub/link", "link"), 0);
    assert_ok(write_text("link", "new", &err), &err);
    check_link("link");
    check_link("sub/link");
    check_file("sub/target", "new");
    assert_non_null(realpath("sub/target", absolute));
    assert_int_equal(symlink(absolute, "absolute"), 0);
    assert_ok(write_text("absolute", "newer", &err), &err);
    check_link("absolute");
    check_file("sub/target", "newer");
    assert_int_equal(unlink("sub/link"), 0);
    assert_int_equal(unlink("sub/target"), 0);
    assert_int_equal(rmdir("sub"), 0); /* so nothing else was in it */
}

/* The first build writes to where the link points, too. */
static void test_write_through_dangling_link(void **state)
{
    (void)state;
    struct espimage_error err;
    assert_int_equal(mkdir("sub", 0700), 0);
    assert_int_equal(symlink("sub/target", "link"), 0);
    assert_ok(write_text("link", "new", &err), &err);
    check_link("link");
    check_file("sub/target", "new");
    assert_int_equal(unlink("sub/target"), 0);
    assert_int_equal(rmdir("sub"), 0);
    assert_code(ESPIMAGE_ERR_CREATE, write_text("link", "new", &err), &err);
    assert_int_equal(symlink("loop", "loop"), 0);
    assert_code(ESPIMAGE_ERR_CREATE, write_text("loop", "new", &err), &err);
    check_link("loop");
}

static void check_not_created(const char *path, const char *found)
{
    struct espimage_error err;
    size_t files = files_here();
    assert_code(ESPIMAGE_ERR_CREATE, write_text(path, "x", &err), &err);
    assert_mentions(err.found, "cannot create: ");
    assert_mentions(err.found, found);
    assert_memory_equal(err.file, path, strnlen(path, sizeof err.file - 1));
    assert_int_equal(files_here(), files);
}

static void test_write_refusals(void **state)
{
    (void)state;
    char name[NAME_MAX + 10];
    memset(name, 'n', sizeof name);
    name[sizeof name - 1] = '\0';
    put_file("file", "x");
    check_not_created("missing/f", strerror(ENOENT));
    check_not_created("file/f", strerror(ENOTDIR));
    check_not_created("", "");
    check_not_created(".", strerror(EISDIR));
    check_not_created("missing/", "");
    check_not_created(name, strerror(ENAMETOOLONG));
}

/* The path is just short enough, that of the temporary file is not: nothing may be cut. */
static void test_write_to_longest_path(void **state)
{
    (void)state;
    char path[PATH_MAX];
    size_t size = sizeof path - 12;
    for (size_t i = 0; i < size; i++) {
        path[i] = i % 2 == 0 ? '.' : '/';
    }
    memcpy(path + size, "f", 2);
    check_not_created(path, strerror(ENAMETOOLONG));
}

static void test_write_into_read_only_folder(void **state)
{
    (void)state;
    if (geteuid() == 0) {
        skip();
    }
    assert_int_equal(chmod(".", 0500), 0);
    check_not_created("f", strerror(EACCES));
    assert_int_equal(chmod(".", 0700), 0);
}

static void test_write_to_device(void **state)
{
    (void)state;
    struct espimage_error err;
    struct stat status;
    assert_ok(write_text("/dev/null", "content", &err), &err);
    assert_int_equal(stat("/dev/null", &status), 0);
    assert_true(S_ISCHR(status.st_mode));
    if (access("/dev/full", W_OK) != 0) {
        skip();
    }
    assert_code(ESPIMAGE_ERR_IO, write_text("/dev/full", "content", &err), &err);
    assert_mentions(err.found, "cannot write: ");
    assert_mentions(err.found, strerror(ENOSPC));
    assert_string_equal(err.file, "/dev/full");
    assert_int_equal(files_here(), 0);
}

/* A write that breaks off leaves the old file as it was, and nothing beside it. */
static void test_write_fails_midway(void **state)
{
    (void)state;
    struct espimage_error err;
    struct rlimit before;
    static uint8_t large[100000];
    put_file("f", "old");
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    struct rlimit small = {50000, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    enum espimage_code replaced = file_write("f", large, sizeof large, &err);
    enum espimage_code created = file_write("g", large, sizeof large, &err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    (void)signal(SIGXFSZ, SIG_DFL);
    assert_int_equal(replaced, ESPIMAGE_ERR_IO);
    assert_int_equal(created, ESPIMAGE_ERR_IO);
    assert_mentions(err.found, strerror(EFBIG));
    check_file("f", "old");
    assert_int_equal(files_here(), 1);
}

/* Somebody else's file under the temporary name is left alone. */
static void test_temporary_name_is_taken(void **state)
{
    (void)state;
    struct espimage_error err;
    char taken[64];
    (void)snprintf(taken, sizeof taken, ".espimage-%ld-0.tmp", (long)getpid());
    put_file(taken, "mine");
    assert_ok(write_text("f", "new", &err), &err);
    check_file("f", "new");
    check_file(taken, "mine");
    assert_int_equal(files_here(), 2);
}

static void test_signal_mask_is_restored(void **state)
{
    (void)state;
    struct espimage_error err;
    sigset_t wanted;
    sigset_t now;
    sigemptyset(&wanted);
    sigaddset(&wanted, SIGUSR1);
    assert_int_equal(sigprocmask(SIG_SETMASK, &wanted, NULL), 0);
    assert_ok(write_text("f", "new", &err), &err);
    assert_code(ESPIMAGE_ERR_CREATE, write_text("missing/f", "new", &err), &err);
    assert_int_equal(sigprocmask(SIG_SETMASK, NULL, &now), 0);
    assert_int_equal(sigismember(&now, SIGUSR1), 1);
    assert_int_equal(sigismember(&now, SIGINT), 0);
    assert_int_equal(sigismember(&now, SIGTERM), 0);
    assert_int_equal(sigismember(&now, SIGHUP), 0);
    sigemptyset(&wanted);
    assert_int_equal(sigprocmask(SIG_SETMASK, &wanted, NULL), 0);
}

static void test_write_all(void **state)
{
    (void)state;
    struct espimage_error err;
    int ends[2];
    char got[8] = "";
    assert_int_equal(pipe(ends), 0);
    assert_ok(file_write_all(ends[1], (const uint8_t *)"abc", 3, &err), &err);
    assert_int_equal(read(ends[0], got, sizeof got), 3);
    assert_memory_equal(got, "abc", 3);
    (void)close(ends[0]);
    (void)signal(SIGPIPE, SIG_IGN);
    assert_code(ESPIMAGE_ERR_IO, file_write_all(ends[1], (const uint8_t *)"abc", 3, &err), &err);
    assert_mentions(err.found, strerror(EPIPE));
    (void)signal(SIGPIPE, SIG_DFL);
    (void)close(ends[1]);
    assert_code(ESPIMAGE_ERR_IO, file_write_all(-1, (const uint8_t *)"abc", 3, &err), &err);
    assert_ok(file_write_all(-1, NULL, 0, &err), &err);
}

static void test_name(void **state)
{
    (void)state;
    assert_string_equal(file_name("app.elf"), "app.elf");
    assert_string_equal(file_name("a/b/app.elf"), "app.elf");
    assert_string_equal(file_name("/app.elf"), "app.elf");
    assert_string_equal(file_name("a/"), "");
    assert_string_equal(file_name(""), "");
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, enter_folder, leave_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(test_read),
        IN_FOLDER(test_read_refusals),
        IN_FOLDER(test_read_unreadable),
        IN_FOLDER(test_read_without_size),
        IN_FOLDER(test_read_growing),
        IN_FOLDER(test_write_new),
        IN_FOLDER(test_write_replace),
        IN_FOLDER(test_write_through_link),
        IN_FOLDER(test_write_through_dangling_link),
        IN_FOLDER(test_write_refusals),
        IN_FOLDER(test_write_to_longest_path),
        IN_FOLDER(test_write_into_read_only_folder),
        IN_FOLDER(test_write_to_device),
        IN_FOLDER(test_write_fails_midway),
        IN_FOLDER(test_temporary_name_is_taken),
        IN_FOLDER(test_signal_mask_is_restored),
        IN_FOLDER(test_write_all),
        cmocka_unit_test(test_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
