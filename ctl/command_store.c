/* SPDX-License-Identifier: GPL-2.0-or-later */
/* command_store — looks through a store that no daemon has open: every row of every shard, what it
 * leads to in the journal, and the audit log.
 *
 * A shard is opened as the daemon would open it: what its journal has after the last checkpoint is
 * done again first.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/bytes.h"
#include "base/cursor.h"
#include "http/http_write.h"
#include "offline.h"
#include "problem.h"
#include "queue/shard.h"
#include "store/store_check.h"
#include "table.h"
#include "units.h"

#define SCHEMA "penstock.store_check/v1"

/* Nothing is deleted by a look. */
#define RETENTION_US (UINT64_MAX / 4)

enum { SENTENCE_SIZE = 512, LINE_SIZE = 4096, PATH_SIZE = OFFLINE_PATH_SIZE + 32 };

struct checking {
	const struct invocation *invocation;
	bool live; /* progress can be painted over */
	unsigned shard;
	uint64_t finding_count;
	uint64_t row_count;
	int exit_code; /* of what could not be looked at */
};

static void clear_line(const struct checking *checking)
{
	if (checking->live) fputs("\r\x1b[K", stderr);
}

static void print_finding(void *owner, const char *sentence)
{
	struct checking *checking = owner;
	checking->finding_count++;
	clear_line(checking);
	if (!checking->invocation->json) {
		printf("shard %u: ", checking->shard);
		table_write_safe(stdout, sentence);
		putchar('\n');
		return;
	}
	uint8_t memory[LINE_SIZE];
	struct writer line = writer_of(memory, sizeof memory);
	write_format(&line,
		"{\"schema\":\"" SCHEMA "\",\"kind\":\"finding\",\"shard\":%u,\"text\":",
		checking->shard);
	http_write_json_string(&line, bytes_of_text(sentence));
	write_text(&line, "}\n");
	fwrite(line.data, 1, line.size, stdout);
}

static void print_progress(void *owner, enum store_table table, uint64_t done, uint64_t all)
{
	const struct checking *checking = owner;
	char texts[2][UNITS_TEXT_SIZE];
	if (!checking->live) return;
	fprintf(stderr, "\r\x1b[Kshard %u: %s: %s of %s rows", checking->shard,
		store_table_name(table), units_number(done, texts[0]), units_number(all, texts[1]));
	fflush(stderr);
}

static bool print_leaves(void *owner, uint64_t done, uint64_t all)
{
	const struct checking *checking = owner;
	char texts[2][UNITS_TEXT_SIZE];
	if (checking->live) {
		fprintf(stderr, "\r\x1b[Kshard %u: audit log: %s of %s leaves", checking->shard,
			units_number(done, texts[0]), units_number(all, texts[1]));
		fflush(stderr);
	}
	return true;
}

static void print_shard(struct checking *checking, const struct store_check_report *report,
	const struct audit_report *audit)
{
	char texts[2][UNITS_TEXT_SIZE];
	uint64_t rows = 0;
	for (unsigned i = 0; i < STORE_TABLE_COUNT; i++) rows += report->row_count[i];
	checking->row_count += rows;
	clear_line(checking);
	if (!checking->invocation->json) {
		printf("shard %u: %s rows, %s leaves of the audit log\n", checking->shard,
			units_number(rows, texts[0]), units_number(audit->leaf_count, texts[1]));
		return;
	}
	printf("{\"schema\":\"" SCHEMA "\",\"kind\":\"shard\",\"shard\":%u,\"rows\":{",
		checking->shard);
	for (unsigned i = 0; i < STORE_TABLE_COUNT; i++) {
		printf("%s\"%s\":%" PRIu64, i > 0 ? "," : "", store_table_name((enum store_table)i),
			report->row_count[i]);
	}
	printf("},\"leaf_count\":%" PRIu64 ",\"findings\":%" PRIu64 "}\n", audit->leaf_count,
		report->finding_count);
}

