/* SPDX-License-Identifier: MIT */
#include "sandbox/system_calls.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/sockios.h>
#include <sched.h>
#include <seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* The last call of Linux 6.1. What came later is answered as that kernel would, by number, for the
 * libraries in use do not know the names. Here all architectures count alike. */
#define LAST_CALL 450
#define LAST_EVER 511

#if defined __s390__
#define CLONE_FLAGS 1
#else
#define CLONE_FLAGS 0
#endif

/* By name: which of them an architecture has is libseccomp's to know. */
static const char *const denied[] = {
#if !defined SANDBOX_FOR_SANITIZER /* looks for leaks from a process of its own */
    "ptrace",
#endif
    /* Programs and other processes. */
    "execve", "execveat", "fork", "vfork", "kill", "tkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo",
    "pidfd_open", "pidfd_getfd", "pidfd_send_signal", "process_vm_readv", "process_vm_writev",
    "process_madvise", "process_mrelease", "kcmp", "setpriority", "ioprio_set", "sched_setaffinity",
    "sched_setattr", "sched_setparam", "sched_setscheduler", "migrate_pages", "move_pages",
    "shmget", "shmat", "shmctl", "msgget", "msgsnd", "msgrcv", "msgctl", "semget", "semop",
    "semtimedop", "semctl", "mq_open", "mq_unlink",
    /* Sockets other than the port and its connections; see below. */
    "socketpair", "connect", "listen",
    /* Files: what Landlock leaves out, and the rest for kernels without it. */
    "chmod", "fchmod", "fchmodat", "chown", "lchown", "fchown", "fchownat", "chown32", "lchown32",
    "fchown32", "setxattr", "lsetxattr", "fsetxattr", "removexattr", "lremovexattr", "fremovexattr",
    "utime", "utimes", "futimesat", "utimensat", "utimensat_time64", "truncate", "truncate64",
    "creat", "mknod", "mknodat", "mkdir", "mkdirat", "rmdir", "link", "linkat", "symlink",
    "symlinkat", "unlink", "unlinkat", "rename", "renameat", "renameat2", "name_to_handle_at",
    "open_by_handle_at",
    /* Other views of the system. */
    "unshare", "setns", "mount", "umount", "umount2", "pivot_root", "chroot", "move_mount",
    "open_tree", "mount_setattr", "fsopen", "fsconfig", "fsmount", "fspick", "personality",
    /* Large parts of the kernel that it has no use for. */
    "bpf", "perf_event_open", "io_uring_setup", "io_uring_enter", "io_uring_register",
    "userfaultfd", "keyctl", "add_key", "request_key", "fanotify_init", "memfd_secret",
    "modify_ldt", "uselib", "lookup_dcookie", "vhangup",
    /* The system itself. */
    "init_module", "finit_module", "delete_module", "kexec_load", "kexec_file_load", "reboot",
    "swapon", "swapoff", "acct", "quotactl", "quotactl_fd", "syslog", "iopl", "ioperm",
    "sethostname", "setdomainname", "settimeofday", "stime", "adjtimex", "clock_settime",
    "clock_settime64", "clock_adjtime", "clock_adjtime64"};

/* Their arguments are in memory, where a filter cannot look; there is an older way for each. */
static const char *const replaced[] = {"clone3", "openat2"};

/* Denied when an argument is such. */
struct condition {
    const char *call;
    struct scmp_arg_cmp argument;
};

