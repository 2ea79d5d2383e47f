/* SPDX-License-Identifier: GPL-2.0-or-later */
/* verify — the engine: reads a row, a request and the keys, and judges.
 *
 * Form first (presented.c), then the MAC, then the time window: verify.h says why in this
 * order. Presented signatures are decoded and compared as bytes; the computed MAC is never
 * turned into text, whose table look-ups could show in cache timing.
 */
#include "verify/verify.h"

#include "base/alloc.h"
#include "base/check.h"
#include "verify/json_id.h"
#include "verify/verify_internal.h"

static const char *const verdict_codes[] = {
#define X(name, code, text) code,
	VERDICT_TABLE(X)
#undef X
};

static const char *const verdict_texts[] = {
#define X(name, code, text) text,
	VERDICT_TABLE(X)
#undef X
};

const char *verdict_code(enum verdict verdict)
{
	CHECK(verdict < VERDICT_COUNT);
	return verdict_codes[verdict];
}

const char *verdict_text(enum verdict verdict)
{
	CHECK(verdict < VERDICT_COUNT);
	return verdict_texts[verdict];
}

/* ---- keys ------------------------------------------------------------------------------------ */

static enum result decode_key(const struct key_row *row, struct bytes secret, uint8_t *to,
	size_t to_size, size_t *ret_size)
{
	if (bytes_starts_with(secret, row->prefix)) secret = bytes_from(secret, row->prefix.size);
	if (row->form == KEY_HEX) return hex_decode(secret, to, to_size, ret_size);
	return base64_decode(BASE64_STANDARD, secret, to, to_size, ret_size);
}

/* A token with a control character could never arrive in a header. */
static bool is_header_text(struct bytes text)
{
	for (size_t i = 0; i < text.size; i++) {
		if (text.data[i] < ' ' || text.data[i] == 0x7f) return false;
	}
	return true;
}

static enum result derive_key(const struct scheme *scheme, struct bytes secret,
	struct verifier_key *ret)
{
	const struct key_row *row = &scheme->key;

	if (scheme->signature.form == SIGNATURE_TOKEN) {
		if (!is_header_text(secret)) return RESULT_MALFORMED;
		return secret_create(secret, &ret->token);
	}
	if (row->form == KEY_TEXT) {
		if (secret.size < row->size_min) return RESULT_MALFORMED;
		return mac_key_create(scheme->signature.digest, secret, &ret->mac);
	}

	uint8_t key[SECRET_SIZE_MAX];
	size_t size = 0;
	enum result result = decode_key(row, secret, key, sizeof key, &size);
	if (result == RESULT_OK && size < row->size_min) result = RESULT_MALFORMED;
	if (result == RESULT_OK) {
		result = mac_key_create(scheme->signature.digest, bytes_of(key, size), &ret->mac);
	}
	bytes_wipe(key, sizeof key);
	return result;
}

static bool has_part(const struct part *parts, size_t count_max, enum part_kind kind)
{
	for (size_t i = 0; i < count_max && parts[i].kind != PART_END; i++) {
		if (parts[i].kind == kind) return true;
	}
	return false;
}

static bool is_body_last(const struct scheme *scheme)
{
	for (size_t i = 0; i < MESSAGE_PARTS_MAX; i++) {
		if (scheme->message[i].kind != PART_BODY) continue;
		return i + 1 == MESSAGE_PARTS_MAX || scheme->message[i + 1].kind == PART_END;
	}
	return false;
}

/* A request can wait when what is signed ends with the body, and what is looked for in the body is
 * looked for nowhere else: the header is gone then. What is in a body is not looked for before it
 * is known who wrote it. */
