/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Opening and closing the ring: kernel features, restrictions, the buffer ring; and the
 * sentences for an operator whose kernel says no.
 */
#include <liburing.h>

#include "engine/io_uring_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/check.h"
#include "engine/io_probe.h"

/* Since 6.1, and then all else we need is there too: multishot receive and accept, buffer
 * rings, waiting with a timeout. liburing adds NO_SQARRAY by itself where the kernel (6.6) has
 * it and tries again without where not. Kernels without DEFER_TASKRUN are refused, so the
 * ladder has no lower rung. */
#define RING_FLAGS \
	(IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE | \
		IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CLAMP | IORING_SETUP_R_DISABLED)

static const uint8_t allowed_operations[] = {
	IORING_OP_ACCEPT,
	IORING_OP_ASYNC_CANCEL,
	IORING_OP_CLOSE,
	IORING_OP_CONNECT,
	IORING_OP_POLL_ADD,
	IORING_OP_RECV,
	IORING_OP_SEND,
};
/* With a table; older kernels do not know it. */
static const uint8_t allowed_table_operation = IORING_OP_FIXED_FD_INSTALL;
/* After enabling; all else is registered before. */
static const uint8_t allowed_registrations[] = {
	IORING_REGISTER_FILES_UPDATE,
	IORING_REGISTER_RING_FDS,
	IORING_UNREGISTER_RING_FDS,
};
#define ALLOWED_SQE_FLAGS (IOSQE_BUFFER_SELECT | IOSQE_CQE_SKIP_SUCCESS | IOSQE_FIXED_FILE)

static _Thread_local char open_error[320];

const char *io_open_error(void)
{
	return open_error;
}

static enum result fail(enum result result, const char *what, int error, const char *advice)
{
	snprintf(open_error, sizeof open_error, "%s: %s%s%s", what, strerror(error),
		advice[0] == '\0' ? "" : "; ", advice);
	errno = error;
	return result;
}

static bool disabled_by_sysctl(void)
{
	FILE *file = fopen("/proc/sys/kernel/io_uring_disabled", "re");
	if (file == NULL) return false;
	int digit = fgetc(file);
	fclose(file);
	return digit != EOF && digit != '0';
}

#define SANDBOX_ADVICE \
	"a seccomp profile or another sandbox forbids io_uring: allow io_uring_setup, " \
	"io_uring_enter and io_uring_register (Docker's and containerd's default profiles do not)"
#define SYSCTL_ADVICE \
	"the sysctl kernel.io_uring_disabled forbids it: run 'sysctl -w " \
	"kernel.io_uring_disabled=0', or set it to 1 and put the user into the group that " \
	"kernel.io_uring_group names"

/* The kernel or a sandbox refuses io_uring as such. */
static enum result fail_call(const char *call, int error)
{
	struct utsname kernel = { 0 };

	uname(&kernel);
	if (error == EINVAL) {
		snprintf(open_error, sizeof open_error,
			"this kernel (%s) is too old: io_uring with DEFER_TASKRUN is needed, which "
			"Linux 6.1 and later have",
			kernel.release);
		return RESULT_UNSUPPORTED;
	}
	if (error == ENOSYS) {
		return fail(RESULT_UNSUPPORTED, call, error,
			"the kernel lacks CONFIG_IO_URING, or a sandbox hides the call; "
			"Linux 6.1 or later is needed");
	}
	if (error == EPERM || error == EACCES) {
		const char *advice = SANDBOX_ADVICE;
		if (disabled_by_sysctl()) advice = SYSCTL_ADVICE;
		return fail(RESULT_PERMISSION, call, error, advice);
	}
	if (error == ENOMEM) {
		return fail(RESULT_MEMORY, call, error,
			"raise the limit of locked memory (LimitMEMLOCK, ulimit -l), "
			"or that of the control group");
	}
	if (error == EMFILE || error == ENFILE) {
		return fail(RESULT_KERNEL, call, error, "raise the limit of open files");
	}
	return fail(RESULT_KERNEL, call, error, "");
}

