/* SPDX-License-Identifier: MIT */
/* Gives up what serving needs no more, for the calling thread and those that it starts later. */
#ifndef SANDBOX_SANDBOX_H
#define SANDBOX_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>

#define SANDBOX_TEXT 256

/* From now on files can only be read, and only those in the folders of `files` and around them:
 *
 * - in the folder of each, as named and, through symbolic links, as it is;
 * - in what a clean build removes and makes again: below the working directory when the name is
 *   relative, below the folder above the file's when it is absolute. Not for that reason in the
 *   home directory, one above it, the root, or a folder in the root.
 *
 * No program or process can be started, no socket made but to ask for interfaces, no signal sent to
 * another process. Of capabilities none is kept but the one to read files of others, and, when the
 * port is `bound` to an interface, the one to do that again. Nothing fails: `text` says on one line
 * what was to be had. */
void sandbox_enter(const char *const *files, size_t count, bool bound, char text[SANDBOX_TEXT]);

#endif