static void find_out_waiting(struct verifier *verifier)
{
	const struct scheme *scheme = verifier->scheme;
	const struct part *parts = scheme->identity;

	verifier->identity_in_body = scheme->identity_key.kind == PART_JSON ||
		has_part(parts, IDENTITY_PARTS_MAX, PART_JSON);
	bool identity_in_head = scheme->identity_key.kind == PART_HEADER ||
		has_part(parts, IDENTITY_PARTS_MAX, PART_HEADER) ||
		has_part(parts, IDENTITY_PARTS_MAX, PART_METHOD) ||
		has_part(parts, IDENTITY_PARTS_MAX, PART_URL);
	verifier->id_in_body = has_part(scheme->event_id, EVENT_ID_PARTS_MAX, PART_JSON);
	bool id_in_head = has_part(scheme->event_id, EVENT_ID_PARTS_MAX, PART_HEADER);
	verifier->may_wait = scheme->signature.form == SIGNATURE_ITEMS &&
		scheme->signature.digest == MAC_SHA256 && is_body_last(scheme) &&
		!(verifier->identity_in_body && identity_in_head) &&
		!(verifier->id_in_body && id_in_head);
}

enum result verifier_create(const struct scheme *scheme, struct bytes current,
	struct bytes previous, uint32_t tolerance_s, struct verifier **ret, const char **ret_error)
{
	struct verifier *verifier = alloc_array(1, sizeof *verifier);
	verifier->scheme = scheme;
	verifier->identity_seed = hash_xxh3(bytes_of_text(scheme->name), 0);
	verifier->tolerance_s = tolerance_s == 0 ? scheme->timestamp.tolerance_s : tolerance_s;
	verifier->key_count = previous.size == 0 ? 1 : 2;

	enum result result = derive_key(scheme, current, &verifier->key[0]);
	if (result == RESULT_OK && verifier->key_count == 2) {
		result = derive_key(scheme, previous, &verifier->key[1]);
	}
	if (result != RESULT_OK) {
		verifier_free(verifier);
		*ret_error = scheme->key.wants;
		return RESULT_MALFORMED;
	}
	find_out_waiting(verifier);
	*ret = verifier;
	return RESULT_OK;
}

void verifier_free(struct verifier *verifier)
{
	if (verifier == NULL) return;
	for (size_t i = 0; i < VERIFIER_KEYS_MAX; i++) {
		mac_key_free(verifier->key[i].mac);
		secret_free(verifier->key[i].token);
	}
	alloc_free(verifier);
}

const struct scheme *verifier_scheme(const struct verifier *verifier)
{
	return verifier->scheme;
}

/* ---- signatures ------------------------------------------------------------------------------ */

static bool decode_signature(enum signature_encoding encoding, struct bytes text,
	uint8_t to[static MAC_SIZE_MAX], size_t *ret_size)
{
	enum result result = RESULT_MALFORMED;

	switch (encoding) {
	case SIGNATURE_HEX:
		result = hex_decode_of(HEX_LOWER, text, to, MAC_SIZE_MAX, ret_size);
		break;
	case SIGNATURE_HEX_UPPER:
		result = hex_decode_of(HEX_UPPER, text, to, MAC_SIZE_MAX, ret_size);
		break;
	case SIGNATURE_BASE64:
		result = base64_decode(BASE64_STANDARD, text, to, MAC_SIZE_MAX, ret_size);
		break;
	case SIGNATURE_BASE64URL:
		result = base64_decode(BASE64_URL, text, to, MAC_SIZE_MAX, ret_size);
		break;
	}
	return result == RESULT_OK;
}

/* Which keys match, as bits; which one is no secret, but how far a guess came is. */
static unsigned match_tokens(const struct verifier *verifier,
	const struct verify_presented *presented)
{
	unsigned matches = 0;
	for (uint32_t k = 0; k < verifier->key_count; k++) {
		bool equal = secret_equals(verifier->key[k].token, presented->signature[0]);
		matches |= (equal ? 1U : 0U) << k;
	}
	return matches;
}

/* Of the same text under each key. */
struct macs {
	uint8_t mac[VERIFIER_KEYS_MAX][MAC_SIZE_MAX];
	size_t size;
};

