/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An identity is new exactly once until it expires, whoever asks and however full it is. */
#include "verify/replay.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/check.h"
#include "base/random.h"

static const struct hash128 secret = { UINT64_C(0x243F6A8885A308D3), UINT64_C(0x13198A2E03707344) };
static const wall_t now = { .us = 1000 * US_PER_S };
static const wall_t later = { .us = 2000 * US_PER_S };

static struct replay *open_table(uint32_t entries_max)
{
	struct replay *replay = NULL;
	assert_int_equal(replay_open(entries_max, secret, &replay), RESULT_OK);
	return replay;
}

static struct hash128 identity_of(struct random *random)
{
	uint64_t low = random_u64(random);
	return (struct hash128){ .low = low, .high = random_u64(random) };
}

static struct replay_place place_at(uint64_t sequence)
{
	return (struct replay_place){
		.sequence = sequence,
		.received_us = sequence + 7,
		.shard = (uint16_t)(sequence % 1000),
	};
}

static void assert_place(struct replay_place place, struct replay_place wanted)
{
	assert_int_equal(place.sequence, wanted.sequence);
	assert_int_equal(place.received_us, wanted.received_us);
	assert_int_equal(place.shard, wanted.shard);
}

static void test_life_of_an_entry(void **state)
{
	struct replay *replay = open_table(64);
	struct hash128 identity = { 1, 2 };
	struct replay_place original;

	(void)state;
	assert_int_equal(replay_reserve(replay, identity, 9, now, &original), REPLAY_NEW);
	assert_int_equal(replay_reserve(replay, identity, 9, now, &original), REPLAY_PENDING);
	assert_int_equal(replay_reserve(replay, identity, 8, now, &original), REPLAY_CONFLICT);

	replay_release(replay, identity);
	assert_int_equal(replay_usage(replay).used_count, 0);
	assert_int_equal(replay_reserve(replay, identity, 8, now, &original), REPLAY_NEW);

	replay_confirm(replay, identity, place_at(42), later);
	assert_int_equal(replay_reserve(replay, identity, 8, now, &original), REPLAY_DUPLICATE);
	assert_place(original, place_at(42));
	assert_int_equal(replay_reserve(replay, identity, 9, now, &original), REPLAY_CONFLICT);
	assert_place(original, place_at(42));
	assert_int_equal(replay_usage(replay).used_count, 1);
	replay_close(replay);
	replay_close(NULL);
}

/* Both halves of an identity count. */
static void test_identities_are_compared_whole(void **state)
{
	struct replay *replay = open_table(1024);
	struct replay_place original;

	(void)state;
	for (unsigned i = 0; i < 128; i++) {
		struct hash128 identity = { .low = i < 64 ? UINT64_C(1) << i : 0,
			.high = i < 64 ? 0 : UINT64_C(1) << (i - 64) };
		assert_int_equal(replay_reserve(replay, identity, 0, now, &original), REPLAY_NEW);
	}
	assert_int_equal(replay_usage(replay).used_count, 128);
	replay_close(replay);
}

/* Refused until the very microsecond it was promised for, rounded up to a second. */
static void test_an_entry_expires(void **state)
{
	static const struct {
		uint64_t expires_us;
		uint64_t now_us;
		enum replay_verdict wanted;
	} cases[] = {
		{ 5 * US_PER_S, 5 * US_PER_S - 1, REPLAY_DUPLICATE },
		{ 5 * US_PER_S, 5 * US_PER_S, REPLAY_NEW },
		{ 5 * US_PER_S + 1, 5 * US_PER_S + 1, REPLAY_DUPLICATE },
		{ 5 * US_PER_S + 1, 6 * US_PER_S - 1, REPLAY_DUPLICATE },
		{ 5 * US_PER_S + 1, 6 * US_PER_S, REPLAY_NEW },
		{ UINT64_MAX - US_PER_S, UINT32_MAX * US_PER_S - 1, REPLAY_DUPLICATE },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		struct replay *replay = open_table(16);
		struct hash128 identity = { 3, 4 };
		struct replay_place original;
		assert_int_equal(replay_reserve(replay, identity, 1, (wall_t){ 0 }, &original),
			REPLAY_NEW);
		replay_confirm(replay, identity, place_at(1),
			(wall_t){ .us = cases[i].expires_us });
		enum replay_verdict verdict = replay_reserve(replay, identity, 1,
			(wall_t){ .us = cases[i].now_us }, &original);
		assert_int_equal(verdict, cases[i].wanted);
		assert_int_equal(replay_usage(replay).used_count, 1);
		replay_close(replay);
	}
}

