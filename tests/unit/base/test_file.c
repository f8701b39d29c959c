/* SPDX-License-Identifier: MIT */
#include "base/file.h"
#include "support/folder.h"
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

static void test_read(void **state)
{
    (void)state;
    struct espimage_error err;
    struct file_bytes bytes;
    folder_put("f", "12345678");
    assert_ok(file_read("f", 8, &bytes, &err), &err);
    assert_int_equal(bytes.size, 8);
    assert_int_equal(bytes.status.st_size, 8);
    assert_memory_equal(bytes.data, "12345678", 8);
    file_bytes_free(&bytes);
    assert_null(bytes.data);
    assert_int_equal(bytes.size, 0);
    folder_put("empty", "");
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
    folder_put("large", "123456789");
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
    folder_put("secret", "x");
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

static void test_folder(void **state)
{
    (void)state;
    char folder[PATH_MAX];
    file_folder("app.elf", folder);
    assert_string_equal(folder, ".");
    file_folder("a/b/app.elf", folder);
    assert_string_equal(folder, "a/b/");
    file_folder("/app.elf", folder);
    assert_string_equal(folder, "/");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(test_read),
        IN_FOLDER(test_read_refusals),
        IN_FOLDER(test_read_unreadable),
        IN_FOLDER(test_read_without_size),
        IN_FOLDER(test_read_growing),
        IN_FOLDER(test_write_all),
        cmocka_unit_test(test_name),
        cmocka_unit_test(test_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