static unsigned match_signatures(const struct verifier *verifier, const struct macs *macs,
	const struct verify_presented *presented, bool *ret_well_formed)
{
	enum signature_encoding encoding = verifier->scheme->signature.encoding;
	unsigned matches = 0;

	*ret_well_formed = false;
	for (uint32_t i = 0; i < presented->signature_count; i++) {
		uint8_t signature[MAC_SIZE_MAX];
		size_t size = 0;
		bool decoded =
			decode_signature(encoding, presented->signature[i], signature, &size);
		if (!decoded || size != macs->size) continue; /* a good one may follow */
		*ret_well_formed = true;
		for (uint32_t k = 0; k < verifier->key_count; k++) {
			bool equal = bytes_equal_constant_time(bytes_of(macs->mac[k], macs->size),
				bytes_of(signature, size));
			matches |= (equal ? 1U : 0U) << k;
		}
	}
	return matches;
}

static enum verdict judge_matches(unsigned matches, struct verify_outcome *outcome)
{
	if (matches == 0) return VERDICT_SIGNATURE_MISMATCH;
	outcome->key_index = (matches & 1) != 0 ? 0 : 1;
	return VERDICT_AUTHENTIC;
}

static enum verdict judge_macs(const struct verifier *verifier, const struct macs *macs,
	const struct verify_presented *presented, struct verify_outcome *outcome)
{
	bool well_formed = false;
	unsigned matches = match_signatures(verifier, macs, presented, &well_formed);
	return well_formed ? judge_matches(matches, outcome) : VERDICT_MALFORMED_SIGNATURE;
}

static struct message_input message_input_of(const struct verify_input *input,
	const struct verify_presented *presented)
{
	return (struct message_input){
		.timestamp = presented->timestamp,
		.id = presented->id,
		.method = input->method,
		.url = input->url,
		.body = input->body,
	};
}

static enum verdict judge_signatures(const struct verifier *verifier,
	const struct verify_input *input, const struct verify_presented *presented,
	struct verify_outcome *outcome)
{
	struct message_input parts = message_input_of(input, presented);
	struct message message;
	struct macs macs;

	if (verifier->scheme->signature.form == SIGNATURE_TOKEN) {
		return judge_matches(match_tokens(verifier, presented), outcome);
	}
	if (!message_compose(verifier->scheme, &parts, &message)) return VERDICT_SIGNATURE_MISMATCH;
	CHECK(verifier->key_count > 0 && verifier->key_count <= VERIFIER_KEYS_MAX);
	for (uint32_t k = 0; k < verifier->key_count; k++) {
		macs.size = mac_compute(verifier->key[k].mac, message.part, message.part_count,
			macs.mac[k]);
	}
	enum verdict verdict = judge_macs(verifier, &macs, presented, outcome);
	bytes_wipe(&macs, sizeof macs); /* what a forger would have had to send */
	return verdict;
}

static bool is_in_window(const struct verifier *verifier, uint64_t timestamp_s, wall_t now)
{
	const struct timestamp_row *row = &verifier->scheme->timestamp;
	if (row->place == TIMESTAMP_NOWHERE || row->unit == TIMESTAMP_OPAQUE) return true;
	if (verifier->tolerance_s == 0) return true;

	uint64_t now_s = wall_seconds(now);
	uint64_t skew_s = now_s > timestamp_s ? now_s - timestamp_s : timestamp_s - now_s;
	return skew_s <= verifier->tolerance_s;
}

/* ---- identity -------------------------------------------------------------------------------- */

/* What names the request: like message_compose(), but any header and no literal. */
static struct bytes part_bytes(const struct part *part, const struct verify_input *input,
	const struct verify_presented *presented)
{
	const struct http_field *field;

	switch (part->kind) {
	case PART_TIMESTAMP: return presented->timestamp;
	case PART_ID: return presented->id;
	case PART_BODY: return input->body;
	case PART_METHOD: return input->method;
	case PART_URL: return input->url;
	case PART_HEADER:
		field = http_field_find(input->fields, part->text);
		return field == NULL ? BYTES_EMPTY : field->value;
	case PART_JSON: return json_id_find(input->body, part->text);
	case PART_END:
	case PART_LITERAL:
	case PART_BODY_SHA256:
	case PART_URL_DECODED: break;
	}
	UNREACHABLE(); /* test_scheme_table.c looks through all rows */
}

