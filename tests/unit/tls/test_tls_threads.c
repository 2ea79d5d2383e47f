/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Several workers, each with contexts of its own, while ticket keys are rotated beside them. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>

#include "base/alloc.h"
#include "base/check.h"
#include "lib/certificates.h"
#include "lib/tls_pair.h"

enum { WORKERS = 3, HANDSHAKES = 60 };

struct worker {
	pthread_t thread;
	struct tls_context *server;
	struct tls_context *client;
	struct tls_pair *pair;
	unsigned resumed_count;
};

static atomic_uint workers_running;

static struct tls_session *connect_once(struct worker *worker, const struct tls_session *session)
{
	struct tls_peer peer;
	uint8_t byte = 0;
	size_t count;

	tls_pair_open(worker->pair, worker->server, worker->client, "localhost", session);
	CHECK(tls_pair_handshake(worker->pair));
	tls_conn_peer(&worker->pair->client.conn, &peer);
	worker->resumed_count += peer.resumed;
	CHECK(tls_write(&worker->pair->server.conn, &byte, 1, &count) == TLS_OK);
	CHECK(tls_read(&worker->pair->client.conn, &byte, 1, &count) == TLS_OK);
	struct tls_session *next = tls_conn_session_take(&worker->pair->client.conn);
	tls_pair_close(worker->pair);
	return next;
}

static void *work(void *argument)
{
	struct worker *worker = argument;
	struct tls_session *session = NULL;

	for (int i = 0; i < HANDSHAKES; i++) {
		struct tls_session *next = connect_once(worker, session);
		tls_session_free(session);
		session = next;
	}
	tls_session_free(session);
	atomic_fetch_sub(&workers_running, 1);
	return NULL;
}

/* Nobody fails, and most connections resume. */
static void workers_and_rotation(void **state)
{
	static struct worker workers[WORKERS];
	unsigned resumed_count = 0;
	(void)state;

	atomic_init(&workers_running, WORKERS);
	for (size_t i = 0; i < WORKERS; i++) {
		workers[i].server = tls_test_server("server", TLS_CLIENT_NONE);
		workers[i].client = tls_test_client(NULL);
		workers[i].pair = alloc_array(1, sizeof *workers[i].pair);
	}
	for (size_t i = 0; i < WORKERS; i++) {
		CHECK(pthread_create(&workers[i].thread, NULL, work, &workers[i]) == 0);
	}
	for (unsigned rotations = 0; atomic_load(&workers_running) > 0; rotations++) {
		/* Often enough to meet a handshake, seldom enough for tickets to be of use. */
		if (rotations % 4096 == 0) assert_int_equal(tls_ticket_keys_rotate(), RESULT_OK);
		sched_yield();
	}
	for (size_t i = 0; i < WORKERS; i++) {
		CHECK(pthread_join(workers[i].thread, NULL) == 0);
		resumed_count += workers[i].resumed_count;
		tls_context_release(workers[i].server);
		tls_context_release(workers[i].client);
		alloc_free(workers[i].pair);
	}
	print_message("%u of %u resumed, %llu allocations\n", resumed_count, WORKERS * HANDSHAKES,
		(unsigned long long)tls_library_info().allocation_count);
	assert_true(tls_library_info().allocation_count > WORKERS * HANDSHAKES * 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(workers_and_rotation),
	};
	CHECK(tls_library_open() == RESULT_OK);
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	tls_library_close();
	return failed;
}
