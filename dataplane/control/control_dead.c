/* SPDX-License-Identifier: GPL-2.0-or-later */
/* control_dead — the dead letters: list, one event's, and replaying them.
 *
 * Replaying many is dangerous in the wrong moment, so whoever asks for more than one event's says
 * how many there are (`expect`); a different number is refused (409) and nothing happens. Each
 * one is a job for its shard's writer. They are handed over in batches, until all that were
 * there at the start are done or the time is up; the answer says what is left.
 */
#include <inttypes.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/check.h"
#include "base/log.h"
#include "control/control_internal.h"

/* ---- Listing --------------------------------------------------------------------------------- */

struct position {
	uint32_t shard;
	uint64_t sequence;
	uint32_t target_id;
};

/* "shard-sequence-target". */
static bool position_parse(const char *text, struct position *ret)
{
	struct bytes rest = bytes_of_text(text);
	struct bytes part;
	uint64_t number;
	bytes_split(rest, '-', &part, &rest);
	if (bytes_parse_u64(part, &number) != RESULT_OK || number >= WORKERS_MAX) return false;
	ret->shard = (uint32_t)number;
	bytes_split(rest, '-', &part, &rest);
	if (bytes_parse_u64(part, &ret->sequence) != RESULT_OK) return false;
	if (bytes_parse_u64(rest, &number) != RESULT_OK || number > UINT32_MAX) return false;
	ret->target_id = (uint32_t)number;
	return true;
}

/* The next one after the position; one that has rotted is passed over. */
static bool letter_next(struct store_txn *txn, const struct position *position,
	struct dead_letter *ret)
{
	uint64_t sequence = position->sequence;
	uint32_t target_id = position->target_id;
	for (;;) {
		enum result result = shard_dead_next(txn, sequence, target_id, ret);
		if (result != RESULT_MALFORMED) return result == RESULT_OK;
		sequence = ret->sequence;
		target_id = ret->target_id;
	}
}

/* Members that the list and the single view share. */
static void write_letter(struct json *json, struct store_txn *txn, const struct event *event,
	const struct dead_letter *letter)
{
	control_json_event_id(json, "event", event);
	control_json_name(json, "target", txn, 't', letter->target_id);
	control_json_name(json, "endpoint", txn, 'e', event->endpoint_id);
	json_time(json, "received", event->received);
	json_time(json, "since", letter->since);
	json_number(json, "attempt_count", letter->attempt_count);
	json_text(json, "error", attempt_error_code(letter->error));
	json_text(json, "error_text", attempt_error_text(letter->error));
	if (letter->status != 0) {
		json_number(json, "status", letter->status);
	} else {
		json_null(json, "status");
	}
}

/* Writes the rows of one shard from `position` on; false when the page is full. */
static bool write_shard(struct control_call *call, struct position *position, bool by_target,
	uint32_t target_id, uint32_t *left)
{
	struct store_txn txn = { 0 };
	struct dead_letter letter;
	struct json *json = &call->json;
	uint16_t shard = (uint16_t)position->shard;
	bool more = true;

	shard_read_begin(call->daemon->shards[shard], &txn);
	while (letter_next(&txn, position, &letter)) {
		if (*left == 0) {
			more = false;
			break;
		}
		position->sequence = letter.sequence;
		position->target_id = letter.target_id;
		if (by_target && letter.target_id != target_id) continue;
		struct event event;
		/* Dead letters keep their events: without one there is nothing to show. */
		if (shard_event_read(&txn, letter.sequence, &event) != RESULT_OK) continue;
		event.sequence = letter.sequence;
		event.shard = shard;
		json_object(json, NULL);
		write_letter(json, &txn, &event, &letter);
		json_object_end(json);
		(*left)--;
	}
	control_event_end(&txn);
	return more;
}

static uint64_t dead_count(const struct control_daemon *daemon)
{
	uint64_t count = 0;
	for (uint32_t i = 0; i < daemon->worker_count; i++) {
		count += shard_counters(daemon->shards[i]).deliveries_dead;
	}
	return count;
}

