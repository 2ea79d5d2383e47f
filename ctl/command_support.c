/* SPDX-License-Identifier: GPL-2.0-or-later */
/* command_support — one file with what somebody needs who is to help, and nothing that is not his
 * business: no secret and no payload is ever read, and names, hosts, addresses and paths are
 * replaced (anonymizer.h). Beside it a file that undoes this, for the operator alone.
 *
 * Without a configuration that can be read there is no bundle: nobody would know what to hide.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "anonymizer.h"
#include "answer.h"
#include "base/alloc.h"
#include "base/check.h"
#include "base/hash.h"
#include "base/version.h"
#include "bundle_config.h"
#include "bundle_log.h"
#include "config/config_show.h"
#include "doctor.h"
#include "problem.h"
#include "tar.h"

#define CONFIG_PATH_DEFAULT "/etc/penstock/penstock.yaml"
#define FOLDER "penstock-support/"
/* A constant: nothing of anybody's goes through a shell. */
#define JOURNAL_COMMAND \
	"exec /usr/bin/journalctl --quiet --no-pager --unit=penstockd --lines=5000 " \
	"--output=short-iso 2>/dev/null"

enum { PARTS_MAX = 10, LOG_SIZE_MAX = 1024 * 1024, ANSWER_TIMEOUT_S = 10 };

struct part {
	const char *name;
	const char *what;
	char *text; /* as it is, then anonymised; NULL: not there */
	size_t size;
	char why[200];     /* it is not there */
	unsigned left_out; /* lines that may have had names nobody can find */
};

struct bundle {
	const struct invocation *invocation;
	struct config *config;
	struct anonymizer *anonymizer;
	uint64_t time_s;
	unsigned part_count;
	struct part parts[PARTS_MAX];
};

/* ---- Parts ----------------------------------------------------------------------------------- */

static struct part *part_add(struct bundle *bundle, const char *name, const char *what)
{
	CHECK(bundle->part_count < PARTS_MAX);
	struct part *part = &bundle->parts[bundle->part_count++];
	*part = (struct part){ .name = name, .what = what };
	return part;
}

static FILE *part_open(struct part *part)
{
	FILE *file = open_memstream(&part->text, &part->size);
	CHECK(file != NULL); /* out of memory */
	return file;
}

static void part_close(FILE *file)
{
	CHECK(fclose(file) == 0);
}

static void part_ask(struct bundle *bundle, const char *name, const char *what, const char *path)
{
	struct part *part = part_add(bundle, name, what);
	struct invocation patient = *bundle->invocation;
	if (patient.timeout_s > ANSWER_TIMEOUT_S) patient.timeout_s = ANSWER_TIMEOUT_S;
	struct client_answer answer = client_ask(&patient, "GET", path, NULL, NULL);
	if (answer.exit_code == EX_OK) {
		FILE *file = part_open(part);
		fwrite(answer.body.data, 1, answer.body.size, file);
		part_close(file);
	} else {
		snprintf(part->why, sizeof part->why, "the daemon did not give it (exit code %d)",
			answer.exit_code);
	}
	client_answer_free(&answer);
}

static void part_version(struct bundle *bundle)
{
	FILE *file = part_open(part_add(bundle, "penstockctl.txt", "version of this program"));
	fprintf(file, "penstockctl %s\n", penstock_version);
	part_close(file);
}

static void part_config(struct bundle *bundle)
{
	FILE *file = part_open(part_add(bundle, "configuration.yaml",
		"the configuration in the file, with defaults; to be read, not to be run"));
	fprintf(file, "# %s\n", bundle->config->path);
	config_show(bundle->config, true, file);
	part_close(file);
}

static void part_doctor(struct bundle *bundle)
{
	struct doctor *doctor = doctor_run(bundle->config->path);
	FILE *file = part_open(part_add(bundle, "doctor.txt", "penstockctl doctor"));
	doctor_print(doctor, false, file);
	part_close(file);
	alloc_free(doctor);
}

