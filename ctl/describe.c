/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "describe.h"

#include "arguments.h"
#include "base/check.h"
#include "commands.h"
#include "help.h"

enum { COMMANDS_MAX = 128 };

static const char *const synopsis[] = {
	"[OPTION...] COMMAND [ARGUMENT...]",
	"help [COMMAND]",
	NULL,
};

static const struct program_entry environment[] = {
	{ "PENSTOCK_SOCKET", "the daemon's control socket, where --socket does not say" },
	{ "NO_COLOR", "when it is set and not empty: no colours" },
	{ NULL, NULL },
};

static const struct program_entry files[] = {
	{ CONTROL_SOCKET_DEFAULT, "the daemon's control socket" },
	{ "/etc/penstock/penstock.yaml", "the configuration" },
	{ NULL, NULL },
};

/* The codes of sysexits(3), and 1. */
const struct program_entry describe_exits[] = {
	{ "0", "it is done, or the answer is yes" },
	{ "1", "the question was answered, and the answer is no" },
	{ "64", "EX_USAGE: wrong options or arguments" },
	{ "65", "EX_DATAERR: wrong data, or another number than --expect says" },
	{ "66", "EX_NOINPUT: there is no such event, file or backup" },
	{ "69", "EX_UNAVAILABLE: the daemon does not run, or does where it must not" },
	{ "70", "EX_SOFTWARE: a mistake in the program" },
	{ "73", "EX_CANTCREAT: a file cannot be made, or would be written over" },
	{ "74", "EX_IOERR: reading or writing failed" },
	{ "75", "EX_TEMPFAIL: not all is done, try again" },
	{ "76", "EX_PROTOCOL: the answer is not understood" },
	{ "77", "EX_NOPERM: your role does not allow it; the message names the role and the key" },
	{ "78", "EX_CONFIG: the configuration is wrong" },
	{ NULL, NULL },
};

static size_t option_count(const struct command *command)
{
	size_t count = 0;
	while (count < OPTIONS_MAX && command->options[count].name != NULL) count++;
	return count;
}

bool describe_generate(const char *what, FILE *file)
{
	static struct program_command rows[COMMANDS_MAX];
	CHECK(command_count <= COMMANDS_MAX);
	for (size_t i = 0; i < command_count; i++) {
		rows[i] = (struct program_command){
			.name = commands[i].name,
			.arguments = commands[i].arguments,
			.help = commands[i].help,
			.text = commands[i].text,
			.needs = help_role(commands[i].role),
			.options = commands[i].options,
			.option_count = option_count(&commands[i]),
		};
	}
	const struct program program = {
		.name = "penstockctl",
		.section = 1,
		.summary = "look at and direct the Penstock webhook data plane",
		.synopsis = synopsis,
		.text = "penstockctl asks the daemon penstockd(8) over its control socket. Which\n"
			"commands you may use is decided by your user and groups: see the key\n"
			"control of the configuration.\n\n"
			"Options may stand anywhere; \"--\" ends them. With --json the answer is\n"
			"JSON, and so is an error: a problem document (RFC 9457) with a stable\n"
			"member code. The first member of each document, schema, says what it is\n"
			"and in which version; members may be added within a version, so programs\n"
			"must ignore those they do not know.",
		.options = arguments_global_options,
		.option_count = arguments_global_option_count,
		.commands = rows,
		.command_count = command_count,
		.environment = environment,
		.files = files,
		.exits = describe_exits,
		.examples = "  penstockctl status\n"
			    "  penstockctl events list --state dead --json | jq -r .events[].id\n"
			    "  penstockctl dlq replay --target orders --expect 37",
		.see_also = "penstockd(8), penstock-bench(1)",
	};
	return program_generate(&program, what, file);
}