void control_handle_dead(struct control_call *call)
{
	uint32_t left;
	bool by_target;
	uint32_t target_id;
	if (!control_limit(call, &left)) return;
	if (!control_target_parameter(call, &by_target, &target_id)) return;
	struct position position = { 0 };
	const char *after = control_query_get(&call->query, "after");
	if (after != NULL && !position_parse(after, &position)) {
		control_problem(call, 400, "bad_cursor", "That is no position in this list",
			"after takes next_after of an earlier answer, unchanged");
		return;
	}

	struct json *json = control_answer(call, "penstock.dead/v1");
	json_number(json, "count", dead_count(call->daemon));
	json_array(json, "dead");
	bool all = true;
	while (all && position.shard < call->daemon->worker_count) {
		all = write_shard(call, &position, by_target, target_id, &left);
		if (all) position = (struct position){ .shard = position.shard + 1 };
	}
	json_array_end(json);
	if (all) {
		json_null(json, "next_after");
	} else {
		char text[64];
		snprintf(text, sizeof text, "%" PRIu32 "-%" PRIu64 "-%" PRIu32, position.shard,
			position.sequence, position.target_id);
		json_text(json, "next_after", text);
	}
	json_object_end(json);
}

/* The dead letter of one delivery. */
static bool letter_find(struct store_txn *txn, uint64_t sequence, uint32_t target_id,
	struct dead_letter *ret)
{
	/* "The next one after": so ask for what stands just before. */
	uint64_t before = target_id > 0 ? sequence : sequence - 1;
	uint32_t before_target = target_id > 0 ? target_id - 1 : UINT32_MAX;
	return shard_dead_next(txn, before, before_target, ret) == RESULT_OK &&
		ret->sequence == sequence && ret->target_id == target_id;
}

void control_handle_dead_event(struct control_call *call)
{
	struct store_txn txn;
	struct event event;
	bool by_target;
	uint32_t wanted;
	if (!control_target_parameter(call, &by_target, &wanted)) return;
	if (!control_event_begin(call, call->id, &txn, &event)) return;

	uint32_t count = 0;
	struct json *json = control_answer(call, "penstock.dead_event/v1");
	control_json_event_id(json, "id", &event);
	json_array(json, "dead");
	for (uint8_t i = 0; i < event.target_count; i++) {
		struct dead_letter letter;
		uint32_t target_id = event.target_ids[i];
		if (by_target && target_id != wanted) continue;
		if (!letter_find(&txn, event.sequence, target_id, &letter)) continue;
		json_object(json, NULL);
		write_letter(json, &txn, &event, &letter);
		control_json_attempts(call, &txn, &event, target_id);
		json_object_end(json);
		count++;
	}
	json_array_end(json);
	json_object_end(json);
	control_event_end(&txn);
	if (count == 0) {
		control_problem(call, 404, "not_dead", "No dead letter of this event",
			"its deliveries are delivered or on their way");
	}
}

/* ---- Replaying ------------------------------------------------------------------------------- */

struct replaying;

struct replay_job {
	struct queue_dead_job dead;
	struct replaying *replaying;
};

/* What was asked for, and how far it is. */
struct replaying {
	struct control_call *call;
	bool by_event;
	struct event event;
	bool by_target;
	uint32_t target_id;
	uint64_t expected; /* dead letters that matched at the start */
	uint64_t replayed;
	uint64_t gone; /* replayed or deleted by somebody else in between */
	enum result result;
	uint64_t end_us;
	struct replay_job *jobs; /* CONTROL_REPLAY_BATCH */
	pthread_mutex_t lock;    /* over `open`: the writers count it down */
	pthread_cond_t done;
	uint32_t open;
};

static bool letter_matches(const struct replaying *replaying, const struct dead_letter *letter)
{
	if (replaying->by_event && letter->sequence != replaying->event.sequence) return false;
	return !replaying->by_target || letter->target_id == replaying->target_id;
}

/* From *position on, at most `max` that match; they are all counted, and put into `ret` unless
 * that is NULL. An event's letters stand together: a search for them begins there. */