/* The end of it, whole lines. */
static bool log_copy(FILE *from, FILE *to)
{
	char *memory = alloc_array(LOG_SIZE_MAX, 1);
	size_t size = 0;
	size_t got;
	/* A pipe cannot be sought in: what was read first is pushed out. */
	while ((got = fread(memory + size, 1, LOG_SIZE_MAX - size, from)) > 0) {
		size += got;
		if (size < LOG_SIZE_MAX) continue;
		size = LOG_SIZE_MAX / 2;
		memmove(memory, memory + LOG_SIZE_MAX - size, size);
		const char *line = memchr(memory, '\n', size);
		size_t cut = line != NULL ? (size_t)(line - memory) + 1 : 0;
		size -= cut;
		memmove(memory, memory + cut, size);
	}
	fwrite(memory, 1, size, to);
	alloc_free(memory);
	return size > 0;
}

static void part_log(struct bundle *bundle)
{
	const char *path = invocation_option(bundle->invocation, "log");
	struct part *part = part_add(bundle, "log.txt", "the end of the daemon's log");
	FILE *from = path != NULL ? fopen(path, "re") : popen(JOURNAL_COMMAND, "re");
	FILE *to = part_open(part);
	bool some = from != NULL && log_copy(from, to);
	if (from == NULL) {
		snprintf(part->why, sizeof part->why, "%s", strerror(errno));
	} else if (path != NULL) {
		fclose(from);
	} else {
		pclose(from);
	}
	part_close(to);
	if (some) return;
	free(part->text); /* the stream's */
	part->text = NULL;
	if (part->why[0] != '\0') return;
	snprintf(part->why, sizeof part->why, "%s",
		path != NULL ? "it is empty" : "the journal has nothing of a unit \"penstockd\"");
}

/* ---- Names ----------------------------------------------------------------------------------- */

/* This host, with and without its domain. */
static void add_host(struct anonymizer *anonymizer)
{
	char name[256];
	if (gethostname(name, sizeof name - 1) != 0) return;
	name[sizeof name - 1] = '\0';
	anonymizer_add(anonymizer, "host", bytes_of_text(name));
	anonymizer_add(anonymizer, "host", bytes_of(name, strcspn(name, ".")));
}

static const struct part *part_named(const struct bundle *bundle, const char *name)
{
	for (unsigned i = 0; i < bundle->part_count; i++) {
		if (strcmp(bundle->parts[i].name, name) == 0) return &bundle->parts[i];
	}
	UNREACHABLE();
}

/* The daemon may know names that are not in the file any more, or not yet. */
static void add_members(struct bundle *bundle, const char *part_name, const char *list,
	const char *kind)
{
	const struct part *part = part_named(bundle, part_name);
	yyjson_doc *document = part->text != NULL ? yyjson_read(part->text, part->size, 0) : NULL;
	yyjson_val *row;
	size_t index;
	size_t max;
	yyjson_arr_foreach(member(yyjson_doc_get_root(document), list), index, max, row)
	{
		const char *origin = strstr(member_text(row, "origin"), "://");
		anonymizer_add(bundle->anonymizer, kind, bytes_of_text(member_text(row, "name")));
		anonymizer_add(bundle->anonymizer, "host", bytes_of_text(member_text(row, "host")));
		anonymizer_add(bundle->anonymizer, "path", bytes_of_text(member_text(row, "path")));
		if (origin == NULL) continue;
		origin += 3;
		anonymizer_add(bundle->anonymizer, "host", bytes_of_text(origin));
		anonymizer_add(bundle->anonymizer, "host", bytes_of(origin, strcspn(origin, ":")));
	}
	yyjson_doc_free(document);
}

/* Metrics keep the names of all that were served since the start. */
static void add_labels(struct bundle *bundle, const char *label)
{
	const struct part *part = part_named(bundle, "metrics.txt");
	char begin[32];
	snprintf(begin, sizeof begin, "%s=\"", label);
	const char *at = part->text;
	while (at != NULL && (at = strstr(at, begin)) != NULL) {
		at += strlen(begin);
		anonymizer_add(bundle->anonymizer, label, bytes_of(at, strcspn(at, "\"\n")));
	}
}

