/* SPDX-License-Identifier: MIT */
#include "base/file_write.h"

#include "support/folder.h"
#include "support/test.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static enum espimage_code write_text(const char *name, const char *text, struct espimage_error *err)
{
    return file_write(name, (const uint8_t *)text, strlen(text), err);
}

static void test_write_new(void **state)
{
    (void)state;
    struct espimage_error err;
    struct stat status;
    mode_t before = umask(027);
    assert_ok(write_text("new", "content", &err), &err);
    (void)umask(before);
    folder_check("new", "content");
    assert_int_equal(stat("new", &status), 0);
    assert_int_equal(status.st_mode & 07777, 0640);
    assert_ok(write_text("empty", "", &err), &err);
    folder_check("empty", "");
    assert_int_equal(folder_files(), 2);
}

/* Who has the old file open keeps reading the old bytes. */
static void test_write_replace(void **state)
{
    (void)state;
    struct espimage_error err;
    char old[8] = "";
    folder_put("f", "old");
    int fd = open("f", O_RDONLY);
    assert_true(fd >= 0);
    assert_ok(write_text("f", "a longer new content", &err), &err);
    folder_check("f", "a longer new content");
    assert_int_equal(read(fd, old, sizeof old), 3);
    assert_memory_equal(old, "old", 3);
    (void)close(fd);
    assert_ok(write_text("f", "s", &err), &err);
    folder_check("f", "s");
    assert_int_equal(folder_files(), 1);
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
    folder_put("sub/target", "old");
    assert_int_equal(symlink("target", "sub/link"), 0);
    assert_int_equal(symlink("sub/link", "link"), 0);
    assert_ok(write_text("link", "new", &err), &err);
    check_link("link");
    check_link("sub/link");
    folder_check("sub/target", "new");
    assert_non_null(realpath("sub/target", absolute));
    assert_int_equal(symlink(absolute, "absolute"), 0);
    assert_ok(write_text("absolute", "newer", &err), &err);
    check_link("absolute");
    folder_check("sub/target", "newer");
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
    folder_check("sub/target", "new");
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
    size_t files = folder_files();
    assert_code(ESPIMAGE_ERR_CREATE, write_text(path, "x", &err), &err);
    assert_mentions(err.found, "cannot create: ");
    assert_mentions(err.found, found);
    assert_memory_equal(err.file, path, strnlen(path, sizeof err.file - 1));
    assert_int_equal(folder_files(), files);
}

static void test_write_refusals(void **state)
{
    (void)state;
    char name[NAME_MAX + 10];
    memset(name, 'n', sizeof name);
    name[sizeof name - 1] = '\0';
    folder_put("file", "x");
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
    assert_int_equal(folder_files(), 0);
}

/* A write that breaks off leaves the old file as it was, and nothing beside it. */
static void test_write_fails_midway(void **state)
{
    (void)state;
    struct espimage_error err;
    struct rlimit before;
    static uint8_t large[100000];
    folder_put("f", "old");
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
    folder_check("f", "old");
    assert_int_equal(folder_files(), 1);
}