void io_read_clocks(struct io *io)
{
	struct timespec mono;
	struct timespec wall;

	clock_gettime(CLOCK_MONOTONIC, &mono);
	clock_gettime(CLOCK_REALTIME, &wall);
	io->mono.us = (uint64_t)mono.tv_sec * US_PER_S + (uint64_t)mono.tv_nsec / 1000;
	io->wall.us = (uint64_t)wall.tv_sec * US_PER_S + (uint64_t)wall.tv_nsec / 1000;
}

static enum result open_ring(struct io *io, struct io_uring_params *params)
{
	*params = (struct io_uring_params){ .flags = RING_FLAGS, .cq_entries = IO_COMPLETIONS };

	int ret = io_uring_queue_init_params(IO_ENTRIES, &io->ring, params);
	if (ret < 0) return fail_call("io_uring_setup", -ret);
	/* Both are older than DEFER_TASKRUN. */
	CHECK((params->features & IORING_FEAT_EXT_ARG) != 0);
	CHECK((params->features & IORING_FEAT_NODROP) != 0);
	return RESULT_OK;
}

static enum result register_restrictions(struct io *io)
{
	enum { COUNT = ARRAY_COUNT(allowed_operations) + ARRAY_COUNT(allowed_registrations) + 2 };
	struct io_uring_restriction list[COUNT] = { 0 };
	unsigned count = 0;

	for (size_t i = 0; i < ARRAY_COUNT(allowed_operations); i++) {
		list[count].opcode = IORING_RESTRICTION_SQE_OP;
		list[count++].sqe_op = allowed_operations[i];
	}
	if (io->table_size > 0) {
		list[count].opcode = IORING_RESTRICTION_SQE_OP;
		list[count++].sqe_op = allowed_table_operation;
	}
	for (size_t i = 0; i < ARRAY_COUNT(allowed_registrations); i++) {
		list[count].opcode = IORING_RESTRICTION_REGISTER_OP;
		list[count++].register_op = allowed_registrations[i];
	}
	list[count].opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED;
	list[count++].sqe_flags = ALLOWED_SQE_FLAGS;
	CHECK(count <= COUNT);
	int ret = io_uring_register_restrictions(&io->ring, list, count);
	if (ret < 0) return fail_call("io_uring_register", -ret);
	return RESULT_OK;
}

static enum result register_buffers(struct io *io)
{
	const struct io_config *config = &io->config;
	CHECK(config->buffer_count > 0 && config->buffer_count <= 32768);
	CHECK((config->buffer_count & (config->buffer_count - 1)) == 0);

	struct io_uring_buf_reg registration = {
		.ring_addr = (uint64_t)(uintptr_t)io->buffer_ring,
		.ring_entries = config->buffer_count,
		.bgid = BUFFER_GROUP,
	};
	int ret = io_uring_register_buf_ring(&io->ring, &registration, 0);
	if (ret < 0) return fail(RESULT_KERNEL, "io_uring buffer ring", -ret, "");

	buffers_init(io);
	return RESULT_OK;
}

/* From here on this thread, and no other, may use the ring. */
static enum result enable(struct io *io)
{
	int ret = io_uring_enable_rings(&io->ring);
	if (ret < 0) return fail(RESULT_KERNEL, "io_uring enable", -ret, "");
	/* Saves a look-up of the descriptor per enter. Without it all works, only slower. */
	ret = io_uring_register_ring_fd(&io->ring);
	if (ret < 0 && ret != -EINVAL) return fail(RESULT_KERNEL, "io_uring ring fd", -ret, "");
	return RESULT_OK;
}

int io_probe_operation(struct io *io, uint8_t opcode)
{
	struct io_uring_cqe *cqe = NULL;

	struct io_uring_sqe *sqe = sqe_take(io);
	CHECK(sqe != NULL);
	io_uring_prep_nop(sqe);
	sqe->opcode = opcode;
	int ret = io_uring_submit_and_wait(&io->ring, 1);
	if (ret < 0) return ret;
	CHECK(io_uring_peek_cqe(&io->ring, &cqe) == 0);
	int answer = cqe->res;
	io_uring_cqe_seen(&io->ring, cqe);
	return answer;
}

