/* SPDX-License-Identifier: MIT */
#include "base/file_write.h"

#include "base/error.h"
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Names of temporary files: .espimage-<process>-<number>.tmp */
#define TEMPORARY_PREFIX ".espimage-"
#define TEMPORARY_SUFFIX ".tmp"

/* A temporary file that was last written this long ago has been abandoned. */
#define ABANDONED_SECONDS 3600

#define PERMISSIONS 0777U

/* Where an output goes. */
struct place {
    char path[PATH_MAX]; /* symbolic links resolved */
    int folder;          /* length of its directory, "/" included; 0: the current one */
    bool replaces;       /* a regular file is there; `status` is of it */
    struct stat status;
};

static enum espimage_code cannot_create(struct espimage_error *err)
{
    return error_found(err, ESPIMAGE_ERR_CREATE, "cannot create: %s", strerror(errno));
}

static int folder_length(const char *path)
{
    return (int)(file_name(path) - path);
}

/* In a sticky directory that anyone can write to, another user may have put this there for us to
 * follow or to fill. The kernel's rule for such directories (fs.protected_symlinks) does not reach
 * a program that resolves links itself. */
static bool is_planted(const char *path, const struct stat *status)
{
    char folder[PATH_MAX];
    struct stat above;
    file_folder(path, folder);
    return stat(folder, &above) == 0 && (above.st_mode & S_ISVTX) != 0 &&
           (above.st_mode & S_IWOTH) != 0 && status->st_uid != geteuid() &&
           status->st_uid != above.st_uid;
}

static enum espimage_code refuse_planted(const char *what, struct espimage_error *err)
{
    error_found(err, ESPIMAGE_ERR_CREATE,
                "is %s of another user, in a directory that anyone can write to", what);
    return error_advice(err, "write to a directory of your own");
}

/* Fills place->path with where `path` leads. Unlike realpath() it also follows a link to a file
 * that is still to be made. */
static enum espimage_code follow_links(const char *path, struct place *place,
                                       struct espimage_error *err)
{
    char link[PATH_MAX];
    char next[PATH_MAX];
    struct stat status;
    int length = snprintf(place->path, PATH_MAX, "%s", path);
    for (unsigned steps = 0; length >= 0 && length < PATH_MAX && steps < 40; steps++) {
        ssize_t size = readlink(place->path, link, sizeof link - 1);
        if (size < 0) {
            return ESPIMAGE_OK; /* not a link, or nothing there */
        }
        if (lstat(place->path, &status) != 0 || is_planted(place->path, &status)) {
            return refuse_planted("a symbolic link", err);
        }
        link[size] = '\0';
        int folder = link[0] == '/' ? 0 : folder_length(place->path);
        length = snprintf(next, sizeof next, "%.*s%s", folder, place->path, link);
        memcpy(place->path, next, strlen(next) + 1);
    }
    errno = length < PATH_MAX ? ELOOP : ENAMETOOLONG;
    return cannot_create(err);
}

static enum espimage_code find_place(const char *path, struct place *out,
                                     struct espimage_error *err)
{
    if (follow_links(path, out, err) != ESPIMAGE_OK) {
        return err->code;
    }
    out->folder = folder_length(out->path);
    out->replaces = lstat(out->path, &out->status) == 0 && S_ISREG(out->status.st_mode);
    if (!out->replaces) {
        return ESPIMAGE_OK;
    }
    if (is_planted(out->path, &out->status)) {
        return refuse_planted("a file", err);
    }
    /* root may write to every file, but a file without any write permission is protected on
     * purpose. */
    if ((out->status.st_mode & (S_IWUSR | S_IWGRP | S_IWOTH)) == 0 ||
        faccessat(AT_FDCWD, out->path, W_OK, AT_EACCESS) != 0) {
        error_found(err, ESPIMAGE_ERR_CREATE, "is write-protected (mode %04o)",
                    out->status.st_mode & PERMISSIONS);
        return error_advice(err, "remove it or make it writable first");
    }
    return ESPIMAGE_OK;
}

/* Opens a new file beside the output; its path goes to `temporary`. It never has more permissions
 * than the file that it replaces. */
static int open_temporary(const struct place *place, char temporary[PATH_MAX])
{
    mode_t mode = place->replaces ? place->status.st_mode & PERMISSIONS : 0666;
    for (unsigned try = 0; try < 1000; try++) {
        int length =
            snprintf(temporary, PATH_MAX, "%.*s" TEMPORARY_PREFIX "%ld-%u" TEMPORARY_SUFFIX,
                     place->folder, place->path, (long)getpid(), try);
        if (length < 0 || length >= PATH_MAX) {
            errno = ENAMETOOLONG;
            return -1;
        }
        int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
        if (fd >= 0 || errno != EEXIST) {
            return fd;
        }
    }
    return -1;
}

