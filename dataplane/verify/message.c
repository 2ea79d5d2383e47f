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

static struct bytes signed_part(const struct part *part, const struct message_input *input,
	struct message *message)
{
	switch (part->kind) {
	case PART_LITERAL: return part->text;
	case PART_TIMESTAMP: return input->timestamp;
	case PART_ID: return input->id;
	case PART_BODY: return input->body;
	case PART_BODY_SHA256: return digest_text(input->body, message->body_sha256);
	case PART_METHOD: return input->method;
	case PART_URL: return input->url;
	case PART_URL_DECODED: return decode_url(input->url, message->url);
	case PART_END:
	case PART_HEADER:
	case PART_JSON: break;
	}
	UNREACHABLE(); /* test_scheme_table.c looks through all rows */
}

bool message_compose(const struct scheme *scheme, const struct message_input *input,
	struct message *ret)
{
	ret->part_count = 0;
	for (size_t i = 0; i < MESSAGE_PARTS_MAX; i++) {
		const struct part *part = &scheme->message[i];
		if (part->kind == PART_END) break;
		if (part->kind == PART_URL_DECODED && input->url.size > SIGNED_URL_SIZE_MAX) {
			return false;
		}
		ret->part[ret->part_count++] = signed_part(part, input, ret);
	}
	return true;
}
