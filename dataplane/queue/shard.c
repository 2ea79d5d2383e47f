/* SPDX-License-Identifier: GPL-2.0-or-later */
/* shard — opening, the hooks around each commit, and the state row that every commit writes.
 */
#include "queue/shard.h"

#include <semaphore.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "queue/shard_internal.h"

/* Format 1 does not end with the latest events; formats 1 and 2 have no ledger beside them. */
enum { STATE_FORMAT_LATEST = 2, STATE_FORMAT_LEDGER = 3, STATE_FORMAT = 3 };
enum { STATE_SIZE_MAX = STORE_PAYLOAD_SIZE_MAX };
BOUND(STATE_SIZE_MAX > 256 + TREE_LEVELS_MAX * SHA256_SIZE);

/* Rows that retention may delete in a commit: an event with its attempts and a few chunks has
 * some four, and it must be able to catch up. */
enum { RETENTION_ROWS_PER_EVENT = 8, RETENTION_ROWS_MIN = 16, RETENTION_ROWS_MAX = 2048 };

/* What settling a delivery adds to the store at most, as a rule: an attempt with its texts, a
 * leaf, and the room that pages leave. */
enum { SETTLE_SIZE = 512 };

/* What a name adds, roughly. */
enum { NAME_ROW_SIZE = 128 };

#define STATE_KEY BYTES_LITERAL("state")

/* ---- State row ------------------------------------------------------------------------------- */

static void state_write(const struct shard *shard, struct store_txn *txn)
{
	uint8_t memory[STATE_SIZE_MAX];
	struct writer writer = writer_of(memory, sizeof memory);
	const struct shard_counters *counters = &shard->state.counters;

	write_u8(&writer, STATE_FORMAT);
	write_u64(&writer, counters->next_sequence);
	write_u64(&writer, counters->low_water);
	write_u64(&writer, counters->events_accepted);
	write_u64(&writer, counters->deliveries_created);
	write_u64(&writer, counters->deliveries_delivered);
	write_u64(&writer, counters->deliveries_dead);
	write_u64(&writer, counters->attempts);
	write_u64(&writer, counters->dead_replayed);
	write_u64(&writer, counters->events_expired);
	write_u64(&writer, shard->state.expired_below);
	audit_save(&shard->audit, &writer);
	for (unsigned i = 0; i < ARRAY_COUNT(counters->latest); i++) {
		write_u64(&writer, counters->latest[i].target_id);
		write_u64(&writer, counters->latest[i].sequence);
	}
	CHECK(!writer.failed);
	struct bytes value = writer_bytes(&writer);
	store_put(txn, STORE_META, STATE_KEY, &value, 1);
}

static void latest_read(struct reader *reader, uint8_t format, struct shard_counters *counters)
{
	struct shard_latest *latest = counters->latest;

	for (unsigned i = 0; i < ARRAY_COUNT(counters->latest); i++) {
		/* Not known: then both are said to have just come in, which can only make the
		 * queue give way to somebody who is not there. */
		latest[i] = (struct shard_latest){ i, counters->next_sequence - 1 };
		if (format < STATE_FORMAT_LATEST) continue;
		latest[i].target_id = read_u64(reader);
		latest[i].sequence = read_u64(reader);
	}
}

enum result shard_state_read(struct store_txn *txn, struct shard_state *ret,
	struct audit *ret_audit)
{
	struct bytes value;

	*ret = (struct shard_state){ .counters = { .next_sequence = 1, .low_water = 1 } };
	audit_init(ret_audit, store_shard(txn->store));
	TRY(store_get(txn, STORE_META, STATE_KEY, &value));

	struct reader reader = reader_of(value);
	struct shard_counters *counters = &ret->counters;
	uint8_t format = read_u8(&reader);
	if (format == 0 || format > STATE_FORMAT) return RESULT_MALFORMED;
	counters->next_sequence = read_u64(&reader);
	counters->low_water = read_u64(&reader);
	counters->events_accepted = read_u64(&reader);
	counters->deliveries_created = read_u64(&reader);
	counters->deliveries_delivered = read_u64(&reader);
	counters->deliveries_dead = read_u64(&reader);
	counters->attempts = read_u64(&reader);
	counters->dead_replayed = read_u64(&reader);
	counters->events_expired = read_u64(&reader);
	ret->expired_below = read_u64(&reader);
	TRY(audit_load(ret_audit, &reader));
	latest_read(&reader, format, counters);
	ret->ledger_counted = format < STATE_FORMAT_LEDGER;
	counters->leaf_count = ret_audit->tree.leaf_count;
	return reader_complete(&reader) ? RESULT_OK : RESULT_MALFORMED;
}

/* What a commit must have kept together; one look at the end of each table. */
static enum result state_check(const struct shard *shard, struct store_txn *txn)
{
	const struct shard_counters *counters = &shard->state.counters;
	struct store_cursor cursor;
	struct row_place last = { 0 };

