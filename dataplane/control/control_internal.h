/* SPDX-License-Identifier: GPL-2.0-or-later */
/* control_internal — what the files of this folder share: one client, one call, one task.
 *
 * A client is a connection. Its request becomes a call: route, parameters, who asks, and the
 * answer being written. A quick call is answered on the control thread; a slow one is given to a
 * task, a thread of its own, and the client waits. Clients belong to the control thread alone;
 * a call belongs to its client, or to its task while that runs.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "control/control.h"
#include "control/control_json.h"
#include "control/control_query.h"
#include "control/protocol.h"
#include "http/http_request.h"
#include "metrics/metrics_expose.h"
#include "queue/shard_action.h"

/* ---- Who asks -------------------------------------------------------------------------------- */

enum { CONTROL_ACTOR_SIZE = 64, CONTROL_USER_NAME_SIZE = 33 };
enum { CONTROL_USERS_MAX = CONTROL_ADMINS_MAX + CONTROL_OPERATORS_MAX };

struct control_peer {
	bool loopback; /* came over the loopback listener: nobody knows who it is */
	enum control_role role;
	uid_t uid;
	pid_t pid;
	char actor[CONTROL_ACTOR_SIZE]; /* "alice uid 1000 pid 4711": log lines, audit leaves */
};

/* A user whom the configuration names. */
struct control_user {
	uid_t uid;
	enum control_role role;
	bool is_outside; /* neither owner nor group of the socket let him open it */
	char name[CONTROL_USER_NAME_SIZE]; /* cut off when it is longer */
};

/* Who has which role, resolved when control starts. */
struct control_access {
	uid_t own_uid;
	bool has_group;
	gid_t group;
	char own_name[CONTROL_USER_NAME_SIZE];
	uint32_t user_count;
	struct control_user users[CONTROL_USERS_MAX];
};

MUST_USE enum result control_access_load(const struct config *config, struct control_access *ret,
	char *error, size_t error_size);
/* Reads the credentials of a connection of the Unix socket. */
void control_peer_read(const struct control_access *access, int fd, struct control_peer *ret);
/* The name of a user who may change something: all of them are known. "" for others. */
const char *control_access_name(const struct control_access *access, uid_t uid);
/* Pure: the rule itself. */
enum control_role control_access_role(const struct control_access *access, uid_t uid,
	const gid_t *groups, size_t group_count);

/* ---- The listeners --------------------------------------------------------------------------- */

struct control_socket {
	int fd; /* -1: not open */
	char path[108];
	dev_t device; /* of the socket file: another's is not removed when we stop */
	ino_t inode;
};

MUST_USE enum result control_socket_open(const char *path, const struct control_access *access,
	struct control_socket *ret, char *error, size_t error_size);
void control_socket_close(struct control_socket *socket);
/* control_acl.c */
MUST_USE enum result control_acl_set(const struct control_access *access, const char *path,
	char *error, size_t error_size);
MUST_USE enum result control_loopback_open(const struct io_address *address, int *ret_fd,
	char *error, size_t error_size);

/* ---- One call -------------------------------------------------------------------------------- */

/* The head is written in front of the body when its size is known. */
enum { CONTROL_HEAD_ROOM = 512 };

struct control_task;

struct control_call {
	struct control *control;
	const struct control_daemon *daemon;
	enum control_route route;
	struct control_peer peer;
	char id[40]; /* what stood for {id} */
	struct control_query query;
	enum metrics_format metrics_format; /* what the client accepts */
	struct control_task *task;          /* NULL on the control thread */

	/* The answer. */
	unsigned status;
	const char *content_type;
	const char *allow; /* of a 405 */
	uint8_t *memory;   /* CONTROL_ANSWER_SIZE_MAX bytes; the call's own */
	struct writer body;
	struct json json; /* into body */
};

/* Never NULL. */
struct control_call *control_call_create(struct control *control, const struct control_peer *peer);
void control_call_free(struct control_call *call);

/* Finds the route and checks role and parameters. False: the answer is a problem already. */
bool control_route_find(struct control_call *call, const struct http_request *request);
void control_route_run(struct control_call *call);
enum control_pace control_route_pace(enum control_route route);

/* Starts a 200 with a JSON object that has this schema; json_object_end() ends it. */
struct json *control_answer(struct control_call *call, const char *schema);
/* Drops what was written and answers with a problem document instead. */
void control_problem(struct control_call *call, unsigned status, const char *code,
	const char *title, const char *format, ...) __attribute__((format(printf, 5, 6)));
/* The same, left open for more members: json_object_end() ends it. */
struct json *control_problem_open(struct control_call *call, unsigned status, const char *code,
	const char *title, const char *detail);
/* Finished by the handler? If not, or if it did not fit, the answer becomes a 500. */
void control_answer_check(struct control_call *call);

/* ---- What handlers have in common ------------------------------------------------------------ */

/* 1 … CONTROL_LIMIT_MAX. False: the answer is a problem already. */
bool control_limit(struct control_call *call, uint32_t *ret_limit);
/* Begins a read of the event with that id, which control_event_end() ends. False: the answer is a
 * problem already and nothing was begun. The id's own time must be the event's. */
bool control_event_begin(struct control_call *call, const char *id, struct store_txn *txn,
	struct event *ret);
void control_event_end(struct store_txn *txn);
/* The parameter target= as an id; *ret_given says whether it was there. False: no target was ever
 * called that, and the answer is a problem already. */
