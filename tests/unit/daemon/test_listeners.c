/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The daemon's sockets on their way to the workers: every worker gets a copy of all of its own, and
 * those that were to go are as before when they stay after all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/check.h"
#include "daemon_internal.h"

enum { WORKERS = 2 };

static struct config_listener listener = { .name = "only" };
static struct config config = { .listener_count = 1, .listeners = &listener };
static struct daemon daemon_of_test = { .worker_count = WORKERS };

static int open_it(void **state)
{
	char error[256];
	uint32_t failed;

	(void)state;
	listener.address = (struct io_address){ .ip = { 127, 0, 0, 1 } };
	CHECK(listening_open(&config, WORKERS, NULL, NULL, 0, &daemon_of_test.listening, &failed,
		      error, sizeof error) == RESULT_OK);
	return 0;
}

static int close_it(void **state)
{
	(void)state;
	listening_close(&daemon_of_test.listening, NULL);
	return 0;
}

/* A worker may have found no room for one that the daemon has: the next reload is to repair it. */
static void known_sockets_are_copied_too(void **state)
{
	(void)state;
	struct worker_listeners *copies =
		daemon_listeners_copy(&daemon_of_test, &daemon_of_test.listening);
	assert_non_null(copies);
	for (uint32_t i = 0; i < WORKERS; i++) {
		assert_int_equal(copies[i].count, 1);
		assert_true(fcntl(copies[i].all[0].fd, F_GETFD) >= 0);
		assert_int_not_equal(copies[i].all[0].fd, copies[i].all[0].held);
	}
	int copy = copies[0].all[0].fd;
	daemon_listeners_drop(&daemon_of_test, copies);
	assert_true(fcntl(copy, F_GETFD) < 0);
}

/* How many instructions its filter has; 0: it has none. */
static socklen_t filter_size(int fd)
{
	socklen_t size = 0;
	CHECK(getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, NULL, &size) == 0);
	return size;
}

static void what_stays_after_all_is_heard_again(void **state)
{
	const struct listening none = { 0 };
	int fd = listening_fd(&daemon_of_test.listening, 0, WORKERS, 0, 0);

	(void)state;
	daemon_listeners_hush(&daemon_of_test, &none);
	if (filter_size(fd) == 0) skip(); /* the host does not let us */
	daemon_listeners_unhush(&daemon_of_test, &daemon_of_test.listening);
	assert_true(filter_size(fd) > 0); /* it was in both: not ours to change */
	daemon_listeners_unhush(&daemon_of_test, &none);
	assert_int_equal(filter_size(fd), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(known_sockets_are_copied_too, open_it, close_it),
		cmocka_unit_test_setup_teardown(what_stays_after_all_is_heard_again, open_it,
			close_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