static struct bytes find_event_id(const struct scheme *scheme, const struct verify_input *input,
	const struct verify_presented *presented)
{
	for (size_t i = 0; i < EVENT_ID_PARTS_MAX; i++) {
		const struct part *part = &scheme->event_id[i];
		if (part->kind == PART_END) break;
		struct bytes id = part_bytes(part, input, presented);
		if (id_is_plain(id)) return id;
	}
	return BYTES_EMPTY;
}

/* Each part is hashed by itself and then the hashes with what they are of, so that bytes
 * cannot move from one part to its neighbour. */
static struct hash128 identity_of(const struct verifier *verifier, const struct verify_input *input,
	const struct verify_presented *presented, struct hash128 body)
{
	const struct scheme *scheme = verifier->scheme;
	const struct part *part = &scheme->identity_key;
	uint64_t words[3 * IDENTITY_PARTS_MAX] = { 0 };
	size_t count = 0;

	if (part->kind != PART_END) {
		struct bytes key = part_bytes(part, input, presented);
		if (id_is_plain(key)) {
			return hash_xxh128(key, verifier->identity_seed + (uint64_t)part->kind);
		}
	}
	for (size_t i = 0; i < IDENTITY_PARTS_MAX; i++) {
		part = &scheme->identity[i];
		if (part->kind == PART_END) break;
		struct hash128 hash = part->kind == PART_BODY
			? body
			: hash_xxh128(part_bytes(part, input, presented), verifier->identity_seed);
		words[count++] = (uint64_t)part->kind;
		words[count++] = hash.low;
		words[count++] = hash.high;
	}
	return hash_xxh128(bytes_of(words, sizeof words), verifier->identity_seed);
}

struct identity {
	struct hash128 whole;
	struct hash128 body;
};

static struct identity identify(const struct verifier *verifier, const struct verify_input *input,
	const struct verify_presented *presented)
{
	struct hash128 body = hash_xxh128(input->body, verifier->identity_seed);
	return (struct identity){
		.whole = identity_of(verifier, input, presented, body),
		.body = body,
	};
}

/* ---- requests -------------------------------------------------------------------------------- */

/* What stands before the body; false when there is no room for it. */
static bool compose_before(const struct verifier *verifier, const struct verify_input *input,
	struct verify_task *task)
{
	struct message_input parts = message_input_of(input, &task->presented);
	struct message message;

	if (!message_compose(verifier->scheme, &parts, &message)) return false;
	struct writer writer = writer_of(task->before, sizeof task->before);
	for (size_t i = 0; i + 1 < message.part_count; i++) write_bytes(&writer, message.part[i]);
	task->before_size = (uint32_t)writer.size;
	return !writer.failed;
}

/* What can be known before the signature is judged. */
static void expect(const struct verify_input *input, struct verify_task *task)
{
	struct identity identity = identify(task->verifier, input, &task->presented);

	task->identity = identity.whole;
	task->body_hash = identity.body;
	if (input->expected != NULL) input->expected(input->owner, identity.whole);
}

/* The signature is right. */
static void accept(const struct verify_input *input, wall_t now, struct verify_task *task)
{
	const struct verifier *verifier = task->verifier;
	const struct scheme *scheme = verifier->scheme;
	struct verify_outcome *outcome = &task->outcome;

	if (verifier->identity_in_body) {
		struct identity identity = identify(verifier, input, &task->presented);
		task->identity = identity.whole;
		task->body_hash = identity.body;
	}
	if (verifier->id_in_body) task->event_id = find_event_id(scheme, input, &task->presented);
	outcome->identity = task->identity;
	outcome->body_hash = task->body_hash.low;
	outcome->event_id = task->event_id;
	if (!is_in_window(verifier, task->presented.timestamp_s, now)) {
		outcome->verdict = VERDICT_TIMESTAMP;
		if (scheme->timestamp.place == TIMESTAMP_IN_HEADER) {
			outcome->header = (const char *)scheme->timestamp.name.data;
		}
	}
}

bool verify_begin(const struct verifier *verifier, const struct verify_input *input, wall_t now,
	struct verify_task *task)
{
	const struct scheme *scheme = verifier->scheme;
	struct verify_outcome *outcome = &task->outcome;

