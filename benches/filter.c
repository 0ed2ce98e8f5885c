/* filter linear|tree < RULES > BPF: compiles a seccomp profile with libseccomp, the way a runtime would.
 *
 * The first line of RULES: `default ERRNO`. Each other line: ACTION NAME [INDEX OP VALUE VALUE_TWO]..., where ACTION is
 * `allow` or an errno and OP is `eq`, `ne` or `masked`. A system call that this libseccomp does not know is left out.
 * `tree` asks for a binary tree of comparisons instead of a chain: the kernel runs the filter once for every system call
 * number when it is loaded, so the shape decides how long loading takes.
 */
#include <inttypes.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static uint32_t action_of(const char *word)
{
	return strcmp(word, "allow") == 0 ? SCMP_ACT_ALLOW : SCMP_ACT_ERRNO(atoi(word));
}

static enum scmp_compare operator_of(const char *word)
{
	return strcmp(word, "eq") == 0 ? SCMP_CMP_EQ : strcmp(word, "ne") == 0 ? SCMP_CMP_NE : SCMP_CMP_MASKED_EQ;
}

int main(int argc, char **argv)
{
	char line[1024], *word;
	int fallback;
	if (argc != 2 || !fgets(line, sizeof line, stdin) || sscanf(line, "default %d", &fallback) != 1)
		return 64;
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(fallback));
	if (!filter)
		return 71;
#ifdef __x86_64__
	seccomp_arch_add(filter, SCMP_ARCH_X86);
	seccomp_arch_add(filter, SCMP_ARCH_X32);
#endif
	if (strcmp(argv[1], "tree") == 0 && seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2) != 0)
		return 69;
	while (fgets(line, sizeof line, stdin)) {
		struct scmp_arg_cmp conditions[6];
		unsigned count = 0;
		uint32_t action = action_of(strtok(line, " \n"));
		int number = seccomp_syscall_resolve_name(strtok(NULL, " \n"));
		while (count < 6 && (word = strtok(NULL, " \n"))) {
			conditions[count].arg = atoi(word);
			conditions[count].op = operator_of(strtok(NULL, " \n"));
			conditions[count].datum_a = strtoull(strtok(NULL, " \n"), NULL, 10);
			conditions[count++].datum_b = strtoull(strtok(NULL, " \n"), NULL, 10);
		}
		if (number == __NR_SCMP_ERROR || action == SCMP_ACT_ERRNO(fallback))
			continue;
		if (seccomp_rule_add_array(filter, action, number, count, conditions) != 0)
			return 65;
	}
	return seccomp_export_bpf(filter, STDOUT_FILENO) ? 74 : 0;
}
