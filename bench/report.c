/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "report.h"

#include <inttypes.h>

/* Used or waited for, of a CPU; what is left below 1 is how idle the loop's waits were. */
#define GENERATOR_SHARE_MAX 0.9

static double per(uint64_t a, uint64_t b)
{
	return b == 0 ? 0 : (double)a / (double)b;
}

static double ms(uint64_t us)
{
	return (double)us / 1000;
}

static void print_latency(FILE *to, const char *name, const struct histogram *histogram)
{
	if (histogram->count == 0) return;
	fprintf(to, "  %-12s p50 %8.3f  p90 %8.3f  p99 %8.3f  p99.9 %8.3f  max %8.3f ms\n", name,
		ms(histogram_quantile_us(histogram, 0.5)),
		ms(histogram_quantile_us(histogram, 0.9)),
		ms(histogram_quantile_us(histogram, 0.99)),
		ms(histogram_quantile_us(histogram, 0.999)), ms(histogram->max_us));
}

static void print_ledger(FILE *to, const struct report *report)
{
	const struct ledger *ledger = report->ledger;

	fprintf(to, "ledger\n");
	fprintf(to, "  scheduled %10" PRIu64 "   sent      %10" PRIu64 "\n", ledger->scheduled,
		ledger->sent);
	fprintf(to,
		"  acked     %10" PRIu64 "   rejected  %10" PRIu64 "   unknown   %10" PRIu64 "\n",
		ledger->acked, ledger->rejected, ledger_unknown(ledger));
	if (report->has_sink) {
		fprintf(to,
			"  delivered %10" PRIu64 "   pending   %10" PRIu64 "   lost      %10" PRIu64
			"\n",
			ledger->delivered, report->pending, report->lost);
		fprintf(to,
			"  duplicate %10" PRIu64 "   corrupt   %10" PRIu64 "   phantom   %10" PRIu64
			"\n",
			ledger->duplicate, ledger->corrupt, ledger->phantom);
	}
	fprintf(to,
		"  answered 503 %" PRIu64 ", broken connections %" PRIu64 ", sent again %" PRIu64
		", acked as already stored %" PRIu64 "\n",
		ledger->refused_503, ledger->errors, ledger->retries, ledger->acked_duplicate);
	if (ledger->forged_sent + ledger->stale_sent + ledger->replay_sent == 0) return;
	fprintf(to, "attacks\n");
	fprintf(to, "  forged    %10" PRIu64 "   accepted  %10" PRIu64 "\n", ledger->forged_sent,
		ledger->forged_accepted);
	fprintf(to, "  stale     %10" PRIu64 "   accepted  %10" PRIu64 "\n", ledger->stale_sent,
		ledger->stale_accepted);
	fprintf(to, "  replayed  %10" PRIu64 "   delivered twice %4" PRIu64 "\n",
		ledger->replay_sent, ledger->replay_delivered);
}

bool report_generator_bound(const struct report *report)
{
	return per(report->bench_cpu_us + report->bench_wait_us, report->measured_us) >=
		GENERATOR_SHARE_MAX;
}

static void print_generator(FILE *to, const struct report *report)
{
	fprintf(to,
		"this generator: %.0f %% of a CPU, waited for one %.0f %% of the time; %.2f us CPU "
		"per event\n",
		100 * per(report->bench_cpu_us, report->measured_us),
		100 * per(report->bench_wait_us, report->measured_us),
		per(report->bench_cpu_us, report->measured_acked));
	if (report_generator_bound(report)) {
		fprintf(to,
			"WARNING: the generator was the bottleneck. Throughput and latency are "
			"its own; the daemon could do better. Give it a CPU that nobody else "
			"uses (--cpu), or a lower --rate.\n");
	}
}

static void print_handshakes(FILE *to, const struct report *report, double seconds)
{
	if (report->security.protocol[0] != '\0') {
		fprintf(to, "%s, %s", report->security.protocol, report->security.cipher);
	} else {
		fprintf(to, "plaintext");
	}
	if (!report->full_handshakes) {
		fprintf(to, ", connections kept\n");
		return;
	}
	fprintf(to, ", a connection for each event: %.0f full handshakes per s\n",
		seconds > 0 ? (double)report->measured_handshakes / seconds : 0);
}

