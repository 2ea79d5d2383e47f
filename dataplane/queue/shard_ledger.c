/* SPDX-License-Identifier: GPL-2.0-or-later */
/* shard_ledger — the ledger's rows: a row in META for each endpoint, written by the commit that
 * changes it. So the accounts are exact over crashes, as the shard's counters are; a commit writes
 * as many rows as endpoints it has to do with.
 *
 * Counting again looks at something else: at the rows of what waits and of what is dead, and at the
 * events that the low-water mark has not passed.
 */
#include "base/log.h"
#include "queue/shard_internal.h"

/* ---- Rows ------------------------------------------------------------------------------------ */

static void put_account(struct store_txn *txn, const struct account *account)
{
	uint8_t memory[ROW_ACCOUNT_SIZE];
	struct writer writer = writer_of(memory, sizeof memory);

	row_account_encode(account, &writer);
	CHECK(!writer.failed);
	struct bytes value = writer_bytes(&writer);
	struct row_key key = row_ledger_key(account->endpoint_id);
	store_put(txn, STORE_META, row_key_bytes(&key), &value, 1);
}

void shard_ledger_finish(struct shard *shard, struct store_txn *txn)
{
	struct accounts *accounts = shard->accounts;

	if (shard->state.ledger_counted) {
		for (uint32_t i = 0; i < accounts_count(accounts); i++) {
			put_account(txn, accounts_at(accounts, i));
		}
		shard->state.ledger_counted = false;
		return;
	}
	for (uint32_t i = 0; i < accounts_touched_count(accounts); i++) {
		put_account(txn, accounts_at(accounts, accounts_touched_at(accounts, i)));
	}
}

/* A damaged row is passed over, and its endpoint's account begins anew: a check finds it wrong, and
 * events are delivered all the same. */
static enum result read_accounts(struct store_txn *txn, struct accounts *accounts)
{
	struct store_cursor cursor;

	store_cursor_open(&cursor, txn, STORE_META);
	bool found = store_cursor_seek(&cursor, ROW_LEDGER_PREFIX);
	for (; found && bytes_starts_with(cursor.key, ROW_LEDGER_PREFIX);
		found = store_cursor_next(&cursor)) {
		struct account account;
		if (!row_account_decode(cursor.key, cursor.value, &account)) {
			log_error("a row of the ledger is damaged shard=%u",
				(unsigned)store_shard(txn->store));
			continue;
		}
		account_add(accounts_take(accounts, account.endpoint_id), &account);
	}
	store_cursor_close(&cursor);
	return txn->result;
}

/* ---- Counting -------------------------------------------------------------------------------- */

struct count {
	struct store_txn *txn;
	const struct shard_counters *counters;
	struct accounts *accounts; /* pending and parked */
	uint64_t rows_left;
};

uint32_t shard_ledger_endpoint(struct store_txn *txn, uint64_t sequence)
{
	struct event event;

	if (shard_event_read(txn, sequence, &event) != RESULT_OK) return ACCOUNT_OTHERS;
	return event.endpoint_id;
}

/* All rows of SCHEDULE, DEFERRED or DEAD. False: there are too many. */
static bool count_rows(struct count *count, enum store_table table)
{
	struct store_cursor cursor;
	struct row_place place;

	store_cursor_open(&cursor, count->txn, table);
	bool found = store_cursor_seek(&cursor, BYTES_LITERAL("\0")); /* the first key */
	for (; found && count->rows_left > 0; found = store_cursor_next(&cursor)) {
		count->rows_left--;
		if (!row_parse(table, cursor.key, &place)) continue;
		uint32_t endpoint_id = shard_ledger_endpoint(count->txn, place.sequence);
		struct account *account = accounts_take(count->accounts, endpoint_id);
		*(table == STORE_DEAD ? &account->parked : &account->pending) += 1;
	}
	store_cursor_close(&cursor);
	return !found;
}

/* Whether nothing has been written of it but the event: what was tried or deferred has a row, or
 * is delivered. */
static bool is_untouched(struct store_txn *txn, uint64_t sequence, uint32_t target_id)
{
	struct attempt attempt;
	struct bytes value;

	if (shard_attempt_next(txn, sequence, target_id, 0, &attempt) != RESULT_NOT_FOUND) {
		return false;
	}
	struct row_key key = row_deferred_key(target_id, sequence);
	return store_get(txn, STORE_DEFERRED, row_key_bytes(&key), &value) == RESULT_NOT_FOUND;
}

/* The events from the low-water mark on. False: there are too many. */
static bool count_events(struct count *count)
{
	uint64_t sequence = count->counters->low_water;

	for (; sequence < count->counters->next_sequence; sequence++) {
		struct event event;
		if (count->rows_left == 0 || count->txn->result != RESULT_OK) return false;
		count->rows_left--;
		if (shard_event_read(count->txn, sequence, &event) != RESULT_OK) continue;
		for (unsigned i = 0; i < event.target_count; i++) {
			if (event_target_is_repeated(&event, i)) continue;
			if (!is_untouched(count->txn, sequence, event.target_ids[i])) continue;
			accounts_take(count->accounts, event.endpoint_id)->pending++;
		}
	}
	return true;
}

static enum result count_again(struct count *count)
{
	bool complete = count_rows(count, STORE_DEAD) && count_rows(count, STORE_SCHEDULE) &&
		count_rows(count, STORE_DEFERRED) && count_events(count);
	if (count->txn->result != RESULT_OK) return count->txn->result;
	return complete ? RESULT_OK : RESULT_FULL;
}

