/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the control socket answers: every route, its filters and pages, its refusals. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/control_rig.h"
#include "metrics/metrics.h"

#define START_US UINT64_C(1790000000000000)

static struct rig rig;

static int set_up(void **state)
{
	(void)state;
	rig_open(&rig);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	rig_close(&rig);
	return 0;
}

static void assert_problem(const char *method, const char *target, unsigned status,
	const char *code)
{
	assert_int_equal(rig_ask(&rig, method, target), status);
	assert_non_null(strstr(rig.head, "application/problem+json"));
	assert_string_equal(rig_member(&rig, "code"), code);
	rig_expect(&rig, "\"schema\":\"penstock.problem/v1\"");
}

/* ---- What is said of the daemon -------------------------------------------------------------- */

static void test_routes_describe_themselves(void **state)
{
	(void)state;
	assert_int_equal(rig_ask(&rig, "GET", "/v1"), 200);
	rig_expect(&rig, "\"schema\":\"penstock.routes/v1\"");
	rig_expect(&rig, "\"path\":\"/v1/events/{id}/payload\",\"role\":\"admin\"");
	assert_int_equal(rig_ask(&rig, "GET", "/v1/version"), 200);
	rig_expect(&rig, "\"api\":\"/v1\",\"role\":\"admin\"");
}

static void test_status(void **state)
{
	(void)state;
	rig_event(&rig, 0, START_US);
	rig_settle(&rig, 0, "orders", ATTEMPT_DELIVERED);
	rig_settle(&rig, 0, "audit", ATTEMPT_DEAD);
	assert_int_equal(rig_ask(&rig, "GET", "/v1/status"), 200);
	rig_expect(&rig, "{\"schema\":\"penstock.status/v1\",\"state\":\"ready\"");
	rig_expect(&rig, "\"tls\":4711}");
	rig_expect(&rig, "\"started\":\"2026-05-28T20:26:40.000000Z\"");
	rig_expect(&rig, "\"generation\":1,");
	rig_expect(&rig,
		"\"events_accepted\":1,\"deliveries_created\":2,\"deliveries_delivered\":1,"
		"\"deliveries_dead\":1,\"deliveries_outstanding\":0,\"attempts\":2");
	rig_expect(&rig, "\"worker\":0,\"cpu\":3,\"connections\":17");
	rig_expect(&rig, "\"worker\":1,\"cpu\":null,\"connections\":18");
}

static void test_endpoints_and_targets(void **state)
{
	(void)state;
	assert_int_equal(rig_ask(&rig, "GET", "/v1/endpoints"), 200);
	rig_expect(&rig,
		"\"name\":\"github\",\"host\":null,\"path\":\"/in/github\","
		"\"scheme\":\"github\"");
	rig_expect(&rig, "\"targets\":[\"orders\",\"audit\"]");
	rig_expect(&rig, "\"next_after\":null");

	assert_int_equal(rig_ask(&rig, "GET", "/v1/targets?limit=1"), 200);
	rig_expect(&rig, "\"name\":\"orders\",\"origin\":\"http://127.0.0.1:1\"");
	rig_expect(&rig, "\"last_error\":\"refused\"");
	rig_expect(&rig, "\"next_after\":\"orders\"");
	/* Receivers put secrets into paths. */
	rig_expect_not(&rig, "secret-token");
	assert_int_equal(rig_ask(&rig, "GET", "/v1/targets?limit=1&after=orders"), 200);
	rig_expect(&rig, "\"name\":\"audit\"");
	rig_expect(&rig, "\"next_after\":null");
	assert_problem("GET", "/v1/targets?after=nobody", 400, "bad_cursor");
}

static void test_drain_and_stop(void **state)
{
	(void)state;
	assert_int_equal(rig_ask(&rig, "POST", "/v1/drain?deadline=0"), 200);
	rig_expect(&rig, "\"state\":\"draining\"");
	assert_int_equal(atomic_load(&rig.drains), 1);
	assert_int_equal(rig_ask(&rig, "POST", "/v1/stop"), 202);
	rig_expect(&rig, "\"state\":\"stopping\"");
	assert_int_equal(atomic_load(&rig.stops), 1);
}