static bool is_temporary_name(const char *name)
{
    size_t length = strlen(name);
    return strncmp(name, TEMPORARY_PREFIX, strlen(TEMPORARY_PREFIX)) == 0 &&
           length > strlen(TEMPORARY_PREFIX TEMPORARY_SUFFIX) &&
           strcmp(name + length - strlen(TEMPORARY_SUFFIX), TEMPORARY_SUFFIX) == 0;
}

/* Removes what runs that were killed left beside the output. Ages are measured against the new
 * temporary file, so that a file server's clock may differ from ours. */
static void remove_abandoned(const struct place *place, int fd)
{
    char folder[PATH_MAX];
    struct stat now;
    struct stat status;
    file_folder(place->path, folder);
    DIR *dir = fstat(fd, &now) == 0 ? opendir(folder) : NULL;
    const struct dirent *entry = NULL;
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        if (is_temporary_name(entry->d_name) &&
            fstatat(dirfd(dir), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISREG(status.st_mode) && status.st_uid == geteuid() &&
            now.st_mtime - status.st_mtime > ABANDONED_SECONDS) {
            (void)unlinkat(dirfd(dir), entry->d_name, 0);
        }
    }
    if (dir != NULL) {
        (void)closedir(dir);
    }
}

/* The new file gets the group and permissions of the old one. A group that cannot be passed on
 * loses its permissions: they were not meant for the group that the file has now. */
static bool pass_on_permissions(int fd, const struct stat *old)
{
    struct stat now;
    mode_t mode = old->st_mode & PERMISSIONS;
    if (fstat(fd, &now) != 0) {
        return false;
    }
    if (now.st_gid != old->st_gid && fchown(fd, (uid_t)-1, old->st_gid) != 0) {
        mode &= ~(mode_t)S_IRWXG;
    }
    return fchmod(fd, mode) == 0;
}

static enum espimage_code write_and_close(int fd, const uint8_t *data, size_t size, bool sync,
                                          struct espimage_error *err)
{
    enum espimage_code code = file_write_all(fd, data, size, err);
    if (code == ESPIMAGE_OK && sync && fsync(fd) != 0) {
        code = error_found(err, ESPIMAGE_ERR_IO, "cannot write: %s", strerror(errno));
    }
    if (close(fd) != 0 && code == ESPIMAGE_OK) {
        code = error_found(err, ESPIMAGE_ERR_IO, "cannot write: %s", strerror(errno));
    }
    return code;
}

static enum espimage_code write_and_rename(const struct place *place, const uint8_t *data,
                                           size_t size, struct espimage_error *err)
{
    char temporary[PATH_MAX];
    int fd = open_temporary(place, temporary);
    if (fd < 0) {
        return cannot_create(err);
    }
    remove_abandoned(place, fd);
    enum espimage_code code = ESPIMAGE_OK;
    if (place->replaces && !pass_on_permissions(fd, &place->status)) {
        code = cannot_create(err);
        (void)close(fd);
    } else {
        code = write_and_close(fd, data, size, true, err);
    }
    if (code == ESPIMAGE_OK && rename(temporary, place->path) != 0) {
        code = cannot_create(err);
    }
    if (code != ESPIMAGE_OK) {
        (void)unlink(temporary);
    }
    return code;
}

static enum espimage_code write_to(const char *path, const uint8_t *data, size_t size,
                                   struct espimage_error *err)
{
    struct stat status;
    struct place place = {.folder = 0};

    if (stat(path, &status) != 0 || S_ISREG(status.st_mode)) {
        return find_place(path, &place, err) == ESPIMAGE_OK
                   ? write_and_rename(&place, data, size, err)
                   : err->code;
    }
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    return fd < 0 ? cannot_create(err) : write_and_close(fd, data, size, false, err);
}

enum espimage_code file_write(const char *path, const uint8_t *data, size_t size,
                              struct espimage_error *err)
{
    /* An interrupt waits for the rename, so that it leaves no temporary file behind. */
    sigset_t interrupts;
    sigset_t before;
    sigemptyset(&interrupts);
    sigaddset(&interrupts, SIGINT);
    sigaddset(&interrupts, SIGTERM);
    sigaddset(&interrupts, SIGHUP);
    (void)pthread_sigmask(SIG_BLOCK, &interrupts, &before);
    enum espimage_code code = write_to(path, data, size, err);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return code == ESPIMAGE_OK ? code : error_in_file(err, path);
}
