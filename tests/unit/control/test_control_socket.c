/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who may connect, what happens to sockets that are there already, and clients that are rude,
 * slow or many. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <grp.h>
#include <pwd.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/check.h"
#include "lib/control_rig.h"
#include "metrics/metrics_expose.h"

static struct rig rig;
static struct control_limits limits_before;

static int set_up_stopped(void **state)
{
	(void)state;
	limits_before = control_limits;
	rig_open_stopped(&rig);
	return 0;
}

static int set_up(void **state)
{
	(void)state;
	limits_before = control_limits;
	rig_open(&rig);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	rig_close(&rig);
	control_limits = limits_before;
	return 0;
}

/* ---- Roles ----------------------------------------------------------------------------------- */

static void test_roles_follow_users_and_groups(void **state)
{
	(void)state;
	const struct control_access access = {
		.own_uid = 100,
		.has_group = true,
		.group = 50,
		.user_count = 3,
		.users = {
			{ .uid = 1001, .role = CONTROL_ROLE_ADMIN },
			{ .uid = 1002, .role = CONTROL_ROLE_ADMIN, .name = "bob" },
			{ .uid = 1004, .role = CONTROL_ROLE_OPERATE },
		},
	};
	struct control_access no_group = access;
	no_group.has_group = false;
	const gid_t member[] = { 20, 50 };
	const gid_t other[] = { 20, 51 };
	const struct {
		uid_t uid;
		const gid_t *groups;
		enum control_role role;
	} cases[] = {
		{ 0, other, CONTROL_ROLE_ADMIN },
		{ 100, other, CONTROL_ROLE_ADMIN },
		{ 1002, other, CONTROL_ROLE_ADMIN },
		{ 1002, member, CONTROL_ROLE_ADMIN },
		{ 1004, other, CONTROL_ROLE_OPERATE },
		{ 1004, member, CONTROL_ROLE_OPERATE },
		{ 1003, member, CONTROL_ROLE_READ },
		{ 1003, other, CONTROL_ROLE_NONE },
		{ (uid_t)-1, other, CONTROL_ROLE_NONE },
	};
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		assert_int_equal(control_access_role(&access, cases[i].uid, cases[i].groups, 2),
			cases[i].role);
	}
	assert_int_equal(control_access_role(&no_group, 1003, member, 2), CONTROL_ROLE_NONE);
	assert_int_equal(control_access_role(&access, 1003, NULL, 0), CONTROL_ROLE_NONE);
	assert_string_equal(control_access_name(&access, 1002), "bob");
	assert_string_equal(control_access_name(&access, 1003), "");
}

/* Asks as another user and returns the status; 0: it could not connect. */
static unsigned ask_as(uid_t uid, gid_t group, const char *request)
{
	int result[2];
	assert_int_equal(pipe(result), 0);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		char answer[64] = "";
		bool good = setgroups(0, NULL) == 0 && setgid(group) == 0 && setuid(uid) == 0;
		int fd = good ? rig_connect(&rig) : -1;
		if (fd >= 0) {
			rig_send(fd, request, strlen(request));
			ssize_t size = recv(fd, answer, sizeof answer - 1, MSG_WAITALL);
			good = size > 12 && write(result[1], answer + 9, 3) == 3;
		}
		_exit(good ? 0 : 1);
	}
	close(result[1]);
	char status[4] = "";
	ssize_t size = read(result[0], status, 3);
	close(result[0]);
	int code;
	assert_int_equal(waitpid(child, &code, 0), child);
	uint64_t number = 0;
	if (size != 3 || bytes_parse_u64(bytes_of_text(status), &number) != RESULT_OK) return 0;
	return (unsigned)number;
}

#define REQUEST(method, path) method " " path " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

