/* measure OUT PROGRAM ARGUMENTS...: runs PROGRAM once and writes one line to OUT:
 *   wall nanoseconds, user microseconds, system microseconds, peak resident KiB, wait status
 *
 * A program of its own, static and small, for two reasons. The peak resident set of a process starts at the size of the
 * process that spawned it, so a big harness cannot see it. And vfork from a small process costs the same every time.
 */
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long long nanoseconds(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static long long microseconds(struct timeval time)
{
	return time.tv_sec * 1000000LL + time.tv_usec;
}

int main(int argc, char **argv)
{
	struct rusage used;
	int status;
	if (argc < 3)
		return 64;
	FILE *out = fopen(argv[1], "we"); /* before the clock starts */
	if (!out)
		return 73;
	long long begin = nanoseconds();
	pid_t pid = vfork();
	if (pid == 0) {
		execv(argv[2], argv + 2);
		_exit(127);
	}
	if (pid < 0 || wait4(pid, &status, 0, &used) < 0)
		return 71;
	long long end = nanoseconds();
	fprintf(out, "%lld %lld %lld %ld %d\n", end - begin, microseconds(used.ru_utime), microseconds(used.ru_stime),
		used.ru_maxrss, WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
	return fclose(out) ? 74 : 0;
}
