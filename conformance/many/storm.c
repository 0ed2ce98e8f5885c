// Loaded before the test program (LD_PRELOAD): what a process that embeds a library may do with signals, and safe Rust can't.
//   TARE_STORM=1   a handler without SA_RESTART for SIGUSR1, and a thread that sends it to every other thread, again and again
//   TARE_REAP=1    a handler for SIGCHLD that reaps whatever has ended
#define _GNU_SOURCE
#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void nothing(int signal) { (void)signal; }

static void reap(int signal) {
    (void)signal;
    while (waitpid(-1, NULL, WNOHANG) > 0) {
    }
}

static void *storm(void *unused) {
    (void)unused;
    pid_t own = (pid_t)syscall(SYS_gettid);
    for (;;) {
        DIR *tasks = opendir("/proc/self/task");
        struct dirent *entry;
        while (tasks && (entry = readdir(tasks))) {
            pid_t task = atoi(entry->d_name);
            if (task > 0 && task != own) {
                syscall(SYS_tgkill, getpid(), task, SIGUSR1);
            }
        }
        if (tasks) {
            closedir(tasks);
        }
        usleep(200);
    }
    return NULL;
}

__attribute__((constructor)) static void begin(void) {
    struct sigaction action = {.sa_handler = nothing};
    if (getenv("TARE_REAP")) {
        action.sa_handler = reap;
        sigaction(SIGCHLD, &action, NULL);
    }
    if (getenv("TARE_STORM")) {
        pthread_t thread;
        action.sa_handler = nothing;
        sigaction(SIGUSR1, &action, NULL);
        pthread_create(&thread, NULL, storm, NULL);
    }
}