/* A reservation outlives every clock until its holder lets go. */
static void test_a_reservation_does_not_expire(void **state)
{
	struct replay *replay = open_table(16);
	struct hash128 identity = { 5, 6 };
	struct replay_place original;
	const wall_t end_of_time = { .us = UINT64_MAX };

	(void)state;
	assert_int_equal(replay_reserve(replay, identity, 1, now, &original), REPLAY_NEW);
	assert_int_equal(replay_reserve(replay, identity, 1, end_of_time, &original),
		REPLAY_PENDING);
	replay_close(replay);
}

static void test_restored_entries_are_there(void **state)
{
	struct replay *replay = open_table(64);
	struct hash128 identity = { 7, 8 };
	struct replay_place original;

	(void)state;
	assert_true(replay_restore(replay, identity, 1, place_at(10), later));
	assert_int_equal(replay_reserve(replay, identity, 1, now, &original), REPLAY_DUPLICATE);
	assert_place(original, place_at(10));

	/* Of two rows the later one counts, in whatever order they come. */
	assert_true(replay_restore(replay, identity, 2, place_at(20), later));
	assert_true(replay_restore(replay, identity, 3, place_at(15), later));
	assert_int_equal(replay_reserve(replay, identity, 2, now, &original), REPLAY_DUPLICATE);
	assert_place(original, place_at(20));
	assert_int_equal(replay_usage(replay).used_count, 1);
	replay_close(replay);
}

static void test_full_is_said_and_harms_nothing(void **state)
{
	struct replay *replay = open_table(64);
	struct random random = { .state = 11 };
	struct replay_place original;
	uint64_t count = 0;

	(void)state;
	while (replay_reserve(replay, identity_of(&random), 0, now, &original) == REPLAY_NEW)
		count++;
	assert_int_equal(count, 60);
	assert_int_equal(replay_usage(replay).used_count, 60);
	assert_false(replay_restore(replay, identity_of(&random), 0, place_at(1), later));

	/* Those that are in can still be found, and leave room when they go. */
	random = (struct random){ .state = 11 };
	for (uint64_t i = 0; i < count; i++) {
		struct hash128 identity = identity_of(&random);
		assert_int_equal(replay_reserve(replay, identity, 0, now, &original),
			REPLAY_PENDING);
		replay_release(replay, identity);
	}
	assert_int_equal(replay_usage(replay).used_count, 0);
	replay_close(replay);
}

/* No stripe overflows before 80 % of the whole, for several tables and many seeds. */
static void test_never_full_below_80_percent(void **state)
{
	static const uint32_t sizes[] = { 2048, 16384, 1 << 17 };

	(void)state;
	for (size_t s = 0; s < ARRAY_COUNT(sizes); s++) {
		for (uint64_t seed = 1; seed <= 8; seed++) {
			struct replay *replay = open_table(sizes[s]);
			struct random random = { .state = seed };
			struct replay_place original;
			uint64_t count = sizes[s] * UINT64_C(8) / 10;
			for (uint64_t i = 0; i < count; i++) {
				struct hash128 identity = identity_of(&random);
				enum replay_verdict verdict =
					replay_reserve(replay, identity, i, now, &original);
				assert_int_equal(verdict, REPLAY_NEW);
				replay_confirm(replay, identity, place_at(i), later);
			}
			assert_int_equal(replay_usage(replay).used_count, count);
			random = (struct random){ .state = seed };
			for (uint64_t i = 0; i < count; i++) {
				enum replay_verdict verdict = replay_reserve(replay,
					identity_of(&random), i, now, &original);
				assert_int_equal(verdict, REPLAY_DUPLICATE);
				assert_int_equal(original.sequence, i);
			}
			replay_close(replay);
		}
	}
}

