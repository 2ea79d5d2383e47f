/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sign — the mirror of verify.c: writes the header lines that a row asks for.
 *
 * The MAC is turned into text here by table look-up; that it could show in cache timing does
 * not matter, for it is sent out in the next moment.
 */
#include "base/check.h"
#include "verify/verify_internal.h"

struct signing {
	const struct scheme *scheme;
	struct bytes timestamp;
	struct bytes id;
	struct bytes signature[VERIFIER_KEYS_MAX]; /* encoded, without their prefix */
	uint32_t signature_count;
};

static void write_line(struct writer *writer, struct bytes name, struct bytes value)
{
	write_bytes(writer, name);
	write_text(writer, ": ");
	write_bytes(writer, value);
	write_text(writer, "\r\n");
}

static struct bytes encode_signature(enum signature_encoding encoding, struct bytes mac,
	char to[static 2 * MAC_SIZE_MAX])
{
	size_t size = 2 * mac.size;

	switch (encoding) {
	case SIGNATURE_HEX: hex_encode(mac, to); break;
	case SIGNATURE_HEX_UPPER:
		hex_encode(mac, to);
		for (size_t i = 0; i < size; i++) {
			if (to[i] >= 'a') to[i] = (char)(to[i] - ('a' - 'A'));
		}
		break;
	case SIGNATURE_BASE64: size = base64_encode(mac, to); break;
	case SIGNATURE_BASE64URL:
		size = base64_encode(mac, to);
		while (to[size - 1] == '=') size--;
		for (size_t i = 0; i < size; i++) {
			if (to[i] == '+') to[i] = '-';
			if (to[i] == '/') to[i] = '_';
		}
		break;
	}
	return bytes_of(to, size);
}
BOUND((MAC_SIZE_MAX + 2) / 3 * 4 <= 2 * MAC_SIZE_MAX);

static void write_item(struct writer *writer, const struct signature_row *row, bool *first,
	struct bytes prefix, struct bytes value)
{
	if (!*first) write_u8(writer, (uint8_t)row->separators[0]);
	*first = false;
	write_bytes(writer, prefix);
	write_bytes(writer, value);
}

static void write_signature(struct writer *writer, const struct signing *signing)
{
	const struct scheme *scheme = signing->scheme;
	const struct signature_row *row = &scheme->signature;
	struct bytes name = row->header;
	bool first = true;

	bool numbered = name.data[name.size - 1] == '#';
	write_bytes(writer, bytes_of(name.data, name.size - (numbered ? 1 : 0)));
	write_text(writer, numbered ? "1: " : ": ");
	if (scheme->timestamp.place == TIMESTAMP_IN_ITEM) {
		write_item(writer, row, &first, scheme->timestamp.name, signing->timestamp);
	} else if (scheme->timestamp.place == TIMESTAMP_FIRST_ITEM) {
		write_item(writer, row, &first, BYTES_EMPTY, signing->timestamp);
	}
	if (scheme->id.place == ID_IN_ITEM) {
		write_item(writer, row, &first, scheme->id.name, signing->id);
	}
	for (uint32_t i = 0; i < signing->signature_count; i++) {
		write_item(writer, row, &first, row->prefix, signing->signature[i]);
	}
	write_text(writer, "\r\n");
}

/* An id that is not signed: into the first header that could carry it. */
static void write_event_id(struct writer *writer, const struct signing *signing)
{
	const struct part *part = &signing->scheme->event_id[0];
	if (part->kind == PART_HEADER && signing->id.size > 0) {
		write_line(writer, part->text, signing->id);
	}
}

static void write_lines(struct writer *writer, const struct signing *signing)
{
	const struct scheme *scheme = signing->scheme;

	if (scheme->id.place == ID_IN_HEADER) write_line(writer, scheme->id.name, signing->id);
	if (scheme->id.place == ID_NOWHERE) write_event_id(writer, signing);
	if (scheme->timestamp.place == TIMESTAMP_IN_HEADER) {
		write_line(writer, scheme->timestamp.name, signing->timestamp);
	}
	for (size_t i = 0; i < REQUIRED_MAX && scheme->required[i].name.size > 0; i++) {
		write_line(writer, scheme->required[i].name, scheme->required[i].value);
	}
	write_signature(writer, signing);
}

static bool is_signable_id(const struct scheme *scheme, struct bytes id)
{
	if (scheme->id.place != ID_NOWHERE) return id_is_valid(&scheme->id, id);
	return id.size == 0 || id_is_plain(id);
}

enum result verifier_sign(const struct verifier *verifier, const struct sign_input *input,
	struct writer *writer)
{
	const struct scheme *scheme = verifier->scheme;
	char timestamp[TIMESTAMP_SIZE_MAX];
	char encoded[VERIFIER_KEYS_MAX][2 * MAC_SIZE_MAX];
	uint8_t mac[MAC_SIZE_MAX];

	if (!is_signable_id(scheme, input->event_id)) return RESULT_MALFORMED;

	struct signing signing = { .scheme = scheme, .id = input->event_id, .signature_count = 1 };
	signing.timestamp = timestamp_write(scheme->timestamp.unit, input->now, timestamp);
	if (scheme->signature.form == SIGNATURE_TOKEN) {
		signing.signature[0] = secret_bytes(verifier->key[0].token);
	} else {
		struct message_input parts = {
			.timestamp = signing.timestamp,
			.id = signing.id,
			.method = input->method,
			.url = input->url,
			.body = input->body,
		};
		struct message message;
		if (!message_compose(scheme, &parts, &message)) return RESULT_FULL;
		if (scheme->signature.separators[0] != '\0') {
			signing.signature_count = verifier->key_count;
		}
		CHECK(signing.signature_count <= VERIFIER_KEYS_MAX);
		for (uint32_t i = 0; i < signing.signature_count; i++) {
			size_t size = mac_compute(verifier->key[i].mac, message.part,
				message.part_count, mac);
			signing.signature[i] = encode_signature(scheme->signature.encoding,
				bytes_of(mac, size), encoded[i]);
		}
	}
	write_lines(writer, &signing);
	return writer->failed ? RESULT_FULL : RESULT_OK;
}
