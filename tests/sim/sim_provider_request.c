/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What providers send, and what they may be told about it. */
#include "sim/sim_provider.h"

#include <stdio.h>

#include "base/check.h"
#include "http/http_write.h"

enum {
	PPM = 1000000,
	STALE_S_MIN = 60,
	STALE_S_MAX = 7200,
	REPLAY_AGE_S_MAX = 200,
	ATTACK_SIZE_MAX = 3000,
	RESEND_US_MIN = 20000,
	RESEND_US_MAX = 8000000,
	MALFORMED_COUNT = 9,
	ONE_IN_CHUNKED = 8,
	ONE_IN_PIPELINED = 10,
	CHUNKS_SIZE_MAX = 4000,
};

/* ---- Choosing -------------------------------------------------------------------------------- */

static bool is_mine(const struct sim_provider *provider, uint32_t number)
{
	return provider->ledger->events[number].endpoint == provider->index;
}

/* Some event of its own for which `wanted` holds; they are few, so all are looked at. */
static bool choose_event(const struct sim_provider *provider,
	bool (*wanted)(const struct sim_provider *provider, const struct ledger_event *event),
	uint32_t *ret_number)
{
	struct ledger *ledger = provider->ledger;
	uint64_t count = 0;

	for (uint32_t number = 0; number < ledger->event_count; number++) {
		if (!is_mine(provider, number)) continue;
		if (!wanted(provider, &ledger->events[number])) continue;
		count++;
		if (sim_between(ledger->world, 1, count) == 1) *ret_number = number;
	}
	return count > 0;
}

static bool is_due(const struct sim_provider *provider, const struct ledger_event *event)
{
	return !event->acked && !event->abandoned && !event->in_flight &&
		event->next_try_us <= sim_world_now(provider->ledger->world).us;
}

static bool is_acked(const struct sim_provider *provider, const struct ledger_event *event)
{
	MAYBE(provider->stopping);
	return event->acked;
}

static enum request_kind choose_attack(const struct sim_provider *provider, uint32_t *ret_number)
{
	enum request_kind kind = (enum request_kind)sim_between(provider->ledger->world,
		REQUEST_REPLAY, REQUEST_KIND_COUNT - 1);

	if (kind == REQUEST_STALE && scheme_tolerance_s(provider->scheme) == 0) {
		kind = REQUEST_FORGED;
	}
	/* Only where the id stands apart from the body is another body another event's. */
	bool has_id =
		bytes_equal(bytes_of_text(scheme_name(provider->scheme)), BYTES_LITERAL("zen")) ||
		bytes_equal(bytes_of_text(scheme_name(provider->scheme)),
			BYTES_LITERAL("standard-webhooks")) ||
		bytes_equal(bytes_of_text(scheme_name(provider->scheme)), BYTES_LITERAL("stripe"));
	if (kind == REQUEST_CONFLICT && !has_id) kind = REQUEST_TAMPERED;
	if (kind == REQUEST_REPLAY || kind == REQUEST_CONFLICT) {
		if (!choose_event(provider, is_acked, ret_number)) kind = REQUEST_FORGED;
	}
	return kind;
}

/* ---- Writing --------------------------------------------------------------------------------- */

static void write_chunked(struct sim_world *world, struct writer *to, struct bytes body)
{
	while (body.size > 0) {
		size_t size = sim_between(world, 1, CHUNKS_SIZE_MAX);
		if (size > body.size) size = body.size;
		write_format(to, sim_chance(world, PPM / 4) ? "%zX;a=\"b\"\r\n" : "%zx\r\n", size);
		write_bytes(to, bytes_of(body.data, size));
		write_text(to, "\r\n");
		body = bytes_from(body, size);
	}
	write_text(to, sim_chance(world, PPM / 4) ? "0\r\nx-trailer: 1\r\n\r\n" : "0\r\n\r\n");
}

static void sign(const struct sim_provider *provider, enum request_kind kind, const char *id,
	struct bytes body, struct writer *to)
{
	struct sim_world *world = provider->ledger->world;
	wall_t now = io_wall(provider->loop->io);
	char url[128];

