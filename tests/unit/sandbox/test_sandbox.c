/* SPDX-License-Identifier: MIT */
/* What a process can still do in the sandbox, tried in children: there is no way out of it. */
#include "sandbox/sandbox.h"
#include "support/test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOBODY 65534
#define SKIP   77

#define CAP_BIT(capability) (1U << (capability))

struct row {
    const char *name;
    void (*body)(void); /* in a child, which it may end with SKIP */
};

static char folder[PATH_MAX - 16];
static char elf[PATH_MAX];
/* Shared with the children. */
static struct {
    char protection[SANDBOX_TEXT];
    char fault[200];
} * seen;

/* ---- in the child ---- */

__attribute__((format(printf, 2, 3))) static void expect(bool good, const char *format, ...)
{
    va_list arguments;
    if (!good && seen->fault[0] == '\0') {
        va_start(arguments, format);
        (void)vsnprintf(seen->fault, sizeof seen->fault, format, arguments);
        va_end(arguments);
    }
}

static void enter_with_port(bool bound)
{
    const char *files[] = {elf};
    sandbox_enter(files, 1, bound, seen->protection);
}

static void enter(void)
{
    enter_with_port(false);
}

static bool is_readable(const char *path)
{
    char byte = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool readable = fd >= 0 && read(fd, &byte, 1) == 1;
    if (fd >= 0) {
        (void)close(fd);
    }
    return readable;
}

/* ---- capabilities ---- */

typedef struct __user_cap_data_struct capability_sets[_LINUX_CAPABILITY_U32S_3];

static void get_sets(capability_sets sets)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    expect(syscall(SYS_capget, &header, sets) == 0, "no capabilities to be seen");
}

static void set_sets(uint32_t capabilities)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    const capability_sets sets = {
        {.effective = capabilities, .permitted = capabilities, .inheritable = capabilities}};
    expect(syscall(SYS_capset, &header, sets) == 0, "cannot set capabilities");
}

static void expect_only(uint32_t wanted)
{
    capability_sets sets = {{0}};
    get_sets(sets);
    expect(sets[0].effective == wanted && sets[0].permitted == wanted && sets[0].inheritable == 0,
           "capabilities are 0x%x, 0x%x, 0x%x", sets[0].effective, sets[0].permitted,
           sets[0].inheritable);
    expect((sets[1].effective | sets[1].permitted | sets[1].inheritable) == 0, "later ones too");
    for (unsigned long i = 0; prctl(PR_CAPBSET_READ, i, 0, 0, 0) >= 0; i++) {
        expect(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, i, 0, 0) == 0, "%lu is ambient", i);
    }
}

static void expect_no_bound(void)
{
    for (unsigned long i = 0; prctl(PR_CAPBSET_READ, i, 0, 0, 0) >= 0; i++) {
        expect(prctl(PR_CAPBSET_READ, i, 0, 0, 0) == 0, "%lu is in the bounding set", i);
    }
}

/* SKIP without those: not root, or root without rights. */
static void need(uint32_t wanted)
{
    capability_sets sets = {{0}};
    get_sets(sets);
    if ((sets[0].effective & wanted) != wanted) {
        _exit(SKIP);
    }
}

/* The ELF belongs to somebody else now, and only they may read it. */
static void give_away(void)
{
    if (chown(elf, NOBODY, NOBODY) != 0) {
        _exit(SKIP); /* a user namespace without such a user */
    }
}

static void as_root(void)
{
    need(CAP_BIT(CAP_DAC_READ_SEARCH) | CAP_BIT(CAP_SETPCAP) | CAP_BIT(CAP_CHOWN));
    give_away();
    enter();
    expect(strstr(seen->protection, ", no capability but CAP_DAC_READ_SEARCH") != NULL, "not said");
    expect_only(CAP_BIT(CAP_DAC_READ_SEARCH));
    expect_no_bound();
    expect(is_readable(elf), "cannot read the file of somebody else");
}

