/* SPDX-License-Identifier: GPL-2.0-or-later */
/* control — the control thread: one poll loop over two listeners, their clients and a wake-up.
 *
 * A turn: wait, let clients read and write, collect from tasks, drop who was too slow, accept.
 * Each listener has its own half of the clients, so scrapers never keep an operator out. When a
 * half is full, the connection that has been idle longest makes room; if none is idle, new ones
 * wait in the kernel's backlog.
 */
#include "control/control.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/check.h"
#include "base/log.h"
#include "control/control_internal.h"

/* Wake-up and two listeners come before the clients. */
enum { POLL_WAKE, POLL_SOCKET, POLL_LOOPBACK, POLL_CLIENTS };
enum { CLIENT_COUNT = 2 * CONTROL_CLIENTS_MAX };

const char *daemon_state_code(enum daemon_state state)
{
	static const char *const codes[] = {
		[DAEMON_STARTING] = "starting",
		[DAEMON_READY] = "ready",
		[DAEMON_DRAINING] = "draining",
		[DAEMON_STOPPING] = "stopping",
		[DAEMON_FAILED] = "failed",
	};
	CHECK((size_t)state < ARRAY_COUNT(codes));
	return codes[state];
}

void control_wake(struct control *control)
{
	uint64_t one = 1;
	/* It can only fail when the counter is full, and then the loop is awake anyway. */
	if (write(control->wake_fd, &one, sizeof one) < 0) return;
}

/* ---- Accepting ------------------------------------------------------------------------------- */

static struct control_client *clients_of(struct control *control, bool loopback)
{
	return control->clients + (loopback ? CONTROL_CLIENTS_MAX : 0);
}

static struct control_client *client_find_free(struct control *control, bool loopback)
{
	struct control_client *clients = clients_of(control, loopback);
	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
		if (clients[i].state == CLIENT_FREE) return &clients[i];
	}
	return NULL;
}

/* Closes the longest idle one: the one whose idle time ends first. */
static struct control_client *client_make_room(struct control *control, bool loopback)
{
	struct control_client *clients = clients_of(control, loopback);
	struct control_client *idle = NULL;
	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
		if (clients[i].state != CLIENT_READING || clients[i].input_size > 0) continue;
		if (idle == NULL || clients[i].deadline_us < idle->deadline_us) idle = &clients[i];
	}
	if (idle != NULL) control_client_close(idle);
	return idle;
}

static void accept_some(struct control *control, int listener, bool loopback)
{
	for (;;) {
		struct control_client *client = client_find_free(control, loopback);
		if (client == NULL) client = client_make_room(control, loopback);
		if (client == NULL) return;
		int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0 && (errno == EINTR || errno == ECONNABORTED)) continue;
		if (fd < 0) {
			if (errno != EAGAIN) log_warning("control: accept: %s", strerror(errno));
			return;
		}
		struct control_peer peer = { .loopback = true, .actor = "loopback" };
		if (!loopback) control_peer_read(&control->access, fd, &peer);
		control_client_open(client, fd, &peer);
	}
}

/* No room and nobody idle: the listener is left alone until somebody leaves. */
static bool can_accept(struct control *control, bool loopback)
{
	const struct control_client *clients = clients_of(control, loopback);
	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
		if (clients[i].state == CLIENT_FREE) return true;
		if (clients[i].state == CLIENT_READING && clients[i].input_size == 0) return true;
	}
	return false;
}

/* ---- The loop -------------------------------------------------------------------------------- */

static int wait_ms(const struct control *control)
{
	uint64_t earliest_us = UINT64_MAX;
	for (size_t i = 0; i < CLIENT_COUNT; i++) {
		const struct control_client *client = &control->clients[i];
		if (client->state == CLIENT_FREE) continue;
		if (client->deadline_us < earliest_us) earliest_us = client->deadline_us;
	}
	if (earliest_us == UINT64_MAX) return -1;
	uint64_t now_us = control_mono().us;
	if (earliest_us <= now_us) return 0;
	/* Rounded up, or the loop would spin through the last millisecond. */
	return (int)((earliest_us - now_us) / US_PER_MS + 1);
}