static void print_found(FILE *to, const struct report *report)
{
	if (report->p99_limit_ms <= 0) return;
	if (report->found_rate > 0) {
		fprintf(to,
			"highest rate with a p99 within %.2f ms: %.0f events per s; this is of its "
			"last step:\n",
			report->p99_limit_ms, report->found_rate);
	} else {
		fprintf(to, "no rate holds a p99 of %.2f ms; this is of the last step:\n",
			report->p99_limit_ms);
	}
}

static void print_chaos(FILE *to, const struct report *report)
{
	const struct chaos *chaos = report->chaos;

	if (chaos == NULL) return;
	fprintf(to,
		"chaos: killed %" PRIu64 " times, stopped %" PRIu64 " times, target slow %" PRIu64
		" times, disk slow %" PRIu64 " times (%" PRIu64
		" flushes); the daemon ended by itself %" PRIu64 " times\n",
		chaos->counts[CHAOS_KILL], chaos->counts[CHAOS_STOP], chaos->counts[CHAOS_SLOW],
		chaos->counts[CHAOS_SLOW_DISK], chaos->disk.flush_count, chaos->deaths);
}

void report_print(const struct report *report, FILE *to)
{
	if (report->has_sender) {
		double seconds = (double)report->measured_us / 1e6;
		print_found(to, report);
		fprintf(to,
			"%" PRIu64
			" events acked in %.2f s: %.0f per s over %u connections, %u bytes\n",
			report->measured_acked, seconds,
			seconds > 0 ? (double)report->measured_acked / seconds : 0,
			report->connections, report->size);
		print_handshakes(to, report, seconds);
		if (report->daemon_cpu_us > 0) {
			fprintf(to,
				"daemon: %.2f us CPU per event, %.1f MiB of memory of its own\n",
				per(report->daemon_cpu_us, report->measured_acked),
				(double)report->daemon_anonymous_size / 1048576);
		}
		print_generator(to, report);
		fprintf(to, "latency from the intended start\n");
		print_latency(to, "ack", &report->ledger->ack.all);
		print_latency(to, "end to end", &report->ledger->end_to_end.all);
		print_latency(to, "sent late", &report->ledger->late);
		print_ledger(to, report);
	}
	if (report->has_sink) {
		fprintf(to,
			"sink: %" PRIu64 " requests on %" PRIu64 " connections, %" PRIu64
			" ok, %" PRIu64 " errors, %" PRIu64 " resets, %" PRIu64
			" malformed, %" PRIu64 " bad signatures, %" PRIu64 " not kept\n",
			report->sink.requests, report->sink.connections, report->sink.answered_ok,
			report->sink.answered_error, report->sink.resets, report->sink.malformed,
			report->sink.signature_bad, report->sink.not_kept);
	}
	print_chaos(to, report);
	if (report->has_sender) fprintf(to, "%s\n", report->clean ? "balanced" : "NOT BALANCED");
}

static void json_latency(FILE *to, const char *name, const struct histogram *histogram)
{
	fprintf(to,
		"  \"%s\": {\"count\": %" PRIu64
		", \"p50_ms\": %.3f, \"p90_ms\": %.3f, \"p99_ms\": %.3f, "
		"\"p999_ms\": %.3f, \"max_ms\": %.3f},\n",
		name, histogram->count, ms(histogram_quantile_us(histogram, 0.5)),
		ms(histogram_quantile_us(histogram, 0.9)),
		ms(histogram_quantile_us(histogram, 0.99)),
		ms(histogram_quantile_us(histogram, 0.999)), ms(histogram->max_us));
}

static void json_ledger(FILE *to, const struct report *report)
{
	const struct ledger *ledger = report->ledger;
	const struct {
		const char *name;
		uint64_t value;
	} rows[] = {
		{ "scheduled", ledger->scheduled },
		{ "sent", ledger->sent },
		{ "acked", ledger->acked },
		{ "acked_duplicate", ledger->acked_duplicate },
		{ "rejected", ledger->rejected },
		{ "unknown", ledger_unknown(ledger) },
		{ "delivered", ledger->delivered },
		{ "pending", report->pending },
		{ "duplicate", ledger->duplicate },
		{ "lost", report->lost },
		{ "corrupt", ledger->corrupt },
		{ "phantom", ledger->phantom },
		{ "forged_sent", ledger->forged_sent },
		{ "forged_accepted", ledger->forged_accepted },
		{ "stale_sent", ledger->stale_sent },
		{ "stale_accepted", ledger->stale_accepted },
		{ "replay_sent", ledger->replay_sent },
		{ "replay_answered", ledger->replay_answered },
		{ "replay_delivered", ledger->replay_delivered },
		{ "refused_503", ledger->refused_503 },
		{ "retries", ledger->retries },
		{ "errors", ledger->errors },
		{ "handshakes", report->measured_handshakes },
		{ "sink_requests", report->sink.requests },
		{ "sink_connections", report->sink.connections },
		{ "sink_errors", report->sink.answered_error + report->sink.resets },
		{ "sink_malformed", report->sink.malformed },
		{ "sink_not_kept", report->sink.not_kept },
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		fprintf(to, "  \"%s\": %" PRIu64 ",\n", rows[i].name, rows[i].value);
	}
}