static void test_reload(void **state)
{
	(void)state;
	rig.reload_result = RESULT_OK;
	assert_int_equal(rig_ask(&rig, "POST", "/v1/reload"), 200);
	rig_expect(&rig,
		"{\"schema\":\"penstock.reload/v1\",\"generation\":2,\"confirm_before\":null,"
		"\"changes\":[\"endpoint github: tolerance\"],\"changes_left_out\":0,"
		"\"report\":{");
	assert_int_equal(rig.change.kind, CONTROL_CHANGE_RELOAD);
	assert_int_equal(rig.change.confirm_within_s, 0);

	rig.reload_result = RESULT_CONFIG;
	assert_problem("POST", "/v1/reload", 422, "config_invalid");
	rig_expect(&rig, "\"code\":\"PS1205\",\"line\":3,\"column\":7");
	rig_expect(&rig, "it is \\\"wrong\\\"");
	rig_ask(&rig, "GET", "/v1/status");
	rig_expect(&rig, "\"reload_ok\":false");

	rig.reload_result = RESULT_KERNEL;
	assert_problem("POST", "/v1/reload", 500, "reload_failed");
	rig.reload_result = RESULT_OK;
}

/* To be confirmed, gone back from, and listed. */
static void test_generations(void **state)
{
	(void)state;
	assert_int_equal(rig_ask(&rig, "POST", "/v1/reload?confirm_within=300"), 200);
	assert_int_equal(rig.change.confirm_within_s, 300);
	assert_problem("POST", "/v1/reload?confirm_within=0", 400, "bad_parameter");
	assert_problem("POST", "/v1/reload?confirm_within=86401", 400, "bad_parameter");
	assert_int_equal(rig_ask(&rig, "POST", "/v1/confirm"), 200);
	assert_int_equal(rig_ask(&rig, "POST", "/v1/rollback?to=7"), 200);
	assert_int_equal(rig.change.kind, CONTROL_CHANGE_ROLLBACK);
	assert_int_equal(rig.change.to, 7);
	assert_problem("POST", "/v1/rollback?to=x", 400, "bad_parameter");

	rig.reload_result = RESULT_BUSY;
	assert_problem("POST", "/v1/reload", 409, "unconfirmed");
	rig.reload_result = RESULT_NOT_FOUND;
	assert_problem("POST", "/v1/rollback", 404, "no_such_generation");
	assert_problem("POST", "/v1/confirm", 409, "nothing_to_confirm");
	rig.reload_result = RESULT_OK;

	assert_int_equal(rig_ask(&rig, "GET", "/v1/history"), 200);
	rig_expect(&rig, "{\"schema\":\"penstock.history/v1\",\"generations\":[{\"generation\":2,");
	rig_expect(&rig, "\"by\":\"uid 0 pid 1\",\"kind\":\"reload\",\"result\":\"refused\"");
	rig_expect(&rig, "\"kind\":\"start\",\"result\":\"served\",\"text_of\":1");
}

/* An upgrade: it will be done, or the program is not fit, or it is not the time. */
static void test_upgrade(void **state)
{
	(void)state;
	rig.reload_result = RESULT_OK;
	assert_int_equal(rig_ask(&rig, "POST", "/v1/upgrade"), 202);
	rig_expect(&rig, "{\"schema\":\"penstock.upgrade/v1\",\"version\":");
	rig.reload_result = RESULT_CONFIG;
	assert_problem("POST", "/v1/upgrade", 422, "upgrade_unfit");
	rig_expect(&rig, "penstock.yaml:3:7: it is wrong");
	rig.reload_result = RESULT_BUSY;
	assert_problem("POST", "/v1/upgrade", 409, "upgrade_refused");
	rig.reload_result = RESULT_OK;
}

