/* barerun ROOTFS FILTER.bpf NAME [FLAGS]: the least work that docker's default spec asks of the kernel.
 *
 * It knows the physical limit of `run`, so that a runtime's figures can be read against it. Not a runtime: nothing is
 * parsed, nothing is cleaned up after a failure; a failed call is reported and makes the exit status 3.
 *
 * Pid, mount, uts, ipc and net namespaces; v1 cgroups with memory, cpu and pids limits and the device list; proc, dev,
 * devpts, shm, mqueue, sysfs; six device nodes; three bound files; masked and read-only paths; pivot_root; capabilities;
 * no_new_privs; seccomp; exec of /bin/true; wait; rmdir.
 *
 * FLAGS, any of these letters:
 *   c no cgroups         n no net namespace    i no ipc namespace, no mqueue   p no pid namespace   u cgroup namespace too
 *   f few hierarchies    m no masked paths     s no seccomp                    x no mounts, chroot only
 *   v cgroup v2 instead of v1, with a device program that allows all
 *   k attach through v1 `tasks` instead of cgroup.procs: skips the global threadgroup lock and its RCU wait
 *   t print what each step took, in microseconds
 *   b print the largest number of bytes that were billed to its memory cgroup
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define COUNT(array) ((int)(sizeof(array) / sizeof(array)[0]))
enum { QUIET = MS_NOSUID | MS_NODEV | MS_NOEXEC };

static const char *const controllers[] = { "memory", "pids", "cpu", "devices", "freezer", "cpuacct", "cpuset", "blkio",
	"systemd", "net_cls", "net_prio", "hugetlb", "perf_event", "rdma", "misc" };
enum { FEW = 5 };

static char *root, *name;
static int flags[128], attach[COUNT(controllers)], attached, failures;
static struct sock_filter instructions[8192];
static struct sock_fprog filter = { .filter = instructions };

static struct { const char *what; double took; } steps[64];
static int step_count;
static struct timespec last_step;

/* Ends the step WHAT; NULL only starts the clock. The child shares this memory, so its steps land here too. */
static void step(const char *what)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	if (what && step_count < COUNT(steps)) {
		steps[step_count].what = what;
		steps[step_count++].took = (now.tv_sec - last_step.tv_sec) * 1e6 + (now.tv_nsec - last_step.tv_nsec) / 1e3;
	}
	last_step = now;
}

static void check(long result, const char *what)
{
	if (result < 0) {
		failures++;
		perror(what);
	}
}

static void put(const char *controller, const char *file, const char *value)
{
	char path[256];
	snprintf(path, sizeof path, "/sys/fs/cgroup/%s/%s/%s", controller, name, file);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	check(fd, path);
	check(write(fd, value, strlen(value)), path);
	close(fd);
}

/* A new v1 cpuset takes no process before it has processors and memory nodes of its own. */
static void inherit_cpuset(void)
{
	static const char *const files[] = { "cpuset.cpus", "cpuset.mems" };
	for (int i = 0; i < COUNT(files); i++) {
		char path[256], value[256];
		snprintf(path, sizeof path, "/sys/fs/cgroup/cpuset/%s", files[i]);
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		ssize_t length = read(fd, value, sizeof value - 1);
		close(fd);
		value[length > 0 ? length : 0] = 0;
		put("cpuset", files[i], value);
	}
}

/* v2 has no device files: a program decides. This one is the shortest there is. */
static void allow_devices(const char *path)
{
	static const struct bpf_insn allow[] = { { .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 1 },
		{ .code = BPF_JMP | BPF_EXIT } };
	union bpf_attr load = { .prog_type = BPF_PROG_TYPE_CGROUP_DEVICE, .insns = (unsigned long)allow,
		.insn_cnt = COUNT(allow), .license = (unsigned long)"Apache-2.0" };
	int program = syscall(SYS_bpf, BPF_PROG_LOAD, &load, sizeof load);
	check(program, "bpf load");
	int group = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	union bpf_attr to = { .target_fd = group, .attach_bpf_fd = program, .attach_type = BPF_CGROUP_DEVICE,
		.attach_flags = BPF_F_ALLOW_MULTI };
	check(syscall(SYS_bpf, BPF_PROG_ATTACH, &to, sizeof to), "bpf attach");
	close(group);
	close(program);
}

static void make_unified_cgroup(void)
{
	char path[256];
	snprintf(path, sizeof path, "/sys/fs/cgroup/%s", name);
	check(mkdir(path, 0755), path);
	step("host: mkdir cgroup");
	put(".", "memory.max", "268435456");
	put(".", "pids.max", "100");
	put(".", "cpu.max", "100000 100000");
	step("host: write limits");
	allow_devices(path);
	step("host: device program");
	strcat(path, "/cgroup.procs");
	attach[attached++] = open(path, O_WRONLY | O_CLOEXEC);
}

