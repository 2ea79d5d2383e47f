/* SPDX-License-Identifier: GPL-2.0-or-later */
/* deliver — targets, their channels in number, and the pump that leases work. See deliver.h. */
#include "deliver/deliver_internal.h"

#include "base/alloc.h"
#include "base/check.h"
#include "base/tap.h"
#include "deliver/outcome.h"

/* How long to wait when this host is short of descriptors or memory. */
#define SHORTAGE_PAUSE_US (US_PER_S / 2)

/* ---- Targets --------------------------------------------------------------------------------- */

static uint32_t table_slot(const struct deliver *deliver, uint32_t target_id)
{
	/* Ids are hashes of names already. */
	uint32_t slot = target_id & (deliver->table_size - 1);
	while (deliver->table[slot] != NULL && deliver->table[slot]->id != target_id) {
		slot = (slot + 1) & (deliver->table_size - 1);
	}
	return slot;
}

struct deliver_target *target_of_id(struct deliver *deliver, uint32_t target_id)
{
	uint32_t slot = table_slot(deliver, target_id);
	struct deliver_target *target = deliver->table[slot];
	if (target != NULL) return target;

	target = pool_take(&deliver->targets);
	if (target == NULL) return NULL;
	*target = (struct deliver_target){ .deliver = deliver, .id = target_id };
	list_init(&target->pending);
	list_init(&target->idle);
	list_init(&target->busy);
	deliver->table[slot] = target;
	return target;
}

/* The others of its run move up. */
static void table_remove(struct deliver *deliver, uint32_t slot)
{
	struct deliver_target **table = deliver->table;
	uint32_t mask = deliver->table_size - 1;

	table[slot] = NULL;
	for (uint32_t next = (slot + 1) & mask; table[next] != NULL; next = (next + 1) & mask) {
		uint32_t home = table[next]->id & mask;
		/* One whose home lies behind the gap is found where it is. */
		if (((next - home) & mask) < ((next - slot) & mask)) continue;
		table[slot] = table[next];
		table[next] = NULL;
		slot = next;
	}
}

static bool target_is_over(const struct deliver_target *target)
{
	return target->flow == NULL && list_empty(&target->pending) && target->idle_count == 0 &&
		target->busy_count == 0;
}

/* Names come and go with reloads for as long as the process lives. */
static void targets_forget(struct deliver *deliver)
{
	uint32_t slot = 0;

	while (slot < deliver->table_size) {
		struct deliver_target *target = deliver->table[slot];
		if (target == NULL || !target_is_over(target)) {
			slot++;
			continue;
		}
		if (target->tls.context != NULL) tls_context_release(target->tls.context);
		table_remove(deliver, slot);
		pool_give(&deliver->targets, target);
	}
}

void target_pump_later(struct deliver_target *target)
{
	struct deliver *deliver = target->deliver;

	if (deliver->draining || !list_empty(&target->pending)) return;
	list_append(&deliver->pending, &target->pending);
	loop_defer(deliver->loop, &deliver->pump);
}

/* ---- The pump -------------------------------------------------------------------------------- */

static void delivery_unsendable(struct deliver_target *target, struct delivery *delivery)
{
	bool removed = target->flow == NULL;
	delivery_settle(target, delivery,
		&(struct attempt_end){
			.error = removed ? ATTEMPT_ERROR_TARGET_REMOVED : ATTEMPT_ERROR_UNRESOLVED,
			.detail = attempt_error_text(removed ? ATTEMPT_ERROR_TARGET_REMOVED
							     : ATTEMPT_ERROR_UNRESOLVED),
			.started = io_wall(target->deliver->loop->io),
		});
}

/* All channels are taken. The coldest idle one goes, or targets with many would keep the others
 * waiting for as long as theirs stay warm. */
static void channels_make_room(struct deliver *deliver)
{
	if (list_empty(&deliver->idle)) return;
	channel_close(LIST_ENTRY(deliver->idle.next, struct channel, idle_node));
}

