/* SPDX-License-Identifier: GPL-2.0-or-later */
/* daemon_upgrade — the program on disk takes over from this one, in the same process: who connects
 * meanwhile waits in the listeners' backlogs, which stay open all the time.
 *
 *   asked → the program on disk is run with -t: would it start with our configuration?
 *         → no new attempts; those under way end (events are taken in still)
 *         → no new requests; those under way are answered, with "close"     ─┐
 *         → the store is closed; main.c executes the program, which opens it  │ everybody waits
 *         → it accepts                                                       ─┘
 *
 * The process stays, and so do its number, its limits and its place in the service manager. What
 * can fail before is found before anything has changed; when the program cannot be executed after
 * all, the one that is running is once more.
 */
#include "daemon_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/check.h"
#include "base/log.h"
#include "notify.h"

extern char **environ;

/* ---- Would it start? ------------------------------------------------------------------------- */

/* What it writes until it ends, cut to fit; false when it takes too long. */
static bool output_read(int fd, char *to, size_t to_size)
{
	size_t size = 0;
	uint64_t end_ms = (uint64_t)daemon_mono_s() * 1000 + UPGRADE_CHECK_MS_MAX;

	to[0] = '\0';
	for (;;) {
		struct pollfd wait = { .fd = fd, .events = POLLIN };
		uint64_t now_ms = (uint64_t)daemon_mono_s() * 1000;
		if (now_ms >= end_ms || poll(&wait, 1, (int)(end_ms - now_ms)) == 0) return false;
		char rest[256];
		bool full = size + 1 >= to_size;
		ssize_t got = full ? read(fd, rest, sizeof rest)
				   : read(fd, to + size, to_size - 1 - size);
		if (got < 0 && errno == EINTR) continue;
		if (got <= 0) return true;
		if (!full) size += (size_t)got;
		to[size] = '\0';
	}
}

/* Signals as a program expects them: ours are blocked. */
static void attributes_init(posix_spawnattr_t *attributes)
{
	sigset_t none;
	sigset_t pipe;

	sigemptyset(&none);
	sigemptyset(&pipe);
	sigaddset(&pipe, SIGPIPE);
	CHECK(posix_spawnattr_init(attributes) == 0);
	CHECK(posix_spawnattr_setsigmask(attributes, &none) == 0);
	CHECK(posix_spawnattr_setsigdefault(attributes, &pipe) == 0);
	CHECK(posix_spawnattr_setflags(attributes,
		      POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF) == 0);
}

static int check_spawn(const struct daemon *daemon, int output, pid_t *ret_pid)
{
	posix_spawnattr_t attributes;
	posix_spawn_file_actions_t actions;
	const char *arguments[] = { daemon->program, "-t", "-f", daemon->config_path, NULL };

	attributes_init(&attributes);
	CHECK(posix_spawn_file_actions_init(&actions) == 0);
	CHECK(posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO) == 0);
	CHECK(posix_spawn_file_actions_adddup2(&actions, output, STDERR_FILENO) == 0);
	int failed = posix_spawn(ret_pid, daemon->program, &actions, &attributes,
		(char *const *)(uintptr_t)arguments, environ);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attributes);
	return failed;
}

static enum result check_run(const struct daemon *daemon, char *output, size_t output_size)
{
	int ends[2];
	pid_t pid;
	int status = 0;

	if (pipe2(ends, O_CLOEXEC) != 0) return RESULT_KERNEL;
	int failed = check_spawn(daemon, ends[1], &pid);
	close(ends[1]);
	if (failed != 0) {
		close(ends[0]);
		snprintf(output, output_size, "%s: %s", daemon->program, strerror(failed));
		return RESULT_CONFIG;
	}
	bool ended = output_read(ends[0], output, output_size);
	close(ends[0]);
	if (!ended) kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
	if (!ended) {
		snprintf(output, output_size, "%s -t takes longer than %u s", daemon->program,
			UPGRADE_CHECK_MS_MAX / 1000);
		return RESULT_CONFIG;
	}
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return RESULT_OK;
	if (output[0] == '\0') {
		snprintf(output, output_size, "%s -t ended with status %d", daemon->program,
			status);
	}
	return RESULT_CONFIG;
}

static void fd_count(void *owner, int fd, const struct io_address *address)
{
	uint32_t *count = owner;

	(void)fd;
	(void)address;
	(*count)++;
}

/* Under publish_lock. */
static enum result upgrade_possible(struct daemon *daemon, char *error, size_t error_size)
{
	uint32_t count = 0;

	listening_each(&daemon->listening, fd_count, &count);
	if (daemon->confirm_number != 0) {
		snprintf(error, error_size,
			"generation %llu is to be confirmed, and the next program would begin with "
			"the file: first penstockctl confirm, or rollback",
			(unsigned long long)daemon->confirm_number);
		return RESULT_BUSY;
	}
	if (daemon->gone_back) {
		snprintf(error, error_size,
			"%s still says what was gone back from: put it right and reload first",
			daemon->config_path);
		return RESULT_BUSY;
	}
	if (atomic_load(&daemon->state) != DAEMON_READY || atomic_load(&daemon->stop_wanted)) {
		snprintf(error, error_size, "the daemon is draining or stopping: start it anew");
		return RESULT_BUSY;
	}
	if (daemon->program == NULL || count > HANDED_SOCKETS_MAX) {
		snprintf(error, error_size,
			daemon->program == NULL
				? "/proc does not say which program this is: stop and start"
				: "more sockets than can be handed over: stop and start");
		return RESULT_BUSY;
	}
	return RESULT_OK;
}

