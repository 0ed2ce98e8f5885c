// Single questions to the kernel: `operation:operand`, each answered by one JSON object.
#define _GNU_SOURCE
#include "json.h"
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void result(long value) {
    json_number("errno", value < 0 ? errno : 0);
    json_number("value", value);
}

// Splits `text` at commas into at most `room` fields, in place.
static int fields(char *text, char **out, int room) {
    int count = 0;
    while (count < room && text) {
        out[count++] = strsep(&text, ",");
    }
    return count;
}

static void probe_stat(const char *path, int follow) {
    struct stat s;
    char target[4096];
    int failed = follow ? stat(path, &s) : lstat(path, &s);
    result(failed);
    if (failed)
        return;
    json_number("mode", s.st_mode & 07777);
    json_number("kind", s.st_mode & S_IFMT);
    json_number("uid", s.st_uid);
    json_number("gid", s.st_gid);
    json_number("size", s.st_size);
    json_number("inode", (long long)s.st_ino);
    json_number("device_major", major(s.st_dev));
    json_number("device_minor", minor(s.st_dev));
    json_number("major", major(s.st_rdev));
    json_number("minor", minor(s.st_rdev));
    ssize_t length = readlink(path, target, sizeof target);
    if (length >= 0)
        json_bytes("target", target, length);
}

static void probe_read(int fd) {
    static char text[65536];
    long total = 0, got;
    if (fd < 0) {
        result(-1);
        return;
    }
    while (total < (long)sizeof text && (got = read(fd, text + total, sizeof text - (size_t)total)) != 0) {
        if (got < 0) {
            result(-1);
            return;
        }
        total += got;
    }
    result(total);
    json_bytes("text", text, total);
}

static void probe_write(char *operand, int flags) {
    char *text = strchr(operand, '=');
    if (text)
        *text++ = 0;
    int fd = open(operand, O_WRONLY | O_CLOEXEC | flags, 0666);
    if (fd < 0 || !text)
        result(fd);
    else
        result(write(fd, text, strlen(text)));
    if (fd >= 0)
        close(fd);
}

static void probe_list(const char *path) {
    DIR *directory = opendir(path);
    result(directory ? 0 : -1);
    json_open("names", '[');
    struct dirent *entry;
    while (directory && (entry = readdir(directory)))
        if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
            json_string(NULL, entry->d_name);
    if (directory)
        closedir(directory);
    json_close(']');
}

static void probe_statfs(const char *path) {
    struct statfs s;
    int failed = statfs(path, &s);
    result(failed);
    if (failed)
        return;
    json_number("type", s.f_type);
    json_number("flags", s.f_flags);
    json_number("bytes", (long long)s.f_blocks * s.f_bsize);
    json_number("files", (long long)s.f_files);
}

static void probe_syscall(char *operand) {
    char *f[7] = {0};
    long a[7] = {0};
    int count = fields(operand, f, 7);
    for (int i = 0; i < count; i++)
        a[i] = (long)strtoul(f[i], NULL, 0);
    fflush(stdout);
    errno = 0;
    result(syscall(a[0], a[1], a[2], a[3], a[4], a[5], a[6]));
}

static void probe_mknod(char *operand) {
    char *f[4] = {0};
    if (fields(operand, f, 4) != 4)
        exit(2);
    mode_t kind = *f[1] == 'b' ? S_IFBLK : S_IFCHR;
    int failed = mknod(f[0], kind | 0600, makedev(atoi(f[2]), atoi(f[3])));
    result(failed);
    if (!failed)
        unlink(f[0]);
}