/* Only root can become somebody else. */
static void test_kernel_says_who_asks(void **state)
{
	(void)state;
	char error[256];
	enum { NOBODY = 65534, GROUP = 1, OTHER_GROUP = 2 };
	struct group *group = getgrgid(GROUP);
	if (geteuid() != 0 || group == NULL) {
		skip();
	}
	rig.config->control_group = group->gr_name;
	assert_int_equal(chmod(rig.folder, 0755), 0);
	assert_int_equal(rig_start(&rig, error, sizeof error), RESULT_OK);
	struct stat status;
	assert_int_equal(stat(rig.socket, &status), 0);
	assert_int_equal(status.st_mode & 0777, 0660);
	assert_int_equal(status.st_gid, GROUP);

	assert_int_equal(ask_as(NOBODY, GROUP, REQUEST("GET", "/v1/status")), 200);
	assert_int_equal(ask_as(NOBODY, GROUP, REQUEST("POST", "/v1/stop")), 403);
	assert_int_equal(ask_as(NOBODY, GROUP, REQUEST("GET", "/v1/events/x/payload")), 403);
	assert_int_equal(atomic_load(&rig.stops), 0);
	assert_int_equal(ask_as(NOBODY, OTHER_GROUP, REQUEST("GET", "/v1/status")), 0);
	/* Should somebody open the file up, the credentials still count. */
	assert_int_equal(chmod(rig.socket, 0666), 0);
	assert_int_equal(ask_as(NOBODY, OTHER_GROUP, REQUEST("GET", "/v1/status")), 403);
	assert_int_equal(ask_as(NOBODY, OTHER_GROUP, REQUEST("GET", "/nonsense")), 403);
	assert_int_equal(ask_as(0, OTHER_GROUP, REQUEST("GET", "/v1/status")), 200);
}

/* Without any group: the list of the socket's file lets them in, and nobody else. */
static void test_named_users_need_no_group(void **state)
{
	(void)state;
	char error[256];
	static const char *const admins[] = { "root", "nobody" };
	static const char *const operators[] = { "daemon" };
	static const char *const names[] = { "nobody", "daemon", "bin" };
	uid_t uids[ARRAY_COUNT(names)];
	for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
		const struct passwd *user = getpwnam(names[i]);
		if (geteuid() != 0 || user == NULL) skip();
		uids[i] = user->pw_uid;
	}
	rig.config->control_admins = admins;
	rig.config->control_admin_count = 2;
	rig.config->control_operators = operators;
	rig.config->control_operator_count = 1;
	assert_int_equal(chmod(rig.folder, 0755), 0);
	assert_int_equal(rig_start(&rig, error, sizeof error), RESULT_OK);

	/* Past the check of the role: there is no such event, and it is not said what to replay. */
	assert_int_equal(ask_as(uids[0], 7, REQUEST("GET", "/v1/events/x/payload")), 400);
	assert_int_equal(ask_as(uids[1], 7, REQUEST("GET", "/v1/status")), 200);
	assert_int_equal(ask_as(uids[1], 7, REQUEST("POST", "/v1/dead/replay")), 400);
	assert_int_equal(ask_as(uids[1], 7, REQUEST("POST", "/v1/stop")), 403);
	assert_int_equal(atomic_load(&rig.stops), 0);
	assert_int_equal(ask_as(uids[2], 7, REQUEST("GET", "/v1/status")), 0);
}

static void test_unknown_names_are_refused(void **state)
{
	(void)state;
	char error[256] = "";
	static const char *const admins[] = { "root", "no-such-user-here" };
	rig.config->control_admins = admins;
	rig.config->control_admin_count = 2;
	assert_int_equal(rig_start(&rig, error, sizeof error), RESULT_NOT_FOUND);
	assert_non_null(strstr(error, "no-such-user-here"));
	rig.config->control_admin_count = 1;
	rig.config->control_group = "no-such-group-here";
	assert_int_equal(rig_start(&rig, error, sizeof error), RESULT_NOT_FOUND);
	assert_non_null(strstr(error, "no-such-group-here"));
	rig.config->control_group = NULL;
	assert_int_equal(rig_start(&rig, error, sizeof error), RESULT_OK);
}

/* ---- The socket file ------------------------------------------------------------------------- */

