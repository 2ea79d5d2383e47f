/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The ring's own table of sockets (registered files, decision 13). A socket in it has no
 * descriptor: the limit of descriptors of the process does not count it, and requests need not
 * look it up among those of all threads. A socket's place is its slot. What has no place, because
 * the table is smaller than the pool of slots, stays a descriptor; slots given back are taken
 * again first, so the table fills up before descriptors are used.
 *
 * Listeners stay descriptors: there are few, and others ask the kernel about them.
 */
#include <liburing.h>

#include "engine/io_uring_internal.h"

#include <sys/resource.h>
#include <unistd.h>

#include "base/check.h"

/* Of Linux 6.14, and newer than our liburing. Before 6.13 a file that was taken out of the table
 * was let go of only when all older requests of the ring had ended: the peer of a closed connection
 * would have waited for the receives of idle ones. */
#ifndef IORING_FEAT_RW_ATTR
#define IORING_FEAT_RW_ATTR (1U << 16)
#endif
/* The kernel's own bound. */
#define TABLE_SIZE_MAX (1u << 20)

void table_open(struct io *io, uint32_t features)
{
	struct rlimit limit;

	if ((features & IORING_FEAT_RW_ATTR) == 0) return;
	if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
	uint32_t size = io->config.sockets_max;
	if (size > TABLE_SIZE_MAX) size = TABLE_SIZE_MAX;
	if (size > limit.rlim_cur) size = (uint32_t)limit.rlim_cur;
	if (io_uring_register_files_sparse(&io->ring, size) != 0) return;
	io->table_size = size;
}

void table_take(struct io *io, struct io_socket *socket)
{
	if (socket->slot >= io->table_size) return;
	/* Fails for want of memory: then it stays a descriptor. */
	if (io_uring_register_files_update(&io->ring, socket->slot, &socket->fd, 1) != 1) return;
	close(socket->fd);
	socket->fd = -1;
	socket->in_table = true;
}

int table_file(const struct io_socket *socket)
{
	return socket->in_table ? (int)socket->slot : socket->fd;
}

uint8_t table_flag(const struct io_socket *socket)
{
	return socket->in_table ? IOSQE_FIXED_FILE : 0;
}
