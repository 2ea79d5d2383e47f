/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sender_internal.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/check.h"

enum {
	RESEND_MS = 100,  /* after 503 or a broken connection */
	PACE_US_MIN = 50, /* events due within it go together: a wait costs its time, too */
};

/* ---- What to send next ----------------------------------------------------------------------- */

static mono_t event_due(const struct sender *sender, uint64_t number)
{
	if (sender->config.rate <= 0) return loop_now(sender->loop);
	double offset_us = (double)(number - sender->paced_from) * 1e6 / sender->config.rate;
	return (mono_t){ sender->paced_since.us + (uint64_t)offset_us };
}

/* When the first of them is due. */
static mono_t resend_due(const struct sender *sender)
{
	if (sender->resend_count == 0) return (mono_t){ UINT64_MAX };
	return sender->resends[sender->resend_first % sender->resend_capacity].due;
}

static bool take_resend(struct sender *sender, uint64_t *ret_number)
{
	if (resend_due(sender).us > loop_now(sender->loop).us) return false;
	*ret_number = sender->resends[sender->resend_first % sender->resend_capacity].number;
	sender->resend_first++;
	sender->resend_count--;
	return true;
}

void sender_put_resend(struct sender *sender, uint64_t number)
{
	if (!sender->config.retry || sender->resend_count == sender->resend_capacity) return;
	uint64_t at = (sender->resend_first + sender->resend_count++) % sender->resend_capacity;
	sender->resends[at] = (struct resend){
		.number = number,
		.due = { loop_now(sender->loop).us + RESEND_MS * US_PER_MS },
	};
	/* It finds out when to look again. */
	loop_defer(sender->loop, &sender->pump);
}

bool sender_exhausted(const struct sender *sender)
{
	const struct sender_config *config = &sender->config;
	uint64_t count = config->count > 0 ? config->count : config->ledger->capacity;
	return sender->finishing || sender->next_number >= count;
}

/* Now and then an attack goes out before the next event. */
static bool choose_attack(struct sender *sender, struct lane *lane)
{
	const struct sender_config *config = &sender->config;
	uint64_t dice = random_below(&sender->random, 1000);

	if (dice < config->forged_permille) {
		lane->kind = REQUEST_FORGED;
		lane->number = random_below(&sender->random, config->ledger->capacity);
		return true;
	}
	dice -= config->forged_permille;
	if (dice < config->stale_permille) {
		lane->kind = REQUEST_STALE;
		lane->number = random_below(&sender->random, config->ledger->capacity);
		return config->endpoints[lane->number % config->endpoint_count].timestamped;
	}
	dice -= config->stale_permille;
	if (dice < config->replay_permille && sender->next_number > 0) {
		lane->kind = REQUEST_REPLAY;
		lane->number = random_below(&sender->random, sender->next_number);
		return config->ledger->entries[lane->number].fate == FATE_ACKED;
	}
	return false;
}

/* A loop's timers are coarse; an event that is due is not late for that. */
static uint64_t sender_rest(void *owner, bool looked)
{
	struct sender *sender = owner;
	uint64_t now_us = loop_now(sender->loop).us;

	(void)looked;
	if (sender->pace_at.us == UINT64_MAX) return UINT64_MAX;
	if (sender->pace_at.us <= now_us) {
		sender->pace_at.us = UINT64_MAX;
		loop_defer(sender->loop, &sender->pump);
		return 0;
	}
	uint64_t left_us = sender->pace_at.us - now_us;
	return left_us < PACE_US_MIN ? PACE_US_MIN : left_us;
}

/* Chooses what the next free lane carries. When there is nothing yet, the timer is set. */
static bool choose(struct sender *sender, struct lane *lane)
{
	const struct sender_config *config = &sender->config;

	lane->intended = loop_now(sender->loop);
	if (take_resend(sender, &lane->number)) {
		lane->kind = REQUEST_EVENT;
		/* Late since then, however often it is tried. */
		lane->intended = ledger_intended(config->ledger, lane->number);
		config->ledger->retries++;
		return true;
	}
	mono_t resend = resend_due(sender);
	if (sender_exhausted(sender) || sender->paused) {
		sender->pace_at = resend;
		return false;
	}
	mono_t due = event_due(sender, sender->next_number);
	if (due.us > loop_now(sender->loop).us) {
		sender->pace_at = resend.us < due.us ? resend : due;
		return false;
	}
	if (choose_attack(sender, lane)) return true;
	lane->kind = REQUEST_EVENT;
	lane->number = sender->next_number++;
	lane->intended = due;
	struct ledger_entry *entry = &config->ledger->entries[lane->number];
	entry->endpoint = (uint16_t)(lane->number % config->endpoint_count);
	ledger_set_intended(config->ledger, lane->number, due);
	config->ledger->scheduled = sender->next_number;
	return true;
}

