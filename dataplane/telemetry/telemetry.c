/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "telemetry/telemetry.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/check.h"
#include "base/log.h"
#include "telemetry/otlp.h"
#include "telemetry/post.h"

enum { BODY_SIZE_MAX = OTLP_HEAD_SIZE_MAX + TELEMETRY_BATCH_SPANS * OTLP_SPAN_SIZE_MAX };

struct telemetry {
	struct telemetry_config config;
	char *name; /* of the collector */
	struct post_target target;
	char host[65];
	struct spans **spans; /* one for each worker */
	struct metrics *metrics;
	uint8_t *body;
	bool refused; /* the last post was: said once */
	atomic_bool stopping;
	sem_t wanted;
	pthread_t thread;
};

/* As many as fit from that ring on. Returns how many. */
static uint32_t batch_write(struct spans *spans, struct writer *writer, uint32_t room, bool first)
{
	uint32_t count = 0;

	for (; count < room; count++) {
		const struct span *span = spans_peek(spans, count);
		if (span == NULL) break;
		otlp_span(writer, span, first && count == 0);
	}
	/* Written: their places are the worker's again, whatever becomes of the post. */
	spans_drop(spans, count);
	return count;
}

static void result_note(struct telemetry *telemetry, uint32_t count, const char *error)
{
	bool refused = error != NULL;

	metrics_add(telemetry->metrics, refused ? METRICS_SPANS_DROPPED : METRICS_SPANS_EXPORTED,
		count);
	if (refused && !telemetry->refused) {
		log_warning("telemetry: the collector at %s:%u does not take traces: %s; they are "
			    "lost until it does",
			telemetry->target.host, (unsigned)telemetry->target.port, error);
	} else if (!refused && telemetry->refused) {
		log_notice("telemetry: the collector takes traces again");
	}
	telemetry->refused = refused;
}

/* One batch. Returns whether there may be more. */
static bool export_batch(struct telemetry *telemetry)
{
	struct writer writer = writer_of(telemetry->body, BODY_SIZE_MAX);
	uint32_t count = 0;

	otlp_begin(&writer, telemetry->host);
	for (uint32_t i = 0; i < telemetry->config.worker_count; i++) {
		count += batch_write(telemetry->spans[i], &writer, TELEMETRY_BATCH_SPANS - count,
			count == 0);
	}
	otlp_end(&writer);
	CHECK(!writer.failed);
	if (count == 0) return false;
	result_note(telemetry, count, post(&telemetry->target, OTLP_PATH, writer_bytes(&writer)));
	return count == TELEMETRY_BATCH_SPANS;
}

static void pause_until_wanted(struct telemetry *telemetry)
{
	struct timespec until;

	CHECK(clock_gettime(CLOCK_MONOTONIC, &until) == 0);
	until.tv_nsec += TELEMETRY_INTERVAL_MS * 1000000L;
	until.tv_sec += until.tv_nsec / 1000000000L;
	until.tv_nsec %= 1000000000L;
	while (sem_clockwait(&telemetry->wanted, CLOCK_MONOTONIC, &until) != 0) {
		if (errno == ETIMEDOUT) return;
	}
}

static void *telemetry_main(void *owner)
{
	struct telemetry *telemetry = owner;

	pthread_setname_np(pthread_self(), "telemetry");
	for (;;) {
		/* Before the rings are looked at: what was put before the stop is seen. */
		bool stopping = atomic_load(&telemetry->stopping);
		while (export_batch(telemetry) && !(stopping && telemetry->refused)) continue;
		if (stopping) return NULL;
		pause_until_wanted(telemetry);
	}
}

enum result telemetry_start(const struct telemetry_config *config, struct telemetry **ret)
{
	struct telemetry *telemetry = alloc_array(1, sizeof *telemetry);

	telemetry->config = *config;
	telemetry->name = alloc_text(config->host);
	telemetry->target = (struct post_target){ telemetry->name, config->port };
	if (gethostname(telemetry->host, sizeof telemetry->host - 1) != 0) {
		telemetry->host[0] = '\0';
	}
	telemetry->spans = alloc_array(config->worker_count, sizeof(struct spans *));
	for (uint32_t i = 0; i < config->worker_count; i++) {
		telemetry->spans[i] = spans_create(config->sample_ppm);
	}
	telemetry->metrics = metrics_cells_create();
	telemetry->body = alloc_map(BODY_SIZE_MAX);
	CHECK(sem_init(&telemetry->wanted, 0, 0) == 0);
	if (pthread_create(&telemetry->thread, NULL, telemetry_main, telemetry) != 0) {
		return RESULT_KERNEL;
	}
	*ret = telemetry;
	return RESULT_OK;
}

struct spans *telemetry_spans(struct telemetry *telemetry, uint32_t worker)
{
	return telemetry == NULL ? NULL : telemetry->spans[worker];
}

void telemetry_stop(struct telemetry *telemetry)
{
	if (telemetry == NULL) return;
	atomic_store(&telemetry->stopping, true);
	sem_post(&telemetry->wanted);
	pthread_join(telemetry->thread, NULL);
	for (uint32_t i = 0; i < telemetry->config.worker_count; i++) {
		spans_free(telemetry->spans[i]);
	}
	sem_destroy(&telemetry->wanted);
	metrics_cells_free(telemetry->metrics);
	alloc_unmap(telemetry->body, BODY_SIZE_MAX);
	alloc_free(telemetry->spans);
	alloc_free(telemetry->name);
	alloc_free(telemetry);
}
