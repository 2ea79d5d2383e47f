/* SPDX-License-Identifier: GPL-2.0-or-later */
/* control_generations — from one configuration to the next: reload, confirm, rollback, history.
 *
 * Whoever changes something is named in a log line and in the history.
 */
#include <inttypes.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/log.h"
#include "control/control_internal.h"

/* The report as its module writes it, so that there is one shape for diagnostics. */
static void write_report(struct json *json, const struct config_report *report)
{
	char *text = NULL;
	size_t size = 0;
	FILE *file = open_memstream(&text, &size);
	if (file == NULL) {
		json_null(json, "report");
		return;
	}
	config_report_print_json(report, file);
	fclose(file);
	while (size > 0 && text[size - 1] == '\n') size--;
	json_raw(json, "report", bytes_of(text, size));
	alloc_free(text);
}

static void write_changed(struct json *json, const struct control_change *change)
{
	json_number(json, "generation", change->generation);
	json_time(json, "confirm_before", change->confirm_before);
	json_array(json, "changes");
	for (uint32_t i = 0; i < change->changes->count; i++) {
		json_text(json, NULL, change->changes->lines[i]);
	}
	json_array_end(json);
	json_number(json, "changes_left_out", change->changes->dropped_count);
	write_report(json, change->report);
	json_object_end(json);
}

static void answer_refused(struct control_call *call, const struct control_change *change,
	enum result result)
{
	struct json *json = NULL;
	const char *detail = change->error[0] != '\0' ? change->error : result_text(result);

	if (result == RESULT_CONFIG) {
		json = control_problem_open(call, 422, "config_invalid",
			"The configuration is wrong",
			"the daemon goes on with the configuration it has");
	} else if (result == RESULT_BUSY) {
		json = control_problem_open(call, 409, "unconfirmed", "The change has to wait",
			detail);
	} else if (result == RESULT_NOT_FOUND) {
		json = control_problem_open(call, 404, "no_such_generation",
			"There is no such generation", detail);
	} else {
		json = control_problem_open(call, 500, "reload_failed", "The reload failed",
			detail);
	}
	write_report(json, change->report);
	json_object_end(json);
}

/* 0 … CONFIRM_WITHIN_S_LIMIT seconds. False: the answer is a problem already. */
static bool confirm_within(struct control_call *call, uint64_t *ret)
{
	const char *text = control_query_get(&call->query, "confirm_within");
	*ret = 0;
	if (text == NULL) return true;
	if (bytes_parse_u64(bytes_of_text(text), ret) == RESULT_OK && *ret >= 1 &&
		*ret <= CONFIRM_WITHIN_S_LIMIT) {
		return true;
	}
	control_problem(call, 400, "bad_parameter", "A parameter is wrong",
		"confirm_within is a number of seconds from 1 to %u", CONFIRM_WITHIN_S_LIMIT);
	return false;
}

static void change_note(struct control_call *call, const struct control_change *change,
	enum result result)
{
	const char *what = change->kind == CONTROL_CHANGE_ROLLBACK ? "rolled back, " : "";
	char outcome[96];

	if (result == RESULT_OK) {
		snprintf(outcome, sizeof outcome, "%sgeneration %" PRIu64, what,
			change->generation);
	} else {
		snprintf(outcome, sizeof outcome, "%srefused: %s", what, result_text(result));
	}
	control_action(call, SHARD_ACTION_RELOAD, outcome);
}

static void change_run(struct control_call *call, struct control_change *change)
{
	struct control *control = call->control;
	const struct control_daemon *daemon = call->daemon;
	/* Too large for the stack of a thread. */
	change->report = alloc_array(1, sizeof *change->report);
	change->changes = alloc_array(1, sizeof *change->changes);
	change->actor = call->peer.actor;

	if (confirm_within(call, &change->confirm_within_s)) {
		enum result result = daemon->change(daemon->owner, change);
		atomic_store(&control->reload_ok, result == RESULT_OK);
		atomic_store(&control->reload_us, control_now().us);
		change_note(call, change, result);
		if (result == RESULT_OK) {
			write_changed(control_answer(call, "penstock.reload/v1"), change);
		} else {
			answer_refused(call, change, result);
		}
	}
	alloc_free(change->report);
	alloc_free(change->changes);
}

void control_handle_reload(struct control_call *call)
{
	struct control_change change = { .kind = CONTROL_CHANGE_RELOAD };

	log_notice("reload asked for by=\"%s\"", call->peer.actor);
	change_run(call, &change);
}

void control_handle_rollback(struct control_call *call)
{
	struct control_change change = { .kind = CONTROL_CHANGE_ROLLBACK };
	const char *to = control_query_get(&call->query, "to");

	if (to != NULL && bytes_parse_u64(bytes_of_text(to), &change.to) != RESULT_OK) {
		control_problem(call, 400, "bad_parameter", "A parameter is wrong",
			"to is the number of a generation, see history");
		return;
	}
	log_notice("rollback asked for by=\"%s\"", call->peer.actor);
	change_run(call, &change);
}

void control_handle_confirm(struct control_call *call)
{
	const struct control_daemon *daemon = call->daemon;
	uint64_t generation = 0;

	if (daemon->confirm(daemon->owner, call->peer.actor, &generation) != RESULT_OK) {
		control_problem(call, 409, "nothing_to_confirm", "Nothing is to be confirmed",
			"the generation that is served was not loaded with confirm_within, was "
			"confirmed already, or its time is over: see history");
		return;
	}
	char outcome[64];
	snprintf(outcome, sizeof outcome, "confirmed, generation %" PRIu64, generation);
	control_action(call, SHARD_ACTION_RELOAD, outcome);
	struct json *json = control_answer(call, "penstock.confirm/v1");
	json_number(json, "generation", generation);
	json_object_end(json);
}

static void write_generation(struct json *json, const struct control_generation *row)
{
	static const char *const kinds[] = {
#define X(name, code, text) code,
		CONTROL_CHANGE_TABLE(X)
#undef X
	};
	static const char *const outcomes[] = {
#define X(name, code, text) code,
		CONTROL_OUTCOME_TABLE(X)
#undef X
	};
	json_object(json, NULL);
	json_number(json, "generation", row->number);
	json_time(json, "time", row->time);
	json_text(json, "by", row->actor);
	json_text(json, "kind", kinds[row->kind]);
	json_text(json, "result", outcomes[row->outcome]);
	json_number(json, "text_of", row->text);
	json_text(json, "changes", row->changes);
	json_object_end(json);
}

void control_handle_history(struct control_call *call)
{
	const struct control_daemon *daemon = call->daemon;
	uint32_t limit;
	if (!control_limit(call, &limit)) return;

	struct control_generation *rows = alloc_array(GENERATIONS_MAX, sizeof *rows);
	size_t count = daemon->history(daemon->owner, rows, GENERATIONS_MAX);
	struct json *json = control_answer(call, "penstock.history/v1");
	json_array(json, "generations");
	for (size_t i = 0; i < count && i < limit; i++) write_generation(json, &rows[i]);
	json_array_end(json);
	json_object_end(json);
	alloc_free(rows);
}
