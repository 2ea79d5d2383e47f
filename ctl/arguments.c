/* SPDX-License-Identifier: GPL-2.0-or-later */
/* arguments — see the header. */
#include "arguments.h"

#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"

enum { DISTANCE_TEXT_MAX = 32, NEAR_MAX = 2, TIMEOUT_S_MAX = 86400 };

const struct program_option arguments_global_options[] = {
	{ .name = "socket",
		.value = "PATH",
		.help = "the daemon's control socket (also: PENSTOCK_SOCKET)",
		.otherwise = CONTROL_SOCKET_DEFAULT },
	{ .name = "json", .help = "print JSON, errors too" },
	{ .name = "no-color", .help = "no colours (also: NO_COLOR)" },
	{ .name = "timeout",
		.value = "SECONDS",
		.help = "how long to wait for the daemon to go on",
		.otherwise = "60" },
	{ .name = "help", .help = "help for the command", .code = 'h' },
	{ .name = "version", .help = "the version of this program" },
};
const size_t arguments_global_option_count = ARRAY_COUNT(arguments_global_options);

const char *invocation_option(const struct invocation *invocation, const char *name)
{
	for (size_t i = 0; i < OPTIONS_MAX; i++) {
		const struct program_option *option = &invocation->command->options[i];
		if (option->name == NULL) break;
		if (strcmp(option->name, name) == 0) return invocation->values[i];
	}
	CHECK(!"an option that the table does not have");
	return NULL;
}

/* ---- Did you mean ---------------------------------------------------------------------------- */

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
	unsigned least = a < b ? a : b;
	return least < c ? least : c;
}

unsigned arguments_distance(const char *a, const char *b, unsigned max)
{
	size_t a_size = strlen(a);
	size_t b_size = strlen(b);
	unsigned rows[3][DISTANCE_TEXT_MAX + 1];
	if (a_size > DISTANCE_TEXT_MAX || b_size > DISTANCE_TEXT_MAX) return max + 1;

	/* Optimal string alignment: the row before the last one is kept for swaps. */
	for (unsigned j = 0; j <= b_size; j++) rows[0][j] = j;
	for (unsigned i = 1; i <= a_size; i++) {
		unsigned *row = rows[i % 3];
		const unsigned *last = rows[(i + 2) % 3];
		const unsigned *before = rows[(i + 1) % 3];
		row[0] = i;
		for (unsigned j = 1; j <= b_size; j++) {
			unsigned change = last[j - 1] + (a[i - 1] != b[j - 1]);
			row[j] = min3(change, last[j] + 1, row[j - 1] + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
				before[j - 2] + 1 < row[j]) {
				row[j] = before[j - 2] + 1;
			}
		}
	}
	unsigned distance = rows[a_size % 3][b_size];
	return distance <= max ? distance : max + 1;
}

struct nearest {
	const char *wanted;
	const char *found;
	unsigned distance;
};

static void nearest_try(struct nearest *nearest, const char *candidate)
{
	unsigned distance = arguments_distance(nearest->wanted, candidate, NEAR_MAX);
	/* "ls" is not a misspelt "dlq": at least half the letters must be right. */
	if (distance > NEAR_MAX || 2 * distance > strlen(candidate)) return;
	if (nearest->found == NULL || distance < nearest->distance) {
		nearest->found = candidate;
		nearest->distance = distance;
	}
}

/* ---- Commands -------------------------------------------------------------------------------- */

struct parse {
	const struct command *commands;
	size_t command_count;
	struct invocation *invocation;
	struct arguments_result *result;
	const char *first; /* of a command of two words, while the second is awaited */
};

static void wrong(struct parse *parse, const char *what, const char *given, const char *near)
{
	parse->result->verdict = ARGUMENTS_WRONG;
	snprintf(parse->result->error, sizeof parse->result->error, "%s \"%.60s\"%s%s%s", what,
		given, near != NULL ? "; did you mean " : "", near != NULL ? near : "",
		near != NULL ? "?" : "");
}

static const struct command *command_named(const struct parse *parse, const char *first,
	const char *second)
{
	char name[64];
	snprintf(name, sizeof name, "%s%s%s", first, second != NULL ? " " : "",
		second != NULL ? second : "");
	for (size_t i = 0; i < parse->command_count; i++) {
		if (strcmp(parse->commands[i].name, name) == 0) return &parse->commands[i];
	}
	return NULL;
}

static bool command_is_group(const struct parse *parse, const char *first)
{
	size_t size = strlen(first);
	for (size_t i = 0; i < parse->command_count; i++) {
		const char *name = parse->commands[i].name;
		if (strncmp(name, first, size) == 0 && name[size] == ' ') return true;
	}
	return false;
}