static void loop_turn(struct control *control, int timeout_ms, bool accepting)
{
	struct pollfd fds[POLL_CLIENTS + CLIENT_COUNT];
	bool listen_socket = accepting && can_accept(control, false);
	bool listen_loopback = accepting && can_accept(control, true);
	fds[POLL_WAKE] = (struct pollfd){ .fd = control->wake_fd, .events = POLLIN };
	fds[POLL_SOCKET] =
		(struct pollfd){ .fd = listen_socket ? control->socket.fd : -1, .events = POLLIN };
	fds[POLL_LOOPBACK] = (struct pollfd){ .fd = listen_loopback ? control->loopback_fd : -1,
		.events = POLLIN };
	for (size_t i = 0; i < CLIENT_COUNT; i++) {
		const struct control_client *client = &control->clients[i];
		fds[POLL_CLIENTS + i] = (struct pollfd){
			.fd = client->state == CLIENT_FREE ? -1 : client->fd,
			.events = control_client_events(client),
		};
	}
	if (poll(fds, ARRAY_COUNT(fds), timeout_ms) < 0) {
		CHECK(errno == EINTR || errno == ENOMEM);
		return;
	}

	uint64_t wakes;
	if (fds[POLL_WAKE].revents != 0 && read(control->wake_fd, &wakes, sizeof wakes) < 0) {
		CHECK(errno == EAGAIN || errno == EINTR);
	}
	for (size_t i = 0; i < CLIENT_COUNT; i++) {
		short events = fds[POLL_CLIENTS + i].revents;
		if (events != 0) control_client_ready(&control->clients[i], events);
	}
	control_tasks_collect(control);
	uint64_t now_us = control_mono().us;
	for (size_t i = 0; i < CLIENT_COUNT; i++) {
		control_client_expire(&control->clients[i], now_us);
	}
	if (fds[POLL_SOCKET].revents != 0) accept_some(control, control->socket.fd, false);
	if (fds[POLL_LOOPBACK].revents != 0) accept_some(control, control->loopback_fd, true);
}

static bool answers_under_way(const struct control *control)
{
	for (size_t i = 0; i < CLIENT_COUNT; i++) {
		if (control->clients[i].state > CLIENT_READING) return true;
	}
	return false;
}

static void *control_run(void *argument)
{
	struct control *control = argument;
	while (!atomic_load(&control->stopping)) {
		loop_turn(control, wait_ms(control), true);
		atomic_store(&control->pinged, false);
	}

	/* Whoever asked us to stop should learn that we did. */
	uint64_t end_us = control_mono().us + CONTROL_STOP_TIMEOUT_MS * US_PER_MS;
	while (answers_under_way(control) && control_mono().us < end_us) {
		loop_turn(control, 10, false);
	}
	return NULL;
}

/* ---- Starting and stopping ------------------------------------------------------------------- */

static enum result open_listeners(struct control *control, const struct config *config, char *error,
	size_t error_size)
{
	TRY(control_access_load(config, &control->access, error, error_size));
	if (config->metrics_address.port != 0) {
		TRY(control_loopback_open(&config->metrics_address, &control->loopback_fd, error,
			error_size));
	}
	const char *path = config->control_socket;
	return control_socket_open(path != NULL ? path : CONTROL_SOCKET_DEFAULT, &control->access,
		&control->socket, error, error_size);
}

/* Signals are the main thread's. */
static int thread_start(struct control *control)
{
	sigset_t all;
	sigset_t before;
	sigfillset(&all);
	CHECK(pthread_sigmask(SIG_SETMASK, &all, &before) == 0);
	int failed = pthread_create(&control->thread, NULL, control_run, control);
	CHECK(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
	if (failed == 0) pthread_setname_np(control->thread, "control");
	return failed;
}

static void control_free(struct control *control)
{
	for (size_t i = 0; i < CLIENT_COUNT; i++) {
		if (control->clients[i].state != CLIENT_FREE)
			control_client_close(&control->clients[i]);
	}
	control_socket_close(&control->socket);
	if (control->loopback_fd >= 0) close(control->loopback_fd);
	if (control->wake_fd >= 0) close(control->wake_fd);
	alloc_free(control);
}

enum result control_start(const struct config *config, const struct control_daemon *daemon,
	struct control **ret, char *error, size_t error_size)
{
	CHECK(daemon->worker_count <= WORKERS_MAX);

	struct control *control = alloc_array(1, sizeof *control);
	control->daemon = *daemon;
	control->socket.fd = -1;
	control->loopback_fd = -1;
	control->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	for (size_t i = 0; i < CLIENT_COUNT; i++) {
		control->clients[i].control = control;
		control->clients[i].fd = -1;
	}
	enum result result = RESULT_OK;
	if (control->wake_fd < 0) {
		snprintf(error, error_size, "control: eventfd: %s", strerror(errno));
		result = RESULT_KERNEL;
	}
	if (result == RESULT_OK) result = open_listeners(control, config, error, error_size);
	if (result != RESULT_OK) {
		control_free(control);
		return result;
	}
	control_tasks_init(control);
	int failed = thread_start(control);
	if (failed != 0) {
		snprintf(error, error_size, "control: pthread_create: %s", strerror(failed));
		control_tasks_done(control);
		control_free(control);
		return RESULT_KERNEL;
	}
	*ret = control;
	return RESULT_OK;
}

bool control_ping(struct control *control)
{
	bool answered = !atomic_exchange(&control->pinged, true);

	control_wake(control);
	return answered;
}

void control_stop(struct control *control)
{
	if (control == NULL) return;
	atomic_store(&control->stopping, true);
	control_wake(control);
	CHECK(pthread_join(control->thread, NULL) == 0);
	control_tasks_done(control);
	control_free(control);
}