static void test_socket_comes_and_goes(void **state)
{
	(void)state;
	char error[256];
	struct stat status;
	assert_int_equal(rig_start(&rig, error, sizeof error), RESULT_OK);
	assert_int_equal(lstat(rig.socket, &status), 0);
	assert_true(S_ISSOCK(status.st_mode));
	assert_int_equal(status.st_mode & 0777, 0600);
	control_stop(rig.control);
	rig.control = NULL;
	assert_int_not_equal(lstat(rig.socket, &status), 0);
}

/* What a killed daemon leaves behind is taken over; a living one's is not. */
static void test_stale_socket_is_taken_over(void **state)
{
	(void)state;
	char error[256];
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	char folder[FOLDER_PATH_SIZE];
	folder_path(folder, rig.folder, "run");
	assert_int_equal(mkdir(folder, 0755), 0);
	assert_true(bytes_to_text(bytes_of_text(rig.socket), address.sun_path,
		sizeof address.sun_path));
	int stale = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(stale, (struct sockaddr *)&address, sizeof address), 0);
	assert_int_equal(listen(stale, 1), 0);

	assert_int_equal(rig_start(&rig, error, sizeof error), RESULT_BUSY);
	assert_non_null(strstr(error, "another penstockd"));
	close(stale);
	assert_int_equal(rig_start(&rig, error, sizeof error), RESULT_OK);
	assert_int_equal(rig_ask(&rig, "GET", "/v1/version"), 200);
}

static void test_other_files_are_left_alone(void **state)
{
	(void)state;
	char error[256];
	char folder[FOLDER_PATH_SIZE];
	folder_path(folder, rig.folder, "run");
	assert_int_equal(mkdir(folder, 0755), 0);
	FILE *file = fopen(rig.socket, "w");
	assert_non_null(file);
	fclose(file);
	assert_int_equal(rig_start(&rig, error, sizeof error), RESULT_EXISTS);
	assert_int_equal(access(rig.socket, F_OK), 0);
	assert_int_equal(unlink(rig.socket), 0);
	assert_int_equal(rig_start(&rig, error, sizeof error), RESULT_OK);
	/* Nor is a file that took our socket's place removed when we stop. */
	assert_int_equal(unlink(rig.socket), 0);
	file = fopen(rig.socket, "w");
	fclose(file);
	control_stop(rig.control);
	rig.control = NULL;
	assert_int_equal(access(rig.socket, F_OK), 0);
}

/* ---- Requests as they should not be ---------------------------------------------------------- */

static unsigned send_raw(const char *text, size_t size)
{
	int fd = rig_connect(&rig);
	assert_true(fd >= 0);
	rig_send(fd, text, size);
	bool answered = rig_receive(&rig, fd);
	close(fd);
	return answered ? rig.status : 0;
}