/* ---- The sender ------------------------------------------------------------------------------ */

void sender_send_ready(struct sender *sender)
{
	while (sender->begun && !list_empty(&sender->ready)) {
		struct lane *lane = LIST_ENTRY(sender->ready.next, struct lane, node);
		if (!choose(sender, lane)) return;
		lane_begin(lane);
	}
}

static void sender_pump(void *owner)
{
	sender_send_ready(owner);
}

/* RFC 3986, 3.2.2: an IPv6 address is in brackets where a port may follow. */
static void host_field_set(struct sender *sender)
{
	const char *name = sender->config.host_name;
	bool is_ipv6 = strchr(name, ':') != NULL;

	int size = snprintf(sender->host_field, SENDER_HOST_SIZE, is_ipv6 ? "[%s]" : "%s", name);
	CHECK(size > 0 && size < SENDER_HOST_SIZE);
}

void sender_open(const struct sender_config *config, struct sender **ret)
{
	struct sender *sender = alloc_array(1, sizeof *sender);

	sender->config = *config;
	host_field_set(sender);
	sender->loop = config->streams->loop;
	sender->connected_at = loop_now(sender->loop);
	sender->random.state = config->seed;
	sender->resend_capacity = 1u << 20;
	sender->resends = alloc_map(sender->resend_capacity * sizeof *sender->resends);
	list_init(&sender->ready);
	task_init(&sender->pump, sender_pump, sender);
	CHECK(sender->loop->rest == NULL);
	sender->pace_at.us = UINT64_MAX;
	sender->loop->rest = sender_rest;
	sender->loop->owner = sender;
	sender->lanes = alloc_array(config->connections, sizeof *sender->lanes);
	for (uint32_t i = 0; i < config->connections; i++) {
		struct lane *lane = &sender->lanes[i];
		lane->sender = sender;
		lane->request = alloc_array(HEAD_SIZE_MAX + config->shape.size, 1);
		list_init(&lane->node);
		timer_init(&lane->timer, lane_timer_expired, lane);
		if (config->gradual) continue;
		if (config->full_handshakes) {
			lane_set_ready(lane, true);
		} else {
			sender_connect_next(sender);
		}
	}
	*ret = sender;
}

void sender_connect_next(struct sender *sender)
{
	CHECK(sender->connected_count < sender->config.connections);
	lane_connect(&sender->lanes[sender->connected_count++]);
}

uint32_t sender_connected_count(const struct sender *sender)
{
	return sender->connected_count;
}

uint32_t sender_ready_count(const struct sender *sender)
{
	return sender->ready_count;
}

mono_t sender_connected_at(const struct sender *sender)
{
	return sender->standing_count > 0 ? loop_now(sender->loop) : sender->connected_at;
}

void sender_begin(struct sender *sender)
{
	sender->begun = true;
	sender_set_rate(sender, sender->config.rate);
}

void sender_set_rate(struct sender *sender, double rate)
{
	sender->config.rate = rate;
	sender->paced_from = sender->next_number;
	sender->paced_since = loop_now(sender->loop);
	sender->paused = false;
	loop_defer(sender->loop, &sender->pump);
}

void sender_pause(struct sender *sender)
{
	sender->paused = true;
}

void sender_finish(struct sender *sender)
{
	sender->finishing = true;
}

bool sender_idle(const struct sender *sender)
{
	return sender->busy_count == 0 && sender->resend_count == 0;
}

void sender_abort(struct sender *sender)
{
	sender->finishing = true;
	sender->resend_count = 0;
	sender->pace_at.us = UINT64_MAX;
	sender->config.retry = false;
	for (uint32_t i = 0; i < sender->config.connections; i++) {
		struct lane *lane = &sender->lanes[i];
		timer_stop(&sender->loop->timers, &lane->timer);
		if (lane->open) lane_close(lane, true);
	}
}

bool sender_closed(const struct sender *sender)
{
	return sender->open_count == 0;
}

void sender_close(struct sender *sender)
{
	CHECK(sender_closed(sender));
	sender->loop->rest = NULL;
	task_cancel(&sender->pump);
	for (uint32_t i = 0; i < sender->config.connections; i++) {
		timer_stop(&sender->loop->timers, &sender->lanes[i].timer);
		alloc_free(sender->lanes[i].request);
	}
	alloc_unmap(sender->resends, sender->resend_capacity * sizeof *sender->resends);
	alloc_free(sender->lanes);
	alloc_free(sender);
}

void sender_reset_latency(struct sender *sender)
{
	histogram_reset(&sender->config.ledger->ack.all);
	histogram_reset(&sender->config.ledger->late);
	histogram_reset(&sender->config.ledger->end_to_end.all);
}

uint64_t sender_handshakes(const struct sender *sender)
{
	return sender->handshakes;
}

struct sender_security sender_security(const struct sender *sender)
{
	return sender->security;
}