/* While a reload takes its time, everything else is answered, and a second one is refused. */
static void test_slow_reload_keeps_nobody_waiting(void **state)
{
	(void)state;
	static const char request[] = "POST /v1/reload HTTP/1.1\r\nHost: x\r\n"
				      "Connection: close\r\n\r\n";
	atomic_store(&rig.reloads, 0);
	atomic_store(&rig.reload_is_held, true);
	int fd = rig_connect(&rig);
	rig_send(fd, request, sizeof request - 1);
	while (atomic_load(&rig.reloads) == 0) continue;
	assert_int_equal(rig_ask(&rig, "GET", "/v1/version"), 200);
	assert_problem("POST", "/v1/reload", 409, "busy");
	atomic_store(&rig.reload_is_held, false);
	assert_true(rig_receive(&rig, fd));
	assert_int_equal(rig.status, 200);
	close(fd);
}

/* Who hangs up does not stop what was asked for. */
static void test_reload_without_its_client(void **state)
{
	(void)state;
	static const char request[] = "POST /v1/reload HTTP/1.1\r\nHost: x\r\n\r\n";
	atomic_store(&rig.reloads, 0);
	atomic_store(&rig.reload_is_held, true);
	int fd = rig_connect(&rig);
	rig_send(fd, request, sizeof request - 1);
	while (atomic_load(&rig.reloads) == 0) continue;
	close(fd);
	assert_int_equal(rig_ask(&rig, "GET", "/v1/version"), 200);
	atomic_store(&rig.reload_is_held, false);
	while (rig_ask(&rig, "POST", "/v1/reload") == 409) continue;
	assert_int_equal(rig.status, 200);
	assert_int_equal(atomic_load(&rig.reloads), 2);
}

/* ---- Events ---------------------------------------------------------------------------------- */

static unsigned count_of(const char *text)
{
	unsigned count = 0;
	for (const char *at = strstr(rig.body, text); at != NULL; at = strstr(at + 1, text))
		count++;
	return count;
}

/* Seven events over two shards, the numbers being their order in time. */
static void fill(char ids[7][EVENT_ID_TEXT_SIZE])
{
	static const uint32_t shards[7] = { 0, 1, 1, 0, 1, 0, 0 };
	for (unsigned i = 0; i < 7; i++) {
		const char *id = rig_event(&rig, shards[i], START_US + i * US_PER_S);
		memcpy(ids[i], id, EVENT_ID_TEXT_SIZE);
	}
}

static void test_events_newest_first_over_shards(void **state)
{
	(void)state;
	char ids[7][EVENT_ID_TEXT_SIZE];
	assert_int_equal(rig_ask(&rig, "GET", "/v1/events"), 200);
	rig_expect(&rig, "\"events\":[],\"next_before\":null");
	fill(ids);
	assert_int_equal(rig_ask(&rig, "GET", "/v1/events"), 200);
	const char *last = rig.body;
	for (int i = 6; i >= 0; i--) {
		const char *at = strstr(rig.body, ids[i]);
		assert_non_null(at);
		assert_true(at > last);
		last = at;
	}
	rig_expect(&rig, "\"endpoint\":\"github\"");
	rig_expect(&rig, "\"deliveries\":[{\"target\":\"orders\",\"state\":\"pending\"}");
	/* A provider's text comes out as JSON, whatever it held. */
	rig_expect(&rig, "\"provider_event_id\":\"id \\\"with\\\" \\u0001 \xef\xbf\xbd\"");
}

