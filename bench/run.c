/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "run.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sysexits.h>

#include "find.h"
#include "measure.h"
#include "page.h"
#include "process.h"
#include "report.h"

enum {
	CONNECT_S_MAX = 10,
	DEATHS_MAX = 3, /* of a daemon that cannot start */
	/* Without any connection: a server that is started again is back by then. */
	GONE_S_MAX = 15,
	HANDSHAKES_MAX = 256,
};
#define LINGER_S 0.3

/* Of a run that is not bounded by time. */
static bool server_is_gone(const struct bench *bench)
{
	mono_t connected_at = sender_connected_at(bench->sender);

	if (bench->options.count == 0) return false;
	return mono_since_us(connected_at, loop_now(&bench->loop)) >= GONE_S_MAX * US_PER_S;
}

static bool sending_over(const struct bench *bench)
{
	const struct options *options = &bench->options;

	if (bench_interrupted || sender_exhausted(bench->sender)) return true;
	if (server_is_gone(bench)) return true;
	return options->count == 0 &&
		bench_elapsed_s(bench) >= options->warmup_s + options->duration_s;
}

/* Time runs from when the connections stand: what their set-up takes is nobody's latency. A
 * daemon that does not take all of them in time is measured with those it took. */
static void begin(struct bench *bench)
{
	double until = bench_elapsed_s(bench) + CONNECT_S_MAX;

	bench_turn(bench); /* the time of this moment, not of before the set-up */
	while (sender_ready_count(bench->sender) < bench->options.connections &&
		bench_elapsed_s(bench) < until && !bench_interrupted &&
		bench->chaos.deaths < DEATHS_MAX) {
		bench_turn(bench);
	}
	bench_begin(bench);
}

static void send_all(struct bench *bench)
{
	const struct options *options = &bench->options;

	bench->live.until_s = options->count == 0 ? options->warmup_s + options->duration_s : 0;
	if (options->warmup_s > 0) bench->live.phase = "warming up";
	while (options->warmup_s > 0 && bench_elapsed_s(bench) < options->warmup_s &&
		!bench_interrupted)
		bench_turn(bench);
	measure_begin(bench);
	bench->live.phase = "measuring";
	if (options->mode == MODE_CHAOS) {
		bench->live.phase = "making its life hard";
		chaos_begin(&bench->chaos);
	}
	while (!sending_over(bench)) bench_turn(bench);
	bench->gave_up = !sender_exhausted(bench->sender) && server_is_gone(bench);
	if (options->mode == MODE_CHAOS) chaos_heal(&bench->chaos);
	sender_finish(bench->sender);
}

/* Waits until everything sent is answered and, with a sink, delivered. */
static void drain_all(struct bench *bench)
{
	double until = bench_elapsed_s(bench) + bench->options.drain_s;
	const struct ledger *ledger = &bench->ledger;

	bench->live.phase = "waiting for the last";
	while (!sender_idle(bench->sender) && bench_elapsed_s(bench) < until &&
		!server_is_gone(bench)) {
		bench_turn(bench);
	}
	bench->gave_up |= !sender_idle(bench->sender) && server_is_gone(bench);
	if (bench->sink == NULL) return;
	while (ledger->delivered < ledger->acked && bench_elapsed_s(bench) < until)
		bench_turn(bench);
	while (ledger_pending(ledger) > 0 && bench_elapsed_s(bench) < until) bench_turn(bench);
}

/* A moment for what should not come: second deliveries of replayed events. */
static void linger(struct bench *bench)
{
	double until = bench_elapsed_s(bench) + LINGER_S;
	while (bench_elapsed_s(bench) < until) bench_turn(bench);
}

/* NULL when none is wanted. */
static FILE *file_open(const char *path)
{
	if (path == NULL) return NULL;
	FILE *file = strcmp(path, "-") == 0 ? stdout : fopen(path, "we");
	if (file == NULL) bench_fail(path, strerror(errno));
	return file;
}

static void file_close(FILE *file, const char *path)
{
	if (file == stdout ? fflush(file) != 0 : fclose(file) != 0) {
		bench_fail(path, strerror(errno));
	}
}

static void percentiles_write(const char *path, const struct histogram *histogram)
{
	FILE *file = file_open(path);
	hdr_percentiles_write(file, histogram);
	file_close(file, path);
}

static void report_write(const struct bench *bench, const struct report *report)
{
	const struct options *options = &bench->options;
	const struct ledger *ledger = &bench->ledger;
	char path[PATH_MAX];

	if (!options->quiet) report_print(report, stdout);
	FILE *json = file_open(options->json_file);
	if (json != NULL) {
		report_json(report, json);
		file_close(json, options->json_file);
	}
	if (options->hgrm_file != NULL && report->has_sender) {
		percentiles_write(options->hgrm_file, &ledger->ack.all);
		snprintf(path, sizeof path, "%s.end-to-end", options->hgrm_file);
		if (report->has_sink) percentiles_write(path, &ledger->end_to_end.all);
	}
	FILE *html = report->has_sender ? file_open(options->html_file) : NULL;
	if (html == NULL) return;
	page_write(
		&(struct page){
			.report = report,
			.samples = bench->watch.samples,
			.sample_count = bench->watch.count,
			.warmup_s = options->warmup_s,
			.arguments = options->arguments,
		},
		html);
	file_close(html, options->html_file);
}