	if (counters->low_water == 0 || counters->low_water > counters->next_sequence) {
		return RESULT_MALFORMED;
	}
	if (counters->events_accepted != counters->next_sequence - 1) return RESULT_MALFORMED;
	if (shard->state.expired_below > counters->low_water) return RESULT_MALFORMED;

	store_cursor_open(&cursor, txn, STORE_EVENTS);
	bool whole = !store_cursor_last(&cursor) || row_parse(STORE_EVENTS, cursor.key, &last);
	store_cursor_close(&cursor);
	if (txn->result != RESULT_OK) return txn->result;
	if (!whole || last.sequence >= counters->next_sequence) return RESULT_MALFORMED;
	/* The last event is there, unless retention took it. */
	if (last.sequence + 1 != counters->next_sequence &&
		shard->state.expired_below < counters->next_sequence) {
		return RESULT_MALFORMED;
	}
	return audit_check(&shard->audit, txn);
}

/* ---- Hooks of the writer --------------------------------------------------------------------- */

static void batch_begin(void *owner)
{
	struct shard *shard = owner;
	shard->state_at_begin = shard->state;
	shard->fingerprint_count = 0;
	shard->appended_count = 0;
	accounts_batch_begin(shard->accounts);
	audit_begin(&shard->audit);
}

static void batch_finish(void *owner, struct store_txn *txn)
{
	struct shard *shard = owner;
	struct shard_counters *counters = &shard->state.counters;

	unsigned rows_max = shard->appended_count * RETENTION_ROWS_PER_EVENT + RETENTION_ROWS_MIN;
	if (rows_max > RETENTION_ROWS_MAX) rows_max = RETENTION_ROWS_MAX;
	bool more = shard_retention_step(shard, txn, rows_max);
	MAYBE(more); /* with the next commit */
	shard_replay_finish(shard, txn);
	audit_finish(&shard->audit, txn);
	shard_ledger_finish(shard, txn);

	uint64_t low_water = atomic_load_explicit(&shard->low_water, memory_order_acquire);
	CHECK(low_water <= counters->next_sequence);
	if (low_water > counters->low_water) counters->low_water = low_water;
	counters->leaf_count = shard->audit.tree.leaf_count;
	state_write(shard, txn);
}

static void batch_abort(void *owner)
{
	struct shard *shard = owner;
	shard->state = shard->state_at_begin;
	accounts_batch_abort(shard->accounts);
	audit_abort(&shard->audit);
}

/* Deliveries that will still write an attempt. */
static uint64_t unsettled_count(const struct shard_counters *counters)
{
	uint64_t settled = counters->deliveries_delivered + counters->deliveries_dead;
	/* A target that an event names twice is counted twice and delivered to once. */
	return counters->deliveries_created > settled ? counters->deliveries_created - settled : 0;
}

static void batch_committed(void *owner)
{
	struct shard *shard = owner;
	atomic_store_explicit(&shard->committed_next, shard->state.counters.next_sequence,
		memory_order_release);
	pthread_mutex_lock(&shard->published_lock);
	shard->published = shard->state.counters;
	shard_ledger_publish(shard);
	pthread_mutex_unlock(&shard->published_lock);
	store_set_promised(shard->store, unsettled_count(&shard->state.counters) * SETTLE_SIZE);
}

static void batch_failed(void *owner, enum result result)
{
	struct shard *shard = owner;
	if (shard->failed != NULL) shard->failed(shard->owner, result);
}

/* ---- Opening --------------------------------------------------------------------------------- */

static enum result load(struct shard *shard, struct replay *replay, char *error, size_t error_size)
{
	struct store_txn txn = { 0 };

	store_read_begin(&txn, shard->store);
	enum result result = txn.result;
	if (result == RESULT_OK) result = shard_state_read(&txn, &shard->state, &shard->audit);
	if (result == RESULT_NOT_FOUND && store_row_count(&txn, STORE_EVENTS) == 0)
		result = RESULT_OK;
	if (result == RESULT_OK) result = state_check(shard, &txn);
	if (result == RESULT_OK) result = shard_ledger_load(shard, &txn);
	store_read_done(&txn);
	if (result == RESULT_OK) {
		batch_committed(shard);
		atomic_store(&shard->low_water, shard->state.counters.low_water);
		result = shard_replay_restore(shard, replay);
	}
	if (result != RESULT_OK) {
		snprintf(error, error_size, "the state of shard %u cannot be loaded: %s",
			(unsigned)shard->number, result_text(result));
	}
	return result;
}

