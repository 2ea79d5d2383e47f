/* SPDX-License-Identifier: GPL-2.0-or-later */
/* preflight_targets — connects to every target once and, with https, shakes hands as a delivery
 * would; sends nothing else.
 *
 *   happy path: connect → (handshake →) close
 *   failures:   refused, no answer in time, a certificate that is not trusted or for another name
 *
 * A few threads share the waiting. All of it is bounded in time: targets that were not tried by
 * then are said.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/check.h"
#include "config/config_codes.h"
#include "preflight/preflight_internal.h"

enum { WIRE_SIZE = 2 * (TLS_RECORD_SIZE_MAX + TLS_RECORD_OVERHEAD) };

enum outcome { OUTCOME_UNTRIED, OUTCOME_GOOD, OUTCOME_UNREACHABLE, OUTCOME_HANDSHAKE };

struct trial {
	enum outcome outcome;
	char why[160];
};

/* What the threads share: each takes the next target that nobody has taken. */
struct trying {
	const struct flow *flow;
	const struct contexts *contexts;
	struct trial *trials; /* by target */
	uint64_t until_ms;    /* no new ones after it */
	atomic_uint next;
};

/* A socket as a transport: what has come and is not decrypted yet, what is to be sent. */
struct wire {
	int fd;
	uint64_t until_ms;
	size_t in_start;
	size_t in_size;
	size_t out_size;
	uint8_t in[WIRE_SIZE];
	uint8_t out[WIRE_SIZE];
};