static uint64_t letters_find(const struct replaying *replaying, struct position *position,
	struct dead_letter *ret, uint64_t max)
{
	struct store_txn txn = { 0 };
	struct dead_letter letter;
	uint64_t count = 0;
	shard_read_begin(replaying->call->daemon->shards[position->shard], &txn);
	while (count < max && letter_next(&txn, position, &letter)) {
		if (replaying->by_event && letter.sequence > replaying->event.sequence) break;
		position->sequence = letter.sequence;
		position->target_id = letter.target_id;
		if (!letter_matches(replaying, &letter)) continue;
		if (ret != NULL) ret[count] = letter;
		count++;
	}
	control_event_end(&txn);
	return count;
}

static struct position position_first(const struct replaying *replaying, uint32_t shard)
{
	struct position position = { .shard = shard };
	if (replaying->by_event) {
		position.sequence = replaying->event.sequence - 1;
		position.target_id = UINT32_MAX;
	}
	return position;
}

static bool shard_concerned(const struct replaying *replaying, uint32_t shard)
{
	return !replaying->by_event || replaying->event.shard == shard;
}

static uint64_t letters_count(const struct replaying *replaying)
{
	uint64_t count = 0;
	for (uint32_t i = 0; i < replaying->call->daemon->worker_count; i++) {
		if (!shard_concerned(replaying, i)) continue;
		struct position position = position_first(replaying, i);
		count += letters_find(replaying, &position, NULL, UINT64_MAX);
	}
	return count;
}

/* Writer thread. */
static void job_complete(struct store_job *store_job)
{
	struct queue_dead_job *dead = CONTAINER_OF(store_job, struct queue_dead_job, job);
	struct replay_job *job = CONTAINER_OF(dead, struct replay_job, dead);
	struct replaying *replaying = job->replaying;
	pthread_mutex_lock(&replaying->lock);
	replaying->open--;
	if (replaying->open == 0) pthread_cond_signal(&replaying->done);
	pthread_mutex_unlock(&replaying->lock);
}

static void batch_run(struct replaying *replaying, uint32_t shard,
	const struct dead_letter *letters, uint32_t count)
{
	struct queue *queue = replaying->call->daemon->queues[shard];
	replaying->open = count;
	for (uint32_t i = 0; i < count; i++) {
		struct replay_job *job = &replaying->jobs[i];
		*job = (struct replay_job){ .replaying = replaying };
		job->dead.job.complete = job_complete;
		job->dead.queue = queue;
		job->dead.sequence = letters[i].sequence;
		job->dead.target_id = letters[i].target_id;
		job->dead.now = control_now();
		bytes_to_text(bytes_of_text(replaying->call->peer.actor), job->dead.actor,
			sizeof job->dead.actor);
	}
	for (uint32_t i = 0; i < count; i++) queue_dead_replay(queue, &replaying->jobs[i].dead);

	pthread_mutex_lock(&replaying->lock);
	while (replaying->open > 0) pthread_cond_wait(&replaying->done, &replaying->lock);
	pthread_mutex_unlock(&replaying->lock);
	for (uint32_t i = 0; i < count; i++) {
		const struct queue_dead_job *dead = &replaying->jobs[i].dead;
		if (dead->job.result != RESULT_OK) {
			replaying->result = dead->job.result;
		} else if (dead->found) {
			replaying->replayed++;
		} else {
			replaying->gone++;
		}
	}
}

static bool may_go_on(const struct replaying *replaying)
{
	return replaying->result == RESULT_OK && control_mono().us < replaying->end_us &&
		replaying->replayed + replaying->gone < replaying->expected &&
		!atomic_load(&replaying->call->control->stopping);
}

static void shard_replay(struct replaying *replaying, uint32_t shard)
{
	struct dead_letter letters[CONTROL_REPLAY_BATCH];
	struct position position = position_first(replaying, shard);
	while (may_go_on(replaying)) {
		/* Letters that died after they were counted are nobody's expectation. */
		uint64_t left = replaying->expected - replaying->replayed - replaying->gone;
		uint64_t max = left < CONTROL_REPLAY_BATCH ? left : CONTROL_REPLAY_BATCH;
		uint64_t count = letters_find(replaying, &position, letters, max);
		if (count == 0) return;
		batch_run(replaying, shard, letters, (uint32_t)count);
	}
}

