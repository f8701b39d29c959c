/* SPDX-License-Identifier: MIT */
/* Feeds every file of the named folders to the fuzz target, and every beginning of the small ones:
 * the corpus as an ordinary test, without a fuzzing compiler. */
#include "fuzz/fuzz.h"

#include "base/file.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#define LARGEST    ((size_t)64 << 20)
#define ALL_STARTS 4096

static void replay(const struct file_bytes *file)
{
    (void)LLVMFuzzerTestOneInput(file->data, file->size);
    for (size_t size = 0; file->size <= ALL_STARTS && size < file->size; size++) {
        /* A copy of just that length, so that a sanitizer sees a read beyond it. */
        uint8_t *start = malloc(size + 1);
        if (start == NULL) {
            exit(1);
        }
        for (size_t i = 0; i < size; i++) {
            start[i] = file->data[i];
        }
        (void)LLVMFuzzerTestOneInput(start, size);
        free(start);
    }
}

static int replay_folder(const char *folder)
{
    int count = 0;
    DIR *dir = opendir(folder);
    const struct dirent *entry = NULL;
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        char path[PATH_MAX];
        struct file_bytes file;
        struct espimage_error err;
        (void)snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        if (entry->d_name[0] != '.' && file_read(path, LARGEST, &file, &err) == ESPIMAGE_OK) {
            replay(&file);
            file_bytes_free(&file);
            count++;
        }
    }
    if (dir != NULL) {
        (void)closedir(dir);
    }
    return count;
}

int main(int argc, char **argv)
{
    int count = 0;
    for (int i = 1; i < argc; i++) {
        count += replay_folder(argv[i]);
    }
    (void)printf("%d inputs replayed\n", count);
    return count > 0 ? 0 : 1;
}