/* A restriction that does not hold is worse than none, because we would count on it. */
static enum result check_restrictions(struct io *io)
{
	int answer = io_probe_operation(io, IORING_OP_NOP);
	if (answer == -EACCES) return RESULT_OK;
	return fail(RESULT_UNSUPPORTED, "io_uring restrictions", answer < 0 ? -answer : EINVAL,
		"the kernel accepted them but does not enforce them");
}

static void describe(struct io *io, const struct io_uring_params *params)
{
	struct utsname kernel = { 0 };

	uname(&kernel);
	bool no_sqarray = (params->flags & IORING_SETUP_NO_SQARRAY) != 0;
	bool ring_fd = io->ring.enter_ring_fd != io->ring.ring_fd;
	snprintf(io->features, sizeof io->features,
		"io_uring linux=%.40s single_issuer defer_taskrun restricted%s%s file_table=%u",
		kernel.release, no_sqarray ? " no_sqarray" : "", ring_fd ? " ring_fd" : "",
		(unsigned)io->table_size);
}

static void release_memory(struct io *io)
{
	if (io->wake_fd >= 0) close(io->wake_fd);
	alloc_unmap(io->buffer_ring, io->buffer_ring_size);
	alloc_unmap(io->buffer_memory, io->buffer_memory_size);
	alloc_free(io->buffers);
	pool_done(&io->sockets);
	alloc_unmap(io, sizeof *io);
}

static struct io *allocate(const struct io_config *config)
{
	/* Mapped, because the heap does not align to cache lines. */
	struct io *io = alloc_map(sizeof *io);

	io->config = *config;
	io->wake_fd = -1;
	list_init(&io->dirty);
	list_init(&io->starved);
	list_init(&io->accept_held);
	pool_init(&io->sockets, sizeof(struct io_socket), config->sockets_max);
	io->buffers = alloc_array(config->buffer_count, sizeof *io->buffers);
	io->buffer_ring_size = config->buffer_count * sizeof(struct io_uring_buf);
	io->buffer_ring = alloc_map(io->buffer_ring_size);
	io->buffer_memory_size = (size_t)config->buffer_count * config->buffer_size;
	io->buffer_memory = alloc_map(io->buffer_memory_size);
	io_read_clocks(io);
	return io;
}

static enum result open_wake_and_random(struct io *io)
{
	io->wake_fd = eventfd(0, EFD_CLOEXEC);
	if (io->wake_fd < 0) {
		return fail(RESULT_KERNEL, "eventfd", errno, "raise the limit of open files");
	}
	ssize_t size = getrandom(&io->random.state, sizeof io->random.state, 0);
	CHECK(size == (ssize_t)sizeof io->random.state);
	return RESULT_OK;
}

static enum result prepare_ring(struct io *io, const struct io_uring_params *params)
{
	table_open(io, params->features);
	TRY(register_restrictions(io));
	TRY(register_buffers(io));
	TRY(enable(io));
	TRY(check_restrictions(io));
	return open_wake_and_random(io);
}

enum result io_open(const struct io_config *config, struct io **ret)
{
	struct io_uring_params params;

	open_error[0] = '\0';
	CHECK(config->sockets_max > 0);
	struct io *io = allocate(config);
	enum result result = open_ring(io, &params);
	if (result != RESULT_OK) {
		release_memory(io);
		return result;
	}
	result = prepare_ring(io, &params);
	if (result != RESULT_OK) {
		io_uring_queue_exit(&io->ring);
		release_memory(io);
		return result;
	}
	describe(io, &params);
	*ret = io;
	return RESULT_OK;
}

void io_close(struct io *io)
{
	CHECK(io->sockets.used_count == 0);
	/* The poll for wake-ups is cancelled by the kernel; it uses no memory of ours. */
	io_uring_queue_exit(&io->ring);
	release_memory(io);
}
