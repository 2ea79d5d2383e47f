/* SPDX-License-Identifier: GPL-2.0-or-later */
/* command_verify — see the header. Arguments and files; what is printed is in verify_report.c. */
#include "command_verify.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/bytes.h"
#include "secrets/secret.h"
#include "verify_report.h"

enum { BODY_CAPACITY = RECEIVE_BODY_SIZE_LIMIT + 1 }; /* one more, to notice "too large" */

static const char help[] =
	"penstockctl verify: would this request be authentic, and if not, why?\n"
	"\n"
	"usage: penstockctl verify --scheme NAME --secret-file FILE --body FILE\n"
	"                          [--header 'Name: value'] ...\n"
	"\n"
	"  --scheme NAME                how the provider signs; --list shows the names\n"
	"  --secret-file FILE           the secret, one line; others must not be able to read it\n"
	"  --previous-secret-file FILE  the secret before it, while the provider changes over\n"
	"  --body FILE                  the raw body, byte for byte; - is standard input\n"
	"  --header 'Name: value'       a header of the request; once for each\n"
	"  --method METHOD              default POST; matters where it is signed (hubspot-v3)\n"
	"  --url URL                    as the provider called it; needed where it is signed\n"
	"  --now SECONDS                judge as of that Unix time instead of now\n"
	"  --tolerance SECONDS          how far the timestamp may be off; default: the scheme's\n"
	"  --json                       one JSON object, schema penstock.verify/v1\n"
	"  --list                       list the schemes and the headers they sign in\n"
	"\n"
	"A request that GitHub shows under Settings, Webhooks, Recent Deliveries:\n"
	"\n"
	"  penstockctl verify --scheme github --secret-file github.secret --body payload.json \\\n"
	"      --header 'X-Hub-Signature-256: sha256=757107ea0eb2509fc211221cce984b8a...'\n"
	"\n"
	"Checked in this order: headers are there, and once; signature, timestamp and id have\n"
	"the scheme's form; the signature; the time. So \"timestamp_outside_tolerance\" means\n"
	"that the signature is right, and what has a wrong signature never gets that far.\n"
	"\n"
	"Exit code: 0 authentic, 1 refused, 64 wrong arguments, 65 a secret that is not of the\n"
	"scheme's form, 66 an input that cannot be read, 77 a secret file that others can read.\n";

struct arguments {
	struct verify_report report; /* what is asked, and later what came out */
	const char *secret_path;
	const char *previous_path;
	const char *body_path;
	uint32_t tolerance_s;
	bool has_now;
	bool json;
	bool list;
	bool help;
};

static int wrong(const char *text, const char *what)
{
	fprintf(stderr, "penstockctl verify: %s%s%s\n", text, what == NULL ? "" : ": ",
		what == NULL ? "" : what);
	fprintf(stderr, "try: penstockctl verify --help\n");
	return EX_USAGE;
}

static int add_header(struct http_fields *fields, const char *line)
{
	struct bytes name, value;

	if (!bytes_split(bytes_of_text(line), ':', &name, &value) || name.size == 0) {
		return wrong("a header is given as 'Name: value'", line);
	}
	if (fields->count == HTTP_FIELDS_MAX) return wrong("too many headers", NULL);
	fields->field[fields->count++] = (struct http_field){ bytes_trim(name), bytes_trim(value) };
	return EX_OK;
}

static int parse_number(const char *text, uint64_t max, const char *option, uint64_t *ret)
{
	if (bytes_parse_u64(bytes_of_text(text), ret) != RESULT_OK || *ret > max) {
		return wrong("not a number of seconds", option);
	}
	return EX_OK;
}

enum option_code {
	OPTION_SCHEME = 256,
	OPTION_SECRET,
	OPTION_PREVIOUS,
	OPTION_BODY,
	OPTION_HEADER,
	OPTION_METHOD,
	OPTION_URL,
	OPTION_NOW,
	OPTION_TOLERANCE,
	OPTION_JSON,
	OPTION_LIST,
	OPTION_HELP,
};

