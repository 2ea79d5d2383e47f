/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "notify.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/clock.h"

static socklen_t address_fill(struct sockaddr_un *address)
{
	const char *path = getenv("NOTIFY_SOCKET");

	*address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (path == NULL || (path[0] != '/' && path[0] != '@')) return 0;
	size_t size = strlen(path);
	if (size >= sizeof address->sun_path) return 0;
	memcpy(address->sun_path, path, size);
	if (path[0] == '@') address->sun_path[0] = '\0'; /* abstract */
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size);
}

/* `with`: a descriptor to go with it, or -1. */
static void notify_send(const char *text, int with)
{
	struct sockaddr_un address;
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct iovec piece = { .iov_base = (void *)(uintptr_t)text, .iov_len = strlen(text) };
	struct msghdr message = { .msg_name = &address,
		.msg_namelen = address_fill(&address),
		.msg_iov = &piece,
		.msg_iovlen = 1 };

	if (message.msg_namelen == 0) return;
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0) return;
	if (with >= 0) {
		message.msg_control = &control;
		message.msg_controllen = sizeof control;
		control.head = (struct cmsghdr){ .cmsg_level = SOL_SOCKET,
			.cmsg_type = SCM_RIGHTS,
			.cmsg_len = CMSG_LEN(sizeof with) };
		memcpy(CMSG_DATA(&control.head), &with, sizeof with);
	}
	/* Nobody listening is not our problem. */
	(void)sendmsg(fd, &message, MSG_NOSIGNAL);
	close(fd);
}

void notify_ready(void)
{
	notify_send("READY=1", -1);
}

void notify_reloading(void)
{
	char message[64];
	struct timespec now;

	/* systemd compares it with the time at which it asked (Type=notify-reload). */
	CHECK(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
	snprintf(message, sizeof message, "RELOADING=1\nMONOTONIC_USEC=%llu",
		(unsigned long long)now.tv_sec * US_PER_S + (unsigned long long)now.tv_nsec / 1000);
	notify_send(message, -1);
}

void notify_stopping(uint64_t patience_us)
{
	char message[64];

	snprintf(message, sizeof message, "STOPPING=1\nEXTEND_TIMEOUT_USEC=%llu",
		(unsigned long long)patience_us);
	notify_send(message, -1);
}

static bool number_of(const char *variable, uint64_t *ret)
{
	const char *text = getenv(variable);
	return text != NULL && bytes_parse_u64(bytes_of_text(text), ret) == RESULT_OK;
}

uint64_t notify_watchdog_us(void)
{
	uint64_t interval_us;
	uint64_t pid;

	if (!number_of("WATCHDOG_USEC", &interval_us)) return 0;
	/* Of the service's main process, which a child that inherits the variables is not. */
	if (getenv("WATCHDOG_PID") != NULL &&
		(!number_of("WATCHDOG_PID", &pid) || pid != (uint64_t)getpid())) {
		return 0;
	}
	return interval_us;
}

void notify_alive(void)
{
	notify_send("WATCHDOG=1", -1);
}

void notify_watchdog_set(uint64_t interval_us)
{
	char message[64];

	snprintf(message, sizeof message, "WATCHDOG_USEC=%llu", (unsigned long long)interval_us);
	notify_send(message, -1);
}

void notify_status(const char *status)
{
	char message[256];

	snprintf(message, sizeof message, "STATUS=%s", status);
	notify_send(message, -1);
}

void notify_fd_store(int fd, const char *name)
{
	char message[320];

	/* FDPOLL=0: nothing is to be read from a listener before it is ours again. */
	snprintf(message, sizeof message, "FDSTORE=1\nFDNAME=%s\nFDPOLL=0", name);
	notify_send(message, fd);
}

void notify_fd_forget(const char *name)
{
	char message[320];

	snprintf(message, sizeof message, "FDSTOREREMOVE=1\nFDNAME=%s", name);
	notify_send(message, -1);
}