static void make_cgroups(void)
{
	static const char *const devices[] = { "c 1:5 rwm", "c 1:3 rwm", "c 1:9 rwm", "c 1:8 rwm", "c 5:0 rwm", "c 5:1 rwm",
		"c *:* m", "b *:* m", "c 136:* rwm", "c 1:7 rwm", "c 5:2 rwm" };
	int count = flags['f'] ? FEW : COUNT(controllers);
	for (int i = 0; i < count; i++) {
		char path[256];
		snprintf(path, sizeof path, "/sys/fs/cgroup/%s/%s", controllers[i], name);
		if (mkdir(path, 0755) < 0)
			continue; /* not every kernel has every controller */
		if (!strcmp(controllers[i], "cpuset"))
			inherit_cpuset();
		strcat(path, flags['k'] ? "/tasks" : "/cgroup.procs");
		attach[attached++] = open(path, O_WRONLY | O_CLOEXEC);
	}
	step("host: mkdir cgroups");
	put("memory", "memory.limit_in_bytes", "268435456");
	put("pids", "pids.max", "100");
	put("cpu", "cpu.cfs_period_us", "100000");
	put("cpu", "cpu.cfs_quota_us", "100000");
	put("devices", "devices.deny", "a");
	for (int i = 0; i < COUNT(devices); i++)
		put("devices", "devices.allow", devices[i]);
	step("host: write limits");
}

static void print_billed(void)
{
	char path[256], value[64];
	const char *where = flags['v'] ? "/sys/fs/cgroup/%s/memory.peak" : "/sys/fs/cgroup/memory/%s/memory.max_usage_in_bytes";
	snprintf(path, sizeof path, where, name);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t length = read(fd, value, sizeof value);
	check(length, path);
	check(write(STDOUT_FILENO, value, length > 0 ? length : 0), "stdout");
	close(fd);
}

static void remove_cgroups(void)
{
	for (int i = 0; i < attached; i++)
		close(attach[i]);
	for (int i = 0; i < COUNT(controllers) && !flags['v']; i++) {
		char path[256];
		snprintf(path, sizeof path, "/sys/fs/cgroup/%s/%s", controllers[i], name);
		rmdir(path);
	}
	if (flags['v']) {
		char path[256];
		snprintf(path, sizeof path, "/sys/fs/cgroup/%s", name);
		check(rmdir(path), path);
	}
	step("host: rmdir cgroups");
}

static void join_cgroups(void)
{
	for (int i = 0; i < attached; i++) {
		check(write(attach[i], "0", 1), "attach");
		if (i == 0)
			step("child: first cgroup attach");
	}
	if (attached)
		step("child: other cgroup attaches");
	if (flags['u']) {
		check(unshare(CLONE_NEWCGROUP), "unshare cgroup");
		step("child: unshare cgroup namespace");
	}
}

static void make_devices(void)
{
	static const struct { const char *path; int major, minor; } nodes[] = { { "dev/null", 1, 3 }, { "dev/zero", 1, 5 },
		{ "dev/full", 1, 7 }, { "dev/random", 1, 8 }, { "dev/urandom", 1, 9 }, { "dev/tty", 5, 0 } };
	static const char *const links[][2] = { { "/proc/self/fd", "dev/fd" }, { "/proc/self/fd/0", "dev/stdin" },
		{ "/proc/self/fd/1", "dev/stdout" }, { "/proc/self/fd/2", "dev/stderr" }, { "pts/ptmx", "dev/ptmx" } };
	mode_t mask = umask(0);
	for (int i = 0; i < COUNT(nodes); i++)
		check(mknod(nodes[i].path, S_IFCHR | 0666, makedev(nodes[i].major, nodes[i].minor)), nodes[i].path);
	umask(mask);
	for (int i = 0; i < COUNT(links); i++)
		check(symlink(links[i][0], links[i][1]), links[i][1]);
}

