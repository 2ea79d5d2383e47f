/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lib/guard.h"

#include <sys/mman.h>
#include <unistd.h>

#include "base/check.h"

static size_t page_size(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

void guard_init(struct guard *guard, size_t capacity)
{
	size_t page = page_size();
	size_t usable = (capacity + page - 1) / page * page;

	guard->mapped_size = usable + page;
	guard->memory = mmap(NULL, guard->mapped_size, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(guard->memory != MAP_FAILED);
	CHECK(mprotect(guard->memory + usable, page, PROT_NONE) == 0);
}

void guard_done(struct guard *guard)
{
	CHECK(munmap(guard->memory, guard->mapped_size) == 0);
	*guard = (struct guard){ 0 };
}

uint8_t *guard_place(struct guard *guard, struct bytes bytes)
{
	size_t usable = guard->mapped_size - page_size();
	CHECK(bytes.size <= usable);

	uint8_t *at = guard->memory + (usable - bytes.size);
	if (bytes.size > 0) memmove(at, bytes.data, bytes.size);
	return at;
}
