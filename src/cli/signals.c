/* SPDX-License-Identifier: MIT */
#include "cli/signals.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <sys/signalfd.h>
#include <unistd.h>

int signals_to_descriptor(bool hangup)
{
    sigset_t set;
    (void)signal(SIGPIPE, SIG_IGN);
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    if (hangup) {
        sigaddset(&set, SIGHUP);
    }
    (void)pthread_sigmask(SIG_BLOCK, &set, NULL);
    return signalfd(-1, &set, SFD_CLOEXEC);
}

int signals_next(int descriptor, int milliseconds)
{
    struct signalfd_siginfo info;
    struct pollfd wait = {descriptor, POLLIN, 0};
    if (poll(&wait, 1, milliseconds) != 1 ||
        read(descriptor, &info, sizeof info) != (ssize_t)sizeof info) {
        return 0;
    }
    return (int)info.ssi_signo;
}
