/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "telemetry/spans.h"

#include "base/alloc.h"
#include "base/check.h"

enum { SPANS_MASK = TELEMETRY_RING_SPANS - 1 };
BOUND((TELEMETRY_RING_SPANS & (TELEMETRY_RING_SPANS - 1)) == 0);

struct spans {
	uint32_t sample_ppm;
	_Alignas(64) atomic_uint head; /* the worker's: put so far */
	_Alignas(64) atomic_uint tail; /* the telemetry thread's: taken so far */
	_Alignas(64) struct span ring[TELEMETRY_RING_SPANS];
};

struct spans *spans_create(uint32_t sample_ppm)
{
	struct spans *spans = alloc_map(sizeof *spans);
	spans->sample_ppm = sample_ppm;
	return spans;
}

void spans_free(struct spans *spans)
{
	if (spans != NULL) alloc_unmap(spans, sizeof *spans);
}

bool spans_sample(const struct spans *spans, uint64_t random)
{
	return random % TELEMETRY_RATIO_ONE < spans->sample_ppm;
}

struct span *spans_take(struct spans *spans, struct metrics *metrics)
{
	uint32_t head = atomic_load_explicit(&spans->head, memory_order_relaxed);
	uint32_t tail = atomic_load_explicit(&spans->tail, memory_order_acquire);

	if (head - tail == TELEMETRY_RING_SPANS) {
		metrics_add(metrics, METRICS_SPANS_DROPPED, 1);
		return NULL;
	}
	metrics_add(metrics, METRICS_SPANS, 1);
	struct span *span = &spans->ring[head & SPANS_MASK];
	*span = (struct span){ 0 };
	return span;
}

void spans_put(struct spans *spans)
{
	uint32_t head = atomic_load_explicit(&spans->head, memory_order_relaxed);
	atomic_store_explicit(&spans->head, head + 1, memory_order_release);
}

const struct span *spans_peek(const struct spans *spans, uint32_t index)
{
	uint32_t head = atomic_load_explicit(&spans->head, memory_order_acquire);
	uint32_t tail = atomic_load_explicit(&spans->tail, memory_order_relaxed);

	if (index >= head - tail) return NULL;
	return &spans->ring[(tail + index) & SPANS_MASK];
}

void spans_drop(struct spans *spans, uint32_t count)
{
	uint32_t tail = atomic_load_explicit(&spans->tail, memory_order_relaxed);
	atomic_store_explicit(&spans->tail, tail + count, memory_order_release);
}
