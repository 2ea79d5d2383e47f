/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From what is wanted of a socket to requests in the submission queue.
 *
 * Closing takes two requests, or one when nothing is armed: the cancellation of the read (by
 * user_data, a hash look-up; a cancellation by descriptor would walk over all requests of the
 * ring) and the close, in one submission. An armed operation holds the file, not the
 * descriptor or its place in the table, so the order of their completions does not matter. The
 * slot is free after the last of them.
 */
#include <liburing.h>

#include "engine/io_uring_internal.h"

#include <sys/socket.h>

#include "base/check.h"

struct io_uring_sqe *sqe_take(struct io *io)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&io->ring);
	if (sqe == NULL) {
		/* Full. A failure leaves it full and is met again, and judged, in io_turn(). */
		if (io_uring_submit(&io->ring) < 0) return NULL;
		sqe = io_uring_get_sqe(&io->ring);
	}
	if (sqe != NULL) io->statistics.submissions++;
	return sqe;
}

static uint64_t user_data_for(const struct io_socket *socket, enum operation operation)
{
	return user_data_of(operation, socket->generation, socket->slot);
}

static bool submit_cancel(struct io *io, const struct io_socket *socket, enum operation operation)
{
	struct io_uring_sqe *sqe = sqe_take(io);
	if (sqe == NULL) return false;

	io_uring_prep_cancel64(sqe, user_data_for(socket, operation), 0);
	sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
	io_uring_sqe_set_data64(sqe, user_data_of(OPERATION_CANCEL, 0, 0));
	return true;
}

static bool submit_read(struct io *io, struct io_socket *socket)
{
	struct io_uring_sqe *sqe = sqe_take(io);
	if (sqe == NULL) return false;

	if (socket->listening) {
		io_uring_prep_multishot_accept(sqe, socket->fd, NULL, NULL, SOCK_CLOEXEC);
		io_uring_sqe_set_data64(sqe, user_data_for(socket, OPERATION_ACCEPT));
	} else {
		io_uring_prep_recv_multishot(sqe, table_file(socket), NULL, 0, 0);
		sqe->flags |= IOSQE_BUFFER_SELECT | table_flag(socket);
		sqe->buf_group = BUFFER_GROUP;
		if (socket->read_poll_first) sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
		io_uring_sqe_set_data64(sqe, user_data_for(socket, OPERATION_RECEIVE));
	}
	socket->read_poll_first = false;
	socket->read_armed = true;
	return true;
}

static bool submit_connect(struct io *io, struct io_socket *socket)
{
	struct io_uring_sqe *sqe = sqe_take(io);
	if (sqe == NULL) return false;

	bool is_ipv6 = socket->address.any.sa_family == AF_INET6;
	socklen_t size = is_ipv6 ? sizeof socket->address.ipv6 : sizeof socket->address.ipv4;
	io_uring_prep_connect(sqe, table_file(socket), &socket->address.any, size);
	sqe->flags |= table_flag(socket);
	io_uring_sqe_set_data64(sqe, user_data_for(socket, OPERATION_CONNECT));
	socket->connect_wanted = false;
	socket->connect_armed = true;
	return true;
}

static bool submit_send(struct io *io, struct io_socket *socket)
{
	struct io_uring_sqe *sqe = sqe_take(io);
	if (sqe == NULL) return false;

	io_uring_prep_send(sqe, table_file(socket), socket->send.data, socket->send.size,
		MSG_WAITALL | MSG_NOSIGNAL);
	sqe->flags |= table_flag(socket);
	io_uring_sqe_set_data64(sqe, user_data_for(socket, OPERATION_SEND));
	socket->send_wanted = false;
	socket->send_armed = true;
	return true;
}

/* A shutdown that is a request goes to a thread of the kernel's, which then stays and wakes up
 * every five seconds. So a socket of the table is given a descriptor for a moment. */
static bool submit_shutdown(struct io *io, struct io_socket *socket)
{
	if (!socket->in_table) {
		/* It fails only when the connection is gone, which receiving reports. */
		shutdown(socket->fd, SHUT_WR);
		socket->shutdown_wanted = false;
		return true;
	}
	struct io_uring_sqe *sqe = sqe_take(io);
	if (sqe == NULL) return false;

	io_uring_prep_fixed_fd_install(sqe, table_file(socket), 0);
	io_uring_sqe_set_data64(sqe, user_data_for(socket, OPERATION_SHUTDOWN));
	socket->shutdown_wanted = false;
	socket->shutdown_armed = true;
	return true;
}