static void no_command(struct parse *parse, const char *word)
{
	struct nearest nearest = { .wanted = word };
	static char first[DISTANCE_TEXT_MAX];
	static char best[DISTANCE_TEXT_MAX];
	for (size_t i = 0; i < parse->command_count; i++) {
		struct bytes head;
		struct bytes tail;
		const char *name = parse->commands[i].name;
		bytes_split(bytes_of_text(name), ' ', &head, &tail);
		bytes_to_text(head, first, sizeof first);
		unsigned before = nearest.found == NULL ? NEAR_MAX + 1 : nearest.distance;
		nearest_try(&nearest, first);
		if (nearest.found != NULL && nearest.distance < before)
			memcpy(best, first, sizeof best);
	}
	wrong(parse, "there is no command", word, nearest.found != NULL ? best : NULL);
}

static void no_subcommand(struct parse *parse, const char *word)
{
	struct nearest nearest = { .wanted = word };
	size_t size = strlen(parse->first);
	for (size_t i = 0; i < parse->command_count; i++) {
		const char *name = parse->commands[i].name;
		if (strncmp(name, parse->first, size) != 0 || name[size] != ' ') continue;
		nearest_try(&nearest, name + size + 1);
	}
	char what[80];
	snprintf(what, sizeof what, "%s has no subcommand", parse->first);
	wrong(parse, what, word, nearest.found);
}

/* A word that is neither an option nor its value. */
static void take_word(struct parse *parse, const char *word)
{
	struct invocation *invocation = parse->invocation;
	if (invocation->command != NULL) {
		const struct command *command = invocation->command;
		if (invocation->argument_count == command->argument_count_max) {
			char what[120];
			snprintf(what, sizeof what, "%s takes %s, not also", command->name,
				command->argument_count_max == 0 ? "no arguments"
								 : command->arguments);
			wrong(parse, what, word, NULL);
			return;
		}
		invocation->arguments[invocation->argument_count++] = word;
		return;
	}
	if (parse->first != NULL) {
		invocation->command = command_named(parse, parse->first, word);
		if (invocation->command == NULL) no_subcommand(parse, word);
		return;
	}
	invocation->command = command_named(parse, word, NULL);
	if (invocation->command != NULL) return;
	if (command_is_group(parse, word)) {
		parse->first = word;
	} else {
		no_command(parse, word);
	}
}

/* ---- Options --------------------------------------------------------------------------------- */

static void no_option(struct parse *parse, const char *name)
{
	struct nearest nearest = { .wanted = name };
	static char near[DISTANCE_TEXT_MAX + 2];
	const struct command *command = parse->invocation->command;
	for (size_t i = 0; command != NULL && i < OPTIONS_MAX; i++) {
		if (command->options[i].name != NULL)
			nearest_try(&nearest, command->options[i].name);
	}
	for (size_t i = 0; i < arguments_global_option_count; i++) {
		nearest_try(&nearest, arguments_global_options[i].name);
	}
	if (nearest.found != NULL) snprintf(near, sizeof near, "--%s", nearest.found);
	wrong(parse, "there is no option", name, nearest.found != NULL ? near : NULL);
}

static void take_global(struct parse *parse, const char *name, const char *value)
{
	struct invocation *invocation = parse->invocation;
	if (strcmp(name, "socket") == 0) {
		invocation->socket_path = value;
	} else if (strcmp(name, "json") == 0) {
		invocation->json = true;
	} else if (strcmp(name, "no-color") == 0) {
		invocation->colour = false;
	} else if (strcmp(name, "help") == 0) {
		parse->result->verdict = ARGUMENTS_HELP;
	} else if (strcmp(name, "version") == 0) {
		parse->result->verdict = ARGUMENTS_VERSION;
	} else {
		uint64_t seconds = 0;
		if (bytes_parse_u64(bytes_of_text(value), &seconds) != RESULT_OK || seconds == 0 ||
			seconds > TIMEOUT_S_MAX) {
			wrong(parse, "--timeout takes whole seconds from 1 to 86400, not", value,
				NULL);
			return;
		}
		invocation->timeout_s = (uint32_t)seconds;
	}
}

/* Finds an option by name; *ret_value is where a command's option keeps its value, NULL for a
 * global one. */