/* Under the lock under which changes look at it: none is begun that the next program, which begins
 * with the file, would make permanent. */
static enum result upgrade_decide(struct daemon *daemon, char *error, size_t error_size)
{
	pthread_mutex_lock(&daemon->publish_lock);
	enum result result = upgrade_possible(daemon, error, error_size);
	if (result == RESULT_OK) atomic_store(&daemon->upgrade_wanted, true);
	pthread_mutex_unlock(&daemon->publish_lock);
	if (result == RESULT_OK) sem_post(&daemon->wanted);
	return result;
}

/* The check does not listen: an address of the file that somebody else has would be found when this
 * program is gone. A file that only the next one understands is not tried. */
static enum result addresses_check(struct daemon *daemon, char *error, size_t error_size)
{
	struct config_report *report = alloc_array(1, sizeof *report);
	struct config *config = NULL;
	struct listening next;
	enum result result = RESULT_OK;

	if (config_load(daemon->config_path, &config, report) == RESULT_OK) {
		pthread_mutex_lock(&daemon->publish_lock);
		result = daemon_listeners_next(daemon, config, report, &next);
		if (result == RESULT_OK) listening_close(&next, &daemon->listening);
		pthread_mutex_unlock(&daemon->publish_lock);
		if (result != RESULT_OK && !daemon_fault_say(report, error, error_size)) {
			snprintf(error, error_size, "an address of the file cannot be listened on");
		}
		config_free(config);
	}
	alloc_free(report);
	return result;
}

enum result daemon_upgrade(struct daemon *daemon, char *error, size_t error_size)
{
	char *output = alloc_array(UPGRADE_OUTPUT_SIZE, 1);

	pthread_mutex_lock(&daemon->publish_lock);
	enum result result = upgrade_possible(daemon, error, error_size);
	pthread_mutex_unlock(&daemon->publish_lock);
	if (result == RESULT_OK) {
		result = check_run(daemon, output, UPGRADE_OUTPUT_SIZE);
		if (result != RESULT_OK) snprintf(error, error_size, "%s", output);
	}
	if (result == RESULT_OK) result = addresses_check(daemon, error, error_size);
	/* That took its time. */
	if (result == RESULT_OK) result = upgrade_decide(daemon, error, error_size);
	if (result != RESULT_OK) log_error("no upgrade: %s", error);
	alloc_free(output);
	return result;
}

/* ---- Giving way ------------------------------------------------------------------------------ */

static bool attempts_over(const struct daemon *daemon)
{
	for (uint32_t i = 0; i < daemon->worker_count; i++) {
		struct worker_status status;
		worker_status(daemon->workers[i], &status);
		if (status.deliver.attempts > 0 || status.queue.settling > 0) return false;
	}
	return true;
}

void daemon_upgrade_begin(struct daemon *daemon)
{
	struct flow *flow = daemon_flow(daemon);
	time_t end_s = daemon_mono_s() + (time_t)flow->config->drain_timeout_s;
	flow_release(flow);

	notify_reloading();
	notify_status("upgrading: attempts under way are finished");
	log_notice("upgrading: attempts under way are finished");
	for (uint32_t i = 0; i < daemon->worker_count; i++) {
		worker_drain_deliveries(daemon->workers[i]);
	}
	/* A stop meanwhile is a stop. */
	while (!attempts_over(daemon) && daemon_mono_s() < end_s &&
		!atomic_load(&daemon->stop_wanted)) {
		(void)poll(NULL, 0, UPGRADE_LOOK_MS);
	}
	if (atomic_load(&daemon->stop_wanted)) atomic_store(&daemon->upgrade_wanted, false);
}

static void fd_hand(void *owner, int fd, const struct io_address *address)
{
	struct handed *handed = owner;

	handed->sockets[handed->count++] =
		(struct handed_socket){ .fd = fd, .ours = true, .address = *address };
}

static void sockets_hand(struct daemon *daemon, struct handed *ret)
{
	uint32_t count = 0;

	listening_each(&daemon->listening, fd_count, &count);
	*ret = (struct handed){ .sockets = alloc_array(count + 1, sizeof *ret->sockets) };
	listening_each(&daemon->listening, fd_hand, ret);
}

/* False when it is busy still: with a name server, most likely. */
static bool ticker_join_soon(struct daemon *daemon)
{
	struct timespec until;

	CHECK(clock_gettime(CLOCK_MONOTONIC, &until) == 0);
	until.tv_sec += UPGRADE_TICKER_MS_MAX / 1000;
	return pthread_clockjoin_np(daemon->ticker, NULL, CLOCK_MONOTONIC, &until) == 0;
}

/* Everybody waits in the backlog: neither a collector nor a name server is waited for, and nothing
 * is freed that those who talk to them may use. Executing the next program ends them. */
enum result daemon_upgrade_close(struct daemon *daemon, struct handed *ret_handed)
{
	for (uint32_t i = 0; i < daemon->worker_count; i++) shard_close(daemon->shards[i]);
	if (atomic_load(&daemon->store_failed)) return RESULT_DISK;
	if (!ticker_join_soon(daemon)) {
		log_warning("upgrading: a name server does not answer, and is not waited for");
	}
	sockets_hand(daemon, ret_handed);
	return RESULT_OK;
}
