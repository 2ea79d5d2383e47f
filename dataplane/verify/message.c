/* SPDX-License-Identifier: GPL-2.0-or-later */
/* message — puts together what a scheme signs, as views wherever the request has the bytes. */
#include "base/check.h"
#include "base/hash.h"
#include "verify/verify_internal.h"

/* "decode ... %3A %2F %3F %40 %21 %24 %27 %28 %29 %2A %2C %3B" and nothing else (HubSpot,
 * "Validate the v3 request signature"). */
static bool is_decoded_character(uint8_t c)
{
	return c != 0 && strchr(":/?@!$'()*,;", c) != NULL;
}

/* The byte that an escape at the front of `text` stands for, if it is to be decoded. */
static bool escape_value(struct bytes text, uint8_t *ret)
{
	size_t size = 0;
	if (text.size < 3 || text.data[0] != '%') return false;
	if (hex_decode(bytes_of(text.data + 1, 2), ret, 1, &size) != RESULT_OK) return false;
	return is_decoded_character(*ret);
}

static struct bytes decode_url(struct bytes url, uint8_t to[static SIGNED_URL_SIZE_MAX])
{
	size_t size = 0;
	while (url.size > 0) {
		uint8_t c = 0;
		bool escaped = escape_value(url, &c);
		to[size++] = escaped ? c : url.data[0];
		url = bytes_from(url, escaped ? 3 : 1);
	}
	return bytes_of(to, size);
}

static struct bytes digest_text(struct bytes body, char to[static 2 * SHA256_SIZE])
{
	uint8_t digest[SHA256_SIZE];
	hash_sha256(body, digest);
	hex_encode(bytes_of(digest, sizeof digest), to);
	return bytes_of(to, 2 * SHA256_SIZE);
}

bool message_compose(const struct scheme *scheme, const struct message_input *input,
	struct message *ret)
{
	ret->part_count = 0;
	for (size_t i = 0; i < MESSAGE_PARTS_MAX; i++) {
		const struct part *part = &scheme->message[i];
		struct bytes bytes = BYTES_EMPTY;
		switch (part->kind) {
		case PART_END: return true;
		case PART_LITERAL: bytes = part->text; break;
		case PART_TIMESTAMP: bytes = input->timestamp; break;
		case PART_ID: bytes = input->id; break;
		case PART_BODY: bytes = input->body; break;
		case PART_BODY_SHA256: bytes = digest_text(input->body, ret->body_sha256); break;
		case PART_METHOD: bytes = input->method; break;
		case PART_URL: bytes = input->url; break;
		case PART_URL_DECODED:
			if (input->url.size > SIGNED_URL_SIZE_MAX) return false;
			bytes = decode_url(input->url, ret->url);
			break;
		case PART_HEADER:
		case PART_JSON: UNREACHABLE(); /* test_scheme_table.c looks through all rows */
		}
		ret->part[ret->part_count++] = bytes;
	}
	return true;
}