/* Connecting a TCP socket to no address cuts its connection with a reset (connect(2)): the same
 * function of the kernel that a close after SO_LINGER of zero calls, for which a descriptor would
 * be needed. */
static bool submit_reset(struct io *io, struct io_socket *socket)
{
	static const struct sockaddr nobody = { .sa_family = AF_UNSPEC };

	struct io_uring_sqe *sqe = sqe_take(io);
	if (sqe == NULL) return false;
	io_uring_prep_connect(sqe, table_file(socket), &nobody, sizeof nobody);
	sqe->flags |= table_flag(socket) | IOSQE_CQE_SKIP_SUCCESS;
	io_uring_sqe_set_data64(sqe, user_data_of(OPERATION_RESET, 0, 0));
	socket->reset_wanted = false;
	return true;
}

static bool submit_close(struct io *io, struct io_socket *socket)
{
	if (socket->read_armed && !socket->read_cancelled) {
		enum operation read = socket->listening ? OPERATION_ACCEPT : OPERATION_RECEIVE;
		if (!submit_cancel(io, socket, read)) return false;
		socket->read_cancelled = true;
	}
	if (socket->connect_armed && !socket->connect_cancelled) {
		if (!submit_cancel(io, socket, OPERATION_CONNECT)) return false;
		socket->connect_cancelled = true;
	}
	if (socket->send_armed && !socket->send_cancelled) {
		if (!submit_cancel(io, socket, OPERATION_SEND)) return false;
		socket->send_cancelled = true;
	}
	if (socket->reset_wanted && !submit_reset(io, socket)) return false;
	struct io_uring_sqe *sqe = sqe_take(io);
	if (sqe == NULL) return false;
	if (socket->in_table)
		io_uring_prep_close_direct(sqe, socket->slot);
	else
		io_uring_prep_close(sqe, socket->fd);
	io_uring_sqe_set_data64(sqe, user_data_for(socket, OPERATION_CLOSE));
	socket->close_armed = true;
	return true;
}

/* Wanted versus armed. Returns false when the queue takes no more; then it is called again. */
static bool submit_missing(struct io *io, struct io_socket *socket)
{
	if (socket->closing) {
		return socket->close_armed || socket->close_done || submit_close(io, socket);
	}
	if (socket->connect_wanted && !submit_connect(io, socket)) return false;

	bool read = socket->read_wanted && !socket->read_held && !socket->read_over &&
		(socket->connected || socket->listening);
	if (read && !socket->read_armed && !submit_read(io, socket)) return false;
	if (!read && socket->read_armed && !socket->read_cancelled) {
		enum operation armed = socket->listening ? OPERATION_ACCEPT : OPERATION_RECEIVE;
		if (!submit_cancel(io, socket, armed)) return false;
		socket->read_cancelled = true;
	}
	if (socket->send_wanted && !submit_send(io, socket)) return false;
	if (socket->shutdown_wanted && !socket->send_armed) return submit_shutdown(io, socket);
	return true;
}

void sockets_submit(struct io *io)
{
	for (struct list *node = list_pop(&io->dirty); node != NULL; node = list_pop(&io->dirty)) {
		struct io_socket *socket = LIST_ENTRY(node, struct io_socket, dirty_node);
		if (!submit_missing(io, socket)) {
			list_prepend(&io->dirty, &socket->dirty_node);
			return;
		}
	}
}

static void release(struct io *io, struct list *node)
{
	struct io_socket *socket = LIST_ENTRY(node, struct io_socket, held_node);

	socket->read_held = false;
	socket_mark_dirty(io, socket);
}

void sockets_release_held(struct io *io)
{
	/* One receiver per free buffer, the longest starved first. */
	for (uint32_t budget = io->buffers_in_ring; budget > 0; budget--) {
		struct list *node = list_pop(&io->starved);
		if (node == NULL) break;
		release(io, node);
	}
	if (list_empty(&io->accept_held) || io->mono.us < io->accept_retry.us) return;
	if (io->sockets.used_count == io->sockets.count) {
		io->accept_retry.us = io->mono.us + ACCEPT_RETRY_MS * US_PER_MS;
		return;
	}
	for (struct list *node = list_pop(&io->accept_held); node != NULL;
		node = list_pop(&io->accept_held)) {
		release(io, node);
	}
}
