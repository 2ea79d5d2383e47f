/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whatever is fed together ends as it would alone: any number, any sizes, pairs and single ones,
 * from places beside pages that are not there. */
#include "base/sha256_lanes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/random.h"
#include "lib/guard.h"

enum { WORK_MAX = 40, BLOCKS_MAX = 20, TEXT_SIZE = BLOCKS_MAX * SHA256_BLOCK_SIZE };

static struct guard guards[WORK_MAX];
static uint8_t text[TEXT_SIZE];

struct fixture {
	struct sha256_state first[WORK_MAX], second[WORK_MAX];
	struct sha256_state wanted_first[WORK_MAX], wanted_second[WORK_MAX];
	struct sha256_work work[WORK_MAX];
};

static struct sha256_state any_state(struct random *random)
{
	struct sha256_state state;

	for (size_t i = 0; i < SHA256_STATE_WORDS; i++) {
		state.word[i] = (uint32_t)random_u64(random);
	}
	return state;
}

static void fill(struct fixture *fixture, struct random *random, size_t i, size_t count,
	bool paired)
{
	for (size_t k = 0; k < sizeof text; k++) text[k] = (uint8_t)random_u64(random);
	size_t size = count * SHA256_BLOCK_SIZE;
	const uint8_t *blocks = guard_place(&guards[i], bytes_of(text, size));

	fixture->first[i] = any_state(random);
	fixture->second[i] = any_state(random);
	fixture->wanted_first[i] = fixture->first[i];
	fixture->wanted_second[i] = fixture->second[i];
	fixture->work[i] = (struct sha256_work){
		.state = &fixture->first[i],
		.second = paired ? &fixture->second[i] : NULL,
		.blocks = count == 0 ? NULL : blocks,
		.count = count,
	};
	if (count == 0) return;
	sha256_one(&fixture->wanted_first[i], blocks, count);
	if (paired) sha256_one(&fixture->wanted_second[i], blocks, count);
}

static void expect_all(const struct fixture *fixture, size_t work_count)
{
	for (size_t i = 0; i < work_count; i++) {
		assert_memory_equal(&fixture->first[i], &fixture->wanted_first[i],
			sizeof fixture->first[i]);
		assert_memory_equal(&fixture->second[i], &fixture->wanted_second[i],
			sizeof fixture->second[i]);
	}
}

/* Of one size, and any number of them. */
static void any_number_is_fed(void **state)
{
	static struct fixture fixture;
	struct random random = { .state = 5 };
	(void)state;

	if (!sha256_blocks_usable()) skip();
	for (size_t work_count = 0; work_count <= WORK_MAX; work_count++) {
		for (unsigned paired = 0; paired < 2; paired++) {
			size_t count = 1 + work_count % 3;
			for (size_t i = 0; i < work_count; i++) {
				fill(&fixture, &random, i, count, paired != 0);
			}
			sha256_each(fixture.work, work_count);
			expect_all(&fixture, work_count);
		}
	}
}

/* Short ones, one in a few much longer, some without a block. */
static void any_sizes_are_fed(void **state)
{
	static struct fixture fixture;
	struct random random = { .state = 6 };
	(void)state;

	if (!sha256_blocks_usable()) skip();
	for (unsigned round = 0; round < 200; round++) {
		size_t work_count = random_below(&random, WORK_MAX) + 1;
		uint64_t rare = 1 + random_below(&random, 20);
		for (size_t i = 0; i < work_count; i++) {
			uint64_t most = random_below(&random, rare) == 0 ? BLOCKS_MAX : 4;
			size_t count = (size_t)random_below(&random, most + 1);
			fill(&fixture, &random, i, count, round % 2 != 0);
		}
		sha256_each(fixture.work, work_count);
		expect_all(&fixture, work_count);
	}
}

static int open_guards(void **state)
{
	(void)state;
	for (size_t i = 0; i < WORK_MAX; i++) guard_init(&guards[i], TEXT_SIZE);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_number_is_fed),
		cmocka_unit_test(any_sizes_are_fed),
	};
	return cmocka_run_group_tests(tests, open_guards, NULL);
}
