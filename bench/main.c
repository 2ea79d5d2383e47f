/* SPDX-License-Identifier: GPL-2.0-or-later */
/* penstock-bench — load generator and sink in one, with a correctness ledger.
 *
 * Goals: numbers that can be believed (latency from the intended start, CPU of the daemon and
 * of this generator side by side), and a ledger kept outside the daemon that must balance,
 * also when the daemon is killed in the middle. Non-goals: HTTP conformance, absolute records.
 *
 * One thread, one loop, both roles: on a two-CPU host it takes one and leaves the other to the
 * daemon.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/check.h"
#include "options.h"
#include "process.h"
#include "report.h"
#include "secrets/secret.h"

enum { EXIT_TROUBLE = 1, EXIT_UNBALANCED = 2, PEM_SIZE_MAX = 1024 * 1024, TICK_MS = 50 };

/* Events a run may have when it is bounded by time: 100,000 per second. */
#define EVENTS_PER_S_MAX 150000u

struct bench {
	struct options options;
	struct loop loop;
	struct streams streams;
	struct ledger ledger;
	struct sender *sender;
	struct sink *sink;
	struct sender_endpoint endpoints[SENDER_ENDPOINTS_MAX];
	struct timer tick; /* wakes the main loop to look at the time */
	mono_t measure_from;
	uint64_t acked_at_start;
	uint64_t handshakes_at_start;
	uint64_t daemon_cpu_at_start;
	uint64_t bench_cpu_at_start;
};

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
	(void)number; /* any of them means: finish */
	interrupted = 1;
}

static void fail(const char *what, const char *why) __attribute__((noreturn));
static void fail(const char *what, const char *why)
{
	fprintf(stderr, "penstock-bench: %s: %s\n", what, why);
	exit(EXIT_TROUBLE);
}

/* ---- Set-up ---------------------------------------------------------------------------------- */

static struct bytes file_read(const char *path)
{
	if (path == NULL) return BYTES_EMPTY;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) fail(path, strerror(errno));
	uint8_t *data = alloc_array(PEM_SIZE_MAX, 1);
	ssize_t size = read(fd, data, PEM_SIZE_MAX);
	if (size < 0) fail(path, strerror(errno));
	close(fd);
	return bytes_of(data, (size_t)size);
}

static struct tls_context *client_context(const struct options *options)
{
	struct tls_client_config config = { .ca_pem = file_read(options->ca_file) };
	struct tls_context *context;
	char error[256];

	if (!options->target_tls) return NULL;
	if (tls_client_context_create(&config, &context, error, sizeof error) != RESULT_OK) {
		fail("TLS", error);
	}
	return context;
}

static struct tls_context *sink_context(const struct options *options)
{
	struct tls_certificate certificate = {
		.chain_pem = file_read(options->sink_certificate_file),
		.key_pem = file_read(options->sink_key_file),
	};
	struct tls_server_config config = { .certificates = &certificate, .certificate_count = 1 };
	struct tls_context *context;
	char error[256];

	if (options->sink_certificate_file == NULL) return NULL;
	if (tls_server_context_create(&config, &context, error, sizeof error) != RESULT_OK) {
		fail("TLS of the sink", error);
	}
	return context;
}

static struct verifier *verifier_of(const char *scheme_text, struct bytes secret)
{
	const struct scheme *scheme = scheme_find(bytes_of_text(scheme_text));
	struct verifier *verifier;
	const char *error = "";

	if (scheme == NULL) fail(scheme_text, "there is no such scheme");
	if (verifier_create(scheme, secret, BYTES_EMPTY, 0, &verifier, &error) != RESULT_OK) {
		fail(scheme_text, error);
	}
	return verifier;
}

static struct verifier *verifier_of_file(const char *scheme, const char *path)
{
	struct secret *secret;

	enum result result = secret_load_file(path, &secret);
	if (result != RESULT_OK) fail(path, result_text(result));
	struct verifier *verifier = verifier_of(scheme, secret_bytes(secret));
	secret_free(secret);
	return verifier;
}

