/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The turn: submit, wait, run the callbacks. One system call per turn however many
 * operations are started and completed in it.
 */
#include <liburing.h>

#include "engine/io_uring_internal.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"

/* Waiting for a few completions more, for a few microseconds, to batch better (kernel 6.12).
 * Off: tests/bench/bench_io_echo.c gained nothing from 20 or 50 us at 64 and 256 connections,
 * where turns are full anyway, and lost half at 16. */
#ifndef IO_MIN_WAIT_US
#define IO_MIN_WAIT_US 0
#endif
#ifndef IO_MIN_WAIT_COUNT
#define IO_MIN_WAIT_COUNT 16
#endif

/* No sum of it and a clock overflows in the kernel. */
#define WAIT_US_MAX (UINT64_C(100) * 86400 * US_PER_S)

/* When the kernel is short of memory for requests, or there are fewer buffers than starving
 * receivers: try again soon, but do not spin. */
#define SHORTAGE_WAIT_US UINT64_C(1000)

static void arm_wake(struct io *io)
{
	if (io->wake_armed) return;
	struct io_uring_sqe *sqe = sqe_take(io);
	if (sqe == NULL) return;

	/* Every write to the eventfd completes the poll anew, so its counter need not be read. */
	io_uring_prep_poll_multishot(sqe, io->wake_fd, POLLIN);
	io_uring_sqe_set_data64(sqe, user_data_of(OPERATION_WAKE, 0, 0));
	io->wake_armed = true;
}

void io_wake(struct io *io)
{
	/* Whoever finds it set relies on the turn that will clear it. The order of the two
	 * flags is the reverse of the owner's in enter(): one of both sees the other. */
	if (atomic_exchange(&io->wake_pending, true)) return;
	if (!atomic_load(&io->sleeping)) return;

	uint64_t one = 1;
	CHECK(write(io->wake_fd, &one, sizeof one) == (ssize_t)sizeof one);
}

static int submit_and_wait(struct io *io, uint64_t wait_us)
{
	struct io_uring_cqe *cqe = NULL;

	if (wait_us == 0) return io_uring_submit_and_get_events(&io->ring);
	/* Without a time, so that an idle process is never woken. */
	if (wait_us == UINT64_MAX && IO_MIN_WAIT_US == 0) {
		return io_uring_submit_and_wait(&io->ring, 1);
	}
	if (wait_us > WAIT_US_MAX) wait_us = WAIT_US_MAX;
	struct __kernel_timespec timeout = {
		.tv_sec = (long long)(wait_us / US_PER_S),
		.tv_nsec = (long long)(wait_us % US_PER_S * 1000),
	};
	if (IO_MIN_WAIT_US > 0) {
		return io_uring_submit_and_wait_min_timeout(&io->ring, &cqe, IO_MIN_WAIT_COUNT,
			&timeout, IO_MIN_WAIT_US, NULL);
	}
	return io_uring_submit_and_wait_timeout(&io->ring, &cqe, 1, &timeout, NULL);
}

/* One system call. What is not submitted by it stays in the queue for the next turn. */
static enum result enter(struct io *io, uint64_t wait_us)
{
	if (wait_us > 0) {
		atomic_store(&io->sleeping, true);
		if (atomic_load(&io->wake_pending)) wait_us = 0;
	}
	int ret = submit_and_wait(io, wait_us);
	/* A signal or a stop ended the wait: what has come meanwhile is to be seen in this turn. */
	if (ret == -EINTR) ret = submit_and_wait(io, 0);
	atomic_store_explicit(&io->sleeping, false, memory_order_relaxed);
	if (ret >= 0) return RESULT_OK;

	switch (-ret) {
	case ETIME:  /* nothing came */
	case EINTR:  /* a signal: its handler did what was to be done */
	case EAGAIN: /* no memory for a request now */
	case ENOMEM:
	case EBUSY: /* overflown completions must be fetched first */ return RESULT_OK;
	default: /* EBADR: the kernel had to drop completions; all else is our bug */
		errno = -ret;
		log_error("io_uring_enter failed error=\"%s\"", strerror(errno));
		return RESULT_KERNEL;
	}
}

static void complete(struct io *io, const struct io_uring_cqe *cqe)
{
	switch ((enum operation)(cqe->user_data >> 56)) {
	case OPERATION_CANCEL:
	case OPERATION_RESET: return;
	case OPERATION_WAKE:
		/* It ended the wait; wake_pending tells the rest. */
		if ((cqe->flags & IORING_CQE_F_MORE) == 0) io->wake_armed = false;
		return;
	case OPERATION_ACCEPT:
	case OPERATION_RECEIVE:
	case OPERATION_CONNECT:
	case OPERATION_SEND:
	case OPERATION_SHUTDOWN:
	case OPERATION_CLOSE: socket_complete(io, cqe); return;
	}
	UNREACHABLE();
}

/* Only what is there at the start: callbacks may submit, and what completes by that belongs
 * to the next turn. */
static void run_completions(struct io *io)
{
	unsigned count = io_uring_cq_ready(&io->ring);

	io->statistics.completions += count;
	for (; count > 0; count--) {
		struct io_uring_cqe *cqe = NULL;
		CHECK(io_uring_peek_cqe(&io->ring, &cqe) == 0);
		/* Copied out, so that the entry is free before the callbacks run. */
		struct io_uring_cqe copy = {
			.user_data = cqe->user_data, .res = cqe->res, .flags = cqe->flags
		};
		io_uring_cqe_seen(&io->ring, cqe);
		complete(io, &copy);
	}
}

enum result io_turn(struct io *io, uint64_t wait_us)
{
	io->statistics.turns++;
	arm_wake(io);
	buffers_refill(io);
	sockets_release_held(io);
	sockets_submit(io);
	if (!list_empty(&io->accept_held)) {
		uint64_t retry_us = mono_since_us(io->mono, io->accept_retry);
		if (retry_us < wait_us) wait_us = retry_us;
	}
	/* A receiver that got the last buffer may turn out not to need it. */
	bool shortage = !list_empty(&io->dirty) ||
		(!list_empty(&io->starved) && io->buffers_in_ring > 0);
	if (shortage && wait_us > SHORTAGE_WAIT_US) wait_us = SHORTAGE_WAIT_US;

	TRY(enter(io, wait_us));
	io_read_clocks(io);
	if (io_uring_cq_has_overflow(&io->ring)) io->statistics.overflows++;
	run_completions(io);
	if (atomic_load_explicit(&io->wake_pending, memory_order_relaxed)) {
		/* Cleared before woken() looks for work: a later io_wake() counts anew. */
		atomic_exchange(&io->wake_pending, false);
		if (io->config.woken != NULL) io->config.woken(io->config.owner);
	}
	return RESULT_OK;
}

mono_t io_mono(const struct io *io)
{
	return io->mono;
}

wall_t io_wall(const struct io *io)
{
	return io->wall;
}

uint64_t io_random(struct io *io)
{
	return random_u64(&io->random);
}

struct io_statistics io_statistics(const struct io *io)
{
	struct io_statistics statistics = io->statistics;

	statistics.buffers_free = io->buffers_free;
	statistics.sockets_used = (uint32_t)io->sockets.used_count;
	return statistics;
}

uint32_t io_table_size(const struct io *io)
{
	return io->table_size;
}

const char *io_features(const struct io *io)
{
	return io->features;
}
