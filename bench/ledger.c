/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ledger.h"

#include <string.h>

#include "base/alloc.h"
#include "base/check.h"

void ledger_open(struct ledger *ledger, uint64_t capacity)
{
	memset(ledger, 0, sizeof *ledger); /* too large for the stack */
	ledger->capacity = capacity;
	ledger->entries = alloc_map(capacity * sizeof *ledger->entries);
}

void ledger_close(struct ledger *ledger)
{
	alloc_unmap(ledger->entries, ledger->capacity * sizeof *ledger->entries);
}

void latency_record(struct latency *latency, uint64_t us)
{
	histogram_record(&latency->all, us);
	histogram_record(&latency->interval, us);
}

void ledger_set_intended(struct ledger *ledger, uint64_t number, mono_t at)
{
	uint64_t ticks = mono_since_us(ledger->started, at) / LEDGER_TICK_US;

	ledger->entries[number].intended = ticks < UINT32_MAX ? (uint32_t)ticks : UINT32_MAX;
}

mono_t ledger_intended(const struct ledger *ledger, uint64_t number)
{
	uint64_t us = (uint64_t)ledger->entries[number].intended * LEDGER_TICK_US;

	return (mono_t){ ledger->started.us + us };
}

uint64_t ledger_unknown(const struct ledger *ledger)
{
	CHECK(ledger->sent >= ledger->acked + ledger->rejected);
	return ledger->sent - ledger->acked - ledger->rejected;
}

uint64_t ledger_pending(const struct ledger *ledger)
{
	uint64_t pending = 0;

	for (uint64_t i = 0; i < ledger->scheduled; i++) {
		const struct ledger_entry *entry = &ledger->entries[i];
		if (entry->fate == FATE_ACKED && entry->deliveries == 0) pending++;
	}
	return pending;
}

void ledger_settle(struct ledger *ledger)
{
	ledger->phantom = 0;
	for (uint64_t i = 0; i < ledger->scheduled; i++) {
		const struct ledger_entry *entry = &ledger->entries[i];
		bool possible = entry->fate == FATE_ACKED || entry->fate == FATE_SENT;
		if (entry->deliveries > 0 && !possible) ledger->phantom++;
	}
}

bool ledger_clean(const struct ledger *ledger)
{
	return ledger_pending(ledger) == 0 && ledger->corrupt == 0 && ledger->phantom == 0 &&
		ledger->forged_accepted == 0 && ledger->stale_accepted == 0 &&
		ledger->replay_delivered == 0;
}
