/* SPDX-License-Identifier: GPL-2.0-or-later */
/* receive_tap — tells those who follow what became of a request. Only called while somebody does.
 */
#include "receive/receive_internal.h"

static struct tap_record record_of(const struct receive *receive, enum tap_kind kind)
{
	return (struct tap_record){
		.time_us = io_wall(receive->loop->io).us,
		.kind = (uint16_t)kind,
	};
}

static uint64_t duration_us(const struct request *request)
{
	if (request->complete.us == 0) return 0;
	return mono_since_us(request->complete, loop_now(request->receive->loop));
}

void tap_accepted(const struct request *request)
{
	const struct event *event = &request->append.event;
	if (!tap_wants(event->sequence)) return;

	struct tap_record record = record_of(request->receive, TAP_ACCEPTED);
	record.received_us = event->received.us;
	record.sequence = event->sequence;
	record.shard = event->shard;
	record.endpoint_id = event->endpoint_id;
	record.duration_us = duration_us(request);
	record.status = 200;
	tap_write(&record);
}

void tap_duplicate(struct request *request, const struct event *original)
{
	if (!tap_wants(original->sequence)) return;

	const struct flow_endpoint *endpoint = request_endpoint(request);
	struct tap_record record = record_of(request->receive, TAP_DUPLICATE);
	record.received_us = original->received.us;
	record.sequence = original->sequence;
	record.shard = original->shard;
	record.endpoint_id = endpoint != NULL ? endpoint->id : 0;
	record.duration_us = duration_us(request);
	record.status = 200;
	tap_write(&record);
}

void tap_refused(struct receive *receive, struct request *request, unsigned status,
	const char *reason)
{
	struct tap_record record = record_of(receive, TAP_REFUSED);
	record.status = (uint16_t)status;
	record.reason = reason;
	/* Without a head nobody knows whom it was for. */
	if (request != NULL && request->head_size > 0) {
		const struct flow_endpoint *endpoint = request_endpoint(request);
		if (endpoint != NULL) record.endpoint_id = endpoint->id;
		record.duration_us = duration_us(request);
	}
	tap_write(&record);
}
