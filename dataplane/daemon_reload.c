/* SPDX-License-Identifier: GPL-2.0-or-later */
/* daemon_reload — from one snapshot to the next while events flow: everything that can be wrong is
 * found before the first worker hears of it, then every worker is given the new one, in turn.
 */
#include "daemon_internal.h"

#include "base/alloc.h"
#include "base/log.h"
#include "config/config_codes.h"

/* ---- Snapshots ------------------------------------------------------------------------------- */

struct flow *daemon_flow(struct daemon *daemon)
{
	pthread_mutex_lock(&daemon->flow_lock);
	struct flow *flow = flow_acquire(daemon->flow);
	pthread_mutex_unlock(&daemon->flow_lock);
	return flow;
}

void flow_give_slots(struct flow *flow)
{
	for (uint32_t i = 0; i < flow->endpoint_count; i++) {
		flow->endpoints[i].metrics_slot = metrics_endpoint_slot(flow->endpoints[i].name);
	}
	for (uint32_t i = 0; i < flow->target_count; i++) {
		flow->targets[i].metrics_slot = metrics_target_slot(flow->targets[i].name);
	}
}

/* So that records can be read by people long after an endpoint has gone. */
enum result flow_remember_names(const struct daemon *daemon, const struct flow *flow)
{
	size_t count = (size_t)flow->endpoint_count + flow->target_count;
	struct shard_name *names = alloc_array(count + 1, sizeof *names);
	enum result result = RESULT_OK;

	for (uint32_t i = 0; i < flow->endpoint_count; i++) {
		names[i] =
			(struct shard_name){ 'e', flow->endpoints[i].id, flow->endpoints[i].name };
	}
	for (uint32_t i = 0; i < flow->target_count; i++) {
		names[flow->endpoint_count + i] =
			(struct shard_name){ 't', flow->targets[i].id, flow->targets[i].name };
	}
	for (uint32_t i = 0; i < daemon->worker_count && result == RESULT_OK; i++) {
		result = shard_remember_names(daemon->shards[i], names, count);
	}
	alloc_free(names);
	return result;
}

static void body_sizes_check(const struct daemon *daemon, const struct config *next,
	struct config_report *report)
{
	for (uint32_t i = 0; i < next->endpoint_count; i++) {
		const struct config_endpoint *endpoint = &next->endpoints[i];
		if (endpoint->body_size_max <= daemon->body_size_max) continue;
		config_report_add(report, CONFIG_WARNING, PS_STAYS_UNTIL_RESTART,
			config_position_of(next, &endpoint->body_size_max, endpoint->position),
			"larger bodies are refused until the daemon is started again",
			"needs restart: body_size of endpoint '%s' is above all at the start",
			endpoint->name);
	}
}

/* What a running process cannot take over: said, and left as it is. */
static void reload_check(const struct daemon *daemon, const struct config *next,
	struct config_report *report)
{
	config_report_borrow(report, next);
	body_sizes_check(daemon, next, report);
	config_report_borrow(report, NULL);
	config_fixed_compare(&daemon->fixed, next, report);
}

/* To every worker; `contexts` and `listeners` for each, or NULL. */
static enum result snapshot_hand_over(struct daemon *daemon, struct flow *flow,
	struct contexts **contexts, const struct worker_listeners *listeners)
{
	uint32_t failed = 0;

	pthread_mutex_lock(&daemon->worker_lock);
	enum result result = daemon->closing ? RESULT_CLOSED : flow_remember_names(daemon, flow);
	if (result == RESULT_OK) {
		flow_give_slots(flow);
		for (uint32_t i = 0; i < daemon->worker_count; i++) {
			failed += worker_publish(daemon->workers[i], flow,
				contexts != NULL ? contexts[i] : NULL,
				listeners != NULL ? &listeners[i] : NULL);
		}
	}
	pthread_mutex_unlock(&daemon->worker_lock);
	if (failed > 0) {
		log_error("%u new listeners found all sockets of their worker taken: reload again "
			  "once others are gone",
			failed);
	}
	return result;
}

