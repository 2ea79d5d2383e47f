/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/log.h"
#include "daemon_internal.h"

void daemon_limit_warn(const struct daemon *daemon)
{
	const struct config *config = daemon->flow->config;
	uint64_t wanted = (uint64_t)daemon->worker_count * config->connections_max;
	struct rlimit limit;

	/* The lowest number that is free: how many are open already. */
	int open_count = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);
	if (open_count >= 0) close(open_count);
	if (open_count < 0 || getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
	uint64_t room = limit.rlim_cur - (uint64_t)open_count;
	for (uint32_t i = 0; i < daemon->worker_count; i++) {
		uint32_t table_size = worker_table_size(daemon->workers[i]);
		room += table_size < config->connections_max ? table_size : config->connections_max;
	}
	if (room >= wanted) return;
	log_warning("there is room for %llu connections, and not for the %llu of %u workers with "
		    "connections: %u each; raise the limit of open files, which is %llu "
		    "(LimitNOFILE, ulimit -n), or lower workers.connections",
		(unsigned long long)room, (unsigned long long)wanted, daemon->worker_count,
		config->connections_max, (unsigned long long)limit.rlim_cur);
}
