/* SPDX-License-Identifier: GPL-2.0-or-later */
/* report — what a run found, for people and as JSON ("schema":"penstock.bench/v1"). */
#pragma once

#include <stdio.h>

#include "chaos.h"
#include "ledger.h"
#include "sender.h"
#include "sink.h"

enum { REPORT_STEPS_MAX = 48 };

/* One of a search for the highest rate. */
struct report_step {
	double rate; /* asked for; 0: closed loop */
	double reached;
	double ack_p99_ms;
	double end_p99_ms; /* 0 without a sink */
	bool holds;
};

struct report {
	const struct ledger *ledger;
	struct sink_counts sink;
	bool has_sender;
	bool has_sink;
	uint64_t lost; /* acked, and neither delivered nor allowed to be pending */
	uint64_t pending;
	uint64_t measured_us; /* wall time of the measured part */
	uint64_t measured_acked;
	uint64_t measured_handshakes;
	struct sender_security security;
	bool full_handshakes;   /* one for each event */
	uint64_t daemon_cpu_us; /* in the measured part; 0: not measured */
	uint64_t daemon_anonymous_size;
	uint64_t bench_cpu_us;
	uint64_t bench_wait_us; /* this generator was ready and had no CPU */
	uint32_t connections;
	uint32_t size;
	double rate;
	double p99_limit_ms; /* of a search; 0: there was none */
	double found_rate;   /* 0: nothing held */
	struct report_step steps[REPORT_STEPS_MAX];
	size_t step_count;
	const struct chaos *chaos; /* NULL: there was none */
	bool clean;
};

/* This generator had no time left: what was found is its own limit, not the daemon's. */
bool report_generator_bound(const struct report *report);

void report_print(const struct report *report, FILE *to);
void report_json(const struct report *report, FILE *to);
