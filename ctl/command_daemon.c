/* SPDX-License-Identifier: GPL-2.0-or-later */
/* command_daemon — drain, stop, version. */
#include <inttypes.h>
#include <stdio.h>

#include "answer.h"
#include "base/version.h"
#include "confirm.h"
#include "units.h"

static int ask_for(const struct invocation *invocation, const char *path, const char *text)
{
	struct answer answer;
	int exit_code;
	struct client_target target = client_target_of(path);
	if (answer_get(invocation, "POST", &target, &answer, &exit_code)) {
		printf("%s (state: %s)\n", text, member_text(answer.root, "state"));
	}
	answer_free(&answer);
	return exit_code;
}

int command_drain(const struct invocation *invocation)
{
	if (!confirm(invocation, "No more events will be taken in until the next start. Drain?")) {
		return EXIT_NEGATIVE;
	}
	return ask_for(invocation, CONTROL_API "/drain",
		"no more events are taken in, deliveries go on");
}

int command_stop(const struct invocation *invocation)
{
	if (!confirm(invocation,
		    "No more events will be taken in or delivered. Stop the daemon?")) {
		return EXIT_NEGATIVE;
	}
	return ask_for(invocation, CONTROL_API "/stop", "the daemon is stopping");
}

int command_version(const struct invocation *invocation)
{
	struct answer answer;
	int exit_code;
	struct client_target target = client_target_of(CONTROL_API "/version");
	if (!invocation->json) printf("penstockctl %s\n", penstock_version);
	if (answer_get(invocation, "GET", &target, &answer, &exit_code)) {
		printf("penstockd   %s, api %s, your role: %s\n",
			member_text(answer.root, "version"), member_text(answer.root, "api"),
			member_text(answer.root, "role"));
	}
	answer_free(&answer);
	return exit_code;
}
