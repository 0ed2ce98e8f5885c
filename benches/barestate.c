/* barestate [-k PID] FILE...: opens and reads each FILE, then writes a few lines (as `state` does) or kills PID (`kill`).
 *
 * The least that those two verbs can cost: a static process that opens the files they open, and nothing else. FILEs that
 * are not there are passed over, as a runtime passes over what this kernel has not got.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	static const char answer[] = "{\n  \"ociVersion\": \"1.3.0\",\n  \"id\": \"bare\",\n  \"status\": \"running\"\n}\n";
	char content[8192];
	int first = 1, pidfd = -1;
	if (argc > 3 && !strcmp(argv[1], "-k")) {
		pidfd = syscall(SYS_pidfd_open, atoi(argv[2]), 0);
		if (pidfd < 0)
			return 71;
		first = 3;
	}
	for (int i = first; i < argc; i++) {
		int fd = open(argv[i], O_RDONLY | O_CLOEXEC);
		while (fd >= 0 && read(fd, content, sizeof content) > 0)
			continue;
		if (fd >= 0)
			close(fd);
	}
	if (pidfd >= 0)
		return syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0) < 0 ? 71 : 0;
	return write(STDOUT_FILENO, answer, sizeof answer - 1) < 0 ? 74 : 0;
}
