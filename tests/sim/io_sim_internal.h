/* SPDX-License-Identifier: GPL-2.0-or-later */
/* io_sim_internal — the structures behind io_sim.h.
 *
 * io_sim_world.c has the clock, the queue of future events and the scheduler; io_sim_net.c the
 * connections; io_sim.c the functions of engine/io.h. An event happens in the "kernel" and
 * ends, at most, in a completion on the ready list of an io; its next turn runs the callbacks.
 */
#pragma once

#include "base/pool.h"
#include "sim/io_sim.h"

enum {
	SIM_CONNECTIONS_MAX = 4096,
	SIM_EVENTS_MAX = 1 << 18,
	SIM_LOOPS_MAX = 64,
	SIM_PIPE_SIZE_MAX = 128 * 1024,
	SIM_ACCEPT_RETRY_US = 100000,
};

enum event_kind {
	EVENT_NONE,
	EVENT_CONNECT, /* the first packet reaches the server */
	EVENT_CONNECT_TIMEOUT,
	EVENT_ARRIVAL, /* of `size` bytes at the other side */
	EVENT_END,     /* of the stream, at the other side */
	EVENT_RESET,   /* at `side` */
	EVENT_SPACE,   /* for more of what `side` sends */
	EVENT_CLOSED,
	EVENT_ACCEPT_RETRY,
	EVENT_CALL,
};

struct event {
	uint64_t time_us;
	uint64_t sequence; /* equal times: in the order they were made */
	void *object;      /* connection, socket, or the owner of a call */
	void (*run)(void *owner);
	uint32_t size;
	uint8_t kind;
	uint8_t side;
};

enum completion_kind {
	COMPLETION_ACCEPTED,
	COMPLETION_CONNECTED,
	COMPLETION_RECEIVED,
	COMPLETION_ENDED,
	COMPLETION_SENT,
	COMPLETION_CLOSED,
};

struct completion {
	struct list node; /* in io->ready, or alone */
	struct io_socket *socket;
	struct io_buffer *buffer;
	struct sim_connection *connection;
	int error;
	enum completion_kind kind;
};

/* Bytes from one side to the other; positions count from the start of the stream. */
struct pipe {
	uint8_t *data; /* a ring of `capacity` */
	uint32_t capacity;
	uint64_t written;
	uint64_t arrived;
	uint64_t read;
	uint64_t arrival_us; /* of the last piece: later ones come later */
	bool end_sent;
	bool end_arrived;
	bool dead; /* what is written vanishes */
	bool space_scheduled;
};

enum { SIDE_CLIENT, SIDE_SERVER, SIDES };

struct sim_connection {
	struct sim_world *world;
	uint64_t id;
	uint64_t latency_us;
	struct io_socket *ends[SIDES]; /* NULL: not accepted yet, or closed */
	bool closed[SIDES];
	bool reset[SIDES];           /* has arrived there */
	bool reset_scheduled[SIDES]; /* is under way to there */
	struct pipe pipes[SIDES];    /* by sender */
	struct io_address addresses[SIDES];
	uint32_t event_count;
	struct list backlog_node;
	struct completion accepted;
};

struct io_socket {
	const struct io_events *events;
	void *owner;
	struct io *io;
	struct sim_connection *connection;
	struct list starved_node;
	const uint8_t *send_data;
	size_t send_size;
	size_t send_offset;
	uint64_t send_sum;
	struct completion connected_done;
	struct completion ended_done;
	struct completion sent_done;
	struct completion closed_done;
	uint8_t side;
	bool used;
	bool listening;
	bool connected;
	bool closing;
	bool receive_wanted; /* or accept */
	bool over;           /* ended() is queued or was called */
	bool sending;
	bool shutdown_wanted;
	bool held; /* a listener that waits for its retry */
	/* Of a listener: */
	struct io_address address;
	struct list listener_node;
	struct list backlog;
};

struct io {
	struct sim_world *world;
	struct list world_node;
	struct io_config config;
	mono_t mono;
	wall_t wall;
	struct pool sockets;
	struct list ready;
	struct list starved;
	uint8_t *buffer_memory;
	size_t buffer_memory_size;
	struct io_buffer *buffers;
	struct completion *received; /* by buffer id */
	struct io_buffer *free_buffers;
	bool *lent; /* by buffer id: not in the ring */
	uint32_t buffers_free;
	struct random random;
	struct io_statistics statistics;
	bool wake_pending;
	bool turning;
};

struct sim_world {
	struct random random;
	struct sim_faults faults;
	uint64_t now_us;
	uint64_t wall_us; /* when now_us is 0 */
	uint64_t trace;
	struct event *events; /* a heap */
	uint32_t event_count;
	uint64_t sequence;
	uint64_t connection_id;
	uint16_t port;
	struct pool connections;
	uint8_t *pipe_memory;
	struct list ios;
	struct list listeners;
	struct loop *loops[SIM_LOOPS_MAX];
	uint32_t loop_count;
	bool driving;
	bool verbose;
};

/* ---- io_sim_world.c -------------------------------------------------------------------------- */

struct sim_world *sim_world_current(void);
struct event *sim_schedule(struct sim_world *world, uint64_t time_us, enum event_kind kind,
	void *object);
/* Lets the io without a driver wait in virtual time. */
void sim_wait(struct sim_world *world, struct io *io, uint64_t wait_us);
/* Makes the events of sockets of this io nothing. */
void sim_forget_events(struct sim_world *world, const struct io *io);

/* ---- io_sim_net.c ---------------------------------------------------------------------------- */

void net_event(struct sim_world *world, const struct event *event);
void net_connect(struct io_socket *client, const struct io_address *address);
void net_accept(struct io_socket *listener);
void net_receive(struct io_socket *socket);
void net_send(struct io_socket *socket);
void net_shutdown(struct io_socket *socket);
/* The socket leaves its connection. */
void net_leave(struct io_socket *socket, bool reset);
/* A closing listener leaves those in its backlog alone. */
void net_refuse_backlog(struct io_socket *listener);
void net_try_release(struct sim_connection *connection);

/* ---- io_sim.c -------------------------------------------------------------------------------- */

/* NULL when all slots or all buffers are in use. */
struct io_socket *sim_slot_take(struct io *io);
struct io_buffer *sim_buffer_take(struct io *io);
void sim_complete(struct io *io, struct completion *completion, enum completion_kind kind,
	struct io_socket *socket, int error);
uint64_t sim_sum(const uint8_t *data, size_t size);