static const struct option long_options[] = {
	{ "scheme", required_argument, NULL, OPTION_SCHEME },
	{ "secret-file", required_argument, NULL, OPTION_SECRET },
	{ "previous-secret-file", required_argument, NULL, OPTION_PREVIOUS },
	{ "body", required_argument, NULL, OPTION_BODY },
	{ "header", required_argument, NULL, OPTION_HEADER },
	{ "method", required_argument, NULL, OPTION_METHOD },
	{ "url", required_argument, NULL, OPTION_URL },
	{ "now", required_argument, NULL, OPTION_NOW },
	{ "tolerance", required_argument, NULL, OPTION_TOLERANCE },
	{ "json", no_argument, NULL, OPTION_JSON },
	{ "list", no_argument, NULL, OPTION_LIST },
	{ "help", no_argument, NULL, OPTION_HELP },
	{ NULL, 0, NULL, 0 },
};

static int set_scheme(struct arguments *arguments, const char *name)
{
	arguments->report.scheme = scheme_find(bytes_of_text(name));
	if (arguments->report.scheme != NULL) return EX_OK;
	return wrong("no such scheme (--list shows them)", name);
}

static int set_now(struct arguments *arguments, const char *text)
{
	uint64_t seconds = 0;
	int exit_code = parse_number(text, UINT64_MAX / US_PER_S, "--now", &seconds);
	arguments->report.now.us = seconds * US_PER_S;
	arguments->has_now = true;
	return exit_code;
}

static int set_tolerance(struct arguments *arguments, const char *text)
{
	uint64_t seconds = 0;
	int exit_code = parse_number(text, UINT32_MAX, "--tolerance", &seconds);
	arguments->tolerance_s = (uint32_t)seconds;
	return exit_code;
}

static int take_option(struct arguments *arguments, int code, const char *value)
{
	struct verify_report *report = &arguments->report;

	switch (code) {
	case OPTION_SCHEME: return set_scheme(arguments, value);
	case OPTION_SECRET: arguments->secret_path = value; return EX_OK;
	case OPTION_PREVIOUS: arguments->previous_path = value; return EX_OK;
	case OPTION_BODY: arguments->body_path = value; return EX_OK;
	case OPTION_HEADER: return add_header(&report->fields, value);
	case OPTION_METHOD: report->input.method = bytes_of_text(value); return EX_OK;
	case OPTION_URL: report->input.url = bytes_of_text(value); return EX_OK;
	case OPTION_NOW: return set_now(arguments, value);
	case OPTION_TOLERANCE: return set_tolerance(arguments, value);
	case OPTION_JSON: arguments->json = true; return EX_OK;
	case OPTION_LIST: arguments->list = true; return EX_OK;
	case OPTION_HELP: arguments->help = true; return EX_OK;
	default: return EX_USAGE;
	}
}

static int parse_arguments(struct arguments *arguments, int argc, char **argv)
{
	int exit_code = EX_OK;

	optind = 0; /* from the start, also for a second call */
	opterr = 0;
	for (;;) {
		int at = optind == 0 ? 1 : optind;
		int code = getopt_long(argc, argv, ":", long_options, NULL);
		if (code == -1) break;
		if (code == '?') return wrong("no such option", argv[at]);
		if (code == ':') return wrong("an option needs a value", argv[at]);
		exit_code = take_option(arguments, code, optarg);
		if (exit_code != EX_OK) return exit_code;
	}
	if (optind < argc) return wrong("what is this?", argv[optind]);
	return EX_OK;
}

static int check_arguments(const struct arguments *arguments)
{
	const struct verify_report *report = &arguments->report;

	if (report->scheme == NULL) return wrong("--scheme is missing", NULL);
	if (arguments->secret_path == NULL) return wrong("--secret-file is missing", NULL);
	if (arguments->body_path == NULL) return wrong("--body is missing", NULL);
	if (scheme_signs_url(report->scheme) && report->input.url.size == 0) {
		return wrong("this scheme signs the URL: --url is missing", NULL);
	}
	return EX_OK;
}

