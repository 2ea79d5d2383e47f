/* SPDX-License-Identifier: GPL-2.0-or-later */
/* command_verify — "penstockctl verify": would this request be authentic, and if not, why?
 *
 * Needs no daemon: it runs the daemon's own verifier on a request from files and arguments. What
 * is printed is in verify_report.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/bytes.h"
#include "command.h"
#include "problem.h"
#include "secrets/secret.h"
#include "verify_report.h"

enum { BODY_CAPACITY = RECEIVE_BODY_SIZE_LIMIT + 1 }; /* one more, to notice "too large" */

struct arguments {
	const struct invocation *invocation;
	struct verify_report report; /* what is asked, and later what came out */
	uint32_t tolerance_s;
	bool has_now;
};

static int wrong(const struct arguments *arguments, const char *text, const char *what)
{
	return problem_say(arguments->invocation, EX_USAGE, "usage",
		"try penstockctl verify --help", "%s%s%s", text, what == NULL ? "" : ": ",
		what == NULL ? "" : what);
}

static int add_header(struct arguments *arguments, const char *line)
{
	struct http_fields *fields = &arguments->report.fields;
	struct bytes name, value;

	if (!bytes_split(bytes_of_text(line), ':', &name, &value) || name.size == 0) {
		return wrong(arguments, "a header is given as 'Name: value'", line);
	}
	if (fields->count == HTTP_FIELDS_MAX) return wrong(arguments, "too many headers", NULL);
	fields->field[fields->count++] = (struct http_field){ bytes_trim(name), bytes_trim(value) };
	return EX_OK;
}

/* The option as a number of seconds; *ret keeps what it has when it was not given. */
static int take_number(const struct arguments *arguments, const char *option, uint64_t max,
	bool *ret_given, uint64_t *ret)
{
	const char *text = invocation_option(arguments->invocation, option);
	*ret_given = text != NULL;
	if (text == NULL) return EX_OK;
	if (bytes_parse_u64(bytes_of_text(text), ret) != RESULT_OK || *ret > max) {
		return wrong(arguments, "not a number of seconds", option);
	}
	return EX_OK;
}

static int set_scheme(struct arguments *arguments)
{
	const char *name = invocation_option(arguments->invocation, "scheme");
	if (name == NULL) return wrong(arguments, "--scheme is missing", NULL);
	arguments->report.scheme = scheme_find(bytes_of_text(name));
	if (arguments->report.scheme != NULL) return EX_OK;
	return wrong(arguments, "no such scheme (--list shows them)", name);
}

static int set_times(struct arguments *arguments)
{
	uint64_t now_s = 0;
	uint64_t tolerance_s = 0;
	bool given;
	int exit_code =
		take_number(arguments, "now", UINT64_MAX / US_PER_S, &arguments->has_now, &now_s);
	if (exit_code != EX_OK) return exit_code;
	arguments->report.now.us = now_s * US_PER_S;
	exit_code = take_number(arguments, "tolerance", UINT32_MAX, &given, &tolerance_s);
	arguments->tolerance_s = (uint32_t)tolerance_s;
	return exit_code;
}

static int read_arguments(struct arguments *arguments)
{
	const struct invocation *invocation = arguments->invocation;
	struct verify_input *input = &arguments->report.input;
	const char *method = invocation_option(invocation, "method");
	const char *url = invocation_option(invocation, "url");

	input->method = method != NULL ? bytes_of_text(method) : BYTES_LITERAL("POST");
	if (url != NULL) input->url = bytes_of_text(url);
	input->fields = &arguments->report.fields;
	int exit_code = set_scheme(arguments);
	if (exit_code == EX_OK) exit_code = set_times(arguments);
	for (unsigned i = 0; exit_code == EX_OK && i < invocation->repeated_count; i++) {
		exit_code = add_header(arguments, invocation->repeated[i]);
	}
	if (exit_code != EX_OK) return exit_code;
	if (invocation_option(invocation, "secret-file") == NULL) {
		return wrong(arguments, "--secret-file is missing", NULL);
	}
	if (invocation_option(invocation, "body") == NULL) {
		return wrong(arguments, "--body is missing", NULL);
	}
	if (scheme_signs_url(arguments->report.scheme) && url == NULL) {
		return wrong(arguments, "this scheme signs the URL: --url is missing", NULL);
	}
	return EX_OK;
}

static int unreadable(const struct invocation *invocation, const char *path, const char *reason)
{
	return problem_say(invocation, EX_NOINPUT, "unreadable", NULL, "%s: %s", path, reason);
}