/* Events for ten windows, of which 80 % of the table are alive at any time: nothing is ever
 * full, no live one is forgotten, and the expired ones do not pile up. */
static void test_expired_entries_make_room(void **state)
{
	enum { ENTRIES = 16384, ALIVE = ENTRIES * 8 / 10, WINDOW_S = 3600 };
	struct replay *replay = open_table(ENTRIES);
	struct replay_place original;

	(void)state;
	for (uint64_t i = 0; i < 10 * ALIVE; i++) {
		wall_t time = { .us = i * WINDOW_S * US_PER_S / ALIVE };
		struct random random = { .state = i };
		struct hash128 identity = identity_of(&random);
		assert_int_equal(replay_reserve(replay, identity, i, time, &original), REPLAY_NEW);
		replay_confirm(replay, identity, place_at(i),
			(wall_t){ .us = time.us + WINDOW_S * US_PER_S });
		if (i < ALIVE / 2) continue;
		random.state = i - ALIVE / 2;
		assert_int_equal(replay_reserve(replay, identity_of(&random), i - ALIVE / 2, time,
					 &original),
			REPLAY_DUPLICATE);
		assert_int_equal(original.sequence, i - ALIVE / 2);
	}
	assert_true(replay_usage(replay).used_count <= ENTRIES / 16 * 15);
	replay_close(replay);
}

/* Half of the entries live for ever, and those between them come and go, out of order: the hand
 * finds these. */
static void test_what_stays_is_no_hindrance(void **state)
{
	enum { ENTRIES = 16384, STAY = ENTRIES / 2, PASS = ENTRIES * 3 / 10 };
	struct replay *replay = open_table(ENTRIES);
	struct random random = { .state = 21 };
	struct replay_place original;

	(void)state;
	for (uint64_t i = 0; i < 20 * PASS; i++) {
		bool stays = i % 10 == 0 && i / 10 < STAY;
		uint64_t life_s = stays ? 1000000 : PASS / 2 + random_below(&random, PASS / 2);
		struct hash128 identity = identity_of(&random);
		const wall_t time = { .us = i * US_PER_S };
		assert_int_equal(replay_reserve(replay, identity, i, time, &original), REPLAY_NEW);
		if (!stays && random_below(&random, 8) == 0) {
			replay_release(replay, identity);
			continue;
		}
		replay_confirm(replay, identity, place_at(i),
			(wall_t){ .us = time.us + life_s * US_PER_S });
	}
	assert_true(replay_usage(replay).used_count >= STAY);
	random.state = 21;
	for (uint64_t i = 0; i < 20 * PASS; i++) {
		bool stays = i % 10 == 0 && i / 10 < STAY;
		if (!stays) random_below(&random, PASS / 2);
		struct hash128 identity = identity_of(&random);
		if (!stays) random_below(&random, 8);
		if (!stays) continue;
		const wall_t end = { .us = 20 * PASS * US_PER_S };
		assert_int_equal(replay_reserve(replay, identity, i, end, &original),
			REPLAY_DUPLICATE);
		assert_int_equal(original.sequence, i);
	}
	replay_close(replay);
}

/* What has expired goes away while others come in, whatever its share: who looks at the count
 * sees how full the memory is. */
static void test_the_count_tells_what_lives(void **state)
{
	enum { ENTRIES = 16384 };
	static const uint32_t alive_percents[] = { 0, 10, 50, 75 };
	struct replay_place original;

	(void)state;
	for (size_t a = 0; a < ARRAY_COUNT(alive_percents); a++) {
		struct replay *replay = open_table(ENTRIES);
		struct random random = { .state = a };
		uint64_t alive = ENTRIES / 100 * alive_percents[a];
		for (uint64_t i = 0; i < 5 * ENTRIES; i++) {
			struct hash128 identity = identity_of(&random);
			wall_t time = { .us = i * US_PER_S };
			assert_int_equal(replay_reserve(replay, identity, i, time, &original),
				REPLAY_NEW);
			replay_confirm(replay, identity, place_at(i),
				(wall_t){ .us = (i + alive) * US_PER_S });
		}
		uint64_t used_count = replay_usage(replay).used_count;
		assert_true(used_count >= alive);
		uint64_t level = alive + ENTRIES / 3;
		/* Where that is more than fits, it is 15/16 that nothing is refused at. */
		assert_true(used_count <= level && used_count <= ENTRIES / 16 * 15);
		replay_close(replay);
	}
}