static void endpoints_open(struct bench *bench)
{
	/* Well-formed for every scheme, and known to nobody's configuration. */
	static const char forged_secret[] =
		"whsec_Zm9yZ2VkLWZvcmdlZC1mb3JnZWQtZm9yZ2VkLWZvcmdlZA==";

	for (uint32_t i = 0; i < bench->options.endpoint_count; i++) {
		const struct endpoint_option *option = &bench->options.endpoints[i];
		struct sender_endpoint *endpoint = &bench->endpoints[i];
		bytes_to_text(bytes_of_text(option->path), endpoint->path, sizeof endpoint->path);
		bytes_to_text(bytes_of_text(option->scheme), endpoint->scheme,
			sizeof endpoint->scheme);
		endpoint->signer = verifier_of_file(option->scheme, option->secret_file);
		endpoint->timestamped = scheme_tolerance_s(verifier_scheme(endpoint->signer)) > 0;
		endpoint->forger = verifier_of(option->scheme, BYTES_LITERAL(forged_secret));
	}
}

static struct io_address resolve(const struct options *options)
{
	struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
	struct addrinfo *found = NULL;
	struct io_address address = { .port = options->target_port };

	int code = getaddrinfo(options->target_host, NULL, &hints, &found);
	if (code != 0) fail(options->target_host, gai_strerror(code));
	if (found->ai_family == AF_INET) {
		const struct sockaddr_in *in = (const void *)found->ai_addr;
		memcpy(address.ip, &in->sin_addr, 4);
	} else {
		const struct sockaddr_in6 *in6 = (const void *)found->ai_addr;
		memcpy(address.ip, &in6->sin6_addr, 16);
		address.is_ipv6 = true;
	}
	freeaddrinfo(found);
	return address;
}

static void sender_start(struct bench *bench)
{
	const struct options *options = &bench->options;
	struct sender_config config = {
		.streams = &bench->streams,
		.ledger = &bench->ledger,
		.shape = { .run = options->run, .size = options->size },
		.address = resolve(options),
		.host_name = options->target_host,
		.context = client_context(options),
		.endpoints = bench->endpoints,
		.endpoint_count = options->endpoint_count,
		.connections = options->connections,
		.rate = options->rate,
		.count = options->count,
		.forged_permille = options->forged_permille,
		.stale_permille = options->stale_permille,
		.replay_permille = options->replay_permille,
		.retry = options->retry,
		.full_handshakes = options->full_handshakes,
		.seed = options->seed,
	};
	endpoints_open(bench);
	sender_open(&config, &bench->sender);
	if (options->mode == MODE_HOLD) sender_finish(bench->sender);
}

static void sink_start(struct bench *bench)
{
	const struct options *options = &bench->options;
	struct sink_config config = {
		.streams = &bench->streams,
		.ledger = options->mode == MODE_RUN ? &bench->ledger : NULL,
		.shape = { .run = options->run, .size = options->size },
		.address = options->listen,
		.context = sink_context(options),
		.verifier = options->sink_secret_file == NULL
			? NULL
			: verifier_of_file("standard-webhooks", options->sink_secret_file),
		.connections_max = 4096,
		.delay_ms = options->delay_ms,
		.fail_permille = options->fail_permille,
		.busy_permille = options->busy_permille,
		.reset_permille = options->reset_permille,
		.retry_after_s = options->retry_after_s,
		.seed = options->seed,
	};
	if (sink_open(&config, &bench->sink) != RESULT_OK) fail("cannot listen", strerror(errno));
	if (options->ready_file != NULL) {
		int fd = open(options->ready_file, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
		if (fd < 0) fail(options->ready_file, strerror(errno));
		close(fd);
	}
}

static void tick_expired(void *owner)
{
	struct bench *bench = owner;
	timer_start(&bench->loop.timers, &bench->tick, loop_now(&bench->loop), TICK_MS * US_PER_MS);
}

static void bench_open(struct bench *bench)
{
	const struct options *options = &bench->options;
	struct rlimit limit;

	if (options->cpu >= 0) {
		cpu_set_t set;
		CPU_ZERO(&set);
		CPU_SET((size_t)options->cpu, &set);
		if (sched_setaffinity(0, sizeof set, &set) != 0) fail("--cpu", strerror(errno));
	}
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		if (setrlimit(RLIMIT_NOFILE, &limit) != 0) fail("descriptors", strerror(errno));
	}
	uint32_t sockets_max = options->connections + 4096 + 1;
	struct io_config config = {
		.sockets_max = sockets_max,
		.buffer_count = IO_BUFFER_COUNT,
		.buffer_size = IO_BUFFER_SIZE,
	};
	if (loop_open(&bench->loop, &config) != RESULT_OK) fail("io_uring", io_open_error());
	streams_open(&bench->streams, &bench->loop, sockets_max);
	uint64_t capacity = options->count > 0
		? options->count
		: (uint64_t)((options->duration_s + options->warmup_s + 1) * EVENTS_PER_S_MAX);
	ledger_open(&bench->ledger, capacity);
	bench->ledger.started = loop_now(&bench->loop);
	timer_init(&bench->tick, tick_expired, bench);
	tick_expired(bench);
}

