/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Kernels that give the ring no table of sockets: all of them are descriptors, and all else is the
 * same. A seccomp filter answers for such a kernel, for the whole program.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <linux/filter.h>
#include <linux/io_uring.h>
#include <linux/seccomp.h>
#include <netinet/tcp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "lib/io_chaos.h"
#include "unit/engine/io_harness.h"

enum { SEEDS = 5, STEPS = 3000 };

/* From now on no table of files can be registered. */
static bool forbid_tables(void)
{
	struct sock_filter program[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_register, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IORING_REGISTER_FILES2, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (EINVAL & SECCOMP_RET_DATA)),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog filter = { .len = ARRAY_COUNT(program), .filter = program };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return false;
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

/* It opens all the same, and says so. */
static void descriptors_without_table(void **state)
{
	struct io *io = ring_open(8, 4, 512);
	(void)state;

	assert_int_equal(io_table_size(io), 0);
	assert_non_null(strstr(io_features(io), "file_table=0"));
	ring_close(io, 4);
}

/* Without descriptors accepting rests, without spinning; connections wait and are served when
 * there are some again. */
static void descriptors_run_out(void **state)
{
	enum { CLIENTS = 20, ROOM = 5 };
	static struct party parties[CLIENTS];
	struct io *io = ring_open(CLIENTS + 1, 4, 512);
	struct host host = { .close_at_once = false };
	int clients[CLIENTS];
	(void)state;

	allow_descriptors(1024);
	host_open(&host, io, parties, CLIENTS);
	for (unsigned i = 0; i < CLIENTS; i++) clients[i] = peer_connect(&host.address);
	allow_descriptors(limit_with_room(ROOM));
	RING_UNTIL(io, io_statistics(io).accept_errors > 0);
	assert_int_equal(host.accepted_count, ROOM);
	uint64_t turns = io_statistics(io).turns;
	mono_t start = io_mono(io);
	while (mono_since_us(start, io_mono(io)) < 300000) ring_turn(io, 300000);
	assert_in_range(io_statistics(io).turns - turns, 1, 12);
	assert_int_equal(host.accepted_count, ROOM);

	allow_descriptors(8192);
	RING_UNTIL(io, host.accepted_count == CLIENTS);
	for (unsigned i = 0; i < CLIENTS; i++) {
		party_close(&parties[i]);
		close(clients[i]);
	}
	io_socket_close(io, host.listener);
	ring_close(io, 4);
}

static bool has_congestion_control(int fd, const char *wanted)
{
	char name[16] = "";
	socklen_t size = sizeof name - 1;

	assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &size), 0);
	return strcmp(name, wanted) == 0;
}

/* Small writes leave at once on both sides, and accepted sockets keep no books about them, though
 * nobody sets it for each of these. (With a table it is done in the same way, but nobody could
 * look.) */
static void descriptors_have_their_options(void **state)
{
	struct io *io = ring_open(4, 4, 512);
	struct party server = { .received_count = 0 };
	struct party client = { .io = io };
	struct host host = { .close_at_once = false };
	unsigned checked = 0;
	(void)state;

	host_open(&host, io, &server, 1);
	assert_int_equal(io_connect(io, &host.address, &party_events, &client, &client.socket),
		RESULT_OK);
	RING_UNTIL(io, client.connected_count == 1 && host.accepted_count == 1);
	for (int fd = 0; fd < 1024; fd++) {
		int on = 0;
		socklen_t size = sizeof on;
		struct sockaddr_in peer = { 0 };
		socklen_t peer_size = sizeof peer;
		if (getpeername(fd, (struct sockaddr *)&peer, &peer_size) != 0) continue;
		if (getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, &size) != 0) continue;
		assert_int_not_equal(on, 0);
		if (ntohs(peer.sin_port) != host.address.port) {
			assert_true(has_congestion_control(fd, "reno"));
		}
		checked++;
	}
	assert_int_equal(checked, 2);
	party_close(&server);
	party_close(&client);
	io_socket_close(io, host.listener);
	ring_close(io, 4);
}

/* The contract holds, with resets and shutdowns. */
static void descriptors_chaos(void **state)
{
	static struct chaos chaos;
	struct io_address address = loopback();
	unsigned descriptors = open_descriptors();
	uint64_t orderly_end_count = 0;
	(void)state;

	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		chaos_open(&chaos, seed, &address);
		for (unsigned step = 0; step < STEPS; step++) chaos_step(&chaos);
		chaos_close(&chaos);
		orderly_end_count += chaos.orderly_end_count;
	}
	assert_true(orderly_end_count > 10);
	assert_int_equal(open_descriptors(), descriptors);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(descriptors_without_table),
		cmocka_unit_test(descriptors_run_out),
		cmocka_unit_test(descriptors_have_their_options),
		cmocka_unit_test(descriptors_chaos),
	};

	if (!forbid_tables()) {
		fprintf(stderr, "no seccomp filters here: skipped\n");
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