/* Restored with the newest first, most of the table alive, it goes on without a refusal; and so it
 * does behind any other run of live ones. */
static void test_after_a_restart_nothing_is_refused(void **state)
{
	enum { ENTRIES = 16384, ALIVE = ENTRIES * 8 / 10 };
	struct replay *replay = open_table(ENTRIES);
	struct random random = { .state = 4 };
	struct replay_place original;

	(void)state;
	for (uint64_t i = 0; i < ALIVE; i++) {
		/* i is its age: the first is the newest, and lives the longest. */
		assert_true(replay_restore(replay, identity_of(&random), i, place_at(i),
			(wall_t){ .us = (ALIVE - i) * US_PER_S }));
	}
	for (uint64_t i = 0; i < 4 * ALIVE; i++) {
		struct hash128 identity = identity_of(&random);
		wall_t time = { .us = i * US_PER_S };
		assert_int_equal(replay_reserve(replay, identity, i, time, &original), REPLAY_NEW);
		replay_confirm(replay, identity, place_at(i),
			(wall_t){ .us = time.us + ALIVE * US_PER_S });
	}
	replay_close(replay);
}

/* Full with what lives for long, it takes the next one as soon as a single one has gone, be it one
 * that was confirmed after it was found full. */
static void test_full_until_one_expires(void **state)
{
	enum { ENTRIES = 8192, SHORT_S = 5 };
	struct replay *replay = open_table(ENTRIES);
	struct random random = { .state = 8 };
	struct hash128 held = identity_of(&random);
	struct replay_place original;
	uint32_t refused_count = 0;

	(void)state;
	assert_int_equal(replay_reserve(replay, held, 0, now, &original), REPLAY_NEW);
	while (refused_count < 100) {
		struct hash128 identity = identity_of(&random);
		if (replay_reserve(replay, identity, 0, now, &original) != REPLAY_NEW) {
			refused_count++;
			continue;
		}
		replay_confirm(replay, identity, place_at(1), later);
	}
	uint64_t used_count = replay_usage(replay).used_count;
	assert_true(used_count > ENTRIES / 16 * 14);
	replay_confirm(replay, held, place_at(2), (wall_t){ .us = now.us + SHORT_S * US_PER_S });
	const wall_t then = { .us = now.us + SHORT_S * US_PER_S };
	unsigned taken_count = 0;
	for (unsigned i = 0; i < 100; i++) {
		enum replay_verdict verdict =
			replay_reserve(replay, identity_of(&random), 0, then, &original);
		taken_count += verdict == REPLAY_NEW;
	}
	assert_int_equal(taken_count, 1);
	assert_int_equal(replay_usage(replay).used_count, used_count);
	/* And all when all have gone. */
	for (unsigned i = 0; i < 100; i++) {
		assert_int_equal(replay_reserve(replay, identity_of(&random), 0, later, &original),
			REPLAY_NEW);
	}
	replay_close(replay);
}

static void take(struct replay *replay, struct random *random, wall_t time, uint64_t expires_s)
{
	struct hash128 identity = identity_of(random);
	struct replay_place original;

	assert_int_equal(replay_reserve(replay, identity, 0, time, &original), REPLAY_NEW);
	if (expires_s == 0) return;
	replay_confirm(replay, identity, place_at(1), (wall_t){ .us = expires_s * US_PER_S });
}

/* What is confirmed to live shortly after the sweep has passed its place counts when that round is
 * over: a full stripe takes the next one when it has expired. */
