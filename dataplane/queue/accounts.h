/* SPDX-License-Identifier: GPL-2.0-or-later */
/* accounts — what became of a shard's deliveries, one for each endpoint: found by id, changed
 * in batches that can be undone. In memory; on disk they are the ledger (shard_ledger.c).
 *
 * What is counted is deliveries, an event times its targets, and each is in one place:
 *
 *   accepted ──► pending ──► delivered
 *                   │  ▲
 *                   ▼  │ replayed by a person
 *                  parked
 *
 * So accepted = delivered + pending + parked, always. There is no fourth place: retention deletes
 * what has been delivered, and nothing is thrown away. One thread.
 */
#pragma once

#include <stdbool.h>

#include "bounds.h"

/* The account of what has none of its own: beyond ACCOUNTS_MAX endpoints, deliveries whose
 * event cannot be read any more, and those from before there were accounts. */
#define ACCOUNT_OTHERS 0u

struct account {
	uint32_t endpoint_id;
	uint64_t accepted;
	uint64_t delivered;
	uint64_t pending; /* neither delivered nor parked yet */
	uint64_t parked;  /* dead letters */
};

bool account_balances(const struct account *account);
void account_add(struct account *to, const struct account *from);
void account_accept(struct account *account, uint64_t deliveries);
/* One delivery, from one place to another: &account->pending, &account->parked. From an empty
 * place comes nothing, and the account does not balance any more: somebody has to look. */
void account_move(uint64_t *from, uint64_t *to);

struct accounts;

struct accounts *accounts_create(void);
void accounts_free(struct accounts *accounts);

/* In order of arrival; an index stays. */
uint32_t accounts_count(const struct accounts *accounts);
const struct account *accounts_at(const struct accounts *accounts, uint32_t index);
/* The account for an endpoint, made when there is none. */
struct account *accounts_take(struct accounts *accounts, uint32_t endpoint_id);

/* The same, and remembered as part of the batch: STORE_BATCH_JOBS_MAX at most. */
struct account *accounts_touch(struct accounts *accounts, uint32_t endpoint_id);
void accounts_batch_begin(struct accounts *accounts);
/* All touched accounts are as they were. */
void accounts_batch_abort(struct accounts *accounts);
/* Indexes of the touched accounts. */
uint32_t accounts_touched_count(const struct accounts *accounts);
uint32_t accounts_touched_at(const struct accounts *accounts, uint32_t touched);