/* Somebody else's file under the temporary name is left alone. */
static void test_temporary_name_is_taken(void **state)
{
    (void)state;
    struct espimage_error err;
    char taken[64];
    (void)snprintf(taken, sizeof taken, ".espimage-%ld-0.tmp", (long)getpid());
    folder_put(taken, "mine");
    assert_ok(write_text("f", "new", &err), &err);
    folder_check("f", "new");
    folder_check(taken, "mine");
    assert_int_equal(folder_files(), 2);
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

static mode_t mode_of(const char *name)
{
    struct stat status;
    assert_int_equal(stat(name, &status), 0);
    return status.st_mode & 07777;
}

/* Firmware holds Wi-Fi passwords: what its owner closed stays closed. */
static void test_permissions_are_passed_on(void **state)
{
    (void)state;
    static const mode_t modes[] = {0600, 0640, 0664, 0755, 0222};
    struct espimage_error err;
    for (size_t i = 0; i < COUNT(modes); i++) {
        folder_put("f", "old");
        assert_int_equal(chmod("f", modes[i]), 0);
        mode_t before = umask(077);
        assert_ok(write_text("f", "new", &err), &err);
        (void)umask(before);
        assert_int_equal(mode_of("f"), modes[i]);
        assert_int_equal(unlink("f"), 0);
    }
}

static void test_write_protected_file_stays(void **state)
{
    (void)state;
    const struct telling tells = {"is write-protected (mode 0444)", "", "make it writable"};
    struct espimage_error err;
    folder_put("f", "old");
    assert_int_equal(symlink("f", "link"), 0);
    assert_int_equal(chmod("f", 0444), 0);
    assert_code(ESPIMAGE_ERR_CREATE, write_text("f", "new", &err), &err);
    assert_tells(&err, &tells);
    assert_string_equal(err.file, "f");
    assert_code(ESPIMAGE_ERR_CREATE, write_text("link", "new", &err), &err);
    folder_check("f", "old");
    assert_int_equal(folder_files(), 2);
}

static void set_age(const char *name, time_t seconds)
{
    const struct timespec times[2] = {{time(NULL) - seconds, 0}, {time(NULL) - seconds, 0}};
    assert_int_equal(utimensat(AT_FDCWD, name, times, 0), 0);
}

static void test_abandoned_files_are_removed(void **state)
{
    (void)state;
    struct espimage_error err;
    static const char *const others[] = {".espimage-1.tmp.bin", "espimage-1-0.tmp", ".tmp"};
    folder_put(".espimage-1-0.tmp", "old");
    set_age(".espimage-1-0.tmp", 7200);
    folder_put(".espimage-2-0.tmp", "of a run that goes on");
    for (size_t i = 0; i < COUNT(others); i++) {
        folder_put(others[i], "not ours");
        set_age(others[i], 7200);
    }
    assert_ok(write_text("f", "new", &err), &err);
    assert_int_equal(access(".espimage-1-0.tmp", F_OK), -1);
    assert_int_equal(folder_files(), 2 + COUNT(others));
}

#define STRANGER 65534

/* /tmp, as another user sees it. */
static void test_planted_links_and_files_are_refused(void **state)
{
    (void)state;
    const struct telling link = {"is a symbolic link of another user", "", "directory of your own"};
    const struct telling file = {"is a file of another user", "", "directory of your own"};
    struct espimage_error err;
    if (geteuid() != 0) {
        skip();
    }
    folder_put("victim", "precious");
    assert_int_equal(mkdir("shared", 01777), 0);
    assert_int_equal(chmod("shared", 01777), 0);
    assert_int_equal(symlink("../victim", "shared/link"), 0);
    assert_ok(write_text("shared/link", "by its owner", &err), &err);
    assert_int_equal(lchown("shared/link", STRANGER, STRANGER), 0);
    assert_code(ESPIMAGE_ERR_CREATE, write_text("shared/link", "new", &err), &err);
    assert_tells(&err, &link);
    folder_check("victim", "by its owner");
    folder_put("shared/file", "");
    assert_int_equal(chown("shared/file", STRANGER, STRANGER), 0);
    assert_code(ESPIMAGE_ERR_CREATE, write_text("shared/file", "new", &err), &err);
    assert_tells(&err, &file);
    /* Without the sticky bit it is a directory that its users trust each other in. */
    assert_int_equal(chmod("shared", 0777), 0);
    assert_ok(write_text("shared/link", "new", &err), &err);
    folder_check("victim", "new");
    assert_int_equal(unlink("shared/link"), 0);
    assert_int_equal(unlink("shared/file"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
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
        IN_FOLDER(test_permissions_are_passed_on),
        IN_FOLDER(test_write_protected_file_stays),
        IN_FOLDER(test_abandoned_files_are_removed),
        IN_FOLDER(test_planted_links_and_files_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
