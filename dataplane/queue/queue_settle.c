/* SPDX-License-Identifier: GPL-2.0-or-later */
/* queue_settle — what became of a delivery, written down: the attempt and its leaf, and what
 * follows (nothing more, a schedule row, a dead letter), in place of what stood for it.
 *
 * Also the way back of a dead letter.
 */
#include <stdio.h>

#include "queue/queue_internal.h"

/* An attempt record, a leaf and a row. */
enum { SETTLE_SIZE = 512, ATTEMPT_SIZE_MAX = 512, DEAD_SIZE = 256 };

static void put_attempt(struct shard *shard, struct store_txn *txn, const struct attempt *attempt)
{
	uint8_t memory[ATTEMPT_SIZE_MAX];
	struct writer writer = writer_of(memory, sizeof memory);

	attempt_encode(attempt, &writer);
	CHECK(!writer.failed);
	struct bytes record = writer_bytes(&writer);
	struct row_key key =
		row_attempt_key(attempt->sequence, attempt->target_id, attempt->number);
	store_put(txn, STORE_ATTEMPTS, row_key_bytes(&key), &record, 1);
	const struct audit_subject subject = {
		.kind = AUDIT_ATTEMPT,
		.sequence = attempt->sequence,
		.target_id = attempt->target_id,
		.number = attempt->number,
	};
	audit_append(&shard->audit, txn, subject, record);
	shard->state.counters.attempts++;
	shard_note_time(shard, attempt->started.us + attempt->duration_us);
}

static uint16_t one_more(uint16_t count)
{
	return count < UINT16_MAX ? (uint16_t)(count + 1) : count;
}

static struct account *account_of(struct shard *shard, struct store_txn *txn,
	const struct delivery *delivery)
{
	return accounts_touch(shard->accounts,
		delivery->endpoint_known ? delivery->endpoint_id
					 : shard_ledger_endpoint(txn, delivery->sequence));
}

static void put_consequence(struct shard *shard, struct store_txn *txn,
	const struct delivery *delivery)
{
	const struct attempt *attempt = &delivery->attempt;
	struct account *account;

	switch (attempt->outcome) {
	case ATTEMPT_DELIVERED:
		account = account_of(shard, txn, delivery);
		account_move(&account->pending, &account->delivered);
		shard->state.counters.deliveries_delivered++;
		return;
	case ATTEMPT_RETRY: {
		struct row_key key = row_schedule_key(attempt->next_due.us, attempt->sequence,
			attempt->target_id);
		const struct row_waiting waiting = {
			.attempt_number = one_more(attempt->number),
			.tries = one_more(delivery->tries),
		};
		row_put_waiting(txn, STORE_SCHEDULE, &key, waiting);
		return;
	}
	case ATTEMPT_DEAD: {
		const struct dead_letter letter = {
			.sequence = attempt->sequence,
			.target_id = attempt->target_id,
			.since = { attempt->started.us + attempt->duration_us },
			.attempt_count = attempt->number,
			.error = attempt->error,
			.status = attempt->status,
		};
		row_put_dead(txn, &letter);
		account = account_of(shard, txn, delivery);
		account_move(&account->pending, &account->parked);
		shard->state.counters.deliveries_dead++;
		return;
	}
	case ATTEMPT_OUTCOME_COUNT: UNREACHABLE();
	}
}

static void settle_apply(struct store_job *job, struct store_txn *txn)
{
	struct delivery *delivery = CONTAINER_OF(job, struct delivery, job);
	struct shard *shard = delivery->queue->shard;
	const struct attempt *attempt = &delivery->attempt;

	put_attempt(shard, txn, attempt);
	/* The old row first: the new one may have the same key. */
	if (delivery->delete_scheduled) {
		struct row_key key = row_schedule_key(delivery->row_due_us, attempt->sequence,
			attempt->target_id);
		store_delete(txn, STORE_SCHEDULE, row_key_bytes(&key));
	}
	if (delivery->delete_deferred) {
		struct row_key key = row_deferred_key(attempt->target_id, attempt->sequence);
		store_delete(txn, STORE_DEFERRED, row_key_bytes(&key));
	}
	put_consequence(shard, txn, delivery);
}

/* Writer thread. */
static void settle_complete(struct store_job *job)
{
	struct queue *queue = CONTAINER_OF(job, struct delivery, job)->queue;
	/* Read before: the worker may take the queue down once it has the job. */
	struct queue_events events = queue->events;
	bool followed = job->followed;
	mailbox_push(&queue->done, &job->mail);
	if (!followed) events.wake(events.owner);
}

static void submit(struct queue *queue, struct delivery *delivery)
{
	delivery->state = DELIVERY_IS_SETTLING;
	delivery->job.apply = settle_apply;
	delivery->job.complete = settle_complete;
	delivery->job.size = SETTLE_SIZE;
	delivery->job.uses_reserve = true;
	delivery->job.may_wait = true;
	queue->jobs_count++;
	store_writer_submit(queue->shard->writer, &delivery->job);
}

static struct bytes copy_text(struct bytes from, size_t size_max, uint8_t *to)
{
	size_t size = from.size < size_max ? from.size : size_max;
	if (size > 0) memcpy(to, from.data, size);
	return bytes_of(to, size);
}

