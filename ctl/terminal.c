/* SPDX-License-Identifier: GPL-2.0-or-later */
/* terminal — see the header.
 *
 * The handlers do all there is to do by themselves, with calls that signal-safety(7) allows: the
 * program may be waiting for the daemon, and the screen must not wait with it. Those that only
 * leave a note are blocked but for the wait, or a note left just before it would be slept over.
 */
#include "terminal.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"

/* Alternate screen, no cursor, no wrapping at the right border. */
#define ENTER "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J"
/* CAN first: it ends an escape sequence that a signal has cut in half. */
#define LEAVE "\x18\x1b[0m\x1b[?7h\x1b[?25h\x1b[?1049l"

static struct {
	struct termios before;
	struct termios ours;
	bool has_keys;
	sigset_t waiting; /* the signal mask while waiting */
	volatile sig_atomic_t redraw;
	volatile sig_atomic_t entered;
} terminal;

static void say(const char *text, size_t size)
{
	/* Nothing can be done about a terminal that does not take it. */
	if (write(STDOUT_FILENO, text, size) < 0) return;
}

static void enter(void)
{
	tcsetattr(STDOUT_FILENO, TCSADRAIN, &terminal.ours);
	say(ENTER, sizeof ENTER - 1);
	terminal.redraw = 1;
	terminal.entered = 1;
}

static void leave(void)
{
	/* Stopped and then ended: the terminal is somebody else's by now. */
	if (terminal.entered == 0) return;
	terminal.entered = 0;
	say(LEAVE, sizeof LEAVE - 1);
	tcsetattr(STDOUT_FILENO, TCSADRAIN, &terminal.before);
}

/* ---- Signals --------------------------------------------------------------------------------- */

static void on_end(int number)
{
	leave();
	/* The handler is reset by now; the signal comes again when this returns. */
	raise(number);
}

static void handle(int number, void (*handler)(int number), int flags)
{
	struct sigaction action = { .sa_handler = handler, .sa_flags = flags };
	sigemptyset(&action.sa_mask);
	CHECK(sigaction(number, &action, NULL) == 0);
}

static void on_stop(int number)
{
	int error = errno;
	sigset_t set;
	leave();
	handle(number, SIG_DFL, 0);
	sigemptyset(&set);
	sigaddset(&set, number);
	raise(number);
	sigprocmask(SIG_UNBLOCK, &set, NULL); /* stops here */
	handle(number, on_stop, SA_RESTART);
	enter();
	errno = error;
}

static void on_continue(int number)
{
	int error = errno;
	(void)number;
	enter();
	errno = error;
}

static void on_resize(int number)
{
	(void)number;
	terminal.redraw = 1;
}

static void signals_handle(void)
{
	static const int ends[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGABRT };
	sigset_t noted;

	sigemptyset(&noted);
	sigaddset(&noted, SIGWINCH);
	sigaddset(&noted, SIGCONT);
	CHECK(sigprocmask(SIG_BLOCK, &noted, &terminal.waiting) == 0);
	sigdelset(&terminal.waiting, SIGWINCH);
	sigdelset(&terminal.waiting, SIGCONT);
	for (size_t i = 0; i < ARRAY_COUNT(ends); i++) {
		handle(ends[i], on_end, (int)SA_RESETHAND);
	}
	handle(SIGTSTP, on_stop, SA_RESTART);
	handle(SIGCONT, on_continue, SA_RESTART);
	handle(SIGWINCH, on_resize, SA_RESTART);
}

/* ---- From outside ---------------------------------------------------------------------------- */

bool terminal_open(void)
{
	if (tcgetattr(STDOUT_FILENO, &terminal.before) != 0) return false;
	terminal.ours = terminal.before;
	terminal.ours.c_lflag &= (tcflag_t) ~(ICANON | ECHO);
	terminal.ours.c_cc[VMIN] = 1;
	terminal.ours.c_cc[VTIME] = 0;
	terminal.has_keys = isatty(STDIN_FILENO) == 1;
	signals_handle();
	enter();
	return true;
}

void terminal_close(void)
{
	leave();
}

void terminal_size(unsigned *ret_columns, unsigned *ret_rows)
{
	struct winsize size = { 0 };
	bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0;
	*ret_columns = known && size.ws_col > 0 ? size.ws_col : 80;
	*ret_rows = known && size.ws_row > 0 ? size.ws_row : 24;
}

bool terminal_write(struct bytes bytes)
{
	while (bytes.size > 0) {
		ssize_t size = write(STDOUT_FILENO, bytes.data, bytes.size);
		if (size < 0 && errno == EINTR) continue;
		if (size <= 0) return false;
		bytes = bytes_from(bytes, (size_t)size);
	}
	return true;
}

enum terminal_event terminal_wait(unsigned timeout_ms, char *ret_key)
{
	struct pollfd fd = { .fd = terminal.has_keys ? STDIN_FILENO : -1, .events = POLLIN };
	struct timespec timeout = {
		.tv_sec = timeout_ms / 1000,
		.tv_nsec = (long)(timeout_ms % 1000) * 1000000,
	};
	int count = ppoll(&fd, 1, &timeout, &terminal.waiting);
	if (terminal.redraw != 0) {
		terminal.redraw = 0;
		return TERMINAL_REDRAW;
	}
	if (count <= 0) return TERMINAL_TIME_UP;
	ssize_t size = read(STDIN_FILENO, ret_key, 1);
	if (size == 1) return TERMINAL_KEY;
	return size < 0 && errno == EINTR ? TERMINAL_TIME_UP : TERMINAL_GONE;
}
