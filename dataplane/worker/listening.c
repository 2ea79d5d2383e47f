/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "worker/listening.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/check.h"
#include "engine/listener.h"

struct listening_set {
	struct io_address address; /* as the configuration has it */
	uint32_t count;
	int fds[]; /* room for HANDED_SOCKETS_MAX, or as many as there are workers */
};

static bool is_wildcard(const struct io_address *address)
{
	static const uint8_t zeros[16];
	return memcmp(address->ip, zeros, sizeof zeros) == 0;
}

/* Connections to one of them might be for the other. */
static bool overlap(const struct io_address *a, const struct io_address *b)
{
	if (a->port == 0 || a->port != b->port || a->is_ipv6 != b->is_ipv6) return false;
	return is_wildcard(a) || is_wildcard(b) || memcmp(a->ip, b->ip, sizeof a->ip) == 0;
}

static bool overlaps_some(const struct listening *listening, const struct io_address *address)
{
	for (uint32_t i = 0; listening != NULL && i < listening->count; i++) {
		const struct listening_set *set = listening->sets[i];
		if (set != NULL && overlap(&set->address, address)) return true;
	}
	return false;
}

static struct listening_set *set_find(const struct listening *listening,
	const struct io_address *address)
{
	for (uint32_t i = 0; listening != NULL && i < listening->count; i++) {
		struct listening_set *set = listening->sets[i];
		if (set != NULL && address_equal(&set->address, address)) return set;
	}
	return NULL;
}

static bool set_is_in(const struct listening *listening, const struct listening_set *set)
{
	for (uint32_t i = 0; listening != NULL && i < listening->count; i++) {
		if (listening->sets[i] == set) return true;
	}
	return false;
}

static struct listening_set *set_create(const struct io_address *address, uint32_t fds_max)
{
	struct listening_set *set = alloc_array(1, sizeof *set + fds_max * sizeof set->fds[0]);

	set->address = *address;
	return set;
}

static void set_close(struct listening_set *set)
{
	for (uint32_t i = 0; i < set->count; i++) close(set->fds[i]);
	alloc_free(set);
}

/* ---- Opening --------------------------------------------------------------------------------- */

static enum result fail(const struct config_listener *listener, int reason, char *error,
	size_t error_size)
{
	char address[ADDRESS_TEXT_SIZE];

	address_format(&listener->address, address);
	snprintf(error, error_size, "cannot listen on %s (%s): %s", address, listener->name,
		strerror(reason));
	if (reason == EADDRINUSE) return RESULT_BUSY;
	return reason == EACCES || reason == EPERM ? RESULT_PERMISSION : RESULT_KERNEL;
}

static enum result set_fill(struct listening_set *set, const struct config_listener *listener,
	uint32_t count, char *error, size_t error_size)
{
	struct io_address address = listener->address;

	while (set->count < count) {
		int fd = listener_open(&address);
		if (fd < 0) return fail(listener, -fd, error, error_size);
		set->fds[set->count++] = fd;
		/* The port that the kernel has chosen is the others', too. */
		if (address.port == 0 && !listener_address(fd, &address)) {
			return fail(listener, errno, error, error_size);
		}
	}
	return RESULT_OK;
}

/* Ours alone: unless we have sockets there ourselves, which a claim would not be let beside. */
static enum result set_open_new(const struct listening *before, struct listening *now,
	uint32_t index, const struct config_listener *listener, uint32_t worker_count,
	uint32_t patience_ms, char *error, size_t error_size)
{
	const struct config only = { .listeners = (struct config_listener *)(uintptr_t)listener,
		.listener_count = 1 };
	struct claim claim = { 0 };

	if (!overlaps_some(before, &listener->address) && !overlaps_some(now, &listener->address)) {
		TRY(claim_take(&only, patience_ms, &claim, error, error_size));
	}
	struct listening_set *set = set_create(&listener->address, worker_count);
	enum result result = set_fill(set, listener, worker_count, error, error_size);
	claim_release(&claim);
	if (result == RESULT_OK) {
		now->sets[index] = set;
	} else {
		set_close(set);
	}
	return result;
}

static struct listening_set *set_of_handed(struct handed *handed, const struct io_address *address)
{
	if (handed == NULL || handed->count == 0) return NULL;

	struct listening_set *set = set_create(address, handed->count);
	set->count = handed_give(handed, address, set->fds, handed->count);
	if (set->count > 0) return set;
	alloc_free(set);
	return NULL;
}

enum result listening_open(const struct config *config, uint32_t worker_count,
	const struct listening *before, struct handed *handed, uint32_t patience_ms,
	struct listening *ret, uint32_t *ret_failed, char *error, size_t error_size)
{
	struct listening now = { .count = config->listener_count };
	enum result result = RESULT_OK;

	CHECK(config->listener_count <= LISTENERS_MAX);
	for (uint32_t i = 0; i < now.count; i++) {
		const struct io_address *address = &config->listeners[i].address;
		now.sets[i] = set_find(before, address);
		if (now.sets[i] == NULL) now.sets[i] = set_of_handed(handed, address);
	}
	/* First those on all addresses of a port: their claims could not be had beside others. */
	for (uint32_t i = 0; result == RESULT_OK && i < 2 * now.count; i++) {
		uint32_t index = i % now.count;
		const struct config_listener *listener = &config->listeners[index];
		if (now.sets[index] != NULL) continue;
		if (i < now.count && !is_wildcard(&listener->address)) continue;
		*ret_failed = index;
		result = set_open_new(before, &now, index, listener, worker_count, patience_ms,
			error, error_size);
	}
	if (result == RESULT_OK) {
		*ret = now;
	} else {
		listening_close(&now, before);
	}
	return result;
}

void listening_close(struct listening *listening, const struct listening *kept)
{
	for (uint32_t i = 0; i < listening->count; i++) {
		struct listening_set *set = listening->sets[i];
		if (set != NULL && !set_is_in(kept, set)) set_close(set);
	}
	listening->count = 0;
}

/* ---- Sharing out ----------------------------------------------------------------------------- */

uint32_t listening_share(const struct listening *listening, uint32_t index, uint32_t worker_count,
	uint32_t worker)
{
	CHECK(index < listening->count && worker < worker_count);

	uint32_t count = listening->sets[index]->count;
	if (count <= worker_count) return 1;
	return (count - worker + worker_count - 1) / worker_count;
}

int listening_fd(const struct listening *listening, uint32_t index, uint32_t worker_count,
	uint32_t worker, uint32_t nth)
{
	const struct listening_set *set = listening->sets[index];
	return set->fds[(worker + nth * worker_count) % set->count];
}

bool listening_has(const struct listening *listening, int fd)
{
	for (uint32_t i = 0; i < listening->count; i++) {
		const struct listening_set *set = listening->sets[i];
		for (uint32_t k = 0; k < set->count; k++) {
			if (set->fds[k] == fd) return true;
		}
	}
	return false;
}

void listening_each(const struct listening *listening, listening_visit *visit, void *owner)
{
	for (uint32_t i = 0; i < listening->count; i++) {
		const struct listening_set *set = listening->sets[i];
		for (uint32_t k = 0; k < set->count; k++) {
			visit(owner, set->fds[k], &set->address);
		}
	}
}