	presented_read(scheme, input->fields, &task->presented);
	*outcome = (struct verify_outcome){
		.verdict = task->presented.verdict,
		.header = task->presented.header,
		.timestamp_s = task->presented.timestamp_s,
	};
	if (outcome->verdict != VERDICT_AUTHENTIC) return false;

	task->verifier = verifier;
	task->body = input->body;
	task->event_id = BYTES_EMPTY;
	outcome->header = scheme_signature_header(scheme);
	if (!verifier->identity_in_body) expect(input, task);
	if (!verifier->id_in_body) {
		task->event_id = find_event_id(scheme, input, &task->presented);
	}
	if (verifier->may_wait && compose_before(verifier, input, task)) {
		outcome->verdict = VERDICT_SIGNATURE_MISMATCH; /* until it is known */
		return true;
	}
	outcome->verdict = judge_signatures(verifier, input, &task->presented, outcome);
	if (outcome->verdict == VERDICT_AUTHENTIC) accept(input, now, task);
	return false;
}

static void finish(struct verify_task *task, struct mac_work *work, wall_t now)
{
	const struct verifier *verifier = task->verifier;
	struct verify_outcome *outcome = &task->outcome;
	struct macs macs = { .size = mac_size(work->key) };

	memcpy(macs.mac[0], work->mac, macs.size);
	for (uint32_t k = 1; k < verifier->key_count; k++) {
		const struct bytes parts[] = { work->before, work->body };
		mac_compute(verifier->key[k].mac, parts, ARRAY_COUNT(parts), macs.mac[k]);
	}
	outcome->verdict = judge_macs(verifier, &macs, &task->presented, outcome);
	bytes_wipe(&macs, sizeof macs);
	bytes_wipe(work->mac, sizeof work->mac);
	if (outcome->verdict != VERDICT_AUTHENTIC) return;
	outcome->body_hashed = true;
	memcpy(outcome->body_sha256, work->body_sha256, SHA256_SIZE);
	const struct verify_input input = { .body = task->body };
	accept(&input, now, task);
}

void verify_finish(struct verify_task *tasks, size_t count, wall_t now)
{
	struct mac_work work[VERIFY_TASKS_MAX];

	CHECK(count <= VERIFY_TASKS_MAX);
	for (size_t i = 0; i < count; i++) {
		work[i].key = tasks[i].verifier->key[0].mac;
		work[i].before = bytes_of(tasks[i].before, tasks[i].before_size);
		work[i].body = tasks[i].body;
	}
	mac_compute_each(work, count);
	for (size_t i = 0; i < count; i++) finish(&tasks[i], &work[i], now);
}

void verify_request(const struct verifier *verifier, const struct verify_input *input, wall_t now,
	struct verify_outcome *ret)
{
	struct verify_task task;

	if (verify_begin(verifier, input, now, &task)) verify_finish(&task, 1, now);
	*ret = task.outcome;
}

static bool part_is_missing(enum part_kind kind, const struct message_input *input)
{
	if (kind == PART_TIMESTAMP) return input->timestamp.size == 0;
	if (kind == PART_ID) return input->id.size == 0;
	if (kind == PART_METHOD) return input->method.size == 0;
	if (kind == PART_URL || kind == PART_URL_DECODED) return input->url.size == 0;
	return false;
}

enum result verify_signed_text(const struct verifier *verifier, const struct verify_input *input,
	struct writer *writer)
{
	struct verify_presented presented;
	presented_read(verifier->scheme, input->fields, &presented);

	struct message_input parts = message_input_of(input, &presented);
	for (size_t i = 0; i < MESSAGE_PARTS_MAX; i++) {
		if (part_is_missing(verifier->scheme->message[i].kind, &parts))
			return RESULT_NOT_FOUND;
	}
	struct message message;
	if (!message_compose(verifier->scheme, &parts, &message)) return RESULT_FULL;
	if (message.part_count == 0) return RESULT_NOT_FOUND;
	for (size_t i = 0; i < message.part_count; i++) write_bytes(writer, message.part[i]);
	return writer->failed ? RESULT_FULL : RESULT_OK;
}
