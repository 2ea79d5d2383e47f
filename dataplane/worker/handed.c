/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "worker/handed.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/check.h"
#include "base/cursor.h"
#include "base/log.h"
#include "engine/listener.h"

/* sd_listen_fds(3): SD_LISTEN_FDS_START. */
enum { FIRST_FD = 3 };

void handed_name(const struct io_address *address, char to[static HANDED_NAME_SIZE])
{
	char text[ADDRESS_TEXT_SIZE];

	address_format(address, text);
	for (char *at = text; *at != '\0'; at++) {
		if (*at == ':') *at = '_';
	}
	snprintf(to, HANDED_NAME_SIZE, HANDED_NAME_PREFIX "%s", text);
}

/* ---- Taking ---------------------------------------------------------------------------------- */

static bool number_from(const char *variable, uint64_t *ret)
{
	const char *text = getenv(variable);
	return text != NULL && bytes_parse_u64(bytes_of_text(text), ret) == RESULT_OK;
}

static bool listens(int fd)
{
	int type = 0;
	int accepting = 0;
	socklen_t size = sizeof type;

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) != 0 || type != SOCK_STREAM) {
		return false;
	}
	size = sizeof accepting;
	return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &accepting, &size) == 0 && accepting != 0;
}

static enum result socket_take(struct handed_socket *to, int fd, struct bytes name, char *error,
	size_t error_size)
{
	bytes_to_text(name, to->name, sizeof to->name);
	to->ours = bytes_starts_with(name, BYTES_LITERAL(HANDED_NAME_PREFIX));
	to->fd = fd;
	if (!listens(fd) || !listener_address(fd, &to->address)) {
		snprintf(error, error_size,
			"descriptor %d (\"%s\") from LISTEN_FDS is no TCP socket that listens: in "
			"the socket unit use ListenStream= with an address and Accept=no",
			fd, to->name);
		return RESULT_CONFIG;
	}
	/* A reload may have given it up, and systemd have kept it. */
	listener_unhush(fd);
	/* systemd and exec() leave it off; io_uring wants it to block. */
	int flags = fcntl(fd, F_GETFL);
	if (fcntl(fd, F_SETFD, FD_CLOEXEC) != 0 || flags < 0 ||
		fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) != 0) {
		return RESULT_KERNEL;
	}
	/* The backlog of whoever opened it may be another. */
	return listen(fd, IO_ACCEPT_BACKLOG) == 0 ? RESULT_OK : RESULT_KERNEL;
}

/* systemd gives one that it has both from a unit and from its store twice. */
static void twins_close(struct handed *handed)
{
	for (uint32_t i = 0; i < handed->count; i++) {
		struct stat first;
		if (fstat(handed->sockets[i].fd, &first) != 0) continue;
		for (uint32_t k = i + 1; k < handed->count; k++) {
			struct handed_socket *other = &handed->sockets[k];
			struct stat second;
			if (other->fd < 0 || fstat(other->fd, &second) != 0) continue;
			if (first.st_ino != second.st_ino) continue;
			close(other->fd);
			other->fd = -1;
		}
	}
}

enum result handed_take(struct handed *ret, char *error, size_t error_size)
{
	uint64_t pid;
	uint64_t count;

	*ret = (struct handed){ 0 };
	bool for_us = number_from("LISTEN_PID", &pid) && pid == (uint64_t)getpid();
	if (!for_us || !number_from("LISTEN_FDS", &count) || count == 0) return RESULT_OK;
	if (count > HANDED_SOCKETS_MAX) {
		snprintf(error, error_size, "LISTEN_FDS has %llu descriptors, at most %u are taken",
			(unsigned long long)count, HANDED_SOCKETS_MAX);
		return RESULT_CONFIG;
	}
	ret->sockets = alloc_array(count, sizeof *ret->sockets);
	const char *names = getenv("LISTEN_FDNAMES");
	struct bytes rest = names != NULL ? bytes_of_text(names) : BYTES_EMPTY;
	for (int i = 0; i < (int)count; i++) {
		struct bytes name;
		bytes_split(rest, ':', &name, &rest);
		TRY(socket_take(&ret->sockets[i], FIRST_FD + i, name, error, error_size));
		ret->count++;
	}
	twins_close(ret);
	/* Not for our children. */
	CHECK(unsetenv("LISTEN_PID") == 0 && unsetenv("LISTEN_FDS") == 0 &&
		unsetenv("LISTEN_FDNAMES") == 0);
	return RESULT_OK;
}

/* ---- Matching -------------------------------------------------------------------------------- */

static const struct config_listener *listener_at(const struct config *config,
	const struct io_address *address)
{
	for (uint32_t i = 0; i < config->listener_count; i++) {
		if (address_equal(&config->listeners[i].address, address)) {
			return &config->listeners[i];
		}
	}
	return NULL;
}