// `exec:PATH[,ARG...]`: runs a program, answers its wait status or the errno of execve.
static void probe_exec(char *operand) {
    char *f[16] = {0};
    int channel[2], failure = 0, status = 0;
    fields(operand, f, 15);
    if (pipe2(channel, O_CLOEXEC)) {
        result(-1);
        return;
    }
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        dup2(2, 1);
        execv(f[0], f);
        failure = errno;
        _exit(write(channel[1], &failure, sizeof failure) < 0);
    }
    close(channel[1]);
    if (child < 0) {
        result(-1);
    } else {
        if (read(channel[0], &failure, sizeof failure) != sizeof failure)
            failure = 0;
        waitpid(child, &status, 0);
        json_number("errno", failure);
        json_number("exit", WIFEXITED(status) ? WEXITSTATUS(status) : -1);
        json_number("signal", WIFSIGNALED(status) ? WTERMSIG(status) : 0);
    }
    close(channel[0]);
}

// `child:OPERATION...`: another probe in a forked child that may be killed by it; answers how it ended.
static void probe_child(const char *operand) {
    int status = 0;
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        if (!freopen("/dev/null", "w", stdout))
            _exit(3);
        errno = 0;
        probe(operand);
        _exit(0);
    }
    if (child < 0) {
        result(-1);
        return;
    }
    waitpid(child, &status, 0);
    json_number("errno", 0);
    json_number("exit", WIFEXITED(status) ? WEXITSTATUS(status) : -1);
    json_number("signal", WIFSIGNALED(status) ? WTERMSIG(status) : 0);
}

// `fork:N`: how many of N processes can exist at once.
static void probe_fork(long wanted) {
    pid_t *children = calloc((size_t)wanted, sizeof *children);
    long made = 0;
    int failure = 0;
    fflush(stdout);
    for (; made < wanted; made++) {
        children[made] = fork();
        if (children[made] == 0) {
            pause();
            _exit(0);
        }
        if (children[made] < 0) {
            failure = errno;
            break;
        }
    }
    for (long i = 0; i < made; i++) {
        kill(children[i], SIGKILL);
        waitpid(children[i], NULL, 0);
    }
    free(children);
    json_number("errno", failure);
    json_number("value", made);
}

