/* SPDX-License-Identifier: GPL-2.0-or-later */
/* bench_event — what the parts of taking an event in cost, each alone and in memory: processor
 * time per event, over 64 different events in turn, as a busy worker has them.
 *
 *   head      parsed, as one that comes whole
 *   in pieces its end found, then parsed
 *   verify    GitHub's scheme over 1 KiB, with both hashes and the identity
 *   hashes    of that: the MAC and the payload's SHA-256; together: of sixteen at once
 *   leaf      its leaf of the audit log, and the tree; leaves: as the log does it, many at once
 *   checksum  of its record
 *
 * Goals: to see what is below the noise of a whole run. Non-goals: caches and page tables as cold
 * as they are in life.
 *
 * usage: bench_event [SECONDS_PER_MEASUREMENT]      without an argument a moment, as a test
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "audit/leaf.h"
#include "audit/tree.h"
#include "base/check.h"
#include "base/random.h"
#include "http/http_request.h"
#include "secrets/mac.h"
#include "verify/verify.h"

enum { EVENTS = 64, BODY_SIZE = 1024, REQUEST_SIZE = 2048, RECORD_SIZE = 1300, HEADER_SIZE = 260 };

struct sample {
	uint8_t request[REQUEST_SIZE];
	size_t size;
	size_t head_size;
	struct http_request http;
};

static struct sample samples[EVENTS];
static struct verifier *verifier;
static struct mac_key *mac_key;
static struct tree tree;
static double seconds_wanted = 0.005;
static volatile uint64_t sink; /* nothing that is measured is for nothing */

