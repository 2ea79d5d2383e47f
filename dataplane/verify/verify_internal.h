/* SPDX-License-Identifier: GPL-2.0-or-later */
/* verify_internal — what the files of this folder share: the pieces that checking (verify.c)
 * and signing (sign.c) are made of.
 */
#pragma once

#include "secrets/mac.h"
#include "secrets/secret.h"
#include "verify/scheme.h"

/* Two keys; no provider is known to sign more than twice while it rolls one. */
enum { VERIFIER_KEYS_MAX = 2 };

struct verifier_key {
	struct mac_key *mac;
	struct secret *token; /* in place of it, of a SIGNATURE_TOKEN scheme */
};

struct verifier {
	const struct scheme *scheme;
	uint64_t identity_seed;
	uint32_t tolerance_s;
	uint32_t key_count;
	bool may_wait;   /* verify_begin() */
	bool id_in_body; /* the event's id, for people, is known when it has waited */
	bool identity_in_body;
	struct verifier_key key[VERIFIER_KEYS_MAX];
};

/* ---- presented.c: what a request claims ------------------------------------------------------ */

void presented_read(const struct scheme *scheme, const struct http_fields *fields,
	struct verify_presented *ret);
bool id_is_valid(const struct id_row *row, struct bytes id);
/* 1 to EVENT_ID_SIZE_MAX visible ASCII characters: what records and header lines can hold. */
bool id_is_plain(struct bytes id);

/* ---- timestamp.c ----------------------------------------------------------------------------- */

enum { TIMESTAMP_SIZE_MAX = 32 };

/* RESULT_MALFORMED unless it is exactly one timestamp of that unit, before the year 10000. */
MUST_USE enum result timestamp_parse(enum timestamp_unit unit, struct bytes text,
	uint64_t *ret_seconds);
/* Returns a view of `to`. */
struct bytes timestamp_write(enum timestamp_unit unit, wall_t now,
	char to[static TIMESTAMP_SIZE_MAX]);

/* ---- message.c: what is signed --------------------------------------------------------------- */

/* Scheme, host and target of the longest request. */
enum { SIGNED_URL_SIZE_MAX = HTTP_TARGET_SIZE_MAX + 512 };

struct message_input {
	struct bytes timestamp;
	struct bytes id;
	struct bytes method;
	struct bytes url;
	struct bytes body;
};

struct message {
	struct bytes part[MESSAGE_PARTS_MAX];
	size_t part_count;
	/* Parts that stand nowhere in the request: */
	char body_sha256[2 * SHA256_SIZE];
	uint8_t url[SIGNED_URL_SIZE_MAX];
};

/* False when a URL is too long to be decoded: then nothing can match. Parts are views into
 * the input and into *ret, which must not be moved. */
bool message_compose(const struct scheme *scheme, const struct message_input *input,
	struct message *ret);
