/* SPDX-License-Identifier: MIT */
#include "support/folder.h"

#include "base/file.h"
#include "support/test.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char home[PATH_MAX];

int folder_enter(void **state)
{
    const char *above = getenv("TMPDIR");
    static char folder[PATH_MAX];
    (void)snprintf(folder, sizeof folder, "%s/espimage-unit-XXXXXX",
                   above != NULL ? above : P_tmpdir);
    *state = mkdtemp(folder);
    return *state == NULL || getcwd(home, sizeof home) == NULL || chdir(folder) != 0;
}

int folder_leave(void **state)
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

size_t folder_files(void)
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

void folder_put(const char *name, const char *text)
{
    FILE *f = fopen(name, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

void folder_check(const char *name, const char *text)
{
    struct espimage_error err;
    struct file_bytes bytes;
    assert_ok(file_read(name, 1 << 20, &bytes, &err), &err);
    assert_int_equal(bytes.size, strlen(text));
    assert_memory_equal(bytes.data, text, bytes.size);
    file_bytes_free(&bytes);
}
