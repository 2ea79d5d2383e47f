/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ledger — what became of each event of a run, kept outside the daemon under test.
 *
 *   scheduled = sent + not started          sent = acked + rejected + unknown
 *   acked     = delivered + pending         pending after the run's end is LOST
 *
 * An event counts as sent when its request was first written whole. `unknown`: it was written,
 * but no answer came (and no later try of the same event was answered). A delivery of an event
 * nobody acked is legal only when it is unknown; else it is a phantom.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "histogram.h"

enum event_fate { FATE_NONE, FATE_SENT, FATE_ACKED, FATE_REJECTED };

/* Fine enough for a latency, coarse enough for 19 hours in 32 bits. */
enum { LEDGER_TICK_US = 16 };

struct ledger_entry {
	uint8_t fate; /* enum event_fate */
	uint8_t deliveries;
	uint16_t endpoint;
	uint32_t intended;     /* LEDGER_TICK_US since the run's start: end-to-end latency */
	uint64_t delivery_key; /* hash of the daemon's id at the first delivery */
};

/* Of the measured part, and of the interval since somebody last looked. */
struct latency {
	struct histogram all;
	struct histogram interval;
};

struct ledger {
	struct ledger_entry *entries;
	uint64_t capacity; /* events there can be */
	mono_t started;
	uint64_t scheduled;
	uint64_t sent;
	uint64_t acked;
	uint64_t
		acked_duplicate; /* of these, answered as already there (an earlier try was lost) */
	uint64_t rejected;
	uint64_t delivered; /* distinct events */
	uint64_t duplicate; /* deliveries beyond the first of the same accepted event */
	uint64_t corrupt;   /* deliveries whose body or signature is not what was sent */
	uint64_t phantom;
	uint64_t refused_503;
	uint64_t retries;
	uint64_t errors; /* connections that broke */
	/* Attacks, which are no events of their own. */
	uint64_t forged_sent, forged_accepted;
	uint64_t stale_sent, stale_accepted;
	uint64_t replay_sent, replay_answered, replay_delivered;
	struct latency ack;
	struct histogram late; /* until an event was sent: the part of it that is our own */
	struct latency end_to_end;
};

void ledger_open(struct ledger *ledger, uint64_t capacity);
void ledger_close(struct ledger *ledger);

void latency_record(struct latency *latency, uint64_t us);

/* When the event was meant to be sent. */
void ledger_set_intended(struct ledger *ledger, uint64_t number, mono_t at);
mono_t ledger_intended(const struct ledger *ledger, uint64_t number);

uint64_t ledger_unknown(const struct ledger *ledger);
/* Acked and not delivered (yet). */
uint64_t ledger_pending(const struct ledger *ledger);
/* Deliveries of events that were rejected or never sent; computed over all entries. */
void ledger_settle(struct ledger *ledger);
/* Nothing that was acked is lost or corrupt, nothing forged got in. */
bool ledger_clean(const struct ledger *ledger);
