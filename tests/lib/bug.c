/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lib/bug.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

bool is_a_bug(void (*misuse)(void *owner), void *owner)
{
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		const struct rlimit no_core = { 0, 0 };
		if (setrlimit(RLIMIT_CORE, &no_core) != 0 || !freopen("/dev/null", "w", stderr)) {
			_exit(1);
		}
		/* cmocka catches it. */
		signal(SIGABRT, SIG_DFL);
		misuse(owner);
		_exit(0);
	}
	int status = 0;
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}
