/* SPDX-License-Identifier: GPL-2.0-or-later */
/* io_uring_internal — what the files of the real io share: the struct io, the socket slots
 * and the encoding of user_data. Include <liburing.h> first; only engine/io_uring*.c may.
 *
 * The owner's calls do not talk to the kernel. They note what is wanted of the socket and put
 * it on the dirty list; io_turn() compares wanted with armed and prepares the requests that
 * are missing. So nothing is lost when the submission queue is full, and a pause followed by a
 * resume costs nothing.
 */
#pragma once

#ifndef LIB_URING_H
#error "include <liburing.h> first; only engine/io_uring*.c may"
#endif

#include <netinet/in.h>
#include <stdatomic.h>

#include "base/list.h"
#include "base/pool.h"
#include "base/random.h"
#include "engine/io.h"

/* How long accepting rests when descriptors or slots ran out: long enough to cost nothing,
 * short against a client's connect timeout. */
enum { ACCEPT_RETRY_MS = 100 };
/* The only provided-buffer group. */
enum { BUFFER_GROUP = 0 };

enum operation {
	OPERATION_CANCEL, /* of interest to nobody: the cancelled one tells */
	OPERATION_RESET,  /* nor this: the close comes after it */
	OPERATION_WAKE,
	OPERATION_ACCEPT,
	OPERATION_RECEIVE,
	OPERATION_CONNECT,
	OPERATION_SEND,
	OPERATION_SHUTDOWN, /* of a socket in the table: gets a descriptor for it */
	OPERATION_CLOSE,
};

union socket_address {
	struct sockaddr any;
	struct sockaddr_in ipv4;
	struct sockaddr_in6 ipv6;
};

/* The "read" is the one multishot operation of a socket: accept on listeners, receive on
 * connections. Something is armed from its submission to its last completion. */
struct io_socket {
	const struct io_events *events; /* first: overwritten while the slot is free */
	void *owner;
	struct list dirty_node;
	struct list held_node; /* in io->starved or, a listener, in io->accept_held */
	union {
		union socket_address address; /* until connected; of a listener for ever */
		struct {
			const uint8_t *data;
			size_t size;
		} send; /* what is left to be sent */
	};
	int fd;              /* -1 when it is in the ring's table */
	uint32_t slot;       /* position in the pool, and in the table */
	uint32_t generation; /* outlives the slot's uses */
	bool in_table : 1;
	bool made_room : 1; /* of a listener: an accepted descriptor was given back */
	bool listening : 1;
	bool connected : 1;
	bool closing : 1;
	bool read_wanted : 1;
	bool read_armed : 1;
	bool read_cancelled : 1;
	bool read_held : 1; /* until buffers return or time has passed */
	bool read_poll_first : 1;
	bool read_over : 1;
	bool connect_wanted : 1;
	bool connect_armed : 1;
	bool connect_cancelled : 1;
	bool send_wanted : 1;
	bool send_armed : 1;
	bool send_cancelled : 1;
	bool shutdown_wanted : 1;
	bool shutdown_armed : 1;
	bool reset_wanted : 1;
	bool close_armed : 1;
	bool close_done : 1;
};

struct io {
	/* What other threads touch in io_wake(), on cache lines with what is hardly used. */
	_Alignas(64) atomic_bool wake_pending;
	atomic_bool sleeping;
	bool wake_armed;
	int wake_fd;
	char features[144];
	struct io_uring ring;
	struct io_config config;
	mono_t mono;
	wall_t wall;
	struct pool sockets;
	uint32_t table_size; /* 0: all sockets are descriptors */
	struct list dirty;
	struct list starved;
	struct list accept_held;
	mono_t accept_retry;
	struct io_uring_buf_ring *buffer_ring;
	size_t buffer_ring_size;
	struct io_buffer *buffers;
	uint8_t *buffer_memory;
	size_t buffer_memory_size;
	struct io_buffer *spare_buffers;
	mono_t window_changed;
	uint32_t buffers_free; /* in the ring and spare */
	uint32_t buffers_in_ring;
	uint32_t buffer_window; /* how many shall be in the ring */
	struct random random;
	struct io_statistics statistics;
};

/* user_data: operation (8 bits) | generation (24) | slot (32). */
enum { GENERATION_MASK = 0xFFFFFF };

static inline uint64_t user_data_of(enum operation operation, uint32_t generation, size_t slot)
{
	return (uint64_t)operation << 56 | (uint64_t)(generation & GENERATION_MASK) << 32 | slot;
}

/* io_uring_socket.c */

/* NULL when all slots are in use. */
struct io_socket *socket_slot_take(struct io *io, int fd);
/* Not before the last completion. */
void socket_slot_give(struct io *io, struct io_socket *socket);
void socket_mark_dirty(struct io *io, struct io_socket *socket);
struct io_address socket_address_from_kernel(const union socket_address *from);

/* io_uring_submit.c */

/* A free submission entry; submits to get one. NULL when the kernel takes no more now. */
struct io_uring_sqe *sqe_take(struct io *io);
/* Prepares what is missing for every dirty socket, as far as the queue takes it. */
void sockets_submit(struct io *io);
/* Lets held listeners and starved receivers try again when it makes sense to. */
void sockets_release_held(struct io *io);

/* io_uring_buffer.c */

void buffers_init(struct io *io);
/* Once per turn. */
void buffers_refill(struct io *io);
/* The kernel has filled it; it is the receiver's now. */
struct io_buffer *buffer_taken(struct io *io, uint32_t id, uint32_t size);
/* A receive has found the ring empty. */
void buffers_missed(struct io *io);

/* io_uring_complete.c */

/* Runs the callbacks of one completion. */
void socket_complete(struct io *io, const struct io_uring_cqe *cqe);

/* io_uring_table.c */

/* Before restrictions are registered. Without a table, whatever the reason, all works with
 * descriptors. */
void table_open(struct io *io, uint32_t features);
/* The socket's descriptor goes into the table and is closed, if the table has its slot. */
void table_take(struct io *io, struct io_socket *socket);
/* What requests about the socket name it by, … */
int table_file(const struct io_socket *socket);
/* … and with which flag. */
uint8_t table_flag(const struct io_socket *socket);

/* io_uring_open.c */

void io_read_clocks(struct io *io);
