/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "watch.h"

#include <string.h>

#include "base/alloc.h"
#include "live.h"
#include "process.h"

enum { INTERVAL_MS = 1000, REST_MS_MIN = 50 };

static struct watch_totals totals_now(const struct watch *watch)
{
	const struct ledger *ledger = watch->config.ledger;

	return (struct watch_totals){
		.acked = ledger->acked,
		.delivered = ledger->delivered,
		.refused = ledger->refused_503,
		.errors = ledger->errors,
		.generator_cpu_us = thread_cpu_us(),
		.generator_wait_us = thread_wait_us(),
		.daemon_cpu_us = watch->config.pid == 0 ? 0 : process_cpu_us(watch->config.pid),
	};
}

void watch_open(struct watch *watch, const struct watch_config *config)
{
	watch->config = *config;
	watch->samples = alloc_array(WATCH_SAMPLES_MAX, sizeof *watch->samples);
	watch->count = 0;
	watch->looked = config->ledger->started;
	watch->totals = totals_now(watch);
	histogram_reset(&config->ledger->ack.interval);
	histogram_reset(&config->ledger->end_to_end.interval);
	if (config->log != NULL) hdr_log_open(&watch->log, config->log, config->start);
}

void watch_close(struct watch *watch)
{
	if (watch->config.log != NULL) hdr_log_close(&watch->log);
	alloc_free(watch->samples);
}

static double quantile_ms(const struct histogram *histogram, double q)
{
	return (double)histogram_quantile_us(histogram, q) / 1000;
}

/* A daemon that was started again counts from nothing. */
static double share(uint64_t before, uint64_t now, double length_s)
{
	return now > before ? (double)(now - before) / 1e6 / length_s : 0;
}

static struct sample sample_of(const struct watch *watch, const struct watch_totals *now,
	double at_s, double length_s)
{
	const struct watch_totals *before = &watch->totals;
	const struct histogram *ack = &watch->config.ledger->ack.interval;
	const struct histogram *end = &watch->config.ledger->end_to_end.interval;

	return (struct sample){
		.at_s = at_s,
		.length_s = length_s,
		.acked = now->acked - before->acked,
		.delivered = now->delivered - before->delivered,
		.refused = now->refused - before->refused,
		.errors = now->errors - before->errors,
		.ack_p50_ms = quantile_ms(ack, 0.5),
		.ack_p99_ms = quantile_ms(ack, 0.99),
		.ack_max_ms = (double)ack->max_us / 1000,
		.end_p50_ms = quantile_ms(end, 0.5),
		.end_p99_ms = quantile_ms(end, 0.99),
		.end_max_ms = (double)end->max_us / 1000,
		.generator_share = share(before->generator_cpu_us, now->generator_cpu_us, length_s),
		.generator_wait =
			share(before->generator_wait_us, now->generator_wait_us, length_s),
		.daemon_share = share(before->daemon_cpu_us, now->daemon_cpu_us, length_s),
	};
}

static void log_intervals(struct watch *watch, const struct sample *sample)
{
	struct ledger *ledger = watch->config.ledger;
	double from_s = sample->at_s - sample->length_s;

	if (watch->config.log != NULL) {
		hdr_log_interval(&watch->log, "ack", from_s, sample->length_s,
			&ledger->ack.interval);
		if (watch->config.end_to_end) {
			hdr_log_interval(&watch->log, "end-to-end", from_s, sample->length_s,
				&ledger->end_to_end.interval);
		}
	}
	histogram_reset(&ledger->ack.interval);
	histogram_reset(&ledger->end_to_end.interval);
}

static void take(struct watch *watch, mono_t now)
{
	struct watch_totals totals = totals_now(watch);
	double at_s = (double)mono_since_us(watch->config.ledger->started, now) / 1e6;
	double length_s = (double)mono_since_us(watch->looked, now) / 1e6;
	struct sample sample = sample_of(watch, &totals, at_s, length_s);

	log_intervals(watch, &sample);
	if (watch->count < WATCH_SAMPLES_MAX) watch->samples[watch->count++] = sample;
	watch->totals = totals;
	watch->looked = now;
	if (watch->config.live != NULL) live_show(watch->config.live, &sample);
}

void watch_look(struct watch *watch, mono_t now)
{
	mono_t started = watch->config.ledger->started;
	uint64_t interval_us = INTERVAL_MS * US_PER_MS;

	/* By the second that has begun, so that lateness does not add up. */
	if (mono_since_us(started, now) / interval_us !=
		mono_since_us(started, watch->looked) / interval_us) {
		take(watch, now);
	}
}

void watch_finish(struct watch *watch, mono_t now)
{
	if (mono_since_us(watch->looked, now) >= REST_MS_MIN * US_PER_MS) take(watch, now);
	if (watch->config.live != NULL) live_end(watch->config.live);
}