static const struct condition conditions[] = {
    /* But those by which the C library asks for interfaces and their addresses. It binds them. */
    {"socket", {0, SCMP_CMP_NE, AF_NETLINK, 0}},
    {"socket", {2, SCMP_CMP_NE, NETLINK_ROUTE, 0}},
    /* TCP Fast Open connects without connect(). */
    {"sendto", {3, SCMP_CMP_MASKED_EQ, MSG_FASTOPEN, MSG_FASTOPEN}},
    {"sendmsg", {2, SCMP_CMP_MASKED_EQ, MSG_FASTOPEN, MSG_FASTOPEN}},
    {"sendmmsg", {3, SCMP_CMP_MASKED_EQ, MSG_FASTOPEN, MSG_FASTOPEN}},
    /* Only itself. */
    {"prlimit64", {0, SCMP_CMP_NE, 0, 0}},
    /* Signals by way of a descriptor. */
    {"fcntl", {1, SCMP_CMP_MASKED_EQ, UINT32_MAX, F_SETOWN}},
    {"fcntl", {1, SCMP_CMP_MASKED_EQ, UINT32_MAX, F_SETOWN_EX}},
    {"fcntl64", {1, SCMP_CMP_MASKED_EQ, UINT32_MAX, F_SETOWN}},
    {"fcntl64", {1, SCMP_CMP_MASKED_EQ, UINT32_MAX, F_SETOWN_EX}},
    {"ioctl", {1, SCMP_CMP_MASKED_EQ, UINT32_MAX, FIOSETOWN}},
    {"ioctl", {1, SCMP_CMP_MASKED_EQ, UINT32_MAX, SIOCSPGRP}},
    /* Keys, as if they were typed on the terminal that it was started on. */
    {"ioctl", {1, SCMP_CMP_MASKED_EQ, UINT32_MAX, TIOCSTI}},
    {"ioctl", {1, SCMP_CMP_MASKED_EQ, UINT32_MAX, TIOCLINUX}},
#if !defined SANDBOX_FOR_SANITIZER
    {"clone", {CLONE_FLAGS, SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0}},
#endif
#if !defined SANDBOX_FOR_COUNTERS /* which are written at the end */
    {"open", {1, SCMP_CMP_MASKED_EQ, O_WRONLY, O_WRONLY}},
    {"open", {1, SCMP_CMP_MASKED_EQ, O_RDWR, O_RDWR}},
    {"open", {1, SCMP_CMP_MASKED_EQ, O_CREAT, O_CREAT}},
    {"open", {1, SCMP_CMP_MASKED_EQ, O_TRUNC, O_TRUNC}},
    {"openat", {2, SCMP_CMP_MASKED_EQ, O_WRONLY, O_WRONLY}},
    {"openat", {2, SCMP_CMP_MASKED_EQ, O_RDWR, O_RDWR}},
    {"openat", {2, SCMP_CMP_MASKED_EQ, O_CREAT, O_CREAT}},
    {"openat", {2, SCMP_CMP_MASKED_EQ, O_TRUNC, O_TRUNC}},
#endif
};

/* A name that the library is too old for is passed over: the rest is worth having. */
static int deny(scmp_filter_ctx filter, int error, const char *name,
                const struct scmp_arg_cmp *argument)
{
    int call = seccomp_syscall_resolve_name(name);
    return call == __NR_SCMP_ERROR
               ? 0
               : seccomp_rule_add_array(filter, SCMP_ACT_ERRNO((unsigned)error), call,
                                        argument != NULL ? 1 : 0, argument);
}

static int deny_by_name(scmp_filter_ctx filter)
{
    int failed = 0;
    for (size_t i = 0; i < COUNT(denied) && failed == 0; i++) {
        failed = deny(filter, EPERM, denied[i], NULL);
    }
    for (size_t i = 0; i < COUNT(replaced) && failed == 0; i++) {
        failed = deny(filter, ENOSYS, replaced[i], NULL);
    }
    return failed;
}

static int deny_by_argument(scmp_filter_ctx filter)
{
    const struct scmp_arg_cmp others = {0, SCMP_CMP_NE, (scmp_datum_t)getpid(), 0};
    int failed = deny(filter, EPERM, "tgkill", &others);
    for (size_t i = 0; i < COUNT(conditions) && failed == 0; i++) {
        failed = deny(filter, EPERM, conditions[i].call, &conditions[i].argument);
    }
    return failed;
}

static int deny_later_ones(scmp_filter_ctx filter)
{
    int failed = 0;
    for (int call = LAST_CALL + 1; call <= LAST_EVER && failed == 0; call++) {
        failed = seccomp_rule_add_array(filter, SCMP_ACT_ERRNO(ENOSYS), call, 0, NULL);
    }
    return failed;
}

static void set_attributes(scmp_filter_ctx filter)
{
    /* Calls of another architecture, such as 32-bit ones; the default ends the thread. */
    (void)seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO(EPERM));
    /* Kernels before 5.16 slow everything down otherwise, for programs that run code of others. */
    (void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_SSB, 1);
    (void)seccomp_attr_set(filter, SCMP_FLTATR_API_SYSRAWRC, 1);
}

bool system_calls_deny(void)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    if (filter == NULL) {
        errno = ENOMEM;
        return false;
    }
    set_attributes(filter);
    int failed = deny_by_name(filter);
    failed = failed == 0 ? deny_by_argument(filter) : failed;
    failed = failed == 0 ? deny_later_ones(filter) : failed;
    failed = failed == 0 ? seccomp_load(filter) : failed;
    seccomp_release(filter);
    errno = -failed;
    return failed == 0;
}
