/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The whole system at its limits, each on purpose: clients that are too slow, pools that are
 * empty, memories that are full, targets that are gone for long, disks that lie, and a process
 * that dies at every single step.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/check.h"
#include "receive/receive_internal.h"
#include "sim/sim_client.h"
#include "sim/sim_system.h"

#define HOUR_US (3600 * US_PER_S)

enum { PPM = 1000000, CLIENTS_MAX = 8 };

/* Latency of the network and a tick of the timers. */
#define SLACK_US (US_PER_S / 5)

static struct system system;
static struct sim_client clients[CLIENTS_MAX];

/* Nothing goes wrong by itself. */
static struct system_plan quiet_plan(uint64_t seed, uint32_t event_count)
{
	return (struct system_plan){
		.seed = seed,
		.disk = { .latency_us_max = 1000, .exit_us_max = US_PER_S },
		.event_count = event_count,
		.lane_count = 1,
		.connections_max = 32,
		.requests_max = 16,
		.buffer_count = 128,
		.channels_max = 16,
		.replay_entries_max = 1024,
		.gap_us_max = 100000,
	};
}

static void finish(void)
{
	system_calm(&system);
	system_settle(&system);
	system_stop(&system);
	(void)system_close(&system);
}

static void client_start(struct sim_client *client)
{
	sim_client_start(client, system.world, &system.provider_loop,
		&system.daemon.config.address);
}

static bool clients_closed(struct system *whole)
{
	MAYBE(whole == NULL);
	for (size_t i = 0; i < CLIENTS_MAX; i++) {
		if (clients[i].open) return false;
	}
	return true;
}

static uint32_t connections(void)
{
	uint32_t count = 0;
	for (uint32_t i = 0; i < SIM_WORKERS; i++) {
		count += receive_usage(system.daemon.workers[i].wiring.receive).connections;
	}
	return count;
}

/* ---- Time ------------------------------------------------------------------------------------ */

/* When a client that sends this, at this pace, is cut off: microseconds after it connected. */
static uint64_t cut_off_after(struct bytes data, uint64_t gap_us)
{
	clients[0] = (struct sim_client){ .data = data, .piece_size = 1, .gap_us = gap_us };
	client_start(&clients[0]);
	assert_true(system_run(&system, clients_closed, HOUR_US));
	assert_true(clients[0].ended_us > 0);
	/* After an answer the daemon waits for the client's end. */
	system_run_for(&system, SLACK_US);
	assert_int_equal(connections(), 0);
	return clients[0].ended_us - clients[0].started_us;
}

static void limits_fire_at_their_time(void **state)
{
	static const char slow_head[] = "POST /in/github HTTP/1.1\r\nHost: hooks.example.org\r\n"
					"X-Long: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
	static const char slow_body[] =
		"POST /in/github HTTP/1.1\r\nHost: hooks.example.org\r\n"
		"Content-Length: 100\r\n\r\n01234567890123456789012345678901234567";
	struct system_plan plan = quiet_plan(1, 7);

	system_open(&system, &plan, *state);
	uint64_t after_us = cut_off_after(BYTES_EMPTY, 0);
	assert_in_range(after_us, RECEIVE_IDLE_TIMEOUT_MS * US_PER_MS,
		RECEIVE_IDLE_TIMEOUT_MS * US_PER_MS + SLACK_US);
	after_us = cut_off_after(bytes_of_text(slow_head), US_PER_S / 4);
	assert_in_range(after_us, RECEIVE_HEAD_TIMEOUT_MS * US_PER_MS,
		RECEIVE_HEAD_TIMEOUT_MS * US_PER_MS + SLACK_US);
	assert_int_equal(clients[0].text_size, 0);

	/* The head takes its time, then the body has its own. */
	uint64_t slow_count = metrics_sum(METRICS_REQUESTS_SLOW);
	uint64_t head_us = (uint64_t)(strstr(slow_body, "\r\n\r\n") + 4 - slow_body) * 40000;
	after_us = cut_off_after(bytes_of_text(slow_body), 40000);
	assert_in_range(after_us, head_us + RECEIVE_BODY_GRACE_MS * US_PER_MS,
		head_us + RECEIVE_BODY_GRACE_MS * US_PER_MS + 3 * SLACK_US);
	assert_non_null(strstr(clients[0].text, "HTTP/1.1 408 "));
	assert_non_null(strstr(clients[0].text, "Connection: close"));
	assert_int_equal(metrics_sum(METRICS_REQUESTS_SLOW), slow_count + 1);
	system_start_providers(&system);
	finish();
}

