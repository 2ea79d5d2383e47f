/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "notify.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static void notify_send(const char *message)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	if (path == NULL || (path[0] != '/' && path[0] != '@')) return;
	size_t size = strlen(path);
	if (size >= sizeof address.sun_path) return;
	memcpy(address.sun_path, path, size);
	if (path[0] == '@') address.sun_path[0] = '\0'; /* abstract */

	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0) return;
	socklen_t address_size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size);
	/* Nobody listening is not our problem. */
	if (sendto(fd, message, strlen(message), MSG_NOSIGNAL, (const struct sockaddr *)&address,
		    address_size) < 0) {
		close(fd);
		return;
	}
	close(fd);
}

void notify_ready(void)
{
	notify_send("READY=1");
}

void notify_stopping(void)
{
	notify_send("STOPPING=1");
}

void notify_status(const char *status)
{
	char message[256];

	snprintf(message, sizeof message, "STATUS=%s", status);
	notify_send(message);
}