static void test_malformed_requests(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		unsigned status;
		const char *code;
	} cases[] = {
		{ "nonsense\r\n\r\n", 400, "bad_request_line" },
		{ "GET /v1/status HTTP/1.1\nHost: x\n\n", 400, "bare_line_feed" },
		{ "GET /v1/status HTTP/1.1\r\n\r\n", 400, "host_missing" },
		{ "GET /v1/status HTTP/2.7\r\nHost: x\r\n\r\n", 505, "version_not_supported" },
		{ "\x16\x03\x01\x02\r\n\r\n", 400, NULL },
		{ REQUEST("GET", "/v1/nothing"), 404, "no_such_route" },
		{ REQUEST("GET", "/v1/status/"), 404, "no_such_route" },
		{ REQUEST("GET", "/v1/events//payload"), 404, "no_such_route" },
		{ REQUEST("DELETE", "/v1/status"), 405, "method_not_allowed" },
		{ REQUEST("GET", "/v1/reload"), 405, "method_not_allowed" },
		{ REQUEST("GET", "/v1/status?x=1"), 400, "bad_parameter" },
		{ REQUEST("GET", "/v1/events?limit=0"), 400, "bad_parameter" },
		{ REQUEST("GET", "/v1/events?limit=1001"), 400, "bad_parameter" },
		{ REQUEST("GET", "/v1/events?limit=1&limit=2"), 400, "bad_parameter" },
		{ REQUEST("GET", "/v1/events?limit="), 400, "bad_parameter" },
		{ REQUEST("GET", "/v1/events?endpoint=%0a"), 400, "bad_parameter" },
		{ REQUEST("GET", "/v1/events?endpoint=%zz"), 400, NULL },
		{ "POST /v1/stop HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}", 413,
			"body_not_expected" },
		{ "POST /v1/stop HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", 413,
			"body_not_expected" },
	};
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		unsigned status = send_raw(cases[i].text, strlen(cases[i].text));
		if (status != cases[i].status) fail_msg("case %zu: %u %s", i, status, rig.body);
		rig_expect(&rig, "penstock.problem/v1");
		if (cases[i].code == NULL) continue;
		assert_string_equal(rig_member(&rig, "code"), cases[i].code);
	}
	assert_int_equal(atomic_load(&rig.stops), 0);
	assert_int_equal(send_raw(cases[9].text, strlen(cases[9].text)), 405);
	assert_non_null(strstr(rig.head, "\r\nAllow: POST\r\n"));
}

static void test_oversize_head(void **state)
{
	(void)state;
	static char text[4 * HTTP_HEAD_SIZE_MAX];
	int size = snprintf(text, sizeof text, "GET /v1/status HTTP/1.1\r\nHost: x\r\nLong: ");
	memset(text + size, 'a', sizeof text - (size_t)size);
	assert_int_equal(send_raw(text, sizeof text), 431);
	assert_int_equal(rig_ask(&rig, "GET", "/v1/version"), 200);
}

/* Several on one connection are answered in order, pipelined or not. */
static void test_requests_on_one_connection(void **state)
{
	(void)state;
	static const char text[] =
		"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
		"POST /v1/reload HTTP/1.1\r\nHost: x\r\n\r\n"
		"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n" REQUEST("GET", "/v1/version");
	assert_int_equal(send_raw(text, sizeof text - 1), 200);
	/* The first one's body is followed by the others, whole. */
	static const char *const parts[] = { "penstock.health/v1", "penstock.reload/v1",
		"penstock.health/v1", "penstock.version/v1" };
	const char *at = rig.body;
	for (size_t i = 0; i < ARRAY_COUNT(parts); i++) {
		at = strstr(at, parts[i]);
		assert_non_null(at);
		at++;
	}
}

/* ---- Slow ones and many ---------------------------------------------------------------------- */

/* A head that does not end, and a connection that says nothing, are closed. */
static void test_slow_clients_are_closed(void **state)
{
	(void)state;
	char error[256];
	control_limits.head_ms = 20;
	assert_int_equal(rig_start(&rig, error, sizeof error), RESULT_OK);
	int fd = rig_connect(&rig);
	rig_send(fd, "GET /v1", 7);
	assert_false(rig_receive(&rig, fd));
	close(fd);
	fd = rig_connect(&rig);
	assert_false(rig_receive(&rig, fd));
	close(fd);
}

/* One that takes nothing of a large answer is closed, and others are answered meanwhile. */
static void test_client_that_does_not_read(void **state)
{
	(void)state;
	char error[256];
	control_limits.send_ms = 300;
	assert_int_equal(rig_start(&rig, error, sizeof error), RESULT_OK);
	for (unsigned i = 0; i < 1000; i++) rig_event(&rig, 0, UINT64_C(1790000000000000) + i);
	static const char text[] = REQUEST("GET", "/v1/events?limit=1000");
	int fd = rig_connect(&rig);
	int small = 4096;
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small), 0);
	rig_send(fd, text, sizeof text - 1);
	assert_int_equal(rig_ask(&rig, "GET", "/v1/version"), 200);
	struct pollfd wait = { .fd = fd, .events = 0 };
	while (poll(&wait, 1, 10) == 0) continue; /* it hangs up on us */
	close(fd);
	assert_int_equal(rig_ask(&rig, "GET", "/v1/events?limit=1000"), 200);
	rig_expect(&rig, "\"scanned\":1000");
}