bool control_target_parameter(struct control_call *call, bool *ret_given, uint32_t *ret_id);
/* Whether an id ('e' endpoint, 't' target) has a name in the flow or in a shard. */
bool control_name_known(struct control_call *call, char kind, const char *name);
void control_problem_store(struct control_call *call, enum result result);
/* The current flow, acquired, or NULL with a problem as the answer. */
struct flow *control_flow(struct control_call *call);
wall_t control_now(void);
mono_t control_mono(void);

void control_json_event_id(struct json *json, const char *key, const struct event *event);
/* What an id was called, or "?". */
void control_json_name(struct json *json, const char *key, struct store_txn *txn, char kind,
	uint32_t id);
/* The array "attempts" of one delivery. Excerpts of answers are for admins: a target may echo
 * what it was sent. */
void control_json_attempts(struct control_call *call, struct store_txn *txn,
	const struct event *event, uint32_t target_id);

/* control_action.c; task threads. Writes what the caller was asked to do, by whom, with this text,
 * into the audit log and the log. */
void control_action(struct control_call *call, enum shard_action_kind kind, const char *text);

/* Accounts by endpoint id, over all shards. */
struct control_ledger {
	struct account *accounts;
	uint32_t count;
	struct account total;
	bool balanced; /* each of them, in each shard */
};
void control_ledger_gather(const struct control_daemon *daemon, struct control_ledger *ret);
void control_ledger_free(struct control_ledger *ledger);

/* ---- Slow calls ------------------------------------------------------------------------------ */

/* Lines of a stream that the client has not been given yet. */
enum { CONTROL_STREAM_SIZE = 256 * 1024 };

struct control_client;

struct control_task {
	struct control *control;
	struct control_client *client; /* control thread only; NULL once it has gone */
	struct control_call *call;
	pthread_t thread;
	bool active;          /* control thread only */
	pthread_mutex_t lock; /* over the two below */
	bool finished;
	struct writer stream;  /* of a streaming route; no memory otherwise */
	atomic_bool abandoned; /* its client has gone: a stream without end ends */
};

/* One for each route that is not quick, and more for the one that may run several times. */
enum { CONTROL_TASK_COUNT = CONTROL_ROUTE_COUNT + TAP_FOLLOWERS_MAX - 1 };

void control_tasks_init(struct control *control);
/* Takes the call over when true. False: as many as may are running already, the answer says so. */
bool control_task_start(struct control_client *client, struct control_call *call);
/* Moves what tasks have made to their clients; ends finished ones. */
void control_tasks_collect(struct control *control);
/* Waits for all of them. */
void control_tasks_done(struct control *control);
/* Task thread: sends what stands in call->body as one line and empties it. A line that may be
 * dropped is, when the client is slow to take the earlier ones: false. */
bool control_stream_line(struct control_call *call, bool may_drop);
/* Before a tail's stream begins. False: the answer is a problem already. */
bool control_tail_admit(struct control_call *call);

/* ---- Clients --------------------------------------------------------------------------------- */

enum client_state { CLIENT_FREE, CLIENT_READING, CLIENT_WAITING, CLIENT_STREAMING, CLIENT_WRITING };

struct control_client {
	struct control *control;
	enum client_state state;
	int fd;
	struct control_peer peer;
	uint8_t *input; /* HTTP_HEAD_SIZE_MAX bytes */
	size_t input_size;
	size_t scanned;
	bool keep_alive;
	bool chunked;              /* the stream that goes on is in chunks */
	struct control_call *call; /* its answer is being sent; NULL while reading or waiting */
	struct control_task *task; /* while waiting or streaming */
	uint8_t *output;           /* in call->memory */
	size_t output_size;
	uint64_t deadline_us; /* mono; UINT64_MAX: none */
};

/* Time limits; tests shorten them. */
struct control_limits {
	uint32_t head_ms;
	uint32_t idle_ms;
	uint32_t send_ms;
};
extern struct control_limits control_limits;

void control_client_open(struct control_client *client, int fd, const struct control_peer *peer);
void control_client_close(struct control_client *client);
/* What poll() is to wait for. */
short control_client_events(const struct control_client *client);
void control_client_ready(struct control_client *client, short events);
void control_client_expire(struct control_client *client, uint64_t now_us);
/* From a task, on the control thread. */
void control_client_answer(struct control_client *client, struct control_call *call);
void control_client_stream(struct control_client *client, struct bytes line);
void control_client_stream_end(struct control_client *client);
/* After an answer: a pipelined request may have been waiting for it to go. */
void control_client_continue(struct control_client *client);

struct control {
	struct control_daemon daemon;
	struct control_access access;
	struct control_socket socket;
	int loopback_fd; /* -1: off */
	int wake_fd;
	pthread_t thread;
	atomic_bool stopping;
	atomic_bool pinged; /* and has not made a turn since */
	/* First those of the socket, then those of the loopback listener. */
	struct control_client clients[2 * CONTROL_CLIENTS_MAX];
	struct control_task tasks[CONTROL_TASK_COUNT]; /* those of quick routes stay idle */
	/* Of the last reload since start. */
	_Atomic uint64_t reload_us; /* wall; 0: there was none */
	atomic_bool reload_ok;
};

void control_wake(struct control *control);

/* Handlers, by the table in protocol.h. */
#define X(name, handler, method, path, role, pace, parameters, help) \
	void control_handle_##handler(struct control_call *call);
CONTROL_ROUTE_TABLE(X)
#undef X
