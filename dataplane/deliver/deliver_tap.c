/* SPDX-License-Identifier: GPL-2.0-or-later */
/* deliver_tap — tells those who follow how an attempt ended. Only called while somebody does.
 */
#include "base/tap.h"
#include "deliver/deliver_internal.h"
#include "deliver/outcome.h"

static enum tap_kind kind_of(enum attempt_outcome outcome)
{
	switch (outcome) {
	case ATTEMPT_DELIVERED: return TAP_DELIVERED;
	case ATTEMPT_RETRY: return TAP_FAILED;
	case ATTEMPT_DEAD: return TAP_DEAD;
	case ATTEMPT_OUTCOME_COUNT: break;
	}
	UNREACHABLE();
}

void tap_attempt(const struct deliver_target *target, struct delivery *delivery,
	const struct attempt_end *end, const struct outcome *outcome)
{
	struct queue *queue = target->deliver->config.queue;
	struct event event;
	if (!tap_wants(delivery->sequence)) return;

	struct tap_record record = {
		.time_us = io_wall(target->deliver->loop->io).us,
		.sequence = delivery->sequence,
		.duration_us = end->duration_us,
		.target_id = target->id,
		.status = end->status,
		.attempt_number = delivery->attempt_number,
		.kind = (uint16_t)kind_of(outcome->outcome),
	};
	if (outcome->outcome != ATTEMPT_DELIVERED) {
		record.reason = attempt_error_code(outcome->error);
		const char *detail = end->detail != NULL ? end->detail
							 : attempt_error_text(outcome->error);
		bytes_to_text(bytes_of_text(detail), record.detail, sizeof record.detail);
	}
	/* A delivery does not know where its event came from; it is in memory, mostly. */
	if (queue_read_begin(queue, delivery, &event) == RESULT_OK) {
		record.received_us = event.received.us;
		record.shard = event.shard;
		record.endpoint_id = event.endpoint_id;
		queue_read_end(queue);
	}
	tap_write(&record);
}