/* The port is bound to an interface, which may be made anew. */
static void as_root_on_an_interface(void)
{
    static const uint64_t kept = CAP_BIT(CAP_DAC_READ_SEARCH) | CAP_BIT(CAP_NET_RAW);
    need(kept | CAP_BIT(CAP_SETPCAP));
    enter_with_port(true);
    expect(strstr(seen->protection, ", no capability but CAP_DAC_READ_SEARCH and CAP_NET_RAW,") !=
               NULL,
           "not said");
    expect_only(kept);
    expect_no_bound();
}

/* Nothing is kept that is not there. */
static void with_one_of_them(void)
{
    need(CAP_BIT(CAP_NET_RAW));
    set_sets(CAP_BIT(CAP_NET_RAW));
    enter_with_port(true);
    expect(strstr(seen->protection, ", no capability but CAP_NET_RAW,") != NULL, "not said");
    expect_only(CAP_BIT(CAP_NET_RAW));
}

/* Containers often have this one, but not the lesser one. */
static void as_root_of_a_container(void)
{
    need(CAP_BIT(CAP_DAC_OVERRIDE) | CAP_BIT(CAP_SETPCAP) | CAP_BIT(CAP_CHOWN));
    give_away();
    set_sets(CAP_BIT(CAP_DAC_OVERRIDE) | CAP_BIT(CAP_SETPCAP) | CAP_BIT(CAP_NET_RAW));
    enter();
    expect(strstr(seen->protection, ", no capability but CAP_DAC_OVERRIDE") != NULL, "not said");
    expect_only(CAP_BIT(CAP_DAC_OVERRIDE));
    expect_no_bound();
    expect(is_readable(elf), "cannot read the file of somebody else");
}

/* As a service manager passes one to a user, who may not change the bounding set. */
static void with_an_ambient_capability(void)
{
    need(CAP_BIT(CAP_NET_BIND_SERVICE));
    set_sets(CAP_BIT(CAP_NET_BIND_SERVICE));
    expect(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_BIND_SERVICE, 0, 0) == 0,
           "cannot make it ambient");
    enter();
    expect(strstr(seen->protection, ", no capabilities") != NULL, "not said");
    expect_only(0);
}

/* Has none to lose, and loses nothing. */
static void as_a_user(void)
{
    if (geteuid() == 0) {
        give_away();
        expect(chown(folder, NOBODY, NOBODY) == 0 && setresgid(NOBODY, NOBODY, NOBODY) == 0 &&
                   setresuid(NOBODY, NOBODY, NOBODY) == 0,
               "cannot become somebody else");
    }
    enter();
    expect(strstr(seen->protection, "no new privileges, no capabilities") == seen->protection,
           "not said");
    expect_only(0);
    expect(is_readable(elf), "cannot read the own file");
}

static void deny_to_change_rights(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD + BPF_W + BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP + BPF_JEQ + BPF_K, SYS_capset, 1, 0),
        BPF_JUMP(BPF_JMP + BPF_JEQ + BPF_K, SYS_seccomp, 0, 1),
        BPF_STMT(BPF_RET + BPF_K, SECCOMP_RET_ERRNO + EPERM),
        BPF_STMT(BPF_RET + BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {COUNT(code), code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) != 0) {
        _exit(SKIP);
    }
}

/* Which leaves no capabilities and denies the calls to change that. */
static void as_a_service(void)
{
    set_sets(0);
    deny_to_change_rights();
    enter();
    expect(strstr(seen->protection, "no new privileges, no capabilities, ") == seen->protection,
           "not said");
    expect(strstr(seen->protection, ", no new sockets") != NULL, "no filter of its own");
    expect(is_readable(elf), "cannot read the own file");
}

/* ---- Landlock ---- */

static void other_files(void)
{
    enter();
    if (strstr(seen->protection, "reads in the folders of the ELFs only") == NULL) {
        _exit(SKIP);
    }
    expect(is_readable(elf), "cannot read the ELF");
    expect(!is_readable("/etc/passwd") && errno == EACCES, "reads another file");
    expect(open(elf, O_WRONLY | O_CLOEXEC) < 0, "writes the ELF");
}

