/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A claim: an address belongs to one process, whose own sockets share it, and no connection is
 * lost to the claim itself. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/check.h"
#include "worker/claim.h"

/* A SYN that a claim drops is sent again after a second. */
enum { CONNECT_PATIENCE_S = 10, SOON_US = 200000 };

static struct config_listener listeners[2];
static const struct config config = { .listeners = listeners, .listener_count = 1 };
static const struct config config_two = { .listeners = listeners, .listener_count = 2 };
static char error[256];

static int open_socket(bool shared)
{
	int on = 1;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), 0);
	if (shared) assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on), 0);
	return fd;
}

/* As a worker does: a listening socket that shares its address; -1 when that is refused. */
static int listen_shared(const struct io_address *address)
{
	struct sockaddr_storage storage;
	socklen_t size = address_to_storage(address, &storage);
	int fd = open_socket(true);

	if (bind(fd, (const struct sockaddr *)&storage, size) == 0 && listen(fd, 16) == 0) {
		return fd;
	}
	close(fd);
	return -1;
}

/* A port of this host that nobody has. */
static int set_up(void **state)
{
	struct sockaddr_storage storage;
	struct io_address address = { .ip = { 127, 0, 0, 1 } };
	socklen_t size = address_to_storage(&address, &storage);
	(void)state;

	int fd = open_socket(false);
	assert_int_equal(bind(fd, (const struct sockaddr *)&storage, size), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&storage, &size), 0);
	close(fd);
	address.port = ntohs(((const struct sockaddr_in *)&storage)->sin_port);
	listeners[0] = (struct config_listener){ .name = "first", .address = address };
	listeners[1] =
		(struct config_listener){ .name = "all", .address = { .port = address.port } };
	error[0] = '\0';
	return 0;
}

static void expect_refused(void)
{
	struct claim claim;
	char address[ADDRESS_TEXT_SIZE];

	assert_int_equal(claim_take(&config, 0, &claim, error, sizeof error), RESULT_BUSY);
	assert_int_equal(claim.count, 0);
	address_format(&listeners[0].address, address);
	assert_non_null(strstr(error, address));
	assert_non_null(strstr(error, "another process listens there"));
}

static void a_second_claim_is_refused(void **state)
{
	struct claim first;
	(void)state;

	assert_int_equal(claim_take(&config, 0, &first, error, sizeof error), RESULT_OK);
	expect_refused();
	claim_release(&first);
	assert_int_equal(claim_take(&config, 0, &first, error, sizeof error), RESULT_OK);
	claim_release(&first);
}

/* What a daemon that runs looks like to the next one. */
static void a_shared_listener_keeps_others_out(void **state)
{
	(void)state;
	int fd = listen_shared(&listeners[0].address);

	assert_true(fd >= 0);
	expect_refused();
	close(fd);
}

static void own_sockets_join_a_claim(void **state)
{
	struct claim claim;
	struct sockaddr_storage storage;
	socklen_t size = address_to_storage(&listeners[0].address, &storage);
	(void)state;

	assert_int_equal(claim_take(&config, 0, &claim, error, sizeof error), RESULT_OK);
	int worker[2];
	for (size_t i = 0; i < 2; i++) {
		worker[i] = listen_shared(&listeners[0].address);
		assert_true(worker[i] >= 0);
	}
	/* Some of these find the claim, and come again when it has gone. */
	int clients[8];
	for (size_t i = 0; i < ARRAY_COUNT(clients); i++) {
		clients[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		assert_true(clients[i] >= 0);
		int failed = connect(clients[i], (const struct sockaddr *)&storage, size);
		MAYBE(failed != 0);
	}
	claim_release(&claim);
	for (size_t i = 0; i < ARRAY_COUNT(clients); i++) {
		struct pollfd wait = { .fd = clients[i], .events = POLLOUT };
		assert_int_equal(poll(&wait, 1, CONNECT_PATIENCE_S * 1000), 1);
		int failure = -1;
		socklen_t failure_size = sizeof failure;
		assert_int_equal(getsockopt(clients[i], SOL_SOCKET, SO_ERROR, &failure,
					 &failure_size),
			0);
		assert_int_equal(failure, 0);
		close(clients[i]);
	}
	close(worker[0]);
	close(worker[1]);
}

/* A killed daemon's sockets outlive it for a moment. */
static void a_claim_waits_for_who_is_about_to_go(void **state)
{
	struct claim claim;
	int held[2];
	(void)state;

	assert_int_equal(pipe(held), 0);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		int fd = listen_shared(&listeners[0].address);
		if (fd < 0 || write(held[1], "", 1) != 1) _exit(1);
		usleep(SOON_US);
		_exit(0);
	}
	char byte;
	assert_int_equal(read(held[0], &byte, 1), 1);
	expect_refused();
	assert_int_equal(claim_take(&config, CONNECT_PATIENCE_S * 1000, &claim, error,
				 sizeof error),
		RESULT_OK);
	claim_release(&claim);
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	close(held[0]);
	close(held[1]);
}

/* Who runs the daemon. A host may allow less to him. */
static void anybody_can_claim(void **state)
{
	enum { NOBODY = 65534 };
	(void)state;

	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		struct claim claim;
		/* Unless we are nobody in particular already. */
		if (geteuid() == 0 && (setgid(NOBODY) != 0 || setuid(NOBODY) != 0)) _exit(2);
		enum result result = claim_take(&config, 0, &claim, error, sizeof error);
		_exit(result == RESULT_OK ? 0 : 1);
	}
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

static void all_addresses_and_one_of_them_are_ours_together(void **state)
{
	struct claim claim;
	(void)state;

	assert_int_equal(claim_take(&config_two, 0, &claim, error, sizeof error), RESULT_OK);
	assert_int_equal(claim.count, 1);
	expect_refused();
	claim_release(&claim);
}

static void a_port_of_the_kernels_choice_needs_no_claim(void **state)
{
	struct claim claim;
	(void)state;

	listeners[0].address.port = 0;
	assert_int_equal(claim_take(&config, 0, &claim, error, sizeof error), RESULT_OK);
	assert_int_equal(claim.count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_second_claim_is_refused, set_up),
		cmocka_unit_test_setup(a_shared_listener_keeps_others_out, set_up),
		cmocka_unit_test_setup(own_sockets_join_a_claim, set_up),
		cmocka_unit_test_setup(a_claim_waits_for_who_is_about_to_go, set_up),
		cmocka_unit_test_setup(anybody_can_claim, set_up),
		cmocka_unit_test_setup(all_addresses_and_one_of_them_are_ours_together, set_up),
		cmocka_unit_test_setup(a_port_of_the_kernels_choice_needs_no_claim, set_up),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
