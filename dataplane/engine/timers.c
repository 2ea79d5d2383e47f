/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How the wheel works: time is a number of ticks, written in digits of base TIMER_SLOTS. A
 * running timer stands at the level of the highest digit in which its tick differs from
 * now_tick, in the slot of its own digit there. So all timers of a level come before all of
 * the next level, a timer's place follows from (tick, now_tick) alone, and now_tick may jump
 * to just before the next occupied slot without moving anybody. When now_tick reaches a slot
 * of a higher level, the timers in it are placed anew, lower.
 *
 * The highest level wraps round: a slot whose digit is below that of now_tick belongs to the
 * next round. SPAN_TICKS keeps this unambiguous.
 */
#include "engine/timers.h"

#include "base/check.h"

enum { SLOT_BITS = 6, LEVEL_LAST = TIMER_LEVELS - 1 };
BOUND(TIMER_SLOTS == 1 << SLOT_BITS);

#define TICK_US (TIMER_TICK_MS * US_PER_MS)
#define SLOT_MASK ((uint64_t)TIMER_SLOTS - 1)
/* One slot of the highest level less than a full round. */
#define SPAN_TICKS ((uint64_t)(TIMER_SLOTS - 1) << (SLOT_BITS * LEVEL_LAST))

struct place {
	unsigned level;
	unsigned slot;
};

static struct place place_of(uint64_t tick, uint64_t now_tick)
{
	CHECK(tick > now_tick);

	unsigned bit = 63 - (unsigned)__builtin_clzll(tick ^ now_tick);
	unsigned level = bit / SLOT_BITS;
	if (level > LEVEL_LAST) level = LEVEL_LAST;
	return (struct place){
		.level = level,
		.slot = (unsigned)(tick >> (SLOT_BITS * level) & SLOT_MASK),
	};
}

static void place_timer(struct timers *timers, struct timer *timer)
{
	struct place place = place_of(timer->tick, timers->now_tick);

	list_append(&timers->slots[place.level][place.slot], &timer->node);
	timers->occupied[place.level] |= UINT64_C(1) << place.slot;
}

/* The first occupied slot and the tick at which it begins. Returns false when none is. */
static bool first_slot(const struct timers *timers, struct place *ret, uint64_t *ret_tick)
{
	for (unsigned level = 0; level < TIMER_LEVELS; level++) {
		uint64_t occupied = timers->occupied[level];
		if (occupied == 0) continue;

		unsigned shift = SLOT_BITS * level;
		uint64_t round = timers->now_tick >> shift >> SLOT_BITS;
		unsigned digit = (unsigned)(timers->now_tick >> shift & SLOT_MASK);
		uint64_t this_round = occupied & ~(((UINT64_C(2) << digit) - 1));
		if (this_round == 0) {
			CHECK(level == LEVEL_LAST);
			round++;
			this_round = occupied;
		}
		unsigned slot = (unsigned)__builtin_ctzll(this_round);
		*ret = (struct place){ .level = level, .slot = slot };
		*ret_tick = (round << SLOT_BITS | slot) << shift;
		CHECK(*ret_tick > timers->now_tick);
		return true;
	}
	return false;
}

void timers_init(struct timers *timers, mono_t now)
{
	*timers = (struct timers){ .now_tick = now.us / TICK_US };
	for (unsigned level = 0; level < TIMER_LEVELS; level++) {
		for (unsigned slot = 0; slot < TIMER_SLOTS; slot++) {
			list_init(&timers->slots[level][slot]);
		}
	}
}

void timer_init(struct timer *timer, void (*expired)(void *owner), void *owner)
{
	*timer = (struct timer){ .expired = expired, .owner = owner };
	list_init(&timer->node);
}

void timer_start(struct timers *timers, struct timer *timer, mono_t now, uint64_t delay_us)
{
	timer_stop(timers, timer);
	CHECK(now.us / TICK_US >= timers->now_tick);

	if (delay_us > SPAN_TICKS * TICK_US) delay_us = SPAN_TICKS * TICK_US;
	/* Rounded up: never early. */
	uint64_t tick = (now.us + delay_us + TICK_US - 1) / TICK_US;
	uint64_t tick_last = timers->now_tick + SPAN_TICKS;
	if (tick <= timers->now_tick) tick = timers->now_tick + 1;
	/* The wheel may lag behind `now` by a turn. */
	if (tick > tick_last) tick = tick_last;
	timer->tick = tick;
	place_timer(timers, timer);
	timers->count++;
}

void timer_stop(struct timers *timers, struct timer *timer)
{
	if (!timer_running(timer)) return;

	list_remove(&timer->node);
	CHECK(timers->count > 0);
	timers->count--;
	/* A timer that is due right now was taken out of its slot already. */
	if (timer->tick <= timers->now_tick) return;
	struct place place = place_of(timer->tick, timers->now_tick);
	if (list_empty(&timers->slots[place.level][place.slot])) {
		timers->occupied[place.level] &= ~(UINT64_C(1) << place.slot);
	}
}

bool timer_running(const struct timer *timer)
{
	return !list_empty(&timer->node);
}

/* Runs the timers of the list that are due and places the others anew. */
static void run_slot(struct timers *timers, struct list *slot)
{
	struct list due;

	list_init(&due);
	for (struct list *node = slot->next; node != slot;) {
		struct timer *timer = LIST_ENTRY(node, struct timer, node);
		node = node->next;
		list_remove(&timer->node);
		if (timer->tick <= timers->now_tick) {
			list_append(&due, &timer->node);
		} else {
			place_timer(timers, timer);
		}
	}
	/* Only now, when the wheel is whole again, may strangers start and stop timers. */
	for (struct list *node = list_pop(&due); node != NULL; node = list_pop(&due)) {
		struct timer *timer = LIST_ENTRY(node, struct timer, node);
		timers->count--;
		timer->expired(timer->owner);
	}
}

void timers_run(struct timers *timers, mono_t now)
{
	uint64_t target_tick = now.us / TICK_US;
	struct place place;
	uint64_t tick = 0;

	CHECK(target_tick >= timers->now_tick);
	while (first_slot(timers, &place, &tick) && tick <= target_tick) {
		struct list slot;
		list_init(&slot);
		list_splice(&slot, &timers->slots[place.level][place.slot]);
		timers->occupied[place.level] &= ~(UINT64_C(1) << place.slot);
		timers->now_tick = tick;
		run_slot(timers, &slot);
	}
	timers->now_tick = target_tick;
}

uint64_t timers_wait_us(const struct timers *timers, mono_t now)
{
	struct place place;
	uint64_t tick = 0;

	if (!first_slot(timers, &place, &tick)) return UINT64_MAX;
	return mono_since_us(now, (mono_t){ .us = tick * TICK_US });
}

void timers_validate(const struct timers *timers)
{
	uint64_t count = 0;

	for (unsigned level = 0; level < TIMER_LEVELS; level++) {
		for (unsigned slot = 0; slot < TIMER_SLOTS; slot++) {
			const struct list *head = &timers->slots[level][slot];
			bool marked = (timers->occupied[level] >> slot & 1) == 1;
			CHECK(marked == !list_empty(head));
			for (const struct list *node = head->next; node != head;
				node = node->next) {
				CHECK(node->next->previous == node);
				const struct timer *timer = LIST_ENTRY(node, struct timer, node);
				struct place place = place_of(timer->tick, timers->now_tick);
				CHECK(place.level == level && place.slot == slot);
				CHECK(timer->tick - timers->now_tick <= SPAN_TICKS);
				count++;
			}
		}
	}
	CHECK(count == timers->count);
}
