/* SPDX-License-Identifier: GPL-2.0-or-later */
/* penstock-bench — load generator and sink in one, with a correctness ledger.
 *
 * Goals: numbers that can be believed (latency from the intended start, CPU of the daemon and
 * of this generator side by side), and a ledger kept outside the daemon that must balance,
 * also when the daemon is killed in the middle. Non-goals: HTTP conformance, absolute records.
 */
#include <signal.h>
#include <sysexits.h>

#include "base/alloc.h"
#include "base/check.h"
#include "run.h"

static void on_signal(int number)
{
	(void)number; /* any of them means: finish */
	bench_interrupted = 1;
}

int main(int argc, char **argv)
{
	/* Static: whatever ends the program early, what it points to is not leaked. */
	static struct bench *bench;

	bench = alloc_array(1, sizeof *bench);
	int code = options_parse(argc, argv, &bench->options);
	if (code >= 0) return code;

	if (tls_library_open() != RESULT_OK) bench_fail("TLS", "the library does not start");
	struct sigaction action = { .sa_handler = on_signal };
	CHECK(sigaction(SIGINT, &action, NULL) == 0);
	CHECK(sigaction(SIGTERM, &action, NULL) == 0);
	CHECK(signal(SIGPIPE, SIG_IGN) != SIG_ERR);
	bench_open(bench);
	if (bench->options.listen.port != 0) bench_open_sink(bench);
	if (bench->options.mode == MODE_CHAOS) bench_open_chaos(bench);
	switch (bench->options.mode) {
	case MODE_SEND:
	case MODE_RUN:
	case MODE_CHAOS:
	case MODE_FIND: code = run_send(bench); break;
	case MODE_SINK: code = run_sink(bench); break;
	case MODE_HOLD: code = run_hold(bench); break;
	}
	bench_close(bench);
	alloc_free(bench);
	return code;
}
