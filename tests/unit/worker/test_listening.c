/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sockets that listen: what stays through a change stays the same one, what goes goes, a failure
 * changes nothing, and every socket has a worker whatever the numbers. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/check.h"
#include "engine/listener.h"
#include "worker/listening.h"

static struct config_listener listeners[3];
static struct config config = { .listeners = listeners };
static char error[256];
static uint32_t failed;

static struct io_address loopback(uint16_t port)
{
	return (struct io_address){ .ip = { 127, 0, 0, 1 }, .port = port };
}

/* A port of this host that nobody has. */
static uint16_t free_port(void)
{
	struct io_address address = loopback(0);
	int fd = listener_open(&address);
	CHECK(fd >= 0 && listener_address(fd, &address));
	close(fd);
	return address.port;
}

static void configure(uint32_t count, uint16_t first, uint16_t second)
{
	listeners[0] = (struct config_listener){ .name = "first", .address = loopback(first) };
	listeners[1] = (struct config_listener){ .name = "second", .address = loopback(second) };
	config.listener_count = count;
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static struct listening open_new(uint32_t workers)
{
	struct listening listening;
	assert_int_equal(listening_open(&config, workers, NULL, NULL, 0, &listening, &failed, error,
				 sizeof error),
		RESULT_OK);
	return listening;
}

static void a_change_keeps_what_stays(void **state)
{
	uint16_t ports[] = { free_port(), free_port(), free_port() };
	struct listening next;

	(void)state;
	configure(2, ports[0], ports[1]);
	struct listening before = open_new(2);
	int kept = listening_fd(&before, 1, 2, 1, 0);
	int gone = listening_fd(&before, 0, 2, 1, 0);
	configure(2, ports[1], ports[2]);
	assert_int_equal(listening_open(&config, 2, &before, NULL, 0, &next, &failed, error,
				 sizeof error),
		RESULT_OK);
	assert_int_equal(listening_fd(&next, 0, 2, 1, 0), kept);
	assert_true(listening_has(&next, kept) && !listening_has(&next, gone));
	listening_close(&before, &next);
	assert_true(is_open(kept) && !is_open(gone));
	listening_close(&next, NULL);
	assert_false(is_open(kept));
}

static void a_failure_changes_nothing(void **state)
{
	uint16_t ports[] = { free_port(), free_port() };
	struct io_address taken = loopback(ports[1]);
	struct listening next;

	(void)state;
	configure(1, ports[0], 0);
	struct listening before = open_new(2);
	int there = listening_fd(&before, 0, 2, 0, 0);
	/* Without SO_REUSEPORT, as another's. */
	int other = listener_open(&taken);
	int off = 0;
	assert_int_equal(setsockopt(other, SOL_SOCKET, SO_REUSEPORT, &off, sizeof off), 0);
	configure(2, ports[0], ports[1]);
	assert_int_equal(listening_open(&config, 2, &before, NULL, 0, &next, &failed, error,
				 sizeof error),
		RESULT_BUSY);
	assert_int_equal(failed, 1);
	assert_non_null(strstr(error, "second"));
	assert_true(is_open(there));
	close(other);
	listening_close(&before, NULL);
}

/* As if handed over: so many descriptors of one address. */
static struct listening handed_to(uint32_t count, uint32_t workers)
{
	struct io_address address = loopback(free_port());
	struct handed_socket sockets[8];
	struct handed handed = { .sockets = sockets };
	struct listening listening;

	CHECK(count <= ARRAY_COUNT(sockets));
	for (; handed.count < count; handed.count++) {
		sockets[handed.count] =
			(struct handed_socket){ .fd = listener_open(&address), .address = address };
	}
	configure(1, address.port, 0);
	assert_int_equal(listening_open(&config, workers, NULL, &handed, 0, &listening, &failed,
				 error, sizeof error),
		RESULT_OK);
	return listening;
}

static void every_socket_has_a_worker(void **state)
{
	(void)state;
	for (uint32_t count = 1; count <= 8; count++) {
		for (uint32_t workers = 1; workers <= 4; workers++) {
			struct listening listening = handed_to(count, workers);
			int seen[32];
			uint32_t seen_count = 0;
			for (uint32_t worker = 0; worker < workers; worker++) {
				uint32_t share = listening_share(&listening, 0, workers, worker);
				assert_true(share >= 1);
				for (uint32_t nth = 0; nth < share; nth++) {
					int fd = listening_fd(&listening, 0, workers, worker, nth);
					bool known = false;
					for (uint32_t i = 0; i < seen_count; i++) {
						known |= seen[i] == fd;
					}
					/* Twice only where there are too few. */
					assert_true(!known || count < workers);
					if (!known) seen[seen_count++] = fd;
				}
			}
			assert_int_equal(seen_count, count);
			listening_close(&listening, NULL);
		}
	}
}

static void set_environment(const char *pid, const char *count)
{
	CHECK(setenv("LISTEN_PID", pid, 1) == 0 && setenv("LISTEN_FDS", count, 1) == 0);
}

static void sockets_for_another_are_left(void **state)
{
	struct handed handed;

	(void)state;
	set_environment("1", "3");
	assert_int_equal(handed_take(&handed, error, sizeof error), RESULT_OK);
	assert_int_equal(handed.count, 0);
	assert_non_null(getenv("LISTEN_FDS"));
	handed_close(&handed);

	char own[24];
	snprintf(own, sizeof own, "%d", (int)getpid());
	set_environment(own, "5000");
	assert_int_equal(handed_take(&handed, error, sizeof error), RESULT_CONFIG);
	set_environment(own, "x");
	assert_int_equal(handed_take(&handed, error, sizeof error), RESULT_OK);
	assert_int_equal(handed.count, 0);
}

static void names_hold_no_colon(void **state)
{
	char name[HANDED_NAME_SIZE];
	struct io_address address;

	(void)state;
	assert_int_equal(address_parse(BYTES_LITERAL("[::1]:443"), &address), RESULT_OK);
	handed_name(&address, name);
	assert_string_equal(name, "penstock-[__1]_443");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_change_keeps_what_stays),
		cmocka_unit_test(a_failure_changes_nothing),
		cmocka_unit_test(every_socket_has_a_worker),
		cmocka_unit_test(sockets_for_another_are_left),
		cmocka_unit_test(names_hold_no_colon),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
