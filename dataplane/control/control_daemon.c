/* SPDX-License-Identifier: GPL-2.0-or-later */
/* control_daemon — what is asked of the daemon as a whole: version, reload, drain, stop.
 *
 * Whoever changes something is named in a log line.
 */
#include <inttypes.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/version.h"
#include "control/control_internal.h"

void control_handle_version(struct control_call *call)
{
	static const char *const roles[] = {
#define X(name, code, text) code,
		CONTROL_ROLE_TABLE(X)
#undef X
	};
	struct json *json = control_answer(call, "penstock.version/v1");
	json_text(json, "version", penstock_version);
	json_text(json, "api", CONTROL_API);
	json_text(json, "role", roles[call->peer.role]);
	json_number(json, "uid", call->peer.uid);
	json_object_end(json);
}

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

void control_handle_reload(struct control_call *call)
{
	struct control *control = call->control;
	const struct control_daemon *daemon = call->daemon;
	/* Too large for the stack of a thread. */
	struct config_report *report = alloc_array(1, sizeof *report);
	uint64_t generation = 0;

	log_notice("reload asked for by=\"%s\"", call->peer.actor);
	enum result result = daemon->reload(daemon->owner, report, &generation);
	atomic_store(&control->reload_ok, result == RESULT_OK);
	atomic_store(&control->reload_us, control_now().us);
	char outcome[64];
	if (result == RESULT_OK) {
		snprintf(outcome, sizeof outcome, "generation %" PRIu64, generation);
	} else {
		snprintf(outcome, sizeof outcome, "refused: %s", result_text(result));
	}
	control_action(call, SHARD_ACTION_RELOAD, outcome);
	if (result == RESULT_OK) {
		struct json *json = control_answer(call, "penstock.reload/v1");
		json_number(json, "generation", generation);
		write_report(json, report);
		json_object_end(json);
	} else {
		bool config = result == RESULT_CONFIG;
		struct json *json = control_problem_open(call, config ? 422 : 500,
			config ? "config_invalid" : "reload_failed",
			config ? "The configuration is wrong" : "The reload failed",
			config ? "the daemon goes on with the configuration it has"
			       : result_text(result));
		write_report(json, report);
		json_object_end(json);
	}
	alloc_free(report);
}

static void answer_state(struct control_call *call)
{
	const struct control_daemon *daemon = call->daemon;
	struct json *json = control_answer(call, "penstock.daemon/v1");
	json_text(json, "state", daemon_state_code(daemon->state(daemon->owner)));
	json_object_end(json);
	call->status = 202;
}

void control_handle_drain(struct control_call *call)
{
	control_action(call, SHARD_ACTION_DRAIN, "");
	call->daemon->drain(call->daemon->owner);
	answer_state(call);
}

void control_handle_stop(struct control_call *call)
{
	control_action(call, SHARD_ACTION_STOP, "");
	call->daemon->stop(call->daemon->owner);
	answer_state(call);
}
