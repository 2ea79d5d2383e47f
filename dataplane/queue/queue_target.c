/* SPDX-License-Identifier: GPL-2.0-or-later */
/* queue_target — the targets a queue has met, found by id.
 *
 * A target is kept after its last delivery, for its next one; one that has nothing in memory and
 * nothing deferred makes room for another when the pool is exhausted.
 */
#include "queue/queue_internal.h"

/* Looked at, those that were used least recently first, before giving up. */
enum { RECYCLE_TRIES = 32 };
BOUND((QUEUE_TARGET_BUCKETS & (QUEUE_TARGET_BUCKETS - 1)) == 0);

static struct list *bucket_of(const struct queue *queue, uint32_t target_id)
{
	/* Ids are given out in a row or are hashes; a multiplication spreads both. */
	uint32_t mixed = target_id * UINT32_C(2654435769);
	return &queue->target_buckets[mixed >> 16 & (QUEUE_TARGET_BUCKETS - 1)];
}

struct queue_target *target_find(const struct queue *queue, uint32_t target_id)
{
	struct list *bucket = bucket_of(queue, target_id);
	/* A bucket that was never used is still zeroed. */
	if (bucket->next == NULL) return NULL;
	for (struct list *node = bucket->next; node != bucket; node = node->next) {
		struct queue_target *target = LIST_ENTRY(node, struct queue_target, bucket_node);
		if (target->id == target_id) return target;
	}
	return NULL;
}

uint32_t queue_target_ready(const struct queue *queue, uint32_t target_id)
{
	const struct queue_target *target = target_find(queue, target_id);
	return target == NULL ? 0 : target->ready_count;
}

static bool is_idle(const struct queue_target *target)
{
	return target->delivery_count == 0 && !target->spilling;
}

static struct queue_target *recycle(struct queue *queue)
{
	for (unsigned i = 0; i < RECYCLE_TRIES && !list_empty(&queue->known); i++) {
		struct list *node = list_pop(&queue->known);
		struct queue_target *target = LIST_ENTRY(node, struct queue_target, known_node);
		if (is_idle(target)) {
			list_remove(&target->bucket_node);
			list_remove(&target->refill_node);
			return target;
		}
		list_append(&queue->known, node);
	}
	return NULL;
}

struct queue_target *target_take(struct queue *queue, uint32_t target_id)
{
	struct queue_target *target = target_find(queue, target_id);
	if (target != NULL) {
		list_remove(&target->known_node);
		list_append(&queue->known, &target->known_node);
		return target;
	}
	target = pool_take(&queue->targets);
	if (target == NULL) target = recycle(queue);
	if (target == NULL) return NULL;

	struct list *bucket = bucket_of(queue, target_id);
	if (bucket->next == NULL) list_init(bucket);
	*target = (struct queue_target){ .id = target_id };
	list_init(&target->ready);
	list_init(&target->spill);
	list_init(&target->spill_node);
	list_init(&target->refill_node);
	list_init(&target->bucket_node);
	list_init(&target->known_node);
	list_append(bucket, &target->bucket_node);
	list_append(&queue->known, &target->known_node);
	return target;
}
