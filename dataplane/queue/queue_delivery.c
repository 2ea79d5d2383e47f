/* SPDX-License-Identifier: GPL-2.0-or-later */
/* queue_delivery — deliveries in memory: taken from the pool, found by row, moved between the
 * lists of their targets. All counting is here.
 */
#include "queue/queue_internal.h"

BOUND((QUEUE_ROW_BUCKETS & (QUEUE_ROW_BUCKETS - 1)) == 0);

/* ---- By row ---------------------------------------------------------------------------------- */

static struct delivery **row_bucket(const struct queue *queue, uint64_t sequence,
	uint32_t target_id)
{
	uint64_t mixed = (sequence ^ (uint64_t)target_id << 32) * UINT64_C(0x9E3779B97F4A7C15);
	return &queue->row_buckets[mixed >> 40 & (QUEUE_ROW_BUCKETS - 1)];
}

static void row_insert(struct queue *queue, struct delivery *delivery)
{
	struct delivery **bucket = row_bucket(queue, delivery->sequence, delivery->target_id);
	delivery->row_next = *bucket;
	*bucket = delivery;
}

static void row_remove(struct queue *queue, struct delivery *delivery)
{
	struct delivery **at = row_bucket(queue, delivery->sequence, delivery->target_id);
	while (*at != delivery) {
		CHECK(*at != NULL);
		at = &(*at)->row_next;
	}
	*at = delivery->row_next;
}

bool delivery_of_row(const struct queue *queue, uint64_t sequence, uint32_t target_id)
{
	const struct delivery *delivery = *row_bucket(queue, sequence, target_id);
	for (; delivery != NULL; delivery = delivery->row_next) {
		if (delivery->sequence == sequence && delivery->target_id == target_id) return true;
	}
	return false;
}

/* ---- Taking and dropping --------------------------------------------------------------------- */

bool delivery_room(const struct queue *queue, enum delivery_origin origin, uint32_t count)
{
	return queue->origin_counts[origin] + count <= queue->limits.origins[origin] &&
		queue->deliveries.used_count + count <= queue->deliveries.count;
}

static void enter_origin(struct queue *queue, struct delivery *delivery,
	enum delivery_origin origin)
{
	delivery->origin = (uint8_t)origin;
	queue->origin_counts[origin]++;
	delivery->target->origin_counts[origin]++;
	if (origin == ORIGIN_WINDOW) {
		list_append(&queue->window, &delivery->window_node);
	} else {
		row_insert(queue, delivery);
	}
}

static void leave_origin(struct queue *queue, struct delivery *delivery)
{
	queue->origin_counts[delivery->origin]--;
	delivery->target->origin_counts[delivery->origin]--;
	if (delivery->origin == ORIGIN_WINDOW) {
		list_remove(&delivery->window_node);
	} else {
		row_remove(queue, delivery);
	}
}

struct delivery *delivery_take(struct queue *queue, struct queue_target *target,
	enum delivery_origin origin, uint64_t sequence)
{
	struct delivery *delivery = pool_take(&queue->deliveries);
	CHECK(delivery != NULL);
	/* Not the whole: the text is half of it. */
	list_init(&delivery->node);
	list_init(&delivery->window_node);
	delivery->queue = queue;
	delivery->target = target;
	delivery->sequence = sequence;
	delivery->target_id = target->id;
	delivery->attempt_number = 1;
	delivery->tries = 0;
	delivery->endpoint_known = false;
	delivery->state = DELIVERY_IS_SPILLING;
	delivery->deferring = false;
	delivery->row_due_us = 0;
	delivery->row_next = NULL;
	target->delivery_count++;
	enter_origin(queue, delivery, origin);
	return delivery;
}

void delivery_drop(struct queue *queue, struct delivery *delivery)
{
	CHECK(delivery->state != DELIVERY_IS_READY && delivery->state != DELIVERY_IS_LEASED);
	leave_origin(queue, delivery);
	delivery->target->delivery_count--;
	pool_give(&queue->deliveries, delivery);
}

