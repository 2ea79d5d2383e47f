/* SPDX-License-Identifier: GPL-2.0-or-later */
/* doctor_host — kernel, io_uring, CPU, clock, entropy and limits. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/timex.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/check.h"
#include "doctor.h"
#include "engine/io.h"
#include "units.h"

enum { LINE_SIZE_MAX = 8192 };

/* The first line, without its end. False when there is no such file. */
static bool line_read(const char *path, char *ret, size_t size)
{
	FILE *file = fopen(path, "re");
	if (file == NULL) return false;
	bool read = fgets(ret, (int)size, file) != NULL;
	fclose(file);
	if (read) ret[strcspn(ret, "\n")] = '\0';
	return read;
}

/* ---- Kernel ---------------------------------------------------------------------------------- */

/* A user who may do everything is told nothing by a ring that opens. */
static void check_sysctl(struct doctor *doctor)
{
	char text[16];
	if (!line_read("/proc/sys/kernel/io_uring_disabled", text, sizeof text)) return;
	if (strcmp(text, "0") == 0) {
		doctor_add(doctor, DOCTOR_OK, "io_uring", NULL, "kernel.io_uring_disabled is 0");
	} else if (strcmp(text, "1") == 0) {
		doctor_add(doctor, DOCTOR_WARN, "io_uring",
			"sysctl -w kernel.io_uring_disabled=0, or put the daemon's user into the "
			"group that kernel.io_uring_group names",
			"kernel.io_uring_disabled is 1: only root and one group may use it");
	} else {
		doctor_add(doctor, DOCTOR_FAIL, "io_uring",
			"sysctl -w kernel.io_uring_disabled=0, and a file in /etc/sysctl.d",
			"kernel.io_uring_disabled is %s: nobody may use it", text);
	}
}

static void woken(void *owner)
{
	(void)owner;
}

/* The daemon's own way of opening a ring: with its restrictions, which it proves. */
static void check_ring(struct doctor *doctor)
{
	struct io *io = NULL;
	struct io_config config = {
		.sockets_max = 1, .buffer_count = 1, .buffer_size = 4096, .woken = woken
	};
	enum result result = io_open(&config, &io);
	if (result == RESULT_OK) {
		doctor_add(doctor, DOCTOR_OK, "io_uring", NULL, "%s", io_features(io));
		doctor->file_table = io_table_size(io) > 0;
		io_close(io);
		return;
	}
	/* "what is wrong; what to do" */
	const char *error = io_open_error();
	size_t size = strcspn(error, ";");
	doctor_add(doctor, DOCTOR_FAIL, "io_uring",
		error[size] == ';' ? error + size + 2 : "Linux 6.1 or later is needed", "%.*s",
		(int)size, error);
}

void doctor_kernel(struct doctor *doctor)
{
	struct utsname kernel = { 0 };
	uname(&kernel);
	char *rest;
	unsigned long major = strtoul(kernel.release, &rest, 10);
	unsigned long minor = *rest == '.' ? strtoul(rest + 1, NULL, 10) : 0;
	bool good = major > 6 || (major == 6 && minor >= 1);
	doctor_add(doctor, good ? DOCTOR_OK : DOCTOR_FAIL, "kernel",
		good ? NULL : "Linux 6.1 or later is needed", "%s %s on %s", kernel.sysname,
		kernel.release, kernel.machine);
	check_sysctl(doctor);
	check_ring(doctor);
}

/* ---- CPU and memory -------------------------------------------------------------------------- */

/* Whether a word stands in the line of /proc/cpuinfo that lists what the CPU can do. */
static bool has_word(const char *line, const char *word)
{
	size_t size = strlen(word);
	for (const char *at = line; (at = strstr(at, word)) != NULL; at += size) {
		bool begins = at == line || at[-1] == ' ' || at[-1] == '\t';
		if (begins && (at[size] == ' ' || at[size] == '\0')) return true;
	}
	return false;
}

static bool cpu_line_read(char *ret, size_t size)
{
	FILE *file = fopen("/proc/cpuinfo", "re");
	bool found = false;
	if (file == NULL) return false;
	while (!found && fgets(ret, (int)size, file) != NULL) {
		found = strncmp(ret, "flags", 5) == 0 || strncmp(ret, "Features", 8) == 0;
	}
	fclose(file);
	ret[strcspn(ret, "\n")] = '\0';
	return found;
}

static void check_huge_pages(struct doctor *doctor)
{
	char text[64];
	if (!line_read("/sys/kernel/mm/transparent_hugepage/enabled", text, sizeof text)) return;
	bool never = strstr(text, "[never]") != NULL;
	doctor_add(doctor, never ? DOCTOR_WARN : DOCTOR_OK, "huge pages",
		never ? "echo madvise >/sys/kernel/mm/transparent_hugepage/enabled: the replay "
			"memory is looked up at random"
		      : NULL,
		"transparent huge pages: %s", text);
}

void doctor_processor(struct doctor *doctor)
{
	char line[LINE_SIZE_MAX];
	if (!cpu_line_read(line, sizeof line)) {
		doctor_add(doctor, DOCTOR_WARN, "cpu", "is /proc mounted?",
			"/proc/cpuinfo does not say what the CPU can do");
		return;
	}
	bool aes = has_word(line, "aes");
	bool sha = has_word(line, "sha_ni") || has_word(line, "sha2");
	bool vaes = has_word(line, "vaes");
	doctor_add(doctor, aes && sha ? DOCTOR_OK : DOCTOR_WARN, "cpu",
		aes && sha ? NULL
			   : "a CPU, or a CPU model of the virtual machine, that has them: TLS and "
			     "HMACs cost several times as much without",
		"AES instructions: %s, SHA-256 instructions: %s, vector AES: %s",
		aes ? "yes" : "no", sha ? "yes" : "no", vaes ? "yes" : "no");
	check_huge_pages(doctor);
}