/* Pages of every size join into the whole list, while new events come in. */
static void test_events_in_pages(void **state)
{
	(void)state;
	enum { LIMITS = 8 };
	char ids[7 + LIMITS][EVENT_ID_TEXT_SIZE];
	char target[512];
	unsigned count = 7;
	fill(ids);
	for (unsigned limit = 1; limit <= LIMITS; limit++) {
		snprintf(target, sizeof target, "/v1/events?limit=%u", limit);
		assert_int_equal(rig_ask(&rig, "GET", target), 200);
		unsigned left = count;
		const char *id = rig_event(&rig, limit % 2, START_US + count * US_PER_S);
		memcpy(ids[count++], id, EVENT_ID_TEXT_SIZE);
		for (;;) {
			assert_int_equal(count_of("\"id\":"), left < limit ? left : limit);
			for (unsigned i = 0; i < limit && left > 0; i++)
				rig_expect(&rig, ids[--left]);
			const char *next = rig_member(&rig, "next_before");
			if (*next == '\0') break;
			snprintf(target, sizeof target, "/v1/events?limit=%u&before=%s", limit,
				next);
			assert_int_equal(rig_ask(&rig, "GET", target), 200);
		}
		assert_int_equal(left, 0);
	}
}

static void test_events_after_a_position(void **state)
{
	(void)state;
	char ids[7][EVENT_ID_TEXT_SIZE];
	char target[512];
	fill(ids);
	rig_ask(&rig, "GET", "/v1/events?limit=1");
	snprintf(target, sizeof target, "/v1/events?after=%s", rig_member(&rig, "newest"));
	rig_ask(&rig, "GET", target);
	rig_expect(&rig, "\"events\":[]");
	const char *id = rig_event(&rig, 1, START_US + 60 * US_PER_S);
	rig_ask(&rig, "GET", target);
	rig_expect(&rig, id);
	assert_int_equal(count_of("\"id\":"), 1);
}

static void test_events_filtered(void **state)
{
	(void)state;
	char ids[7][EVENT_ID_TEXT_SIZE];
	fill(ids);
	rig_settle(&rig, 0, "orders", ATTEMPT_DEAD); /* of the oldest in shard 0: ids[0] */
	rig_settle(&rig, 1, "audit", ATTEMPT_RETRY); /* of the oldest in shard 1: ids[1] */
	rig_ask(&rig, "GET", "/v1/events?state=dead");
	assert_int_equal(count_of("\"id\":"), 1);
	rig_expect(&rig, ids[0]);
	rig_ask(&rig, "GET", "/v1/events?state=retry&endpoint=github");
	assert_int_equal(count_of("\"id\":"), 1);
	rig_expect(&rig, ids[1]);
	rig_ask(&rig, "GET", "/v1/events?state=delivered");
	rig_expect(&rig, "\"events\":[]");
	assert_problem("GET", "/v1/events?endpoint=nobody", 404, "no_such_endpoint");
	assert_problem("GET", "/v1/events?state=gone", 400, "bad_parameter");
	assert_problem("GET", "/v1/events?before=12", 400, "bad_cursor");
}

static void test_one_event(void **state)
{
	(void)state;
	char target[128];
	const char *id = rig_event(&rig, 1, START_US);
	rig_settle(&rig, 1, "orders", ATTEMPT_RETRY);
	snprintf(target, sizeof target, "/v1/events/%s", id);
	assert_int_equal(rig_ask(&rig, "GET", target), 200);
	rig_expect(&rig, "\"shard\":1,\"sequence\":1,\"received\":\"2026-09-21T");
	rig_expect(&rig, "\"secret\":\"current\"");
	rig_expect(&rig, "\"payload_size\":26,\"payload_sha256\":\"");
	rig_expect(&rig, "\"forward_fields\":[{\"name\":\"x-github-event\",\"value\":\"push\"}]");
	rig_expect(&rig, "\"target\":\"orders\",\"state\":\"retry\",\"attempts\":[{\"number\":1");
	rig_expect(&rig, "\"outcome\":\"retry\",\"status\":503,\"error\":\"status\"");
	rig_expect(&rig, "\"target\":\"audit\",\"state\":\"pending\",\"attempts\":[]");
	rig_expect_not(&rig, "of the event");

	snprintf(target, sizeof target, "/v1/events/%s/attempts?target=orders", id);
	assert_int_equal(rig_ask(&rig, "GET", target), 200);
	rig_expect(&rig, "\"duration_us\":1500");
	rig_expect_not(&rig, "audit");

	snprintf(target, sizeof target, "/v1/events/%s/payload", id);
	assert_int_equal(rig_ask(&rig, "GET", target), 200);
	assert_string_equal(rig.body, "{\"payload\":\"of the event\"}");
	assert_non_null(strstr(rig.head, "application/octet-stream"));
}