/* Users, targets and others that are nowhere else any more. */
static void add_logged(struct bundle *bundle)
{
	struct part *part = &bundle->parts[part_named(bundle, "log.txt") - bundle->parts];
	if (part->text == NULL) return;
	part->left_out = bundle_log_names(bundle->anonymizer, part->text, &part->size);
}

static void collect_names(struct bundle *bundle)
{
	bundle->anonymizer = anonymizer_create();
	bundle_config_names(bundle->config, bundle->anonymizer);
	add_host(bundle->anonymizer);
	add_members(bundle, "endpoints.json", "endpoints", "endpoint");
	add_members(bundle, "targets.json", "targets", "target");
	add_labels(bundle, "endpoint");
	add_labels(bundle, "target");
	add_logged(bundle);
}

static void anonymize(struct bundle *bundle)
{
	for (unsigned i = 0; i < bundle->part_count; i++) {
		struct part *part = &bundle->parts[i];
		char *plain = part->text;
		struct bytes text = bytes_of(plain, part->size);
		if (plain == NULL) continue;
		FILE *file = part_open(part);
		anonymizer_write(bundle->anonymizer, text, file);
		part_close(file);
		free(plain); /* the stream's */
	}
}

/* ---- Writing --------------------------------------------------------------------------------- */

static void write_manifest(const struct bundle *bundle, FILE *file)
{
	fprintf(file,
		"Penstock support bundle, schema penstock.support/v1\n"
		"Names, hosts, addresses and paths are replaced by aliases; whoever made this\n"
		"has the table. No secret and no payload was read.\n\n");
	for (unsigned i = 0; i < bundle->part_count; i++) {
		const struct part *part = &bundle->parts[i];
		uint8_t digest[SHA256_SIZE];
		char hex[2 * SHA256_SIZE];
		if (part->text == NULL) {
			fprintf(file, "%-19s not there: %s\n", part->name, part->why);
			continue;
		}
		hash_sha256(bytes_of(part->text, part->size), digest);
		hex_encode(bytes_of(digest, sizeof digest), hex);
		fprintf(file, "%-19s %s, %zu bytes\n%-19s sha256 %.*s\n", part->name, part->what,
			part->size, "", (int)sizeof hex, hex);
		if (part->left_out == 0) continue;
		fprintf(file, "%-19s %u lines left out: names may stand in them\n", "",
			part->left_out);
	}
}

static void write_archive(const struct bundle *bundle, FILE *file)
{
	char name[TAR_NAME_SIZE_MAX + 1];
	struct part manifest = { 0 };
	FILE *text = part_open(&manifest);
	write_manifest(bundle, text);
	part_close(text);
	tar_write_file(file, FOLDER "MANIFEST.txt", bytes_of(manifest.text, manifest.size),
		bundle->time_s);
	free(manifest.text); /* the stream's */
	for (unsigned i = 0; i < bundle->part_count; i++) {
		const struct part *part = &bundle->parts[i];
		if (part->text == NULL) continue;
		snprintf(name, sizeof name, FOLDER "%s", part->name);
		tar_write_file(file, name, bytes_of(part->text, part->size), bundle->time_s);
	}
	tar_write_end(file);
}

/* A new file that only its owner can read. NULL: the complaint was printed. */
static FILE *file_create(const struct invocation *invocation, const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd >= 0) return fdopen(fd, "w");
	(void)problem_say(invocation, EX_CANTCREAT, "not_written", NULL, "%s: %s", path,
		strerror(errno));
	return NULL;
}

/* Whether all of it is in the file. */
static bool file_finish(FILE *file)
{
	bool good = !ferror(file);
	return fclose(file) == 0 && good;
}

