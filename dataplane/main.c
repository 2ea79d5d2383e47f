/* SPDX-License-Identifier: GPL-2.0-or-later */
/* penstockd — signals and exit codes. Its options are in options.c, what the daemon is made of is
 * in daemon.c.
 *
 * Exit codes (sysexits): 0 stopped as asked, 64 usage, 69 somebody else has the store, the
 * control socket or an address, 71 the system refused something, 74 the store failed, 77
 * permission, 78 configuration.
 */
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/check.h"
#include "base/log.h"
#include "base/version.h"
#include "daemon.h"
#include "options.h"
#include "preflight/preflight.h"
#include "tls/tls.h"

static void print_version(void)
{
	struct tls_library_info info = tls_library_info();

	printf("penstockd %s\n", penstock_version);
	printf("TLS: wolfSSL %s\n", info.version);
	printf("AES-GCM: %s\n", info.aes_gcm);
	printf("SHA-256: %s\n", info.sha_instructions ? "SHA-NI" : info.avx2 ? "AVX2" : "portable");
}

/* Secrets have memory that no dump contains; the TLS library's keys lie in its heap. Nor may
 * another process of our user read it. */
static void core_dumps_forbid(void)
{
	const char *wanted = getenv(CORE_DUMPS_VARIABLE);

	if (wanted != NULL && strcmp(wanted, "1") == 0) {
		log_warning("core dumps are allowed: they hold private keys");
		return;
	}
	CHECK(prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0);
}

static void report_print(const struct config_report *report, enum config_report_format format)
{
	switch (format) {
	case CONFIG_REPORT_HUMAN:
		config_report_print(report, stderr, isatty(STDERR_FILENO) != 0);
		break;
	case CONFIG_REPORT_JSON: config_report_print_json(report, stdout); break;
	case CONFIG_REPORT_SARIF: config_report_print_sarif(report, stdout); break;
	}
}

/* At a start: for a person, or where log lines have fields, as log lines. */
static void report_log(const struct config_report *report, const char *path)
{
	if (log_format() == LOG_FORMAT_TEXT) {
		report_print(report, CONFIG_REPORT_HUMAN);
	} else {
		daemon_report_log(report, path);
	}
}

static void failure_log(const char *error)
{
	if (log_format() == LOG_FORMAT_TEXT) {
		fprintf(stderr, "penstockd: %s\n", error);
	} else {
		log_error("%s", error);
	}
}

static int exit_code(enum result result)
{
	switch (result) {
	case RESULT_OK: return EX_OK;
	case RESULT_CONFIG:
	case RESULT_UNSUPPORTED: /* 78 too: the fix is a setting of the host */ return EX_CONFIG;
	case RESULT_PERMISSION: return EX_NOPERM;
	case RESULT_DISK:
	case RESULT_SPACE: return EX_IOERR;
	case RESULT_MALFORMED:
	case RESULT_VERSION: return EX_DATAERR;
	case RESULT_BUSY: return EX_UNAVAILABLE;
	case RESULT_FULL:
	case RESULT_MEMORY:
	case RESULT_KERNEL:
	case RESULT_NOT_FOUND:
	case RESULT_EXISTS:
	case RESULT_CRYPTO:
	case RESULT_CLOSED: return EX_OSERR;
	case RESULT_COUNT: break;
	}
	UNREACHABLE();
}

static int config_test(const struct options *options, struct config_report *report)
{
	struct preflight_summary summary;
	bool human = options->format == CONFIG_REPORT_HUMAN;

	enum result result = preflight_run(options->config_path, options->level, report, &summary);
	report_print(report, options->format);
	if (result == RESULT_OK && options->strict && config_report_warnings(report) > 0) {
		result = RESULT_CONFIG;
	}
	if (result == RESULT_OK && human) printf("%s: ok\n", options->config_path);
	return exit_code(result);
}

/* ---- Signals --------------------------------------------------------------------------------- */

struct signals {
	int fd;                /* of a signalfd */
	pthread_mutex_t lock;  /* guards what follows */
	struct daemon *daemon; /* NULL until it is open, and once it closes */
	bool opening;
	bool reload_wanted; /* while opening */
	unsigned stops;
};

static void signal_taken(struct signals *signals, int signal)
{
	if (signal == SIGUSR2) {
		/* Before it is open it is new already. */
		if (signals->daemon != NULL) daemon_upgrade_ask(signals->daemon);
		return;
	}
	if (signal == SIGHUP) {
		if (signals->daemon != NULL) {
			daemon_reload(signals->daemon);
		} else {
			signals->reload_wanted = true;
		}
		return;
	}
	log_notice("stopping on signal %d", signal);
	/* Twice is now, and so is before there is anything to finish: the store is safe at any
	 * time. */
	if (++signals->stops > 1 || signals->opening) _exit(EX_OK);
	if (signals->daemon != NULL) daemon_stop(signals->daemon);
}

/* Blocked in every thread and taken here, one after the other. Taken with the lock, not before: one
 * that comes while an upgrade has it stays with the process, for the next program. */
static void *signals_main(void *owner)
{
	struct signals *signals = owner;

	pthread_setname_np(pthread_self(), "signals");
	for (;;) {
		struct pollfd wait = { .fd = signals->fd, .events = POLLIN };
		struct signalfd_siginfo info;
		if (poll(&wait, 1, -1) != 1) continue; /* EINTR */
		pthread_mutex_lock(&signals->lock);
		if (read(signals->fd, &info, sizeof info) == (ssize_t)sizeof info) {
			signal_taken(signals, (int)info.ssi_signo);
		}
		pthread_mutex_unlock(&signals->lock);
	}
	return NULL;
}