static int read_body(const struct invocation *invocation, const char *path, struct bytes *ret)
{
	bool is_stdin = strcmp(path, "-") == 0;
	int fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) return unreadable(invocation, path, strerror(errno));

	uint8_t *data = alloc_map(BODY_CAPACITY);
	size_t size = 0;
	ssize_t count = 0;
	do {
		count = read(fd, data + size, BODY_CAPACITY - size);
		if (count > 0) size += (size_t)count;
	} while (size < BODY_CAPACITY && (count > 0 || (count < 0 && errno == EINTR)));

	int exit_code = EX_OK;
	if (count < 0)
		exit_code = unreadable(invocation, path, strerror(errno));
	else if (size == BODY_CAPACITY)
		exit_code = unreadable(invocation, path, "larger than any body may be");
	if (!is_stdin) (void)close(fd); /* read only: nothing can be lost */
	*ret = bytes_of(data, size);
	return exit_code;
}

static int read_secret(const struct invocation *invocation, const char *path, struct secret **ret)
{
	switch ((unsigned)secret_load_file(path, ret)) {
	case RESULT_OK: return EX_OK;
	case RESULT_NOT_FOUND: return unreadable(invocation, path, "no such file");
	case RESULT_PERMISSION:
		return problem_say(invocation, EX_NOPERM, "secret_file", "chmod 600",
			"%s: must be a regular file that you can read and others cannot", path);
	case RESULT_FULL:
		return problem_say(invocation, EX_DATAERR, "secret_form", NULL,
			"%s: too long for a secret", path);
	case RESULT_MALFORMED:
		return problem_say(invocation, EX_DATAERR, "secret_form", NULL,
			"%s: must be one line of text, with no control character in it (a "
			"Windows line end?)",
			path);
	default: return unreadable(invocation, path, "cannot be read");
	}
}

static int create_verifier(const struct arguments *arguments, struct verifier **ret)
{
	const struct invocation *invocation = arguments->invocation;
	const char *previous_path = invocation_option(invocation, "previous-secret-file");
	struct secret *current = NULL;
	struct secret *previous = NULL;
	const char *error = NULL;

	int exit_code =
		read_secret(invocation, invocation_option(invocation, "secret-file"), &current);
	if (exit_code == EX_OK && previous_path != NULL) {
		exit_code = read_secret(invocation, previous_path, &previous);
	}
	if (exit_code == EX_OK &&
		verifier_create(arguments->report.scheme, secret_bytes(current),
			previous == NULL ? BYTES_EMPTY : secret_bytes(previous),
			arguments->tolerance_s, ret, &error) != RESULT_OK) {
		exit_code = problem_say(invocation, EX_DATAERR, "secret_form", NULL, "%s", error);
	}
	secret_free(current);
	secret_free(previous);
	return exit_code;
}

static wall_t clock_now(void)
{
	struct timespec time = { 0 };
	(void)clock_gettime(CLOCK_REALTIME, &time); /* cannot fail for this clock */
	return (wall_t){ .us = (uint64_t)time.tv_sec * US_PER_S + (uint64_t)time.tv_nsec / 1000 };
}

static int judge(struct arguments *arguments)
{
	struct verify_report *report = &arguments->report;
	struct verifier *verifier = NULL;

	int exit_code = create_verifier(arguments, &verifier);
	if (exit_code == EX_OK) {
		exit_code = read_body(arguments->invocation,
			invocation_option(arguments->invocation, "body"), &report->input.body);
	}
	if (exit_code == EX_OK) {
		if (!arguments->has_now) report->now = clock_now();
		report->tolerance_s = arguments->tolerance_s != 0
			? arguments->tolerance_s
			: scheme_tolerance_s(report->scheme);
		verify_request(verifier, &report->input, report->now, &report->outcome);
		if (arguments->invocation->json)
			verify_report_json(report, verifier);
		else
			verify_report_text(report, verifier);
		exit_code = report->outcome.verdict == VERDICT_AUTHENTIC ? EX_OK : 1;
	}
	verifier_free(verifier);
	if (report->input.body.data != NULL) {
		alloc_unmap((uint8_t *)(uintptr_t)report->input.body.data, BODY_CAPACITY);
	}
	return exit_code;
}

int command_verify(const struct invocation *invocation)
{
	if (invocation_option(invocation, "list") != NULL) {
		if (invocation->json) {
			verify_report_schemes_json();
		} else {
			verify_report_schemes();
		}
		return EX_OK;
	}
	struct arguments *arguments = alloc_array(1, sizeof *arguments);
	arguments->invocation = invocation;
	int exit_code = read_arguments(arguments);
	if (exit_code == EX_OK) exit_code = judge(arguments);
	alloc_free(arguments);
	return exit_code;
}
