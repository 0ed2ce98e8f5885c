// The program that conformance cases run inside containers; see each file of this folder.
#include "json.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv, char **env) {
    const char *mode = argc > 1 ? argv[1] : "report";
    if (!strcmp(mode, "wait"))
        return mode_wait(argc - 2, argv + 2);
    if (!strcmp(mode, "spawn"))
        return mode_spawn(argc - 2, argv + 2);
    if (!strcmp(mode, "stubborn"))
        return mode_stubborn();
    if (!strcmp(mode, "busy"))
        return mode_busy();
    if (!strcmp(mode, "crash"))
        return mode_crash();
    if (!strcmp(mode, "seccomp-agent"))
        return mode_seccomp_agent(argc - 2, argv + 2);
    if (!strcmp(mode, "hunt"))
        return mode_hunt();
    if (!strcmp(mode, "keep"))
        return mode_keep(argc - 2, argv + 2);
    if (!strcmp(mode, "exit"))
        return argc > 2 ? atoi(argv[2]) : 0;
    if (strcmp(mode, "report") && strcmp(mode, "probe")) {
        fprintf(stderr, "inspector: unknown mode %s\n", mode);
        return 2;
    }
    json_open(NULL, '{');
    if (!strcmp(mode, "report"))
        report(argc, argv, env);
    json_open("probes", '[');
    for (int i = 2; i < argc; i++)
        probe(argv[i]);
    json_close(']');
    json_close('}');
    putchar('\n');
    fflush(stdout);
    return 0;
}
