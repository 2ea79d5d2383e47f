/* SPDX-License-Identifier: GPL-2.0-or-later */
/* verify — is this request authentic, and what makes it the same event when it comes again?
 *
 * A scheme is a row of a table (scheme_table.c): where the signature stands and how it is
 * spelled, digest, key derivation, where the timestamp comes from, which parts are signed, how
 * far the clock may be off, which signed parts identify the event. verify_request() is the
 * one engine that reads all rows. Pure and constant time in everything secret: current and
 * previous key are both tried against every presented signature.
 *
 * Any thread; a verifier is immutable once created.
 */
#pragma once

#include "base/bytes.h"
#include "base/clock.h"
#include "base/cursor.h"
#include "base/hash.h"
#include "http/http.h"

struct scheme; /* one row; see scheme.h */

/* By name ("standard-webhooks", "github", "stripe", "slack", "shopify", "gitlab-token",
 * "gitlab", "svix", "zen" ...); NULL when there is none. */
const struct scheme *scheme_find(struct bytes name);
const char *scheme_name(const struct scheme *scheme);
/* Whom it is for, for listings. */
const char *scheme_title(const struct scheme *scheme);
/* The header its signature stands in. */
const char *scheme_signature_header(const struct scheme *scheme);
/* True when the URL is among what is signed: then the endpoint must know its public one. */
bool scheme_signs_url(const struct scheme *scheme);
/* How far a timestamp may be off either way; 0 when the scheme has no window of its own. */
uint32_t scheme_tolerance_s(const struct scheme *scheme);
/* All rows, for listings: index 0 … scheme_count()-1. */
size_t scheme_count(void);
const struct scheme *scheme_at(size_t index);

/* Not AUTHENTIC first: memory that was only zeroed must not read as authentic. */
#define VERDICT_TABLE(X) \
	X(SIGNATURE_MISMATCH, "signature_mismatch",          "no signature matches under the current or the previous secret") \
	X(AUTHENTIC,          "authentic",                   "the signature is right") \
	X(TIMESTAMP,          "timestamp_outside_tolerance", "the timestamp is too old or too far ahead") \
	X(MISSING_HEADER,     "missing_header",              "a header that the scheme needs is missing") \
	X(DUPLICATE_HEADER,   "duplicate_header",            "a header that the scheme needs is there more than once") \
	X(MALFORMED_SIGNATURE, "malformed_signature",        "the signature header is not of the scheme's form") \
	X(MALFORMED_TIMESTAMP, "malformed_timestamp",        "the timestamp is not of the scheme's form") \
	X(MALFORMED_ID,       "malformed_id",                "the event id or nonce is empty, too long or holds forbidden characters")

enum verdict {
#define X(name, code, text) VERDICT_##name,
	VERDICT_TABLE(X)
#undef X
	VERDICT_COUNT
};

const char *verdict_code(enum verdict verdict);
const char *verdict_text(enum verdict verdict);

/* Scheme plus keys, as one endpoint uses it. */
struct verifier;

/* `previous` may be empty: then only `current` counts. tolerance_s 0 takes the scheme's own;
 * another one is also enforced where the scheme has none, and ignored where it has no timestamp.
 * RESULT_MALFORMED when a secret does not have the form the scheme wants (whsec_ base64 …);
 * ret_error then gets a sentence for the operator that names the form but not the secret. */
MUST_USE enum result verifier_create(const struct scheme *scheme, struct bytes current,
	struct bytes previous, uint32_t tolerance_s, struct verifier **ret, const char **ret_error);
void verifier_free(struct verifier *verifier);
const struct scheme *verifier_scheme(const struct verifier *verifier);

struct verify_input {
	struct bytes method;
	struct bytes url; /* as the provider saw it; empty when the scheme does not sign it */
	const struct http_fields *fields;
	struct bytes body; /* the raw bytes */
	/* May be NULL. Called before the signature is judged, with the identity that the outcome
	 * will have if it is right: what is known of it can be fetched from memory meanwhile.
	 * Nothing else may follow from it. Not called where the identity is read from the body. */
	void (*expected)(void *owner, struct hash128 identity);
	void *owner;
};

