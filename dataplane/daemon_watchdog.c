/* SPDX-License-Identifier: GPL-2.0-or-later */
/* daemon_watchdog — the thread that answers systemd's watchdog (WatchdogSec=).
 *
 * Several times in that interval it pings control and every worker, and says WATCHDOG=1 only when
 * each has answered the ping before. Who hangs is in the log and in the status line. When nothing
 * was said for the whole interval systemd kills and restarts us: nothing acknowledged is lost by
 * that. The writers are not asked: one that waits for its disk would wait again.
 */
#include "daemon_internal.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/check.h"
#include "base/log.h"
#include "notify.h"

struct watchdog {
	struct daemon *daemon;
	uint64_t interval_us;
	pthread_t thread;
	sem_t stop;
	bool stalled;
};

/* All are asked, also behind one that does not answer. */
static bool all_answer(struct daemon *daemon, char *silent, size_t silent_size)
{
	bool answered = control_ping(daemon->control);

	if (!answered) snprintf(silent, silent_size, "the control thread");
	for (uint32_t i = 0; i < daemon->worker_count; i++) {
		if (worker_ping(daemon->workers[i])) continue;
		if (answered) snprintf(silent, silent_size, "worker %u", i);
		answered = false;
	}
	return answered;
}

static void watchdog_look(struct watchdog *watchdog)
{
	char silent[32];
	char status[64];

	if (all_answer(watchdog->daemon, silent, sizeof silent)) {
		if (watchdog->stalled) {
			log_notice("watchdog: all threads answer again");
			daemon_status_notify(watchdog->daemon);
		}
		watchdog->stalled = false;
		notify_alive();
		return;
	}
	if (watchdog->stalled) return;
	watchdog->stalled = true;
	log_error("watchdog: %s does not answer; systemd is not told that all is well", silent);
	snprintf(status, sizeof status, "stalled: %s does not answer", silent);
	notify_status(status);
}

/* Returns whether the watchdog is to stop. */
static bool watchdog_sleep(struct watchdog *watchdog, uint64_t time_us)
{
	struct timespec until;

	CHECK(clock_gettime(CLOCK_MONOTONIC, &until) == 0);
	uint64_t until_us = (uint64_t)until.tv_sec * US_PER_S + (uint64_t)until.tv_nsec / 1000 +
		time_us;
	until.tv_sec = (time_t)(until_us / US_PER_S);
	until.tv_nsec = (long)(until_us % US_PER_S * 1000);
	while (sem_clockwait(&watchdog->stop, CLOCK_MONOTONIC, &until) != 0) {
		if (errno == ETIMEDOUT) return false;
	}
	return true;
}

static void *watchdog_main(void *owner)
{
	struct watchdog *watchdog = owner;

	pthread_setname_np(pthread_self(), "watchdog");
	do {
		watchdog_look(watchdog);
	} while (!watchdog_sleep(watchdog, watchdog->interval_us / WATCHDOG_LOOKS));
	return NULL;
}

enum result daemon_watchdog_start(struct daemon *daemon)
{
	uint64_t interval_us = notify_watchdog_us();
	if (interval_us == 0) return RESULT_OK;

	struct watchdog *watchdog = alloc_array(1, sizeof *watchdog);
	watchdog->daemon = daemon;
	watchdog->interval_us = interval_us;
	CHECK(sem_init(&watchdog->stop, 0, 0) == 0);
	/* The program before may have asked for more, for the time of an upgrade. */
	notify_watchdog_set(interval_us);
	if (pthread_create(&watchdog->thread, NULL, watchdog_main, watchdog) != 0) {
		alloc_free(watchdog);
		return RESULT_KERNEL;
	}
	daemon->watchdog = watchdog;
	return RESULT_OK;
}

void daemon_watchdog_give_way(const struct daemon *daemon)
{
	if (daemon->watchdog == NULL) return;
	if (daemon->watchdog->interval_us < WATCHDOG_UPGRADE_US) {
		notify_watchdog_set(WATCHDOG_UPGRADE_US);
	}
}

void daemon_watchdog_stop(struct daemon *daemon)
{
	struct watchdog *watchdog = daemon->watchdog;

	if (watchdog == NULL) return;
	sem_post(&watchdog->stop);
	pthread_join(watchdog->thread, NULL);
	sem_destroy(&watchdog->stop);
	alloc_free(watchdog);
	daemon->watchdog = NULL;
}