static double now_s(void)
{
	struct timespec time;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static struct bytes body_of(const struct sample *sample)
{
	return bytes_of(sample->request + sample->head_size, BODY_SIZE);
}

static void sample_make(struct sample *sample, unsigned number)
{
	struct writer writer = writer_of(sample->request, sizeof sample->request);
	struct random random = { .state = number };
	uint8_t body[BODY_SIZE];
	char delivery[64];

	for (size_t i = 0; i < sizeof body; i++) body[i] = (uint8_t)random_u64(&random);
	snprintf(delivery, sizeof delivery, "72d3162e-cc78-11e3-81ab-4c9367dc%04x", number);
	write_text(&writer,
		"POST /ack HTTP/1.1\r\nHost: localhost:8443\r\n"
		"User-Agent: GitHub-Hookshot/044aadd\r\nAccept: */*\r\n"
		"Content-Type: application/json\r\nX-GitHub-Event: issues\r\n"
		"X-GitHub-Hook-ID: 292430182\r\n"
		"X-GitHub-Hook-Installation-Target-ID: 79929171\r\n"
		"X-GitHub-Hook-Installation-Target-Type: repository\r\n"
		"Content-Length: 1024\r\n");
	const struct sign_input input = {
		.event_id = bytes_of_text(delivery),
		.method = BYTES_LITERAL("POST"),
		.body = bytes_of(body, sizeof body),
		.now = { .us = 1000 * US_PER_S },
	};
	CHECK(verifier_sign(verifier, &input, &writer) == RESULT_OK);
	write_text(&writer, "\r\n");
	sample->head_size = writer.size;
	write_bytes(&writer, bytes_of(body, sizeof body));
	CHECK(!writer.failed);
	sample->size = writer.size;
}

static void head(struct sample *sample)
{
	size_t size = 0;

	CHECK(http_request_parse_at_once(bytes_of(sample->request, sample->size), &sample->http,
		&size));
	CHECK(size == sample->head_size);
}

static void head_in_pieces(struct sample *sample)
{
	size_t scanned = 0;
	size_t size = 0;
	enum http_fault fault;

	CHECK(http_head_find(bytes_of(sample->request, sample->size), &scanned, &size, &fault) ==
		HTTP_PARSE_DONE);
	CHECK(size == sample->head_size);
	CHECK(http_request_parse(bytes_of(sample->request, size), &sample->http, &fault) ==
		HTTP_PARSE_DONE);
}

static void verify(struct sample *sample)
{
	struct verify_outcome outcome;
	const struct verify_input input = {
		.method = sample->http.method,
		.fields = &sample->http.fields,
		.body = body_of(sample),
	};
	verify_request(verifier, &input, (wall_t){ .us = 1000 * US_PER_S }, &outcome);
	CHECK(outcome.verdict == VERDICT_AUTHENTIC);
	sink = sink + outcome.identity.low;
}

static void hashes(struct sample *sample)
{
	struct mac_work work = { .key = mac_key, .body = body_of(sample) };

	mac_compute_each(&work, 1);
	sink = sink + work.mac[0] + work.body_sha256[0];
}

/* As a worker does it that has many requests at hand. */
static void hashes_together(struct sample *sample)
{
	static struct mac_work work[MAC_WORK_MAX];
	static unsigned count;

	work[count++] = (struct mac_work){ .key = mac_key, .body = body_of(sample) };
	if (count < MAC_WORK_MAX) return;
	mac_compute_each(work, count);
	sink = sink + work[0].mac[0] + work[0].body_sha256[0];
	count = 0;
}

static void leaf(struct sample *sample)
{
	const struct audit_subject subject = { .kind = AUDIT_EVENT, .sequence = tree.leaf_count };
	struct bytes record = bytes_of(sample->request, HEADER_SIZE);
	uint8_t hash[SHA256_SIZE];

	leaf_hash(1, &subject, record, hash);
	tree_append(&tree, hash);
}

/* As the log does it: leaves are hashed together, and the nodes of a commit. */
static void leaves(struct sample *sample)
{
	enum { COMMIT = 64 };
	static uint8_t hashes[COMMIT][SHA256_SIZE];
	static uint8_t texts[HASH_MESSAGES_MAX][LEAF_PREFIX_SIZE + HEADER_SIZE + HASH_ROOM];
	static struct hash_message messages[HASH_MESSAGES_MAX];
	static unsigned count;
	const struct audit_subject subject = { .kind = AUDIT_EVENT, .sequence = count };
	struct leaf_prefix prefix = leaf_prefix(1, &subject);
	uint8_t *to = texts[count % HASH_MESSAGES_MAX];

	memcpy(to, prefix.data, sizeof prefix.data);
	memcpy(to + sizeof prefix.data, sample->request, HEADER_SIZE);
	messages[count % HASH_MESSAGES_MAX] =
		(struct hash_message){ to, LEAF_PREFIX_SIZE + HEADER_SIZE, hashes[count] };
	count++;
	if (count % HASH_MESSAGES_MAX == 0) hash_sha256_each(messages, HASH_MESSAGES_MAX);
	if (count == COMMIT) {
		tree_append_all(&tree, (const uint8_t(*)[SHA256_SIZE])hashes, COMMIT);
		count = 0;
	}
}

static void checksum(struct sample *sample)
{
	sink = sink + hash_xxh3(bytes_of(sample->request, RECORD_SIZE), sink);
}

static void measure(const char *what, void (*part)(struct sample *))
{
	double start = now_s();
	double end = start;
	uint64_t count = 0;

	while (end - start < seconds_wanted) {
		for (unsigned i = 0; i < EVENTS; i++) part(&samples[i]);
		count += EVENTS;
		end = now_s();
	}
	printf("%-10s %7.1f ns\n", what, (end - start) / (double)count * 1e9);
}

static void run(void)
{
	const struct bytes secret = BYTES_LITERAL("It's a Secret to Everybody");
	const char *error = NULL;

	CHECK(verifier_create(scheme_find(BYTES_LITERAL("github")), secret, BYTES_EMPTY, 0,
		      &verifier, &error) == RESULT_OK);
	CHECK(mac_key_create(MAC_SHA256, secret, &mac_key) == RESULT_OK);
	for (unsigned i = 0; i < EVENTS; i++) sample_make(&samples[i], i);
	measure("head", head);
	measure("in pieces", head_in_pieces);
	measure("verify", verify);
	measure("hashes", hashes);
	measure("together", hashes_together);
	measure("leaf", leaf);
	measure("leaves", leaves);
	measure("checksum", checksum);
	verifier_free(verifier);
	mac_key_free(mac_key);
}

static void bench_smoke(void **state)
{
	(void)state;
	run();
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(bench_smoke) };

	if (argc == 1) return cmocka_run_group_tests(tests, NULL, NULL);
	seconds_wanted = strtod(argv[1], NULL);
	run();
	return 0;
}