/* ---- Opening --------------------------------------------------------------------------------- */

static enum result ledger_make(struct shard *shard, struct store_txn *txn)
{
	struct count count = {
		.txn = txn,
		.counters = &shard->state.counters,
		.accounts = shard->accounts,
		.rows_left = UINT64_MAX,
	};

	TRY(count_again(&count));
	for (uint32_t i = 0; i < accounts_count(shard->accounts); i++) {
		uint32_t id = accounts_at(shard->accounts, i)->endpoint_id;
		struct account *account = accounts_take(shard->accounts, id);
		account->accepted = account->pending + account->parked;
	}
	struct account *others = accounts_take(shard->accounts, ACCOUNT_OTHERS);
	others->delivered += shard->state.counters.deliveries_delivered;
	others->accepted += shard->state.counters.deliveries_delivered;
	return RESULT_OK;
}

enum result shard_ledger_load(struct shard *shard, struct store_txn *txn)
{
	enum result result = shard->state.ledger_counted ? ledger_make(shard, txn)
							 : read_accounts(txn, shard->accounts);
	if (result != RESULT_OK) return result;
	for (uint32_t i = 0; i < accounts_count(shard->accounts); i++) {
		const struct account *account = accounts_at(shard->accounts, i);
		*accounts_take(shard->published_accounts, account->endpoint_id) = *account;
	}
	return RESULT_OK;
}

/* ---- For others ------------------------------------------------------------------------------ */

void shard_ledger_publish(struct shard *shard)
{
	for (uint32_t i = 0; i < accounts_touched_count(shard->accounts); i++) {
		const struct account *account =
			accounts_at(shard->accounts, accounts_touched_at(shard->accounts, i));
		*accounts_take(shard->published_accounts, account->endpoint_id) = *account;
	}
}

/* The lock is ours to take: only the accounts are promised not to change. */
static struct shard *lock_published(const struct shard *shard)
{
	struct shard *open = (struct shard *)(uintptr_t)shard;
	pthread_mutex_lock(&open->published_lock);
	return open;
}

uint32_t shard_ledger_size(const struct shard *shard)
{
	struct shard *open = lock_published(shard);
	uint32_t count = accounts_count(open->published_accounts);
	pthread_mutex_unlock(&open->published_lock);
	return count;
}

uint32_t shard_ledger_copy(const struct shard *shard, struct account *to, uint32_t count_max)
{
	struct shard *open = lock_published(shard);
	uint32_t count = accounts_count(open->published_accounts);
	if (count > count_max) count = count_max;
	for (uint32_t i = 0; i < count; i++) to[i] = *accounts_at(open->published_accounts, i);
	pthread_mutex_unlock(&open->published_lock);
	return count;
}

/* ---- Checking -------------------------------------------------------------------------------- */

/* The accounts with what was counted, and their sums with the shard's own counters. */
static void compare(struct accounts *kept, struct accounts *counted,
	const struct shard_counters *counters, struct shard_ledger_check *ret)
{
	struct account sum = { 0 };

	/* Those that only one of them has are compared with an empty one. */
	for (uint32_t i = 0; i < accounts_count(counted); i++) {
		accounts_take(kept, accounts_at(counted, i)->endpoint_id);
	}
	for (uint32_t i = 0; i < accounts_count(kept); i++) {
		const struct account *account = accounts_at(kept, i);
		const struct account *again = accounts_take(counted, account->endpoint_id);
		account_add(&sum, account);
		ret->accounts++;
		ret->pending += again->pending;
		ret->parked += again->parked;
		if (account_balances(account) && account->pending == again->pending &&
			account->parked == again->parked) {
			continue;
		}
		ret->wrong++;
		ret->wrong_endpoint_id = account->endpoint_id;
	}
	ret->totals_agree = sum.delivered == counters->deliveries_delivered &&
		sum.parked == counters->deliveries_dead;
}

static enum result check(struct store_txn *txn, struct accounts *kept, struct accounts *counted,
	struct shard_ledger_check *ret)
{
	struct shard_state state;
	struct audit audit;
	struct count count = {
		.txn = txn,
		.counters = &state.counters,
		.accounts = counted,
		.rows_left = LEDGER_COUNT_ROWS_MAX,
	};

	enum result result = shard_state_read(txn, &state, &audit);
	if (result == RESULT_NOT_FOUND) return RESULT_OK; /* nothing has been committed */
	TRY(result);
	/* Made by counting, and not written yet: there is nothing else to compare with. */
	if (state.ledger_counted) return RESULT_OK;
	TRY(read_accounts(txn, kept));
	TRY(count_again(&count));
	compare(kept, counted, &state.counters, ret);
	return RESULT_OK;
}

enum result shard_ledger_check(struct shard *shard, struct shard_ledger_check *ret)
{
	struct store_txn txn = { 0 };
	struct accounts *kept = accounts_create();
	struct accounts *counted = accounts_create();

	*ret = (struct shard_ledger_check){ .totals_agree = true };
	shard_read_begin(shard, &txn);
	enum result result = txn.result;
	if (result == RESULT_OK) result = check(&txn, kept, counted, ret);
	store_read_done(&txn);
	accounts_free(kept);
	accounts_free(counted);
	return result;
}