/* ---- Running --------------------------------------------------------------------------------- */

static void turn(struct bench *bench)
{
	if (loop_turn(&bench->loop) != RESULT_OK) fail("io_uring", "the ring failed");
}

static double elapsed_s(const struct bench *bench)
{
	return (double)mono_since_us(bench->ledger.started, loop_now(&bench->loop)) / 1e6;
}

static void measure_begin(struct bench *bench)
{
	bench->measure_from = loop_now(&bench->loop);
	bench->acked_at_start = bench->ledger.acked;
	bench->handshakes_at_start = sender_handshakes(bench->sender);
	bench->daemon_cpu_at_start = process_cpu_us(bench->options.pid);
	bench->bench_cpu_at_start = thread_cpu_us();
	sender_reset_latency(bench->sender);
}

static void measure_end(struct bench *bench, struct report *report)
{
	const struct options *options = &bench->options;

	report->measured_us = mono_since_us(bench->measure_from, loop_now(&bench->loop));
	report->measured_acked = bench->ledger.acked - bench->acked_at_start;
	report->measured_handshakes = sender_handshakes(bench->sender) - bench->handshakes_at_start;
	report->bench_cpu_us = thread_cpu_us() - bench->bench_cpu_at_start;
	if (options->pid != 0) {
		uint64_t cpu_us = process_cpu_us(options->pid);
		/* Threads, or all of it, may have gone. */
		report->daemon_cpu_us = cpu_us > bench->daemon_cpu_at_start
			? cpu_us - bench->daemon_cpu_at_start
			: 0;
		report->daemon_anonymous_size = process_anonymous_size(options->pid);
	}
}

static bool sending_over(const struct bench *bench)
{
	const struct options *options = &bench->options;

	if (interrupted || sender_exhausted(bench->sender)) return true;
	return options->count == 0 && elapsed_s(bench) >= options->warmup_s + options->duration_s;
}

static void send_all(struct bench *bench)
{
	const struct options *options = &bench->options;

	bench->measure_from = bench->ledger.started;
	while (options->warmup_s > 0 && elapsed_s(bench) < options->warmup_s && !interrupted)
		turn(bench);
	measure_begin(bench);
	while (!sending_over(bench)) turn(bench);
	sender_finish(bench->sender);
}

/* Waits until everything sent is answered and, with a sink, delivered. */
static void drain_all(struct bench *bench)
{
	double until = elapsed_s(bench) + bench->options.drain_s;
	const struct ledger *ledger = &bench->ledger;

	while (!sender_idle(bench->sender) && elapsed_s(bench) < until) turn(bench);
	if (bench->sink == NULL) return;
	while (ledger->delivered < ledger->acked && elapsed_s(bench) < until) turn(bench);
	while (ledger_pending(ledger) > 0 && elapsed_s(bench) < until) turn(bench);
	/* A moment for what should not come: second deliveries of replayed events. */
	double grace = elapsed_s(bench) + 0.3;
	while (elapsed_s(bench) < grace) turn(bench);
}

static void bench_close(struct bench *bench)
{
	timer_stop(&bench->loop.timers, &bench->tick);
	if (bench->sender != NULL) sender_abort(bench->sender);
	if (bench->sink != NULL) sink_abort(bench->sink);
	while ((bench->sender != NULL && !sender_closed(bench->sender)) ||
		(bench->sink != NULL && !sink_closed(bench->sink))) {
		turn(bench);
	}
	if (bench->sender != NULL) sender_close(bench->sender);
	if (bench->sink != NULL) sink_close(bench->sink);
	streams_close(&bench->streams);
	loop_close(&bench->loop);
	ledger_close(&bench->ledger);
}

