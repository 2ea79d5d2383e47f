/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sim/sim_ledger.h"

#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/check.h"

enum { ONE_IN_LARGE = 12, ONE_IN_HUGE = 60, MEDIUM_SIZE = 20000, BODY_SIZE_MIN = 96 };

#define ATTACK_BASE UINT64_C(0xA77AC4)

/* ---- Violations ------------------------------------------------------------------------------ */

static volatile uint64_t seed_running;

static void say_seed(void)
{
	char text[128];
	int size = snprintf(text, sizeof text,
		"\nsimulation: seed %" PRIu64 " fails; run it again: make sim SEED=%" PRIu64 "\n",
		seed_running, seed_running);
	if (size > 0) {
		ssize_t written = write(STDERR_FILENO, text, (size_t)size);
		MAYBE(written == size); /* there is nobody left to tell */
	}
}

static void on_abort(int number)
{
	say_seed();
	signal(number, SIG_DFL);
	raise(number);
}

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
#else
#define __sanitizer_set_death_callback(callback) ((void)(callback))
#endif

void sim_seed_begin(uint64_t seed)
{
	seed_running = seed;
	signal(SIGABRT, on_abort);
	__sanitizer_set_death_callback(say_seed);
}

void sim_violation(const struct sim_world *world, const char *format, ...)
{
	va_list arguments;

	fprintf(stderr, "simulation: at %.6f s: ", (double)sim_world_now(world).us / 1e6);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	abort();
}

/* ---- Events ---------------------------------------------------------------------------------- */

static uint32_t choose_size(struct random *random)
{
	uint64_t dice = random_below(random, ONE_IN_HUGE);

	if (dice == 0)
		return (uint32_t)random_below(random, LEDGER_BODY_SIZE_MAX / 2) +
			LEDGER_BODY_SIZE_MAX / 2;
	if (dice % ONE_IN_LARGE == 1) return MEDIUM_SIZE + (uint32_t)random_below(random, 45000);
	return BODY_SIZE_MIN + (uint32_t)random_below(random, 2000);
}

void ledger_open(struct ledger *ledger, struct sim_world *world, uint64_t seed,
	uint32_t event_count, uint32_t endpoint_count, uint32_t target_count)
{
	struct random random = { .state = seed };

	CHECK(target_count <= LEDGER_TARGETS_MAX);
	*ledger = (struct ledger){
		.world = world,
		.seed = seed,
		.events = alloc_array(event_count, sizeof *ledger->events),
		.event_count = event_count,
		.target_count = target_count,
		.unresolved_count = event_count,
		.body_base = random_u64(&random),
	};
	for (uint32_t i = 0; i < event_count; i++) {
		ledger->events[i].endpoint = i % endpoint_count;
		ledger->events[i].size = choose_size(&random);
	}
}

void ledger_close(struct ledger *ledger)
{
	alloc_free(ledger->events);
}

void ledger_event_id(uint32_t number, char to[static LEDGER_ID_SIZE])
{
	snprintf(to, LEDGER_ID_SIZE, "ev-%08" PRIu32, number % 100000000);
}

static void write_body(struct writer *to, const char *mark, const char *id, uint64_t base,
	uint32_t size)
{
	static const char letters[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-";
	struct random random = { .state = base };
	size_t start = to->size;

	write_text(to, "{\"mark\":\"");
	write_text(to, mark);
	write_text(to, "\",\"id\":\"");
	write_text(to, id);
	write_text(to, "\",\"event_id\":\"");
	write_text(to, id);
	write_text(to, "\",\"data\":\"");
	size_t used = to->size - start + 2;
	size_t fill = size > used ? size - used : 0;
	uint8_t *data = write_reserve(to, fill);
	CHECK(data != NULL);
	uint64_t bits = 0;
	for (size_t i = 0; i < fill; i++) {
		if (i % 10 == 0) bits = random_u64(&random);
		data[i] = (uint8_t)letters[bits & 63];
		bits >>= 6;
	}
	write_text(to, "\"}");
	CHECK(!to->failed);
}

void ledger_body(const struct ledger *ledger, uint32_t number, struct writer *to)
{
	char id[LEDGER_ID_SIZE];

	CHECK(number < ledger->event_count);
	ledger_event_id(number, id);
	write_body(to, id, id, ledger->body_base + number, ledger->events[number].size);
}

void ledger_attack_body(const struct ledger *ledger, const char *id, uint32_t size,
	struct writer *to)
{
	write_body(to, "at", id, ledger->body_base ^ ATTACK_BASE, size);
}

static bool parse_number(struct bytes body, uint32_t *ret)
{
	static const char before[] = "{\"mark\":\"ev-";
	size_t start = sizeof before - 1;
	uint64_t number;

	if (body.size < start + 8 || memcmp(body.data, before, start) != 0) return false;
	if (bytes_parse_u64(bytes_of(body.data + start, 8), &number) != RESULT_OK) return false;
	*ret = (uint32_t)number;
	return true;
}

uint32_t ledger_identify(const struct ledger *ledger, struct bytes body, const char *where)
{
	static uint8_t memory[LEDGER_BODY_SIZE_MAX + 256];
	struct writer expected = writer_of(memory, sizeof memory);
	uint32_t number;

	if (!parse_number(body, &number) || number >= ledger->event_count) {
		sim_violation(ledger->world,
			"%s: a body of %zu bytes that no provider signed: %.60s", where, body.size,
			(const char *)body.data);
	}
	ledger_body(ledger, number, &expected);
	if (!bytes_equal(writer_bytes(&expected), body)) {
		sim_violation(ledger->world, "%s: the body of event %" PRIu32 " has changed", where,
			number);
	}
	return number;
}

void ledger_name(struct ledger *ledger, uint32_t number, struct bytes id, const char *where)
{
	struct ledger_event *event = &ledger->events[number];

	if (event->id[0] == '\0') {
		if (id.size != EVENT_ID_TEXT_SIZE - 1 ||
			!bytes_to_text(id, event->id, sizeof event->id))
			sim_violation(ledger->world, "%s: event %" PRIu32 " has a strange id",
				where, number);
		return;
	}
	if (!bytes_equal(id, bytes_of_text(event->id))) {
		sim_violation(ledger->world, "%s: event %" PRIu32 " is %.*s and was %s", where,
			number, (int)id.size, (const char *)id.data, event->id);
	}
}

void ledger_acked(struct ledger *ledger, uint32_t number, struct bytes id)
{
	struct ledger_event *event = &ledger->events[number];

	ledger_name(ledger, number, id, "an answer");
	if (event->acked) return;
	event->acked = true;
	if (!event->abandoned) ledger->unresolved_count--;
}

void ledger_abandon(struct ledger *ledger, uint32_t number)
{
	struct ledger_event *event = &ledger->events[number];

	if (event->acked || event->abandoned) return;
	event->abandoned = true;
	ledger->unresolved_count--;
}