/* When a body of that size that comes in pieces is answered: microseconds after it connected. */
static uint64_t answered_after(size_t size, size_t piece_size, uint64_t gap_us, const char *status)
{
	static uint8_t memory[HTTP_HEAD_SIZE_MAX + RECEIVE_BODY_SIZE_DEFAULT];
	struct writer writer = writer_of(memory, sizeof memory);

	write_text(&writer,
		"POST /in/github HTTP/1.1\r\nHost: hooks.example.org\r\nContent-Length: ");
	write_decimal(&writer, size);
	write_text(&writer, "\r\n\r\n");
	clients[0] = (struct sim_client){
		.data = bytes_of(memory, writer.size + size),
		.piece_size = piece_size,
		.gap_us = gap_us,
	};
	client_start(&clients[0]);
	system_run_for(&system, 2 * RECEIVE_BODY_TIMEOUT_MS * US_PER_MS);
	sim_client_close(&clients[0]);
	assert_true(system_run(&system, clients_closed, US_PER_S));
	assert_non_null(strstr(clients[0].text, status));
	return clients[0].text_us - clients[0].started_us;
}

static void body_has_a_minimum_rate(void **state)
{
	const uint64_t grace_us = RECEIVE_BODY_GRACE_MS * US_PER_MS;
	const uint64_t whole_us = RECEIVE_BODY_TIMEOUT_MS * US_PER_MS;
	const uint64_t gap_us = US_PER_S / 2;
	struct system_plan plan = quiet_plan(12, 7);

	system_open(&system, &plan, *state);
	/* Above it a body may take its time, up to the limit of the whole. */
	size_t piece_size = RECEIVE_BODY_RATE_MIN / 2 + 100;
	uint64_t after_us = answered_after(40 * piece_size, piece_size, gap_us, "HTTP/1.1 401 ");
	assert_in_range(after_us, grace_us + 4 * US_PER_S, whole_us - US_PER_S);
	after_us = answered_after(1000000, piece_size, gap_us, "HTTP/1.1 408 ");
	assert_in_range(after_us, whole_us, whole_us + 2 * SLACK_US);
	/* At half of it the grace and what has come are used up at twice the grace. */
	piece_size = RECEIVE_BODY_RATE_MIN / 4;
	after_us = answered_after(1000000, piece_size, gap_us, "HTTP/1.1 408 ");
	assert_in_range(after_us, 2 * grace_us - 2 * gap_us, 2 * grace_us + 2 * gap_us);
	/* What came at once counts for what comes late. */
	after_us = answered_after(RECEIVE_BODY_RATE_MIN * 6, RECEIVE_BODY_RATE_MIN * 3 + 1000,
		grace_us + US_PER_S, "HTTP/1.1 401 ");
	assert_in_range(after_us, grace_us + US_PER_S, grace_us + US_PER_S + 2 * SLACK_US);
	system_start_providers(&system);
	finish();
}

static void answered_connection_is_closed_when_idle(void **state)
{
	static const char request[] =
		"POST /nobody HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n";
	struct system_plan plan = quiet_plan(2, 7);

	system_open(&system, &plan, *state);
	clients[0] = (struct sim_client){ .data = bytes_of_text(request) };
	client_start(&clients[0]);
	assert_true(system_run(&system, clients_closed, HOUR_US));
	assert_non_null(strstr(clients[0].text, "HTTP/1.1 404 "));
	assert_int_equal(clients[0].error, 0);
	assert_in_range(clients[0].ended_us - clients[0].text_us,
		RECEIVE_IDLE_TIMEOUT_MS * US_PER_MS - SLACK_US,
		RECEIVE_IDLE_TIMEOUT_MS * US_PER_MS + SLACK_US);
	system_start_providers(&system);
	finish();
}