static uint64_t now_ms(void)
{
	struct timespec now;

	CHECK(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static bool wait_until(int fd, short events, uint64_t until_ms)
{
	for (;;) {
		struct pollfd one = { .fd = fd, .events = events };
		uint64_t now = now_ms();
		if (now >= until_ms) return false;
		int ret = poll(&one, 1, (int)(until_ms - now));
		if (ret > 0) return true;
		if (ret < 0 && errno != EINTR) return false;
	}
}

/* ---- Transport ------------------------------------------------------------------------------- */

static size_t wire_take(void *owner, uint8_t *to, size_t size)
{
	struct wire *wire = owner;
	size_t has = wire->in_size - wire->in_start;

	if (size > has) size = has;
	memcpy(to, wire->in + wire->in_start, size);
	wire->in_start += size;
	return size;
}

static bool wire_ready(void *owner)
{
	const struct wire *wire = owner;
	return wire->in_size > wire->in_start;
}

static size_t wire_put(void *owner, const uint8_t *from, size_t size)
{
	struct wire *wire = owner;
	size_t room = sizeof wire->out - wire->out_size;

	if (size > room) size = room;
	memcpy(wire->out + wire->out_size, from, size);
	wire->out_size += size;
	return size;
}

/* No application data is ever read or written. */
static uint8_t *wire_look(void *owner, size_t *ret_size)
{
	(void)owner;
	*ret_size = 0;
	return NULL;
}

static void wire_drop(void *owner, size_t size)
{
	(void)owner;
	CHECK(size == 0);
}

static uint8_t *wire_room(void *owner, size_t size)
{
	(void)owner;
	(void)size;
	return NULL;
}

static void wire_fill(void *owner, size_t size)
{
	(void)owner;
	CHECK(size == 0);
}

static const struct tls_transport_calls wire_calls = { wire_take, wire_ready, wire_put, wire_look,
	wire_drop, wire_room, wire_fill };

static bool wire_flush(struct wire *wire)
{
	size_t at = 0;

	while (at < wire->out_size) {
		ssize_t count = send(wire->fd, wire->out + at, wire->out_size - at, MSG_NOSIGNAL);
		if (count > 0) {
			at += (size_t)count;
		} else if (errno != EAGAIN || !wait_until(wire->fd, POLLOUT, wire->until_ms)) {
			return false;
		}
	}
	wire->out_size = 0;
	return true;
}

/* NULL, or why nothing came. */
static const char *wire_fetch(struct wire *wire)
{
	memmove(wire->in, wire->in + wire->in_start, wire->in_size - wire->in_start);
	wire->in_size -= wire->in_start;
	wire->in_start = 0;
	if (wire->in_size == sizeof wire->in) return "it sends more than a handshake has";
	if (!wait_until(wire->fd, POLLIN, wire->until_ms)) return "no answer in time";

	ssize_t count =
		recv(wire->fd, wire->in + wire->in_size, sizeof wire->in - wire->in_size, 0);
	if (count == 0) return "it closed the connection";
	if (count < 0) return strerror(errno);
	wire->in_size += (size_t)count;
	return NULL;
}

/* ---- One trial ----------------------------------------------------------------------------- */

static void trial_fail(struct trial *trial, enum outcome outcome, const char *why)
{
	trial->outcome = outcome;
	snprintf(trial->why, sizeof trial->why, "%s", why);
}

static void handshake(struct wire *wire, struct tls_context *context, const char *host,
	struct trial *trial)
{
	struct tls_conn conn;
	const struct tls_transport transport = { &wire_calls, wire };
	const char *why = NULL;

	if (tls_conn_open_client(&conn, context, host, NULL, &transport) != RESULT_OK) {
		trial_fail(trial, OUTCOME_HANDSHAKE, "the TLS library has no memory");
		return;
	}
	enum tls_status status = TLS_MORE;
	while (why == NULL && status == TLS_MORE) {
		status = tls_handshake(&conn);
		if (status == TLS_FAILED) why = tls_error(&conn);
		if (status == TLS_CLOSED) why = "it ended the handshake";
		/* An alert, too, so that the other side's log is right. */
		if (!wire_flush(wire) && why == NULL) why = "it closed the connection";
		if (why == NULL && status == TLS_MORE && !wire_ready(wire)) why = wire_fetch(wire);
	}
	trial->outcome = OUTCOME_GOOD;
	if (why != NULL) trial_fail(trial, OUTCOME_HANDSHAKE, why);
	tls_shutdown(&conn);
	(void)wire_flush(wire); /* polite, and no more than that */
	tls_conn_close(&conn);
}

static int connect_start(const struct io_address *to)
{
	struct sockaddr_in ipv4 = { .sin_family = AF_INET, .sin_port = htons(to->port) };
	struct sockaddr_in6 ipv6 = { .sin6_family = AF_INET6, .sin6_port = htons(to->port) };

	memcpy(&ipv4.sin_addr, to->ip, 4);
	memcpy(&ipv6.sin6_addr, to->ip, 16);
	int fd = socket(to->is_ipv6 ? AF_INET6 : AF_INET,
		SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0) return -1;
	int ret = to->is_ipv6 ? connect(fd, (struct sockaddr *)&ipv6, sizeof ipv6)
			      : connect(fd, (struct sockaddr *)&ipv4, sizeof ipv4);
	if (ret == 0 || errno == EINPROGRESS) return fd;
	int error = errno;
	close(fd);
	errno = error;
	return -1;
}

/* A connected socket, or -1 with the reason in the trial. */
static int connect_to(const struct io_address *address, uint64_t until_ms, struct trial *trial)
{
	int error = 0;
	socklen_t size = sizeof error;

	int fd = connect_start(address);
	if (fd < 0) {
		trial_fail(trial, OUTCOME_UNREACHABLE, strerror(errno));
		return -1;
	}
	if (!wait_until(fd, POLLOUT, until_ms)) {
		error = ETIMEDOUT;
	} else if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0) {
		error = errno;
	}
	if (error == 0) return fd;
	trial_fail(trial, OUTCOME_UNREACHABLE, strerror(error));
	close(fd);
	return -1;
}

static void target_try(const struct trying *trying, uint32_t index, struct wire *wire)
{
	const struct flow_target *target = &trying->flow->targets[index];
	struct trial *trial = &trying->trials[index];
	uint32_t patience_ms = target->config->connect_timeout_ms;

	trial->outcome = OUTCOME_GOOD;
	if (!target->resolved) return; /* reported already */
	if (patience_ms > PREFLIGHT_CONNECT_MS_MAX) patience_ms = PREFLIGHT_CONNECT_MS_MAX;
	wire->until_ms = now_ms() + patience_ms;
	wire->in_start = 0;
	wire->in_size = 0;
	wire->out_size = 0;
	wire->fd = connect_to(&target->address, wire->until_ms, trial);
	if (wire->fd < 0) return;
	struct tls_context *context = trying->contexts->targets[index].context;
	if (context != NULL) handshake(wire, context, target->config->host, trial);
	close(wire->fd);
}

static void *try_some(void *argument)
{
	struct trying *trying = argument;
	struct wire *wire = alloc_array(1, sizeof *wire);

	while (now_ms() < trying->until_ms) {
		uint32_t at = atomic_fetch_add(&trying->next, 1);
		if (at >= trying->flow->target_count) break;
		target_try(trying, at, wire);
	}
	alloc_free(wire);
	return NULL;
}

/* ---- All of them ----------------------------------------------------------------------------- */

static void report_trial(const struct flow *flow, uint32_t index, const struct trial *trial,
	struct config_report *report)
{
	const struct config_target *target = flow->targets[index].config;
	bool reached = trial->outcome == OUTCOME_HANDSHAKE;
	char address[ADDRESS_TEXT_SIZE];

	address_format(&flow->targets[index].address, address);
	config_report_add(report, CONFIG_ERROR,
		reached ? PS_TARGET_HANDSHAKE : PS_TARGET_UNREACHABLE,
		config_position_of(flow->config, &target->url, target->position),
		reached ? "check the target's certificate, and ca_file"
			: "check the URL, the target, and what stands between",
		reached ? "target '%s' (%s): the TLS handshake failed: %s"
			: "target '%s' (%s) cannot be reached: %s",
		target->name, address, trial->why);
}

static void report_all(const struct trying *trying, struct config_report *report)
{
	const struct flow *flow = trying->flow;
	uint32_t untried = 0;

	for (uint32_t i = 0; i < flow->target_count; i++) {
		const struct trial *trial = &trying->trials[i];

		if (trial->outcome == OUTCOME_UNTRIED) untried++;
		if (trial->outcome == OUTCOME_UNTRIED || trial->outcome == OUTCOME_GOOD) {
			continue;
		}
		report_trial(flow, i, trial, report);
	}
	if (untried == 0) return;
	config_report_add(report, CONFIG_WARNING, PS_TARGETS_UNTRIED, (struct config_position){ 0 },
		"repair those that are reported: each that is silent costs seconds",
		"%u of %u targets were not connected to: the time for it is %u s", untried,
		flow->target_count, PREFLIGHT_TARGETS_MS_MAX / 1000);
}

void preflight_targets(const struct flow *flow, const struct contexts *contexts,
	struct config_report *report)
{
	struct trying trying = {
		.flow = flow,
		.contexts = contexts,
		.trials = alloc_array(flow->target_count, sizeof *trying.trials),
		.until_ms = now_ms() + PREFLIGHT_TARGETS_MS_MAX,
	};
	pthread_t threads[RESOLVE_THREADS_MAX];
	size_t started = 0;

	/* This thread does its share; without helpers it does everything. */
	while (started < RESOLVE_THREADS_MAX && started + 1 < flow->target_count) {
		if (pthread_create(&threads[started], NULL, try_some, &trying) != 0) break;
		started++;
	}
	(void)try_some(&trying); /* it returns nothing */
	for (size_t i = 0; i < started; i++) CHECK(pthread_join(threads[i], NULL) == 0);
	report_all(&trying, report);
	alloc_free(trying.trials);
}
