/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "options.h"

#include <arpa/inet.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sysexits.h>

#include "base/alloc.h"
#include "base/check.h"
#include "base/version.h"
#include "help.h"

enum { CONNECTIONS_MAX = 200000, SPREAD_MAX = 65536, OPTIONS_MAX = 80 };

static int complain(const char *what, const char *value)
{
	fprintf(stderr, "penstock-bench: %s: '%s'; try penstock-bench --help\n", what, value);
	return EX_USAGE;
}

static int parse_number(const char *text, uint64_t max, uint64_t *ret)
{
	if (bytes_parse_u64(bytes_of_text(text), ret) != RESULT_OK || *ret > max) {
		return complain("not a number in range", text);
	}
	return -1;
}

static int parse_u32(const char *text, uint32_t max, uint32_t *ret)
{
	uint64_t value = 0;
	int code = parse_number(text, max, &value);
	*ret = (uint32_t)value;
	return code;
}

static int parse_decimal(const char *text, double *ret)
{
	char *end = NULL;

	*ret = strtod(text, &end);
	if (end == text || *end != '\0' || !(*ret >= 0) || *ret > 1e9) {
		return complain("not a number", text);
	}
	return -1;
}

/* "name:port", "1.2.3.4:port" or "[::1]:port"; the brackets are no part of the host. */
static bool split_authority(struct bytes text, struct bytes *ret_host, struct bytes *ret_port)
{
	if (!bytes_starts_with(text, BYTES_LITERAL("["))) {
		return bytes_split(text, ':', ret_host, ret_port);
	}
	if (!bytes_split(bytes_from(text, 1), ']', ret_host, ret_port)) return false;
	if (!bytes_starts_with(*ret_port, BYTES_LITERAL(":"))) return false;
	*ret_port = bytes_from(*ret_port, 1);
	return memchr(ret_host->data, ':', ret_host->size) != NULL;
}

static int parse_target(const char *url, struct options *options)
{
	struct bytes rest = bytes_of_text(url);
	struct bytes host;
	struct bytes port;
	uint64_t number;

	if (bytes_starts_with(rest, BYTES_LITERAL("https://"))) {
		options->target_tls = true;
		rest = bytes_from(rest, 8);
	} else if (bytes_starts_with(rest, BYTES_LITERAL("http://"))) {
		rest = bytes_from(rest, 7);
	} else {
		return complain("not an http or https URL", url);
	}
	if (!split_authority(rest, &host, &port) || host.size == 0 ||
		!bytes_to_text(host, options->target_host, sizeof options->target_host) ||
		bytes_parse_u64(port, &number) != RESULT_OK || number == 0 || number > UINT16_MAX) {
		return complain("a target needs a host and a port", url);
	}
	options->target_port = (uint16_t)number;
	return -1;
}

/* The argument is cut up in place. */
static int parse_endpoint(char *text, struct options *options)
{
	if (options->endpoint_count == SENDER_ENDPOINTS_MAX)
		return complain("too many endpoints", text);
	char *scheme = strchr(text, ':');
	char *file = scheme == NULL ? NULL : strchr(scheme + 1, ':');
	if (file == NULL) return complain("not PATH:SCHEME:SECRETFILE", text);
	*scheme++ = '\0';
	*file++ = '\0';
	options->endpoints[options->endpoint_count++] =
		(struct endpoint_option){ .path = text, .scheme = scheme, .secret_file = file };
	return -1;
}

/* Calls `parse` for each part between commas, which it cuts up in place. */
static int parse_list(char *text, struct options *options,
	int (*parse)(const char *text, struct options *options))
{
	int code = -1;
	while (text != NULL && code == -1) {
		char *rest = strchr(text, ',');
		if (rest != NULL) *rest++ = '\0';
		code = parse(text, options);
		text = rest;
	}
	return code;
}

static int parse_level(const char *text, struct options *options)
{
	if (options->level_count == HOLD_LEVELS_MAX) return complain("too many levels", text);
	return parse_u32(text, CONNECTIONS_MAX, &options->levels[options->level_count++]);
}

static int parse_address(const char *text, struct options *options)
{
	struct io_address *address = &options->addresses[options->address_count];

	if (options->address_count == SENDER_ADDRESSES_MAX)
		return complain("too many addresses", text);
	*address = (struct io_address){ 0 };
	if (inet_pton(AF_INET, text, address->ip) != 1) {
		address->is_ipv6 = true;
		if (inet_pton(AF_INET6, text, address->ip) != 1)
			return complain("not an address", text);
	}
	options->address_count++;
	return -1;
}

