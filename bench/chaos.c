/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "chaos.h"

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/check.h"

enum {
	DOWN_MS_MAX = 500,   /* from a kill to the next start */
	STOP_MS_MAX = 2000,  /* below what providers and kernel take for dead */
	SLOW_MS_MAX = 3000,  /* how long the target is slow */
	SLOW_DELAY_MS = 400, /* how slow */
	DISK_MS_MAX = 2000, /* how long the disk is slow: below what providers wait for an answer */
	END_S_MAX = 60,
	COMMAND_SIZE_MAX = 4096,
};

static const char *const fault_names[CHAOS_FAULTS] = { "kill", "stop", "slow", "slow-disk" };

bool chaos_parse(const char *text, bool ret_enabled[static CHAOS_FAULTS])
{
	bool enabled[CHAOS_FAULTS] = { false };
	struct bytes word;
	struct bytes rest = bytes_of_text(text);

	do {
		unsigned i = 0;
		bytes_split(rest, ',', &word, &rest);
		while (i < CHAOS_FAULTS && !bytes_equal(word, bytes_of_text(fault_names[i]))) i++;
		if (i == CHAOS_FAULTS) return false;
		enabled[i] = true;
	} while (rest.size > 0);
	memcpy(ret_enabled, enabled, sizeof enabled);
	return true;
}

/* ---- The daemon ------------------------------------------------------------------------------ */

/* In the child: nothing of ours is left but standard input and output. It dies with us. */
static void run_command(const struct chaos_config *config) __attribute__((noreturn));
static void run_command(const struct chaos_config *config)
{
	if (setpgid(0, 0) != 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 ||
		sched_setaffinity(0, sizeof *config->cpus, config->cpus) != 0 ||
		close_range(3, UINT_MAX, 0) != 0 || signal(SIGPIPE, SIG_DFL) == SIG_ERR) {
		_exit(126);
	}
	char line[COMMAND_SIZE_MAX];
	/* The shell is only for the words and redirections: its pid becomes the daemon's. */
	if (snprintf(line, sizeof line, "exec %s", config->command) < (int)sizeof line) {
		execl("/bin/sh", "sh", "-c", line, (char *)NULL);
	}
	_exit(127);
}

static void daemon_start(struct chaos *chaos)
{
	CHECK(chaos->pid == 0);
	pid_t pid = fork();
	if (pid == 0) run_command(&chaos->config);
	if (pid < 0) return; /* tried again when somebody looks */
	/* The child does the same: whoever comes first, the group is there. */
	(void)setpgid(pid, pid);
	chaos->pid = pid;
}

/* To the daemon and whatever it has started. */
static void daemon_signal(const struct chaos *chaos, int number)
{
	if (chaos->pid > 0) (void)kill(-chaos->pid, number); /* it may be gone already */
}

static void daemon_kill(struct chaos *chaos)
{
	if (chaos->pid == 0) return;
	daemon_signal(chaos, SIGKILL);
	CHECK(waitpid(chaos->pid, NULL, 0) == chaos->pid);
	chaos->pid = 0;
}

/* ---- Faults ---------------------------------------------------------------------------------- */

static void wait_ms(struct chaos *chaos, uint64_t ms)
{
	struct loop *loop = chaos->config.loop;
	timer_start(&loop->timers, &chaos->timer, loop_now(loop), ms * US_PER_MS);
}

static uint64_t up_to(struct chaos *chaos, uint64_t ms_max)
{
	return 1 + random_below(&chaos->random, ms_max);
}

/* In random order, but none is left out: one of those that have happened the fewest times. */
static enum chaos_fault choose(struct chaos *chaos)
{
	uint64_t fewest = UINT64_MAX;

	for (unsigned i = 0; i < CHAOS_FAULTS; i++) {
		if (chaos->config.enabled[i] && chaos->counts[i] < fewest)
			fewest = chaos->counts[i];
	}
	for (;;) {
		uint64_t i = random_below(&chaos->random, CHAOS_FAULTS);
		if (chaos->config.enabled[i] && chaos->counts[i] == fewest) {
			return (enum chaos_fault)i;
		}
	}
}

