/* SPDX-License-Identifier: GPL-2.0-or-later */
/* secret_memory — locked, undumped, wiped blocks.
 *
 * A region is mapped once and never given back; a freed block goes to the list of its size,
 * so that reloading the same endpoints again and again takes no new memory. Locking may fail
 * for want of RLIMIT_MEMLOCK: then the keys can reach swap, which is warned about and counted
 * (secret_unlocked_size()), but is no reason to refuse traffic.
 */
#include "secrets/secrets_internal.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include "base/alloc.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/log.h"
#include "secrets/secret.h"

enum {
	BLOCK_STEP = 64,
	REGION_SIZE = 65536,
	LIST_COUNT = SECRET_MEMORY_SIZE_MAX / BLOCK_STEP,
};
BOUND(SECRET_MEMORY_SIZE_MAX % BLOCK_STEP == 0);
BOUND(REGION_SIZE % BLOCK_STEP == 0);

struct free_block {
	struct free_block *next;
};

static struct {
	pthread_mutex_t lock;
	struct free_block *free_list[LIST_COUNT]; /* of blocks of (index + 1) * BLOCK_STEP */
	uint8_t *region;                          /* what is left of the newest one */
	size_t region_left;
} memory = { .lock = PTHREAD_MUTEX_INITIALIZER };

static atomic_size_t unlocked_size;

static size_t list_index(size_t size)
{
	CHECK(size > 0 && size <= SECRET_MEMORY_SIZE_MAX);
	return (size - 1) / BLOCK_STEP;
}

/* What is left of the old region is lost: less than one block of the largest size. */
static void region_map(void)
{
	memory.region = alloc_map(REGION_SIZE);
	memory.region_left = REGION_SIZE;

	/* A kernel without either call still gives memory that works. */
	(void)madvise(memory.region, REGION_SIZE, MADV_DONTDUMP);
	if (mlock(memory.region, REGION_SIZE) != 0) {
		atomic_fetch_add_explicit(&unlocked_size, REGION_SIZE, memory_order_relaxed);
		log_warning("secrets are not locked in memory hint=\"raise LimitMEMLOCK\"");
	}
}

void *secret_memory_take(size_t size)
{
	size_t index = list_index(size);
	size_t block_size = (index + 1) * BLOCK_STEP;

	CHECK(pthread_mutex_lock(&memory.lock) == 0);
	void *block = memory.free_list[index];
	if (block != NULL) {
		memory.free_list[index] = memory.free_list[index]->next;
	} else {
		if (memory.region_left < block_size) region_map();
		block = memory.region;
		memory.region += block_size;
		memory.region_left -= block_size;
	}
	CHECK(pthread_mutex_unlock(&memory.lock) == 0);

	memset(block, 0, sizeof(struct free_block));
	return block;
}

void secret_memory_give(void *block, size_t size)
{
	struct free_block *freed = block;
	size_t index = list_index(size);

	bytes_wipe(block, (index + 1) * BLOCK_STEP);
	CHECK(pthread_mutex_lock(&memory.lock) == 0);
	freed->next = memory.free_list[index];
	memory.free_list[index] = freed;
	CHECK(pthread_mutex_unlock(&memory.lock) == 0);
}

size_t secret_unlocked_size(void)
{
	return atomic_load_explicit(&unlocked_size, memory_order_relaxed);
}