static int parse_load(int option, char *value, struct options *options)
{
	switch (option) {
	case OPTION_CONNECTIONS: return parse_u32(value, CONNECTIONS_MAX, &options->connections);
	case OPTION_AT: return parse_list(value, options, parse_level);
	case OPTION_SPREAD: return parse_u32(value, SPREAD_MAX, &options->spread);
	case OPTION_RATE: return parse_decimal(value, &options->rate);
	case OPTION_COUNT: return parse_number(value, UINT32_MAX, &options->count);
	case OPTION_DURATION: return parse_decimal(value, &options->duration_s);
	case OPTION_WARMUP: return parse_decimal(value, &options->warmup_s);
	case OPTION_DRAIN: return parse_decimal(value, &options->drain_s);
	case OPTION_STAY: return parse_decimal(value, &options->stay_s);
	case OPTION_P99: return parse_decimal(value, &options->p99_ms);
	case OPTION_SIZE: return parse_u32(value, PAYLOAD_SIZE_MAX, &options->size);
	case OPTION_FORGED: return parse_u32(value, 1000, &options->forged_permille);
	case OPTION_STALE: return parse_u32(value, 1000, &options->stale_permille);
	case OPTION_REPLAY: return parse_u32(value, 1000, &options->replay_permille);
	case OPTION_NO_RETRY: options->retry = false; return -1;
	case OPTION_HANDSHAKES: options->full_handshakes = true; return -1;
	default: return EX_USAGE;
	}
}

static int parse_sink(int option, char *value, struct options *options)
{
	switch (option) {
	case OPTION_LISTEN:
		if (address_parse(bytes_of_text(value), &options->listen) == RESULT_OK) return -1;
		return complain("not an address and port", value);
	case OPTION_SINK_CERTIFICATE: options->sink_certificate_file = value; return -1;
	case OPTION_SINK_KEY: options->sink_key_file = value; return -1;
	case OPTION_SINK_SECRET: options->sink_secret_file = value; return -1;
	case OPTION_KEEP: options->keep_folder = value; return -1;
	case OPTION_DELAY: return parse_u32(value, 600000, &options->delay_ms);
	case OPTION_FAIL: return parse_u32(value, 1000, &options->fail_permille);
	case OPTION_BUSY: return parse_u32(value, 1000, &options->busy_permille);
	case OPTION_RESET: return parse_u32(value, 1000, &options->reset_permille);
	case OPTION_RETRY_AFTER: return parse_u32(value, 86400, &options->retry_after_s);
	case OPTION_DAEMON: options->daemon_command = value; return -1;
	case OPTION_EVERY: return parse_decimal(value, &options->chaos_every_s);
	case OPTION_FAULTS:
		options->faults_chosen = true;
		if (chaos_parse(value, options->chaos)) return -1;
		return complain("not a list of kill, stop, slow and slow-disk", value);
	case OPTION_DISK_FOLDER: options->disk_folder = value; return -1;
	case OPTION_PENDING_OK: options->pending_ok = true; return -1;
	default: return parse_load(option, value, options);
	}
}

static int parse_one(int option, char *value, struct options *options)
{
	uint32_t number = 0;
	int code;

	switch (option) {
	case OPTION_TARGET: return parse_target(value, options);
	case OPTION_ADDRESS: return parse_list(value, options, parse_address);
	case OPTION_CA: options->ca_file = value; return -1;
	case OPTION_CERTIFICATE: options->certificate_file = value; return -1;
	case OPTION_KEY: options->key_file = value; return -1;
	case OPTION_ENDPOINT: return parse_endpoint(value, options);
	case OPTION_PID:
		code = parse_u32(value, INT32_MAX, &number);
		options->pid = (pid_t)number;
		return code;
	case OPTION_CPU:
		code = parse_u32(value, 4095, &number);
		options->cpu = (int)number;
		return code;
	case OPTION_JSON: options->json_file = value; return -1;
	case OPTION_HLOG: options->hlog_file = value; return -1;
	case OPTION_HGRM: options->hgrm_file = value; return -1;
	case OPTION_HTML: options->html_file = value; return -1;
	case OPTION_READY_FILE: options->ready_file = value; return -1;
	case OPTION_RUN: options->run = strtoull(value, NULL, 16); return -1;
	case OPTION_SEED: return parse_number(value, UINT64_MAX, &options->seed);
	case OPTION_QUIET: options->quiet = true; return -1;
	case OPTION_VERSION: printf("penstock-bench %s\n", penstock_version); return EX_OK;
	case OPTION_HELP: program_help_print(stdout, &help_program); return EX_OK;
	default: return parse_sink(option, value, options);
	}
}

