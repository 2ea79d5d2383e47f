/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "measure.h"

#include "process.h"

void measure_begin(struct bench *bench)
{
	bench->measure_from = loop_now(&bench->loop);
	bench->acked_at_start = bench->ledger.acked;
	bench->handshakes_at_start = sender_handshakes(bench->sender);
	bench->daemon_cpu_at_start = process_cpu_us(bench->options.pid);
	bench->bench_cpu_at_start = thread_cpu_us();
	bench->bench_wait_at_start = thread_wait_us();
	sender_reset_latency(bench->sender);
}

void measure_end(const struct bench *bench, struct report *report)
{
	const struct options *options = &bench->options;

	report->measured_us = mono_since_us(bench->measure_from, loop_now(&bench->loop));
	report->measured_acked = bench->ledger.acked - bench->acked_at_start;
	report->measured_handshakes = sender_handshakes(bench->sender) - bench->handshakes_at_start;
	report->bench_cpu_us = thread_cpu_us() - bench->bench_cpu_at_start;
	report->bench_wait_us = thread_wait_us() - bench->bench_wait_at_start;
	if (options->pid != 0) {
		uint64_t cpu_us = process_cpu_us(options->pid);
		/* Threads, or all of it, may have gone. */
		report->daemon_cpu_us = cpu_us > bench->daemon_cpu_at_start
			? cpu_us - bench->daemon_cpu_at_start
			: 0;
		report->daemon_anonymous_size = process_anonymous_size(options->pid);
	}
}
