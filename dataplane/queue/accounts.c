/* SPDX-License-Identifier: GPL-2.0-or-later */
/* accounts — see the header. A table over them by id, and a list of what a batch touched. */
#include "queue/accounts.h"

#include "base/alloc.h"
#include "base/check.h"

/* Twice the accounts, so that probing stays short. */
enum { TABLE_SIZE = 4 * ENDPOINTS_MAX };
BOUND((TABLE_SIZE & (TABLE_SIZE - 1)) == 0 && TABLE_SIZE >= 2 * ACCOUNTS_MAX);

struct touched {
	uint32_t index;
	struct account before;
};

/* Mapped: only what is used costs memory. */
struct accounts {
	uint32_t count;
	uint32_t touched_count;
	uint64_t batch; /* number of the present one */
	struct touched touched[STORE_BATCH_JOBS_MAX];
	struct account accounts[ACCOUNTS_MAX];
	uint64_t batches[ACCOUNTS_MAX]; /* in which the account was touched last */
	uint32_t table[TABLE_SIZE];     /* index + 1; 0: empty */
};

bool account_balances(const struct account *account)
{
	return account->accepted == account->delivered + account->pending + account->parked;
}

void account_add(struct account *to, const struct account *from)
{
	to->accepted += from->accepted;
	to->delivered += from->delivered;
	to->pending += from->pending;
	to->parked += from->parked;
}

void account_accept(struct account *account, uint64_t deliveries)
{
	account->accepted += deliveries;
	account->pending += deliveries;
}

void account_move(uint64_t *from, uint64_t *to)
{
	if (*from > 0) (*from)--;
	(*to)++;
}

struct accounts *accounts_create(void)
{
	struct accounts *accounts = alloc_map(sizeof *accounts);
	struct account *others = accounts_take(accounts, ACCOUNT_OTHERS);
	CHECK(others == &accounts->accounts[0]);
	accounts->batch = 1; /* nothing has been touched in batch 0 */
	return accounts;
}

void accounts_free(struct accounts *accounts)
{
	if (accounts != NULL) alloc_unmap(accounts, sizeof *accounts);
}

uint32_t accounts_count(const struct accounts *accounts)
{
	return accounts->count;
}

const struct account *accounts_at(const struct accounts *accounts, uint32_t index)
{
	CHECK(index < accounts->count);
	return &accounts->accounts[index];
}

struct account *accounts_take(struct accounts *accounts, uint32_t endpoint_id)
{
	/* Ids are hashes of names already. */
	for (uint32_t at = endpoint_id;; at++) {
		uint32_t *entry = &accounts->table[at & (TABLE_SIZE - 1)];
		if (*entry != 0) {
			struct account *account = &accounts->accounts[*entry - 1];
			if (account->endpoint_id == endpoint_id) return account;
			continue;
		}
		if (accounts->count == ACCOUNTS_MAX) return &accounts->accounts[0];
		struct account *account = &accounts->accounts[accounts->count++];
		account->endpoint_id = endpoint_id;
		*entry = accounts->count;
		return account;
	}
}

/* ---- Batches --------------------------------------------------------------------------------- */

struct account *accounts_touch(struct accounts *accounts, uint32_t endpoint_id)
{
	struct account *account = accounts_take(accounts, endpoint_id);
	uint32_t index = (uint32_t)(account - accounts->accounts);

	if (accounts->batches[index] == accounts->batch) return account;
	CHECK(accounts->touched_count < STORE_BATCH_JOBS_MAX);
	accounts->batches[index] = accounts->batch;
	accounts->touched[accounts->touched_count++] =
		(struct touched){ .index = index, .before = *account };
	return account;
}

void accounts_batch_begin(struct accounts *accounts)
{
	accounts->batch++;
	accounts->touched_count = 0;
}

void accounts_batch_abort(struct accounts *accounts)
{
	for (uint32_t i = 0; i < accounts->touched_count; i++) {
		const struct touched *touched = &accounts->touched[i];
		accounts->accounts[touched->index] = touched->before;
	}
	accounts_batch_begin(accounts);
}

uint32_t accounts_touched_count(const struct accounts *accounts)
{
	return accounts->touched_count;
}

uint32_t accounts_touched_at(const struct accounts *accounts, uint32_t touched)
{
	CHECK(touched < accounts->touched_count);
	return accounts->touched[touched].index;
}
