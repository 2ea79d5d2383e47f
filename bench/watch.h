/* SPDX-License-Identifier: GPL-2.0-or-later */
/* watch — looks at a run once a second: keeps what it saw for the report's plots, writes the
 * interval log and hands each sample to the live view.
 *
 * It reads the ledger and resets the intervals in it; it changes nothing else.
 */
#pragma once

#include <sys/types.h>

#include "hdr.h"
#include "ledger.h"

/* Two hours of seconds; a longer run is watched to its end, but plotted only so far. */
enum { WATCH_SAMPLES_MAX = 7200 };

/* Of one interval. */
struct sample {
	double at_s; /* its end, since the run's start */
	double length_s;
	uint64_t acked;
	uint64_t delivered;
	uint64_t refused;
	uint64_t errors;
	double ack_p50_ms, ack_p99_ms, ack_max_ms;
	double end_p50_ms, end_p99_ms, end_max_ms;
	double generator_share; /* of a CPU: used by this thread */
	double generator_wait;  /* of the time: it was ready and had no CPU */
	double daemon_share;    /* of a CPU, over all its threads; 0 when not measured */
};

struct live;

struct watch_config {
	struct ledger *ledger;
	pid_t pid;       /* the daemon's, 0: none */
	FILE *log;       /* NULL: no interval log */
	bool end_to_end; /* there is a sink: its latency is logged, too */
	wall_t start;
	struct live *live; /* NULL: nobody looks */
};

/* What is counted from the start, at one moment. */
struct watch_totals {
	uint64_t acked, delivered, refused, errors;
	uint64_t generator_cpu_us, generator_wait_us, daemon_cpu_us;
};

struct watch {
	struct watch_config config;
	struct hdr_log log;
	struct sample *samples;
	uint32_t count;
	mono_t looked;
	struct watch_totals totals;
};

/* The ledger's start is now. */
void watch_open(struct watch *watch, const struct watch_config *config);
void watch_close(struct watch *watch);
/* Takes a sample when an interval is over; else does nothing. */
void watch_look(struct watch *watch, mono_t now);
/* Takes a last sample of what is left. */
void watch_finish(struct watch *watch, mono_t now);
