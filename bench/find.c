/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "find.h"

#include "measure.h"
#include "search.h"

/* The first rate tried, of what a closed loop reaches. */
#define START_PART 0.5
/* When the rate that was found does not hold a second time. */
#define RETREAT 0.9

enum { CONFIRMATIONS_MAX = 6, SETTLE_S_MAX = 10 };

_Static_assert(SEARCH_STEPS_MAX + CONFIRMATIONS_MAX <= REPORT_STEPS_MAX, "every step is told of");

struct before {
	uint64_t acked, refused, errors, rejected;
};

static struct before counts_now(const struct bench *bench)
{
	const struct ledger *ledger = &bench->ledger;

	return (struct before){
		.acked = ledger->acked,
		.refused = ledger->refused_503,
		.errors = ledger->errors,
		.rejected = ledger->rejected,
	};
}

static void turn_for(struct bench *bench, double seconds)
{
	double until = bench_elapsed_s(bench) + seconds;

	while (bench_elapsed_s(bench) < until && !bench_interrupted) bench_turn(bench);
}

/* Until the last of a step is answered and delivered. */
static void settle(struct bench *bench)
{
	const struct ledger *ledger = &bench->ledger;
	double until = bench_elapsed_s(bench) + SETTLE_S_MAX;

	sender_pause(bench->sender);
	while (bench_elapsed_s(bench) < until && !bench_interrupted) {
		bool delivered = bench->sink == NULL || ledger->delivered >= ledger->acked;
		if (delivered && sender_idle(bench->sender)) return;
		bench_turn(bench);
	}
}

static double p99_ms(const struct histogram *histogram)
{
	return (double)histogram_quantile_us(histogram, 0.99) / 1000;
}

/* At that rate (0: as fast as it goes); returns what was found, also in *report. */
static struct report_step step(struct bench *bench, double rate, struct report *report)
{
	const struct options *options = &bench->options;
	const struct ledger *ledger = &bench->ledger;
	struct report_step found = { .rate = rate };

	sender_set_rate(bench->sender, rate);
	turn_for(bench, options->warmup_s);
	measure_begin(bench);
	struct before before = counts_now(bench);
	turn_for(bench, options->duration_s);
	measure_end(bench, report);
	struct before after = counts_now(bench);

	double seconds = (double)report->measured_us / 1e6;
	found.reached = seconds > 0 ? (double)report->measured_acked / seconds : 0;
	found.ack_p99_ms = p99_ms(&ledger->ack.all);
	found.end_p99_ms = p99_ms(&ledger->end_to_end.all);
	found.holds = search_kept_up(rate, seconds, report->measured_acked) &&
		found.ack_p99_ms <= options->p99_ms && found.end_p99_ms <= options->p99_ms &&
		after.refused == before.refused && after.errors == before.errors &&
		after.rejected == before.rejected && after.acked > before.acked;
	return found;
}

static void tell(struct bench *bench, const struct report_step *found)
{
	if (bench->options.quiet) return;
	live_clear(&bench->live);
	fprintf(stderr, "%9.0f/s asked  %9.0f/s reached  ack p99 %8.2f ms", found->rate,
		found->reached, found->ack_p99_ms);
	if (bench->sink != NULL) fprintf(stderr, "  end to end p99 %8.2f ms", found->end_p99_ms);
	fprintf(stderr, "  %s\n", found->holds ? "holds" : "does not hold");
}

static bool try_rate(struct bench *bench, double rate, struct report *report)
{
	struct report_step found = step(bench, rate, report);

	tell(bench, &found);
	if (report->step_count < REPORT_STEPS_MAX) report->steps[report->step_count++] = found;
	/* The latencies stay as they are for the report: they are reset when a step begins. */
	settle(bench);
	return found.holds;
}

void find_highest(struct bench *bench, struct report *report)
{
	bench->live.phase = "finding the highest rate";
	struct report_step closed = step(bench, 0, report);
	settle(bench);
	struct search search = search_from(closed.reached * START_PART);

	while (!search_done(&search) && !bench_interrupted) {
		search_tell(&search, try_rate(bench, search.rate, report));
	}
	double rate = search.held;
	for (unsigned i = 0; i < CONFIRMATIONS_MAX && rate > 0 && !bench_interrupted; i++) {
		if (try_rate(bench, rate, report)) {
			report->found_rate = rate;
			report->rate = rate;
			return;
		}
		rate *= RETREAT;
	}
}
