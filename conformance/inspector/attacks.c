// What a hostile process does while another one is put beside it: looks for it, traces it, opens its files, writes to its program.
#define _GNU_SOURCE
#include "json.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

// Whether PID still runs the runtime's own program, which is no file of the container's.
static int is_runtime(int pid, char *target, size_t room) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/exe", pid);
    ssize_t length = readlink(path, target, room - 1);
    if (length < 0)
        return 0;
    target[length] = 0;
    return strstr(target, "memfd:") != NULL;
}

// A program that can be opened for writing after its process has gone on, or that is held open by us, is ours.
static int overwrite(int file) {
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    for (int tries = 0; tries < 2000; tries++) {
        int out = open(path, O_WRONLY | O_CLOEXEC);
        if (out >= 0) {
            long written = pwrite(out, "#!", 2, 0);
            close(out);
            return written == 2;
        }
        if (errno != ETXTBSY)
            return 0;
        usleep(500);
    }
    return 0;
}

static void look_at(int pid) {
    char path[64], target[4096], link[4096];
    if (!is_runtime(pid, target, sizeof target))
        return;
    snprintf(path, sizeof path, "/proc/%d/exe", pid);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    int traced = ptrace(PTRACE_SEIZE, pid, NULL, NULL) == 0;
    int still = is_runtime(pid, target, sizeof target);
    if (traced && still)
        printf("traced %d %s\n", pid, target);
    snprintf(path, sizeof path, "/proc/%d/fd", pid);
    DIR *directory = opendir(path);
    struct dirent *entry;
    while (directory && (entry = readdir(directory))) {
        char one[400];
        snprintf(one, sizeof one, "%s/%s", path, entry->d_name);
        ssize_t length = readlink(one, link, sizeof link - 1);
        if (length <= 0 || *entry->d_name == '.')
            continue;
        link[length] = 0;
        if (is_runtime(pid, target, sizeof target))
            printf("listed %d %s -> %s\n", pid, entry->d_name, link);
    }
    if (directory)
        closedir(directory);
    if (traced) {
        ptrace(PTRACE_INTERRUPT, pid, NULL, NULL);
        waitpid(pid, NULL, __WALL);
        ptrace(PTRACE_DETACH, pid, NULL, NULL);
    }
    if (file >= 0) {
        if (overwrite(file))
            printf("overwritten %d %s\n", pid, target);
        close(file);
    }
    fflush(stdout);
}

static volatile sig_atomic_t ended;

static void end(int number) {
    ended = number;
}

// `hunt`: until SIGTERM, each process that appears is looked at as long as it isn't yet what it becomes.
int mode_hunt(void) {
    signal(SIGTERM, end);
    signal(SIGCHLD, SIG_DFL);
    setvbuf(stdout, NULL, _IOLBF, 0);
    puts("ready");
    int self = getpid();
    while (!ended) {
        DIR *processes = opendir("/proc");
        struct dirent *entry;
        while (processes && (entry = readdir(processes))) {
            int pid = atoi(entry->d_name);
            if (pid > 0 && pid != self)
                look_at(pid);
        }
        if (processes)
            closedir(processes);
        while (waitpid(-1, NULL, WNOHANG | __WALL) > 0) {
        }
    }
    return 0;
}

// `keep PID`: holds PID's program open, says so, waits until PID runs another, and writes to what it holds.
int mode_keep(int argc, char **argv) {
    char path[64], first[4096] = "", now[4096] = "";
    int pid = argc > 0 ? atoi(argv[0]) : 0;
    snprintf(path, sizeof path, "/proc/%d/exe", pid);
    ssize_t length = readlink(path, first, sizeof first - 1);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    printf("held %d errno %d %.*s\n", file >= 0, file >= 0 ? 0 : errno, (int)(length < 0 ? 0 : length), first);
    fflush(stdout);
    if (file < 0)
        return 0;
    for (int tries = 0; tries < 5000; tries++) {
        ssize_t other = readlink(path, now, sizeof now - 1);
        if (other != length || memcmp(first, now, (size_t)other))
            break;
        usleep(1000);
    }
    puts(overwrite(file) ? "overwritten" : "not overwritten");
    return 0;
}
