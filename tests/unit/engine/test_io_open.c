/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Kernels and sandboxes that say no: the operator gets a sentence with the fix. Each case runs
 * in a child under a seccomp filter that answers for the kernel.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "engine/io.h"

enum { CHILD_NO_FILTER = 77 };

/* From now on this system call fails with this error. */
static bool forbid(long number, int error)
{
	struct sock_filter program[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)number, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ((uint32_t)error & SECCOMP_RET_DATA)),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog filter = { .len = ARRAY_COUNT(program), .filter = program };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return false;
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

static void child_opens(long number, int error, enum result expected, const char *sentence_part)
{
	struct io_config config = { .sockets_max = 1, .buffer_count = 1, .buffer_size = 512 };
	struct io *io = NULL;

	if (!forbid(number, error)) _exit(CHILD_NO_FILTER);
	enum result result = io_open(&config, &io);
	bool right = result == expected && strstr(io_open_error(), sentence_part) != NULL;
	if (!right) fprintf(stderr, "result %d: %s\n", (int)result, io_open_error());
	_exit(right ? 0 : 1);
}

static void expect_refusal(long number, int error, enum result expected, const char *sentence_part)
{
	int status = 0;

	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) child_opens(number, error, expected, sentence_part);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == CHILD_NO_FILTER) skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* Switched off by a sandbox: permission, and what to allow. */
static void open_forbidden_by_sandbox(void **state)
{
	(void)state;
	expect_refusal(SYS_io_uring_setup, EPERM, RESULT_PERMISSION, "io_uring_setup");
	expect_refusal(SYS_io_uring_setup, EPERM, RESULT_PERMISSION, "seccomp");
	expect_refusal(SYS_io_uring_register, EPERM, RESULT_PERMISSION, "seccomp");
}

/* Built without io_uring, or older than it. */
static void open_without_io_uring(void **state)
{
	(void)state;
	expect_refusal(SYS_io_uring_setup, ENOSYS, RESULT_UNSUPPORTED, "6.1");
}

/* Older than DEFER_TASKRUN: the flags are refused. */
static void open_on_old_kernel(void **state)
{
	(void)state;
	expect_refusal(SYS_io_uring_setup, EINVAL, RESULT_UNSUPPORTED, "too old");
}

/* Out of memory or descriptors are told apart. */
static void open_short_of_resources(void **state)
{
	(void)state;
	expect_refusal(SYS_io_uring_setup, ENOMEM, RESULT_MEMORY, "memory");
	expect_refusal(SYS_io_uring_setup, EMFILE, RESULT_KERNEL, "raise the limit of open files");
	expect_refusal(SYS_eventfd2, EMFILE, RESULT_KERNEL, "raise the limit of open files");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(open_forbidden_by_sandbox),
		cmocka_unit_test(open_without_io_uring),
		cmocka_unit_test(open_on_old_kernel),
		cmocka_unit_test(open_short_of_resources),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
