/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "live.h"

#include <inttypes.h>

/* A file need not grow by a line each second. */
enum { PLAIN_EVERY_S = 5 };

#define CLEAR_LINE "\x1b[K\n"

static double rate(uint64_t count, const struct sample *sample)
{
	return sample->length_s > 0 ? (double)count / sample->length_s : 0;
}

static void plain(struct live *live, const struct sample *sample)
{
	fprintf(live->to, "%7.1f s  acked %.0f/s  p50 %.2f p99 %.2f max %.2f ms", sample->at_s,
		rate(sample->acked, sample), sample->ack_p50_ms, sample->ack_p99_ms,
		sample->ack_max_ms);
	if (live->end_to_end) {
		fprintf(live->to, "  delivered %.0f/s  p99 %.2f ms",
			rate(sample->delivered, sample), sample->end_p99_ms);
	}
	if (sample->refused + sample->errors > 0) {
		fprintf(live->to, "  refused %" PRIu64 "  broken %" PRIu64, sample->refused,
			sample->errors);
	}
	fprintf(live->to, "  generator %.0f %%  (%s)\n", 100 * sample->generator_share,
		live->phase);
}

/* The last seconds' throughput, the highest of them as a full bar. */
static void bars(const struct live *live)
{
	uint8_t text[LIVE_BARS * 4];
	struct writer writer = writer_of(text, sizeof text);

	bars_write(&live->rates, LIVE_BARS, 1, &writer);
	fwrite(writer.data, 1, writer.size, live->to);
}

/* As many as draw() writes. */
static int line_count(const struct live *live)
{
	return live->end_to_end ? 6 : 5;
}

static void draw(struct live *live, const struct sample *sample)
{
	const struct ledger *ledger = live->ledger;
	FILE *to = live->to;

	if (live->drawn) fprintf(to, "\x1b[%dA\r", line_count(live));
	fprintf(to, "%.0f s, %s", sample->at_s, live->phase);
	if (live->until_s > sample->at_s) {
		fprintf(to, ", %.0f s to go", live->until_s - sample->at_s);
	}
	fputs(CLEAR_LINE, to);
	fprintf(to, "  acked      %8.0f/s   ", rate(sample->acked, sample));
	bars(live);
	fputs(CLEAR_LINE, to);
	fprintf(to, "             p50 %8.2f   p99 %8.2f   max %8.2f ms" CLEAR_LINE,
		sample->ack_p50_ms, sample->ack_p99_ms, sample->ack_max_ms);
	if (live->end_to_end) {
		fprintf(to, "  delivered  %8.0f/s   end to end p50 %8.2f   p99 %8.2f ms" CLEAR_LINE,
			rate(sample->delivered, sample), sample->end_p50_ms, sample->end_p99_ms);
	}
	fprintf(to,
		"  in all     %8" PRIu64 " acked, %" PRIu64 " delivered, %" PRIu64
		" refused, %" PRIu64 " connections broken" CLEAR_LINE,
		ledger->acked, ledger->delivered, ledger->refused_503, ledger->errors);
	fprintf(to, "  CPU        generator %3.0f %%", 100 * sample->generator_share);
	if (sample->daemon_share > 0) fprintf(to, "   daemon %3.0f %%", 100 * sample->daemon_share);
	fputs(CLEAR_LINE, to);
	live->drawn = true;
}

void live_show(struct live *live, const struct sample *sample)
{
	bars_add(&live->rates, rate(sample->acked, sample));
	if (live->terminal) {
		draw(live, sample);
	} else if (sample->at_s - live->said_s >= PLAIN_EVERY_S) {
		plain(live, sample);
		live->said_s = sample->at_s;
	}
	fflush(live->to);
}

void live_clear(struct live *live)
{
	if (live->drawn) fprintf(live->to, "\x1b[%dA\r\x1b[J", line_count(live));
	live->drawn = false;
}

void live_end(struct live *live)
{
	live->drawn = false;
}
