/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The wheel against a model that is plainly right: a list of due times. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/random.h"
#include "engine/timers.h"

#define TICK_US (TIMER_TICK_MS * US_PER_MS)
#define DAY_US (86400 * US_PER_S)

enum { MODEL_TIMERS = 200, STEPS = 100000 };

struct model_timer {
	struct timer timer;
	struct model *model;
	uint64_t due_us; /* UINT64_MAX: not running */
};

struct model {
	struct timers timers;
	struct random random;
	mono_t now;
	struct model_timer all[MODEL_TIMERS];
	uint64_t fired_count;
};

/* From nothing to weeks, all magnitudes alike. */
static uint64_t random_delay_us(struct model *model)
{
	uint64_t magnitude = random_below(&model->random, 42);
	return random_below(&model->random, UINT64_C(1) << magnitude);
}

static void model_start(struct model_timer *entry, uint64_t delay_us)
{
	struct model *model = entry->model;

	timer_start(&model->timers, &entry->timer, model->now, delay_us);
	entry->due_us = model->now.us + delay_us;
}

static void model_stop(struct model_timer *entry)
{
	timer_stop(&entry->model->timers, &entry->timer);
	entry->due_us = UINT64_MAX;
}

static struct model_timer *model_pick(struct model *model)
{
	return &model->all[random_below(&model->random, MODEL_TIMERS)];
}

static void model_expired(void *owner)
{
	struct model_timer *entry = owner;
	struct model *model = entry->model;

	/* Never early. */
	CHECK(entry->due_us <= model->now.us);
	CHECK(!timer_running(&entry->timer));
	entry->due_us = UINT64_MAX;
	model->fired_count++;
	/* A callback may do anything to anybody. */
	switch (random_below(&model->random, 4)) {
	case 0: model_start(entry, random_delay_us(model)); break;
	case 1: model_start(model_pick(model), random_delay_us(model)); break;
	case 2: model_stop(model_pick(model)); break;
	default: break;
	}
}

static void model_run(struct model *model)
{
	timers_run(&model->timers, model->now);
	for (size_t i = 0; i < MODEL_TIMERS; i++) {
		const struct model_timer *entry = &model->all[i];
		assert_true(timer_running(&entry->timer) == (entry->due_us != UINT64_MAX));
		if (entry->due_us == UINT64_MAX) continue;
		/* Late by less than a tick, and by one more when started while it ran. */
		assert_true(entry->due_us + 2 * TICK_US > model->now.us);
	}
}

/* The wait is no longer than until the first timer's tick, and ends in progress: zero only
 * when running the timers does something. */
static void model_check_wait(struct model *model)
{
	uint64_t wait_us = timers_wait_us(&model->timers, model->now);
	uint64_t first_us = UINT64_MAX;

	for (size_t i = 0; i < MODEL_TIMERS; i++) {
		if (model->all[i].due_us < first_us) first_us = model->all[i].due_us;
	}
	if (first_us == UINT64_MAX) {
		assert_true(wait_us == UINT64_MAX);
		return;
	}
	assert_true(wait_us < first_us - model->now.us + 2 * TICK_US || first_us < model->now.us);
	assert_true(wait_us > 0);
}

static void run_model(uint64_t seed, uint64_t start_us)
{
	static struct model model;

	model = (struct model){ .random = { .state = seed }, .now = { .us = start_us } };
	timers_init(&model.timers, model.now);
	for (size_t i = 0; i < MODEL_TIMERS; i++) {
		struct model_timer *entry = &model.all[i];
		entry->model = &model;
		entry->due_us = UINT64_MAX;
		timer_init(&entry->timer, model_expired, entry);
	}
	for (unsigned step = 0; step < STEPS; step++) {
		switch (random_below(&model.random, 8)) {
		case 0:
		case 1:
		case 2: model_start(model_pick(&model), random_delay_us(&model)); break;
		case 3: model_stop(model_pick(&model)); break;
		case 4: model.now.us += random_delay_us(&model); break;
		default: {
			uint64_t wait_us = timers_wait_us(&model.timers, model.now);
			model.now.us += wait_us == UINT64_MAX ? 1 : wait_us;
			break;
		}
		}
		model_run(&model);
		model_check_wait(&model);
		timers_validate(&model.timers);
	}
	assert_true(model.fired_count > STEPS / 10);
}

/* 10^5 random operations, from several points in time: boot, on a boundary of the highest
 * level, and years of uptime. */
static void timers_equal_model(void **state)
{
	uint64_t round_us = TICK_US << 30;
	(void)state;

	run_model(1, 0);
	run_model(2, 12345678);
	run_model(3, round_us - 5 * TICK_US);
	run_model(4, 7 * round_us + 3);
}

struct counter {
	struct timers timers;
	struct timer timer;
	struct timer second;
	unsigned count;
	unsigned second_count;
};

static void count_up(void *owner)
{
	struct counter *counter = owner;
	counter->count++;
}

static void count_second_up(void *owner)
{
	struct counter *counter = owner;
	counter->second_count++;
}