/* Returns false when the target can take no more for now. */
static bool target_pump_one(struct deliver_target *target)
{
	struct deliver *deliver = target->deliver;
	bool sendable = target->flow != NULL && target->flow->resolved;

	if (sendable && list_empty(&target->idle)) {
		if (target->busy_count >= target->flow->config->connections_max) return false;
		if (deliver->channels.used_count == deliver->channels.count) {
			/* It is pumped again when a channel has closed. */
			list_append(&deliver->pending, &target->pending);
			channels_make_room(deliver);
			return false;
		}
	}
	struct delivery *delivery = queue_lease(deliver->config.queue, target->id);
	if (delivery == NULL) return false;

	if (!sendable) {
		delivery_unsendable(target, delivery);
	} else if (!list_empty(&target->idle)) {
		channel_reuse(LIST_ENTRY(target->idle.next, struct channel, node), delivery);
	} else if (!channel_open(target, delivery)) {
		list_append(&deliver->pending, &target->pending);
		timer_start(&deliver->loop->timers, &deliver->again, loop_now(deliver->loop),
			SHORTAGE_PAUSE_US);
		return false;
	}
	return true;
}

static void deliver_pump(void *owner)
{
	struct deliver *deliver = owner;
	struct list work;
	struct list *node;

	list_init(&work);
	list_splice(&work, &deliver->pending);
	while ((node = list_pop(&work)) != NULL) {
		struct deliver_target *target = LIST_ENTRY(node, struct deliver_target, pending);
		while (!deliver->draining && target_pump_one(target)) continue;
	}
}

static void shortage_over(void *owner)
{
	struct deliver *deliver = owner;
	loop_defer(deliver->loop, &deliver->pump);
}

void deliver_ready(struct deliver *deliver, uint32_t target_id)
{
	struct deliver_target *target = target_of_id(deliver, target_id);
	CHECK(target != NULL); /* see deliver_open() */
	target_pump_later(target);
}

/* ---- Settling -------------------------------------------------------------------------------- */

static void target_count(struct deliver_target *target, const struct outcome *outcome)
{
	struct metrics *metrics = target->deliver->config.metrics;
	if (target->flow == NULL) return;

	uint32_t slot = target->flow->metrics_slot;
	metrics_target_add(metrics, slot, METRICS_TARGET_ATTEMPTS, 1);
	switch (outcome->outcome) {
	case ATTEMPT_DELIVERED:
		metrics_target_add(metrics, slot, METRICS_TARGET_DELIVERED, 1);
		break;
	case ATTEMPT_RETRY: metrics_target_add(metrics, slot, METRICS_TARGET_RETRIED, 1); break;
	case ATTEMPT_DEAD: metrics_target_add(metrics, slot, METRICS_TARGET_DEAD, 1); break;
	case ATTEMPT_OUTCOME_COUNT: UNREACHABLE();
	}
}

/* A retry's wait is the back-off's: how long the queue takes is seen from first attempts. */
static void attempt_observe(struct metrics *metrics, const struct delivery *delivery,
	const struct attempt_end *end)
{
	struct metrics_exemplar exemplar = {
		.sequence = delivery->sequence,
		.shard = end->shard,
		.received_us = end->received.us,
		.value_us = end->duration_us,
		.time_us = end->started.us + end->duration_us,
	};

	metrics_observe(metrics, METRICS_HISTOGRAM_ATTEMPT, &exemplar);
	if (end->received.us == 0 || delivery->attempt_number != 1) return;
	exemplar.value_us = end->started.us > end->received.us ? end->started.us - end->received.us
							       : 0;
	exemplar.time_us = end->started.us;
	metrics_observe(metrics, METRICS_HISTOGRAM_DWELL, &exemplar);
}

