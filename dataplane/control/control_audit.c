/* SPDX-License-Identifier: GPL-2.0-or-later */
/* control_audit — recomputes the audit log of every shard, one after the other, and streams what
 * it finds: "progress" lines while it works, a "shard" line for each shard, one "summary".
 *
 * Task thread. Whoever reads the stream trusts it only when the summary came.
 */
#include "base/log.h"
#include "control/control_internal.h"

/* Between two lines of progress. */
enum { PROGRESS_INTERVAL_MS = 200 };

struct verifying {
	struct control_call *call;
	uint32_t shard;
	uint64_t next_us; /* mono: when the next line of progress is due */
};

static struct json *line_open(struct control_call *call, const char *kind)
{
	struct json *json = control_answer(call, "penstock.audit_verify/v1");
	json_text(json, "kind", kind);
	return json;
}

static void line_send(struct control_call *call, bool may_drop)
{
	json_object_end(&call->json);
	(void)control_stream_line(call, may_drop); /* progress, when it is dropped */
}

static bool write_progress(void *owner, uint64_t done, uint64_t all)
{
	struct verifying *verifying = owner;
	uint64_t now_us = control_mono().us;
	/* The store is about to be closed: nobody waits for the rest. */
	if (atomic_load(&verifying->call->control->stopping)) return false;
	if (now_us < verifying->next_us) return true;
	verifying->next_us = now_us + PROGRESS_INTERVAL_MS * US_PER_MS;
	struct json *json = line_open(verifying->call, "progress");
	json_number(json, "shard", verifying->shard);
	json_number(json, "done", done);
	json_number(json, "all", all);
	line_send(verifying->call, true);
	return true;
}

static void write_shard(struct control_call *call, uint32_t shard, enum result result,
	const struct audit_report *report)
{
	struct json *json = line_open(call, "shard");
	json_number(json, "shard", shard);
	json_bool(json, "valid", result == RESULT_OK && report->valid);
	json_number(json, "leaf_count", report->leaf_count);
	json_number(json, "checked_count", report->checked_count);
	json_number(json, "expired_count", report->expired_count);
	json_number(json, "mismatch_count", report->mismatch_count);
	if (result != RESULT_OK) {
		json_null(json, "first_bad_index");
		json_text(json, "error", result_text(result));
	} else if (!report->valid) {
		json_number(json, "first_bad_index", report->first_bad_index);
		json_text(json, "error", report->error);
	} else {
		json_null(json, "first_bad_index");
		json_null(json, "error");
	}
	json_hex(json, "root", bytes_of(report->root, SHA256_SIZE));
	line_send(call, false);
}

void control_handle_verify(struct control_call *call)
{
	const struct control_daemon *daemon = call->daemon;
	uint64_t leaf_count = 0;
	uint32_t bad_count = 0;

	for (uint32_t i = 0; i < daemon->worker_count; i++) {
		struct verifying verifying = { .call = call, .shard = i };
		struct audit_report report = { 0 };
		enum result result =
			shard_audit_verify(daemon->shards[i], write_progress, &verifying, &report);
		/* Without its last lines, whoever reads the stream knows that it was cut. */
		if (result == RESULT_CLOSED) return;
		write_shard(call, i, result, &report);
		leaf_count += report.leaf_count;
		if (result == RESULT_OK && report.valid) continue;
		bad_count++;
		log_error("audit log does not verify shard=%u error=\"%s\"", i,
			result == RESULT_OK ? report.error : result_text(result));
	}
	struct json *json = line_open(call, "summary");
	json_bool(json, "valid", bad_count == 0);
	json_number(json, "shards", daemon->worker_count);
	json_number(json, "bad_shards", bad_count);
	json_number(json, "leaf_count", leaf_count);
	line_send(call, false);
}
