/* TRACED=PROGRAM SYMBOLS=FILE ENTERED=FILE entries OUT PROGRAM ARGUMENTS...: appends to the file ENTERED the functions that one
 * run of PROGRAM enters, in the order of their first use, as lines of SYMBOLS, which `nm` has printed of PROGRAM: address, type,
 * name. Any other program is run as it is. To OUT goes what the harness expects of measure.c: four times nothing, and the status.
 *
 * Each function begins with a breakpoint that is taken away when it is met. A child is followed until it executes another
 * program, for it runs the same code.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#define MOST 65536

static struct entry {
	unsigned long address;
	char *line;
	unsigned char byte, met;
} entries[MOST];
static size_t many;

static int by_address(const void *left, const void *right)
{
	const struct entry *a = left, *b = right;
	return (a->address > b->address) - (a->address < b->address);
}

static void fail(const char *what)
{
	perror(what);
	exit(71);
}

static void read_symbols(const char *path)
{
	char line[4096], type;
	FILE *file = fopen(path, "re");
	if (!file)
		fail(path);
	while (many < MOST && fgets(line, sizeof line, file))
		if (sscanf(line, "%lx %c", &entries[many].address, &type) == 2 && strchr("tTwWi", type))
			entries[many++].line = strdup(line);
	fclose(file);
	qsort(entries, many, sizeof *entries, by_address);
	/* One address may have many names, and takes one breakpoint. */
	size_t kept = 0;
	for (size_t i = 0; i < many; i++)
		if (!kept || entries[i].address != entries[kept - 1].address)
			entries[kept++] = entries[i];
	many = kept;
}

/* Where PROGRAM begins in memory: its first mapping is the lowest, for nothing is loaded below it without randomness. */
static unsigned long base_of(pid_t pid)
{
	char path[64];
	unsigned long base = 0;
	snprintf(path, sizeof path, "/proc/%d/maps", pid);
	FILE *file = fopen(path, "re");
	if (!file || fscanf(file, "%lx-", &base) != 1)
		fail(path);
	fclose(file);
	return base;
}

static int memory_of(pid_t pid)
{
	char path[64];
	snprintf(path, sizeof path, "/proc/%d/mem", pid);
	int memory = open(path, O_RDWR | O_CLOEXEC);
	if (memory < 0)
		fail(path);
	return memory;
}

/* Takes away the breakpoint that PID has just run into; false if it was none of ours. */
static int met(pid_t pid, int memory, unsigned long base, FILE *out)
{
	struct user_regs_struct registers;
	if (ptrace(PTRACE_GETREGS, pid, 0, &registers) < 0)
		return 0;
	struct entry key = {.address = registers.rip - 1 - base}, *entry = bsearch(&key, entries, many, sizeof key, by_address);
	if (!entry)
		return 0;
	registers.rip--;
	if (pwrite(memory, &entry->byte, 1, registers.rip) != 1 || ptrace(PTRACE_SETREGS, pid, 0, &registers) < 0)
		fail("take a breakpoint away");
	if (!entry->met)
		fputs(entry->line, out);
	entry->met = 1;
	return 1;
}

int main(int argc, char **argv)
{
	int status;
	const char *traced = getenv("TRACED"), *symbols = getenv("SYMBOLS"), *entered = getenv("ENTERED");
	if (argc < 3 || !traced || !symbols || !entered)
		return 64;
	if (!strcmp(argv[2], traced))
		read_symbols(symbols);
	FILE *out = fopen(entered, "ae");
	if (!out)
		fail(entered);
	pid_t program = fork();
	if (program == 0) {
		personality(ADDR_NO_RANDOMIZE);
		ptrace(PTRACE_TRACEME, 0, 0, 0);
		execv(argv[2], argv + 2);
		_exit(127);
	}
	if (program < 0 || waitpid(program, &status, 0) < 0 || !WIFSTOPPED(status))
		fail(argv[2]);
	ptrace(PTRACE_SETOPTIONS, program, 0,
	       PTRACE_O_EXITKILL | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC);
	unsigned long base = base_of(program);
	int memory = memory_of(program);
	for (size_t i = 0; i < many; i++)
		if (pread(memory, &entries[i].byte, 1, base + entries[i].address) != 1 ||
		    pwrite(memory, "\xcc", 1, base + entries[i].address) != 1)
			fail("set a breakpoint");
	ptrace(PTRACE_CONT, program, 0, 0);
	for (pid_t pid; (pid = waitpid(-1, &status, __WALL)) > 0;) {
		if (!WIFSTOPPED(status)) {
			if (pid == program)
				break;
			continue;
		}
		int event = status >> 16, signal = WSTOPSIG(status);
		if (event == PTRACE_EVENT_EXEC && pid != program) {
			ptrace(PTRACE_DETACH, pid, 0, 0);
			continue;
		}
		/* A new child begins with a stop of its own, which it isn't to see; breakpoints are ours, too. */
		if (event || signal == SIGSTOP || (signal == SIGTRAP && met(pid, memory, base, out)))
			signal = 0;
		ptrace(PTRACE_CONT, pid, 0, signal);
	}
	FILE *measured = fopen(argv[1], "we");
	if (!measured)
		fail(argv[1]);
	fprintf(measured, "0 0 0 0 %d\n", WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
	return fclose(measured) || fclose(out) ? 74 : 0;
}
