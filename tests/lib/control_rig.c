/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lib/control_rig.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/check.h"
#include "http/http_chunked.h"
#include "http/http_response.h"

/* An answer that takes longer will not come. */
enum { ANSWER_TIMEOUT_MS = 20000 };

/* ---- The daemon ------------------------------------------------------------------------------ */

static enum daemon_state on_state(void *owner)
{
	struct rig *rig = owner;
	return (enum daemon_state)atomic_load(&rig->state);
}

static void on_worker_status(void *owner, uint32_t worker, struct control_worker_status *ret)
{
	(void)owner;
	*ret = (struct control_worker_status){
		.cpu = worker == 0 ? 3 : -1,
		.connections = 17 + worker,
		.connections_max = 1000,
		.cpu_us = 1500000,
	};
}

static void on_target_status(void *owner, uint32_t target_id, struct control_target_status *ret)
{
	(void)owner;
	bool orders = target_id == flow_id_of_name("orders");
	*ret = (struct control_target_status){ .active = 2, .idle = 3, .ready = 4 };
	if (orders)
		bytes_to_text(BYTES_LITERAL("refused"), ret->last_error, sizeof ret->last_error);
}

static struct flow *on_flow(void *owner)
{
	struct rig *rig = owner;
	return flow_acquire(rig->flow);
}

static enum result on_change(void *owner, struct control_change *change)
{
	struct rig *rig = owner;
	atomic_fetch_add(&rig->reloads, 1);
	rig->change = *change;
	*change->report = (struct config_report){ .path = "penstock.yaml" };
	while (atomic_load(&rig->reload_is_held)) poll(NULL, 0, 1);
	if (rig->reload_result == RESULT_CONFIG) {
		config_report_add(change->report, CONFIG_ERROR, "PS1205",
			(struct config_position){ .line = 3, .column = 7 }, "write it right",
			"it is \"wrong\"");
	}
	change->generation = 2;
	change->changes->count = 1;
	snprintf(change->changes->lines[0], CONFIG_CHANGE_SIZE, "endpoint github: tolerance");
	return rig->reload_result;
}

static enum result on_confirm(void *owner, const char *actor, uint64_t *ret_generation)
{
	struct rig *rig = owner;
	(void)actor;
	*ret_generation = 2;
	return rig->reload_result;
}

static size_t on_history(void *owner, struct control_generation *rows, size_t rows_max)
{
	(void)owner;
	CHECK(rows_max >= 2);
	rows[0] = (struct control_generation){ .number = 2,
		.time = { UINT64_C(1790000000000000) },
		.kind = CONTROL_CHANGE_RELOAD,
		.outcome = CONTROL_OUTCOME_REFUSED,
		.actor = "uid 0 pid 1",
		.changes = "3:7: PS1205: it is wrong" };
	rows[1] = (struct control_generation){ .number = 2,
		.time = { UINT64_C(1780000000000000) },
		.kind = CONTROL_CHANGE_START,
		.outcome = CONTROL_OUTCOME_SERVED,
		.text = 1,
		.actor = "start" };
	return 2;
}

static void on_drain(void *owner)
{
	struct rig *rig = owner;
	atomic_fetch_add(&rig->drains, 1);
	atomic_store(&rig->state, (int)DAEMON_DRAINING);
}

static void on_drain_left(void *owner, uint64_t outstanding)
{
	(void)owner;
	(void)outstanding;
}

static enum result on_upgrade(void *owner, char *error, size_t error_size)
{
	struct rig *rig = owner;
	snprintf(error, error_size, "penstock.yaml:3:7: it is wrong");
	return rig->reload_result;
}

static void on_stop(void *owner)
{
	struct rig *rig = owner;
	atomic_fetch_add(&rig->stops, 1);
	atomic_store(&rig->state, (int)DAEMON_STOPPING);
}

/* ---- Opening --------------------------------------------------------------------------------- */

static void write_secret(const struct rig *rig)
{
	char path[FOLDER_PATH_SIZE];
	folder_path(path, rig->folder, "github");
	FILE *file = fopen(path, "w");
	CHECK(file != NULL);
	CHECK(fputs("It's a Secret to Everybody\n", file) >= 0);
	CHECK(fchmod(fileno(file), 0600) == 0);
	CHECK(fclose(file) == 0);
}

static uint64_t on_tls_allocations(void)
{
	return 4711;
}