static const struct program_option *option_find(const struct parse *parse, const char *name,
	const char ***ret_value)
{
	const struct command *command = parse->invocation->command;
	*ret_value = NULL;
	for (size_t i = 0; command != NULL && i < OPTIONS_MAX; i++) {
		if (command->options[i].name == NULL) break;
		if (strcmp(command->options[i].name, name) != 0) continue;
		*ret_value = &parse->invocation->values[i];
		return &command->options[i];
	}
	for (size_t i = 0; i < arguments_global_option_count; i++) {
		if (strcmp(arguments_global_options[i].name, name) == 0) {
			return &arguments_global_options[i];
		}
	}
	return NULL;
}

static void take_repeated(struct parse *parse, const char *word, const char *value,
	const char **place)
{
	struct invocation *invocation = parse->invocation;
	if (invocation->repeated_count == REPEATED_MAX) {
		wrong(parse, "this option was given too often:", word, NULL);
		return;
	}
	invocation->repeated[invocation->repeated_count++] = value;
	*place = value;
}

/* "--name", "--name=value" or "--name value"; returns how many words it took. */
static int take_option(struct parse *parse, const char *word, const char *next)
{
	char name[DISTANCE_TEXT_MAX];
	struct bytes head;
	struct bytes tail;
	bool has_value = bytes_split(bytes_of_text(word + 2), '=', &head, &tail);
	const char *value = has_value ? (const char *)tail.data : NULL;
	const char **place;

	bytes_to_text(head, name, sizeof name);
	const struct program_option *option = option_find(parse, name, &place);
	if (option == NULL) {
		no_option(parse, name);
		return 1;
	}
	int taken = 1;
	if (option->value == NULL && has_value) {
		wrong(parse, "this option takes no value:", word, NULL);
		return 1;
	}
	if (option->value == NULL) value = "";
	if (value == NULL) {
		value = next;
		taken = 2;
	}
	if (value == NULL) {
		char what[80];
		snprintf(what, sizeof what, "a %s is missing after", option->value);
		wrong(parse, what, word, NULL);
		return 1;
	}
	if (place == NULL) {
		take_global(parse, name, value);
	} else if (option->repeats) {
		take_repeated(parse, word, value, place);
	} else if (*place != NULL) {
		wrong(parse, "this option was given twice:", word, NULL);
	} else {
		*place = value;
	}
	return taken;
}

/* ---- The whole line -------------------------------------------------------------------------- */

static void finish(struct parse *parse)
{
	const struct invocation *invocation = parse->invocation;
	struct arguments_result *result = parse->result;
	const struct command *command = invocation->command;
	if (result->verdict != ARGUMENTS_RUN) return;
	if (command == NULL) {
		result->verdict = parse->first != NULL ? ARGUMENTS_GROUP : ARGUMENTS_NONE;
		result->group = parse->first;
		return;
	}
	if (invocation->argument_count >= command->argument_count_min) return;
	result->verdict = ARGUMENTS_WRONG;
	snprintf(result->error, sizeof result->error, "%s wants %s", command->name,
		command->arguments);
}

/* What is wrong is said as JSON, too, when that was asked for behind it. */
static void take_json(int argc, char **argv, struct invocation *invocation)
{
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
		if (strcmp(argv[i], "--json") == 0) invocation->json = true;
	}
}

struct arguments_result arguments_parse(const struct command *commands, size_t command_count,
	int argc, char **argv, struct invocation *invocation)
{
	struct arguments_result result = { .verdict = ARGUMENTS_RUN };
	struct parse parse = { commands, command_count, invocation, &result, NULL };
	bool options_end = false;
	bool help = false;

	for (int i = 1; i < argc && result.verdict != ARGUMENTS_WRONG;) {
		const char *word = argv[i];
		if (!options_end && strcmp(word, "--") == 0) {
			options_end = true;
			i++;
		} else if (!options_end && strcmp(word, "-h") == 0) {
			result.verdict = ARGUMENTS_HELP;
			i++;
		} else if (!options_end && strncmp(word, "--", 2) == 0) {
			i += take_option(&parse, word, i + 1 < argc ? argv[i + 1] : NULL);
		} else if (!options_end && word[0] == '-' && word[1] != '\0') {
			no_option(&parse, word);
		} else if (invocation->command == NULL && parse.first == NULL && !help &&
			strcmp(word, "help") == 0) {
			help = true;
			i++;
		} else {
			take_word(&parse, word);
			i++;
		}
	}
	if (result.verdict == ARGUMENTS_WRONG) take_json(argc, argv, invocation);
	if (help && result.verdict == ARGUMENTS_RUN) result.verdict = ARGUMENTS_HELP;
	if (result.verdict == ARGUMENTS_HELP) result.group = parse.first;
	finish(&parse);
	return result;
}