static void check_open_shard(struct checking *checking, struct shard *shard)
{
	char sentence[SENTENCE_SIZE];
	struct store_check_report report;
	struct audit_report audit = { 0 };
	const struct store_check check = {
		.found = print_finding,
		.progress = print_progress,
		.owner = checking,
	};
	enum result result = store_check(shard_store(shard), &check, &report);
	if (result == RESULT_OK) {
		result = shard_audit_verify(shard, print_leaves, checking, &audit);
	}
	if (result != RESULT_OK) {
		snprintf(sentence, sizeof sentence, "cannot be read: %s", result_text(result));
		print_finding(checking, sentence);
		return;
	}
	if (!audit.valid) {
		snprintf(sentence, sizeof sentence, "the audit log does not verify: %s",
			audit.error);
		print_finding(checking, sentence);
	}
	print_shard(checking, &report, &audit);
}

static void check_shard(struct checking *checking, const char *store_path)
{
	char path[PATH_SIZE];
	char data[PATH_SIZE + 16];
	char error[SENTENCE_SIZE] = "";
	struct stat status;
	struct shard *shard = NULL;
	snprintf(path, sizeof path, "%s/shard-%02u", store_path, checking->shard);
	snprintf(data, sizeof data, "%s/data.mdb", path);
	/* Opening would make a new one. */
	if (stat(data, &status) != 0) {
		print_finding(checking, "data.mdb is missing");
		return;
	}
	const struct shard_config config = {
		.store = { .path = path, .shard = (uint16_t)checking->shard },
		.retention_us = RETENTION_US,
		.cpu = -1,
	};
	enum result result = shard_open(&config, &shard, error, sizeof error);
	if (result == RESULT_OK) {
		check_open_shard(checking, shard);
		shard_close(shard);
	} else if (result == RESULT_BUSY) {
		checking->exit_code = problem_say(checking->invocation, EX_UNAVAILABLE,
			"store_busy", "stop the daemon first, or look at a backup of it", "%s",
			error);
	} else if (result == RESULT_VERSION) {
		checking->exit_code = problem_say(checking->invocation, EX_DATAERR, "store_version",
			"use the version that wrote it, or a later one", "%s", error);
	} else {
		print_finding(checking, error);
	}
}

static void print_summary(const struct checking *checking, unsigned count)
{
	char texts[2][UNITS_TEXT_SIZE];
	bool sound = checking->finding_count == 0;
	if (checking->invocation->json) {
		printf("{\"schema\":\"" SCHEMA "\",\"kind\":\"summary\",\"sound\":%s,\"shards\":%u,"
		       "\"rows\":%" PRIu64 ",\"findings\":%" PRIu64 "}\n",
			sound ? "true" : "false", count, checking->row_count,
			checking->finding_count);
		return;
	}
	printf("%s: %s rows, %s findings\n", sound ? "the store is sound" : "THE STORE IS DAMAGED",
		units_number(checking->row_count, texts[0]),
		units_number(checking->finding_count, texts[1]));
}

int command_store_check(const struct invocation *invocation)
{
	char path[OFFLINE_PATH_SIZE];
	struct checking checking = {
		.invocation = invocation,
		.live = !invocation->json && isatty(STDERR_FILENO),
		.exit_code = EX_OK,
	};
	int exit_code = offline_store_path(invocation, path);
	if (exit_code == EX_OK) exit_code = offline_become_owner(invocation, path);
	unsigned count = 0;
	if (exit_code == EX_OK) exit_code = offline_shard_count(invocation, path, &count);
	if (exit_code != EX_OK) return exit_code;
	for (; checking.shard < count && checking.exit_code == EX_OK; checking.shard++) {
		check_shard(&checking, path);
	}
	if (checking.exit_code != EX_OK) return checking.exit_code;
	print_summary(&checking, count);
	return checking.finding_count == 0 ? EX_OK : EXIT_NEGATIVE;
}