enum result shard_open(const struct shard_config *config, struct shard **ret, char *error,
	size_t error_size)
{
	struct shard *shard = alloc_array(1, sizeof *shard);
	const struct store_hooks hooks = {
		.begin = batch_begin,
		.finish = batch_finish,
		.abort = batch_abort,
		.committed = batch_committed,
		.failed = batch_failed,
		.owner = shard,
	};

	CHECK(pthread_mutex_init(&shard->published_lock, NULL) == 0);
	shard->number = config->store.shard;
	shard->accounts = accounts_create();
	shard->published_accounts = accounts_create();
	shard->threaded = config->threaded;
	shard->retention_us = config->retention_us;
	shard->failed = config->failed;
	shard->owner = config->owner;

	enum result result = store_open(&config->store, &shard->store, error, error_size);
	if (result == RESULT_OK) result = load(shard, config->replay, error, error_size);
	if (result == RESULT_OK) {
		result = store_writer_start(shard->store, &hooks, config->cpu, config->threaded,
			&shard->writer);
		if (result != RESULT_OK) snprintf(error, error_size, "cannot start a thread");
	}
	if (result != RESULT_OK) {
		shard_close(shard);
		return result;
	}
	*ret = shard;
	return RESULT_OK;
}

void shard_close(struct shard *shard)
{
	atomic_store(&shard->closing, true);
	if (shard->writer != NULL) store_writer_stop(shard->writer);
	if (shard->store != NULL) store_close(shard->store);
	accounts_free(shard->accounts);
	accounts_free(shard->published_accounts);
	pthread_mutex_destroy(&shard->published_lock);
	alloc_free(shard);
}

/* ---- Small access ---------------------------------------------------------------------------- */

struct store *shard_store(struct shard *shard)
{
	return shard->store;
}

struct store_writer *shard_writer(struct shard *shard)
{
	return shard->writer;
}

uint16_t shard_number(const struct shard *shard)
{
	return shard->number;
}

struct shard_counters shard_counters(const struct shard *shard)
{
	/* The lock is ours to take: only the counters are promised not to change. */
	struct shard *open = (struct shard *)(uintptr_t)shard;
	pthread_mutex_lock(&open->published_lock);
	struct shard_counters counters = shard->published;
	pthread_mutex_unlock(&open->published_lock);
	return counters;
}

void shard_note_time(struct shard *shard, uint64_t now_us)
{
	if (now_us > shard->state.now_us) shard->state.now_us = now_us;
}

void shard_set_low_water(struct shard *shard, uint64_t sequence)
{
	atomic_store_explicit(&shard->low_water, sequence, memory_order_release);
}

uint64_t shard_committed_next(const struct shard *shard)
{
	return atomic_load_explicit(&shard->committed_next, memory_order_acquire);
}

/* ---- Names ----------------------------------------------------------------------------------- */

struct names_job {
	struct store_job job;
	const struct shard_name *names;
	size_t count;
	sem_t done;
};

static bool name_is_known(struct store_txn *txn, const struct shard_name *name)
{
	struct row_key key = row_name_key(name->kind, name->id);
	struct bytes stored;
	return store_get(txn, STORE_NAMES, row_key_bytes(&key), &stored) == RESULT_OK &&
		bytes_equal(stored, bytes_of_text(name->text));
}

static void names_apply(struct store_job *job, struct store_txn *txn)
{
	struct names_job *names = CONTAINER_OF(job, struct names_job, job);

	for (size_t i = 0; i < names->count; i++) {
		const struct shard_name *name = &names->names[i];
		if (name_is_known(txn, name)) continue;
		struct row_key key = row_name_key(name->kind, name->id);
		struct bytes text = bytes_of_text(name->text);
		store_put(txn, STORE_NAMES, row_key_bytes(&key), &text, 1);
	}
}

static void names_complete(struct store_job *job)
{
	sem_post(&CONTAINER_OF(job, struct names_job, job)->done);
}

static bool names_are_known(struct shard *shard, const struct shard_name *names, size_t count)
{
	struct store_txn txn = { 0 };
	bool known = true;

	store_read_begin(&txn, shard->store);
	for (size_t i = 0; i < count && known; i++) known = name_is_known(&txn, &names[i]);
	store_read_done(&txn);
	return known;
}

enum result shard_remember_names(struct shard *shard, const struct shard_name *names, size_t count)
{
	struct names_job job = {
		.job = { .apply = names_apply, .complete = names_complete, .uses_reserve = true },
		.names = names,
		.count = count,
	};

	for (size_t i = 0; i < count; i++) {
		size_t size = strlen(names[i].text);
		CHECK(size > 0 && size <= NAME_SIZE_MAX);
	}
	if (names_are_known(shard, names, count)) return RESULT_OK;
	job.job.size = (uint32_t)(count * NAME_ROW_SIZE);
	CHECK(sem_init(&job.done, 0, 0) == 0);
	store_writer_submit(shard->writer, &job.job);
	while (sem_trywait(&job.done) != 0) {
		if (!shard->threaded) {
			store_writer_step(shard->writer);
		} else if (sem_wait(&job.done) == 0) {
			break;
		}
	}
	sem_destroy(&job.done);
	return job.job.result;
}
