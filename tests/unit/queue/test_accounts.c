/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Accounts are found again, and are as they were when a batch is given up. */
#include "queue/accounts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/check.h"

static void test_each_endpoint_has_one(void **state)
{
	(void)state;
	struct accounts *accounts = accounts_create();
	account_accept(accounts_take(accounts, 7), 3);
	account_accept(accounts_take(accounts, 9), 1);
	/* As a hash table would put them into one place. */
	account_accept(accounts_take(accounts, 7 + (1u << 31)), 5);
	account_accept(accounts_take(accounts, 7), 1);
	assert_int_equal(accounts_count(accounts), 4);
	assert_int_equal(accounts_at(accounts, 0)->endpoint_id, ACCOUNT_OTHERS);
	assert_int_equal(accounts_at(accounts, 1)->accepted, 4);
	assert_int_equal(accounts_take(accounts, 7 + (1u << 31))->pending, 5);
	accounts_free(accounts);
}

static void test_a_delivery_is_in_one_place(void **state)
{
	(void)state;
	struct account account = { 0 };
	account_accept(&account, 3);
	account_move(&account.pending, &account.delivered);
	account_move(&account.pending, &account.parked);
	assert_true(account_balances(&account));
	account_move(&account.parked, &account.pending);
	assert_true(account_balances(&account));
	assert_int_equal(account.pending, 2);
	/* From where there is none: it shows. */
	account_move(&account.parked, &account.pending);
	assert_int_equal(account.parked, 0);
	assert_false(account_balances(&account));
}

static void test_a_batch_can_be_given_up(void **state)
{
	(void)state;
	struct accounts *accounts = accounts_create();
	accounts_batch_begin(accounts);
	account_accept(accounts_touch(accounts, 7), 1);
	account_accept(accounts_touch(accounts, 7), 1);
	assert_int_equal(accounts_touched_count(accounts), 1);
	accounts_batch_begin(accounts);
	assert_int_equal(accounts_touched_count(accounts), 0);

	account_accept(accounts_touch(accounts, 8), 1);
	account_accept(accounts_touch(accounts, 7), 1);
	account_accept(accounts_touch(accounts, 7), 1);
	assert_int_equal(accounts_touched_count(accounts), 2);
	assert_int_equal(accounts_at(accounts, accounts_touched_at(accounts, 0))->endpoint_id, 8);
	accounts_batch_abort(accounts);
	assert_int_equal(accounts_touched_count(accounts), 0);
	assert_int_equal(accounts_take(accounts, 7)->accepted, 2);
	assert_int_equal(accounts_take(accounts, 8)->accepted, 0);

	/* Touched anew, although it was in the batch that was given up. */
	account_accept(accounts_touch(accounts, 8), 1);
	assert_int_equal(accounts_touched_count(accounts), 1);
	accounts_free(accounts);
}

static void test_beyond_the_bound_all_share_one(void **state)
{
	(void)state;
	struct accounts *accounts = accounts_create();
	for (uint32_t id = 1; id < ACCOUNTS_MAX; id++)
		account_accept(accounts_take(accounts, id), 1);
	assert_int_equal(accounts_count(accounts), ACCOUNTS_MAX);
	account_accept(accounts_take(accounts, ACCOUNTS_MAX + 5), 2);
	account_accept(accounts_take(accounts, ACCOUNTS_MAX + 6), 2);
	assert_int_equal(accounts_count(accounts), ACCOUNTS_MAX);
	assert_int_equal(accounts_at(accounts, 0)->accepted, 4);
	assert_int_equal(accounts_take(accounts, ACCOUNTS_MAX - 1)->accepted, 1);
	accounts_free(accounts);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_endpoint_has_one),
		cmocka_unit_test(test_a_delivery_is_in_one_place),
		cmocka_unit_test(test_a_batch_can_be_given_up),
		cmocka_unit_test(test_beyond_the_bound_all_share_one),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
