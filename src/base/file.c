/* SPDX-License-Identifier: MIT */
#include "base/file.h"

#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static enum espimage_code refuse_kind(mode_t mode, struct espimage_error *err)
{
    const char *kind = S_ISDIR(mode)    ? "a directory"
                       : S_ISFIFO(mode) ? "a pipe"
                       : S_ISSOCK(mode) ? "a socket"
                                        : "a device";
    error_found(err, ESPIMAGE_ERR_NO_INPUT, "is %s", kind);
    return error_wanted(err, "a regular file");
}

/* Of what is no file, such as a directory, Landlock denies the opening: what it is says more. */
static enum espimage_code cannot_open(const char *path, struct espimage_error *err)
{
    int error = errno;
    struct stat status;
    if (stat(path, &status) == 0 && !S_ISREG(status.st_mode)) {
        return refuse_kind(status.st_mode, err);
    }
    return error_found(err, ESPIMAGE_ERR_NO_INPUT, "cannot open: %s", strerror(error));
}

/* The file may grow or shrink while it is read; what counts is what was read. */
static enum espimage_code read_all(int fd, size_t limit, struct file_bytes *out,
                                   struct espimage_error *err)
{
    size_t room = (size_t)out->status.st_size + 1;
    out->data = malloc(room);
    out->size = 0;
    while (out->data != NULL) {
        ssize_t got = read(fd, out->data + out->size, room - out->size);
        if (got < 0 && errno != EINTR) {
            return error_found(err, ESPIMAGE_ERR_IO, "cannot read: %s", strerror(errno));
        }
        if (got == 0) {
            return ESPIMAGE_OK;
        }
        out->size += got > 0 ? (size_t)got : 0;
        if (out->size > limit) {
            error_found(err, ESPIMAGE_ERR_SIZE, "grew to more than %zu bytes while being read",
                        limit);
            return error_advice(err, "try again when it is written");
        }
        if (out->size == room) {
            room += 65536;
            uint8_t *more = realloc(out->data, room);
            if (more == NULL) {
                break;
            }
            out->data = more;
        }
    }
    return error_no_memory(err);
}

/* While the lease is held, the kernel lets a program that opens the file for writing wait. It says
 * so by a signal: SIGURG is ignored unless a program asks for it, while the usual SIGIO would end
 * the process. */
static enum file_lease take_lease(int fd)
{
    if (fcntl(fd, F_SETSIG, SIGURG) != 0) {
        return FILE_LEASE_NONE;
    }
    if (fcntl(fd, F_SETLEASE, F_RDLCK) == 0) {
        return FILE_LEASE_GRANTED;
    }
    return errno == EAGAIN ? FILE_LEASE_BUSY : FILE_LEASE_NONE;
}

static enum espimage_code read_descriptor(int fd, size_t limit, struct file_bytes *out,
                                          enum file_lease *lease, struct espimage_error *err)
{
    if (fstat(fd, &out->status) != 0) {
        return error_found(err, ESPIMAGE_ERR_IO, "cannot stat: %s", strerror(errno));
    }
    if (!S_ISREG(out->status.st_mode)) {
        return refuse_kind(out->status.st_mode, err);
    }
    if (out->status.st_size < 0 || (uintmax_t)out->status.st_size > limit) {
        error_found(err, ESPIMAGE_ERR_SIZE, "is %jd bytes long", (intmax_t)out->status.st_size);
        return error_wanted(err, "at most %zu", limit);
    }
    if (lease != NULL) {
        *lease = take_lease(fd);
        if (*lease == FILE_LEASE_BUSY) {
            error_found(err, ESPIMAGE_ERR_IO, "is open for writing in another program");
            return error_advice(err, "try again when it is written");
        }
    }
    return read_all(fd, limit, out, err);
}

static enum espimage_code read_path(const char *path, size_t limit, struct file_bytes *out,
                                    enum file_lease *lease, struct espimage_error *err)
{
    struct file_bytes bytes = {0};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    enum espimage_code code =
        fd < 0 ? cannot_open(path, err) : read_descriptor(fd, limit, &bytes, lease, err);
    if (fd >= 0) {
        (void)close(fd); /* which gives the lease back */
    }
    if (code != ESPIMAGE_OK) {
        file_bytes_free(&bytes);
        return error_in_file(err, path);
    }
    *out = bytes;
    return ESPIMAGE_OK;
}

enum espimage_code file_read(const char *path, size_t limit, struct file_bytes *out,
                             struct espimage_error *err)
{
    return read_path(path, limit, out, NULL, err);
}

enum espimage_code file_read_leased(const char *path, size_t limit, struct file_bytes *out,
                                    enum file_lease *lease, struct espimage_error *err)
{
    *lease = FILE_LEASE_UNTRIED;
    return read_path(path, limit, out, lease, err);
}

void file_bytes_free(struct file_bytes *bytes)
{
    free(bytes->data);
    bytes->data = NULL;
    bytes->size = 0;
}

enum espimage_code file_write_all(int fd, const uint8_t *data, size_t size,
                                  struct espimage_error *err)
{
    while (size > 0) {
        ssize_t done = write(fd, data, size);
        if (done < 0 && errno == EINTR) {
            continue;
        }
        if (done < 0) {
            return error_found(err, ESPIMAGE_ERR_IO, "cannot write: %s", strerror(errno));
        }
        data += done;
        size -= (size_t)done;
    }
    return ESPIMAGE_OK;
}

static enum espimage_code no_memory_file(const char *what, struct espimage_error *err)
{
    return error_found(err, ESPIMAGE_ERR_IO, "cannot %s a file in memory: %s", what,
                       strerror(errno));
}

static enum espimage_code fill_memory_file(int fd, const uint8_t *data, size_t size,
                                           struct memory_file *out, struct espimage_error *err)
{
    const int seals = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
    if (file_write_all(fd, data, size, err) != ESPIMAGE_OK) {
        return no_memory_file("write", err);
    }
    if (fcntl(fd, F_ADD_SEALS, seals) != 0) {
        return no_memory_file("seal", err);
    }
    /* Shared, kernels before 6.7 take it for one that may be written some day, and deny it. Without
     * writes private is the same: the pages are those of the file. */
    void *view = mmap(NULL, size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
    if (view == MAP_FAILED) {
        return no_memory_file("map", err);
    }
    *out = (struct memory_file){fd, view, size};
    return ESPIMAGE_OK;
}

enum espimage_code memory_file_make(const uint8_t *data, size_t size, struct memory_file *out,
                                    struct espimage_error *err)
{
    int fd = memfd_create("image", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0) {
        return no_memory_file("make", err);
    }
    enum espimage_code code = fill_memory_file(fd, data, size, out, err);
    if (code != ESPIMAGE_OK) {
        (void)close(fd);
    }
    return code;
}

void memory_file_free(struct memory_file *file)
{
    (void)munmap((void *)(uintptr_t)file->data, file->size);
    (void)close(file->fd);
}

bool file_is_same(const char *path, const struct stat *status)
{
    struct stat found;
    return stat(path, &found) == 0 && found.st_dev == status->st_dev &&
           found.st_ino == status->st_ino;
}

const char *file_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

void file_folder(const char *path, char folder[PATH_MAX])
{
    int length = (int)(file_name(path) - path);
    (void)snprintf(folder, PATH_MAX, "%.*s", length > 0 ? length : 1, length > 0 ? path : ".");
}