static void test_confirmed_behind_the_sweep(void **state)
{
	/* One stripe, two sweeps a round. */
	enum { ENTRIES = 128, LIMIT = 120, START_S = 10, SHORT_S = 100, LONG_S = 100000 };
	const wall_t begin = { .us = START_S * US_PER_S };
	const wall_t end = { .us = SHORT_S * US_PER_S };
	struct replay *replay = open_table(ENTRIES);
	struct random random = { .state = 77 };
	struct replay_place original;

	(void)state;
	struct hash128 held = identity_of(&random);
	assert_int_equal(replay_reserve(replay, held, 0, begin, &original), REPLAY_NEW);
	/* Something that has expired, so that there are sweeps: the first after 16. */
	take(replay, &random, (wall_t){ 0 }, START_S);
	while (replay_usage(replay).used_count < 17) take(replay, &random, begin, LONG_S);
	replay_confirm(replay, held, place_at(1), end);
	while (replay_usage(replay).used_count < LIMIT) take(replay, &random, begin, LONG_S);
	assert_int_equal(replay_reserve(replay, identity_of(&random), 0, begin, &original),
		REPLAY_FULL);
	take(replay, &random, end, LONG_S);
	replay_close(replay);
}

struct model_entry {
	enum { GONE, HELD, DONE } what;
	uint64_t body_hash;
	uint64_t expires_s;
	uint64_t sequence;
};

static uint64_t count_alive(const struct model_entry *model, size_t count, uint64_t time_s)
{
	uint64_t alive = 0;
	for (size_t i = 0; i < count; i++) {
		bool expired = model[i].what == DONE && model[i].expires_s <= time_s;
		if (model[i].what != GONE && !expired) alive++;
	}
	return alive;
}

/* Against a plain list as the model: random steps on so few identities and slots that runs
 * grow, wrap around and close. */
static void test_random_steps_agree_with_a_model(void **state)
{
	enum { IDENTITIES = 40, STEPS = 200000 };
	static struct model_entry model[IDENTITIES];
	struct replay *replay = open_table(32); /* takes 30: sometimes full */
	struct random random = { .state = 5 };
	uint64_t time_s = 1;
	struct replay_place original;

	(void)state;
	for (uint64_t step = 0; step < STEPS; step++) {
		uint64_t i = random_below(&random, IDENTITIES);
		struct hash128 identity = { .low = i * i, .high = i };
		if (random_below(&random, 4) == 0) time_s++;
		if (model[i].what == DONE && model[i].expires_s <= time_s) model[i].what = GONE;
		if (model[i].what == HELD && random_below(&random, 2) == 0) {
			if (random_below(&random, 4) == 0) {
				replay_release(replay, identity);
				model[i].what = GONE;
				continue;
			}
			model[i].what = DONE;
			model[i].sequence = step;
			model[i].expires_s = time_s + 1 + random_below(&random, 20);
			replay_confirm(replay, identity, place_at(step),
				(wall_t){ .us = model[i].expires_s * US_PER_S });
			continue;
		}
		uint64_t body_hash = random_below(&random, 2);
		enum replay_verdict verdict = replay_reserve(replay, identity, body_hash,
			(wall_t){ .us = time_s * US_PER_S }, &original);
		if (model[i].what == GONE) {
			bool full = count_alive(model, IDENTITIES, time_s) == 30;
			assert_int_equal(verdict, full ? REPLAY_FULL : REPLAY_NEW);
			if (verdict == REPLAY_FULL) continue;
			model[i].what = HELD;
			model[i].body_hash = body_hash;
		} else if (model[i].body_hash != body_hash) {
			assert_int_equal(verdict, REPLAY_CONFLICT);
		} else {
			assert_int_equal(verdict,
				model[i].what == HELD ? REPLAY_PENDING : REPLAY_DUPLICATE);
			if (model[i].what == DONE)
				assert_int_equal(original.sequence, model[i].sequence);
		}
	}
	replay_close(replay);
}

enum { RACERS = 2, RACE_IDENTITIES = 50000 };

struct race {
	struct replay *replay;
	atomic_uint ready_count;
	atomic_uint new_count[RACE_IDENTITIES];
	atomic_uint lost_count; /* neither new nor known */
};

