/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "engine/listener.h"

#include <errno.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include "bounds.h"

static bool option_set(int fd, int level, int name)
{
	int one = 1;
	return setsockopt(fd, level, name, &one, sizeof one) == 0;
}

/* What is sent to a provider is an answer of one segment, and a handshake's flight: nearly always
 * less than the window that every connection begins with. Little is left for an algorithm to
 * decide; this one keeps no books, others look at each acknowledgement and time each segment
 * (docs/decisions/016). A wish; accepted sockets inherit it. A socket that was handed to us stays
 * as it is. */
static void choose_congestion_control(int fd)
{
	static const char name[] = "reno"; /* in every kernel, and allowed to everyone */

	(void)setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, sizeof name - 1);
}

int listener_open(const struct io_address *address)
{
	struct sockaddr_storage storage;
	socklen_t size = address_to_storage(address, &storage);

	int fd = socket(storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);
	if (fd < 0) return -errno;
	choose_congestion_control(fd);
	/* Every worker listens on the same address; the kernel spreads connections. */
	if (option_set(fd, SOL_SOCKET, SO_REUSEPORT) && option_set(fd, SOL_SOCKET, SO_REUSEADDR) &&
		/* Accepted sockets inherit it: no system call per connection. */
		option_set(fd, IPPROTO_TCP, TCP_NODELAY) &&
		(!address->is_ipv6 || option_set(fd, IPPROTO_IPV6, IPV6_V6ONLY)) &&
		bind(fd, (const struct sockaddr *)&storage, size) == 0 &&
		listen(fd, IO_ACCEPT_BACKLOG) == 0) {
		return fd;
	}
	int reason = errno;
	close(fd);
	return -reason;
}

void listener_hush(int fd)
{
	struct sock_filter accept_no_byte = BPF_STMT(BPF_RET | BPF_K, 0);
	struct sock_fprog program = { .len = 1, .filter = &accept_no_byte };

	(void)setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
}

void listener_unhush(int fd)
{
	int none = 0;

	(void)setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &none, sizeof none);
}

bool listener_address(int fd, struct io_address *ret)
{
	struct sockaddr_storage storage = { 0 };
	socklen_t size = sizeof storage;

	*ret = (struct io_address){ 0 };
	if (getsockname(fd, (struct sockaddr *)&storage, &size) != 0) return false;
	if (storage.ss_family == AF_INET) {
		const struct sockaddr_in *ipv4 = (const struct sockaddr_in *)(const void *)&storage;
		ret->port = ntohs(ipv4->sin_port);
		memcpy(ret->ip, &ipv4->sin_addr, sizeof ipv4->sin_addr);
		return true;
	}
	if (storage.ss_family != AF_INET6) return false;
	const struct sockaddr_in6 *ipv6 = (const struct sockaddr_in6 *)(const void *)&storage;
	ret->is_ipv6 = true;
	ret->port = ntohs(ipv6->sin6_port);
	memcpy(ret->ip, &ipv6->sin6_addr, sizeof ipv6->sin6_addr);
	return true;
}
