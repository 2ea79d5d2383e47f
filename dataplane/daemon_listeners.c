/* SPDX-License-Identifier: GPL-2.0-or-later */
/* daemon_listeners — the sockets that providers connect to: opened or taken over, copied for the
 * workers, kept with systemd, given up.
 */
#include "daemon_internal.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/check.h"
#include "base/log.h"
#include "config/config_codes.h"
#include "engine/listener.h"
#include "notify.h"

/* ---- Kept with systemd ----------------------------------------------------------------------- */

static void fd_store(void *owner, int fd, const struct io_address *address)
{
	const struct daemon *daemon = owner;
	char name[HANDED_NAME_SIZE];

	if (listening_has(&daemon->listening, fd)) return;
	handed_name(address, name);
	notify_fd_store(fd, name);
}

static void fd_forget(void *owner, int fd, const struct io_address *address)
{
	const struct listening *kept = owner;
	char name[HANDED_NAME_SIZE];

	if (listening_has(kept, fd)) return;
	handed_name(address, name);
	notify_fd_forget(name);
}

/* ---- Copies for the workers ------------------------------------------------------------------ */

struct worker_listeners *daemon_listeners_copy(const struct daemon *daemon,
	const struct listening *next)
{
	uint32_t workers = daemon->worker_count;
	struct worker_listeners *copies = alloc_array(workers, sizeof *copies);

	for (uint32_t worker = 0; worker < workers; worker++) {
		struct worker_listeners *to = &copies[worker];
		for (uint32_t i = 0; i < next->count; i++) {
			uint32_t share = listening_share(next, i, workers, worker);
			for (uint32_t nth = 0; nth < share; nth++) {
				int held = listening_fd(next, i, workers, worker, nth);
				if (to->count == RECEIVE_LISTENERS_MAX) goto full;
				int fd = fcntl(held, F_DUPFD_CLOEXEC, 0);
				if (fd < 0) goto full;
				to->all[to->count++] = (struct worker_listener){ held, fd, i };
			}
		}
	}
	return copies;

full:
	daemon_listeners_drop(daemon, copies);
	return NULL;
}

void daemon_listeners_drop(const struct daemon *daemon, struct worker_listeners *copies)
{
	for (uint32_t worker = 0; worker < daemon->worker_count; worker++) {
		for (uint32_t i = 0; i < copies[worker].count; i++) {
			close(copies[worker].all[i].fd);
		}
	}
	alloc_free(copies);
}

/* ---- From one configuration to the next ------------------------------------------------------ */

enum result daemon_listeners_next(const struct daemon *daemon, const struct config *config,
	struct config_report *report, struct listening *ret)
{
	char error[256];
	uint32_t failed = 0;

	*ret = (struct listening){ 0 };
	/* Draining: none, and no new ones either. */
	if (atomic_load(&daemon->listening_over)) return RESULT_OK;
	if (listening_open(config, daemon->worker_count, &daemon->listening, NULL,
		    LISTEN_RELOAD_PATIENCE_MS, ret, &failed, error, sizeof error) == RESULT_OK) {
		return RESULT_OK;
	}
	config_report_borrow(report, config);
	config_report_add(report, CONFIG_ERROR, PS_LISTEN,
		config_position_of(config, &config->listeners[failed].address,
			config->listeners[failed].position),
		"free the address, or choose another", "%s", error);
	config_report_borrow(report, NULL);
	return RESULT_CONFIG;
}

static void fd_hush(void *owner, int fd, const struct io_address *address)
{
	const struct listening *kept = owner;

	(void)address;
	if (!listening_has(kept, fd)) listener_hush(fd);
}

void daemon_listeners_hush(const struct daemon *daemon, const struct listening *next)
{
	listening_each(&daemon->listening, fd_hush, (void *)(uintptr_t)next);
}

static void fd_unhush(void *owner, int fd, const struct io_address *address)
{
	const struct listening *kept = owner;

	(void)address;
	if (!listening_has(kept, fd)) listener_unhush(fd);
}

void daemon_listeners_unhush(const struct daemon *daemon, const struct listening *next)
{
	listening_each(&daemon->listening, fd_unhush, (void *)(uintptr_t)next);
}

void daemon_listeners_replace(struct daemon *daemon, const struct listening *next)
{
	struct listening before = daemon->listening;

	listening_each(next, fd_store, daemon);
	listening_each(&before, fd_forget, (void *)(uintptr_t)next);
	daemon->listening = *next;
	listening_close(&before, next);
}

void daemon_listeners_give_up(struct daemon *daemon)
{
	CHECK(atomic_load(&daemon->listening_over));
	listening_close(&daemon->listening, NULL);
}
