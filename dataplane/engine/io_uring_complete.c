/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From the kernel's answers to callbacks. */
#include <liburing.h>

#include "engine/io_uring_internal.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"

static struct io_buffer *buffer_of(struct io *io, const struct io_uring_cqe *cqe)
{
	uint32_t size = cqe->res > 0 ? (uint32_t)cqe->res : 0;
	return buffer_taken(io, cqe->flags >> IORING_CQE_BUFFER_SHIFT, size);
}

static void hold_accept(struct io *io, struct io_socket *listener)
{
	io->statistics.accept_errors++;
	listener->read_held = true;
	list_remove(&listener->held_node);
	list_append(&io->accept_held, &listener->held_node);
	io->accept_retry.us = io->mono.us + ACCEPT_RETRY_MS * US_PER_MS;
	socket_mark_dirty(io, listener);
	if (listener->events->starved != NULL) listener->events->starved(listener->owner);
}

static void hold_receive(struct io *io, struct io_socket *socket)
{
	buffers_missed(io);
	socket->read_held = true;
	/* An attempt right away would take a buffer before there is something to put in. */
	socket->read_poll_first = true;
	list_append(&io->starved, &socket->held_node);
}

static void finish_closing(struct io *io, struct io_socket *socket)
{
	if (!socket->close_done) return;
	if (socket->read_armed || socket->connect_armed || socket->send_armed) return;
	if (socket->shutdown_armed) return;

	const struct io_events *events = socket->events;
	void *owner = socket->owner;
	socket_slot_give(io, socket);
	/* An accepted socket that was closed without an owner has nobody to tell. */
	if (events != NULL) events->closed(owner);
}

static void complete_accept(struct io *io, struct io_socket *listener, int result)
{
	if (result < 0) {
		if (result == -ECANCELED || listener->closing) return;
		if (result == -ECONNABORTED || result == -EINTR || result == -EAGAIN) {
			/* That one went away; the next may be fine. */
			io->statistics.accept_errors++;
			socket_mark_dirty(io, listener);
		} else if (result == -EMFILE && listener->made_room) {
			/* Those accepted with it have taken the last descriptors, and given them
			 * back by now. */
			listener->made_room = false;
			socket_mark_dirty(io, listener);
		} else {
			hold_accept(io, listener);
		}
		return;
	}
	union socket_address peer;
	socklen_t peer_size = sizeof peer;
	if (listener->closing || getpeername(result, &peer.any, &peer_size) != 0) {
		/* Too late, or the peer has reset the connection already. */
		close(result);
		return;
	}
	struct io_socket *socket = socket_slot_take(io, result);
	if (socket == NULL) {
		close(result);
		hold_accept(io, listener);
		return;
	}
	table_take(io, socket);
	if (socket->in_table) listener->made_room = true;
	socket->connected = true;
	struct io_address address = socket_address_from_kernel(&peer);
	listener->events->accepted(listener->owner, socket, &address);
}

/* A receive has ended, for whatever reason. */
static void complete_receive_end(struct io *io, struct io_socket *socket, int result)
{
	if (result > 0 || result == -ECANCELED) {
		/* Goes on if still, or again, wanted. */
		socket_mark_dirty(io, socket);
	} else if (result == -ENOBUFS) {
		hold_receive(io, socket);
	} else if (result == -EAGAIN || result == -EINTR) {
		socket->read_poll_first = true;
		socket_mark_dirty(io, socket);
	} else {
		socket->read_over = true;
		socket->events->ended(socket->owner, -result);
	}
}

static void complete_receive(struct io *io, struct io_socket *socket,
	const struct io_uring_cqe *cqe, bool more)
{
	if ((cqe->flags & IORING_CQE_F_BUFFER) != 0) {
		struct io_buffer *buffer = buffer_of(io, cqe);
		if (socket->closing || cqe->res <= 0) {
			io_buffer_return(io, buffer);
		} else {
			socket->events->received(socket->owner, buffer);
		}
	}
	/* The callback may have closed it. */
	if (!more && !socket->closing) complete_receive_end(io, socket, cqe->res);
}

static void complete_send(struct io *io, struct io_socket *socket, int result)
{
	if (socket->closing) return;
	if (result == -EINTR || result == -EAGAIN)
		result = 0;
	else if (result == 0)
		result = -EPIPE;

	if (result < 0) {
		socket->send.size = 0;
		socket->events->sent(socket->owner, -result);
		return;
	}
	CHECK((size_t)result <= socket->send.size);
	socket->send.data += result;
	socket->send.size -= (size_t)result;
	if (socket->send.size > 0) {
		socket->send_wanted = true;
		socket_mark_dirty(io, socket);
		return;
	}
	/* For a shutdown that waited. */
	if (socket->shutdown_wanted) socket_mark_dirty(io, socket);
	socket->events->sent(socket->owner, 0);
}

static void complete_connect(struct io *io, struct io_socket *socket, int result)
{
	if (socket->closing) return;
	if (result == -EINTR || result == -EAGAIN) {
		socket->connect_wanted = true;
		socket_mark_dirty(io, socket);
		return;
	}
	if (result == 0) {
		socket->connected = true;
		socket->send.size = 0;
		/* Receiving may be wanted already. */
		socket_mark_dirty(io, socket);
	}
	socket->events->connected(socket->owner, -result);
}

/* The descriptor that was wanted for it. Without one the peer learns of the end from the close. */
static void complete_shutdown(int result)
{
	if (result < 0) return;
	/* It fails only when the connection is gone, which receiving reports. */
	shutdown(result, SHUT_WR);
	close(result);
}

void socket_complete(struct io *io, const struct io_uring_cqe *cqe)
{
	struct io_socket *socket = pool_at(&io->sockets, (uint32_t)cqe->user_data);
	bool more = (cqe->flags & IORING_CQE_F_MORE) != 0;

	/* A slot is not free before its last completion, so this is the kernel's slip or ours;
	 * the new user of the slot must not suffer from it. */
	if (((cqe->user_data >> 32) & GENERATION_MASK) != (socket->generation & GENERATION_MASK)) {
		io->statistics.strays++;
		if ((cqe->flags & IORING_CQE_F_BUFFER) != 0)
			io_buffer_return(io, buffer_of(io, cqe));
		return;
	}
	switch ((enum operation)(cqe->user_data >> 56)) {
	case OPERATION_ACCEPT:
	case OPERATION_RECEIVE:
		if (!more) {
			socket->read_armed = false;
			socket->read_cancelled = false;
		}
		if (!socket->listening)
			complete_receive(io, socket, cqe, more);
		else
			complete_accept(io, socket, cqe->res);
		if (!more && socket->listening) socket_mark_dirty(io, socket);
		break;
	case OPERATION_CONNECT:
		socket->connect_armed = false;
		complete_connect(io, socket, cqe->res);
		break;
	case OPERATION_SEND:
		socket->send_armed = false;
		complete_send(io, socket, cqe->res);
		break;
	case OPERATION_CLOSE:
		/* Whatever the result, the descriptor or the place in the table is free. */
		socket->close_armed = false;
		socket->close_done = true;
		break;
	case OPERATION_SHUTDOWN:
		socket->shutdown_armed = false;
		complete_shutdown(cqe->res);
		break;
	case OPERATION_CANCEL:
	case OPERATION_RESET:
	case OPERATION_WAKE: UNREACHABLE();
	}
	if (socket->closing) finish_closing(io, socket);
}