static void open_flow(struct rig *rig)
{
	static const char text[] =
		"listeners: [{ address: '127.0.0.1:8443', tls: off }]\n"
		"endpoints:\n"
		"  - { name: github, path: /in/github, scheme: github, secret_file: github,\n"
		"      targets: [orders, audit] }\n"
		"targets:\n"
		"  - { name: orders, url: 'http://127.0.0.1:1/with/secret-token' }\n"
		"  - { name: audit, url: 'http://127.0.0.1:2/' }\n"
		"store: { path: store }\n"
		"metrics: off\n"
		"control: { socket: run/control.sock }\n";
	static struct config_report report;
	char path[FOLDER_PATH_SIZE];
	struct config *config = NULL;
	write_secret(rig);
	folder_path(path, rig->folder, "penstock.yaml");
	enum result result = config_parse(path, bytes_of_text(text), &config, &report);
	if (result == RESULT_OK) result = flow_compile(config, 1, &rig->flow, &report);
	if (result != RESULT_OK) config_report_print(&report, stderr, false);
	CHECK(result == RESULT_OK);
	rig->config = config;
	folder_path(rig->socket, rig->folder, "run/control.sock");
}

static void remember_names(struct shard *shard)
{
	const struct shard_name names[] = {
		{ 'e', flow_id_of_name("github"), "github" },
		{ 't', flow_id_of_name("orders"), "orders" },
		{ 't', flow_id_of_name("audit"), "audit" },
	};
	CHECK(shard_remember_names(shard, names, ARRAY_COUNT(names)) == RESULT_OK);
}

void rig_open_stopped(struct rig *rig)
{
	*rig = (struct rig){ 0 };
	folder_make(rig->folder);
	open_flow(rig);
	atomic_store(&rig->state, (int)DAEMON_READY);
	for (uint16_t i = 0; i < RIG_SHARDS; i++) {
		struct world *world = &rig->worlds[i];
		folder_make(world->folder);
		world->config.store.shard = i;
		world->config.store.quota_size = UINT64_C(256) << 20;
		world->config.cpu = -1;
		world->now_us = UINT64_C(1790000000000000);
		CHECK(world_open_at(world, world->folder) == RESULT_OK);
		remember_names(world->shard);
		rig->shards[i] = world->shard;
		rig->queues[i] = world->queue;
	}
}

enum result rig_start(struct rig *rig, char *error, size_t error_size)
{
	const struct control_daemon daemon = {
		.owner = rig,
		.started = { UINT64_C(1780000000000000) },
		.state = on_state,
		.worker_count = RIG_SHARDS,
		.shards = rig->shards,
		.queues = rig->queues,
		.replay = rig->worlds[0].replay,
		.worker_status = on_worker_status,
		.target_status = on_target_status,
		.flow = on_flow,
		.change = on_change,
		.confirm = on_confirm,
		.history = on_history,
		.drain = on_drain,
		.drain_left = on_drain_left,
		.upgrade = on_upgrade,
		.stop = on_stop,
		.io_features = "none",
		.tls_allocations = on_tls_allocations,
	};
	return control_start(rig->config, &daemon, &rig->control, error, error_size);
}

void rig_open(struct rig *rig)
{
	char error[256] = "";
	rig_open_stopped(rig);
	enum result result = rig_start(rig, error, sizeof error);
	if (result != RESULT_OK) fprintf(stderr, "rig: %s\n", error);
	CHECK(result == RESULT_OK);
}

void rig_close(struct rig *rig)
{
	control_stop(rig->control);
	for (size_t i = 0; i < RIG_SHARDS; i++) world_end(&rig->worlds[i]);
	flow_release(rig->flow);
	folder_remove(rig->folder);
}

/* ---- Events ---------------------------------------------------------------------------------- */

static void on_appended(struct store_job *job)
{
	CHECK(job->result == RESULT_OK);
}

/* A transaction of LMDB belongs to one thread: none is left open for the control thread. */
static void settle_down(struct world *world)
{
	world_run(world);
	enum result result = store_writer_flush(shard_writer(world->shard));
	MAYBE(result != RESULT_OK); /* tests make disks full */
}

const char *rig_event(struct rig *rig, uint32_t shard, uint64_t received_us)
{
	static char id[EVENT_ID_TEXT_SIZE];
	struct world *world = &rig->worlds[shard];
	uint64_t sequence = shard_counters(world->shard).next_sequence;
	static const char payload[] = "{\"payload\":\"of the event\"}";
	struct shard_append append = {
		.job = { .complete = on_appended },
		.event = {
			.received = { received_us },
			.endpoint_id = flow_id_of_name("github"),
			.flow_version = 1,
			.target_count = 2,
			.target_ids = { flow_id_of_name("orders"), flow_id_of_name("audit") },
			.content_type = BYTES_LITERAL("application/json"),
			.provider_event_id = BYTES_LITERAL("id \"with\" \x01 \xff"),
			.forward_fields = BYTES_LITERAL("x-github-event: push\r\n"),
		},
		.payload = BYTES_LITERAL("{\"payload\":\"of the event\"}"),
		.identity = { .low = sequence, .high = shard },
		.replay_expires = { received_us + 3600 * US_PER_S },
	};
	append.event.payload_size = sizeof payload - 1;
	hash_sha256(append.payload, append.event.payload_sha256);
	shard_append_submit(world->shard, &append);
	while (store_writer_step(shard_writer(world->shard)) > 0) continue;
	queue_appended(world->queue, &append.event);
	settle_down(world);
	event_id_format(&append.event, id);
	return id;
}

