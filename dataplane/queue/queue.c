/* SPDX-License-Identifier: GPL-2.0-or-later */
/* queue — opening, closing, and the round of work; reading what a delivery is to send.
 */
#include "queue/queue.h"

#include <sched.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/log.h"
#include "queue/queue_internal.h"

static struct queue *create(struct shard *shard, const struct queue_events *events,
	const struct queue_limits *limits)
{
	struct queue *queue = alloc_array(1, sizeof *queue);
	size_t deliveries_max = 0;

	queue->shard = shard;
	queue->events = *events;
	queue->limits = *limits;
	for (unsigned i = 0; i < ORIGIN_COUNT; i++) deliveries_max += limits->origins[i];
	pool_init(&queue->deliveries, sizeof(struct delivery), deliveries_max);
	pool_init(&queue->targets, sizeof(struct queue_target), TARGETS_MAX);
	queue->target_buckets = alloc_map(QUEUE_TARGET_BUCKETS * sizeof *queue->target_buckets);
	queue->row_buckets = alloc_map(QUEUE_ROW_BUCKETS * sizeof *queue->row_buckets);
	list_init(&queue->window);
	list_init(&queue->unsettled);
	list_init(&queue->known);
	list_init(&queue->refill);
	list_init(&queue->spilled);
	atomic_store(&queue->reschedule_us, UINT64_MAX);
	return queue;
}

static void destroy(struct queue *queue)
{
	store_read_done(&queue->work_txn);
	store_read_done(&queue->read_txn);
	/* What is in the lists is on disk too and comes back at the next start. */
	queue->deliveries.used_count = 0;
	queue->targets.used_count = 0;
	pool_done(&queue->deliveries);
	pool_done(&queue->targets);
	alloc_unmap(queue->target_buckets, QUEUE_TARGET_BUCKETS * sizeof *queue->target_buckets);
	alloc_unmap(queue->row_buckets, QUEUE_ROW_BUCKETS * sizeof *queue->row_buckets);
	alloc_free(queue);
}

enum result queue_open_limited(struct shard *shard, const struct queue_events *events, wall_t now,
	const struct queue_limits *limits, struct queue **ret)
{
	struct shard_counters counters = shard_counters(shard);
	struct queue *queue = create(shard, events, limits);

	queue->now_us = now.us;
	queue->next = counters.low_water;
	queue->low_told = counters.low_water;
	queue->defer.sampled_us = now.us;
	queue->defer.sampled_low = counters.low_water;
	queue->known_next = counters.next_sequence;
	/* Almost all of them were in the window, which is short; the others cost a look each, and
	 * nothing depends on how long the window was then. */
	queue->checked_until = counters.next_sequence;
	store_read_begin(&queue->work_txn, shard->store);
	defer_open(queue);
	window_fill(queue, limits->window_events);
	store_read_end(&queue->work_txn);
	window_tell_low(queue);
	enum result result = queue->work_txn.result;
	if (result != RESULT_OK) {
		destroy(queue);
		return result;
	}
	queue->events.wake(queue->events.owner);
	*ret = queue;
	return RESULT_OK;
}

enum result queue_open(struct shard *shard, const struct queue_events *events, wall_t now,
	struct queue **ret)
{
	static const struct queue_limits limits = {
		.window_events = DELIVER_WINDOW_EVENTS,
		.origins = {
			[ORIGIN_WINDOW] = QUEUE_WINDOW_DELIVERIES_MAX,
			[ORIGIN_SCHEDULE] = QUEUE_SCHEDULED_MAX,
			[ORIGIN_DEFERRED] = QUEUE_DEFERRED_MAX,
		},
		.rows_per_target = DELIVER_READY_PER_TARGET,
	};
	return queue_open_limited(shard, events, now, &limits, ret);
}

static void collect(struct queue *queue)
{
	struct mail *mail = mailbox_take_all(&queue->done);
	while (mail != NULL) {
		struct store_job *job = CONTAINER_OF(mail, struct store_job, mail);
		mail = mail->next;
		CHECK(queue->jobs_count > 0);
		queue->jobs_count--;
		if (job == &queue->defer.job) {
			defer_collect(queue);
		} else {
			settle_collect(queue, CONTAINER_OF(job, struct delivery, job));
		}
	}
}

void queue_close(struct queue *queue)
{
	while (queue->jobs_count > 0) {
		if (!queue->shard->threaded) store_writer_step(queue->shard->writer);
		collect(queue);
		sched_yield();
	}
	destroy(queue);
}