/* ---- Clock and entropy ----------------------------------------------------------------------- */

void doctor_clock(struct doctor *doctor)
{
	struct timex timex = { 0 };
	int state = adjtimex(&timex);
	bool synchronised = state >= 0 && state != TIME_ERROR && (timex.status & STA_UNSYNC) == 0;
	if (synchronised) {
		doctor_add(doctor, DOCTOR_OK, "clock", NULL, "synchronised, off by %ld ms at most",
			timex.maxerror / 1000);
	} else {
		doctor_add(doctor, DOCTOR_WARN, "clock",
			"run chrony or systemd-timesyncd: events whose timestamp is outside the "
			"tolerance are refused",
			"the kernel does not know the clock as synchronised%s%s",
			state < 0 ? ": " : "", state < 0 ? strerror(errno) : "");
	}
	uint8_t byte;
	bool ready = getrandom(&byte, 1, GRND_NONBLOCK) == 1;
	doctor_add(doctor, ready ? DOCTOR_OK : DOCTOR_FAIL, "entropy",
		ready ? NULL : "wait, or give the virtual machine a virtio-rng device",
		"the kernel's random numbers are %s", ready ? "seeded" : "not seeded yet");
}

/* ---- Limits ---------------------------------------------------------------------------------- */

/* A daemon with this limit has so many of its descriptors left for connections, and as many again
 * in the tables of its workers' rings: warn_of_limit() of the daemon has the figures themselves. */
struct descriptors {
	uint64_t workers;
	uint64_t connections; /* of each worker */
	uint64_t others;      /* open beside them: an estimate */
	bool file_table;
};

static bool descriptors_suffice(const struct descriptors *needed, uint64_t limit)
{
	uint64_t table_size = limit < needed->connections ? limit : needed->connections;
	uint64_t in_tables = needed->file_table ? needed->workers * table_size : 0;
	return in_tables + limit >= needed->workers * needed->connections + needed->others;
}

/* The least limit that suffices. */
static uint64_t descriptors_limit(const struct descriptors *needed)
{
	uint64_t all = needed->workers * needed->connections + needed->others;
	if (!needed->file_table) return all;
	if (needed->others > needed->connections) return needed->others;
	return (all + needed->workers) / (needed->workers + 1);
}

static void check_descriptors(struct doctor *doctor, const struct config *config)
{
	/* Per worker its ring, wake-up, store and some more; the rest of the process likewise. */
	enum { OTHERS = 64 };
	struct rlimit limit = { 0 };
	char texts[2][UNITS_TEXT_SIZE];
	uint64_t workers = (uint64_t)config->cpu_count * config->workers_per_cpu;
	const struct descriptors needed = {
		.workers = workers,
		.connections = config->connections_max,
		.others = OTHERS + workers * (config->listener_count + OTHERS),
		.file_table = doctor->file_table,
	};
	CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
	bool good = limit.rlim_max == RLIM_INFINITY || descriptors_suffice(&needed, limit.rlim_max);
	uint64_t wanted = descriptors_limit(&needed);
	/* The daemon raises the soft limit to the hard one itself. */
	doctor_add(doctor, good ? DOCTOR_OK : DOCTOR_WARN, "limits", NULL,
		"open files: %s allowed here, %s needed when all connections are in use",
		limit.rlim_max == RLIM_INFINITY ? "any" : units_number(limit.rlim_max, texts[0]),
		units_number(wanted, texts[1]));
	if (good) return;
	doctor_fix(doctor,
		"LimitNOFILE=%llu in the unit (ulimit -n in a shell), or fewer connections",
		(unsigned long long)wanted);
}

static void check_locked_memory(struct doctor *doctor, const struct config *config)
{
	/* Secrets are locked in regions of so much (secret_memory.c); each takes a few hundred
	 * bytes of one, with its previous one and what is derived from it. */
	enum { REGION_SIZE = 65536, SECRET_SIZE = 1024 };
	struct rlimit limit = { 0 };
	char texts[2][UNITS_TEXT_SIZE];
	uint64_t secrets = (uint64_t)config->endpoint_count + config->target_count;
	uint64_t needed = (secrets * SECRET_SIZE / REGION_SIZE + 1) * REGION_SIZE;
	CHECK(getrlimit(RLIMIT_MEMLOCK, &limit) == 0);
	bool good = limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur >= needed || geteuid() == 0;
	doctor_add(doctor, good ? DOCTOR_OK : DOCTOR_WARN, "limits", NULL,
		"locked memory: %s allowed here, %s needed for secrets",
		limit.rlim_cur == RLIM_INFINITY ? "any" : units_size(limit.rlim_cur, texts[0]),
		units_size(needed, texts[1]));
	if (good) return;
	doctor_fix(doctor, "LimitMEMLOCK=%llu in the unit: secrets could get into swap",
		(unsigned long long)needed);
}

void doctor_limits(struct doctor *doctor, const struct config *config)
{
	check_descriptors(doctor, config);
	check_locked_memory(doctor, config);
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	bool good = cpus >= (long)config->cpu_count;
	doctor_add(doctor, good ? DOCTOR_OK : DOCTOR_WARN, "cpus",
		good ? NULL : "name fewer under workers: cpus", "%u workers on %ld CPUs",
		config->cpu_count * config->workers_per_cpu, cpus);
}
