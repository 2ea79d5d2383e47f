/* SPDX-License-Identifier: GPL-2.0-or-later */
/* control_socket — opens the two listeners: the Unix socket with its file, folder, mode and
 * group, and the loopback one.
 *
 * A socket file outlives a daemon that was killed. Whether one is stale is found out by
 * connecting: only a refusal proves that nobody listens, and only then is the file removed.
 * Anything else at that path is left alone.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "control/control_internal.h"

enum { BACKLOG = 64 };

static enum result fail(enum result result, char *error, size_t error_size, const char *what,
	const char *path)
{
	snprintf(error, error_size, "control socket %s: %s: %s", path, what, strerror(errno));
	return result;
}

static bool address_set(struct sockaddr_un *address, const char *path)
{
	*address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	return bytes_to_text(bytes_of_text(path), address->sun_path, sizeof address->sun_path);
}

/* Makes the folder when it is missing, not its parents: a wrong path should be noticed. */
static enum result folder_make(const char *path, char *error, size_t error_size)
{
	char folder[sizeof((struct sockaddr_un){ 0 }.sun_path)];
	const char *slash = strrchr(path, '/');
	if (slash == NULL || slash == path) return RESULT_OK;
	bytes_to_text(bytes_of(path, (size_t)(slash - path)), folder, sizeof folder);
	/* Searchable by all: the socket file itself says who may connect. */
	if (mkdir(folder, 0755) == 0 || errno == EEXIST) return RESULT_OK;
	return fail(errno == EACCES || errno == EPERM ? RESULT_PERMISSION : RESULT_KERNEL, error,
		error_size, "cannot make its folder", path);
}

/* RESULT_OK when the file at that path was a stale socket and is gone now. */
static enum result stale_remove(const struct sockaddr_un *address, char *error, size_t error_size)
{
	const char *path = address->sun_path;
	struct stat status;
	if (lstat(path, &status) != 0) {
		return errno == ENOENT ? RESULT_OK
				       : fail(RESULT_KERNEL, error, error_size, "lstat", path);
	}
	if (!S_ISSOCK(status.st_mode)) {
		snprintf(error, error_size,
			"control socket %s: a file that is no socket is there; "
			"it is left alone",
			path);
		return RESULT_EXISTS;
	}
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0) return fail(RESULT_KERNEL, error, error_size, "socket", path);
	int failed = connect(fd, (const struct sockaddr *)address, sizeof *address);
	int reason = errno;
	close(fd);
	if (failed == 0 || reason == EAGAIN) {
		snprintf(error, error_size,
			"control socket %s: another penstockd answers there; stop it, "
			"or give this one a socket and a store of its own",
			path);
		return RESULT_BUSY;
	}
	errno = reason;
	if (reason != ECONNREFUSED) {
		return fail(RESULT_KERNEL, error, error_size, "cannot tell whether it is in use",
			path);
	}
	if (unlink(path) != 0 && errno != ENOENT) {
		return fail(RESULT_PERMISSION, error, error_size, "cannot remove the stale one",
			path);
	}
	log_notice("removed a stale control socket path=%s", path);
	return RESULT_OK;
}

static enum result mode_set(const struct control_access *access, const char *path, char *error,
	size_t error_size)
{
	if (!access->has_group) return control_acl_set(access, path, error, error_size);
	if (lchown(path, (uid_t)-1, access->group) != 0) {
		return fail(RESULT_PERMISSION, error, error_size,
			"cannot give it to control.group (the daemon must be a member)", path);
	}
	if (chmod(path, 0660) != 0)
		return fail(RESULT_PERMISSION, error, error_size, "chmod", path);
	return control_acl_set(access, path, error, error_size);
}

static enum result socket_bind(struct control_socket *socket, const struct sockaddr_un *address,
	const struct control_access *access, char *error, size_t error_size)
{
	/* Linux gives the file the mode of the unbound socket: it is never open to others, not
	 * even for a moment. */
	if (fchmod(socket->fd, 0600) != 0) {
		return fail(RESULT_KERNEL, error, error_size, "fchmod", socket->path);
	}
	int failed = bind(socket->fd, (const struct sockaddr *)address, sizeof *address);
	if (failed != 0 && errno == EADDRINUSE) {
		TRY(stale_remove(address, error, error_size));
		failed = bind(socket->fd, (const struct sockaddr *)address, sizeof *address);
	}
	if (failed != 0) {
		return fail(errno == EACCES ? RESULT_PERMISSION : RESULT_KERNEL, error, error_size,
			"bind", socket->path);
	}
	struct stat status;
	if (lstat(socket->path, &status) != 0) {
		return fail(RESULT_KERNEL, error, error_size, "lstat", socket->path);
	}
	socket->device = status.st_dev;
	socket->inode = status.st_ino;
	/* Connections are refused until listen(): by then group and mode are right. */
	TRY(mode_set(access, socket->path, error, error_size));
	if (listen(socket->fd, BACKLOG) != 0) {
		return fail(RESULT_KERNEL, error, error_size, "listen", socket->path);
	}
	return RESULT_OK;
}

enum result control_socket_open(const char *path, const struct control_access *access,
	struct control_socket *ret, char *error, size_t error_size)
{
	struct sockaddr_un address;
	*ret = (struct control_socket){ .fd = -1 };
	if (!address_set(&address, path)) {
		snprintf(error, error_size, "control socket %s: the path is longer than %zu bytes",
			path, sizeof address.sun_path - 1);
		return RESULT_CONFIG;
	}
	bytes_to_text(bytes_of_text(path), ret->path, sizeof ret->path);
	TRY(folder_make(path, error, error_size));

	ret->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (ret->fd < 0) return fail(RESULT_KERNEL, error, error_size, "socket", path);
	enum result result = socket_bind(ret, &address, access, error, error_size);
	if (result != RESULT_OK) control_socket_close(ret);
	return result;
}

void control_socket_close(struct control_socket *socket)
{
	if (socket->fd < 0) return;
	struct stat status;
	if (socket->inode != 0 && lstat(socket->path, &status) == 0 &&
		status.st_dev == socket->device && status.st_ino == socket->inode) {
		unlink(socket->path);
	}
	close(socket->fd);
	*socket = (struct control_socket){ .fd = -1 };
}

/* ---- The loopback listener ------------------------------------------------------------------- */

enum result control_loopback_open(const struct io_address *address, int *ret_fd, char *error,
	size_t error_size)
{
	struct sockaddr_storage storage;
	socklen_t size = address_to_storage(address, &storage);
	char text[ADDRESS_TEXT_SIZE];
	address_format(address, text);

	*ret_fd = -1;
	int fd = socket(storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int on = 1;
	/* SO_REUSEADDR: a restart must not wait for the connections of the scraper to time out. */
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
		bind(fd, (const struct sockaddr *)&storage, size) != 0 ||
		listen(fd, BACKLOG) != 0) {
		enum result result = errno == EACCES ? RESULT_PERMISSION
			: errno == EADDRINUSE        ? RESULT_BUSY
						     : RESULT_KERNEL;
		snprintf(error, error_size, "metrics listener %s: %s", text, strerror(errno));
		if (fd >= 0) close(fd);
		return result;
	}
	*ret_fd = fd;
	return RESULT_OK;
}
