// Programs that stay: signal catchers, process trees, load, crashes, and a seccomp notification agent.
#define _GNU_SOURCE
#include "json.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile sig_atomic_t caught;

static void remember(int number) {
    caught = number;
}

static void say(const char *text) {
    if (write(1, text, strlen(text)) < 0)
        _exit(3);
}

// Waits for a signal and exits with its number; `wait FILE` also creates FILE when ready.
int mode_wait(int argc, char **argv) {
    sigset_t all, before;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, &before);
    for (int number = 1; number < 32; number++)
        if (number != SIGCHLD && number != SIGWINCH && number != SIGCONT)
            signal(number, remember);
    say("ready\n");
    if (argc > 0)
        close(open(argv[0], O_CREAT | O_WRONLY | O_CLOEXEC, 0666));
    sigemptyset(&before);
    while (!caught)
        sigsuspend(&before);
    char text[32];
    snprintf(text, sizeof text, "signal %d\n", (int)caught);
    say(text);
    return caught;
}

int mode_stubborn(void) {
    for (int number = 1; number < 32; number++)
        signal(number, SIG_IGN);
    say("ready\n");
    for (;;)
        pause();
}

// `spawn N [setsid]`: a tree of N sleeping children.
int mode_spawn(int argc, char **argv) {
    int wanted = argc > 0 ? atoi(argv[0]) : 1;
    int apart = argc > 1 && !strcmp(argv[1], "setsid");
    for (int i = 0; i < wanted; i++) {
        pid_t child = fork();
        if (child < 0)
            return 3;
        if (child == 0) {
            if (apart)
                setsid();
            for (;;)
                pause();
        }
    }
    return mode_wait(0, NULL);
}

int mode_busy(void) {
    say("ready\n");
    for (volatile unsigned long i = 0;; i++) {
    }
}

int mode_crash(void) {
    *(volatile int *)8 = 1;
    return 0;
}

static int receive_listener(int connection, char *text, size_t room) {
    char control[CMSG_SPACE(16 * sizeof(int))];
    struct iovec part = {text, room - 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    ssize_t length = recvmsg(connection, &message, MSG_CMSG_CLOEXEC);
    if (length < 0)
        return -1;
    text[length] = 0;
    int count = 0, fds[16];
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c)) {
        count = (int)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
        memcpy(fds, CMSG_DATA(c), (size_t)count * sizeof(int));
    }
    json_number("fd_count", count);
    // The state says which descriptor is the listener: its position in "fds".
    int position = 0;
    char *list = strstr(text, "\"fds\"");
    if (list) {
        char *open_bracket = strchr(list, '['), *name = strstr(list, "seccompFd");
        for (char *c = open_bracket; c && name && c < name; c++)
            position += *c == ',';
    }
    return count > position ? fds[position] : -1;
}

// Lets every call go on, until no process is left under the filter or the caller kills us; answers how many there were.
static long let_all_go_on(int notify) {
    long count = 0;
    for (struct pollfd wait = {notify, POLLIN, 0}; poll(&wait, 1, -1) > 0 && wait.revents & POLLIN; count++) {
        struct seccomp_notif request = {0};
        if (ioctl(notify, SECCOMP_IOCTL_NOTIF_RECV, &request))
            continue; // the caller was killed meanwhile
        struct seccomp_notif_resp response = {.id = request.id, .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE};
        ioctl(notify, SECCOMP_IOCTL_NOTIF_SEND, &response);
    }
    return count;
}

// `seccomp-agent SOCKET COUNT`: serves as listenerPath, answers COUNT notifications with value 4242; COUNT `continue` lets all go on.
int mode_seccomp_agent(int argc, char **argv) {
    static char text[65536];
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (argc < 2)
        return 2;
    strncpy(address.sun_path, argv[0], sizeof address.sun_path - 1);
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 4))
        return 3;

    int connection = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    json_open(NULL, '{');
    int notify = receive_listener(connection, text, sizeof text);
    json_string("state", text);
    json_number("listener", notify >= 0);
    if (notify >= 0 && !strcmp(argv[1], "continue"))
        json_number("continued", let_all_go_on(notify));
    json_open("notifications", '[');
    for (int left = atoi(argv[1]); notify >= 0 && left > 0; left--) {
        struct seccomp_notif request = {0};
        if (ioctl(notify, SECCOMP_IOCTL_NOTIF_RECV, &request))
            break;
        json_number(NULL, request.data.nr);
        struct seccomp_notif_resp response = {.id = request.id, .val = 4242};
        if (ioctl(notify, SECCOMP_IOCTL_NOTIF_SEND, &response))
            break;
    }
    json_close(']');
    json_close('}');
    fflush(stdout);
    return 0;
}
