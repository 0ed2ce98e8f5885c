// What a process can see of itself, read by syscalls first so that it works without /proc.
#define _GNU_SOURCE
#include "json.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

static void lines(const char *key, const char *path) {
    json_open(key, '[');
    FILE *file = fopen(path, "re");
    if (file) {
        char *line = NULL;
        size_t room = 0;
        ssize_t length;
        while ((length = getline(&line, &room, file)) > 0) {
            if (line[length - 1] == '\n')
                length--;
            json_bytes(NULL, line, length);
        }
        free(line);
        fclose(file);
    }
    json_close(']');
}

static void status(void) {
    json_open("status", '{');
    FILE *file = fopen("/proc/self/status", "re");
    char line[4096];
    while (file && fgets(line, sizeof line, file)) {
        char *colon = strchr(line, ':');
        if (!colon)
            continue;
        *colon = 0;
        char *value = colon + 1;
        value += strspn(value, " \t");
        value[strcspn(value, "\n")] = 0;
        json_string(line, value);
    }
    if (file)
        fclose(file);
    json_close('}');
}

static void identity(void) {
    uid_t r, e, s;
    static gid_t groups[65536];
    getresuid(&r, &e, &s);
    json_open("uid", '[');
    json_number(NULL, r), json_number(NULL, e), json_number(NULL, s);
    json_close(']');
    getresgid(&r, &e, &s);
    json_open("gid", '[');
    json_number(NULL, r), json_number(NULL, e), json_number(NULL, s);
    json_close(']');
    json_open("groups", '[');
    int count = getgroups(65536, groups);
    for (int i = 0; i < count; i++)
        json_number(NULL, groups[i]);
    json_close(']');
}

static void limits(void) {
    static const char *names[] = {"CPU",     "FSIZE",  "DATA",  "STACK",      "CORE",     "RSS",  "NPROC", "NOFILE",
                                  "MEMLOCK", "AS",     "LOCKS", "SIGPENDING", "MSGQUEUE", "NICE", "RTPRIO", "RTTIME"};
    json_open("rlimits", '{');
    for (int i = 0; i < 16; i++) {
        struct rlimit limit;
        if (getrlimit(i, &limit))
            continue;
        json_open(names[i], '[');
        json_number(NULL, (long long)limit.rlim_cur);
        json_number(NULL, (long long)limit.rlim_max);
        json_close(']');
    }
    json_close('}');
}

static void descriptors(void) {
    json_open("fds", '{');
    for (int fd = 0; fd < 1024; fd++) {
        char link[64], target[4096], key[16];
        if (fcntl(fd, F_GETFD) < 0)
            continue;
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t length = readlink(link, target, sizeof target);
        snprintf(key, sizeof key, "%d", fd);
        json_bytes(key, target, length < 0 ? 0 : length);
    }
    json_close('}');
}

static void namespaces(void) {
    static const char *names[] = {"mnt", "pid", "net", "uts", "ipc", "user", "cgroup", "time", "time_for_children"};
    json_open("namespaces", '{');
    for (int i = 0; i < 9; i++) {
        char link[64], target[128];
        snprintf(link, sizeof link, "/proc/self/ns/%s", names[i]);
        ssize_t length = readlink(link, target, sizeof target);
        if (length > 0)
            json_bytes(names[i], target, length);
    }
    json_close('}');
}

// struct sched_attr of the kernel, version 0, which glibc 2.36 lacks.
struct attributes {
    unsigned size, policy;
    unsigned long long flags;
    int nice;
    unsigned priority;
    unsigned long long runtime, deadline, period;
};

static void scheduling(void) {
    struct attributes a = {0};
    cpu_set_t set;
    syscall(SYS_sched_getattr, 0, &a, sizeof a, 0);
    json_open("scheduler", '{');
    json_number("policy", a.policy);
    json_number("flags", (long long)a.flags);
    json_number("nice", a.nice);
    json_number("priority", a.priority);
    json_number("runtime", (long long)a.runtime);
    json_number("deadline", (long long)a.deadline);
    json_number("period", (long long)a.period);
    json_close('}');
    json_open("affinity", '[');
    CPU_ZERO(&set);
    sched_getaffinity(0, sizeof set, &set);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &set))
            json_number(NULL, cpu);
    json_close(']');
    long priority = syscall(SYS_ioprio_get, 1, 0);
    json_number("ioprio_class", priority >> 13);
    json_number("ioprio_level", priority & 7);
    json_number("personality", personality(0xffffffff));
    int mode = -1;
    unsigned long nodes[16] = {0};
    if (!syscall(SYS_get_mempolicy, &mode, nodes, sizeof nodes * 8, 0, 0)) {
        json_number("mempolicy", mode);
        json_number("mempolicy_nodes", (long long)nodes[0]);
    }
}

static void terminal(void) {
    for (int fd = 0; fd < 3; fd++) {
        struct winsize size = {0};
        char key[16], name[256];
        if (!isatty(fd))
            continue;
        snprintf(key, sizeof key, "tty%d", fd);
        json_open(key, '{');
        ioctl(fd, TIOCGWINSZ, &size);
        json_number("rows", size.ws_row);
        json_number("columns", size.ws_col);
        json_string("name", ttyname_r(fd, name, sizeof name) ? "" : name);
        json_number("foreground", tcgetpgrp(fd));
        json_close('}');
    }
}

static void keyring(void) {
    char text[512] = "";
    long id = syscall(SYS_keyctl, 0, -3, 0);
    json_number("keyring", id);
    if (id > 0 && syscall(SYS_keyctl, 6, id, text, sizeof text) > 0)
        json_string("keyring_description", text);
}

void report(int argc, char **argv, char **env) {
    struct utsname uts;
    char directory[8192];
    json_open("args", '[');
    for (int i = 0; i < argc; i++)
        json_string(NULL, argv[i]);
    json_close(']');
    json_open("env", '[');
    for (; *env; env++)
        json_string(NULL, *env);
    json_close(']');
    json_number("pid", getpid());
    json_number("ppid", getppid());
    json_number("sid", getsid(0));
    json_number("pgid", getpgid(0));
    identity();
    descriptors();
    uname(&uts);
    json_string("hostname", uts.nodename);
    json_string("domainname", uts.domainname);
    json_string("machine", uts.machine);
    json_string("cwd", getcwd(directory, sizeof directory) ? directory : "");
    mode_t mask = umask(0);
    umask(mask);
    json_number("umask", mask);
    json_number("no_new_privs", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
    json_number("dumpable", prctl(PR_GET_DUMPABLE, 0, 0, 0, 0));
    json_number("securebits", prctl(PR_GET_SECUREBITS, 0, 0, 0, 0));
    int signal = 0;
    prctl(PR_GET_PDEATHSIG, &signal, 0, 0, 0);
    json_number("pdeathsig", signal);
    limits();
    scheduling();
    terminal();
    keyring();
    status();
    namespaces();
    lines("mountinfo", "/proc/self/mountinfo");
    lines("cgroup", "/proc/self/cgroup");
    lines("oom_score_adj", "/proc/self/oom_score_adj");
    lines("setgroups", "/proc/self/setgroups");
    lines("uid_map", "/proc/self/uid_map");
    lines("gid_map", "/proc/self/gid_map");
    lines("timens_offsets", "/proc/self/timens_offsets");
}
