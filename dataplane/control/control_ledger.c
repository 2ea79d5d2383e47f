/* SPDX-License-Identifier: GPL-2.0-or-later */
/* control_ledger — what became of all deliveries, endpoint by endpoint, over all shards: the
 * accounts that every commit keeps, and on request a count of the rows beside them.
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "control/control_internal.h"
#include "metrics/metrics.h"

/* ---- Gathering ------------------------------------------------------------------------------- */

static int compare_ids(const void *left, const void *right)
{
	const struct account *a = left;
	const struct account *b = right;
	return (a->endpoint_id > b->endpoint_id) - (a->endpoint_id < b->endpoint_id);
}

/* Accounts of one endpoint become one; those with nothing in them leave. */
static void merge(struct control_ledger *ledger)
{
	uint32_t kept = 0;

	qsort(ledger->accounts, ledger->count, sizeof *ledger->accounts, compare_ids);
	for (uint32_t i = 0; i < ledger->count; i++) {
		const struct account *account = &ledger->accounts[i];
		ledger->balanced = ledger->balanced && account_balances(account);
		account_add(&ledger->total, account);
		if (account->accepted == 0 && account_balances(account)) continue;
		if (kept > 0 && ledger->accounts[kept - 1].endpoint_id == account->endpoint_id) {
			account_add(&ledger->accounts[kept - 1], account);
		} else {
			ledger->accounts[kept++] = *account;
		}
	}
	ledger->count = kept;
}

void control_ledger_gather(const struct control_daemon *daemon, struct control_ledger *ret)
{
	uint32_t size = 0;

	*ret = (struct control_ledger){ .balanced = true };
	for (uint32_t i = 0; i < daemon->worker_count; i++) {
		size += shard_ledger_size(daemon->shards[i]);
	}
	/* What is new by now is seen the next time. */
	ret->accounts = alloc_array(size, sizeof *ret->accounts);
	for (uint32_t i = 0; i < daemon->worker_count; i++) {
		ret->count += shard_ledger_copy(daemon->shards[i], ret->accounts + ret->count,
			size - ret->count);
	}
	merge(ret);
}

void control_ledger_free(struct control_ledger *ledger)
{
	alloc_free(ledger->accounts);
}

/* ---- Names ----------------------------------------------------------------------------------- */

struct named {
	const struct account *account;
	char name[NAME_SIZE_MAX + 1];
};

static int compare_names(const void *left, const void *right)
{
	const struct named *a = left;
	const struct named *b = right;
	return strcmp(a->name, b->name);
}

/* Names are in every shard, but for what became of an event before it was served. */
static struct named *name_accounts(struct control_call *call, const struct control_ledger *ledger)
{
	struct named *rows = alloc_array(ledger->count + 1, sizeof *rows);
	struct store_txn txn = { 0 };

	shard_read_begin(call->daemon->shards[0], &txn);
	for (uint32_t i = 0; i < ledger->count; i++) {
		rows[i].account = &ledger->accounts[i];
		if (rows[i].account->endpoint_id == ACCOUNT_OTHERS) {
			memcpy(rows[i].name, METRICS_OTHER, sizeof METRICS_OTHER);
		} else {
			shard_name(&txn, 'e', rows[i].account->endpoint_id, rows[i].name);
		}
	}
	store_read_done(&txn);
	qsort(rows, ledger->count, sizeof *rows, compare_names);
	return rows;
}

/* ---- Answers --------------------------------------------------------------------------------- */

static void write_account(struct json *json, const struct account *account)
{
	json_number(json, "accepted", account->accepted);
	json_number(json, "delivered", account->delivered);
	json_number(json, "pending", account->pending);
	json_number(json, "parked", account->parked);
}

/* From the first name behind `after` on. */
static void write_rows(struct json *json, const struct named *rows, uint32_t count,
	const char *after, uint32_t limit)
{
	uint32_t at = 0;

	while (after != NULL && at < count && strcmp(rows[at].name, after) <= 0) at++;
	json_array(json, "endpoints");
	for (; at < count && limit > 0; at++, limit--) {
		json_object(json, NULL);
		json_text(json, "name", rows[at].name);
		write_account(json, rows[at].account);
		json_bool(json, "balanced", account_balances(rows[at].account));
		json_object_end(json);
	}
	json_array_end(json);
	json_text_or_null(json, "next_after",
		at < count && at > 0 ? bytes_of_text(rows[at - 1].name) : BYTES_EMPTY);
}

void control_handle_ledger(struct control_call *call)
{
	struct control_ledger ledger;
	uint32_t limit;

	if (!control_limit(call, &limit)) return;
	control_ledger_gather(call->daemon, &ledger);
	struct named *rows = name_accounts(call, &ledger);
	struct json *json = control_answer(call, "penstock.ledger/v1");
	json_bool(json, "balanced", ledger.balanced);
	json_object(json, "totals");
	write_account(json, &ledger.total);
	json_object_end(json);
	write_rows(json, rows, ledger.count, control_query_get(&call->query, "after"), limit);
	json_object_end(json);
	alloc_free(rows);
	control_ledger_free(&ledger);
}

static void write_check(struct control_call *call, const struct shard_ledger_check *sum)
{
	struct json *json = control_answer(call, "penstock.ledger_check/v1");
	json_bool(json, "balanced", sum->wrong == 0 && sum->totals_agree);
	json_number(json, "accounts", sum->accounts);
	json_number(json, "pending", sum->pending);
	json_number(json, "parked", sum->parked);
	json_number(json, "wrong", sum->wrong);
	json_bool(json, "totals_agree", sum->totals_agree);
	struct store_txn txn = { 0 };
	shard_read_begin(call->daemon->shards[0], &txn);
	if (sum->wrong > 0) {
		control_json_name(json, "wrong_endpoint", &txn, 'e', sum->wrong_endpoint_id);
	} else {
		json_null(json, "wrong_endpoint");
	}
	store_read_done(&txn);
	json_object_end(json);
}

void control_handle_ledger_check(struct control_call *call)
{
	struct shard_ledger_check sum = { .totals_agree = true };

	for (uint32_t i = 0; i < call->daemon->worker_count; i++) {
		struct shard_ledger_check one;
		enum result result = shard_ledger_check(call->daemon->shards[i], &one);
		if (result == RESULT_FULL) {
			control_problem(call, 503, "too_much_to_count",
				"There is too much to count",
				"shard %u has more than %u rows of what waits or is dead; ask "
				"again when it has been delivered",
				i, LEDGER_COUNT_ROWS_MAX);
			return;
		}
		if (result != RESULT_OK) {
			control_problem_store(call, result);
			return;
		}
		sum.accounts += one.accounts;
		sum.pending += one.pending;
		sum.parked += one.parked;
		sum.wrong += one.wrong;
		if (one.wrong > 0) sum.wrong_endpoint_id = one.wrong_endpoint_id;
		sum.totals_agree = sum.totals_agree && one.totals_agree;
	}
	write_check(call, &sum);
}