/* An id that was never given out is not found, even where its number leads to an event. */
static void test_no_such_event(void **state)
{
	(void)state;
	struct event event = { .received = { START_US }, .shard = 0, .sequence = 99 };
	char id[EVENT_ID_TEXT_SIZE];
	char target[128];
	rig_event(&rig, 0, START_US);
	event_id_format(&event, id);
	snprintf(target, sizeof target, "/v1/events/%s", id);
	assert_problem("GET", target, 404, "no_such_event");
	event.sequence = 1;
	event.received.us += US_PER_MS;
	event_id_format(&event, id);
	snprintf(target, sizeof target, "/v1/events/%s", id);
	assert_problem("GET", target, 404, "no_such_event");
	event.shard = 200;
	event_id_format(&event, id);
	snprintf(target, sizeof target, "/v1/events/%s/payload", id);
	assert_problem("GET", target, 404, "no_such_event");
	assert_problem("GET", "/v1/events/evt_nonsense", 400, "bad_event_id");
	assert_problem("GET", "/v1/events/evt_0123456789012345678901234567890123456789", 404,
		"no_such_event");
}

/* ---- Dead letters ---------------------------------------------------------------------------- */

/* Three dead letters: two of "orders" in shard 0, one of "audit" in shard 1. */
static void fill_dead(char id[EVENT_ID_TEXT_SIZE])
{
	memcpy(id, rig_event(&rig, 0, START_US), EVENT_ID_TEXT_SIZE);
	rig_event(&rig, 0, START_US + 1);
	rig_event(&rig, 1, START_US + 2);
	rig_settle(&rig, 0, "orders", ATTEMPT_DEAD);
	rig_settle(&rig, 0, "orders", ATTEMPT_DEAD);
	rig_settle(&rig, 1, "audit", ATTEMPT_DEAD);
}

static void test_dead_letters(void **state)
{
	(void)state;
	char id[EVENT_ID_TEXT_SIZE];
	char target[128];
	fill_dead(id);
	assert_int_equal(rig_ask(&rig, "GET", "/v1/dead"), 200);
	rig_expect(&rig,
		"{\"schema\":\"penstock.dead/v1\",\"count\":3,\"dead\":[{\"event\":\"evt_");
	rig_expect(&rig, "\"attempt_count\":1,\"error\":\"status\"");
	assert_int_equal(count_of("\"event\":"), 3);
	rig_ask(&rig, "GET", "/v1/dead?target=audit");
	assert_int_equal(count_of("\"event\":"), 1);

	unsigned pages = 1;
	rig_ask(&rig, "GET", "/v1/dead?limit=1");
	while (*rig_member(&rig, "next_after") != '\0') {
		assert_int_equal(count_of("\"event\":"), 1);
		snprintf(target, sizeof target, "/v1/dead?limit=1&after=%s",
			rig_member(&rig, "next_after"));
		rig_ask(&rig, "GET", target);
		pages++;
	}
	assert_int_equal(pages, 3);
	assert_problem("GET", "/v1/dead?after=x", 400, "bad_cursor");

	snprintf(target, sizeof target, "/v1/dead/%s", id);
	assert_int_equal(rig_ask(&rig, "GET", target), 200);
	rig_expect(&rig, "\"target\":\"orders\"");
	rig_expect(&rig, "\"attempts\":[{\"number\":1");
	snprintf(target, sizeof target, "/v1/dead/%s?target=audit", id);
	assert_problem("GET", target, 404, "not_dead");
}