static void announce(struct queue *queue)
{
	if (queue->announced) return;
	queue->announced = true;
	struct list *next;
	for (struct list *node = queue->known.next; node != &queue->known; node = next) {
		struct queue_target *target = LIST_ENTRY(node, struct queue_target, known_node);
		next = node->next;
		if (target->ready_count > 0) queue->events.ready(queue->events.owner, target->id);
	}
}

static uint64_t due_us(const struct queue *queue)
{
	uint64_t due = queue->schedule_due_us;
	/* What is due and found no room comes with the next settling; but behind it something may
	 * come due that is for others, and for which room is made. */
	if (due <= queue->now_us) due = queue->now_us + QUEUE_RETRY_US;
	if (!list_empty(&queue->unsettled) && queue->unsettled_retry_us < due) {
		due = queue->unsettled_retry_us;
	}
	if (!list_empty(&queue->spilled) && !queue->defer.busy && queue->defer.retry_us < due) {
		due = queue->defer.retry_us;
	}
	return due;
}

static void tell_due(struct queue *queue)
{
	uint64_t due = due_us(queue);
	if (due == queue->told_due) return;
	queue->told_due = due;
	queue->events.due(queue->events.owner, (wall_t){ due });
}

bool queue_waits_until(const struct queue *queue, uint64_t retry_us)
{
	return queue->now_us < retry_us && retry_us - queue->now_us <= QUEUE_RETRY_US;
}

void queue_want_work(struct queue *queue)
{
	if (queue->working) {
		queue->more = true;
	} else {
		queue->events.wake(queue->events.owner);
	}
}

bool queue_place_at(struct queue *queue, struct store_cursor *cursor, bool found,
	struct row_place *ret)
{
	for (; found; found = store_cursor_next(cursor)) {
		if (row_parse(cursor->table, cursor->key, ret)) return true;
		if (queue->damaged_keys++ > 0) continue;
		log_error("a key in the store is damaged, its row is passed over shard=%u table=%s",
			(unsigned)queue->shard->number, store_table_name(cursor->table));
	}
	return false;
}

void queue_work(struct queue *queue, wall_t now)
{
	queue->now_us = now.us;
	queue->working = true;
	/* Taken before collecting: by then the settling that made the dead letter is collected, and
	 * its delivery does not hide the new row. */
	schedule_note(queue, atomic_exchange(&queue->reschedule_us, UINT64_MAX));
	collect(queue);
	window_tell_low(queue);
	settle_again(queue);
	announce(queue);

	/* What was wanted up to here is done below. */
	queue->more = false;
	window_notice_untold(queue);
	store_read_begin(&queue->work_txn, queue->shard->store);
	window_fill(queue, QUEUE_WORK_MAX);
	schedule_fill(queue, QUEUE_WORK_MAX);
	defer_refill(queue, QUEUE_WORK_MAX);
	defer_work(queue);
	store_read_end(&queue->work_txn);

	window_tell_low(queue);
	tell_due(queue);
	queue->working = false;
	if (queue->more) queue->events.wake(queue->events.owner);
}

enum result queue_read_begin(struct queue *queue, struct delivery *delivery, struct event *ret)
{
	store_read_begin(&queue->read_txn, queue->shard->store);
	enum result result = queue->read_txn.result;
	if (result == RESULT_OK) {
		result = shard_event_read(&queue->read_txn, delivery->sequence, ret);
	}
	/* One event that cannot be read must not keep the next one from being read. */
	if (result != RESULT_OK) {
		store_read_end(&queue->read_txn);
		return result;
	}
	delivery->endpoint_id = ret->endpoint_id;
	delivery->endpoint_known = true;
	return RESULT_OK;
}

enum result queue_read_payload(struct queue *queue, const struct event *event, uint64_t offset,
	struct bytes *ret)
{
	return shard_payload_read(&queue->read_txn, event, offset, ret);
}

void queue_read_end(struct queue *queue)
{
	store_read_end(&queue->read_txn);
}

struct queue_usage queue_usage(const struct queue *queue)
{
	return (struct queue_usage){
		.window_events = queue->next - window_low(queue),
		.ready = queue->ready_count,
		.leased = queue->leased_count,
		.settling = queue->settling_count,
		.backlog = shard_committed_next(queue->shard) - queue->next,
		.damaged_keys = queue->damaged_keys,
	};
}