static const struct config_listener *listener_called(const struct config *config, const char *name)
{
	for (uint32_t i = 0; i < config->listener_count; i++) {
		if (strcmp(config->listeners[i].name, name) == 0) return &config->listeners[i];
	}
	return NULL;
}

static enum result socket_match(struct handed_socket *socket, const struct config *config,
	char *error, size_t error_size)
{
	char address[ADDRESS_TEXT_SIZE];
	char wanted[ADDRESS_TEXT_SIZE];
	const struct config_listener *here = listener_at(config, &socket->address);
	const struct config_listener *called = listener_called(config, socket->name);

	address_format(&socket->address, address);
	if (here == NULL && socket->ours) {
		log_notice("a socket that was handed over is in no listener any more address=%s",
			address);
		close(socket->fd);
		socket->fd = -1;
		return RESULT_OK;
	}
	if (called != NULL && called != here) {
		address_format(&called->address, wanted);
		snprintf(error, error_size,
			"the socket handed over as \"%s\" listens on %s, and the listener \"%s\" "
			"has %s: make ListenStream= and address say the same",
			socket->name, address, socket->name, wanted);
		return RESULT_CONFIG;
	}
	if (here != NULL) return RESULT_OK;
	snprintf(error, error_size,
		"the socket handed over as \"%s\" listens on %s, which no listener has: add one "
		"with this address, or take it out of the socket unit",
		socket->name, address);
	return RESULT_CONFIG;
}

enum result handed_match(struct handed *handed, const struct config *config, char *error,
	size_t error_size)
{
	for (uint32_t i = 0; i < handed->count; i++) {
		if (handed->sockets[i].fd < 0) continue;
		TRY(socket_match(&handed->sockets[i], config, error, error_size));
	}
	return RESULT_OK;
}

uint32_t handed_give(struct handed *handed, const struct io_address *address, int *fds,
	uint32_t fds_max)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < handed->count && count < fds_max; i++) {
		struct handed_socket *socket = &handed->sockets[i];
		if (socket->fd < 0 || !address_equal(&socket->address, address)) continue;
		fds[count++] = socket->fd;
		socket->fd = -1;
	}
	return count;
}

void handed_close(struct handed *handed)
{
	for (uint32_t i = 0; i < handed->count; i++) {
		if (handed->sockets[i].fd >= 0) close(handed->sockets[i].fd);
	}
	alloc_free(handed->sockets);
	*handed = (struct handed){ 0 };
}

/* ---- Handing on ------------------------------------------------------------------------------ */

/* The next program's environment: ours, and what says which sockets it gets. Not by setenv(): a
 * thread that is talking to a name server may be reading ours. */
struct environment {
	char **all; /* as execve() takes it */
	char *names;
	char count[32];
	char pid[32];
};

static void environment_make(uint32_t count, struct environment *ret)
{
	static const char names_key[] = "LISTEN_FDNAMES=";
	size_t size = sizeof names_key + (size_t)count * sizeof HANDED_NAME_PREFIX;
	size_t own_count = 0;

	ret->names = alloc_array(size + 1, 1);
	struct writer writer = writer_of(ret->names, size);
	write_text(&writer, names_key);
	for (uint32_t i = 0; i < count; i++) {
		if (i > 0) write_u8(&writer, ':');
		write_text(&writer, HANDED_NAME_PREFIX);
	}
	CHECK(!writer.failed);
	snprintf(ret->count, sizeof ret->count, "LISTEN_FDS=%u", count);
	snprintf(ret->pid, sizeof ret->pid, "LISTEN_PID=%d", (int)getpid());
	while (environ[own_count] != NULL) own_count++;
	ret->all = alloc_array(own_count + 4, sizeof *ret->all);
	memcpy(ret->all, environ, own_count * sizeof *ret->all);
	ret->all[own_count] = ret->names;
	ret->all[own_count + 1] = ret->count;
	ret->all[own_count + 2] = ret->pid;
}

void handed_exec(struct handed *handed, const char *path, char *const *arguments)
{
	int first_free = FIRST_FD + (int)handed->count;
	struct environment environment;
	bool ok = true;

	/* First out of the way of each other. */
	for (uint32_t i = 0; ok && i < handed->count; i++) {
		int fd = fcntl(handed->sockets[i].fd, F_DUPFD_CLOEXEC, first_free);
		ok = fd >= 0;
		if (ok) handed->sockets[i].fd = fd;
	}
	for (uint32_t i = 0; ok && i < handed->count; i++) {
		ok = dup2(handed->sockets[i].fd, FIRST_FD + (int)i) >= 0;
	}
	environment_make(handed->count, &environment);
	if (ok) execve(path, arguments, environment.all);
	log_error("%s does not run: %s", path, strerror(errno));
	alloc_free(environment.names);
	alloc_free(environment.all);
}