void delivery_defer(struct queue *queue, struct delivery *delivery)
{
	CHECK(!delivery->deferring);
	delivery->deferring = true;
	if (delivery->origin == ORIGIN_WINDOW) row_insert(queue, delivery);
}

void delivery_defer_end(struct queue *queue, struct delivery *delivery)
{
	CHECK(delivery->deferring);
	delivery->deferring = false;
	if (delivery->origin == ORIGIN_WINDOW) row_remove(queue, delivery);
}

void delivery_to_straggler(struct queue *queue, struct delivery *delivery)
{
	CHECK(delivery->origin == ORIGIN_WINDOW);
	leave_origin(queue, delivery);
	enter_origin(queue, delivery, ORIGIN_STRAGGLER);
}

bool delivery_is_deferred(const struct delivery *delivery)
{
	return delivery->origin == ORIGIN_DEFERRED || delivery->origin == ORIGIN_STRAGGLER;
}

/* ---- Lists of the target --------------------------------------------------------------------- */

/* Whether it has to get in line behind the rows of its target. */
static bool goes_to_disk(const struct delivery *delivery)
{
	return delivery->target->spilling && !delivery_is_deferred(delivery) &&
		!delivery->deferring;
}

void delivery_ready(struct queue *queue, struct delivery *delivery)
{
	struct queue_target *target = delivery->target;

	if (goes_to_disk(delivery)) {
		delivery_spill(queue, delivery);
		return;
	}
	delivery->state = DELIVERY_IS_READY;
	list_append(&target->ready, &delivery->node);
	target->ready_count++;
	queue->ready_count++;
	if (target->ready_count == 1 && queue->announced) {
		queue->events.ready(queue->events.owner, target->id);
	}
}

void delivery_unready(struct queue *queue, struct delivery *delivery)
{
	CHECK(delivery->state == DELIVERY_IS_READY);
	list_remove(&delivery->node);
	delivery->target->ready_count--;
	queue->ready_count--;
}

void delivery_spill(struct queue *queue, struct delivery *delivery)
{
	struct queue_target *target = delivery->target;
	if (list_empty(&queue->spilled)) queue_want_work(queue);
	if (list_empty(&target->spill)) list_append(&queue->spilled, &target->spill_node);
	list_append(&target->spill, &delivery->node);
	queue->spilled_counts[delivery->origin]++;
	delivery->state = DELIVERY_IS_SPILLING;
}

struct delivery *delivery_take_spilled(struct queue *queue, struct queue_target *target)
{
	struct list *node = list_pop(&target->spill);
	if (node == NULL) return NULL;
	if (list_empty(&target->spill)) list_remove(&target->spill_node);

	struct delivery *delivery = LIST_ENTRY(node, struct delivery, node);
	queue->spilled_counts[delivery->origin]--;
	return delivery;
}

struct delivery *queue_lease(struct queue *queue, uint32_t target_id)
{
	struct queue_target *target = target_find(queue, target_id);
	if (target == NULL) return NULL;
	if (target->spilling) defer_want_refill(queue, target);
	if (list_empty(&target->ready)) return NULL;

	struct delivery *delivery = LIST_ENTRY(target->ready.next, struct delivery, node);
	delivery_unready(queue, delivery);
	delivery->state = DELIVERY_IS_LEASED;
	queue->leased_count++;
	return delivery;
}

void queue_release(struct queue *queue, struct delivery *delivery)
{
	CHECK(delivery->state == DELIVERY_IS_LEASED);
	queue->leased_count--;
	if (goes_to_disk(delivery)) {
		delivery_spill(queue, delivery);
		return;
	}
	delivery->state = DELIVERY_IS_READY;
	list_prepend(&delivery->target->ready, &delivery->node);
	delivery->target->ready_count++;
	queue->ready_count++;
}