static void *race_through(void *argument)
{
	struct race *race = argument;
	struct random random = { .state = 99 };
	struct replay_place original;

	atomic_fetch_add(&race->ready_count, 1);
	while (atomic_load(&race->ready_count) < RACERS) {
	}
	for (uint64_t i = 0; i < RACE_IDENTITIES; i++) {
		struct hash128 identity = identity_of(&random);
		switch (replay_reserve(race->replay, identity, i, now, &original)) {
		case REPLAY_NEW:
			atomic_fetch_add(&race->new_count[i], 1);
			replay_confirm(race->replay, identity, place_at(i), later);
			break;
		case REPLAY_DUPLICATE:
		case REPLAY_PENDING: break;
		case REPLAY_CONFLICT:
		case REPLAY_FULL: atomic_fetch_add(&race->lost_count, 1); break;
		}
	}
	return NULL;
}

/* Two threads that ask for the same identities: each is new for exactly one of them. */
static void test_each_identity_is_new_for_one_thread(void **state)
{
	struct race *race = alloc_array(1, sizeof *race);
	pthread_t thread[RACERS];

	(void)state;
	race->replay = open_table(1 << 17);
	for (size_t i = 0; i < RACERS; i++) {
		assert_int_equal(pthread_create(&thread[i], NULL, race_through, race), 0);
	}
	for (size_t i = 0; i < RACERS; i++) assert_int_equal(pthread_join(thread[i], NULL), 0);
	assert_int_equal(race->lost_count, 0);
	for (size_t i = 0; i < RACE_IDENTITIES; i++) assert_int_equal(race->new_count[i], 1);
	assert_int_equal(replay_usage(race->replay).used_count, RACE_IDENTITIES);
	replay_close(race->replay);
	alloc_free(race);
}

static void test_sizes_are_rounded_up(void **state)
{
	static const struct {
		uint32_t wanted;
		uint32_t given;
	} cases[] = { { 0, 16 }, { 16, 16 }, { 17, 32 }, { 2049, 4096 }, { 1 << 20, 1 << 20 } };
	struct replay *replay = NULL;

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		replay = open_table(cases[i].wanted);
		assert_int_equal(replay_usage(replay).entries_max, cases[i].given);
		replay_close(replay);
	}
	assert_int_equal(replay_open(UINT32_MAX, secret, &replay), RESULT_FULL);
}

/* With a secret that is known, or none, these would all fall into one place: what is left of them
 * when the halves are laid over each other is the same. */
static void test_no_sender_chooses_where_identities_fall(void **state)
{
	enum { ENTRIES = 1 << 16, WANTED = ENTRIES / 2 };
	struct replay *replay = open_table(ENTRIES);
	struct random random = { .state = 5 };
	struct replay_place original;

	(void)state;
	for (unsigned i = 0; i < WANTED; i++) {
		uint64_t high = random_u64(&random);
		struct hash128 identity = { .low = high << 32 ^ high >> 32, .high = high };
		assert_int_equal(replay_reserve(replay, identity, i, now, &original), REPLAY_NEW);
	}
	replay_close(replay);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_life_of_an_entry),
		cmocka_unit_test(test_identities_are_compared_whole),
		cmocka_unit_test(test_an_entry_expires),
		cmocka_unit_test(test_a_reservation_does_not_expire),
		cmocka_unit_test(test_restored_entries_are_there),
		cmocka_unit_test(test_full_is_said_and_harms_nothing),
		cmocka_unit_test(test_no_sender_chooses_where_identities_fall),
		cmocka_unit_test(test_never_full_below_80_percent),
		cmocka_unit_test(test_expired_entries_make_room),
		cmocka_unit_test(test_the_count_tells_what_lives),
		cmocka_unit_test(test_after_a_restart_nothing_is_refused),
		cmocka_unit_test(test_full_until_one_expires),
		cmocka_unit_test(test_confirmed_behind_the_sweep),
		cmocka_unit_test(test_what_stays_is_no_hindrance),
		cmocka_unit_test(test_random_steps_agree_with_a_model),
		cmocka_unit_test(test_each_identity_is_new_for_one_thread),
		cmocka_unit_test(test_sizes_are_rounded_up),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