/* An idle daemon with a timer far away wakes up once per level at most, then not at all. */
static void timers_wait_does_not_spin(void **state)
{
	static const uint64_t delays_us[] = { 0, 1, TICK_US, TICK_US + 1, 64 * TICK_US, US_PER_S,
		75 * US_PER_S, 3600 * US_PER_S, DAY_US, 40 * DAY_US };
	struct counter counter = { .count = 0 };
	(void)state;

	for (size_t i = 0; i < ARRAY_COUNT(delays_us); i++) {
		mono_t now = { .us = 987654321 };
		uint64_t due_us = now.us + delays_us[i];
		unsigned wakes = 0;
		timers_init(&counter.timers, now);
		timer_init(&counter.timer, count_up, &counter);
		timer_start(&counter.timers, &counter.timer, now, delays_us[i]);
		for (counter.count = 0; counter.count == 0; wakes++) {
			uint64_t wait_us = timers_wait_us(&counter.timers, now);
			assert_true(wait_us > 0 && wait_us < UINT64_MAX);
			now.us += wait_us;
			timers_run(&counter.timers, now);
		}
		assert_in_range(wakes, 1, TIMER_LEVELS);
		assert_in_range(now.us, due_us, due_us + TICK_US);
		assert_true(timers_wait_us(&counter.timers, now) == UINT64_MAX);
	}
}

/* Stopping the last timer of a slot leaves nothing to wake up for. */
static void timers_stop_leaves_no_wake_up(void **state)
{
	struct counter counter = { .count = 0 };
	mono_t now = { .us = 5 };
	(void)state;

	timers_init(&counter.timers, now);
	timer_init(&counter.timer, count_up, &counter);
	assert_false(timer_running(&counter.timer));
	timer_stop(&counter.timers, &counter.timer);
	for (uint64_t delay_us = 1; delay_us < 40 * DAY_US; delay_us *= 3) {
		timer_start(&counter.timers, &counter.timer, now, delay_us);
		assert_true(timer_running(&counter.timer));
		timer_stop(&counter.timers, &counter.timer);
		assert_true(timers_wait_us(&counter.timers, now) == UINT64_MAX);
	}
	assert_int_equal(counter.timers.count, 0);
}

/* A delay beyond the wheel is cut, not lost or wrapped. */
static void timers_cut_long_delay(void **state)
{
	struct counter counter = { .count = 0 };
	mono_t now = { .us = 3 * TICK_US };
	(void)state;

	timers_init(&counter.timers, now);
	timer_init(&counter.timer, count_up, &counter);
	timer_start(&counter.timers, &counter.timer, now, UINT64_MAX);
	timers_validate(&counter.timers);
	now.us += 48 * DAY_US;
	timers_run(&counter.timers, now);
	assert_int_equal(counter.count, 0);
	now.us += 2 * DAY_US;
	timers_run(&counter.timers, now);
	assert_int_equal(counter.count, 1);
}

static void stop_second(void *owner)
{
	struct counter *counter = owner;
	counter->count++;
	timer_stop(&counter->timers, &counter->second);
}

/* A callback stops a timer that is due in the same tick: it does not fire. */
static void timers_callback_stops_due_one(void **state)
{
	struct counter counter = { .count = 0 };
	mono_t now = { .us = 0 };
	(void)state;

	timers_init(&counter.timers, now);
	timer_init(&counter.timer, stop_second, &counter);
	timer_init(&counter.second, count_second_up, &counter);
	timer_start(&counter.timers, &counter.timer, now, 100 * TICK_US);
	timer_start(&counter.timers, &counter.second, now, 100 * TICK_US);
	now.us = 200 * TICK_US;
	timers_run(&counter.timers, now);
	assert_int_equal(counter.count, 1);
	assert_int_equal(counter.second_count, 0);
	timers_validate(&counter.timers);
}

static void restart_at_once(void *owner)
{
	struct counter *counter = owner;
	counter->count++;
	mono_t now = { .us = 10 * TICK_US };
	timer_start(&counter->timers, &counter->timer, now, 0);
}

/* A timer that restarts itself with no delay fires once per run, not for ever. */
static void timers_restart_without_delay(void **state)
{
	struct counter counter = { .count = 0 };
	mono_t now = { .us = 10 * TICK_US };
	(void)state;

	timers_init(&counter.timers, (mono_t){ .us = 0 });
	timer_init(&counter.timer, restart_at_once, &counter);
	timer_start(&counter.timers, &counter.timer, (mono_t){ .us = 0 }, 0);
	timers_run(&counter.timers, now);
	assert_in_range(counter.count, 1, 2);
	assert_true(timer_running(&counter.timer));
	timers_validate(&counter.timers);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(timers_equal_model),
		cmocka_unit_test(timers_wait_does_not_spin),
		cmocka_unit_test(timers_stop_leaves_no_wake_up),
		cmocka_unit_test(timers_cut_long_delay),
		cmocka_unit_test(timers_callback_stops_due_one),
		cmocka_unit_test(timers_restart_without_delay),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