static void json_found(FILE *to, const struct report *report)
{
	if (report->p99_limit_ms <= 0) return;
	fprintf(to, "  \"find\": {\n    \"p99_limit_ms\": %.3f,\n    \"rate\": %.1f,\n",
		report->p99_limit_ms, report->found_rate);
	fprintf(to, "    \"steps\": [");
	for (size_t i = 0; i < report->step_count; i++) {
		const struct report_step *step = &report->steps[i];
		fprintf(to,
			"%s\n      {\"rate\": %.1f, \"reached\": %.1f, \"ack_p99_ms\": %.3f, "
			"\"end_to_end_p99_ms\": %.3f, \"holds\": %s}",
			i == 0 ? "" : ",", step->rate, step->reached, step->ack_p99_ms,
			step->end_p99_ms, step->holds ? "true" : "false");
	}
	fprintf(to, "\n    ]\n  },\n");
}

static void json_chaos(FILE *to, const struct report *report)
{
	const struct chaos *chaos = report->chaos;

	if (chaos == NULL) return;
	fprintf(to,
		"  \"chaos\": {\"kills\": %" PRIu64 ", \"stops\": %" PRIu64 ", \"slows\": %" PRIu64
		", \"slow_disks\": %" PRIu64 ", \"disk_flushes\": %" PRIu64 ", \"deaths\": %" PRIu64
		"},\n",
		chaos->counts[CHAOS_KILL], chaos->counts[CHAOS_STOP], chaos->counts[CHAOS_SLOW],
		chaos->counts[CHAOS_SLOW_DISK], chaos->disk.flush_count, chaos->deaths);
}

void report_json(const struct report *report, FILE *to)
{
	double seconds = (double)report->measured_us / 1e6;

	fprintf(to, "{\n  \"schema\": \"penstock.bench/v1\",\n");
	json_ledger(to, report);
	json_found(to, report);
	json_chaos(to, report);
	json_latency(to, "ack", &report->ledger->ack.all);
	json_latency(to, "end_to_end", &report->ledger->end_to_end.all);
	json_latency(to, "late", &report->ledger->late);
	fprintf(to, "  \"connections\": %u,\n  \"size\": %u,\n  \"rate\": %.1f,\n",
		report->connections, report->size, report->rate);
	fprintf(to, "  \"tls\": { \"protocol\": \"%s\", \"cipher\": \"%s\" },\n",
		report->security.protocol, report->security.cipher);
	fprintf(to, "  \"handshakes_per_s\": %.1f,\n  \"cpu_us_per_handshake\": %.3f,\n",
		seconds > 0 ? (double)report->measured_handshakes / seconds : 0,
		per(report->daemon_cpu_us, report->measured_handshakes));
	fprintf(to, "  \"measured_s\": %.3f,\n  \"measured_acked\": %" PRIu64 ",\n", seconds,
		report->measured_acked);
	fprintf(to, "  \"events_per_s\": %.1f,\n",
		seconds > 0 ? (double)report->measured_acked / seconds : 0);
	fprintf(to, "  \"cpu_us_per_event\": %.3f,\n",
		per(report->daemon_cpu_us, report->measured_acked));
	fprintf(to,
		"  \"daemon_cpu_us\": %" PRIu64 ",\n  \"daemon_anonymous_bytes\": %" PRIu64 ",\n",
		report->daemon_cpu_us, report->daemon_anonymous_size);
	fprintf(to, "  \"bench_wait_share\": %.3f,\n  \"generator_bound\": %s,\n",
		per(report->bench_wait_us, report->measured_us),
		report_generator_bound(report) ? "true" : "false");
	fprintf(to, "  \"bench_cpu_share\": %.3f,\n",
		per(report->bench_cpu_us, report->measured_us));
	fprintf(to, "  \"clean\": %s\n}\n", report->clean ? "true" : "false");
}