/* ---- system calls ---- */

static void need_seccomp(void)
{
    if (strstr(seen->protection, "no seccomp") != NULL) {
        _exit(SKIP);
    }
}

/* With such arguments none of them fails in that way for another reason. */
static const struct {
    const char *name;
    long number;
    long arguments[3];
    int error;
} denied[] = {
    {"a socket", SYS_socket, {AF_INET, SOCK_DGRAM, 0}, EPERM},
    {"netlink, generic", SYS_socket, {AF_NETLINK, SOCK_RAW, NETLINK_GENERIC}, EPERM},
    {"a packet socket", SYS_socket, {AF_PACKET, SOCK_RAW, 0}, EPERM},
    {"socketpair", SYS_socketpair, {AF_UNIX, SOCK_STREAM, 0}, EPERM},
    {"connect", SYS_connect, {-1, 0, 0}, EPERM},
    {"listen", SYS_listen, {-1, 0, 0}, EPERM},
    {"execve", SYS_execve, {0, 0, 0}, EPERM},
    {"execveat", SYS_execveat, {-1, 0, 0}, EPERM},
#if !defined SANDBOX_FOR_SANITIZER
    {"ptrace", SYS_ptrace, {PTRACE_TRACEME, 0, 0}, EPERM},
    {"a process", SYS_clone, {SIGCHLD, 0, 0}, EPERM},
#endif
    {"a process, anew", SYS_clone3, {0, 0, 0}, ENOSYS},
    {"a signal", SYS_tgkill, {1, 1, 0}, EPERM},
    {"pidfd_open", SYS_pidfd_open, {-1, 0, 0}, EPERM},
    {"process_vm_readv", SYS_process_vm_readv, {-1, 0, 0}, EPERM},
    {"limits of others", SYS_prlimit64, {1, RLIMIT_NOFILE, 0}, EPERM},
    {"shmget", SYS_shmget, {0, 0, 0}, EPERM},
    {"unshare", SYS_unshare, {0, 0, 0}, EPERM},
    {"setns", SYS_setns, {-1, 0, 0}, EPERM},
    {"mount", SYS_mount, {0, 0, 0}, EPERM},
    {"chroot", SYS_chroot, {0, 0, 0}, EPERM},
    {"bpf", SYS_bpf, {-1, 0, 0}, EPERM},
    {"perf_event_open", SYS_perf_event_open, {0, 0, 0}, EPERM},
    {"io_uring_setup", SYS_io_uring_setup, {0, 0, 0}, EPERM},
    {"userfaultfd", SYS_userfaultfd, {-1, 0, 0}, EPERM},
    {"keyctl", SYS_keyctl, {-1, 0, 0}, EPERM},
    {"finit_module", SYS_finit_module, {-1, 0, 0}, EPERM},
    {"kexec_load", SYS_kexec_load, {0, 0, 0}, EPERM},
    {"a file by its handle", SYS_open_by_handle_at, {-1, 0, 0}, EPERM},
    {"fchmod", SYS_fchmod, {-1, 0, 0}, EPERM},
    {"fchown", SYS_fchown, {-1, 0, 0}, EPERM},
    {"fsetxattr", SYS_fsetxattr, {-1, 0, 0}, EPERM},
    {"a file in another way", SYS_openat2, {-1, 0, 0}, ENOSYS},
    {"a later call", 451, {-1, 0, 0}, ENOSYS},
    {"one that is not there yet", 511, {0, 0, 0}, ENOSYS},
#if defined __x86_64__
    {"another architecture", 0x40000000 + SYS_getpid, {0, 0, 0}, EPERM},
#endif
};

static void denied_calls(void)
{
    enter();
    need_seccomp();
    for (size_t i = 0; i < COUNT(denied); i++) {
        const long *a = denied[i].arguments;
        errno = 0;
        long result = syscall(denied[i].number, a[0], a[1], a[2], 0L, 0L, 0L);
        expect(result == -1 && errno == denied[i].error, "%s: %ld, %s", denied[i].name, result,
               strerror(errno));
    }
}

