/* SPDX-License-Identifier: GPL-2.0-or-later */
/* control_upgrade — the program on disk takes over. The answer says that it is fit to and that it
 * will; the next daemon at this socket that started later has done it.
 */
#include <stdio.h>
#include <unistd.h>

#include "base/log.h"
#include "base/version.h"
#include "control/control_internal.h"

/* The store stays open until this is answered. */
static void upgrade_note(struct control_call *call, enum result result)
{
	char outcome[96];

	if (result == RESULT_OK) {
		snprintf(outcome, sizeof outcome, "from version %s", penstock_version);
	} else {
		snprintf(outcome, sizeof outcome, "refused: %s", result_text(result));
	}
	control_action(call, SHARD_ACTION_UPGRADE, outcome);
}

void control_handle_upgrade(struct control_call *call)
{
	const struct control_daemon *daemon = call->daemon;
	char error[400] = "";

	log_notice("upgrade asked for by=\"%s\"", call->peer.actor);
	enum result result = daemon->upgrade(daemon->owner, error, sizeof error);
	upgrade_note(call, result);
	if (result == RESULT_OK) {
		struct json *json = control_answer(call, "penstock.upgrade/v1");
		json_text(json, "version", penstock_version);
		json_time(json, "started", daemon->started);
		json_number(json, "pid", (uint64_t)getpid());
		json_object_end(json);
		call->status = 202;
		return;
	}
	bool unfit = result == RESULT_CONFIG;
	control_problem(call, unfit ? 422 : 409, unfit ? "upgrade_unfit" : "upgrade_refused",
		unfit ? "The program on disk is not fit to take over"
		      : "No upgrade is possible now",
		"%s", error);
}
