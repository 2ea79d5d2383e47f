/* SPDX-License-Identifier: GPL-2.0-or-later */
/* bench — the parts of one run (loop, ledger, sender, sink), opened and closed together. One
 * thread, one loop, both roles: on a two-CPU host it takes one and leaves the other to the
 * daemon.
 */
#pragma once

#include <signal.h>

#include "chaos.h"
#include "live.h"
#include "options.h"
#include "watch.h"

enum { EXIT_TROUBLE = 1, EXIT_UNBALANCED = 2 };

struct bench {
	struct options options;
	struct loop loop;
	struct streams streams;
	struct ledger ledger;
	struct sender *sender;
	struct sink *sink;
	struct sender_endpoint endpoints[SENDER_ENDPOINTS_MAX];
	struct timer tick;  /* wakes the main loop to look at the time */
	cpu_set_t cpus;     /* where we were allowed to run before --cpu */
	struct chaos chaos; /* in use with MODE_CHAOS */
	bool gave_up;       /* the server was gone for too long */
	bool watching;
	struct watch watch;
	struct live live;
	FILE *log_file; /* NULL: none */
	mono_t measure_from;
	uint64_t acked_at_start;
	uint64_t handshakes_at_start;
	uint64_t daemon_cpu_at_start;
	uint64_t bench_cpu_at_start;
	uint64_t bench_wait_at_start;
};

/* A signal asked for the end: finish what is under way and report. */
extern volatile sig_atomic_t bench_interrupted;

/* Trouble with the environment ends this program: says so and exits with EXIT_TROUBLE. */
void bench_fail(const char *what, const char *why) __attribute__((noreturn));

/* `bench->options` is set. Pins the thread, opens loop and ledger. */
void bench_open(struct bench *bench);
/* Reads secrets and certificates and opens the connections. */
void bench_open_sender(struct bench *bench);
/* Starts the daemon; the sink is open. */
void bench_open_chaos(struct bench *bench);
/* Listens; makes the ready file. */
void bench_open_sink(struct bench *bench);
/* The clock of the run starts: the ledger's time is from here, samples are taken, events are
 * due. */
void bench_begin(struct bench *bench);
/* The last sample; the samples stay until bench_close(). */
void bench_end(struct bench *bench);
/* What is under way is given up. */
void bench_close(struct bench *bench);

void bench_turn(struct bench *bench);
/* Since the ledger's start. */
double bench_elapsed_s(const struct bench *bench);