/* Idle connections make room; the newcomer is answered. */
static void test_more_clients_than_room(void **state)
{
	(void)state;
	int fds[2 * CONTROL_CLIENTS_MAX];
	for (size_t i = 0; i < ARRAY_COUNT(fds); i++) {
		fds[i] = rig_connect(&rig);
		assert_true(fds[i] >= 0);
	}
	assert_int_equal(rig_ask(&rig, "GET", "/v1/version"), 200);
	for (size_t i = 0; i < ARRAY_COUNT(fds); i++) close(fds[i]);
}

/* ---- The loopback listener ------------------------------------------------------------------- */

/* A port nobody has at the moment. */
static uint16_t free_port(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	socklen_t size = sizeof address;
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
	close(fd);
	return ntohs(address.sin_port);
}

static unsigned ask_loopback(uint16_t port, const char *text)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
	rig_send(fd, text, strlen(text));
	assert_true(rig_receive(&rig, fd));
	close(fd);
	return rig.status;
}

static void test_loopback_listener(void **state)
{
	(void)state;
	char error[256];
	uint16_t port = free_port();
	rig.config->metrics_address = (struct io_address){ .ip = { 127, 0, 0, 1 }, .port = port };
	assert_int_equal(rig_start(&rig, error, sizeof error), RESULT_OK);

	assert_int_equal(ask_loopback(port, REQUEST("GET", "/healthz")), 200);
	assert_int_equal(ask_loopback(port, REQUEST("GET", "/readyz")), 200);
	atomic_store(&rig.state, (int)DAEMON_DRAINING);
	assert_int_equal(ask_loopback(port, REQUEST("GET", "/readyz")), 503);
	rig_expect(&rig, "\"state\":\"draining\"");
	assert_int_equal(ask_loopback(port, REQUEST("GET", "/healthz")), 200);
	atomic_store(&rig.state, (int)DAEMON_FAILED);
	assert_int_equal(ask_loopback(port, REQUEST("GET", "/healthz")), 503);
	/* Whoever can reach a port is nobody. */
	assert_int_equal(ask_loopback(port, REQUEST("GET", "/v1/status")), 403);
	assert_int_equal(ask_loopback(port, REQUEST("POST", "/v1/stop")), 403);
	assert_int_equal(ask_loopback(port, "GET /metrics HTTP/1.0\r\n\r\n"), 200);
	assert_non_null(strstr(rig.head, metrics_content_type(METRICS_FORMAT_TEXT)));
	rig_expect(&rig, "\npenstock_ready 0\n");
	rig_expect(&rig, "\npenstock_connections{worker=\"1\"} 18\n");
	rig_expect(&rig, "\npenstock_worker_cpu_seconds_total{worker=\"0\"} 1.5\n");
	rig_expect(&rig, "\npenstock_start_timestamp_seconds 1780000000\n");
	rig_expect(&rig, "\npenstock_requests_total 0\n");
}

int main(void)
{
#define STOPPED(name) cmocka_unit_test_setup_teardown(name, set_up_stopped, tear_down)
#define STARTED(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_roles_follow_users_and_groups),
		STOPPED(test_kernel_says_who_asks),
		STOPPED(test_named_users_need_no_group),
		STOPPED(test_unknown_names_are_refused),
		STOPPED(test_socket_comes_and_goes),
		STOPPED(test_stale_socket_is_taken_over),
		STOPPED(test_other_files_are_left_alone),
		STARTED(test_malformed_requests),
		STARTED(test_oversize_head),
		STARTED(test_requests_on_one_connection),
		STOPPED(test_slow_clients_are_closed),
		STOPPED(test_client_that_does_not_read),
		STARTED(test_more_clients_than_room),
		STOPPED(test_loopback_listener),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