int run_send(struct bench *bench)
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
		.full_handshakes = options->full_handshakes,
		.p99_limit_ms = options->mode == MODE_FIND ? options->p99_ms : 0,
	};

	bench_open_sender(bench);
	begin(bench);
	if (options->mode == MODE_FIND) {
		find_highest(bench, &report);
		sender_finish(bench->sender);
		drain_all(bench);
	} else {
		send_all(bench);
		if (bench->sink == NULL) measure_end(bench, &report);
		drain_all(bench);
		/* The cost of an event includes its delivery: measured until the last one. */
		if (bench->sink != NULL) measure_end(bench, &report);
	}
	bench_end(bench);
	if (bench->sink != NULL) {
		linger(bench);
		report.sink = sink_counts(bench->sink);
		uint64_t pending = ledger_pending(ledger);
		report.pending = options->pending_ok ? pending : 0;
		report.lost = options->pending_ok ? 0 : pending;
	}
	if (options->mode == MODE_CHAOS) {
		chaos_close(&bench->chaos);
		report.chaos = &bench->chaos;
	}
	report.security = sender_security(bench->sender);
	ledger_settle(ledger);
	report.clean = report.lost == 0 && ledger->corrupt == 0 && ledger->phantom == 0 &&
		ledger->forged_accepted == 0 && ledger->stale_accepted == 0 &&
		ledger->replay_delivered == 0 &&
		(report.chaos == NULL || report.chaos->deaths == 0);
	report_write(bench, &report);
	if (bench->gave_up) {
		fprintf(stderr,
			"penstock-bench: %s, port %u: no connection for %u s, given up with %llu "
			"of %llu events sent\n",
			options->target_host, (unsigned)options->target_port, (unsigned)GONE_S_MAX,
			(unsigned long long)ledger->sent, (unsigned long long)options->count);
	}
	if (!report.clean) return EXIT_UNBALANCED;
	if (bench->gave_up) return EXIT_TROUBLE;
	return options->mode == MODE_FIND && report.found_rate <= 0 ? EXIT_TROUBLE : EX_OK;
}

int run_sink(struct bench *bench)
{
	struct report report = { .ledger = &bench->ledger, .has_sink = true, .clean = true };

	while (!bench_interrupted) bench_turn(bench);
	report.sink = sink_counts(bench->sink);
	report_write(bench, &report);
	return EX_OK;
}

/* Opens connections, so many at a time, until `level` of them stand. */
static void hold_until(struct bench *bench, uint32_t level, uint32_t handshakes_max)
{
	struct sender *sender = bench->sender;

	while (sender_ready_count(sender) < level && !bench_interrupted &&
		bench_elapsed_s(bench) < bench->options.drain_s) {
		while (sender_connected_count(sender) < level &&
			sender_connected_count(sender) - sender_ready_count(sender) <
				handshakes_max) {
			sender_connect_next(sender);
		}
		bench_turn(bench);
	}
	/* Until handshake leftovers are freed and tickets read. */
	double until = bench_elapsed_s(bench) + 1;
	while (bench_elapsed_s(bench) < until) bench_turn(bench);
}

/* A line for each level. */
static void hold_print(const struct bench *bench, uint64_t size_before)
{
	uint64_t held = sender_ready_count(bench->sender);
	uint64_t size = process_anonymous_size(bench->options.pid);
	double each = held == 0 ? 0 : ((double)size - (double)size_before) / (double)held;

	printf("{\"schema\": \"penstock.bench-hold/v1\", \"connections\": %llu, "
	       "\"bytes_before\": %llu, \"bytes_after\": %llu, \"bytes_per_connection\": %.0f, "
	       "\"seconds\": %.2f}\n",
		(unsigned long long)held, (unsigned long long)size_before, (unsigned long long)size,
		each, bench_elapsed_s(bench));
	fflush(stdout);
}

/* Opens connections and looks at what each costs the daemon. */
int run_hold(struct bench *bench)
{
	const struct options *options = &bench->options;

	uint64_t size_before = process_anonymous_size(options->pid);
	bench_open_sender(bench);
	if (options->level_count == 0) {
		/* At once, as when all clients come back after a restart. */
		hold_until(bench, options->connections, UINT32_MAX);
		hold_print(bench, size_before);
	}
	for (uint32_t i = 0; i < options->level_count && !bench_interrupted; i++) {
		hold_until(bench, options->levels[i], HANDSHAKES_MAX);
		hold_print(bench, size_before);
	}
	uint32_t held = sender_ready_count(bench->sender);
	double until = bench_elapsed_s(bench) + options->stay_s;
	while (bench_elapsed_s(bench) < until && !bench_interrupted) bench_turn(bench);
	return held == options->connections ? EX_OK : EXIT_TROUBLE;
}