void delivery_settle(struct deliver_target *target, struct delivery *delivery,
	const struct attempt_end *end)
{
	struct deliver *deliver = target->deliver;
	struct io *io = deliver->loop->io;
	const struct config_retry *retry = target->flow == NULL ? NULL
								: &target->flow->config->retry;

	struct outcome outcome = outcome_judge(&(struct outcome_input){
		.error = end->error,
		.status = end->status,
		.tries = delivery->tries + 1u,
		.tries_max = retry == NULL ? 1 : retry->attempts_max,
		.backoff = { .base_ms = retry == NULL ? 1 : retry->backoff_base_ms,
			.max_ms = retry == NULL ? 1 : retry->backoff_max_ms },
		.retry_after_s = end->retry_after_s,
		.now = io_wall(io),
		.random = io_random(io),
	});
	const char *detail = end->detail != NULL ? end->detail : "";
	if (outcome.outcome == ATTEMPT_DELIVERED) {
		target->last_error[0] = '\0';
	} else {
		const char *text = end->detail != NULL ? detail : attempt_error_text(outcome.error);
		bytes_to_text(bytes_of_text(text), target->last_error, sizeof target->last_error);
	}
	target_count(target, &outcome);
	attempt_observe(deliver->config.metrics, delivery, end);
	if (tap_is_open()) tap_attempt(target, delivery, end, &outcome);
	attempt_trace_end(target, delivery, end, &outcome);

	struct bytes detail_bytes = bytes_of_text(detail);
	if (detail_bytes.size > ATTEMPT_DETAIL_SIZE_MAX)
		detail_bytes.size = ATTEMPT_DETAIL_SIZE_MAX;
	queue_settle(deliver->config.queue, delivery,
		&(struct attempt){
			.outcome = outcome.outcome,
			.error = outcome.error,
			.status = end->status,
			.started = end->started,
			.duration_us = end->duration_us,
			.next_due = outcome.next_due,
			.detail = detail_bytes,
			.excerpt = end->excerpt,
		});
}

/* ---- Opening, flows, draining ---------------------------------------------------------------- */

void deliver_open(const struct deliver_config *config, struct deliver **ret)
{
	struct deliver *deliver = alloc_array(1, sizeof *deliver);

	deliver->config = *config;
	deliver->loop = config->streams->loop;
	/* Those of the flow, those that the last reload took away, and those that only records
	 * name: the queue has no room for more of them either. */
	uint32_t targets_max = 3 * config->targets_max;
	deliver->table_size = 1;
	while (deliver->table_size < 2 * targets_max) deliver->table_size *= 2;
	deliver->table = alloc_map(deliver->table_size * sizeof(struct deliver_target *));
	pool_init(&deliver->channels, sizeof(struct channel), config->channels_max);
	pool_init(&deliver->targets, sizeof(struct deliver_target), targets_max);
	list_init(&deliver->pending);
	list_init(&deliver->idle);
	task_init(&deliver->pump, deliver_pump, deliver);
	timer_init(&deliver->again, shortage_over, deliver);
	deliver->scratch = alloc_map(REQUEST_HEAD_SIZE_MAX + RECEIVE_BODY_SIZE_LIMIT);
	*ret = deliver;
}

void deliver_close(struct deliver *deliver)
{
	CHECK(deliver_idle(deliver));

	task_cancel(&deliver->pump);
	timer_stop(&deliver->loop->timers, &deliver->again);
	for (uint32_t slot = 0; slot < deliver->table_size; slot++) {
		struct deliver_target *target = deliver->table[slot];
		if (target == NULL) continue;
		if (target->tls.context != NULL) tls_context_release(target->tls.context);
		pool_give(&deliver->targets, target);
	}
	alloc_unmap(deliver->table, deliver->table_size * sizeof(struct deliver_target *));
	pool_done(&deliver->channels);
	pool_done(&deliver->targets);
	alloc_unmap(deliver->scratch, REQUEST_HEAD_SIZE_MAX + RECEIVE_BODY_SIZE_LIMIT);
	alloc_free(deliver);
}

