/* SPDX-License-Identifier: GPL-2.0-or-later */
/* chaos — starts the daemon itself and makes its life hard while events come in: kills it and
 * starts it again, stops it for a while, lets the target or the disk be slow. One fault at a time,
 * at random intervals from a seed.
 *
 *   fault due -> one is chosen -> it lasts a while -> healed -> next fault due ...
 *
 * When sending is over everything is healed for good: then the ledger must balance. A daemon that
 * ends without having been killed is counted and started again, and the run has failed.
 */
#pragma once

#include <sched.h>
#include <sys/types.h>

#include "base/random.h"
#include "disk_load.h"
#include "engine/loop.h"
#include "sink.h"

enum chaos_fault { CHAOS_KILL, CHAOS_STOP, CHAOS_SLOW, CHAOS_SLOW_DISK, CHAOS_FAULTS };

struct chaos_config {
	struct loop *loop;
	struct sink *sink;
	const char *command;     /* of the daemon, for the shell; it must stay in the foreground */
	const cpu_set_t *cpus;   /* where it may run */
	const char *disk_folder; /* on the store's disk; NULL: CHAOS_SLOW_DISK is not enabled */
	bool enabled[CHAOS_FAULTS];
	double every_s; /* from the end of a fault to the next, on average */
	uint64_t seed;
};

struct chaos {
	struct chaos_config config;
	struct random random;
	struct timer timer; /* the next fault, or the end of this one */
	bool faulty;
	enum chaos_fault fault;
	struct disk_load disk; /* open when there is a folder for it */
	pid_t pid;             /* 0: not running */
	uint64_t counts[CHAOS_FAULTS];
	uint64_t deaths; /* that were not ours */
};

/* Starts the daemon; it need not be ready yet. Fails when the disk's folder takes no file; errno
 * says why. */
MUST_USE enum result chaos_open(struct chaos *chaos, const struct chaos_config *config);
/* From here on faults happen. */
void chaos_begin(struct chaos *chaos);
/* Notices a daemon that died; to be called now and then. */
void chaos_look(struct chaos *chaos);
/* No more faults, and what was broken works again. */
void chaos_heal(struct chaos *chaos);
/* Asks the daemon to end and waits for it; another exit code than 0 counts as a death. */
void chaos_close(struct chaos *chaos);

/* "kill,stop,slow,slow-disk" in any order; false when there is another word in it. */
bool chaos_parse(const char *text, bool ret_enabled[static CHAOS_FAULTS]);
