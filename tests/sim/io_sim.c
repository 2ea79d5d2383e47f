/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The functions of engine/io.h. */
#include "sim/io_sim_internal.h"

#include <string.h>

#include "base/alloc.h"
#include "base/check.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(address, size) ((void)(address), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(address, size) ((void)(address), (void)(size))
#endif

enum { CLOSE_US_MAX = 50, PARTIAL_TURN_ONE_IN = 4 };

/* ---- Slots and buffers ----------------------------------------------------------------------- */

struct io_socket *sim_slot_take(struct io *io)
{
	struct io_socket *socket = pool_take(&io->sockets);
	if (socket == NULL) return NULL;

	*socket = (struct io_socket){ .io = io, .used = true };
	list_init(&socket->starved_node);
	list_init(&socket->listener_node);
	list_init(&socket->backlog);
	list_init(&socket->connected_done.node);
	list_init(&socket->ended_done.node);
	list_init(&socket->sent_done.node);
	list_init(&socket->closed_done.node);
	return socket;
}

static void slot_give(struct io_socket *socket)
{
	socket->used = false;
	pool_give(&socket->io->sockets, socket);
}

static uint8_t *buffer_memory(struct io *io, const struct io_buffer *buffer)
{
	return io->buffer_memory + (size_t)buffer->id * io->config.buffer_size;
}

struct io_buffer *sim_buffer_take(struct io *io)
{
	struct io_buffer *buffer = io->free_buffers;
	if (buffer == NULL) return NULL;

	io->free_buffers = buffer->next;
	io->buffers_free--;
	io->lent[buffer->id] = true;
	buffer->next = NULL;
	buffer->offset = 0;
	ASAN_UNPOISON_MEMORY_REGION(buffer_memory(io, buffer), io->config.buffer_size);
	return buffer;
}

static void buffer_give(struct io *io, struct io_buffer *buffer)
{
	CHECK(buffer == &io->buffers[buffer->id] && io->lent[buffer->id]);
	io->lent[buffer->id] = false;
	/* Who reads it nevertheless shall not find what was there. */
	memset(buffer_memory(io, buffer), 0xDB, io->config.buffer_size);
	ASAN_POISON_MEMORY_REGION(buffer_memory(io, buffer), io->config.buffer_size);
	buffer->next = io->free_buffers;
	io->free_buffers = buffer;
	io->buffers_free++;
}

void io_buffer_return(struct io *io, struct io_buffer *buffer)
{
	buffer_give(io, buffer);
	while (io->free_buffers != NULL) {
		struct list *node = list_pop(&io->starved);
		if (node == NULL) break;
		net_receive(LIST_ENTRY(node, struct io_socket, starved_node));
	}
}

uint64_t sim_sum(const uint8_t *data, size_t size)
{
	uint64_t sum = size;

	for (size_t i = 0; i < size; i++) sum = (sum ^ data[i]) * UINT64_C(0x100000001B3);
	return sum;
}

/* ---- Opening and closing --------------------------------------------------------------------- */

enum result io_open(const struct io_config *config, struct io **ret)
{
	struct sim_world *world = sim_world_current();
	struct io *io = alloc_array(1, sizeof *io);

	io->world = world;
	io->config = *config;
	io->random.state = config->seed ^ random_u64(&world->random);
	io->mono.us = world->now_us;
	io->wall.us = world->wall_us + world->now_us;
	list_init(&io->ready);
	list_init(&io->starved);
	pool_init(&io->sockets, sizeof(struct io_socket), config->sockets_max);
	io->buffers = alloc_array(config->buffer_count, sizeof *io->buffers);
	io->received = alloc_array(config->buffer_count, sizeof *io->received);
	io->lent = alloc_array(config->buffer_count, sizeof *io->lent);
	io->buffer_memory_size = (size_t)config->buffer_count * config->buffer_size;
	io->buffer_memory = alloc_map(io->buffer_memory_size);
	for (uint32_t i = 0; i < config->buffer_count; i++) {
		struct io_buffer *buffer = &io->buffers[i];
		buffer->id = (uint16_t)i;
		buffer->data = buffer_memory(io, buffer);
		list_init(&io->received[i].node);
		io->lent[i] = true;
		buffer_give(io, buffer);
	}
	list_append(&world->ios, &io->world_node);
	*ret = io;
	return RESULT_OK;
}

const char *io_open_error(void)
{
	return "";
}

static void release(struct io *io)
{
	ASAN_UNPOISON_MEMORY_REGION(io->buffer_memory, io->buffer_memory_size);
	alloc_unmap(io->buffer_memory, io->buffer_memory_size);
	alloc_free(io->buffers);
	alloc_free(io->received);
	alloc_free(io->lent);
	pool_done(&io->sockets);
	list_remove(&io->world_node);
	alloc_free(io);
}

