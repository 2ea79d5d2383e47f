/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "telemetry/post.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/cursor.h"
#include "base/version.h"
#include "http/http_response.h"

static const char too_slow[] = "it takes too long";
static const char broken[] = "the connection broke";

enum { HEAD_SIZE_MAX = 1024 };

struct posting {
	int fd; /* does not block */
	uint64_t deadline_us;
};

static uint64_t mono_now_us(void)
{
	struct timespec now;
	CHECK(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
	return (uint64_t)now.tv_sec * US_PER_S + (uint64_t)now.tv_nsec / 1000;
}

/* False: the time is over. */
static bool wait_for(const struct posting *posting, short events)
{
	struct pollfd entry = { .fd = posting->fd, .events = events };
	for (;;) {
		uint64_t now_us = mono_now_us();
		if (now_us >= posting->deadline_us) return false;
		int left_ms = (int)((posting->deadline_us - now_us) / US_PER_MS) + 1;
		int ready = poll(&entry, 1, left_ms);
		if (ready > 0) return true;
		if (ready < 0 && errno != EINTR) return false;
	}
}

static const char *open_one(struct posting *posting, const struct addrinfo *address)
{
	posting->fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (posting->fd < 0) return "no socket";
	if (connect(posting->fd, address->ai_addr, address->ai_addrlen) == 0) return NULL;
	int error = errno;
	socklen_t size = sizeof error;
	if (error == EINPROGRESS) {
		if (!wait_for(posting, POLLOUT)) return too_slow;
		if (getsockopt(posting->fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0)
			return broken;
	}
	return error == 0 ? NULL : "no connection";
}

static const char *open_any(struct posting *posting, const struct post_target *target)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct addrinfo *addresses = NULL;
	const char *error = "no connection";
	char port[8];

	snprintf(port, sizeof port, "%u", (unsigned)target->port);
	if (getaddrinfo(target->host, port, &hints, &addresses) != 0) {
		return "its name does not resolve";
	}
	for (const struct addrinfo *one = addresses; one != NULL; one = one->ai_next) {
		error = open_one(posting, one);
		if (error == NULL) break;
		if (posting->fd >= 0) close(posting->fd);
		posting->fd = -1;
	}
	freeaddrinfo(addresses);
	return error;
}

static const char *send_all(const struct posting *posting, struct bytes data)
{
	while (data.size > 0) {
		ssize_t size = send(posting->fd, data.data, data.size, MSG_NOSIGNAL);
		if (size > 0) {
			data = bytes_from(data, (size_t)size);
		} else if (errno == EAGAIN) {
			if (!wait_for(posting, POLLOUT)) return too_slow;
		} else if (errno != EINTR) {
			return broken;
		}
	}
	return NULL;
}

/* The head says whether it was taken; what comes behind it is of no interest. */
static const char *read_answer(const struct posting *posting)
{
	uint8_t head[HTTP_HEAD_SIZE_MAX];
	struct http_response response;
	enum http_fault fault;
	size_t filled = 0;
	size_t scanned = 0;
	size_t head_size = 0;

	for (;;) {
		enum http_parse parse =
			http_head_find(bytes_of(head, filled), &scanned, &head_size, &fault);
		if (parse == HTTP_PARSE_DONE) break;
		if (parse == HTTP_PARSE_BAD || filled == sizeof head) return "it speaks no HTTP";
		ssize_t size = recv(posting->fd, head + filled, sizeof head - filled, 0);
		if (size > 0) {
			filled += (size_t)size;
		} else if (size == 0 || (errno != EAGAIN && errno != EINTR)) {
			return broken;
		} else if (!wait_for(posting, POLLIN)) {
			return too_slow;
		}
	}
	if (http_response_parse(bytes_of(head, head_size), false, &response, &fault) !=
		HTTP_PARSE_DONE) {
		return "it speaks no HTTP";
	}
	return response.status / 100 == 2 ? NULL : "its answer is not 2xx";
}

static const char *exchange(const struct posting *posting, const struct post_target *target,
	const char *path, struct bytes body)
{
	char memory[HEAD_SIZE_MAX];
	struct writer head = writer_of(memory, sizeof memory);
	bool bare_ipv6 = strchr(target->host, ':') != NULL;

	write_format(&head,
		"POST %s HTTP/1.1\r\nHost: %s%s%s:%u\r\nUser-Agent: Penstock/%s\r\n"
		"Content-Type: application/json\r\nContent-Length: %zu\r\n"
		"Connection: close\r\n\r\n",
		path, bare_ipv6 ? "[" : "", target->host, bare_ipv6 ? "]" : "",
		(unsigned)target->port, penstock_version, body.size);
	CHECK(!head.failed);
	const char *error = send_all(posting, writer_bytes(&head));
	if (error == NULL) error = send_all(posting, body);
	return error != NULL ? error : read_answer(posting);
}

const char *post(const struct post_target *target, const char *path, struct bytes body)
{
	struct posting posting = {
		.fd = -1,
		.deadline_us = mono_now_us() + TELEMETRY_POST_TIMEOUT_MS * US_PER_MS,
	};

	const char *error = open_any(&posting, target);
	if (error == NULL) error = exchange(&posting, target, path, body);
	if (posting.fd >= 0) close(posting.fd);
	return error;
}
