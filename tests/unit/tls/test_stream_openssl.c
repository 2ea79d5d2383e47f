/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Streams against OpenSSL's s_client and s_server: another implementation's view of us. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "lib/certificates.h"
#include "lib/stream_peer.h"

#define OUTPUT_FILE "build/test/openssl." /* and our process id */

enum { PATIENCE_S = 30, OUTPUT_SIZE = 65536 };

static struct stream_world world;
static struct peer peer;

/* ---- The other program ----------------------------------------------------------------------- */

struct program {
	pid_t pid;
	int input;
	char output_path[64];
	char output[OUTPUT_SIZE];
};

static struct program program;

static void program_child(const char *command, int input[2])
{
	int output = open(program.output_path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	if (output < 0 || dup2(input[0], 0) < 0 || dup2(output, 1) < 0 || dup2(output, 2) < 0)
		_exit(126);
	close(input[0]);
	close(input[1]);
	execl("/bin/sh", "sh", "-c", command, (char *)NULL);
	_exit(127);
}

__attribute__((format(printf, 1, 2))) static void program_start(const char *format, ...)
{
	char command[1024] = "exec openssl ";
	size_t prefix = strlen(command);
	va_list arguments;
	int input[2];

	va_start(arguments, format);
	vsnprintf(command + prefix, sizeof command - prefix, format, arguments);
	va_end(arguments);
	snprintf(program.output_path, sizeof program.output_path, OUTPUT_FILE "%d", (int)getpid());
	CHECK(pipe2(input, O_CLOEXEC) == 0);
	program.pid = fork();
	CHECK(program.pid >= 0);
	if (program.pid == 0) program_child(command, input);
	close(input[0]);
	program.input = input[1];
}

static void program_write(const char *text)
{
	CHECK(write(program.input, text, strlen(text)) == (ssize_t)strlen(text));
}

static const char *program_output(void)
{
	FILE *file = fopen(program.output_path, "r");
	size_t size = 0;

	if (file != NULL) {
		size = fread(program.output, 1, sizeof program.output - 1, file);
		fclose(file);
	}
	program.output[size] = '\0';
	return program.output;
}

/* For those that do not end by themselves. */
static void program_end(void)
{
	int status;

	close(program.input);
	kill(program.pid, SIGTERM);
	CHECK(waitpid(program.pid, &status, 0) == program.pid);
	unlink(program.output_path);
}

/* ---- Waiting --------------------------------------------------------------------------------- */

static void run_until(bool (*done)(void))
{
	mono_t start = loop_now(&world.loop);

	while (!done()) {
		stream_world_turn(&world);
		usleep(200);
		if (mono_since_us(start, loop_now(&world.loop)) < PATIENCE_S * US_PER_S) continue;
		const char *output = program_output();
		size_t size = strlen(output);
		fail_msg("nothing happens; the other side: %s",
			output + (size > 600 ? size - 600 : 0));
	}
}

static const char *wanted_output;

static bool output_there(void)
{
	return strstr(program_output(), wanted_output) != NULL;
}

static void run_until_output(const char *text)
{
	wanted_output = text;
	run_until(output_there);
}

static size_t wanted_size;

static bool size_received(void)
{
	return peer.received_size >= wanted_size;
}

static void run_until_received(size_t size)
{
	wanted_size = size;
	run_until(size_received);
}

static bool peer_opened(void)
{
	return peer.opened_count == 1 || peer.ended_count == 1;
}

static bool peer_ended(void)
{
	return peer.ended_count == 1;
}

static bool peer_closed(void)
{
	return peer.closed_count == 1;
}

static void close_peer(void)
{
	peer_close(&peer);
	run_until(peer_closed);
}

/* ---- We are the server ----------------------------------------------------------------------- */

static void serve(enum tls_client_certificate demand)
{
	stream_world_open(&world);
	stream_world_listen(&world, tls_test_server("server", demand));
}

/* s_client with these options, up to the end of the handshake, good or bad. A line of one letter
 * is a command to it, if it is read by itself: wait for the answer before writing the next. */
static void s_client(const char *options)
{
	peer_init(&peer, &world);
	peer.echo = true;
	world.next_accepted = &peer;
	program_start("s_client -connect 127.0.0.1:%u -CAfile %s/ca.pem -verify_return_error "
		      "-servername localhost %s",
		world.address.port, CERTIFICATES_DIR, options);
	run_until(peer_opened);
}

static void quit(void)
{
	program_write("Q\n");
	run_until(peer_ended);
	assert_int_equal(peer.end, STREAM_END_PEER);
	close_peer();
	program_end();
}

/* An echo, and fresh keys in between: `k` updates one direction, `K` asks us to follow. */
static void s_client_tls13(void **state)
{
	(void)state;
	serve(TLS_CLIENT_NONE);
	s_client("-tls1_3 -alpn http/1.1");
	assert_int_equal(peer.opened_count, 1);
	program_write("first line\n");
	run_until_output("first line\n");
	program_write("k\n");
	run_until_output("first line\nKEYUPDATE");
	program_write("second line\n");
	run_until_output("second line\n");
	program_write("K\n");
	run_until_output("second line\nKEYUPDATE");
	program_write("third line\n");
	run_until_output("third line\n");
	assert_non_null(strstr(program_output(), "ALPN protocol: http/1.1"));
	assert_non_null(strstr(program_output(), "Verify return code: 0 (ok)"));
	quit();
	stream_world_close(&world);
}

/* A certificate that does not fit into the output buffers: the handshake goes on as they empty. */
static void s_client_large_certificate(void **state)
{
	const char *const versions[] = { "-tls1_2", "-tls1_3" };
	(void)state;

	stream_world_open(&world);
	stream_world_listen(&world, tls_test_server("server-large", TLS_CLIENT_NONE));
	for (size_t i = 0; i < ARRAY_COUNT(versions); i++) {
		s_client(versions[i]);
		assert_int_equal(peer.opened_count, 1);
		program_write("first line\n");
		run_until_output("first line\n");
		quit();
	}
	stream_world_close(&world);
}

static void s_client_tls12(void **state)
{
	(void)state;
	serve(TLS_CLIENT_NONE);
	s_client("-tls1_2");
	program_write("first line\n");
	run_until_output("first line\n");
	quit();

	/* Nobody renegotiates here. */
	s_client("-tls1_2");
	program_write("R\n");
	run_until(peer_ended);
	assert_int_equal(peer.end, STREAM_END_TLS);
	assert_string_equal(stream_error(&peer.stream), "a message came twice");
	close_peer();
	program_end();
	stream_world_close(&world);
}

static bool s_client_resumes(const char *options)
{
	struct tls_peer details;

	s_client(options);
	assert_int_equal(peer.opened_count, 1);
	program_write("first line\n");
	run_until_output("first line\n");
	tls_conn_peer(peer.stream.tls, &details);
	quit();
	return details.resumed;
}

static void resume(const char *version)
{
	char file[64];
	char first[256];
	char later[256];

	snprintf(file, sizeof file, OUTPUT_FILE "%d.session", (int)getpid());
	snprintf(first, sizeof first, "%s -sess_out %s", version, file);
	snprintf(later, sizeof later, "%s -sess_in %s", version, file);
	assert_false(s_client_resumes(first));
	assert_true(s_client_resumes(later));
	assert_int_equal(tls_ticket_keys_rotate(), RESULT_OK);
	assert_true(s_client_resumes(later));
	assert_int_equal(tls_ticket_keys_rotate(), RESULT_OK);
	/* Too old, and a full handshake instead: the client must not notice. */
	assert_false(s_client_resumes(later));
	unlink(file);
}

static void s_client_resumption(void **state)
{
	(void)state;
	serve(TLS_CLIENT_NONE);
	resume("-tls1_3");
	resume("-tls1_2");
	stream_world_close(&world);
}

static void s_client_refused(const char *options, const char *error, const char *alert)
{
	s_client(options);
	run_until(peer_ended);
	assert_int_equal(peer.opened_count, 0);
	assert_int_equal(peer.end, STREAM_END_TLS);
	assert_string_equal(stream_error(&peer.stream), error);
	close_peer();
	run_until_output(alert);
	program_end();
}

/* What is refused, and that OpenSSL is told why. */
static void s_client_refusals(void **state)
{
	(void)state;
	serve(TLS_CLIENT_NONE);
	s_client_refused("-tls1_1 -cipher DEFAULT@SECLEVEL=0",
		"the peer does not speak TLS 1.2 or 1.3", "alert protocol version");
	s_client_refused("-tls1_2 -cipher ECDHE-ECDSA-AES128-SHA256", "no shared cipher suite",
		"alert handshake failure");
	s_client_refused("-alpn h2", "the client offers neither http/1.1 nor http/1.0 (ALPN)",
		"alert no application protocol");
	s_client_refused("-groups P-521", "no shared key exchange group", "alert");
	stream_world_close(&world);
}

/* With and without a client certificate, in both versions. */
static void s_client_mtls(void **state)
{
	const char *const versions[] = { "-tls1_2", "-tls1_3" };
	(void)state;

	serve(TLS_CLIENT_REQUIRED);
	for (size_t i = 0; i < ARRAY_COUNT(versions); i++) {
		struct tls_peer details;
		char options[256];
		snprintf(options, sizeof options, "%s -cert %s/client.pem -key %s/client.key",
			versions[i], CERTIFICATES_DIR, CERTIFICATES_DIR);
		s_client(options);
		assert_int_equal(peer.opened_count, 1);
		tls_conn_peer(peer.stream.tls, &details);
		assert_true(details.has_certificate);
		assert_string_equal(details.uri_san, "spiffe://example.test/workload");
		quit();
		s_client_refused(versions[i],
			"the client sent no certificate, and this listener requires one", "alert");
	}
	stream_world_close(&world);
}

/* ---- We are the client ----------------------------------------------------------------------- */

/* s_server that sends every line back reversed. */
static void s_server(const char *options, unsigned connections)
{
	stream_world_open(&world);
	program_start("s_server -accept 127.0.0.1:0 -cert %s/server.pem -key %s/server.key -rev "
		      "-naccept %u %s",
		CERTIFICATES_DIR, CERTIFICATES_DIR, connections, options);
	run_until_output("ACCEPT 127.0.0.1:");
	const char *port = strstr(program_output(), "ACCEPT 127.0.0.1:") +
		strlen("ACCEPT 127.0.0.1:");
	CHECK(address_parse(BYTES_LITERAL("127.0.0.1:0"), &world.address) == RESULT_OK);
	world.address.port = (uint16_t)strtoul(port, NULL, 10);
}

static struct tls_session *talk(struct tls_context *context, const struct tls_session *session,
	const char *version, bool resumed)
{
	struct tls_peer details;

	peer_init(&peer, &world);
	peer.text = "hello\n";
	peer.write_total = 6;
	peer.write_chunk = 6;
	peer_connect(&peer, context, "127.0.0.1", session);
	run_until_received(6);
	assert_memory_equal(peer.echo_data, "olleh\n", 6);
	tls_conn_peer(peer.stream.tls, &details);
	assert_string_equal(details.protocol, version);
	assert_int_equal(details.resumed, resumed);
	struct tls_session *next = tls_conn_session_take(peer.stream.tls);
	peer.context = NULL; /* used again */
	close_peer();
	return next;
}

static void s_server_both_versions(void **state)
{
	struct tls_context *context = tls_test_client(NULL);
	(void)state;

	s_server("-tls1_3", 3);
	struct tls_session *first = talk(context, NULL, "TLSv1.3", false);
	assert_non_null(first);
	struct tls_session *second = talk(context, first, "TLSv1.3", true);
	assert_non_null(second);
	tls_session_free(talk(context, second, "TLSv1.3", true));
	tls_session_free(first);
	tls_session_free(second);
	program_end();
	stream_world_close(&world);

	s_server("-tls1_2", 2);
	assert_null(talk(context, NULL, "TLSv1.2", false));
	assert_null(talk(context, NULL, "TLSv1.2", false));
	program_end();
	stream_world_close(&world);
	tls_context_release(context);
}

/* A target that went back to TLS 1.2: the session of the better days fails, dropping it helps. */
static void s_server_gone_back(void **state)
{
	struct tls_context *context = tls_test_client(NULL);
	(void)state;

	s_server("-tls1_3", 1);
	struct tls_session *session = talk(context, NULL, "TLSv1.3", false);
	program_end();
	stream_world_close(&world);

	s_server("-tls1_2", 2);
	peer_init(&peer, &world);
	peer_connect(&peer, context, "127.0.0.1", session);
	run_until(peer_opened);
	assert_int_equal(peer.opened_count, 0);
	assert_int_equal(peer.end, STREAM_END_TLS);
	peer.context = NULL;
	close_peer();
	tls_session_free(session);
	assert_null(talk(context, NULL, "TLSv1.2", false));
	program_end();
	stream_world_close(&world);
	tls_context_release(context);
}

/* It asks for a certificate, and we have one. */
static void s_server_mtls(void **state)
{
	struct tls_context *context = tls_test_client("client");
	(void)state;

	s_server("-Verify 2 -verify_return_error -CAfile " CERTIFICATES_DIR "/ca.pem", 1);
	tls_session_free(talk(context, NULL, "TLSv1.3", false));
	program_end();
	stream_world_close(&world);
	tls_context_release(context);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(s_client_tls13),
		cmocka_unit_test(s_client_tls12),
		cmocka_unit_test(s_client_large_certificate),
		cmocka_unit_test(s_client_resumption),
		cmocka_unit_test(s_client_refusals),
		cmocka_unit_test(s_client_mtls),
		cmocka_unit_test(s_server_both_versions),
		cmocka_unit_test(s_server_gone_back),
		cmocka_unit_test(s_server_mtls),
	};
	signal(SIGPIPE, SIG_IGN);
	CHECK(tls_library_open() == RESULT_OK);
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	tls_library_close();
	return failed;
}
