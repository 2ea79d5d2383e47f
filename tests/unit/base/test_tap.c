/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who follows gets whole records in order, or learns what he missed; nobody waits for him. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>

#include "base/check.h"
#include "base/tap.h"

static struct tap_record record_of(uint64_t sequence)
{
	struct tap_record record = {
		.sequence = sequence,
		.time_us = sequence * 3,
		.received_us = sequence * 5,
		.duration_us = sequence * 7,
		.kind = TAP_DELIVERED,
	};
	for (size_t i = 0; i < sizeof record.detail; i++) record.detail[i] = (char)sequence;
	return record;
}

static void assert_whole(const struct tap_record *record)
{
	struct tap_record expected = record_of(record->sequence);
	assert_memory_equal(record, &expected, sizeof expected);
}

static void nobody_follows(void **state)
{
	(void)state;
	assert_false(tap_is_open());
	struct tap_follower follower;
	struct tap_record record;
	assert_true(tap_follow(&follower, 2, 1));
	assert_true(tap_is_open());
	assert_false(tap_read(&follower, 0, &record));
	assert_false(tap_read(&follower, 1, &record));
	tap_leave(&follower);
	assert_false(tap_is_open());
}

static void records_come_in_order(void **state)
{
	(void)state;
	struct tap_follower follower;
	struct tap_record record;
	assert_true(tap_follow(&follower, 2, 1));
	tap_thread(1);
	for (uint64_t i = 1; i <= 10; i++) {
		record = record_of(i);
		tap_write(&record);
	}
	tap_thread(0);
	assert_false(tap_read(&follower, 0, &record));
	for (uint64_t i = 1; i <= 10; i++) {
		assert_true(tap_read(&follower, 1, &record));
		assert_int_equal(record.sequence, i);
		assert_whole(&record);
	}
	assert_false(tap_read(&follower, 1, &record));
	assert_int_equal(follower.missed, 0);
	tap_leave(&follower);
}

static void what_was_before_is_not_heard(void **state)
{
	(void)state;
	struct tap_follower first;
	struct tap_follower second;
	struct tap_record record = record_of(1);
	assert_true(tap_follow(&first, 1, 1));
	tap_write(&record);
	assert_true(tap_follow(&second, 1, 1));
	assert_true(tap_read(&first, 0, &record));
	assert_false(tap_read(&second, 0, &record));
	tap_leave(&first);
	tap_leave(&second);
}

static void who_is_too_slow_learns_how_much_he_missed(void **state)
{
	(void)state;
	enum { WRITTEN = 3 * TAP_RING_RECORDS };
	struct tap_follower follower;
	struct tap_record record;
	uint64_t read = 0;
	assert_true(tap_follow(&follower, 1, 1));
	for (uint64_t i = 1; i <= WRITTEN; i++) {
		record = record_of(i);
		tap_write(&record);
	}
	while (tap_read(&follower, 0, &record)) {
		assert_whole(&record);
		read++;
	}
	assert_int_equal(record.sequence, WRITTEN);
	assert_int_equal(read + follower.missed, WRITTEN);
	assert_in_range(read, TAP_RING_RECORDS - 1, TAP_RING_RECORDS);
	tap_leave(&follower);
}

static void samples_are_by_sequence(void **state)
{
	(void)state;
	struct tap_follower tens;
	struct tap_follower sevens;
	struct tap_record record;
	assert_true(tap_follow(&tens, 1, 10));
	assert_true(tap_follow(&sevens, 1, 7));
	for (uint64_t i = 1; i <= 70; i++) {
		assert_int_equal(tap_wants(i), i % 10 == 0 || i % 7 == 0);
		record = record_of(i);
		if (tap_wants(i)) tap_write(&record);
	}
	record = record_of(0); /* a refusal is nobody's event */
	tap_write(&record);
	for (uint64_t i = 10; i <= 70; i += 10) {
		assert_true(tap_read(&tens, 0, &record));
		assert_int_equal(record.sequence, i);
	}
	assert_true(tap_read(&tens, 0, &record));
	assert_int_equal(record.sequence, 0);
	assert_true(tap_read(&sevens, 0, &record));
	assert_int_equal(record.sequence, 7);
	tap_leave(&tens);
	assert_false(tap_wants(10));
	tap_leave(&sevens);
	assert_false(tap_wants(7));
}

static void only_so_many_follow(void **state)
{
	(void)state;
	struct tap_follower followers[TAP_FOLLOWERS_MAX];
	struct tap_follower one_more;
	for (size_t i = 0; i < TAP_FOLLOWERS_MAX; i++) {
		assert_true(tap_follow(&followers[i], 1, 1));
	}
	assert_false(tap_follow(&one_more, 1, 1));
	tap_leave(&followers[1]);
	assert_true(tap_follow(&followers[1], 1, 1));
	for (size_t i = 0; i < TAP_FOLLOWERS_MAX; i++) tap_leave(&followers[i]);
	assert_false(tap_is_open());
}

/* ---- Two threads ----------------------------------------------------------------------------- */

enum { RACE_RECORDS = 300000 };

static void *write_all(void *owner)
{
	(void)owner;
	tap_thread(3);
	for (uint64_t i = 1; i <= RACE_RECORDS; i++) {
		struct tap_record record = record_of(i);
		tap_write(&record);
	}
	return NULL;
}

/* A record that is written over while it is read is missed, never mixed. */
static void no_record_is_mixed(void **state)
{
	(void)state;
	pthread_t thread;
	struct tap_follower follower;
	struct tap_record record = { 0 };
	uint64_t read = 0;
	uint64_t last = 0;
	assert_true(tap_follow(&follower, 4, 1));
	assert_int_equal(pthread_create(&thread, NULL, write_all, NULL), 0);
	while (last < RACE_RECORDS) {
		if (!tap_read(&follower, 3, &record)) continue;
		assert_whole(&record);
		assert_true(record.sequence > last);
		last = record.sequence;
		read++;
	}
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(read + follower.missed, RACE_RECORDS);
	tap_leave(&follower);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nobody_follows),
		cmocka_unit_test(records_come_in_order),
		cmocka_unit_test(what_was_before_is_not_heard),
		cmocka_unit_test(who_is_too_slow_learns_how_much_he_missed),
		cmocka_unit_test(samples_are_by_sequence),
		cmocka_unit_test(only_so_many_follow),
		cmocka_unit_test(no_record_is_mixed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