static int unreadable(const char *path, const char *reason)
{
	fprintf(stderr, "penstockctl verify: %s: %s\n", path, reason);
	return EX_NOINPUT;
}

static int read_body(const char *path, struct bytes *ret)
{
	bool is_stdin = strcmp(path, "-") == 0;
	int fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) return unreadable(path, strerror(errno));

	uint8_t *data = alloc_map(BODY_CAPACITY);
	size_t size = 0;
	ssize_t count = 0;
	do {
		count = read(fd, data + size, BODY_CAPACITY - size);
		if (count > 0) size += (size_t)count;
	} while (size < BODY_CAPACITY && (count > 0 || (count < 0 && errno == EINTR)));

	int exit_code = EX_OK;
	if (count < 0)
		exit_code = unreadable(path, strerror(errno));
	else if (size == BODY_CAPACITY)
		exit_code = unreadable(path, "larger than any body may be");
	if (!is_stdin) (void)close(fd); /* read only: nothing can be lost */
	*ret = bytes_of(data, size);
	return exit_code;
}

static int read_secret(const char *path, struct secret **ret)
{
	switch ((unsigned)secret_load_file(path, ret)) {
	case RESULT_OK: return EX_OK;
	case RESULT_NOT_FOUND: return unreadable(path, "no such file");
	case RESULT_PERMISSION:
		fprintf(stderr,
			"penstockctl verify: %s: must be a regular file that you can read and "
			"others cannot (chmod 600)\n",
			path);
		return EX_NOPERM;
	case RESULT_FULL:
		fprintf(stderr, "penstockctl verify: %s: too long for a secret\n", path);
		return EX_DATAERR;
	case RESULT_MALFORMED:
		fprintf(stderr,
			"penstockctl verify: %s: must be one line of text, with no control "
			"character in it (a Windows line end?)\n",
			path);
		return EX_DATAERR;
	default: return unreadable(path, "cannot be read");
	}
}

static int create_verifier(const struct arguments *arguments, struct verifier **ret)
{
	struct secret *current = NULL;
	struct secret *previous = NULL;
	const char *error = NULL;

	int exit_code = read_secret(arguments->secret_path, &current);
	if (exit_code == EX_OK && arguments->previous_path != NULL) {
		exit_code = read_secret(arguments->previous_path, &previous);
	}
	if (exit_code == EX_OK &&
		verifier_create(arguments->report.scheme, secret_bytes(current),
			previous == NULL ? BYTES_EMPTY : secret_bytes(previous),
			arguments->tolerance_s, ret, &error) != RESULT_OK) {
		fprintf(stderr, "penstockctl verify: %s\n", error);
		exit_code = EX_DATAERR;
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

	int exit_code = check_arguments(arguments);
	if (exit_code == EX_OK) exit_code = create_verifier(arguments, &verifier);
	if (exit_code == EX_OK) exit_code = read_body(arguments->body_path, &report->input.body);
	if (exit_code == EX_OK) {
		if (!arguments->has_now) report->now = clock_now();
		report->tolerance_s = arguments->tolerance_s != 0
			? arguments->tolerance_s
			: scheme_tolerance_s(report->scheme);
		verify_request(verifier, &report->input, report->now, &report->outcome);
		if (arguments->json)
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

int command_verify(int argc, char **argv)
{
	struct arguments *arguments = alloc_array(1, sizeof *arguments);
	struct verify_input *input = &arguments->report.input;

	input->method = BYTES_LITERAL("POST");
	input->fields = &arguments->report.fields;
	int exit_code = parse_arguments(arguments, argc, argv);
	if (exit_code == EX_OK && arguments->help)
		(void)fputs(help, stdout);
	else if (exit_code == EX_OK && arguments->list)
		verify_report_schemes();
	else if (exit_code == EX_OK)
		exit_code = judge(arguments);
	alloc_free(arguments);
	return exit_code;
}
