/* SPDX-License-Identifier: GPL-2.0-or-later */
/* command_doctor — looks this host over, without a daemon. */
#include "base/alloc.h"
#include "command.h"
#include "doctor.h"

int command_doctor(const struct invocation *invocation)
{
	const char *path = invocation->argument_count > 0 ? invocation->arguments[0] : NULL;
	struct doctor *doctor = doctor_run(path);
	if (invocation->json) {
		doctor_print_json(doctor, stdout);
	} else {
		doctor_print(doctor, invocation->colour, stdout);
	}
	int exit_code = doctor->counts[DOCTOR_FAIL] > 0 ? EXIT_NEGATIVE : EX_OK;
	alloc_free(doctor);
	return exit_code;
}