static void make_mounts(void)
{
	static const char *const files[] = { "etc/hosts", "etc/hostname", "etc/resolv.conf" };
	check(mount(0, "/", 0, MS_REC | MS_SLAVE, 0), "/ slave");
	step("child: / slave");
	check(mount(root, root, 0, MS_BIND | MS_REC, 0), root);
	check(chdir(root), root);
	check(mount("proc", "proc", "proc", QUIET, 0), "proc");
	step("child: bind root, proc");
	check(mount("tmpfs", "dev", "tmpfs", MS_NOSUID | MS_STRICTATIME, "mode=755,size=65536k"), "dev");
	mkdir("dev/pts", 0755);
	mkdir("dev/shm", 0755);
	mkdir("dev/mqueue", 0755);
	const char *pts = "newinstance,ptmxmode=0666,mode=0620,gid=5";
	check(mount("devpts", "dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, pts), "dev/pts");
	check(mount("shm", "dev/shm", "tmpfs", QUIET, "mode=1777,size=67108864"), "dev/shm");
	step("child: dev, pts, shm");
	if (!flags['i']) {
		check(mount("mqueue", "dev/mqueue", "mqueue", QUIET, 0), "dev/mqueue");
		step("child: mqueue");
	}
	if (flags['n']) /* a new sysfs needs a net namespace of one's own */
		check(mount("/sys", "sys", 0, MS_BIND | MS_REC, 0), "sys");
	else
		check(mount("sysfs", "sys", "sysfs", QUIET | MS_RDONLY, 0), "sys");
	step("child: sysfs");
	make_devices();
	for (int i = 0; i < COUNT(files); i++)
		check(mount("/etc/hostname", files[i], 0, MS_BIND, 0), files[i]);
	step("child: devices, links, 3 binds");
	check(syscall(SYS_pivot_root, ".", "."), "pivot_root");
	check(umount2(".", MNT_DETACH), "detach the old root");
	check(chdir("/"), "/");
	step("child: pivot_root and detach");
	check(sethostname("bench", 5), "sethostname");
}

/* Paths that this kernel has not got are left out, as a runtime leaves them out. */
static void mask_paths(void)
{
	static const char *const files[] = { "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
		"/proc/sched_debug" };
	static const char *const folders[] = { "/proc/asound", "/proc/acpi", "/proc/scsi", "/sys/firmware" };
	static const char *const readonly[] = { "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger" };
	for (int i = 0; i < COUNT(files); i++)
		mount("/dev/null", files[i], 0, MS_BIND, 0);
	for (int i = 0; i < COUNT(folders); i++)
		mount("tmpfs", folders[i], "tmpfs", MS_RDONLY, "size=0k");
	for (int i = 0; i < COUNT(readonly); i++)
		if (mount(readonly[i], readonly[i], 0, MS_BIND | MS_REC, 0) == 0)
			check(mount(0, readonly[i], 0, MS_BIND | MS_REMOUNT | MS_RDONLY | QUIET, 0), readonly[i]);
	step("child: masked and read-only paths");
}

static void drop_privileges(void)
{
	const unsigned keep = 0xa80425fb; /* docker's fourteen */
	for (int i = 0; i <= 40; i++)
		if (i >= 32 || !(keep >> i & 1))
			prctl(PR_CAPBSET_DROP, i, 0, 0, 0);
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct sets[2] = { { keep, keep, 0 }, { 0, 0, 0 } };
	if (!flags['s'])
		check(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs");
	check(syscall(SYS_capset, &header, sets), "capset");
	step("child: capabilities");
	if (!flags['s']) {
		check(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter), "seccomp");
		step("child: seccomp load");
	}
}

static int child(void *unused)
{
	(void)unused;
	step("child: clone until it runs");
	join_cgroups();
	if (flags['x']) {
		check(chroot(root), "chroot");
		check(chdir("/"), "/");
	} else {
		make_mounts();
		if (!flags['m'])
			mask_paths();
	}
	drop_privileges();
	char *arguments[] = { "/bin/true", NULL }, *environment[] = { "PATH=/bin", NULL };
	execve("/bin/true", arguments, environment);
	perror("exec");
	_exit(127);
}

static void read_filter(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	check(fd, path);
	ssize_t length = read(fd, instructions, sizeof instructions);
	close(fd);
	filter.len = length > 0 ? length / sizeof instructions[0] : 0;
	step("host: read the filter");
}

int main(int argc, char **argv)
{
	static char stack[65536] __attribute__((aligned(16)));
	int status = 0;
	if (argc < 4)
		return 64;
	root = argv[1];
	name = argv[3];
	for (char *letter = argc > 4 ? argv[4] : ""; *letter; letter++)
		flags[*letter & 127] = 1;
	step(NULL);
	read_filter(argv[2]);
	if (flags['v'])
		make_unified_cgroup();
	else if (!flags['c'])
		make_cgroups();
	int namespaces = CLONE_NEWNS | CLONE_NEWUTS;
	namespaces |= flags['p'] ? 0 : CLONE_NEWPID;
	namespaces |= flags['i'] ? 0 : CLONE_NEWIPC;
	namespaces |= flags['n'] ? 0 : CLONE_NEWNET;
	pid_t pid = clone(child, stack + sizeof stack, CLONE_VM | CLONE_VFORK | SIGCHLD | namespaces, NULL);
	check(pid, "clone");
	step("host: exec done, vfork returns");
	waitpid(pid, &status, 0);
	step("host: /bin/true ran and was reaped");
	if (flags['b'])
		print_billed();
	if (!flags['c'])
		remove_cgroups();
	double sum = 0;
	for (int i = 0; flags['t'] && i < step_count; sum += steps[i++].took)
		printf("%9.1f us  %s\n", steps[i].took, steps[i].what);
	if (flags['t'])
		printf("%9.1f us  sum\n", sum);
	return failures ? 3 : WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