/* Before any other thread is made. */
static void signals_start(struct signals *signals)
{
	pthread_t thread;
	sigset_t set;

	signals->opening = true;
	CHECK(pthread_mutex_init(&signals->lock, NULL) == 0);
	sigemptyset(&set);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGUSR2);
	CHECK(pthread_sigmask(SIG_BLOCK, &set, NULL) == 0);
	signals->fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	CHECK(signals->fd >= 0);
	CHECK(signal(SIGPIPE, SIG_IGN) != SIG_ERR);
	/* A write past RLIMIT_FSIZE fails instead: a log line is lost, or the store is full. */
	CHECK(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
	CHECK(pthread_create(&thread, NULL, signals_main, signals) == 0);
}

/* The daemon they are for from now on. With NULL it is not spoken to any more when this returns. */
static void signals_direct(struct signals *signals, struct daemon *daemon)
{
	pthread_mutex_lock(&signals->lock);
	signals->daemon = daemon;
	if (signals->opening && signals->reload_wanted) daemon_reload(daemon);
	signals->opening = false;
	pthread_mutex_unlock(&signals->lock);
}

/* As many descriptors as we may have: connections are descriptors. */
static void descriptors_raise(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max) return;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) != 0) log_warning("cannot raise the descriptor limit");
}

/* The program on disk in our place; this one again when that does not run. Returns when neither
 * does, or somebody has asked for a stop meanwhile. */
static void upgrade(struct signals *signals, const char *program, char **arguments,
	struct handed *handed)
{
	/* With the lock: a stop is taken before, or waits for the next program. */
	pthread_mutex_lock(&signals->lock);
	if (signals->stops == 0) {
		log_notice("upgrading: %s takes over", program);
		handed_exec(handed, program, arguments);
		log_error("the program before goes on");
		handed_exec(handed, "/proc/self/exe", arguments);
	}
	handed_close(handed);
	pthread_mutex_unlock(&signals->lock);
}

/* Threads may be at work still: the process ends without taking them apart. */
_Noreturn static void leave(enum result result)
{
	fflush(NULL);
	_exit(exit_code(result));
}

static enum result run_to_end(struct signals *signals, struct daemon *daemon, const char *program,
	char **arguments)
{
	struct handed handed;

	enum result result = daemon_wait(daemon);
	/* Nothing may be written any more, so there is nothing to finish. */
	if (result == RESULT_DISK) leave(result);
	signals_direct(signals, NULL);
	result = daemon_close(daemon, &handed);
	bool upgrading = handed.count > 0;
	if (upgrading) upgrade(signals, program, arguments, &handed);
	log_notice("stopped");
	if (upgrading || result != RESULT_OK) leave(result);
	tls_library_close();
	return result;
}

static int run(struct config *config, const char *path, const char *program, char **arguments,
	struct config_report *report)
{
	static struct signals signals; /* its thread never ends */
	struct daemon *daemon = NULL;
	char error[512];

	signals_start(&signals);
	descriptors_raise();
	log_set_level((enum log_level)config->log_level);
	log_set_format((enum log_format)config->log_format);
	enum result result = daemon_open(config, program, report, &daemon, error, sizeof error);
	report_log(report, path);
	if (result != RESULT_OK) {
		if (error[0] == '\0' && result != RESULT_CONFIG) {
			snprintf(error, sizeof error, "cannot start: %s", result_text(result));
		}
		if (error[0] != '\0') failure_log(error);
		leave(result);
	}
	signals_direct(&signals, daemon);
	log_notice("penstockd %s is ready", penstock_version);
	return exit_code(run_to_end(&signals, daemon, program, arguments));
}

/* Lines from here on have the form that whoever started us expects. */
static bool log_begin(void)
{
	struct log_surroundings surroundings = { .journal_stream = getenv("JOURNAL_STREAM"),
		.journal_path = LOG_JOURNAL_PATH };
	const char *word = getenv(LOG_FORMAT_VARIABLE);

	if (word != NULL && !log_format_find(word, &surroundings.format)) {
		fprintf(stderr,
			"penstockd: " LOG_FORMAT_VARIABLE "='%s' is not one of auto, text, "
			"json or journal\n",
			word);
		return false;
	}
	log_open(&surroundings);
	return true;
}

/* Where this program is on disk, which another may have taken the place of by the time of an
 * upgrade. NULL without /proc. */
static const char *program_path(void)
{
	static char path[FILE_NAME_SIZE_MAX + 1];

	ssize_t size = readlink("/proc/self/exe", path, sizeof path - 1);
	return size > 0 ? path : NULL;
}

static int config_run(const struct options *options, const char *program, char **arguments,
	struct config_report *report)
{
	struct config *config = NULL;

	if (config_load(options->config_path, &config, report) != RESULT_OK) {
		report_log(report, options->config_path);
		return EX_CONFIG;
	}
	return run(config, options->config_path, program, arguments, report);
}

int main(int argc, char **argv)
{
	struct options options = { .config_path = CONFIG_PATH_DEFAULT, .level = PREFLIGHT_FILES };

	if (tls_library_open() != RESULT_OK) {
		fprintf(stderr, "penstockd: the TLS library does not start\n");
		return EX_SOFTWARE;
	}
	switch (options_parse(argc, argv, &options)) {
	case OPTIONS_RUN: break;
	case OPTIONS_VERSION: print_version(); return EX_OK;
	case OPTIONS_DONE: return EX_OK;
	case OPTIONS_WRONG: return EX_USAGE;
	}
	if (!log_begin()) return EX_USAGE;
	const char *program = program_path();
	core_dumps_forbid();

	struct config_report *report = alloc_array(1, sizeof *report);
	int code = options.test ? config_test(&options, report)
				: config_run(&options, program, argv, report);
	alloc_free(report);
	return code;
}