static void fault_begin(struct chaos *chaos)
{
	chaos->fault = choose(chaos);
	chaos->faulty = true;
	chaos->counts[chaos->fault]++;
	switch (chaos->fault) {
	case CHAOS_KILL:
		daemon_kill(chaos);
		wait_ms(chaos, up_to(chaos, DOWN_MS_MAX));
		break;
	case CHAOS_STOP:
		daemon_signal(chaos, SIGSTOP);
		wait_ms(chaos, up_to(chaos, STOP_MS_MAX));
		break;
	case CHAOS_SLOW:
		sink_set_delay(chaos->config.sink, SLOW_DELAY_MS);
		wait_ms(chaos, up_to(chaos, SLOW_MS_MAX));
		break;
	case CHAOS_SLOW_DISK:
		/* Without a thread there is no fault, and it is not counted. */
		if (disk_load_begin(&chaos->disk) != RESULT_OK) chaos->counts[chaos->fault]--;
		wait_ms(chaos, up_to(chaos, DISK_MS_MAX));
		break;
	case CHAOS_FAULTS: CHECK(false);
	}
}

static void fault_end(struct chaos *chaos)
{
	chaos->faulty = false;
	switch (chaos->fault) {
	case CHAOS_KILL: daemon_start(chaos); break;
	case CHAOS_STOP: daemon_signal(chaos, SIGCONT); break;
	case CHAOS_SLOW: sink_set_delay(chaos->config.sink, 0); break;
	case CHAOS_SLOW_DISK: disk_load_end(&chaos->disk); break;
	case CHAOS_FAULTS: CHECK(false);
	}
}

static void next_fault(struct chaos *chaos)
{
	wait_ms(chaos, up_to(chaos, (uint64_t)(2000 * chaos->config.every_s)));
}

static void timer_expired(void *owner)
{
	struct chaos *chaos = owner;

	if (!chaos->faulty) {
		fault_begin(chaos);
	} else {
		fault_end(chaos);
		next_fault(chaos);
	}
}

/* ---- Its life -------------------------------------------------------------------------------- */

enum result chaos_open(struct chaos *chaos, const struct chaos_config *config)
{
	*chaos = (struct chaos){
		.config = *config,
		.random = { .state = config->seed },
		.disk = { .fd = -1 },
	};
	CHECK(config->disk_folder != NULL || !config->enabled[CHAOS_SLOW_DISK]);
	timer_init(&chaos->timer, timer_expired, chaos);
	if (config->disk_folder != NULL) {
		TRY(disk_load_open(&chaos->disk, config->disk_folder, config->cpus, config->seed));
	}
	daemon_start(chaos);
	return RESULT_OK;
}

void chaos_begin(struct chaos *chaos)
{
	next_fault(chaos);
}

void chaos_look(struct chaos *chaos)
{
	bool killed = chaos->faulty && chaos->fault == CHAOS_KILL;

	if (chaos->pid > 0 && waitpid(chaos->pid, NULL, WNOHANG) == chaos->pid) {
		chaos->deaths++;
		chaos->pid = 0;
	}
	if (chaos->pid == 0 && !killed) daemon_start(chaos);
}

void chaos_heal(struct chaos *chaos)
{
	timer_stop(&chaos->config.loop->timers, &chaos->timer);
	if (chaos->faulty) fault_end(chaos);
}

void chaos_close(struct chaos *chaos)
{
	int status = 0;
	pid_t ended = 0;

	timer_stop(&chaos->config.loop->timers, &chaos->timer);
	disk_load_close(&chaos->disk);
	if (chaos->pid == 0) return;
	daemon_signal(chaos, SIGCONT);
	daemon_signal(chaos, SIGTERM);
	for (unsigned i = 0; i < END_S_MAX * 100 && ended == 0; i++) {
		nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
		ended = waitpid(chaos->pid, &status, WNOHANG);
	}
	if (ended == 0) {
		daemon_kill(chaos);
		chaos->deaths++;
		return;
	}
	if (status != 0) chaos->deaths++;
	chaos->pid = 0;
}
