/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/pool.h"
#include "base/random.h"
#include "lib/bug.h"

enum { COUNT = 5, SIZE = 100 };

/* As many objects are handed out as there are, each another one, then NULL; the high-water
 * mark stays. */
static void pool_is_bounded(void **state)
{
	struct pool pool;
	uint8_t *objects[COUNT];
	(void)state;

	pool_init(&pool, SIZE, COUNT);
	for (size_t i = 0; i < COUNT; i++) {
		objects[i] = pool_take(&pool);
		assert_non_null(objects[i]);
		assert_int_equal((uintptr_t)objects[i] % 64, 0);
		for (size_t j = 0; j < i; j++) {
			size_t distance = objects[i] > objects[j]
				? (size_t)(objects[i] - objects[j])
				: (size_t)(objects[j] - objects[i]);
			assert_true(distance >= SIZE);
		}
		memset(objects[i], 0xff, SIZE);
	}
	assert_null(pool_take(&pool));
	assert_int_equal(pool.used_count, COUNT);

	pool_give(&pool, objects[2]);
	assert_ptr_equal(pool_take(&pool), objects[2]);
	assert_null(pool_take(&pool));
	for (size_t i = 0; i < COUNT; i++) pool_give(&pool, objects[i]);
	assert_int_equal(pool.used_count, 0);
	assert_int_equal(pool.used_count_max, COUNT);
	pool_done(&pool);
}

/* An object and its number lead to one another. */
static void objects_are_numbered(void **state)
{
	struct pool pool;
	(void)state;

	pool_init(&pool, 1, COUNT);
	void *object = pool_take(&pool);
	size_t index = pool_index(&pool, object);
	assert_true(index < COUNT);
	assert_ptr_equal(pool_at(&pool, index), object);
	for (size_t i = 0; i < COUNT; i++) {
		assert_int_equal(pool_index(&pool, pool_at(&pool, i)), i);
	}
	pool_give(&pool, object);
	pool_done(&pool);
}

/* Taken and given in any order, no object is ever out twice and none is lost. */
static void no_object_is_out_twice(void **state)
{
	enum { MANY = 64, STEPS = 20000 };
	struct random random = { .state = 7 };
	struct pool pool;
	bool out[MANY] = { false };
	size_t out_count = 0;
	(void)state;

	pool_init(&pool, SIZE, MANY);
	for (size_t step = 0; step < STEPS; step++) {
		size_t index = (size_t)random_below(&random, MANY);
		if (out[index]) {
			pool_give(&pool, pool_at(&pool, index));
			out[index] = false;
			out_count--;
			continue;
		}
		void *object = pool_take(&pool);
		assert_int_equal(object == NULL, out_count == MANY);
		if (object == NULL) continue;
		assert_false(out[pool_index(&pool, object)]);
		out[pool_index(&pool, object)] = true;
		out_count++;
		memset(object, 0xff, SIZE);
		assert_int_equal(pool.used_count, out_count);
	}
	for (size_t i = 0; i < MANY; i++) {
		if (out[i]) pool_give(&pool, pool_at(&pool, i));
	}
	assert_int_equal(pool.used_count, 0);
	pool_done(&pool);
}

static void give_inside(void *owner)
{
	struct pool *pool = owner;
	pool_give(pool, (uint8_t *)pool_at(pool, 0) + 1);
}

static void give_beyond(void *owner)
{
	struct pool *pool = owner;
	pool_give(pool, (uint8_t *)pool_at(pool, 0) + COUNT * pool->object_size);
}

static void give_too_often(void *owner)
{
	struct pool *pool = owner;
	pool_give(pool, pool_at(pool, 0));
	pool_give(pool, pool_at(pool, 0));
}

static void close_in_use(void *owner)
{
	pool_done(owner);
}

/* What is no object of the pool cannot be given to it, and a pool in use cannot be closed. */
static void misuse_is_a_bug(void **state)
{
	struct pool pool;
	(void)state;

	pool_init(&pool, SIZE, COUNT);
	void *object = pool_take(&pool);
	assert_true(is_a_bug(give_inside, &pool));
	assert_true(is_a_bug(give_beyond, &pool));
	assert_true(is_a_bug(give_too_often, &pool));
	assert_true(is_a_bug(close_in_use, &pool));
	pool_give(&pool, object);
	pool_done(&pool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pool_is_bounded),
		cmocka_unit_test(objects_are_numbered),
		cmocka_unit_test(no_object_is_out_twice),
		cmocka_unit_test(misuse_is_a_bug),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