void rig_settle(struct rig *rig, uint32_t shard, const char *target, enum attempt_outcome outcome)
{
	struct world *world = &rig->worlds[shard];
	uint64_t due_us = outcome == ATTEMPT_RETRY ? world->now_us + 60 * US_PER_S : 0;
	world_settle(world, world_lease(world, flow_id_of_name(target)), outcome, due_us);
	settle_down(world);
}

/* ---- Asking ---------------------------------------------------------------------------------- */

int rig_connect(const struct rig *rig)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	CHECK(bytes_to_text(bytes_of_text(rig->socket), address.sun_path, sizeof address.sun_path));
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CHECK(fd >= 0);
	if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0) return fd;
	close(fd);
	return -1;
}

void rig_send(int fd, const char *text, size_t size)
{
	while (size > 0) {
		ssize_t sent = send(fd, text, size, MSG_NOSIGNAL);
		if (sent < 0) return; /* it has closed already: the answer says why */
		text += sent;
		size -= (size_t)sent;
	}
}

static void unchunk(struct rig *rig)
{
	struct http_chunked chunked = { 0 };
	size_t consumed;
	size_t decoded;
	enum http_fault fault;
	CHECK(http_chunked_decode(&chunked, (uint8_t *)rig->body, rig->body_size, &consumed,
		      &decoded, &fault) == HTTP_PARSE_DONE);
	rig->body_size = decoded;
}

static void take_apart(struct rig *rig, struct bytes answer)
{
	struct http_response response;
	enum http_fault fault = HTTP_FAULT_NONE;
	size_t scanned = 0;
	size_t head_size = 0;
	CHECK(http_head_find(answer, &scanned, &head_size, &fault) == HTTP_PARSE_DONE);
	struct bytes head = bytes_of(answer.data, head_size);
	CHECK(http_response_parse(head, false, &response, &fault) == HTTP_PARSE_DONE);
	rig->status = response.status;
	CHECK(bytes_to_text(head, rig->head, sizeof rig->head));
	struct bytes body = bytes_from(answer, head_size);
	CHECK(body.size < RIG_BODY_SIZE);
	memcpy(rig->body, body.data, body.size);
	rig->body_size = body.size;
	if (response.body == HTTP_BODY_CHUNKED) {
		unchunk(rig);
	} else {
		CHECK(response.body == HTTP_BODY_NONE || response.content_length <= body.size);
	}
	rig->body[rig->body_size] = '\0';
}

bool rig_receive(struct rig *rig, int fd)
{
	static uint8_t answer[RIG_BODY_SIZE];
	size_t size = 0;
	rig->status = 0;
	for (int waited_ms = 0; waited_ms < ANSWER_TIMEOUT_MS;) {
		struct pollfd wait = { .fd = fd, .events = POLLIN };
		if (poll(&wait, 1, 1) == 0) {
			waited_ms++;
			for (size_t i = 0; i < RIG_SHARDS; i++) world_run(&rig->worlds[i]);
			continue;
		}
		ssize_t got = recv(fd, answer + size, sizeof answer - size, 0);
		if (got <= 0) break;
		size += (size_t)got;
	}
	if (size == 0) return false;
	take_apart(rig, bytes_of(answer, size));
	return true;
}

unsigned rig_ask(struct rig *rig, const char *method, const char *target)
{
	static char request[HTTP_HEAD_SIZE_MAX];
	int size = snprintf(request, sizeof request,
		"%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", method, target);
	CHECK(size > 0 && size < (int)sizeof request);
	int fd = rig_connect(rig);
	CHECK(fd >= 0);
	rig_send(fd, request, (size_t)size);
	CHECK(rig_receive(rig, fd));
	close(fd);
	return rig->status;
}

void rig_expect(const struct rig *rig, const char *text)
{
	if (strstr(rig->body, text) != NULL) return;
	fprintf(stderr, "\"%s\" is not in %u: %s\n", text, rig->status, rig->body);
	UNREACHABLE();
}

void rig_expect_not(const struct rig *rig, const char *text)
{
	if (strstr(rig->body, text) == NULL) return;
	fprintf(stderr, "\"%s\" should not be in %u: %s\n", text, rig->status, rig->body);
	UNREACHABLE();
}

const char *rig_member(const struct rig *rig, const char *name)
{
	static char value[4096];
	char key[64];
	snprintf(key, sizeof key, "\"%s\":\"", name);
	const char *at = strstr(rig->body, key);
	if (at == NULL) return "";
	at += strlen(key);
	size_t size = strcspn(at, "\"");
	CHECK(bytes_to_text(bytes_of(at, size), value, sizeof value));
	return value;
}
