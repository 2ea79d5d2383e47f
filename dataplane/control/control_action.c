/* SPDX-License-Identifier: GPL-2.0-or-later */
/* control_action — what people change goes into the audit log, and can be listed from there.
 *
 * Task threads: an entry waits for its commit. Should the store refuse it, the log has it, and what
 * was asked for is done all the same: whoever wants to stop a daemon with a full disk must be able
 * to.
 */
#include <inttypes.h>
#include <semaphore.h>
#include <stdio.h>

#include "base/check.h"
#include "base/log.h"
#include "control/control_internal.h"
#include "queue/shard_action.h"

BOUND((int)CONTROL_ACTOR_SIZE == (int)SHARD_ACTOR_SIZE);

struct entry {
	struct shard_action action;
	sem_t done;
};

/* Writer thread. */
static void entry_complete(struct store_job *job)
{
	struct shard_action *action = CONTAINER_OF(job, struct shard_action, job);
	sem_post(&CONTAINER_OF(action, struct entry, action)->done);
}

void control_action(struct control_call *call, enum shard_action_kind kind, const char *text)
{
	struct entry entry = {
		.action = { .job.complete = entry_complete, .kind = kind, .when = control_now() },
	};
	struct shard_action *action = &entry.action;

	CHECK(call->task != NULL);
	bytes_to_text(bytes_of_text(call->peer.actor), action->actor, sizeof action->actor);
	snprintf(action->text, sizeof action->text, "%s", text); /* cut off when it is longer */
	log_notice("%s by=\"%s\" text=\"%s\"", shard_action_text((uint8_t)kind), action->actor,
		action->text);
	CHECK(sem_init(&entry.done, 0, 0) == 0);
	shard_action_submit(call->daemon->shards[0], action);
	while (sem_wait(&entry.done) != 0) continue;
	sem_destroy(&entry.done);
	if (action->job.result == RESULT_OK) return;
	log_error("this is not in the audit log: %s by=\"%s\" result=\"%s\"",
		shard_action_text((uint8_t)kind), action->actor, result_text(action->job.result));
}

/* ---- The list -------------------------------------------------------------------------------- */

static bool before_parameter(struct control_call *call, uint64_t *ret)
{
	const char *text = control_query_get(&call->query, "before");
	*ret = 0;
	if (text == NULL) return true;
	if (bytes_parse_u64(bytes_of_text(text), ret) == RESULT_OK && *ret > 0) return true;
	control_problem(call, 400, "bad_cursor", "That is no position in this list",
		"before takes next_before of an earlier answer, unchanged");
	return false;
}

static void write_action(struct json *json, enum result result, const struct shard_action_row *row)
{
	json_object(json, NULL);
	json_number(json, "number", row->counter);
	json_bool(json, "readable", result == RESULT_OK);
	if (result == RESULT_OK) {
		json_text(json, "action", shard_action_text(row->kind));
		json_time(json, "time", row->when);
		json_bytes(json, "actor", row->actor);
		json_bytes(json, "text", row->text);
	}
	json_object_end(json);
}

void control_handle_actions(struct control_call *call)
{
	struct store_txn txn = { 0 };
	struct shard_action_row row = { 0 };
	uint32_t left;
	uint64_t before;

	if (!control_limit(call, &left) || !before_parameter(call, &before)) return;
	struct json *json = control_answer(call, "penstock.actions/v1");
	json_array(json, "actions");
	shard_read_begin(call->daemon->shards[0], &txn);
	enum result result = shard_action_before(&txn, before, &row);
	for (; (result == RESULT_OK || result == RESULT_MALFORMED) && left > 0; left--) {
		write_action(json, result, &row);
		before = row.counter;
		result = shard_action_before(&txn, before, &row);
	}
	json_array_end(json);
	if (result == RESULT_NOT_FOUND) {
		json_null(json, "next_before");
	} else {
		char text[24];
		snprintf(text, sizeof text, "%" PRIu64, before);
		json_text(json, "next_before", text);
	}
	json_object_end(json);
	bool failed = txn.result != RESULT_OK;
	enum result read_result = txn.result;
	store_read_done(&txn);
	if (failed) control_problem_store(call, read_result);
}
