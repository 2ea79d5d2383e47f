/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How zeros are written ahead: gently while there is time, and in time if the disk can. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/check.h"
#include "store/store_journal.h"

enum { KIB = 1024, MIB = 1024 * KIB, SEGMENT = 64 * MIB, US = 1000000 };

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
	assert_step(step(0, SEGMENT, 1), 256 * KIB, 2000);
	assert_step(step(50 * MIB, SEGMENT, 4ull * SEGMENT), 256 * KIB, 2000);
	assert_step(step(JOURNAL_ZERO_BUSY_RATE - 1, SEGMENT, 4ull * SEGMENT), 256 * KIB, 2000);
	assert_step(step(JOURNAL_ZERO_BUSY_RATE, SEGMENT, 4ull * SEGMENT), MIB, 8000);
	/* So little to do that sums would overflow. */
	assert_step(step(1, SEGMENT, 32768ull * SEGMENT), 256 * KIB, 2000);
}

static void test_nobody_waits_for_a_pause(void **state)
{
	(void)state;
	/* The writer stands still. */
	assert_step(step(0, SEGMENT, 0), MIB, 0);
	assert_step(step(50 * MIB, SEGMENT, 0), MIB, 0);
	/* The last piece. */
	assert_step(step(50 * MIB, 5 * KIB, 4ull * SEGMENT), 5 * KIB, 0);
	assert_step(step(50 * MIB, 256 * KIB, 4ull * SEGMENT), 256 * KIB, 0);
}

static void test_pauses_become_shorter_when_time_does(void **state)
{
	struct journal_zeroing zeroing = { .rate = 50 * MIB };

	(void)state;
	/* 320 ms for 256 pieces, but for 50. */
	assert_step(step(50 * MIB, SEGMENT, 16 * MIB), 256 * KIB, 1054);
	assert_step(step(200 * MIB, SEGMENT, 32 * MIB), MIB, 1718);
	/* And what writing one takes. */
	zeroing.write_us = 800;
	assert_step(journal_zeroing_step(&zeroing, SEGMENT, 16 * MIB), 256 * KIB, 854);
	zeroing.write_us = 4 * 600;
	assert_step(journal_zeroing_step(&zeroing, SEGMENT, 16 * MIB), 256 * KIB, 0);
	assert_step(step(50 * MIB, SEGMENT, 2 * MIB), 256 * KIB, 0);
}

static void test_averages(void **state)
{
	struct journal_zeroing zeroing = { 0 };

	(void)state;
	journal_zeroing_begin(&zeroing, 7, 1000);
	/* Not before a whole MiB is. */
	journal_zeroing_note(&zeroing, MIB - 1, 300, 1000, 2000);
	assert_int_equal(zeroing.rate, 0);
	journal_zeroing_note(&zeroing, 1, 100, 7 + 8 * MIB, 1000 + US);
	assert_int_equal(zeroing.rate, 8 * MIB);
	assert_int_equal(zeroing.write_us, 400);
	journal_zeroing_note(&zeroing, MIB, 800, 7 + 8 * MIB + 2 * MIB, 1000 + US + US / 2);
	assert_int_equal(zeroing.rate, 7 * MIB);
	assert_int_equal(zeroing.write_us, 500);
	/* Segments were given back. */
	journal_zeroing_note(&zeroing, MIB, 500, 0, 1000 + 2 * US);
	assert_int_equal(zeroing.rate, 7 * MIB / 4 * 3);
	/* A clock that stands still: the same MiB goes on. */
	journal_zeroing_note(&zeroing, MIB, 500, MIB, 1000 + 2 * US);
	assert_int_equal(zeroing.rate, 7 * MIB / 4 * 3);
	journal_zeroing_note(&zeroing, MIB, 500, MIB, 1000 + 3 * US);
	assert_int_equal(zeroing.rate, (7 * MIB / 4 * 9 + MIB) / 4);
	assert_int_equal(zeroing.write_us, 500);
	/* Another segment, later: what was known is kept. */
	journal_zeroing_note(&zeroing, KIB, 1, MIB, 1000 + 4 * US);
	journal_zeroing_begin(&zeroing, 9, 1000 + 50 * US);
	assert_int_equal(zeroing.size + zeroing.writing_us, 0);
	assert_int_equal(zeroing.write_us, 500);
}

/* Commits and disk write at these rates (MiB/s); the helper begins when half of the only segment is
 * left. How long before they need the next one it is written, in us; negative: after. */
static int64_t is_early_us(uint64_t rate, uint64_t disk_rate)
{
	struct journal_zeroing zeroing = { 0 };
	uint64_t used = SEGMENT / 2, now_us = 0;

	for (uint64_t left = SEGMENT; left > 0;) {
		uint64_t room = used < SEGMENT ? SEGMENT - used : 0;
		struct journal_zero_step next = journal_zeroing_step(&zeroing, left, room);
		uint64_t writing_us = (uint64_t)next.size * US / (disk_rate * MIB);
		now_us += writing_us + next.pause_us;
		left -= next.size;
		used = SEGMENT / 2 + now_us * rate * MIB / US;
		journal_zeroing_note(&zeroing, next.size, writing_us, used, now_us);
	}
	return (int64_t)(SEGMENT / 2 / (rate * MIB / 1000) * 1000) - (int64_t)now_us;
}

/* With the reserve, wherever the disk is fast enough for that. */
static void test_in_time(void **state)
{
	(void)state;
	for (uint64_t rate = 1; rate <= 300; rate++) {
		for (uint64_t disk_rate = 100; disk_rate <= 4000; disk_rate += 100) {
			int64_t at_best_us = 32 * US / (int64_t)rate - 64 * US / (int64_t)disk_rate;
			/* The first MiB, before anything is known, and rounding. */
			int64_t wanted_us = at_best_us - 12000;
			if (wanted_us > 40000) wanted_us = 40000;
			assert_true(is_early_us(rate, disk_rate) >= wanted_us);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_small_pieces_unless_commits_are_as_fast),
		cmocka_unit_test(test_pauses_become_shorter_when_time_does),
		cmocka_unit_test(test_nobody_waits_for_a_pause),
		cmocka_unit_test(test_averages),
		cmocka_unit_test(test_in_time),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
