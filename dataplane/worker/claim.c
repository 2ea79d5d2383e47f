/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "worker/claim.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "engine/listener.h"

static bool option_set(int fd, int level, int name)
{
	int one = 1;
	return setsockopt(fd, level, name, &one, sizeof one) == 0;
}

/* The order is the point: exclusive until it listens, shared from then on. */
static bool listen_exclusively(int fd, const struct io_address *address)
{
	struct sockaddr_storage storage;
	socklen_t size = address_to_storage(address, &storage);

	listener_hush(fd);
	/* SO_REUSEADDR: a restart must not wait for old connections to time out. */
	return option_set(fd, SOL_SOCKET, SO_REUSEADDR) &&
		(!address->is_ipv6 || option_set(fd, IPPROTO_IPV6, IPV6_V6ONLY)) &&
		bind(fd, (const struct sockaddr *)&storage, size) == 0 && listen(fd, 1) == 0 &&
		option_set(fd, SOL_SOCKET, SO_REUSEPORT);
}

static bool is_wildcard(const struct io_address *address)
{
	static const uint8_t zeros[16];
	return memcmp(address->ip, zeros, sizeof zeros) == 0;
}

/* A claim on all addresses of a port is one on each, which would keep out our own second. */
static bool is_covered(const struct config *config, const struct io_address *address)
{
	if (is_wildcard(address)) return false;
	for (uint32_t i = 0; i < config->listener_count; i++) {
		const struct io_address *other = &config->listeners[i].address;
		if (is_wildcard(other) && other->port == address->port &&
			other->is_ipv6 == address->is_ipv6) {
			return true;
		}
	}
	return false;
}

static enum result fail(const struct config_listener *listener, int reason, char *error,
	size_t error_size)
{
	char address[ADDRESS_TEXT_SIZE];

	address_format(&listener->address, address);
	if (reason == EADDRINUSE) {
		snprintf(error, error_size,
			"cannot listen on %s (%s): another process listens there; "
			"to see which: ss -ltnp 'sport = :%u'",
			address, listener->name, (unsigned)listener->address.port);
		return RESULT_BUSY;
	}
	snprintf(error, error_size, "cannot listen on %s (%s): %s", address, listener->name,
		strerror(reason));
	return reason == EACCES || reason == EPERM ? RESULT_PERMISSION : RESULT_KERNEL;
}

/* The descriptor or -errno. */
static int open_exclusively(const struct io_address *address)
{
	int family = address->is_ipv6 ? AF_INET6 : AF_INET;

	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);
	if (fd < 0) return -errno;
	if (listen_exclusively(fd, address)) return fd;
	int reason = errno;
	close(fd);
	return -reason;
}

static enum result claim_one(struct claim *claim, const struct config_listener *listener,
	uint32_t *patience_ms, char *error, size_t error_size)
{
	const struct timespec pause = { .tv_nsec = LISTEN_RETRY_MS * 1000000L };
	int fd;

	while ((fd = open_exclusively(&listener->address)) == -EADDRINUSE && *patience_ms > 0) {
		(void)nanosleep(&pause, NULL);
		*patience_ms -= *patience_ms < LISTEN_RETRY_MS ? *patience_ms : LISTEN_RETRY_MS;
	}
	if (fd < 0) return fail(listener, -fd, error, error_size);
	claim->fds[claim->count++] = fd;
	return RESULT_OK;
}

enum result claim_take(const struct config *config, uint32_t patience_ms, struct claim *ret,
	char *error, size_t error_size)
{
	CHECK(config->listener_count <= LISTENERS_MAX);
	*ret = (struct claim){ 0 };
	for (uint32_t i = 0; i < config->listener_count; i++) {
		const struct config_listener *listener = &config->listeners[i];
		/* The kernel chooses the port: nobody else has it. */
		if (listener->address.port == 0) continue;
		if (is_covered(config, &listener->address)) continue;
		enum result result = claim_one(ret, listener, &patience_ms, error, error_size);
		if (result != RESULT_OK) {
			claim_release(ret);
			return result;
		}
	}
	return RESULT_OK;
}

void claim_release(struct claim *claim)
{
	for (uint32_t i = 0; i < claim->count; i++) close(claim->fds[i]);
	claim->count = 0;
}
