/* SPDX-License-Identifier: GPL-2.0-or-later */
/* options — the command line of penstock-bench, parsed and checked. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "chaos.h"
#include "sender.h"
#include "sink.h"

enum { HOLD_LEVELS_MAX = 16 };

enum mode { MODE_SEND, MODE_SINK, MODE_RUN, MODE_HOLD, MODE_FIND, MODE_CHAOS };

struct endpoint_option {
	const char *path;
	const char *scheme;
	const char *secret_file;
};

struct options {
	enum mode mode;
	/* The daemon. */
	bool target_tls;
	char target_host[256]; /* an IPv6 address without its brackets */
	uint16_t target_port;
	/* Connect to these in turn instead; their ports are not set. */
	struct io_address addresses[SENDER_ADDRESSES_MAX];
	uint32_t address_count;
	const char *ca_file;
	const char *certificate_file; /* the client's, for mTLS; NULL: none */
	const char *key_file;
	struct endpoint_option endpoints[SENDER_ENDPOINTS_MAX];
	uint32_t endpoint_count;
	uint32_t spread;
	pid_t pid; /* of the daemon, to measure its CPU; 0: none */
	/* The load. */
	uint32_t connections;
	/* Of connections, at which memory is looked at; the last is `connections`. */
	uint32_t levels[HOLD_LEVELS_MAX];
	uint32_t level_count;
	double rate;
	uint64_t count;
	double duration_s;
	double warmup_s;
	double drain_s;
	double stay_s; /* how long connections are held when all stand */
	double p99_ms; /* what a rate must hold, to find the highest */
	uint32_t size;
	uint32_t forged_permille;
	uint32_t stale_permille;
	uint32_t replay_permille;
	bool retry;
	bool full_handshakes;
	/* The sink. */
	struct io_address listen;
	const char *sink_certificate_file;
	const char *sink_key_file;
	const char *sink_secret_file;
	const char *keep_folder; /* what comes is flushed there first; NULL: not kept */
	uint32_t delay_ms;
	uint32_t fail_permille;
	uint32_t busy_permille;
	uint32_t reset_permille;
	uint32_t retry_after_s;
	bool pending_ok;
	/* Chaos. */
	const char *daemon_command;
	bool chaos[CHAOS_FAULTS];
	bool faults_chosen; /* `chaos` was given, it is not the default */
	const char *disk_folder;
	double chaos_every_s;
	/* This process. */
	uint64_t run;
	uint64_t seed;
	int cpu;
	const char *json_file;
	const char *hlog_file;
	const char *hgrm_file;
	const char *html_file;
	const char *ready_file; /* made once the sink listens */
	bool quiet;
	const char *const *arguments; /* the command line as it was given, NULL at its end */
};

/* Returns -1 to go on, or the exit code: 0 after --help, 64 for wrong usage (said on stderr). */
int options_parse(int argc, char **argv, struct options *ret);