struct verify_outcome {
	enum verdict verdict;
	const char *header;   /* the header the verdict is about */
	uint8_t key_index;    /* 0 current, 1 previous; meaningful when the signature was right */
	uint64_t timestamp_s; /* 0 when the scheme has none; the sender's claim until authentic */
	/* From here on set only when the signature was right (AUTHENTIC, TIMESTAMP). */
	struct bytes event_id; /* the provider's id of the event: view into the input, may be empty;
	                            else 1 to EVENT_ID_SIZE_MAX visible ASCII characters */
	/* Same value = same event. Only over parts an attacker cannot change without breaking
	 * the signature, as far as the scheme signs any; see scheme_table.c for each. The caller
	 * mixes in its endpoint. XXH3 with a seed per scheme: its parts come from a sender that
	 * has proven to know the key, so nobody else can aim at a collision. */
	struct hash128 identity;
	/* Fast digest of the body: same identity with another body is a conflict. */
	uint64_t body_hash;
	/* The body's SHA-256, where computing the signature gave it for little more. */
	bool body_hashed;
	uint8_t body_sha256[SHA256_SIZE];
};

/* Hot path: no allocation. All of *ret is set.
 *
 * What is checked in which order, so that no answer helps to forge: (1) that the headers are
 * there, once; (2) that signature, timestamp and id have the scheme's form: both depend on
 * nothing but what the sender sent; (3) the signature: every key against every signature,
 * without stopping early; (4) the time window, so that only a sender who has the key learns
 * about it. A forged request is always SIGNATURE_MISMATCH, however old its timestamp. */
void verify_request(const struct verifier *verifier, const struct verify_input *input, wall_t now,
	struct verify_outcome *ret);

/* The same in two steps, so that several requests can be checked together: the hashes of
 * signatures and payloads then cost half (secrets/mac.h).
 *
 * verify_begin(): false when the outcome is there, because something is wrong with the form, or the
 * scheme is none of those whose requests can wait, or more is signed in front of the body than
 * there is room for. True: it will be after verify_finish(). Until then the verifier stays, and the
 * bytes of the body and of the fields' values stay where they are; nothing else of the input is
 * needed any more. */
enum { VERIFY_SIGNATURES_MAX = 16, VERIFY_BEFORE_SIZE_MAX = 192, VERIFY_TASKS_MAX = 16 };

/* What a request claims: views into it. Everything that could be found is set, even when something
 * else is missing or malformed: people want to see it. */
struct verify_presented {
	enum verdict verdict; /* AUTHENTIC while nothing is wrong with the form */
	const char *header;   /* that the verdict is about */
	struct bytes timestamp;
	uint64_t timestamp_s;
	struct bytes id;
	/* No sender has more than two; the rest is room for versions we ignore. */
	struct bytes signature[VERIFY_SIGNATURES_MAX];
	uint32_t signature_count;
};

struct verify_task {
	struct verify_outcome outcome;
	/* Private. */
	const struct verifier *verifier;
	struct verify_presented presented;
	struct bytes body;
	struct hash128 body_hash;
	struct hash128 identity;                /* unless it is in the body */
	struct bytes event_id;                  /* as well */
	uint8_t before[VERIFY_BEFORE_SIZE_MAX]; /* of what is signed: what stands before the body */
	uint32_t before_size;
};

MUST_USE bool verify_begin(const struct verifier *verifier, const struct verify_input *input,
	wall_t now, struct verify_task *task);
/* Those for which verify_begin() has returned true; at most VERIFY_TASKS_MAX. */
void verify_finish(struct verify_task *tasks, size_t count, wall_t now);

/* Writes what the scheme signs for this request (the text an operator compares with the
 * provider's): only for people, never for the decision. RESULT_NOT_FOUND when a part is
 * missing from the request, or when the scheme signs nothing (plain tokens). */
MUST_USE enum result verify_signed_text(const struct verifier *verifier,
	const struct verify_input *input, struct writer *writer);

/* The other direction, for delivery, load generation and tests: writes complete header
 * lines ("Name: value\r\n") that make the request authentic under the current key; where the
 * scheme has room for several signatures, also one under the previous key.
 * `event_id` becomes webhook-id, X-GitHub-Delivery, nonce …, as the scheme has it; a scheme
 * that keeps its id in the body leaves it out. RESULT_MALFORMED when the scheme forbids such
 * an id, RESULT_FULL when the writer is too small. */
struct sign_input {
	struct bytes event_id;
	struct bytes method;
	struct bytes url;
	struct bytes body;
	wall_t now;
};
MUST_USE enum result verifier_sign(const struct verifier *verifier, const struct sign_input *input,
	struct writer *writer);

/* Which of the provider's fields go on to the target: true for names such as X-GitHub-Event.
 * Never for signatures or tokens. */
bool scheme_forwards_field(const struct scheme *scheme, struct bytes name);
