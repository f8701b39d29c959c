/* SPDX-License-Identifier: MIT */
#include "push/command.h"

#include "base/clock.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define COMMAND_ROOM 8192

void command_init(struct command_run *run, struct event_loop *loop, void (*ended)(void *context),
                  void *context)
{
    *run = (struct command_run){.loop = loop, .ended = ended, .context = context, .fd = -1};
}

/* False when it does not fit. */
static bool fill_in(const char *command, const char *device, char out[COMMAND_ROOM])
{
    static const char mark[] = "{device}";
    size_t used = 0;
    while (*command != '\0') {
        bool marked = strncmp(command, mark, sizeof mark - 1) == 0;
        size_t size = marked ? strlen(device) : 1;
        if (size >= COMMAND_ROOM - used) {
            return false;
        }
        memcpy(out + used, marked ? device : command, size);
        used += size;
        command += marked ? sizeof mark - 1 : 1;
    }
    out[used] = '\0';
    return true;
}

/* In the child: descriptors, signals and group as a command expects them. */
static void become(const char *text, const char *device)
{
    sigset_t none;
    (void)setpgid(0, 0);
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)signal(SIGPIPE, SIG_DFL);
    (void)signal(SIGXFSZ, SIG_DFL);
    (void)close(STDIN_FILENO);
    (void)dup2(STDERR_FILENO, STDOUT_FILENO);
    (void)setenv("ESPIMAGETOOL_DEVICE", device, 1);
    (void)execl("/bin/sh", "sh", "-c", text, (char *)NULL);
    _exit(127);
}

static void finish(struct command_run *run, int status, int error)
{
    if (run->fd >= 0) {
        (void)close(run->fd);
    }
    run->fd = -1;
    run->child = 0;
    run->due = 0;
    run->status = status;
    run->error = error;
    run->ended(run->context);
}

static void on_exit_of_child(void *context, uint32_t events)
{
    struct command_run *run = context;
    int status = 0;
    (void)events;
    if (run->child == 0 || waitpid(run->child, &status, WNOHANG) != run->child) {
        return;
    }
    finish(run, WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), 0);
}

void command_begin(struct command_run *run, const char *command, const char *device, double seconds)
{
    char text[COMMAND_ROOM];
    command_close(run);
    if (!fill_in(command, device, text)) {
        finish(run, -1, E2BIG);
        return;
    }
    run->child = fork();
    if (run->child == 0) {
        become(text, device);
    }
    if (run->child < 0) {
        finish(run, -1, errno);
        return;
    }
    run->handler = (struct handler){on_exit_of_child, run};
    run->fd = (int)syscall(SYS_pidfd_open, run->child, 0);
    run->due = now_seconds() + seconds;
    if (run->fd < 0 || !event_loop_add(run->loop, run->fd, EPOLLIN, &run->handler)) {
        int error = errno;
        command_close(run);
        finish(run, -1, error);
    }
}

void command_timer(struct command_run *run, double now)
{
    if (run->child != 0 && run->due != 0 && now >= run->due) {
        command_close(run);
        finish(run, -1, ETIMEDOUT);
    }
}

void command_close(struct command_run *run)
{
    if (run->child != 0) {
        (void)kill(-run->child, SIGKILL);
        (void)kill(run->child, SIGKILL); /* when it is not in its group yet */
        (void)waitpid(run->child, NULL, 0);
    }
    if (run->fd >= 0) {
        (void)close(run->fd);
    }
    command_init(run, run->loop, run->ended, run->context);
}
