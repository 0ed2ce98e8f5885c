/* FOOTPRINTS=FILE footprint OUT PROGRAM --root ROOT VERB ...: runs PROGRAM once and appends one line to the file FOOTPRINTS:
 *   program, verb, peak resident KiB, of which at its end anonymous KiB and file KiB, page faults, system calls
 * To OUT goes what the harness expects of measure.c: no times, the peak, the status.
 *
 * The program is stopped at its exit, while its memory is still there to be looked at; its children run untraced.
 * Being traced costs time, so measure.c takes the times.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#define SYSTEM_CALL (SIGTRAP | 0x80)

/* A line of /proc/PID/status that begins with KEY, as a number. */
static long status_of(pid_t pid, const char *key)
{
	char path[64], line[256];
	long value = -1;
	snprintf(path, sizeof path, "/proc/%d/status", pid);
	FILE *file = fopen(path, "re");
	while (file && fgets(line, sizeof line, file))
		if (!strncmp(line, key, strlen(key)))
			value = strtol(line + strlen(key), NULL, 10);
	if (file)
		fclose(file);
	return value;
}

/* Minor and major faults: the 10th and 12th field, counted from the end of the name, which may hold anything. */
static long faults_of(pid_t pid)
{
	char path[64], text[1024];
	unsigned long minor = 0, major = 0;
	snprintf(path, sizeof path, "/proc/%d/stat", pid);
	FILE *file = fopen(path, "re");
	if (!file)
		return -1;
	size_t length = fread(text, 1, sizeof text - 1, file);
	fclose(file);
	text[length] = 0;
	char *after = strrchr(text, ')');
	if (!after || sscanf(after, ") %*c %*d %*d %*d %*d %*d %*u %lu %*u %lu", &minor, &major) != 2)
		return -1;
	return (long)(minor + major);
}

int main(int argc, char **argv)
{
	int status;
	long stops = 0;
	long peak = 0;
	const char *footprints = getenv("FOOTPRINTS");
	if (argc < 3 || !footprints)
		return 64;
	FILE *out = fopen(argv[1], "we"), *lines = fopen(footprints, "ae");
	if (!out || !lines)
		return 73;
	pid_t pid = fork();
	if (pid == 0) {
		if (ptrace(PTRACE_TRACEME, 0, 0, 0) < 0)
			_exit(126);
		raise(SIGSTOP);
		execv(argv[2], argv + 2);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0 || !WIFSTOPPED(status))
		return 71;
	if (ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEEXEC | PTRACE_O_TRACEEXIT | PTRACE_O_EXITKILL) < 0)
		return 71;
	for (int signal = 0;;) {
		if (ptrace(PTRACE_SYSCALL, pid, 0, signal) < 0 || waitpid(pid, &status, 0) < 0)
			return 71;
		if (!WIFSTOPPED(status))
			break;
		int event = status >> 16;
		signal = 0;
		if (event == PTRACE_EVENT_EXIT) {
			peak = status_of(pid, "VmHWM:");
			fprintf(lines, "%s %s %ld %ld %ld %ld %ld\n", argv[2], argc > 5 ? argv[5] : "-", peak, status_of(pid, "RssAnon:"),
				status_of(pid, "RssFile:"), faults_of(pid), stops / 2);
		} else if (event == PTRACE_EVENT_EXEC)
			stops = 0; /* the return from execve follows, and is half of nothing */
		else if (WSTOPSIG(status) == SYSTEM_CALL)
			stops++;
		else if (!event)
			signal = WSTOPSIG(status);
	}
	fprintf(out, "0 0 0 %ld %d\n", peak, WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
	return fclose(out) || fclose(lines) ? 74 : 0;
}