static void report_write(const struct bench *bench, const struct report *report)
{
	const char *path = bench->options.json_file;

	if (!bench->options.quiet) report_print(report, stdout);
	if (path == NULL) return;
	FILE *file = strcmp(path, "-") == 0 ? stdout : fopen(path, "we");
	if (file == NULL) fail(path, strerror(errno));
	report_json(report, file);
	if (file != stdout && fclose(file) != 0) fail(path, strerror(errno));
}

static int run_send(struct bench *bench)
{
	const struct options *options = &bench->options;
	struct ledger *ledger = &bench->ledger;
	struct report report = {
		.ledger = ledger,
		.has_sender = true,
		.has_sink = bench->sink != NULL,
		.connections = options->connections,
		.size = options->size,
		.rate = options->rate,
	};

	sender_start(bench);
	send_all(bench);
	if (bench->sink == NULL) measure_end(bench, &report);
	drain_all(bench);
	if (bench->sink != NULL) {
		/* The cost of an event includes its delivery: measured until the last one. */
		measure_end(bench, &report);
		report.sink = sink_counts(bench->sink);
		uint64_t pending = ledger_pending(ledger);
		report.pending = options->pending_ok ? pending : 0;
		report.lost = options->pending_ok ? 0 : pending;
	}
	ledger_settle(ledger);
	report.clean = report.lost == 0 && ledger->corrupt == 0 && ledger->phantom == 0 &&
		ledger->forged_accepted == 0 && ledger->stale_accepted == 0 &&
		ledger->replay_delivered == 0;
	report_write(bench, &report);
	return report.clean ? EX_OK : EXIT_UNBALANCED;
}

static int run_sink(struct bench *bench)
{
	struct report report = { .ledger = &bench->ledger, .has_sink = true, .clean = true };

	while (!interrupted) turn(bench);
	report.sink = sink_counts(bench->sink);
	report_write(bench, &report);
	return EX_OK;
}

/* Opens the connections and looks at what each costs the daemon. */
static int run_hold(struct bench *bench)
{
	const struct options *options = &bench->options;

	uint64_t before = process_anonymous_size(options->pid);
	sender_start(bench);
	while (sender_handshakes(bench->sender) < options->connections && !interrupted &&
		elapsed_s(bench) < options->drain_s) {
		turn(bench);
	}
	/* Until handshake leftovers are freed and tickets read. */
	double until = elapsed_s(bench) + 1;
	while (elapsed_s(bench) < until) turn(bench);
	uint64_t held = sender_handshakes(bench->sender);
	uint64_t after = process_anonymous_size(options->pid);
	double each = held == 0 ? 0 : ((double)after - (double)before) / (double)held;
	printf("{\"schema\": \"penstock.bench-hold/v1\", \"connections\": %llu, "
	       "\"bytes_before\": %llu, \"bytes_after\": %llu, \"bytes_per_connection\": %.0f}\n",
		(unsigned long long)held, (unsigned long long)before, (unsigned long long)after,
		each);
	return held == options->connections ? EX_OK : EXIT_TROUBLE;
}

int main(int argc, char **argv)
{
	struct bench *bench = alloc_array(1, sizeof *bench);
	int code = options_parse(argc, argv, &bench->options);
	if (code >= 0) return code;

	if (tls_library_open() != RESULT_OK) fail("TLS", "the library does not start");
	struct sigaction action = { .sa_handler = on_signal };
	CHECK(sigaction(SIGINT, &action, NULL) == 0);
	CHECK(sigaction(SIGTERM, &action, NULL) == 0);
	CHECK(signal(SIGPIPE, SIG_IGN) != SIG_ERR);
	bench_open(bench);
	if (bench->options.mode == MODE_SINK || bench->options.mode == MODE_RUN) sink_start(bench);
	switch (bench->options.mode) {
	case MODE_SEND:
	case MODE_RUN: code = run_send(bench); break;
	case MODE_SINK: code = run_sink(bench); break;
	case MODE_HOLD: code = run_hold(bench); break;
	}
	bench_close(bench);
	alloc_free(bench);
	return code;
}