static void expect_denied(const char *what, long result)
{
    expect(result == -1 && (errno == EPERM || errno == EACCES), "%s: %ld, %s", what, result,
           strerror(errno));
}

static void changes_to_files(void)
{
    char other[sizeof elf + 4];
    (void)snprintf(other, sizeof other, "%s.new", elf);
    enter();
    need_seccomp();
    expect_denied("write", open(elf, O_WRONLY | O_CLOEXEC));
    expect_denied("read and write", open(elf, O_RDWR | O_CLOEXEC));
    expect_denied("cut", open(elf, O_RDONLY | O_TRUNC | O_CLOEXEC));
    expect_denied("make", open(other, O_RDONLY | O_CREAT | O_CLOEXEC, 0600));
    expect_denied("make a folder", mkdir(other, 0700));
    expect_denied("link", link(elf, other));
    expect_denied("rename", rename(elf, other));
    expect_denied("remove", unlink(elf));
    expect_denied("truncate", truncate(elf, 0));
    expect_denied("mode", chmod(elf, 0644));
    expect_denied("owner", chown(elf, geteuid(), getegid()));
    expect_denied("times", utimensat(AT_FDCWD, elf, NULL, 0));
    expect(is_readable(elf), "cannot read it");
}

static void others(void)
{
    int ends[2] = {-1, -1};
    expect(pipe(ends) == 0, "no pipe");
    enter();
    need_seccomp();
    expect_denied("kill", kill(getppid(), 0));
    expect_denied("SIGIO", fcntl(ends[0], F_SETOWN, getppid()));
#if !defined SANDBOX_FOR_SANITIZER
    pid_t child = fork();
    if (child == 0) {
        _exit(0);
    }
    expect_denied("fork", child);
#endif
}

/* A listening socket that was shut down can be connected anew, without a call of that name. */
static void fast_open(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof address;
    char text[] = "x";
    struct iovec byte = {text, 1};
    struct mmsghdr message = {
        .msg_hdr = {.msg_name = &address, .msg_namelen = size, .msg_iov = &byte, .msg_iovlen = 1}};
    int listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int other = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    expect(listen(listening, 1) == 0 && listen(other, 1) == 0 &&
               getsockname(other, (struct sockaddr *)&address, &size) == 0,
           "cannot listen: %s", strerror(errno));
    enter();
    need_seccomp();
    expect(shutdown(listening, SHUT_RDWR) == 0, "cannot stop listening");
    const int flags = MSG_FASTOPEN | MSG_NOSIGNAL | MSG_DONTWAIT;
    expect_denied("sendto", sendto(listening, "x", 1, flags, (struct sockaddr *)&address, size));
    expect_denied("sendmsg", sendmsg(listening, &message.msg_hdr, flags));
    expect_denied("sendmmsg", sendmmsg(listening, &message, 1, flags));
    expect(connect(listening, (struct sockaddr *)&address, size) == -1 && errno == EPERM,
           "connects");
}

/* Typed for whoever has the terminal next: the shell that serve was started from. */
static void keys(void)
{
    int terminal = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    const char *name =
        terminal >= 0 && grantpt(terminal) == 0 && unlockpt(terminal) == 0 ? ptsname(terminal) : "";
    int fd = setsid() >= 0 ? open(name, O_RDWR | O_CLOEXEC) : -1; /* the controlling one now */
    if (fd < 0) {
        _exit(SKIP);
    }
    enter();
    need_seccomp();
    struct winsize size;
    expect(ioctl(fd, TIOCGWINSZ, &size) == 0, "does not know the size of the terminal");
    expect_denied("TIOCSTI", ioctl(fd, TIOCSTI, "x"));
#if ULONG_MAX > 0xFFFFFFFF /* the kernel ignores the upper half of the number, if there is one */
    expect_denied("TIOCSTI in other words", syscall(SYS_ioctl, fd, TIOCSTI | (1UL << 40U), "x"));
#endif
}

