/* SPDX-License-Identifier: GPL-2.0-or-later */
/* daemon_change — from one generation to the next and back: reload, confirm, rollback, each with a
 * row in the history.
 *
 * A generation that is to be confirmed stands until its time is over; then the text before it is
 * served again, under a number of its own: numbers only grow. The files that a text names are
 * read anew, so a secret or a certificate that was changed in place stays changed. Which
 * configuration a start begins with the file says, whatever was confirmed.
 */
#include "daemon_internal.h"

#include <stdio.h>
#include <time.h>

#include "base/alloc.h"
#include "base/check.h"
#include "base/log.h"
#include "notify.h"

time_t daemon_mono_s(void)
{
	struct timespec now;

	CHECK(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
	return now.tv_sec;
}

static wall_t wall_now(void)
{
	struct timespec now;

	CHECK(clock_gettime(CLOCK_REALTIME, &now) == 0);
	return (wall_t){ (uint64_t)now.tv_sec * US_PER_S + (uint64_t)now.tv_nsec / 1000 };
}

/* ---- Rows of the history --------------------------------------------------------------------- */

static void changes_join(const struct config_changes *changes, char *to, size_t size)
{
	/* With room for what was left out. */
	struct writer writer = writer_of(to, size - 32);

	for (uint32_t i = 0; i < changes->count && !writer.failed; i++) {
		write_format(&writer, "%s%s", i > 0 ? "; " : "", changes->lines[i]);
	}
	snprintf(to + writer.size, size - writer.size, "%s",
		writer.failed || changes->dropped_count > 0 ? "; and more"
			: changes->count == 0               ? "nothing"
							    : "");
}

/* The first thing that was wrong. */
bool daemon_fault_say(const struct config_report *report, char *to, size_t size)
{
	for (uint32_t i = 0; i < report->count; i++) {
		const struct config_diagnostic *found = &report->diagnostics[i];
		if (found->severity != CONFIG_ERROR) continue;
		snprintf(to, size, "%u:%u: %s: %s", found->position.line, found->position.column,
			found->code, found->sentence);
		return true;
	}
	return false;
}

static void fault_say(const struct control_change *change, enum result result, char *to,
	size_t size)
{
	if (daemon_fault_say(change->report, to, size)) return;
	snprintf(to, size, "%s", change->error[0] != '\0' ? change->error : result_text(result));
}

static struct control_generation row_of(const struct control_change *change, enum result result)
{
	struct control_generation row = {
		.number = change->generation,
		.time = wall_now(),
		.kind = change->kind,
		.outcome = result != RESULT_OK          ? CONTROL_OUTCOME_REFUSED
			: change->confirm_within_s != 0 ? CONTROL_OUTCOME_UNCONFIRMED
							: CONTROL_OUTCOME_SERVED,
	};

	bytes_to_text(bytes_of_text(change->actor), row.actor, sizeof row.actor);
	if (result == RESULT_OK) {
		changes_join(change->changes, row.changes, sizeof row.changes);
	} else {
		fault_say(change, result, row.changes, sizeof row.changes);
	}
	return row;
}

void daemon_generations_begin(struct daemon *daemon)
{
	const struct config *config = daemon->flow->config;

	struct control_generation last;

	daemon->generations = generations_open(config->store.path);
	if (generations_list(daemon->generations, &last, 1) > 0 &&
		last.outcome == CONTROL_OUTCOME_UNCONFIRMED) {
		log_warning("generation=%llu was still to be confirmed; what the file says is "
			    "served, to stay",
			(unsigned long long)last.number);
	}
	daemon->flow->generation = generations_last(daemon->generations) + 1;
	struct control_generation row = {
		.number = daemon->flow->generation,
		.time = wall_now(),
		.kind = CONTROL_CHANGE_START,
		.outcome = CONTROL_OUTCOME_SERVED,
		.actor = "start",
	};
	generations_add(daemon->generations, &row, bytes_of(config->text, config->text_size));
	daemon->row_number = row.number;
	daemon->row_text = row.text;
}

/* ---- Changing -------------------------------------------------------------------------------- */

static void confirm_forget(struct daemon *daemon)
{
	daemon->confirm_number = 0;
	atomic_store(&daemon->confirm_end_s, 0);
}

static void confirm_expect(struct daemon *daemon, struct control_change *change)
{
	daemon->confirm_number = change->generation;
	daemon->confirm_back_to = daemon->row_number;
	change->confirm_before.us = wall_now().us + change->confirm_within_s * US_PER_S;
	/* The second that it is has begun already: never before its time, up to one after. */
	time_t within_s = (time_t)change->confirm_within_s + 1;
	atomic_store(&daemon->confirm_end_s, daemon_mono_s() + within_s);
	sem_post(&daemon->ticker_wanted);
	log_notice("generation=%llu is to be confirmed within %llu s, or generation=%llu comes "
		   "back",
		(unsigned long long)change->generation,
		(unsigned long long)change->confirm_within_s,
		(unsigned long long)daemon->row_number);
}

static void change_taken(struct daemon *daemon, struct control_change *change)
{
	struct control_generation row = row_of(change, RESULT_OK);
	const struct config *config = daemon->flow->config;

	log_notice("configuration reloaded generation=%llu by=\"%s\" changes=\"%s\"",
		(unsigned long long)change->generation, change->actor, row.changes);
	daemon->gone_back = change->kind != CONTROL_CHANGE_RELOAD;
	if (daemon->gone_back) {
		generations_decide(daemon->generations, daemon->row_number,
			CONTROL_OUTCOME_ROLLED_BACK);
		log_warning("%s still says what was gone back from: a start or a reload will load "
			    "it; put it right",
			daemon->config_path);
		confirm_forget(daemon);
	}
	if (change->confirm_within_s != 0) confirm_expect(daemon, change);
	generations_add(daemon->generations, &row, bytes_of(config->text, config->text_size));
	daemon->row_number = row.number;
	daemon->row_text = row.text;
}

static void change_refused(struct daemon *daemon, const struct control_change *change,
	enum result result)
{
	struct control_generation row = row_of(change, result);

	log_error("reload failed, generation=%llu stays: %s",
		(unsigned long long)change->generation, row.changes);
	generations_add(daemon->generations, &row, BYTES_EMPTY);
}

static enum result earlier_text_load(struct daemon *daemon, struct control_change *change,
	struct config **ret)
{
	struct bytes text;
	uint64_t number = 0;

	uint64_t wanted = change->to;
	if (wanted == 0 && daemon->confirm_number != 0) wanted = daemon->confirm_back_to;
	TRY(generations_text(daemon->generations, wanted, daemon->row_text, &number, &text,
		change->error, sizeof change->error));
	log_notice("going back to generation=%llu", (unsigned long long)number);
	enum result result = config_parse(daemon->config_path, text, ret, change->report);
	alloc_free((void *)(uintptr_t)text.data);
	return result;
}

static enum result change_load(struct daemon *daemon, struct control_change *change,
	struct config **ret)
{
	if (atomic_load(&daemon->upgrade_wanted) &&
		(change->kind != CONTROL_CHANGE_RELOAD || change->confirm_within_s != 0)) {
		snprintf(change->error, sizeof change->error,
			"an upgrade is under way, and the next program begins with the file, to "
			"stay: wait until it serves");
		return RESULT_BUSY;
	}
	if (change->kind != CONTROL_CHANGE_RELOAD) return earlier_text_load(daemon, change, ret);
	if (change->confirm_within_s != 0 && daemon->row_text == 0) {
		snprintf(change->error, sizeof change->error,
			"the text of generation %llu is not kept, so nothing could come back: see "
			"that the store's folder `generations` can be written, reload without "
			"--confirm-within",
			(unsigned long long)daemon->row_number);
		return RESULT_NOT_FOUND;
	}
	if (daemon->confirm_number == 0) {
		return config_load(daemon->config_path, ret, change->report);
	}
	snprintf(change->error, sizeof change->error,
		"generation %llu waits for it: first penstockctl confirm, or rollback",
		(unsigned long long)daemon->confirm_number);
	return RESULT_BUSY;
}

/* systemd hears of its begin and of its end, whatever comes of it: "a service that sends this
 * notification must also send a READY=1 notification when it completed reloading its
 * configuration" (sd_notify(3)); without the first `systemctl reload` waits until it times out. */
static enum result change_locked(struct daemon *daemon, struct control_change *change)
{
	struct config *config = NULL;

	notify_reloading();
	config_report_init(change->report, daemon->config_path);
	*change->changes = (struct config_changes){ 0 };
	change->generation = daemon->row_number;
	enum result result = change_load(daemon, change, &config);
	if (result == RESULT_OK) result = daemon_serve(daemon, config, change);
	if (result == RESULT_OK) {
		change_taken(daemon, change);
	} else {
		change_refused(daemon, change, result);
	}
	/* Who gave them up meanwhile may not have waited for us. */
	if (atomic_load(&daemon->listening_over)) daemon_listeners_give_up(daemon);
	daemon_status_notify(daemon);
	notify_ready();
	return result;
}

enum result daemon_change(struct daemon *daemon, struct control_change *change)
{
	pthread_mutex_lock(&daemon->publish_lock);
	enum result result = change_locked(daemon, change);
	pthread_mutex_unlock(&daemon->publish_lock);
	return result;
}

/* ---- Confirming ------------------------------------------------------------------------------ */

enum result daemon_confirm(struct daemon *daemon, const char *actor, uint64_t *ret_generation)
{
	enum result result = RESULT_NOT_FOUND;

	pthread_mutex_lock(&daemon->publish_lock);
	if (daemon->confirm_number != 0) {
		*ret_generation = daemon->confirm_number;
		generations_decide(daemon->generations, daemon->confirm_number,
			CONTROL_OUTCOME_CONFIRMED);
		log_notice("confirmed generation=%llu by=\"%s\"",
			(unsigned long long)daemon->confirm_number, actor);
		confirm_forget(daemon);
		result = RESULT_OK;
	}
	pthread_mutex_unlock(&daemon->publish_lock);
	return result;
}

static void confirm_expire_locked(struct daemon *daemon)
{
	time_t end_s = atomic_load(&daemon->confirm_end_s);
	if (end_s == 0 || daemon_mono_s() < end_s) return;

	struct control_change change = {
		.kind = CONTROL_CHANGE_EXPIRE,
		.actor = "nobody: not confirmed in time",
		.report = alloc_array(1, sizeof *change.report),
		.changes = alloc_array(1, sizeof *change.changes),
	};
	log_warning("generation=%llu was not confirmed in time",
		(unsigned long long)daemon->confirm_number);
	if (change_locked(daemon, &change) != RESULT_OK) {
		daemon_report_log(change.report, daemon->config_path);
		/* Once: it would fail in the same way for ever. */
		confirm_forget(daemon);
	}
	alloc_free(change.report);
	alloc_free(change.changes);
}

void daemon_confirm_expire(struct daemon *daemon)
{
	pthread_mutex_lock(&daemon->publish_lock);
	confirm_expire_locked(daemon);
	pthread_mutex_unlock(&daemon->publish_lock);
}

void daemon_report_log(const struct config_report *report, const char *path)
{
	for (uint32_t i = 0; i < report->count; i++) {
		const struct config_diagnostic *found = &report->diagnostics[i];
		/* No rate limits them: there are CONFIG_DIAGNOSTICS_MAX at most. */
		struct log_site site = { .file = __FILE__, .line = __LINE__ };
		bool hint = found->hint[0] != '\0';
		log_write(&site, found->severity == CONFIG_ERROR ? LOG_ERROR : LOG_WARNING,
			"%s:%u:%u: %s: %s%s%s%s", path, found->position.line,
			found->position.column, found->code, found->sentence,
			hint ? " hint=\"" : "", found->hint, hint ? "\"" : "");
	}
}