void io_close(struct io *io)
{
	CHECK(io->sockets.used_count == 0);
	CHECK(io->buffers_free == io->config.buffer_count);
	CHECK(list_empty(&io->ready));
	release(io);
}

/* ---- Turns ----------------------------------------------------------------------------------- */

void sim_complete(struct io *io, struct completion *completion, enum completion_kind kind,
	struct io_socket *socket, int error)
{
	CHECK(list_empty(&completion->node));
	completion->kind = kind;
	completion->socket = socket;
	completion->error = error;
	list_append(&io->ready, &completion->node);
}

static void run_accepted(struct io_socket *listener, struct sim_connection *connection)
{
	struct io_socket *socket = connection->ends[SIDE_SERVER];

	if (listener->closing) {
		net_leave(socket, true);
		slot_give(socket);
		return;
	}
	listener->events->accepted(listener->owner, socket, &connection->addresses[SIDE_CLIENT]);
}

static void run_closed(struct io_socket *socket)
{
	const struct io_events *events = socket->events;
	void *owner = socket->owner;

	/* Whatever is still on the ready list has been overtaken. */
	list_remove(&socket->connected_done.node);
	list_remove(&socket->ended_done.node);
	list_remove(&socket->sent_done.node);
	slot_give(socket);
	if (events != NULL) events->closed(owner);
}

static void run_completion(struct io *io, struct completion *completion)
{
	struct io_socket *socket = completion->socket;
	int error = completion->error;

	io->statistics.completions++;
	if (completion->kind == COMPLETION_RECEIVED && socket->closing) {
		io_buffer_return(io, completion->buffer);
		return;
	}
	if (completion->kind == COMPLETION_ACCEPTED) {
		run_accepted(socket, completion->connection);
		return;
	}
	if (socket->closing && completion->kind != COMPLETION_CLOSED) return;
	switch (completion->kind) {
	case COMPLETION_CONNECTED: socket->events->connected(socket->owner, error); break;
	case COMPLETION_RECEIVED:
		socket->events->received(socket->owner, completion->buffer);
		break;
	case COMPLETION_ENDED: socket->events->ended(socket->owner, error); break;
	case COMPLETION_SENT: socket->events->sent(socket->owner, error); break;
	case COMPLETION_CLOSED: run_closed(socket); break;
	case COMPLETION_ACCEPTED: UNREACHABLE();
	}
}

/* Some or all of what is there now. */
static void run_completions(struct io *io)
{
	struct sim_world *world = io->world;
	uint64_t count = 0;

	for (struct list *node = io->ready.next; node != &io->ready; node = node->next) count++;
	if (count > 1 && random_below(&world->random, PARTIAL_TURN_ONE_IN) == 0) {
		count = sim_between(world, 1, count);
	}
	for (; count > 0; count--) {
		struct list *node = list_pop(&io->ready);
		/* Those of a socket that was closed meanwhile have left the list. */
		if (node == NULL) return;
		run_completion(io, LIST_ENTRY(node, struct completion, node));
	}
}

enum result io_turn(struct io *io, uint64_t wait_us)
{
	struct sim_world *world = io->world;

	CHECK(!io->turning);
	io->turning = true;
	io->statistics.turns++;
	if (!world->driving) sim_wait(world, io, wait_us);
	io->mono.us = world->now_us;
	io->wall.us = world->wall_us + world->now_us;
	run_completions(io);
	if (io->wake_pending) {
		io->wake_pending = false;
		if (io->config.woken != NULL) io->config.woken(io->config.owner);
	}
	io->turning = false;
	return RESULT_OK;
}

void io_wake(struct io *io)
{
	io->wake_pending = true;
}

mono_t io_mono(const struct io *io)
{
	return io->mono;
}

wall_t io_wall(const struct io *io)
{
	return io->wall;
}

uint64_t io_random(struct io *io)
{
	return random_u64(&io->random);
}

/* ---- Sockets --------------------------------------------------------------------------------- */

enum result io_listen(struct io *io, const struct io_address *address,
	const struct io_events *events, void *owner, struct io_socket **ret)
{
	struct io_socket *listener = sim_slot_take(io);
	if (listener == NULL) return RESULT_FULL;

	listener->address = *address;
	if (address->port == 0) listener->address.port = io->world->port++;
	listener->listening = true;
	listener->receive_wanted = true;
	list_append(&io->world->listeners, &listener->listener_node);
	io_socket_adopt(listener, events, owner);
	*ret = listener;
	return RESULT_OK;
}

enum result io_listen_on(struct io *io, int fd, const struct io_events *events, void *owner,
	struct io_socket **ret)
{
	(void)io;
	(void)fd;
	(void)events;
	(void)owner;
	(void)ret;
	return RESULT_UNSUPPORTED; /* there are no descriptors in the simulated world */
}