void queue_settle(struct queue *queue, struct delivery *delivery, const struct attempt *attempt)
{
	CHECK(delivery->state == DELIVERY_IS_LEASED);
	CHECK(attempt->outcome < ATTEMPT_OUTCOME_COUNT);

	delivery->attempt = *attempt;
	delivery->attempt.sequence = delivery->sequence;
	delivery->attempt.target_id = delivery->target_id;
	delivery->attempt.number = delivery->attempt_number;
	delivery->attempt.detail =
		copy_text(attempt->detail, ATTEMPT_DETAIL_SIZE_MAX, delivery->attempt_text);
	delivery->attempt.excerpt = copy_text(attempt->excerpt, ATTEMPT_EXCERPT_SIZE_MAX,
		delivery->attempt_text + ATTEMPT_DETAIL_SIZE_MAX);
	delivery->delete_scheduled = delivery->origin == ORIGIN_SCHEDULE;
	/* A row that is on its way is on disk before this job is applied: jobs keep their order. */
	delivery->delete_deferred = delivery_is_deferred(delivery) || delivery->deferring;
	queue->leased_count--;
	queue->settling_count++;
	submit(queue, delivery);
}

void settle_collect(struct queue *queue, struct delivery *delivery)
{
	CHECK(delivery->state == DELIVERY_IS_SETTLING);
	if (delivery->job.result == RESULT_SPACE) {
		list_append(&queue->unsettled, &delivery->node);
		queue->unsettled_retry_us = queue->now_us + QUEUE_RETRY_US;
		return;
	}
	/* The shard has failed: nothing is settled any more, and the process is about to end. */
	if (delivery->job.result != RESULT_OK) return;
	if (delivery->attempt.outcome == ATTEMPT_RETRY) {
		schedule_note(queue, delivery->attempt.next_due.us);
	}
	queue->settling_count--;
	struct queue_target *target = delivery->target;
	delivery_drop(queue, delivery);
	/* Its place in memory is free for another of the target's rows; the target itself may not
	 * ask again, if this was the last one it had. */
	if (target->spilling) defer_want_refill(queue, target);
}

void settle_again(struct queue *queue)
{
	struct list *node;
	if (queue_waits_until(queue, queue->unsettled_retry_us)) return;
	while ((node = list_pop(&queue->unsettled)) != NULL) {
		submit(queue, LIST_ENTRY(node, struct delivery, node));
	}
}

/* ---- Dead letters ---------------------------------------------------------------------------- */

static void put_action(struct shard *shard, struct store_txn *txn,
	const struct queue_dead_job *dead, uint16_t number)
{
	uint8_t memory[ROW_ACTION_SIZE_MAX];
	struct writer writer = writer_of(memory, sizeof memory);

	row_action_encode(SHARD_ACTION_REPLAY, dead->now, dead->actor, NULL, &writer);
	CHECK(!writer.failed);
	struct bytes record = writer_bytes(&writer);
	struct row_key key = row_attempt_key(dead->sequence, dead->target_id, number);
	store_put(txn, STORE_ACTIONS, row_key_bytes(&key), &record, 1);
	const struct audit_subject subject = {
		.kind = AUDIT_ACTION,
		.sequence = dead->sequence,
		.target_id = dead->target_id,
		.number = number,
	};
	audit_append(&shard->audit, txn, subject, record);
}

static void dead_apply(struct store_job *job, struct store_txn *txn)
{
	struct queue_dead_job *dead = CONTAINER_OF(job, struct queue_dead_job, job);
	struct shard *shard = dead->queue->shard;
	struct dead_letter letter = { 0 };
	struct bytes value;

	struct row_key key = row_dead_key(dead->sequence, dead->target_id);
	dead->found = store_get(txn, STORE_DEAD, row_key_bytes(&key), &value) == RESULT_OK &&
		row_dead_decode(value, &letter) == RESULT_OK;
	if (!dead->found) return;

	store_delete(txn, STORE_DEAD, row_key_bytes(&key));
	struct row_key schedule_key =
		row_schedule_key(dead->now.us, dead->sequence, dead->target_id);
	const struct row_waiting waiting = { .attempt_number = one_more(letter.attempt_count) };
	row_put_waiting(txn, STORE_SCHEDULE, &schedule_key, waiting);
	put_action(shard, txn, dead, letter.attempt_count);
	struct account *account =
		accounts_touch(shard->accounts, shard_ledger_endpoint(txn, dead->sequence));
	account_move(&account->parked, &account->pending);
	shard->state.counters.deliveries_dead--;
	shard->state.counters.dead_replayed++;
	shard_note_time(shard, dead->now.us);
}

/* Writer thread. */
static void dead_complete(struct store_job *job)
{
	struct queue_dead_job *dead = CONTAINER_OF(job, struct queue_dead_job, job);
	struct queue *queue = dead->queue;

	if (job->result == RESULT_OK && dead->found) {
		uint_fast64_t due_us = atomic_load(&queue->reschedule_us);
		while (dead->now.us < due_us &&
			!atomic_compare_exchange_weak(&queue->reschedule_us, &due_us,
				dead->now.us)) {
			continue;
		}
		queue->events.wake(queue->events.owner);
	}
	job->complete = dead->complete;
	job->complete(job);
}

void queue_dead_replay(struct queue *queue, struct queue_dead_job *dead)
{
	dead->actor[sizeof dead->actor - 1] = '\0';
	dead->queue = queue;
	dead->found = false;
	dead->complete = dead->job.complete;
	dead->job.complete = dead_complete;
	dead->job.apply = dead_apply;
	dead->job.size = DEAD_SIZE;
	dead->job.uses_reserve = true;
	store_writer_submit(queue->shard->writer, &dead->job);
}
