/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "bench.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/check.h"
#include "secrets/secret.h"

enum { PEM_SIZE_MAX = 1024 * 1024, TICK_MS = 50 };

/* Events a run may have when it is bounded by time. */
#define EVENTS_PER_S_MAX 150000u
/* The search's, the closed loop before it and the confirmations after it. */
enum { FIND_STEPS_MAX = 48 };

volatile sig_atomic_t bench_interrupted;

void bench_fail(const char *what, const char *why)
{
	fprintf(stderr, "penstock-bench: %s: %s\n", what, why);
	exit(EXIT_TROUBLE);
}

static struct bytes file_read(const char *path)
{
	if (path == NULL) return BYTES_EMPTY;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) bench_fail(path, strerror(errno));
	uint8_t *data = alloc_array(PEM_SIZE_MAX, 1);
	ssize_t size = read(fd, data, PEM_SIZE_MAX);
	if (size < 0) bench_fail(path, strerror(errno));
	close(fd);
	return bytes_of(data, (size_t)size);
}

static struct tls_context *client_context(const struct options *options)
{
	struct tls_client_config config = {
		.ca_pem = file_read(options->ca_file),
		.chain_pem = file_read(options->certificate_file),
		.key_pem = file_read(options->key_file),
	};
	struct tls_context *context;
	char error[256];

	if (!options->target_tls) return NULL;
	if (tls_client_context_create(&config, &context, error, sizeof error) != RESULT_OK) {
		bench_fail("TLS", error);
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
		bench_fail("TLS of the sink", error);
	}
	return context;
}

static struct verifier *verifier_of(const char *scheme_text, struct bytes secret)
{
	const struct scheme *scheme = scheme_find(bytes_of_text(scheme_text));
	struct verifier *verifier;
	const char *error = "";

	if (scheme == NULL) bench_fail(scheme_text, "there is no such scheme");
	if (verifier_create(scheme, secret, BYTES_EMPTY, 0, &verifier, &error) != RESULT_OK) {
		bench_fail(scheme_text, error);
	}
	return verifier;
}

static struct verifier *verifier_of_file(const char *scheme, const char *path)
{
	struct secret *secret;

