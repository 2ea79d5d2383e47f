/* SPDX-License-Identifier: GPL-2.0-or-later */
/* control_routes — from a request to its handler: the table of protocol.h, matched in order.
 *
 * Everything that can be refused without asking the handler is refused here: unknown path (404),
 * wrong method (405), missing role (403), a body (413), wrong parameters (400).
 */
#include <stdio.h>

#include "base/check.h"
#include "control/control_internal.h"

struct route {
	const char *method;
	const char *path;
	const char *parameters;
	const char *help;
	void (*handle)(struct control_call *call);
	enum control_role role;
	enum control_pace pace;
};

static const struct route routes[] = {
#define X(name, handler, method_, path_, role_, pace_, parameters_, help_) \
	[CONTROL_ROUTE_##name] = { \
		.method = method_, \
		.path = path_, \
		.parameters = parameters_, \
		.help = help_, \
		.handle = control_handle_##handler, \
		.role = CONTROL_ROLE_##role_, \
		.pace = CONTROL_##pace_, \
	},
	CONTROL_ROUTE_TABLE(X)
#undef X
};
BOUND(ARRAY_COUNT(routes) == CONTROL_ROUTE_COUNT);

static const char *const role_codes[] = {
#define X(name, code, text) [CONTROL_ROLE_##name] = code,
	CONTROL_ROLE_TABLE(X)
#undef X
};

/* "/v1/events/{id}" against a path; *ret_id is what stands for {id}. */
static bool path_matches(const char *pattern, struct bytes path, struct bytes *ret_id)
{
	struct bytes rest = bytes_of_text(pattern);
	*ret_id = BYTES_EMPTY;
	while (rest.size > 0) {
		struct bytes want;
		struct bytes have;
		bytes_split(rest, '/', &want, &rest);
		bool more = bytes_split(path, '/', &have, &path);
		if (bytes_equal(want, BYTES_LITERAL("{id}"))) {
			if (have.size == 0) return false;
			*ret_id = have;
		} else if (!bytes_equal(want, have)) {
			return false;
		}
		if (more != (rest.size > 0)) return false;
	}
	return true;
}

enum control_pace control_route_pace(enum control_route route)
{
	return routes[route].pace;
}

void control_route_run(struct control_call *call)
{
	routes[call->route].handle(call);
}

static void refuse_role(struct control_call *call, enum control_role role)
{
	const struct control_peer *peer = &call->peer;
	if (peer->loopback) {
		control_problem(call, 403, "not_on_loopback", "Not here",
			"this listener serves /metrics, /healthz and /readyz; "
			"the rest is on the control socket");
		return;
	}
	static const char *const keys[] = {
		[CONTROL_ROLE_READ] = "be a member of control.group",
		[CONTROL_ROLE_OPERATE] = "be listed in control.operators",
		[CONTROL_ROLE_ADMIN] = "be listed in control.admins",
	};
	bool none = peer->role == CONTROL_ROLE_NONE;
	const char *name = control_access_name(&call->control->access, peer->uid);
	char detail[200];
	char fix[160];
	snprintf(detail, sizeof detail, "this needs the role %s; user %s%s%u has %s",
		role_codes[role], name, *name != '\0' ? ", uid " : "", (unsigned)peer->uid,
		none ? "none" : role_codes[peer->role]);
	snprintf(fix, sizeof fix, "%s in the daemon's configuration, which takes a restart",
		keys[role]);
	struct json *json = control_problem_open(call, 403, none ? "no_role" : "role_missing",
		none ? "You may not use this socket" : "You may not do this", detail);
	json_text(json, "role", role_codes[role]);
	json_text(json, "fix", fix);
	json_object_end(json);
}

static bool call_admit(struct control_call *call, const struct http_request *request,
	const struct route *route)
{
	if (call->peer.role < route->role) {
		refuse_role(call, route->role);
		return false;
	}
	if (request->body != HTTP_BODY_NONE) {
		control_problem(call, 413, "body_not_expected", "No request here has a body",
			"parameters stand in the query");
		return false;
	}
	char error[160];
	if (!control_query_parse(&call->query, request->query, route->parameters, error,
		    sizeof error)) {
		control_problem(call, 400, "bad_parameter", "A parameter is wrong", "%s", error);
		return false;
	}
	return true;
}

bool control_route_find(struct control_call *call, const struct http_request *request)
{
	const char *other_method = NULL;
	/* Even what exists is not said to somebody without a role. */
	if (!call->peer.loopback && call->peer.role == CONTROL_ROLE_NONE) {
		refuse_role(call, CONTROL_ROLE_READ);
		return false;
	}
	for (size_t i = 0; i < ARRAY_COUNT(routes); i++) {
		struct bytes id;
		if (!path_matches(routes[i].path, request->path, &id)) continue;
		if (!bytes_equal(bytes_of_text(routes[i].method), request->method)) {
			other_method = routes[i].method;
			continue;
		}
		call->route = (enum control_route)i;
		const struct http_field *accept =
			http_field_find(&request->fields, BYTES_LITERAL("accept"));
		if (accept != NULL) call->metrics_format = metrics_format_accepted(accept->value);
		if (!call_admit(call, request, &routes[i])) return false;
		if (!bytes_to_text(id, call->id, sizeof call->id)) {
			control_problem(call, 404, "no_such_event", "There is no such event",
				"an event id has %d characters", EVENT_ID_TEXT_SIZE - 1);
			return false;
		}
		return true;
	}
	if (other_method != NULL) {
		call->allow = other_method;
		control_problem(call, 405, "method_not_allowed", "Another method is wanted",
			"this path takes %s", other_method);
		return false;
	}
	control_problem(call, 404, "no_such_route", "There is no such path",
		"GET " CONTROL_API " lists them");
	return false;
}

void control_handle_routes(struct control_call *call)
{
	static const char *const paces[] = { "quick", "slow", "stream" };
	struct json *json = control_answer(call, "penstock.routes/v1");
	json_array(json, "routes");
	for (size_t i = 0; i < ARRAY_COUNT(routes); i++) {
		json_object(json, NULL);
		json_text(json, "method", routes[i].method);
		json_text(json, "path", routes[i].path);
		json_text(json, "role", role_codes[routes[i].role]);
		json_text(json, "pace", paces[routes[i].pace]);
		json_text(json, "parameters", routes[i].parameters);
		json_text(json, "help", routes[i].help);
		json_object_end(json);
	}
	json_array_end(json);
	json_object_end(json);
}
