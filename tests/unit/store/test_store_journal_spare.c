/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How zeros are written ahead: gently while there is time, and always in time. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/check.h"
#include "store/store_journal.h"

enum {
	KIB = 1024,
	MIB = 1024 * KIB,
	SEGMENT = 64 * MIB,
	US = 1000000,
	/* Of a disk that does little else. */
	DISK_RATE = 2000 * MIB
};

static struct journal_zero_step step(uint64_t rate, uint64_t left_size, uint64_t room_size)
{
	const struct journal_zeroing zeroing = { .rate = rate };
	return journal_zeroing_step(&zeroing, left_size, room_size);
}

static void assert_step(struct journal_zero_step found, uint32_t size, uint32_t pause_us)
{
	assert_int_equal(found.size, size);
	assert_int_equal(found.pause_us, pause_us);
}

static void test_small_pieces_unless_commits_are_as_fast(void **state)
{
	(void)state;
	assert_step(step(0, SEGMENT, 0), 256 * KIB, 2000);
	assert_step(step(50 * MIB, SEGMENT, 4ull * SEGMENT), 256 * KIB, 2000);
	assert_step(step(JOURNAL_ZERO_BUSY_RATE - 1, SEGMENT, 4ull * SEGMENT), 256 * KIB, 2000);
	assert_step(step(JOURNAL_ZERO_BUSY_RATE, SEGMENT, 4ull * SEGMENT), MIB, 8000);
	/* The last piece, and so little to do that sums would overflow. */
	assert_step(step(50 * MIB, 5 * KIB, 4ull * SEGMENT), 5 * KIB, 2000);
	assert_step(step(1, SEGMENT, 32768ull * SEGMENT), 256 * KIB, 2000);
}

static void test_pauses_become_shorter_when_time_does(void **state)
{
	(void)state;
	/* 320 ms for 256 pieces. */
	assert_step(step(50 * MIB, SEGMENT, 16 * MIB), 256 * KIB, 625);
	assert_step(step(50 * MIB, SEGMENT / 2, 16 * MIB), 256 * KIB, 1250);
	assert_step(step(200 * MIB, SEGMENT, 32 * MIB), MIB, 1250);
	assert_step(step(50 * MIB, SEGMENT, 13 * MIB), 256 * KIB, 507);
	assert_step(step(50 * MIB, SEGMENT, 12 * MIB), 256 * KIB, 0);
	assert_step(step(50 * MIB, SEGMENT, 0), 256 * KIB, 0);
}

static void test_the_rate_is_an_average(void **state)
{
	struct journal_zeroing zeroing = { .since_us = 1000, .used_total = 7 };

	(void)state;
	/* Not before a whole MiB is. */
	journal_zeroing_note(&zeroing, MIB - 1, 1000, 2000);
	assert_int_equal(zeroing.rate, 0);
	journal_zeroing_note(&zeroing, 1, 7 + 8 * MIB, 1000 + US);
	assert_int_equal(zeroing.rate, 8 * MIB);
	journal_zeroing_note(&zeroing, MIB, 7 + 8 * MIB + 2 * MIB, 1000 + US + US / 2);
	assert_int_equal(zeroing.rate, 7 * MIB);
	/* Segments were given back. */
	journal_zeroing_note(&zeroing, MIB, 0, 1000 + 2 * US);
	assert_int_equal(zeroing.rate, 7 * MIB / 4 * 3);
	/* A clock that stands still: the same MiB goes on. */
	journal_zeroing_note(&zeroing, MIB, MIB, 1000 + 2 * US);
	assert_int_equal(zeroing.rate, 7 * MIB / 4 * 3);
	journal_zeroing_note(&zeroing, 1, MIB, 1000 + 3 * US);
	assert_int_equal(zeroing.rate, (7 * MIB / 4 * 9 + MIB) / 4);
}

/* Commits write at that rate; the helper begins when half of the only segment is left. Whether the
 * next one is ready before they need it. */
static bool is_in_time(uint64_t rate)
{
	struct journal_zeroing zeroing = { 0 };
	uint64_t used = SEGMENT / 2, now_us = 0;

	for (uint64_t left = SEGMENT; left > 0;) {
		struct journal_zero_step next =
			journal_zeroing_step(&zeroing, left, SEGMENT - used);
		now_us += (uint64_t)next.size * US / DISK_RATE + next.pause_us;
		left -= next.size;
		used = SEGMENT / 2 + now_us * rate / US;
		if (used > SEGMENT) return false;
		journal_zeroing_note(&zeroing, next.size, used, now_us);
	}
	return true;
}

static void test_always_in_time(void **state)
{
	(void)state;
	for (uint64_t rate = 1; rate < 500; rate++) assert_true(is_in_time(rate * MIB));
	/* The disk would have to be faster. */
	assert_false(is_in_time(1001ull * MIB));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_small_pieces_unless_commits_are_as_fast),
		cmocka_unit_test(test_pauses_become_shorter_when_time_does),
		cmocka_unit_test(test_the_rate_is_an_average),
		cmocka_unit_test(test_always_in_time),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