static bool no_connections(struct system *whole)
{
	MAYBE(whole == NULL);
	return connections() == 0;
}

/* The only connection there is. */
static struct connection *connection_of_client(void)
{
	for (uint32_t i = 0; i < SIM_WORKERS; i++) {
		struct list *head = &system.daemon.workers[i].wiring.receive->busy_connections;
		if (!list_empty(head)) return LIST_ENTRY(head->next, struct connection, node);
	}
	fail();
	return NULL;
}

static void continue_waits_for_room_and_is_whole(void **state)
{
	static const char request[] = "POST /in/github HTTP/1.1\r\nHost: hooks.example.org\r\n"
				      "Content-Length: 10\r\nExpect: 100-continue\r\n\r\n";
	static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
	static const uint8_t filler[1000] = { [0 ... 999] = 'x' };
	struct system_plan plan = quiet_plan(13, 7);

	system_open(&system, &plan, *state);
	clients[0] = (struct sim_client){ .data = bytes_of_text(request) };
	client_start(&clients[0]);
	system_run_for(&system, US_PER_S);
	assert_string_equal(clients[0].text, go_on);

	/* The same once more, as if what was said before had filled the stream. */
	struct connection *connection = connection_of_client();
	assert_int_equal(connection->state, CONNECTION_BODY);
	connection->request->continue_sent = false;
	size_t size = sizeof go_on - 1;
	for (size_t done = sizeof filler; done == sizeof filler; size += done) {
		done = stream_write(&connection->stream, filler, sizeof filler);
	}
	connection_run(connection);
	system_run_for(&system, US_PER_S);
	assert_int_equal(clients[0].text_size, size + sizeof go_on - 1);
	assert_string_equal(clients[0].text + size, go_on);
	assert_true(connection->request->continue_sent);
	sim_client_close(&clients[0]);
	assert_true(system_run(&system, clients_closed, US_PER_S));
	system_start_providers(&system);
	finish();
}