	enum result result = secret_load_file(path, &secret);
	if (result != RESULT_OK) bench_fail(path, result_text(result));
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

static void resolve(struct options *options)
{
	struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
	struct addrinfo *found = NULL;
	struct io_address address = { 0 };

	for (uint32_t i = 0; i < options->address_count; i++) {
		options->addresses[i].port = options->target_port;
	}
	if (options->address_count > 0) return;
	int code = getaddrinfo(options->target_host, NULL, &hints, &found);
	if (code != 0) bench_fail(options->target_host, gai_strerror(code));
	if (found->ai_family == AF_INET) {
		const struct sockaddr_in *in = (const void *)found->ai_addr;
		memcpy(address.ip, &in->sin_addr, 4);
	} else {
		const struct sockaddr_in6 *in6 = (const void *)found->ai_addr;
		memcpy(address.ip, &in6->sin6_addr, 16);
		address.is_ipv6 = true;
	}
	freeaddrinfo(found);
	address.port = options->target_port;
	options->addresses[options->address_count++] = address;
}

void bench_open_sender(struct bench *bench)
{
	const struct options *options = &bench->options;

	resolve(&bench->options);
	struct sender_config config = {
		.streams = &bench->streams,
		.ledger = &bench->ledger,
		.shape = { .run = options->run, .size = options->size },
		.addresses = options->addresses,
		.address_count = options->address_count,
		.host_name = options->target_host,
		.context = client_context(options),
		.endpoints = bench->endpoints,
		.endpoint_count = options->endpoint_count,
		.spread = options->spread,
		.connections = options->connections,
		.gradual = options->mode == MODE_HOLD,
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

void bench_open_sink(struct bench *bench)
{
	const struct options *options = &bench->options;
	struct sink_config config = {
		.streams = &bench->streams,
		.ledger = options->mode == MODE_SINK ? NULL : &bench->ledger,
		.shape = { .run = options->run, .size = options->size },
		.address = options->listen,
		.context = sink_context(options),
		.verifier = options->sink_secret_file == NULL
			? NULL
			: verifier_of_file("standard-webhooks", options->sink_secret_file),
		.connections_max = SINK_CONNECTIONS_MAX,
		.delay_ms = options->delay_ms,
		.fail_permille = options->fail_permille,
		.busy_permille = options->busy_permille,
		.reset_permille = options->reset_permille,
		.retry_after_s = options->retry_after_s,
		.seed = options->seed,
		.keep_folder = options->keep_folder,
	};
	enum result result = sink_open(&config, &bench->sink);
	if (result == RESULT_DISK) bench_fail(options->keep_folder, strerror(errno));
	if (result != RESULT_OK) bench_fail("cannot listen", strerror(errno));
	if (options->ready_file != NULL) {
		int fd = open(options->ready_file, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
		if (fd < 0) bench_fail(options->ready_file, strerror(errno));
		close(fd);
	}
}

void bench_open_chaos(struct bench *bench)
{
	const struct options *options = &bench->options;
	struct chaos_config config = {
		.loop = &bench->loop,
		.sink = bench->sink,
		.command = options->daemon_command,
		.cpus = &bench->cpus,
		.disk_folder = options->disk_folder,
		.every_s = options->chaos_every_s,
		.seed = options->seed,
	};
	memcpy(config.enabled, options->chaos, sizeof config.enabled);
	if (chaos_open(&bench->chaos, &config) != RESULT_OK) {
		bench_fail(options->disk_folder, strerror(errno));
	}
}

static void tick_expired(void *owner)
{
	struct bench *bench = owner;

	if (bench->options.mode == MODE_CHAOS) chaos_look(&bench->chaos);
	if (bench->watching) watch_look(&bench->watch, loop_now(&bench->loop));
	timer_start(&bench->loop.timers, &bench->tick, loop_now(&bench->loop), TICK_MS * US_PER_MS);
}

static void open_letter(void *owner, struct mail *mail)
{
	struct letter *letter = CONTAINER_OF(mail, struct letter, mail);

	(void)owner; /* whoever gave the loop something to do while it rests */
	letter->open(letter);
}

void bench_open(struct bench *bench)
{
	const struct options *options = &bench->options;
	struct rlimit limit;

	CHECK(sched_getaffinity(0, sizeof bench->cpus, &bench->cpus) == 0);
	if (options->cpu >= 0) {
		cpu_set_t set;
		CPU_ZERO(&set);
		CPU_SET((size_t)options->cpu, &set);
		if (sched_setaffinity(0, sizeof set, &set) != 0)
			bench_fail("--cpu", strerror(errno));
	}
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
			bench_fail("descriptors", strerror(errno));
	}
	uint32_t sockets_max = options->connections + SINK_CONNECTIONS_MAX + 1;
	struct io_config config = {
		.sockets_max = sockets_max,
		.buffer_count = IO_BUFFER_COUNT,
		.buffer_size = IO_BUFFER_SIZE,
	};
	if (loop_open(&bench->loop, &config) != RESULT_OK) bench_fail("io_uring", io_open_error());
	bench->loop.mail = open_letter;
	streams_open(&bench->streams, &bench->loop, sockets_max);
	double seconds = options->duration_s + options->warmup_s + 1;
	if (options->mode == MODE_FIND) seconds *= FIND_STEPS_MAX;
	uint64_t capacity = options->count > 0 ? options->count
					       : (uint64_t)(seconds * EVENTS_PER_S_MAX);
	ledger_open(&bench->ledger, capacity);
	bench->ledger.started = loop_now(&bench->loop);
	timer_init(&bench->tick, tick_expired, bench);
	tick_expired(bench);
}

void bench_turn(struct bench *bench)
{
	if (loop_turn(&bench->loop) != RESULT_OK) bench_fail("io_uring", "the ring failed");
}

double bench_elapsed_s(const struct bench *bench)
{
	return (double)mono_since_us(bench->ledger.started, loop_now(&bench->loop)) / 1e6;
}

static FILE *file_to_write(const char *path)
{
	if (path == NULL) return NULL;
	FILE *file = fopen(path, "we");
	if (file == NULL) bench_fail(path, strerror(errno));
	return file;
}

void bench_begin(struct bench *bench)
{
	const struct options *options = &bench->options;
	struct watch_config config = {
		.ledger = &bench->ledger,
		.pid = options->pid,
		.log = bench->log_file = file_to_write(options->hlog_file),
		.end_to_end = bench->sink != NULL,
		.start = io_wall(bench->loop.io),
		.live = options->quiet ? NULL : &bench->live,
	};
	bench->live = (struct live){
		.to = stderr,
		.terminal = isatty(STDERR_FILENO) != 0,
		.end_to_end = bench->sink != NULL,
		.ledger = &bench->ledger,
		.phase = "sending",
	};
	bench->ledger.started = loop_now(&bench->loop);
	watch_open(&bench->watch, &config);
	bench->watching = true;
	sender_begin(bench->sender);
}

void bench_end(struct bench *bench)
{
	bench->watching = false;
	watch_finish(&bench->watch, loop_now(&bench->loop));
	if (bench->log_file != NULL && fclose(bench->log_file) != 0) {
		bench_fail(bench->options.hlog_file, strerror(errno));
	}
}

void bench_close(struct bench *bench)
{
	timer_stop(&bench->loop.timers, &bench->tick);
	if (bench->sender != NULL) sender_abort(bench->sender);
	if (bench->sink != NULL) sink_abort(bench->sink);
	while ((bench->sender != NULL && !sender_closed(bench->sender)) ||
		(bench->sink != NULL && !sink_closed(bench->sink))) {
		bench_turn(bench);
	}
	if (bench->sender != NULL) sender_close(bench->sender);
	if (bench->sink != NULL) sink_close(bench->sink);
	if (bench->watch.samples != NULL) watch_close(&bench->watch);
	streams_close(&bench->streams);
	loop_close(&bench->loop);
	ledger_close(&bench->ledger);
}