struct io_address io_listen_address(const struct io_socket *socket)
{
	CHECK(socket->used && socket->listening);
	return socket->address;
}

void io_accept_pause(struct io *io, struct io_socket *socket)
{
	CHECK(socket->io == io && socket->used && socket->listening && !socket->closing);
	socket->receive_wanted = false;
}

bool io_accept_stopped(const struct io_socket *socket)
{
	CHECK(socket->used && socket->listening);
	return !socket->receive_wanted;
}

void io_accept_resume(struct io *io, struct io_socket *socket)
{
	CHECK(socket->io == io && socket->used && socket->listening && !socket->closing);
	socket->receive_wanted = true;
	net_accept(socket);
}

enum result io_connect(struct io *io, const struct io_address *address,
	const struct io_events *events, void *owner, struct io_socket **ret)
{
	struct io_socket *socket = sim_slot_take(io);
	if (socket == NULL) return RESULT_FULL;

	io_socket_adopt(socket, events, owner);
	io->statistics.submissions++;
	net_connect(socket, address);
	*ret = socket;
	return RESULT_OK;
}

void io_socket_adopt(struct io_socket *socket, const struct io_events *events, void *owner)
{
	CHECK(socket->used && !socket->closing && events->closed != NULL);
	socket->events = events;
	socket->owner = owner;
}

static void close_socket(struct io *io, struct io_socket *socket, bool reset)
{
	struct sim_world *world = io->world;

	CHECK(socket->io == io && socket->used && !socket->closing);
	socket->closing = true;
	socket->receive_wanted = false;
	if (socket->sending) {
		CHECK(sim_sum(socket->send_data, socket->send_size) == socket->send_sum);
		socket->sending = false;
	}
	list_remove(&socket->starved_node);
	list_remove(&socket->listener_node);
	net_refuse_backlog(socket);
	net_leave(socket, reset);
	io->statistics.submissions++;
	/* A listener's retry may be pending; its slot must outlive that. */
	uint64_t delay_us = socket->held ? 2 * SIM_ACCEPT_RETRY_US
					 : sim_between(world, 0, CLOSE_US_MAX);
	sim_schedule(world, world->now_us + delay_us, EVENT_CLOSED, socket);
}

void io_socket_close(struct io *io, struct io_socket *socket)
{
	close_socket(io, socket, false);
}

void io_socket_abort(struct io *io, struct io_socket *socket)
{
	close_socket(io, socket, true);
}

void io_receive_start(struct io *io, struct io_socket *socket)
{
	CHECK(socket->io == io && socket->used && !socket->listening && !socket->closing);
	socket->receive_wanted = true;
	net_receive(socket);
}

void io_receive_pause(struct io *io, struct io_socket *socket)
{
	CHECK(socket->io == io && socket->used && !socket->listening && !socket->closing);
	socket->receive_wanted = false;
}

void io_send(struct io *io, struct io_socket *socket, const void *data, size_t size)
{
	CHECK(socket->io == io && socket->used && socket->connected && !socket->closing);
	CHECK(!socket->sending && list_empty(&socket->sent_done.node) && !socket->shutdown_wanted);
	CHECK(size > 0);

	socket->send_data = data;
	socket->send_size = size;
	socket->send_offset = 0;
	socket->send_sum = sim_sum(data, size);
	socket->sending = true;
	io->statistics.submissions++;
	net_send(socket);
}

void io_shutdown(struct io *io, struct io_socket *socket)
{
	CHECK(socket->io == io && socket->used && socket->connected && !socket->closing);
	socket->shutdown_wanted = true;
	if (!socket->sending) net_shutdown(socket);
}

/* ---- The rest -------------------------------------------------------------------------------- */

struct io_statistics io_statistics(const struct io *io)
{
	struct io_statistics statistics = io->statistics;

	statistics.buffers_free = io->buffers_free;
	statistics.sockets_used = (uint32_t)io->sockets.used_count;
	return statistics;
}

uint32_t io_table_size(const struct io *io)
{
	return io->config.sockets_max;
}

const char *io_features(const struct io *io)
{
	(void)io;
	return "simulation";
}

void sim_io_kill(struct io *io)
{
	/* Not from a callback: its frames would come back to released memory. */
	CHECK(!io->turning);
	sim_forget_events(io->world, io);
	for (struct list *node = list_pop(&io->ready); node != NULL; node = list_pop(&io->ready)) {
		/* Connections outlive the io; nothing of theirs may stay on its list. */
	}
	size_t touched = io->sockets.used_count_max;
	for (size_t i = 0; i < touched; i++) {
		struct io_socket *socket = pool_at(&io->sockets, i);
		if (!socket->used) continue;
		list_remove(&socket->listener_node);
		net_refuse_backlog(socket);
		net_leave(socket, true);
		slot_give(socket);
	}
	release(io);
}
