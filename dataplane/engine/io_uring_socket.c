/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sockets as their owner sees them: slots, addresses, and the calls that note what is wanted.
 *
 * Descriptors stay blocking: a request on a non-blocking one would fail with EAGAIN where it
 * should wait; and io_uring itself never blocks in a socket call.
 */
#include <liburing.h>

#include "engine/io_uring_internal.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "engine/listener.h"

static socklen_t address_to_kernel(const struct io_address *from, union socket_address *to)
{
	memset(to, 0, sizeof *to);
	if (from->is_ipv6) {
		to->ipv6.sin6_family = AF_INET6;
		to->ipv6.sin6_port = htons(from->port);
		memcpy(&to->ipv6.sin6_addr, from->ip, sizeof to->ipv6.sin6_addr);
		return sizeof to->ipv6;
	}
	to->ipv4.sin_family = AF_INET;
	to->ipv4.sin_port = htons(from->port);
	memcpy(&to->ipv4.sin_addr, from->ip, sizeof to->ipv4.sin_addr);
	return sizeof to->ipv4;
}

struct io_address socket_address_from_kernel(const union socket_address *from)
{
	struct io_address address = { .is_ipv6 = from->any.sa_family == AF_INET6 };

	if (address.is_ipv6) {
		address.port = ntohs(from->ipv6.sin6_port);
		memcpy(address.ip, &from->ipv6.sin6_addr, sizeof from->ipv6.sin6_addr);
	} else {
		address.port = ntohs(from->ipv4.sin_port);
		memcpy(address.ip, &from->ipv4.sin_addr, sizeof from->ipv4.sin_addr);
	}
	return address;
}

struct io_socket *socket_slot_take(struct io *io, int fd)
{
	struct io_socket *socket = pool_take(&io->sockets);
	if (socket == NULL) return NULL;

	*socket = (struct io_socket){
		.fd = fd,
		.slot = (uint32_t)pool_index(&io->sockets, socket),
		.generation = socket->generation,
	};
	list_init(&socket->dirty_node);
	list_init(&socket->held_node);
	return socket;
}

void socket_slot_give(struct io *io, struct io_socket *socket)
{
	list_remove(&socket->dirty_node);
	list_remove(&socket->held_node);
	socket->generation++;
	pool_give(&io->sockets, socket);
}

void socket_mark_dirty(struct io *io, struct io_socket *socket)
{
	if (list_empty(&socket->dirty_node)) list_append(&io->dirty, &socket->dirty_node);
}

static enum result result_of_errno(int error)
{
	if (error == EADDRINUSE) return RESULT_BUSY;
	if (error == EACCES || error == EPERM) return RESULT_PERMISSION;
	return RESULT_KERNEL;
}

static int set_option(int fd, int level, int name)
{
	int one = 1;
	return setsockopt(fd, level, name, &one, sizeof one);
}

enum result io_listen_on(struct io *io, int fd, const struct io_events *events, void *owner,
	struct io_socket **ret)
{
	union socket_address bound;
	socklen_t size = sizeof bound;

	if (getsockname(fd, &bound.any, &size) != 0) return RESULT_KERNEL;
	struct io_socket *listener = socket_slot_take(io, fd);
	if (listener == NULL) return RESULT_FULL;
	listener->address = bound;
	listener->listening = true;
	listener->read_wanted = true;
	io_socket_adopt(listener, events, owner);
	socket_mark_dirty(io, listener);
	*ret = listener;
	return RESULT_OK;
}

enum result io_listen(struct io *io, const struct io_address *address,
	const struct io_events *events, void *owner, struct io_socket **ret)
{
	int fd = listener_open(address);
	if (fd < 0) {
		errno = -fd;
		return result_of_errno(-fd);
	}
	enum result result = io_listen_on(io, fd, events, owner, ret);
	if (result != RESULT_OK) close(fd);
	return result;
}

bool io_accept_stopped(const struct io_socket *socket)
{
	CHECK(socket->listening);
	return !socket->read_wanted && !socket->read_armed;
}

struct io_address io_listen_address(const struct io_socket *socket)
{
	CHECK(socket->listening);
	return socket_address_from_kernel(&socket->address);
}

static void want_read(struct io *io, struct io_socket *socket, bool wanted)
{
	CHECK(!socket->closing);
	if (socket->read_wanted == wanted) return;
	socket->read_wanted = wanted;
	socket_mark_dirty(io, socket);
}

void io_accept_pause(struct io *io, struct io_socket *socket)
{
	CHECK(socket->listening);
	want_read(io, socket, false);
}

void io_accept_resume(struct io *io, struct io_socket *socket)
{
	CHECK(socket->listening);
	want_read(io, socket, true);
}

void io_receive_start(struct io *io, struct io_socket *socket)
{
	CHECK(!socket->listening);
	want_read(io, socket, true);
}

void io_receive_pause(struct io *io, struct io_socket *socket)
{
	CHECK(!socket->listening);
	want_read(io, socket, false);
}

enum result io_connect(struct io *io, const struct io_address *address,
	const struct io_events *events, void *owner, struct io_socket **ret)
{
	struct io_socket *connection = socket_slot_take(io, -1);
	if (connection == NULL) return RESULT_FULL;

	address_to_kernel(address, &connection->address);
	int family = connection->address.any.sa_family;
	connection->fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);
	if (connection->fd < 0) {
		socket_slot_give(io, connection);
		return RESULT_KERNEL;
	}
	/* Small requests must not wait for acknowledgements. A failure costs only time. */
	(void)set_option(connection->fd, IPPROTO_TCP, TCP_NODELAY);
	table_take(io, connection);
	connection->connect_wanted = true;
	io_socket_adopt(connection, events, owner);
	socket_mark_dirty(io, connection);
	*ret = connection;
	return RESULT_OK;
}

void io_socket_adopt(struct io_socket *socket, const struct io_events *events, void *owner)
{
	CHECK(!socket->closing);
	CHECK(events->closed != NULL);
	socket->events = events;
	socket->owner = owner;
}

void io_socket_close(struct io *io, struct io_socket *socket)
{
	CHECK(!socket->closing);
	socket->closing = true;
	socket->connect_wanted = false;
	socket->send_wanted = false;
	list_remove(&socket->held_node);
	socket_mark_dirty(io, socket);
}

void io_socket_abort(struct io *io, struct io_socket *socket)
{
	struct linger reset = { .l_onoff = 1, .l_linger = 0 };

	/* Should it fail, the connection is closed in the ordinary way. */
	if (socket->in_table) {
		socket->reset_wanted = true;
	} else {
		(void)setsockopt(socket->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
	}
	io_socket_close(io, socket);
}

void io_send(struct io *io, struct io_socket *socket, const void *data, size_t size)
{
	CHECK(socket->connected && !socket->closing);
	CHECK(!socket->send_wanted && !socket->send_armed && !socket->shutdown_wanted);
	CHECK(size > 0);

	socket->send.data = data;
	socket->send.size = size;
	socket->send_wanted = true;
	socket_mark_dirty(io, socket);
}

void io_shutdown(struct io *io, struct io_socket *socket)
{
	CHECK(socket->connected && !socket->closing);
	socket->shutdown_wanted = true;
	socket_mark_dirty(io, socket);
}