	if (kind == REQUEST_STALE) {
		uint32_t tolerance_s = scheme_tolerance_s(provider->scheme);
		now.us -= (tolerance_s + sim_between(world, STALE_S_MIN, STALE_S_MAX)) * US_PER_S;
	}
	if (kind == REQUEST_REPLAY) now.us -= sim_between(world, 0, REPLAY_AGE_S_MAX) * US_PER_S;
	snprintf(url, sizeof url, "%s%s",
		provider->endpoint->config->public_url == NULL
			? ""
			: provider->endpoint->config->public_url,
		provider->endpoint->config->path);
	enum result result =
		verifier_sign(kind == REQUEST_FORGED ? provider->forger : provider->signer,
			&(struct sign_input){
				.event_id = bytes_of_text(id),
				.method = BYTES_LITERAL("POST"),
				.url = bytes_of_text(url),
				.body = body,
				.now = now,
			},
			to);
	CHECK(result == RESULT_OK);
}

static void write_request(const struct sim_provider *provider, enum request_kind kind,
	const char *id, struct bytes body, struct writer *to)
{
	struct sim_world *world = provider->ledger->world;
	bool chunked = kind != REQUEST_TAMPERED && sim_between(world, 1, ONE_IN_CHUNKED) == 1;

	http_write_request_line(to, "POST", bytes_of_text(provider->endpoint->config->path),
		BYTES_LITERAL("hooks.example.org"));
	write_text(to, "Content-Type: application/json\r\n");
	sign(provider, kind, id, body, to);
	if (chunked) {
		write_text(to, "Transfer-Encoding: chunked\r\n");
	} else {
		http_write_field_decimal(to, "Content-Length", body.size);
	}
	if (sim_chance(world, PPM / 16)) write_text(to, "Expect: 100-continue\r\n");
	if (sim_chance(world, PPM / 16)) write_text(to, "Connection: close\r\n");
	http_write_end(to);
	if (chunked) {
		write_chunked(world, to, body);
	} else {
		write_bytes(to, body);
	}
	CHECK(!to->failed);
	/* The last letter of "data": not the framing, not the JSON. */
	if (kind == REQUEST_TAMPERED) to->data[to->size - 3] ^= 1;
}

static void write_malformed(const struct sim_provider *provider, struct writer *to)
{
	static const char *const requests[MALFORMED_COUNT] = {
		"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n"
		"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nabcde",
		"POST  /x HTTP/1.1\r\nHost: a\r\n\r\n",
		"POST /x HTTP/1.1\nHost: a\n\n",
		"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 TLS \r\n\r\n",
		"POST /x HTTP/1.1\r\n\r\n",
		"POST /x HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
		"POST /x HTTP/1.1\r\nHost: a\r\n folded: b\r\n\r\n",
		"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
		"5\r\nabcdefgh\r\n",
	};
	write_text(to, requests[sim_between(provider->ledger->world, 0, MALFORMED_COUNT - 1)]);
}

static void compose_one(struct sim_provider *provider, const struct expectation *expect,
	struct writer *to)
{
	static uint8_t memory[LEDGER_BODY_SIZE_MAX + 256];
	struct writer body = writer_of(memory, sizeof memory);
	struct ledger *ledger = provider->ledger;
	char id[LEDGER_ID_SIZE] = "at-00000000";

	sim_record(ledger->world, "request", expect->number, expect->kind);
	switch (expect->kind) {
	case REQUEST_EVENT:
	case REQUEST_REPLAY:
		ledger_event_id(expect->number, id);
		ledger_body(ledger, expect->number, &body);
		break;
	case REQUEST_CONFLICT: ledger_event_id(expect->number, id); /* fall through */
	case REQUEST_FORGED:
	case REQUEST_TAMPERED:
	case REQUEST_STALE:
		ledger_attack_body(ledger, id,
			(uint32_t)sim_between(ledger->world, 0, ATTACK_SIZE_MAX), &body);
		break;
	case REQUEST_MALFORMED: write_malformed(provider, to); return;
	case REQUEST_KIND_COUNT: UNREACHABLE();
	}
	write_request(provider, expect->kind, id, writer_bytes(&body), to);
}

void provider_write_event(struct sim_provider *provider, uint32_t number, struct writer *to)
{
	const struct expectation expect = { .kind = REQUEST_EVENT, .number = number };

	provider->ledger->events[number].try_count++;
	compose_one(provider, &expect, to);
}

static bool compose_event(struct sim_provider *provider, struct writer *to,
	struct expectation *expect)
{
	struct ledger *ledger = provider->ledger;