static void say_done(const struct bundle *bundle, const char *path, const char *names_path)
{
	if (!bundle->invocation->json) {
		printf("%s: look through it (tar -xf), then send it\n"
		       "%s: what its aliases stand for; keep it to yourself\n",
			path, names_path);
		return;
	}
	yyjson_mut_doc *document = yyjson_mut_doc_new(NULL);
	yyjson_mut_val *root = yyjson_mut_obj(document);
	yyjson_mut_doc_set_root(document, root);
	CHECK(yyjson_mut_obj_add_str(document, root, "schema", "penstock.support/v1") &&
		yyjson_mut_obj_add_str(document, root, "file", path) &&
		yyjson_mut_obj_add_str(document, root, "names", names_path));
	/* A file's name may be any bytes. */
	char *text = yyjson_mut_write(document, YYJSON_WRITE_ALLOW_INVALID_UNICODE, NULL);
	CHECK(text != NULL);
	(void)puts(text);
	free(text); /* yyjson's */
	yyjson_mut_doc_free(document);
}

static int write_files(const struct bundle *bundle)
{
	char names_path[FILE_NAME_SIZE_MAX + 1];
	const struct invocation *invocation = bundle->invocation;
	const char *path = invocation->arguments[0];
	int size = snprintf(names_path, sizeof names_path, "%s.names", path);
	if (size >= (int)sizeof names_path) {
		return problem_say(invocation, EX_USAGE, "usage", NULL,
			"the file's name is too long");
	}
	FILE *archive = file_create(invocation, path);
	if (archive == NULL) return EX_CANTCREAT;
	FILE *names = file_create(invocation, names_path);
	if (names == NULL) {
		fclose(archive);
		unlink(path);
		return EX_CANTCREAT;
	}
	write_archive(bundle, archive);
	anonymizer_write_table(bundle->anonymizer, names);
	bool archive_good = file_finish(archive);
	bool names_good = file_finish(names);
	if (!archive_good || !names_good) {
		unlink(path);
		unlink(names_path);
		return problem_say(invocation, EX_IOERR, "not_written", NULL,
			"%s cannot be written", archive_good ? names_path : path);
	}
	say_done(bundle, path, names_path);
	return EX_OK;
}

/* ---- All of it ------------------------------------------------------------------------------- */

static int load(struct bundle *bundle)
{
	const char *path = invocation_option(bundle->invocation, "config");
	if (path == NULL) path = CONFIG_PATH_DEFAULT;
	struct config_report *report = alloc_array(1, sizeof *report);
	enum result result = config_load(path, &bundle->config, report);
	if (result != RESULT_OK) {
		if (!bundle->invocation->json) config_report_print(report, stderr, false);
		(void)problem_say(bundle->invocation, EX_CONFIG, "config_invalid",
			"name another with --config",
			"%s cannot be read, and without a configuration nobody knows what to hide",
			path);
	}
	alloc_free(report);
	return result == RESULT_OK ? EX_OK : EX_CONFIG;
}

static void collect(struct bundle *bundle)
{
	part_version(bundle);
	part_ask(bundle, "penstockd.json", "version of the daemon", CONTROL_API "/version");
	part_ask(bundle, "status.json", "penstockctl status", CONTROL_API "/status");
	part_ask(bundle, "endpoints.json", "penstockctl endpoints, the first 1,000",
		CONTROL_API "/endpoints?limit=1000");
	part_ask(bundle, "targets.json", "penstockctl targets, the first 1,000",
		CONTROL_API "/targets?limit=1000");
	part_ask(bundle, "metrics.txt", "the metrics", "/metrics");
	part_config(bundle);
	part_doctor(bundle);
	part_log(bundle);
}

int command_support_bundle(const struct invocation *invocation)
{
	struct timespec now;
	struct bundle *bundle = alloc_array(1, sizeof *bundle);
	clock_gettime(CLOCK_REALTIME, &now);
	bundle->time_s = (uint64_t)now.tv_sec;
	bundle->invocation = invocation;
	int exit_code = load(bundle);
	if (exit_code == EX_OK) {
		collect(bundle);
		collect_names(bundle);
		anonymize(bundle);
		exit_code = write_files(bundle);
		for (unsigned i = 0; i < bundle->part_count; i++) free(bundle->parts[i].text);
		anonymizer_free(bundle->anonymizer);
		config_free(bundle->config);
	}
	alloc_free(bundle);
	return exit_code;
}
