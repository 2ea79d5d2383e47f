/* SPDX-License-Identifier: GPL-2.0-or-later */
/* io_harness — for tests of the real ring: an owner that records its callbacks and can close
 * its socket inside any of them, and plain kernel sockets as peers.
 */
#pragma once

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "engine/io.h"

enum { HARNESS_WAIT_US = 100000 };

enum call { CALL_NONE, CALL_CONNECTED, CALL_RECEIVED, CALL_ENDED, CALL_SENT };

struct party {
	struct io *io;
	struct io_socket *socket;
	enum call close_in; /* closes its socket in the first such callback */
	bool hold;          /* keeps received buffers */
	bool closing;
	unsigned connected_count;
	unsigned received_count;
	unsigned ended_count;
	unsigned sent_count;
	unsigned closed_count;
	uint64_t received_size;
	int error; /* of the last callback with one */
	struct io_buffer *held;
};

static inline void party_close(struct party *party)
{
	CHECK(!party->closing);
	party->closing = true;
	io_socket_close(party->io, party->socket);
}

static inline void party_called(struct party *party, enum call call)
{
	/* After the closing only closed() may come. */
	CHECK(!party->closing && party->closed_count == 0);
	if (party->close_in == call) party_close(party);
}

static inline void party_connected(void *owner, int error)
{
	struct party *party = owner;
	party->connected_count++;
	party->error = error;
	party_called(party, CALL_CONNECTED);
}

static inline void party_received(void *owner, struct io_buffer *buffer)
{
	struct party *party = owner;
	party->received_count++;
	party->received_size += buffer->size;
	if (party->hold) {
		buffer->next = party->held;
		party->held = buffer;
	} else {
		io_buffer_return(party->io, buffer);
	}
	party_called(party, CALL_RECEIVED);
}

static inline void party_ended(void *owner, int error)
{
	struct party *party = owner;
	party->ended_count++;
	party->error = error;
	party_called(party, CALL_ENDED);
}

static inline void party_sent(void *owner, int error)
{
	struct party *party = owner;
	party->sent_count++;
	party->error = error;
	party_called(party, CALL_SENT);
}

static inline void party_closed(void *owner)
{
	struct party *party = owner;
	CHECK(party->closing && party->closed_count == 0);
	party->closed_count++;
}

static const struct io_events party_events = {
	.connected = party_connected,
	.received = party_received,
	.ended = party_ended,
	.sent = party_sent,
	.closed = party_closed,
};

static inline void party_return_held(struct party *party)
{
	while (party->held != NULL) {
		struct io_buffer *buffer = party->held;
		party->held = buffer->next;
		io_buffer_return(party->io, buffer);
	}
}

/* A listener that hands every connection to the next party of an array. */
struct host {
	struct io *io;
	struct io_socket *listener;
	struct party *parties;
	unsigned party_count;
	unsigned accepted_count;
	unsigned closed_count;
	bool close_at_once; /* accepted sockets, without adopting them */
	bool do_not_receive;
	struct io_address address;
};

static inline void host_accepted(void *owner, struct io_socket *socket,
	const struct io_address *peer)
{
	struct host *host = owner;

	CHECK(host->closed_count == 0 && peer->port != 0);
	unsigned index = host->accepted_count++;
	if (host->close_at_once) {
		io_socket_close(host->io, socket);
		return;
	}
	CHECK(index < host->party_count);
	host->parties[index].io = host->io;
	host->parties[index].socket = socket;
	io_socket_adopt(socket, &party_events, &host->parties[index]);
	if (!host->do_not_receive) io_receive_start(host->io, socket);
}

static inline void host_closed(void *owner)
{
	struct host *host = owner;
	host->closed_count++;
}

static const struct io_events host_events = {
	.accepted = host_accepted,
	.closed = host_closed,
};

static inline struct io_address loopback(void)
{
	struct io_address address;
	CHECK(address_parse(BYTES_LITERAL("127.0.0.1:0"), &address) == RESULT_OK);
	return address;
}

static inline void host_open(struct host *host, struct io *io, struct party *parties,
	unsigned party_count)
{
	struct io_address address = loopback();

	host->io = io;
	host->parties = parties;
	host->party_count = party_count;
	CHECK(io_listen(io, &address, &host_events, host, &host->listener) == RESULT_OK);
	host->address = io_listen_address(host->listener);
}

static inline struct io *ring_open(uint32_t sockets_max, uint32_t buffer_count,
	uint32_t buffer_size)
{
	struct io_config config = {
		.sockets_max = sockets_max, .buffer_count = buffer_count, .buffer_size = buffer_size
	};
	struct io *io = NULL;

	if (io_open(&config, &io) != RESULT_OK) {
		fprintf(stderr, "io_open: %s\n", io_open_error());
		abort();
	}
	return io;
}

static inline void ring_turn(struct io *io, uint64_t wait_us)
{
	CHECK(io_turn(io, wait_us) == RESULT_OK);
}

/* Turns until the expression holds; a test that hangs is stopped by the test runner. */
#define RING_UNTIL(io, condition) \
	do { \
		while (!(condition)) ring_turn((io), HARNESS_WAIT_US); \
	} while (0)

/* Everything must be closed or closing, every buffer returned. */
static inline void ring_close(struct io *io, uint32_t buffer_count)
{
	RING_UNTIL(io, io_statistics(io).sockets_used == 0);
	CHECK(io_statistics(io).buffers_free == buffer_count);
	CHECK(io_statistics(io).strays == 0);
	io_close(io);
}

/* ---- Peers made of plain sockets ------------------------------------------------------------- */

static inline struct sockaddr_in kernel_address(const struct io_address *address)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(address->port) };
	memcpy(&to.sin_addr, address->ip, 4);
	return to;
}

static inline int peer_connect(const struct io_address *address)
{
	struct sockaddr_in to = kernel_address(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	CHECK(fd >= 0);
	CHECK(connect(fd, (struct sockaddr *)&to, sizeof to) == 0);
	return fd;
}

static inline int peer_listen(int backlog, struct io_address *ret)
{
	struct io_address any_port = loopback();
	struct sockaddr_in at = kernel_address(&any_port);
	socklen_t size = sizeof at;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	CHECK(fd >= 0);
	CHECK(bind(fd, (struct sockaddr *)&at, sizeof at) == 0);
	CHECK(listen(fd, backlog) == 0);
	CHECK(getsockname(fd, (struct sockaddr *)&at, &size) == 0);
	*ret = any_port;
	ret->port = ntohs(at.sin_port);
	return fd;
}

static inline void set_nonblocking(int fd)
{
	CHECK(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
}

static inline unsigned open_descriptors(void)
{
	unsigned count = 0;
	DIR *directory = opendir("/proc/self/fd");

	CHECK(directory != NULL);
	while (readdir(directory) != NULL) count++;
	closedir(directory);
	return count;
}

static inline void allow_descriptors(rlim_t count)
{
	struct rlimit limit;

	CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
	limit.rlim_cur = count < limit.rlim_max ? count : limit.rlim_max;
	CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
}

/* The limit under which `room` more descriptors can be had. */
static inline rlim_t limit_with_room(unsigned room)
{
	int fd = 0;

	for (; room > 0; fd++) {
		if (fcntl(fd, F_GETFD) < 0) room--;
	}
	return (rlim_t)fd;
}