static void test_replay_of_one_event(void **state)
{
	(void)state;
	char id[EVENT_ID_TEXT_SIZE];
	char target[128];
	fill_dead(id);
	snprintf(target, sizeof target, "/v1/dead/replay?event=%s&target=audit", id);
	assert_problem("POST", target, 404, "not_dead");
	snprintf(target, sizeof target, "/v1/dead/replay?event=%s&target=orders", id);
	assert_int_equal(rig_ask(&rig, "POST", target), 200);
	rig_expect(&rig,
		"\"expected\":1,\"replayed\":1,\"gone\":0,\"remaining\":0,\"complete\":true");
	assert_problem("POST", target, 404, "not_dead");
	rig_ask(&rig, "GET", "/v1/dead");
	rig_expect(&rig, "\"count\":2");
	/* It is due now, with its second attempt. */
	rig.worlds[0].now_us = UINT64_MAX / 2;
	world_run(&rig.worlds[0]);
	struct delivery *delivery = world_lease(&rig.worlds[0], flow_id_of_name("orders"));
	assert_int_equal(delivery->attempt_number, 2);
	world_settle(&rig.worlds[0], delivery, ATTEMPT_DELIVERED, 0);
	world_run(&rig.worlds[0]);
}

/* More than one event's: only with the right number. */
static void test_replay_expects_a_number(void **state)
{
	(void)state;
	char id[EVENT_ID_TEXT_SIZE];
	fill_dead(id);
	assert_problem("POST", "/v1/dead/replay", 400, "bad_parameter");
	assert_problem("POST", "/v1/dead/replay?all=yes&expect=3", 400, "bad_parameter");
	assert_problem("POST", "/v1/dead/replay?all=true&target=audit&expect=1", 400,
		"bad_parameter");
	assert_problem("POST", "/v1/dead/replay?all=true", 400, "expect_missing");
	assert_problem("POST", "/v1/dead/replay?all=true&expect=2", 409, "expectation_differs");
	rig_expect(&rig, "\"count\":3");
	assert_problem("POST", "/v1/dead/replay?target=orders&expect=3", 409,
		"expectation_differs");
	assert_problem("POST", "/v1/dead/replay?target=nobody&expect=3", 404, "no_such_target");
	assert_int_equal(rig_ask(&rig, "POST", "/v1/dead/replay?target=orders&expect=2"), 200);
	rig_expect(&rig, "\"replayed\":2");
	assert_int_equal(rig_ask(&rig, "POST", "/v1/dead/replay?all=true&expect=1"), 200);
	rig_expect(&rig, "\"replayed\":1");
	assert_int_equal(rig_ask(&rig, "POST", "/v1/dead/replay?all=true&expect=0"), 200);
	rig_expect(&rig, "\"replayed\":0,\"gone\":0,\"remaining\":0,\"complete\":true");
}

/* More than one batch of jobs. */
static void test_replay_of_many(void **state)
{
	(void)state;
	char target[64];
	const unsigned count = CONTROL_REPLAY_BATCH + 44;
	for (unsigned i = 0; i < count; i++) {
		rig_event(&rig, 0, START_US + i);
		rig_settle(&rig, 0, "audit", ATTEMPT_DEAD);
	}
	snprintf(target, sizeof target, "/v1/dead/replay?target=audit&expect=%u", count);
	assert_int_equal(rig_ask(&rig, "POST", target), 200);
	snprintf(target, sizeof target, "\"replayed\":%u,\"gone\":0,\"remaining\":0", count);
	rig_expect(&rig, target);
	rig_ask(&rig, "GET", "/v1/dead");
	rig_expect(&rig, "\"count\":0,\"dead\":[]");
}

static void test_audit_verify_streams(void **state)
{
	(void)state;
	char id[EVENT_ID_TEXT_SIZE];
	fill_dead(id);
	assert_int_equal(rig_ask(&rig, "POST", "/v1/audit/verify"), 200);
	assert_non_null(strstr(rig.head, "application/x-ndjson"));
	rig_expect(&rig,
		"\"kind\":\"shard\",\"shard\":0,\"valid\":true,\"leaf_count\":4,"
		"\"checked_count\":4");
	rig_expect(&rig, "\"kind\":\"shard\",\"shard\":1,\"valid\":true,\"leaf_count\":2");
	rig_expect(&rig,
		"\"kind\":\"summary\",\"valid\":true,\"shards\":2,\"bad_shards\":0,"
		"\"leaf_count\":6}\n");
	assert_int_equal(rig_ask(&rig, "POST", "/v1/audit/verify"), 200);
}