static void client_that_never_reads_is_cut_off(void **state)
{
	static char requests[900 * 1024];
	struct writer writer = writer_of(requests, sizeof requests);
	struct system_plan plan = quiet_plan(3, 7);

	while (writer.size + 100 < writer.capacity) {
		write_text(&writer,
			"POST /nobody HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
	}
	system_open(&system, &plan, *state);
	clients[0] = (struct sim_client){ .data = writer_bytes(&writer), .deaf = true };
	client_start(&clients[0]);
	system_run_for(&system, 5 * US_PER_S);
	assert_int_equal(connections(), 1);
	/* Nothing moves any more: its limit is one of these. */
	assert_true(system_run(&system, no_connections,
		(RECEIVE_IDLE_TIMEOUT_MS + RECEIVE_BODY_TIMEOUT_MS) * US_PER_MS));
	sim_client_close(&clients[0]);
	system_start_providers(&system);
	finish();
}

/* ---- Room ------------------------------------------------------------------------------------ */

static void requests_without_slot_are_told_to_come_back(void **state)
{
	static uint8_t memory[CLIENTS_MAX][2 * LEDGER_BODY_SIZE_MAX];
	struct system_plan plan = quiet_plan(4, CLIENTS_MAX);
	unsigned accepted_count = 0;
	unsigned shed_count = 0;

	plan.requests_max = 1; /* for each worker */
	plan.disk.latency_us_max = 3 * US_PER_S;
	system_open(&system, &plan, *state);
	for (uint32_t i = 0; i < CLIENTS_MAX; i++) {
		struct writer request = writer_of(memory[i], sizeof memory[i]);
		system.ledger.events[i].size = 100;
		provider_write_event(&system.providers[i % SYSTEM_PROVIDERS], i, &request);
		clients[i] = (struct sim_client){ .data = writer_bytes(&request) };
		client_start(&clients[i]);
	}
	system_run_for(&system, 15 * US_PER_S);
	for (uint32_t i = 0; i < CLIENTS_MAX; i++) {
		if (strstr(clients[i].text, "\"status\":\"accepted\"") != NULL) accepted_count++;
		if (strstr(clients[i].text, "HTTP/1.1 503 ") == NULL) continue;
		assert_non_null(strstr(clients[i].text, "Retry-After: "));
		shed_count++;
	}
	assert_int_equal(accepted_count + shed_count, CLIENTS_MAX);
	assert_true(accepted_count >= 2);
	assert_true(shed_count >= 1);
	assert_true(system_run(&system, clients_closed, HOUR_US));
	/* Those that were told to, do. */
	system_start_providers(&system);
	finish();
}

static uint32_t acked_count(void)
{
	uint32_t count = 0;
	for (uint32_t i = 0; i < system.ledger.event_count; i++) {
		count += system.ledger.events[i].acked;
	}
	return count;
}

static bool all_acked(struct system *whole)
{
	return whole->ledger.unresolved_count == 0;
}

static void full_replay_memory_refuses_until_some_expire(void **state)
{
	enum { ENTRIES = 16, USABLE = 15 };
	struct system_plan plan = quiet_plan(5, 4 * SYSTEM_PROVIDERS);

	plan.replay_entries_max = ENTRIES;
	system_open(&system, &plan, *state);
	system_start_providers(&system);
	system_run_for(&system, 23 * HOUR_US);
	assert_int_equal(acked_count(), USABLE);
	assert_true(system.ledger.refused_503 > 0);
	system_run_for(&system, 2 * HOUR_US);
	assert_int_equal(acked_count(), 4 * SYSTEM_PROVIDERS);
	finish();
}

static void few_buffers_slow_down_and_lose_nothing(void **state)
{
	struct system_plan plan = quiet_plan(6, 30 * SYSTEM_PROVIDERS);
	uint64_t exhausted_count = 0;

	plan.lane_count = PROVIDER_LANES_MAX;
	plan.buffer_count = 16;
	plan.gap_us_max = 1000;
	plan.disk.latency_us_max = 200000;
	system_open(&system, &plan, *state);
	for (uint32_t i = 0; i < plan.event_count; i++) {
		system.ledger.events[i].size = LEDGER_BODY_SIZE_MAX / 2;
	}
	system_start_providers(&system);
	assert_true(system_run(&system, all_acked, HOUR_US));
	for (uint32_t i = 0; i < SIM_WORKERS; i++) {
		exhausted_count +=
			io_statistics(system.daemon.workers[i].wiring.loop.io).buffers_exhausted;
	}
	assert_true(exhausted_count > 100);
	finish();
}

static void nothing_is_repeated_when_nothing_goes_wrong(void **state)
{
	struct system_plan plan = quiet_plan(9, 20 * SYSTEM_PROVIDERS);
	uint32_t received_count = 0;

	system_open(&system, &plan, *state);
	system_start_providers(&system);
	assert_true(system_run(&system, all_acked, HOUR_US));
	system_run_for(&system, HOUR_US);
	for (uint32_t i = 0; i < plan.event_count; i++) {
		for (uint32_t k = 0; k < SYSTEM_TARGETS; k++) {
			assert_true(system.ledger.events[i].received[k] <= 1);
			received_count += system.ledger.events[i].received[k];
		}
	}
	assert_int_equal(received_count, 13 * 20);
	finish();
}

static void settled_events_leave_when_their_time_is_over(void **state)
{
	struct system_plan plan = quiet_plan(10, 20 * SYSTEM_PROVIDERS);
	uint64_t expired_count = 0;

	plan.retention_us = HOUR_US;
	system_open(&system, &plan, *state);
	/* What waits for target three, or is dead, is kept for as long as it takes. */
	sim_target_down(&system.targets[2]);
	system_start_providers(&system);
	assert_true(system_run(&system, all_acked, HOUR_US));
	system_run_for(&system, 3 * HOUR_US);
	for (uint32_t i = 0; i < SIM_WORKERS; i++) {
		expired_count += shard_counters(system.daemon.workers[i].shard).events_expired;
	}
	assert_int_equal(expired_count, 20 * (SYSTEM_PROVIDERS - 3));
	finish();
}

/* ---- Targets and disks ----------------------------------------------------------------------- */

static struct shard_counters counters_of_all(void)
{
	struct shard_counters sum = { 0 };
	for (uint32_t i = 0; i < SIM_WORKERS; i++) {
		struct shard_counters counters = shard_counters(system.daemon.workers[i].shard);
		sum.deliveries_created += counters.deliveries_created;
		sum.deliveries_delivered += counters.deliveries_delivered;
		sum.deliveries_dead += counters.deliveries_dead;
		sum.dead_replayed += counters.dead_replayed;
	}
	return sum;
}

static void dead_letters_of_an_outage_are_delivered_when_replayed(void **state)
{
	/* Of an event at each endpoint there are 13 deliveries, three of them to target three. */
	enum { EVENTS = 4, DELIVERIES = 13 * EVENTS, DELIVERIES_NOT_THREE = 10 * EVENTS };
	struct system_plan plan = quiet_plan(7, EVENTS * SYSTEM_PROVIDERS);

	system_open(&system, &plan, *state);
	for (uint32_t i = 0; i < SYSTEM_TARGETS; i++) sim_target_down(&system.targets[i]);
	system_start_providers(&system);
	assert_true(system_run(&system, all_acked, HOUR_US));
	system_run_for(&system, HOUR_US);
	struct shard_counters counters = counters_of_all();
	/* Target three is tried for many hours; the others' tries are used up. */
	assert_int_equal(counters.deliveries_delivered, 0);
	assert_int_equal(counters.deliveries_created, DELIVERIES);
	assert_int_equal(counters.deliveries_dead, DELIVERIES_NOT_THREE);
	system_calm(&system);
	assert_int_equal(sim_daemon_replay_dead(&system.daemon), DELIVERIES_NOT_THREE);
	system_run_for(&system, 60 * US_PER_S);
	counters = counters_of_all();
	assert_int_equal(counters.deliveries_dead, 0);
	assert_int_equal(counters.dead_replayed, DELIVERIES_NOT_THREE);
	assert_in_range(counters.deliveries_delivered, DELIVERIES_NOT_THREE, DELIVERIES);
	finish();
	for (uint32_t i = 0; i < SYSTEM_TARGETS; i++) assert_false(system.targets[i].up);
}

static uint64_t settling_count(void)
{
	uint64_t count = 0;
	for (uint32_t i = 0; i < SIM_WORKERS; i++) {
		count += queue_usage(system.daemon.workers[i].wiring.queue).settling;
	}
	return count;
}

static bool settling_found_no_space(struct system *whole)
{
	return whole->daemon.failed_commits > 0 && settling_count() > 0;
}

/* What waits for a second is done after one, though the clock says that it is an hour away: a retry
 * that found no space to be settled, while nothing else makes the queue work. */
static void clock_that_goes_back_holds_nothing_up(void **state)
{
	struct system_plan plan = quiet_plan(14, SYSTEM_PROVIDERS);

	system_open(&system, &plan, *state);
	sim_target_down(&system.targets[2]);
	system_start_providers(&system);
	assert_true(system_run(&system, all_acked, HOUR_US));
	system_run_for(&system, 60 * US_PER_S);
	assert_int_equal(settling_count(), 0);
	system.daemon.config.disk.space_ppm = PPM;
	sim_target_up(&system.targets[2]);
	assert_true(system_run(&system, settling_found_no_space, HOUR_US));
	/* Longer than the queue is looked at in any case, now that its window is empty. */
	system_run_for(&system, 5 * US_PER_S);
	assert_true(settling_count() > 0);
	sim_world_shift_wall(system.world, -(int64_t)HOUR_US);
	system.daemon.config.disk.space_ppm = 0;
	system_run_for(&system, 3 * US_PER_S);
	assert_int_equal(settling_count(), 0);
	finish();
}

/* A channel on which a request is still being sent must not carry the next one. */
static void early_answers_do_not_mix_up_requests(void **state)
{
	struct system_plan plan = quiet_plan(11, 20 * SYSTEM_PROVIDERS);

	system_open(&system, &plan, *state);
	for (uint32_t i = 0; i < plan.event_count; i++) {
		system.ledger.events[i].size = LEDGER_BODY_SIZE_MAX - 1000 - i;
	}
	for (uint32_t i = 0; i < SYSTEM_TARGETS; i++) {
		system.targets[i].bad = REACT_EARLY_ON;
		system.targets[i].bad_ppm = PPM / 2;
	}
	system_start_providers(&system);
	assert_true(system_run(&system, all_acked, HOUR_US));
	finish();
}

/* A commit that is reported as failed may be on the disk all the same: then the event must not be
 * stored by the other worker, which lives on for a while. */
static void disk_that_lies_stores_nothing_twice(void **state)
{
	for (uint64_t seed = 0; seed < 40; seed++) {
		struct system_plan plan = quiet_plan(100 + seed, 3 * SYSTEM_PROVIDERS);
		plan.disk.disk_ppm = PPM / 5;
		plan.disk.exit_us_max = 30 * US_PER_S;
		plan.lane_count = 2;
		system_open(&system, &plan, *state);
		system_start_providers(&system);
		(void)system_run(&system, all_acked, 300 * US_PER_S);
		finish();
	}
}

/* ---- Death ----------------------------------------------------------------------------------- */

/* Runs the same small story, and has the process die before step `kill_at`. Returns how many
 * steps it took. */
static uint64_t run_and_die(const struct system_flows *flows, uint64_t kill_at)
{
	struct system_plan plan = quiet_plan(8, SYSTEM_PROVIDERS);
	uint64_t step = 0;

	plan.disk.latency_us_max = 20000;
	system_open(&system, &plan, flows);
	system.targets[0].bad_ppm = PPM / 3;
	system_start_providers(&system);
	while (system.ledger.unresolved_count > 0 || !system.daemon.running ||
		sim_daemon_outstanding(&system.daemon) > 0) {
		if (step++ == kill_at) system.daemon.dying = true;
		(void)system_run(&system, NULL, 0);
		assert_true(sim_world_step(system.world));
	}
	assert_int_equal(system.daemon.kills, kill_at < step);
	finish();
	return step;
}

static void process_may_die_at_every_step(void **state)
{
	enum { DEATHS = 150 };
	uint64_t step_count = run_and_die(*state, UINT64_MAX);

	assert_true(step_count > DEATHS);
	for (uint64_t i = 0; i < DEATHS; i++) run_and_die(*state, step_count * i / DEATHS);
}

/* ---- All ------------------------------------------------------------------------------------- */

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(limits_fire_at_their_time),
		cmocka_unit_test(body_has_a_minimum_rate),
		cmocka_unit_test(answered_connection_is_closed_when_idle),
		cmocka_unit_test(continue_waits_for_room_and_is_whole),
		cmocka_unit_test(client_that_never_reads_is_cut_off),
		cmocka_unit_test(requests_without_slot_are_told_to_come_back),
		cmocka_unit_test(full_replay_memory_refuses_until_some_expire),
		cmocka_unit_test(few_buffers_slow_down_and_lose_nothing),
		cmocka_unit_test(nothing_is_repeated_when_nothing_goes_wrong),
		cmocka_unit_test(settled_events_leave_when_their_time_is_over),
		cmocka_unit_test(dead_letters_of_an_outage_are_delivered_when_replayed),
		cmocka_unit_test(clock_that_goes_back_holds_nothing_up),
		cmocka_unit_test(early_answers_do_not_mix_up_requests),
		cmocka_unit_test(disk_that_lies_stores_nothing_twice),
		cmocka_unit_test(process_may_die_at_every_step),
	};

	return cmocka_run_group_tests(tests, system_set_up, system_tear_down);
}