static void target_channels_close_idle(struct deliver_target *target)
{
	while (!list_empty(&target->idle)) {
		channel_close(LIST_ENTRY(target->idle.next, struct channel, node));
	}
}

/* Whether a channel that is open already is as good as one opened now. */
static bool reached_as_before(const struct deliver_target *target, const struct flow_target *next,
	const struct deliver_tls *tls)
{
	const struct flow_target *now = target->flow;

	return now != NULL && now->resolved == next->resolved &&
		address_equal(&now->address, &next->address) &&
		now->config->tls == next->config->tls &&
		strcmp(now->config->host, next->config->host) == 0 &&
		memcmp(target->tls.digest, tls->digest, sizeof tls->digest) == 0 &&
		/* With fewer allowed there may be too many. */
		now->config->connections_max <= next->config->connections_max;
}

static void target_set(struct deliver_target *target, const struct flow_target *next,
	const struct deliver_tls *tls)
{
	if (!reached_as_before(target, next, tls)) {
		target->epoch++;
		target_channels_close_idle(target);
	}
	target->flow = next;
	target_pump_later(target);
	if (tls == &target->tls) return;
	if (target->tls.context != NULL) tls_context_release(target->tls.context);
	target->tls = *tls;
}

void deliver_flow_set(struct deliver *deliver, const struct flow *flow,
	const struct deliver_tls *tls)
{
	deliver->flow = flow;
	targets_forget(deliver);
	for (uint32_t i = 0; i < flow->target_count; i++) {
		struct deliver_target *target = target_of_id(deliver, flow->targets[i].id);
		CHECK(target != NULL);
		target_set(target, &flow->targets[i], tls != NULL ? &tls[i] : &target->tls);
	}
	for (uint32_t slot = 0; slot < deliver->table_size; slot++) {
		struct deliver_target *target = deliver->table[slot];
		if (target == NULL || flow_target_by_id(flow, target->id) != NULL) continue;
		target->flow = NULL;
		target->epoch++;
		target_channels_close_idle(target);
		target_pump_later(target);
	}
}

void deliver_drain(struct deliver *deliver)
{
	deliver->draining = true;
	for (uint32_t slot = 0; slot < deliver->table_size; slot++) {
		if (deliver->table[slot] != NULL) target_channels_close_idle(deliver->table[slot]);
	}
}

void deliver_abort(struct deliver *deliver)
{
	deliver_drain(deliver);
	for (uint32_t slot = 0; slot < deliver->table_size; slot++) {
		struct deliver_target *target = deliver->table[slot];
		if (target == NULL) continue;
		struct list *next;
		for (struct list *node = target->busy.next; node != &target->busy; node = next) {
			next = node->next;
			channel_abort(LIST_ENTRY(node, struct channel, node));
		}
	}
}

bool deliver_idle(const struct deliver *deliver)
{
	return deliver->channels.used_count == 0;
}

bool deliver_quiet(const struct deliver *deliver)
{
	return deliver->attempts == 0;
}

struct deliver_usage deliver_usage(const struct deliver *deliver)
{
	struct deliver_usage usage = { .attempts = deliver->attempts };

	usage.channels_active = deliver->attempts;
	usage.channels_idle = (uint32_t)deliver->channels.used_count - deliver->attempts;
	return usage;
}

bool deliver_target_usage(const struct deliver *deliver, uint32_t target_id,
	struct deliver_target_usage *ret)
{
	const struct deliver_target *target = deliver->table[table_slot(deliver, target_id)];
	if (target == NULL) return false;

	*ret = (struct deliver_target_usage){
		.active = target->busy_count,
		.idle = target->idle_count,
		.ready = queue_target_ready(deliver->config.queue, target_id),
	};
	memcpy(ret->last_error, target->last_error, sizeof ret->last_error);
	return true;
}