	*expect = (struct expectation){ .kind = REQUEST_EVENT };
	if (!choose_event(provider, is_due, &expect->number)) return false;
	if (ledger->events[expect->number].size > to->capacity - to->size) return false;
	ledger->events[expect->number].in_flight = true;
	ledger->events[expect->number].try_count++;
	compose_one(provider, expect, to);
	return true;
}

uint32_t provider_compose(struct sim_provider *provider, struct writer *to,
	struct expectation expects[static LANE_EXPECTS_MAX])
{
	struct ledger *ledger = provider->ledger;

	if (sim_chance(ledger->world, provider->attack_ppm)) {
		expects[0] = (struct expectation){ 0 };
		expects[0].kind = choose_attack(provider, &expects[0].number);
		ledger->attacks++;
		compose_one(provider, &expects[0], to);
		return 1;
	}
	uint32_t wanted = 1;
	if (sim_between(ledger->world, 1, ONE_IN_PIPELINED) == 1) {
		wanted = (uint32_t)sim_between(ledger->world, 2, LANE_EXPECTS_MAX);
	}
	uint32_t count = 0;
	while (count < wanted && compose_event(provider, to, &expects[count])) count++;
	return count;
}

/* ---- Answers --------------------------------------------------------------------------------- */

static void try_again(struct sim_provider *provider, uint32_t number)
{
	struct ledger *ledger = provider->ledger;
	struct ledger_event *event = &ledger->events[number];

	event->next_try_us = sim_world_now(ledger->world).us +
		sim_between(ledger->world, RESEND_US_MIN, RESEND_US_MAX);
}

static void refuse(const struct sim_provider *provider, const struct expectation *expect,
	uint16_t status)
{
	static const char *const names[] = { "event", "replay", "forged", "tampered", "stale",
		"conflict", "malformed" };

	BOUND(ARRAY_COUNT(names) == REQUEST_KIND_COUNT);
	sim_violation(provider->ledger->world, "endpoint %s: request of kind %s, event %u, got %u",
		provider->endpoint->name, names[expect->kind], expect->number, status);
}

static void event_answered(struct sim_provider *provider, const struct expectation *expect,
	uint16_t status, struct bytes id, bool duplicate)
{
	struct ledger *ledger = provider->ledger;
	struct ledger_event *event = &ledger->events[expect->number];

	event->in_flight = false;
	if (status == 200) {
		ledger->duplicates += duplicate;
		/* The first try cannot be one, and nothing is accepted a second time. */
		if (duplicate ? event->try_count == 1 : event->acked)
			refuse(provider, expect, status);
		ledger_acked(ledger, expect->number, id);
	} else if (status == 503 || status == 408) {
		ledger->refused_503 += status == 503;
		try_again(provider, expect->number);
	} else {
		refuse(provider, expect, status);
	}
}

void provider_answered(struct sim_provider *provider, const struct expectation *expect,
	uint16_t status, struct bytes id, bool duplicate)
{
	sim_record(provider->ledger->world, "answer", expect->number, status);
	/* The network may stall in the middle of a body. */
	bool fine = status == 503 || status == 408;
	switch (expect->kind) {
	case REQUEST_EVENT: event_answered(provider, expect, status, id, duplicate); return;
	case REQUEST_REPLAY:
		if (status == 200 && duplicate) {
			ledger_acked(provider->ledger, expect->number, id);
			fine = true;
		}
		break;
	case REQUEST_FORGED:
	case REQUEST_TAMPERED:
	case REQUEST_STALE: fine = fine || status == 401; break;
	case REQUEST_CONFLICT: fine = fine || status == 409; break;
	case REQUEST_MALFORMED: fine = status >= 400; break;
	case REQUEST_KIND_COUNT: UNREACHABLE();
	}
	if (!fine) refuse(provider, expect, status);
}

void provider_unanswered(struct sim_provider *provider, const struct expectation *expect)
{
	struct ledger *ledger = provider->ledger;

	if (expect->kind != REQUEST_EVENT) return;
	ledger->events[expect->number].in_flight = false;
	if (sim_chance(ledger->world, provider->abandon_ppm)) {
		ledger_abandon(ledger, expect->number);
	} else {
		try_again(provider, expect->number);
	}
}
