/* SPDX-License-Identifier: MIT */
/* A new folder for each test, which is the current one while it runs. */
#ifndef SUPPORT_FOLDER_H
#define SUPPORT_FOLDER_H

#include <stddef.h>

/* Setup and teardown of a test; what is left in the folder is removed, one level deep. */
int folder_enter(void **state);
int folder_leave(void **state);
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, folder_enter, folder_leave)

/* How many files are in the current folder. */
size_t folder_files(void);
void folder_put(const char *name, const char *text);
/* Asserts that the file holds just that text. */
void folder_check(const char *name, const char *text);

#endif