static enum result snapshot_publish_with(struct daemon *daemon, struct flow *flow,
	const struct listening *next, struct config_report *report)
{
	struct contexts **contexts = alloc_array(daemon->worker_count, sizeof(struct contexts *));
	enum result result = RESULT_OK;

	for (uint32_t i = 0; i < daemon->worker_count && result == RESULT_OK; i++) {
		result = contexts_build(flow, report, &contexts[i]);
	}
	struct worker_listeners *listeners = NULL;
	if (result == RESULT_OK) {
		listeners = daemon_listeners_copy(daemon, next);
		if (listeners == NULL) result = RESULT_FULL;
	}
	if (result == RESULT_OK) {
		daemon_listeners_hush(daemon, next);
		result = snapshot_hand_over(daemon, flow, contexts, listeners);
		if (result != RESULT_OK) daemon_listeners_unhush(daemon, next);
	}
	if (result == RESULT_OK) {
		alloc_free(listeners);
	} else {
		for (uint32_t i = 0; i < daemon->worker_count; i++) contexts_free(contexts[i]);
		if (listeners != NULL) daemon_listeners_drop(daemon, listeners);
	}
	alloc_free(contexts);
	return result;
}

static enum result snapshot_publish(struct daemon *daemon, struct flow *flow,
	struct config_report *report)
{
	struct listening next;

	TRY(daemon_listeners_next(daemon, flow->config, report, &next));
	enum result result = snapshot_publish_with(daemon, flow, &next, report);
	if (result == RESULT_OK) {
		daemon_listeners_replace(daemon, &next);
	} else {
		listening_close(&next, &daemon->listening);
	}
	return result;
}

/* Takes the reference over, and lets go of the one to the flow before. */
static void flow_replace(struct daemon *daemon, struct flow *flow)
{
	pthread_mutex_lock(&daemon->flow_lock);
	struct flow *before = daemon->flow;
	daemon->flow = flow;
	pthread_mutex_unlock(&daemon->flow_lock);
	flow_release(before);
}

static enum result daemon_serve_next(struct daemon *daemon, struct flow *now, struct config *config,
	struct control_change *change)
{
	struct flow *next = NULL;
	uint64_t generation = now->generation + 1;

	/* Before the files are read: one that changes meanwhile has changed once more. */
	uint64_t *stamps = config_stamps_take(config);
	reload_check(daemon, config, change->report);
	config_changes_find(now->config, daemon->stamps, config, stamps, change->changes);
	enum result result = flow_compile(config, generation, &next, change->report);
	if (result != RESULT_OK) {
		alloc_free(stamps);
		config_free(config);
		return result;
	}
	uint32_t kept = flow_keep_addresses(next, now);
	if (kept > 0) log_warning("names do not resolve, addresses kept: %u", kept);
	result = snapshot_publish(daemon, next, change->report);
	if (result != RESULT_OK) {
		alloc_free(stamps);
		flow_release(next);
		return result;
	}
	alloc_free(daemon->stamps);
	daemon->stamps = stamps;
	change->generation = generation;
	log_set_level((enum log_level)next->config->log_level);
	log_set_format((enum log_format)next->config->log_format);
	flow_replace(daemon, next);
	return RESULT_OK;
}

enum result daemon_serve(struct daemon *daemon, struct config *config,
	struct control_change *change)
{
	struct flow *now = daemon_flow(daemon);

	change->generation = now->generation;
	enum result result = daemon_serve_next(daemon, now, config, change);
	flow_release(now);
	return result;
}

/* Unless a reload has come in between: that has resolved by itself. */
static void readdressed_publish(struct daemon *daemon, const struct flow *now, struct flow *next)
{
	enum result result = RESULT_CLOSED;

	pthread_mutex_lock(&daemon->publish_lock);
	if (daemon->flow == now) result = snapshot_hand_over(daemon, next, NULL, NULL);
	if (result == RESULT_OK) {
		flow_replace(daemon, next);
		log_notice("addresses of targets changed generation=%llu",
			(unsigned long long)next->generation);
	} else {
		flow_release(next);
	}
	pthread_mutex_unlock(&daemon->publish_lock);
}

void daemon_readdress(struct daemon *daemon)
{
	struct flow *now = daemon_flow(daemon);
	/* Outside of the lock: it waits for name servers, and a reload must not wait for it. */
	struct flow *next = flow_readdress(now, now->generation + 1);

	if (next != NULL) readdressed_publish(daemon, now, next);
	flow_release(now);
}
