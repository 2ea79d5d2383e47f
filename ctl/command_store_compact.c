/* SPDX-License-Identifier: GPL-2.0-or-later */
/* command_store_compact — makes the files of a store that no daemon has open as small as what is in
 * them, shard after shard. Each is whole before, after and in between, so that one that is refused
 * leaves those before it compacted and those behind it as they were.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "offline.h"
#include "problem.h"
#include "store/store_compact.h"
#include "units.h"

#define SCHEMA "penstock.store_compact/v1"

enum { SENTENCE_SIZE = 512, PATH_SIZE = OFFLINE_PATH_SIZE + 32 };

struct compacting {
	const struct invocation *invocation;
	bool live; /* what is under way can be painted over */
	unsigned shard;
	struct store_compact_report all;
};

static int refused(const struct compacting *compacting, enum result result, const char *error)
{
	static const struct {
		enum result result;
		int exit_code;
		const char *code;
		const char *fix;
	} problems[] = {
		{ RESULT_BUSY, EX_UNAVAILABLE, "store_busy", "stop the daemon first" },
		{ RESULT_VERSION, EX_DATAERR, "store_version",
			"use the version that wrote it, or a later one" },
		{ RESULT_SPACE, EX_CANTCREAT, "no_space", "make room on its file system" },
		{ RESULT_MALFORMED, EX_DATAERR, "store_damaged",
			"see penstockctl store check; the store is as it was" },
	};
	for (size_t i = 0; i < sizeof problems / sizeof *problems; i++) {
		if (problems[i].result != result) continue;
		return problem_say(compacting->invocation, problems[i].exit_code, problems[i].code,
			problems[i].fix, "shard %u: %s", compacting->shard, error);
	}
	return problem_say(compacting->invocation, EX_IOERR, "compact_failed", NULL, "shard %u: %s",
		compacting->shard, error);
}

static void print_shard(const struct compacting *compacting,
	const struct store_compact_report *report)
{
	char texts[2][UNITS_TEXT_SIZE];
	if (compacting->invocation->json) {
		printf("{\"schema\":\"" SCHEMA "\",\"kind\":\"shard\",\"shard\":%u,"
		       "\"size_before\":%" PRIu64 ",\"size_after\":%" PRIu64 "}\n",
			compacting->shard, report->size_before, report->size_after);
		return;
	}
	printf("shard %u: data.mdb had %s and has %s\n", compacting->shard,
		units_size(report->size_before, texts[0]),
		units_size(report->size_after, texts[1]));
}

static void print_summary(const struct compacting *compacting)
{
	char texts[2][UNITS_TEXT_SIZE];
	const struct store_compact_report *all = &compacting->all;
	if (compacting->invocation->json) {
		printf("{\"schema\":\"" SCHEMA "\",\"kind\":\"summary\",\"shards\":%u,"
		       "\"size_before\":%" PRIu64 ",\"size_after\":%" PRIu64 "}\n",
			compacting->shard, all->size_before, all->size_after);
		return;
	}
	printf("compacted: %s before, %s after\n", units_size(all->size_before, texts[0]),
		units_size(all->size_after, texts[1]));
}

static int compact_shard(struct compacting *compacting, const char *store_path)
{
	char path[PATH_SIZE];
	char data[PATH_SIZE + 16];
	char error[SENTENCE_SIZE] = "";
	struct stat status;
	struct store_compact_report report;
	snprintf(path, sizeof path, "%s/shard-%02u", store_path, compacting->shard);
	snprintf(data, sizeof data, "%s/data.mdb", path);
	/* Opening would make a new one. */
	if (stat(data, &status) != 0) {
		return problem_say(compacting->invocation, EX_NOINPUT, "no_store",
			"restore a backup of it", "%s: %s", data, strerror(errno));
	}
	const struct store_config config = { .path = path, .shard = (uint16_t)compacting->shard };
	if (compacting->live) {
		fprintf(stderr, "shard %u: copying and comparing …", compacting->shard);
		fflush(stderr);
	}
	enum result result = store_compact(&config, &report, error, sizeof error);
	if (compacting->live) fputs("\r\x1b[K", stderr);
	if (result != RESULT_OK) return refused(compacting, result, error);
	compacting->all.size_before += report.size_before;
	compacting->all.size_after += report.size_after;
	print_shard(compacting, &report);
	return EX_OK;
}

int command_store_compact(const struct invocation *invocation)
{
	char path[OFFLINE_PATH_SIZE];
	struct compacting compacting = {
		.invocation = invocation,
		.live = !invocation->json && isatty(STDERR_FILENO),
	};
	int exit_code = offline_store_path(invocation, path);
	if (exit_code == EX_OK) exit_code = offline_become_owner(invocation, path);
	unsigned count = 0;
	if (exit_code == EX_OK) exit_code = offline_shard_count(invocation, path, &count);
	if (exit_code != EX_OK) return exit_code;
	for (; compacting.shard < count && exit_code == EX_OK; compacting.shard++) {
		exit_code = compact_shard(&compacting, path);
	}
	if (exit_code == EX_OK) print_summary(&compacting);
	return exit_code;
}