static void *pass(void *context)
{
    return context;
}

static void expect_threads(void)
{
    pthread_t thread;
    void *result = NULL;
    expect(pthread_create(&thread, NULL, pass, seen) == 0 && pthread_join(thread, &result) == 0 &&
               result == seen,
           "no threads");
}

static void expect_connections(int listening)
{
    char byte = 0;
    int fd = accept4(listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    expect(fd >= 0 && recv(fd, &byte, 1, 0) == 1 && send(fd, &byte, 1, MSG_NOSIGNAL) == 1 &&
               shutdown(fd, SHUT_RDWR) == 0,
           "no connections: %s", strerror(errno));
}

static void expect_images(void)
{
    int fd = memfd_create("image", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    expect(fd >= 0 && write(fd, "x", 1) == 1 && fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) == 0,
           "no images: %s", strerror(errno));
}

static void expect_interfaces(void)
{
    struct ifaddrs *all = NULL;
    expect(getifaddrs(&all) == 0 && all != NULL, "no interfaces: %s", strerror(errno));
    freeifaddrs(all);
}

static void what_serving_needs(void)
{
    struct rlimit limit;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    expect(bind(listening, (struct sockaddr *)&address, size) == 0 && listen(listening, 1) == 0 &&
               getsockname(listening, (struct sockaddr *)&address, &size) == 0 &&
               connect(client, (struct sockaddr *)&address, size) == 0 &&
               send(client, "x", 1, 0) == 1,
           "cannot prepare a connection: %s", strerror(errno));
    enter();
    need_seccomp();
    expect_threads();
    expect_connections(listening);
    expect_images();
    expect_interfaces();
    expect(eventfd(0, EFD_CLOEXEC) >= 0 && epoll_create1(EPOLL_CLOEXEC) >= 0, "no waiting");
    expect(getrlimit(RLIMIT_NOFILE, &limit) == 0, "no limits");
    expect(signal(SIGUSR1, SIG_IGN) != SIG_ERR && raise(SIGUSR1) == 0, "no own signals");
}

/* ---- around it ---- */

static void make_elf(void)
{
    const char *above = getenv("TMPDIR");
    (void)snprintf(folder, sizeof folder, "%s/espimage-unit-XXXXXX",
                   above != NULL ? above : P_tmpdir);
    assert_non_null(mkdtemp(folder));
    (void)snprintf(elf, sizeof elf, "%s/app.elf", folder);
    int fd = open(elf, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "an ELF", 6), 6);
    assert_int_equal(close(fd), 0);
}

static int run_child(const struct row *row)
{
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        row->body();
        _exit(0);
    }
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void test_row(void **state)
{
    const struct row *row = *state;
    memset(seen, 0, sizeof *seen);
    make_elf();
    int status = run_child(row);
    assert_int_equal(unlink(elf), 0);
    assert_int_equal(rmdir(folder), 0);
    if (status == SKIP << 8) {
        skip();
    }
    if (seen->fault[0] != '\0') {
        fail_msg("%s; protection: %s", seen->fault, seen->protection);
    }
    assert_int_equal(status, 0);
}

static const struct row rows[] = {
    {"as root", as_root},
    {"as root on an interface", as_root_on_an_interface},
    {"with one of them", with_one_of_them},
    {"as root of a container", as_root_of_a_container},
    {"with an ambient capability", with_an_ambient_capability},
    {"as a user", as_a_user},
    {"as a service", as_a_service},
    {"other files", other_files},
    {"denied calls", denied_calls},
    {"changes to files", changes_to_files},
    {"others", others},
    {"TCP Fast Open", fast_open},
    {"keys", keys},
    {"what serving needs", what_serving_needs},
};

int main(void)
{
    seen = mmap(NULL, sizeof *seen, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return seen == MAP_FAILED ? 1 : run_table("sandbox", rows, test_row);
}
