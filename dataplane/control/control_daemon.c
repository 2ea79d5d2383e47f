/* SPDX-License-Identifier: GPL-2.0-or-later */
/* control_daemon — what is asked of the daemon as a whole: version, stop.
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

static void answer_state(struct control_call *call)
{
	const struct control_daemon *daemon = call->daemon;
	struct json *json = control_answer(call, "penstock.daemon/v1");
	json_text(json, "state", daemon_state_code(daemon->state(daemon->owner)));
	json_object_end(json);
	call->status = 202;
}

void control_handle_stop(struct control_call *call)
{
	control_action(call, SHARD_ACTION_STOP, "");
	call->daemon->stop(call->daemon->owner);
	answer_state(call);
}