static void probe_memory(long bytes) {
    char *area = mmap(NULL, (size_t)bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (area == MAP_FAILED) {
        result(-1);
        return;
    }
    for (long i = 0; i < bytes; i += 4096)
        ((volatile char *)area)[i] = 1;
    munmap(area, (size_t)bytes);
    result(0);
}

static void probe_interfaces(void) {
    struct ifaddrs *list = NULL;
    char text[INET6_ADDRSTRLEN];
    result(getifaddrs(&list));
    json_open("interfaces", '[');
    for (struct ifaddrs *item = list; item; item = item->ifa_next) {
        json_open(NULL, '{');
        json_string("name", item->ifa_name);
        json_number("flags", item->ifa_flags);
        int family = item->ifa_addr ? item->ifa_addr->sa_family : 0;
        if (family == AF_INET)
            json_string("address",
                        inet_ntop(family, &((struct sockaddr_in *)item->ifa_addr)->sin_addr, text, sizeof text));
        if (family == AF_INET6)
            json_string("address",
                        inet_ntop(family, &((struct sockaddr_in6 *)item->ifa_addr)->sin6_addr, text, sizeof text));
        json_close('}');
    }
    freeifaddrs(list);
    json_close(']');
}

static void probe_clock(void) {
    struct timespec monotonic, boot;
    clock_gettime(CLOCK_MONOTONIC, &monotonic);
    clock_gettime(CLOCK_BOOTTIME, &boot);
    json_number("errno", 0);
    json_number("monotonic", monotonic.tv_sec);
    json_number("boottime", boot.tv_sec);
}

static void probe_mount(char *operand) {
    char *f[4] = {0};
    int count = fields(operand, f, 4);
    result(mount(f[0], count > 1 ? f[1] : "", count > 2 ? f[2] : "", count > 3 ? strtoul(f[3], NULL, 0) : 0, NULL));
}

static void probe_socket(char *operand) {
    char *f[3] = {"0", "0", "0"};
    fields(operand, f, 3);
    int fd = socket(atoi(f[0]), atoi(f[1]), atoi(f[2]));
    result(fd);
    if (fd >= 0)
        close(fd);
}

// Sends `text` as one datagram to a unix socket, as sd_notify(3) does.
static void probe_notify(const char *text) {
    struct sockaddr_un_ {
        sa_family_t family;
        char path[108];
    } address = {AF_UNIX, {0}};
    const char *path = getenv("NOTIFY_SOCKET");
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    strncpy(address.path, path ? path : "", sizeof address.path - 1);
    result(sendto(fd, text, strlen(text), 0, (struct sockaddr *)&address, sizeof address));
    close(fd);
}

static void answer(const char *name, char *operand) {
    if (!strcmp(name, "lstat") || !strcmp(name, "stat")) {
        probe_stat(operand, *name == 's');
    } else if (!strcmp(name, "read") || !strcmp(name, "open") || !strcmp(name, "openrw")) {
        int fd = open(operand, (name[4] ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        *name == 'r' ? probe_read(fd) : result(fd);
        if (fd >= 0)
            close(fd);
    } else if (!strcmp(name, "fdread")) {
        probe_read(atoi(operand));
    } else if (!strcmp(name, "write")) {
        probe_write(operand, 0);
    } else if (!strcmp(name, "create")) {
        probe_write(operand, O_CREAT | O_EXCL);
    } else if (!strcmp(name, "mkdir")) {
        result(mkdir(operand, 0777));
    } else if (!strcmp(name, "unlink")) {
        result(unlink(operand));
    } else if (!strcmp(name, "list")) {
        probe_list(operand);
    } else if (!strcmp(name, "statfs")) {
        probe_statfs(operand);
    } else if (!strcmp(name, "syscall")) {
        probe_syscall(operand);
    } else if (!strcmp(name, "mknod")) {
        probe_mknod(operand);
    } else if (!strcmp(name, "exec")) {
        probe_exec(operand);
    } else if (!strcmp(name, "child")) {
        probe_child(operand);
    } else if (!strcmp(name, "fork")) {
        probe_fork(atol(operand));
    } else if (!strcmp(name, "memory")) {
        probe_memory(atol(operand));
    } else if (!strcmp(name, "interfaces")) {
        probe_interfaces();
    } else if (!strcmp(name, "clock")) {
        probe_clock();
    } else if (!strcmp(name, "mount")) {
        probe_mount(operand);
    } else if (!strcmp(name, "umount")) {
        result(umount2(operand, MNT_DETACH));
    } else if (!strcmp(name, "socket")) {
        probe_socket(operand);
    } else if (!strcmp(name, "sethostname")) {
        result(sethostname(operand, strlen(operand)));
    } else if (!strcmp(name, "chown")) {
        char *f[3] = {0};
        fields(operand, f, 3);
        result(chown(f[0], (uid_t)atol(f[1]), (gid_t)atol(f[2])));
    } else if (!strcmp(name, "setuid")) {
        result(setuid((uid_t)atol(operand)));
    } else if (!strcmp(name, "unshare")) {
        result(unshare((int)strtol(operand, NULL, 0)));
    } else if (!strcmp(name, "seize")) {
        result(ptrace(PTRACE_SEIZE, atoi(operand), NULL, NULL));
    } else if (!strcmp(name, "sleep")) {
        result(usleep((useconds_t)atol(operand) * 1000));
    } else if (!strcmp(name, "notify")) {
        probe_notify(operand);
    } else {
        fprintf(stderr, "inspector: unknown probe %s\n", name);
        exit(2);
    }
}

void probe(const char *text) {
    char *copy = strdup(text);
    char *operand = copy;
    char *name = strsep(&operand, ":");
    json_open(NULL, '{');
    json_string("probe", text);
    errno = 0;
    answer(name, operand ? operand : "");
    json_close('}');
    free(copy);
}