static void replay_all(struct replaying *replaying)
{
	replaying->end_us = control_mono().us + CONTROL_REPLAY_TIME_MAX_MS * US_PER_MS;
	replaying->jobs = alloc_array(CONTROL_REPLAY_BATCH, sizeof *replaying->jobs);
	CHECK(pthread_mutex_init(&replaying->lock, NULL) == 0);
	CHECK(pthread_cond_init(&replaying->done, NULL) == 0);
	for (uint32_t i = 0; i < replaying->call->daemon->worker_count; i++) {
		if (shard_concerned(replaying, i)) shard_replay(replaying, i);
	}
	CHECK(pthread_cond_destroy(&replaying->done) == 0);
	CHECK(pthread_mutex_destroy(&replaying->lock) == 0);
	alloc_free(replaying->jobs);
}

/* What the parameters ask for. False: the answer is a problem already. */
static bool replaying_read(struct replaying *replaying)
{
	struct control_call *call = replaying->call;
	const char *event = control_query_get(&call->query, "event");
	const char *all = control_query_get(&call->query, "all");
	if (!control_target_parameter(call, &replaying->by_target, &replaying->target_id))
		return false;
	if (event != NULL) {
		struct store_txn txn;
		if (!control_event_begin(call, event, &txn, &replaying->event)) return false;
		control_event_end(&txn); /* only shard and sequence are used from here on */
		replaying->by_event = true;
	}
	bool is_all = all != NULL && strcmp(all, "true") == 0;
	if ((all != NULL && !is_all) || is_all == (event != NULL || replaying->by_target)) {
		control_problem(call, 400, "bad_parameter", "A parameter is wrong",
			"say which: event=, target=, both, or all=true");
		return false;
	}
	return true;
}

/* Compares with what the operator believes. */
static bool replaying_expected(struct replaying *replaying)
{
	struct control_call *call = replaying->call;
	const char *text = control_query_get(&call->query, "expect");
	uint64_t expect = 0;
	if (text != NULL && bytes_parse_u64(bytes_of_text(text), &expect) != RESULT_OK) {
		control_problem(call, 400, "bad_parameter", "A parameter is wrong",
			"expect is a number");
		return false;
	}
	if (text == NULL && !replaying->by_event) {
		control_problem(call, 400, "expect_missing", "Say how many you expect",
			"for all of a target, or all, expect=N must be the number of dead letters");
		return false;
	}
	replaying->expected = letters_count(replaying);
	if (text == NULL || expect == replaying->expected) return true;
	char detail[120];
	snprintf(detail, sizeof detail, "there are %" PRIu64 ", not %" PRIu64 "; nothing was done",
		replaying->expected, expect);
	struct json *json = control_problem_open(call, 409, "expectation_differs",
		"Another number of dead letters", detail);
	json_number(json, "count", replaying->expected);
	json_object_end(json);
	return false;
}

void control_handle_replay(struct control_call *call)
{
	struct replaying replaying = { .call = call, .result = RESULT_OK };
	if (!replaying_read(&replaying) || !replaying_expected(&replaying)) return;
	if (replaying.by_event && replaying.expected == 0) {
		control_problem(call, 404, "not_dead", "No dead letter of this event",
			"its deliveries are delivered or on their way");
		return;
	}
	replay_all(&replaying);
	log_notice("dead letters replayed by=\"%s\" count=%" PRIu64 " of=%" PRIu64,
		call->peer.actor, replaying.replayed, replaying.expected);
	if (replaying.result != RESULT_OK) {
		char detail[160];
		snprintf(detail, sizeof detail, "%s; %" PRIu64 " were replayed before that",
			result_text(replaying.result), replaying.replayed);
		struct json *json = control_problem_open(call, 500, "store_failed",
			"The store refused", detail);
		json_number(json, "replayed", replaying.replayed);
		json_object_end(json);
		return;
	}
	uint64_t done = replaying.replayed + replaying.gone;
	struct json *json = control_answer(call, "penstock.replay/v1");
	json_number(json, "expected", replaying.expected);
	json_number(json, "replayed", replaying.replayed);
	json_number(json, "gone", replaying.gone);
	json_number(json, "remaining", replaying.expected > done ? replaying.expected - done : 0);
	json_bool(json, "complete", done >= replaying.expected);
	json_object_end(json);
}