static int parse_mode(const char *text, struct options *options)
{
	static const char *const names[] = { "send", "sink", "run", "hold", "find", "chaos" };

	for (unsigned i = 0; i < ARRAY_COUNT(names); i++) {
		if (strcmp(text, names[i]) == 0) {
			options->mode = (enum mode)i;
			return -1;
		}
	}
	return complain("not a command", text);
}

static int options_check(const struct options *options)
{
	bool sends = options->mode != MODE_SINK;
	bool sinks = options->mode == MODE_SINK || options->mode == MODE_RUN ||
		options->mode == MODE_CHAOS;
	bool needs_endpoint = sends && options->mode != MODE_HOLD;

	if (sends && options->target_port == 0) return complain("missing option", "--target");
	if (needs_endpoint && options->endpoint_count == 0) {
		return complain("missing option", "--endpoint");
	}
	if ((options->certificate_file == NULL) != (options->key_file == NULL)) {
		return complain("only one of two options", "--certificate --key");
	}
	if (options->mode == MODE_FIND && options->p99_ms <= 0) {
		return complain("missing option", "--p99");
	}
	if (options->mode == MODE_CHAOS && options->daemon_command == NULL) {
		return complain("missing option", "--daemon");
	}
	if (options->chaos[CHAOS_SLOW_DISK] && options->disk_folder == NULL) {
		return complain("missing option", "--disk-folder");
	}
	if (sinks && options->listen.port == 0) return complain("missing option", "--listen");
	if (options->size < PAYLOAD_SIZE_MIN) return complain("too small", "--size");
	if (options->connections == 0) return complain("too few", "--connections");
	if (options->spread == 0) return complain("too few", "--spread");
	for (uint32_t i = 0; i < options->level_count; i++) {
		uint32_t before = i == 0 ? 0 : options->levels[i - 1];
		if (options->levels[i] <= before) return complain("not rising", "--at");
	}
	return -1;
}

/* Before parsing cuts some of them up. */
static const char *const *arguments_copy(int argc, char **argv)
{
	const char **copy = alloc_array((size_t)argc + 1, sizeof *copy);

	for (int i = 0; i < argc; i++) copy[i] = alloc_text(argv[i]);
	return copy;
}

int options_parse(int argc, char **argv, struct options *ret)
{
	const char *const *arguments = arguments_copy(argc, argv);
	*ret = (struct options){
		.connections = 64,
		.spread = 1,
		.duration_s = 10,
		.drain_s = 60,
		.stay_s = 0.3,
		.size = 1024,
		.retry = true,
		.chaos = { [CHAOS_KILL] = true, [CHAOS_STOP] = true, [CHAOS_SLOW] = true },
		.chaos_every_s = 2,
		.retry_after_s = 1,
		.cpu = -1,
		.seed = 1,
		.arguments = arguments,
	};
	CHECK(getrandom(&ret->run, sizeof ret->run, 0) == (ssize_t)sizeof ret->run);
	struct option table[OPTIONS_MAX];
	char letters[PROGRAM_LETTERS_SIZE];
	int option;
	int code = -1;

	CHECK(help_program.option_count < OPTIONS_MAX);
	program_getopt(&help_program, table);
	program_getopt_letters(&help_program, letters);
	/* For the build: make man completions. */
	if (argc == 3 && strcmp(argv[1], "--generate") == 0) {
		return program_generate(&help_program, argv[2], stdout) ? EX_OK : EX_USAGE;
	}
	while ((option = getopt_long(argc, argv, letters, table, NULL)) != -1 && code == -1) {
		code = parse_one(option, optarg, ret);
	}
	if (code != -1) return code;
	if (optind + 1 != argc) {
		fputs("usage: penstock-bench COMMAND [options]; try penstock-bench --help\n",
			stderr);
		return EX_USAGE;
	}
	code = parse_mode(argv[optind], ret);
	if (code != -1) return code;
	if (!ret->faults_chosen) ret->chaos[CHAOS_SLOW_DISK] = ret->disk_folder != NULL;
	if (ret->mode == MODE_SEND || ret->mode == MODE_HOLD) ret->listen.port = 0;
	if (ret->level_count > 0) ret->connections = ret->levels[ret->level_count - 1];
	return options_check(ret);
}
