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
    static const int by_urgency[] = {SIGINT, SIGTERM, SIGHUP};
    struct signalfd_siginfo info[4];
    struct pollfd wait = {descriptor, POLLIN, 0};
    ssize_t got = poll(&wait, 1, milliseconds) == 1 ? read(descriptor, info, sizeof info) : 0;
    for (size_t u = 0; u < sizeof by_urgency / sizeof by_urgency[0]; u++) {
        for (ssize_t i = 0; i < got / (ssize_t)sizeof info[0]; i++) {
            if ((int)info[i].ssi_signo == by_urgency[u]) {
                return by_urgency[u];
            }
        }
    }
    return 0;
}
