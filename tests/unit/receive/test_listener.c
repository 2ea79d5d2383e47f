/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sockets that come when it is too late. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <unistd.h>

#include <cmocka.h>

#include "receive/receive_internal.h"

/* A reload that was under way when the drain began may bring one after it. */
static void one_that_drains_takes_no_other(void **state)
{
	struct listener free_one = { 0 };
	struct receive receive = {
		.config.listeners_max = 1, .listeners = &free_one, .draining = true
	};
	uint32_t index;

	(void)state;
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_int_equal(receive_listen_on(&receive, fd, NULL, &index), RESULT_CLOSED);
	assert_int_equal(receive.listeners_open, 0);
	assert_int_equal(free_one.state, LISTENER_FREE);
	assert_true(fcntl(fd, F_GETFD) >= 0); /* the caller's still */
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_that_drains_takes_no_other),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