static bool stop_at_once(void *owner, uint64_t done, uint64_t all)
{
	unsigned *calls = owner;
	assert_true(done <= all);
	(*calls)++;
	return false;
}

/* The daemon does not wait for a long check when it ends. */
static void test_audit_verify_can_be_stopped(void **state)
{
	(void)state;
	struct audit_report report;
	unsigned calls = 0;
	for (unsigned i = 0; i < 300; i++) rig_event(&rig, 0, START_US + i);
	assert_int_equal(shard_audit_verify(rig.shards[0], stop_at_once, &calls, &report),
		RESULT_CLOSED);
	assert_int_equal(calls, 1);
	assert_false(report.valid);
}

/* A leaf and a row for each, and the log verifies. */
static void test_changes_are_in_the_audit_log(void **state)
{
	(void)state;
	assert_int_equal(rig_ask(&rig, "GET", "/v1/audit/actions"), 200);
	rig_expect(&rig, "\"actions\":[],\"next_before\":null");
	uint64_t leaf_count = shard_counters(rig.shards[0]).leaf_count;
	assert_int_equal(rig_ask(&rig, "POST", "/v1/reload"), 200);
	rig.reload_result = RESULT_CONFIG;
	assert_int_equal(rig_ask(&rig, "POST", "/v1/reload"), 422);
	assert_int_equal(rig_ask(&rig, "POST", "/v1/drain?deadline=0"), 200);
	assert_int_equal(rig_ask(&rig, "POST", "/v1/stop"), 202);
	assert_int_equal(shard_counters(rig.shards[0]).leaf_count, leaf_count + 4);

	assert_int_equal(rig_ask(&rig, "GET", "/v1/audit/actions?limit=3"), 200);
	rig_expect(&rig, "\"number\":4,\"readable\":true,\"action\":\"stop\"");
	rig_expect(&rig, "\"action\":\"drain\"");
	rig_expect(&rig, "\"text\":\"refused: ");
	char actor[64];
	snprintf(actor, sizeof actor, "uid %u pid %d\"", (unsigned)getuid(), (int)getpid());
	rig_expect(&rig, actor);
	rig_expect(&rig, "\"next_before\":\"2\"");
	assert_int_equal(rig_ask(&rig, "GET", "/v1/audit/actions?before=2"), 200);
	rig_expect(&rig, "\"action\":\"reload\"");
	rig_expect(&rig, "\"text\":\"generation ");
	rig_expect(&rig, "\"next_before\":null");
	assert_int_equal(rig_ask(&rig, "GET", "/v1/audit/actions?before=x"), 400);

	assert_int_equal(rig_ask(&rig, "POST", "/v1/audit/verify"), 200);
	rig_expect(&rig, "\"kind\":\"summary\",\"valid\":true");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_routes_describe_themselves),
		TEST(test_status),
		TEST(test_endpoints_and_targets),
		TEST(test_drain_and_stop),
		TEST(test_reload),
		TEST(test_generations),
		TEST(test_upgrade),
		TEST(test_slow_reload_keeps_nobody_waiting),
		TEST(test_reload_without_its_client),
		TEST(test_events_newest_first_over_shards),
		TEST(test_events_in_pages),
		TEST(test_events_after_a_position),
		TEST(test_events_filtered),
		TEST(test_one_event),
		TEST(test_no_such_event),
		TEST(test_dead_letters),
		TEST(test_replay_of_one_event),
		TEST(test_replay_expects_a_number),
		TEST(test_replay_of_many),
		TEST(test_audit_verify_streams),
		TEST(test_audit_verify_can_be_stopped),
		TEST(test_changes_are_in_the_audit_log),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
