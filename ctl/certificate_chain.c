/* SPDX-License-Identifier: GPL-2.0-or-later */
/* certificate_chain — see the header. RFC 5280 §4.1: Certificate ::= SEQUENCE { tbsCertificate
 * SEQUENCE { [0] version, serialNumber, signature, issuer, validity { notBefore, notAfter },
 * subject, … } … }
 */
#include "certificate_chain.h"

#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/cursor.h"

enum {
	DER_INTEGER = 0x02,
	DER_UTC_TIME = 0x17,
	DER_GENERALIZED_TIME = 0x18,
	DER_SEQUENCE = 0x30,
	DER_VERSION = 0xa0,
};

/* The content of the next element, which must have this tag; *ret_whole (may be NULL) with tag and
 * size. Fails the reader otherwise. */
static struct bytes der_take(struct reader *reader, uint8_t tag, struct bytes *ret_whole)
{
	const uint8_t *begin = reader->rest.data;
	if (read_u8(reader) != tag) reader->failed = true;
	size_t size = read_u8(reader);
	if (size >= 0x80) {
		size_t digits = size & 0x7f;
		if (digits == 0 || digits > 4) reader->failed = true;
		size = 0;
		for (size_t i = 0; i < digits && !reader->failed; i++) {
			size = size << 8 | read_u8(reader);
		}
	}
	struct bytes content = read_bytes(reader, size);
	if (ret_whole != NULL && !reader->failed) {
		*ret_whole = bytes_of(begin, (size_t)(content.data + content.size - begin));
	}
	return content;
}

static bool next_is(const struct reader *reader, uint8_t tag)
{
	return reader->rest.size > 0 && reader->rest.data[0] == tag;
}

/* RFC 5280 §4.1.2.5: "YYMMDDHHMMSSZ" through 2049, "YYYYMMDDHHMMSSZ" from then on. */
static uint64_t der_time(struct reader *reader)
{
	bool utc = next_is(reader, DER_UTC_TIME);
	struct bytes content = der_take(reader, utc ? DER_UTC_TIME : DER_GENERALIZED_TIME, NULL);
	size_t size = utc ? 13 : 15;
	char text[20];
	struct tm tm = { 0 };
	if (reader->failed || content.size != size) {
		reader->failed = true;
		return 0;
	}
	/* strptime() takes 69 to 99 for the last century; RFC 5280 takes 50 to 99. */
	bool last_century = utc && content.data[0] >= '5';
	text[0] = last_century ? '1' : '2';
	text[1] = last_century ? '9' : '0';
	bytes_to_text(content, utc ? text + 2 : text, utc ? sizeof text - 2 : sizeof text);
	const char *end = strptime(text, "%Y%m%d%H%M%SZ", &tm);
	time_t seconds = timegm(&tm);
	if (end == NULL || *end != '\0') reader->failed = true;
	return seconds < 0 ? 0 : (uint64_t)seconds;
}

static enum result certificate_parse(struct bytes der, struct chain_certificate *ret)
{
	struct reader outer = reader_of(der);
	struct reader certificate = reader_of(der_take(&outer, DER_SEQUENCE, NULL));
	struct reader tbs = reader_of(der_take(&certificate, DER_SEQUENCE, NULL));
	if (next_is(&tbs, DER_VERSION)) der_take(&tbs, DER_VERSION, NULL);
	der_take(&tbs, DER_INTEGER, NULL);
	der_take(&tbs, DER_SEQUENCE, NULL);
	der_take(&tbs, DER_SEQUENCE, &ret->issuer);
	struct reader validity = reader_of(der_take(&tbs, DER_SEQUENCE, NULL));
	ret->not_before_s = der_time(&validity);
	ret->not_after_s = der_time(&validity);
	der_take(&tbs, DER_SEQUENCE, &ret->subject);
	bool good = !outer.failed && !certificate.failed && !tbs.failed && !validity.failed;
	return good ? RESULT_OK : RESULT_MALFORMED;
}

/* ---- PEM ------------------------------------------------------------------------------------- */

static const char pem_begin[] = "-----BEGIN CERTIFICATE-----";
static const char pem_end[] = "-----END CERTIFICATE-----";

/* What stands between the next pair of lines; *rest is what follows. */
static bool pem_next(struct bytes *rest, struct bytes *ret)
{
	const uint8_t *begin = memmem(rest->data, rest->size, pem_begin, sizeof pem_begin - 1);
	if (begin == NULL) return false;
	begin += sizeof pem_begin - 1;
	size_t left = (size_t)(rest->data + rest->size - begin);
	const uint8_t *end = memmem(begin, left, pem_end, sizeof pem_end - 1);
	if (end == NULL) return false;
	*ret = bytes_of(begin, (size_t)(end - begin));
	*rest = bytes_from(bytes_of(begin, left), ret->size + sizeof pem_end - 1);
	return true;
}

/* Without line ends and blanks, in place of nothing else. */
static struct bytes without_blanks(struct bytes text, uint8_t *to)
{
	size_t size = 0;
	for (size_t i = 0; i < text.size; i++) {
		if (text.data[i] > ' ') to[size++] = text.data[i];
	}
	return bytes_of(to, size);
}

enum result chain_parse(struct bytes pem, struct chain *ret)
{
	*ret = (struct chain){ 0 };
	struct bytes text;
	/* The text without blanks, then what it decodes to, which is shorter. */
	uint8_t *scratch = alloc_array(pem.size + 1, 1);
	ret->memory = alloc_array(pem.size + 1, 1);
	size_t used = 0;
	enum result result = RESULT_OK;
	while (result == RESULT_OK && pem_next(&pem, &text)) {
		size_t size = 0;
		if (ret->count == CHAIN_MAX) {
			result = RESULT_FULL;
			break;
		}
		uint8_t *der = ret->memory + used;
		result = base64_decode(BASE64_STANDARD, without_blanks(text, scratch), der,
			text.size, &size);
		if (result == RESULT_OK) {
			result = certificate_parse(bytes_of(der, size),
				&ret->certificates[ret->count]);
		}
		used += size;
		if (result == RESULT_OK) ret->count++;
	}
	alloc_free(scratch);
	if (result == RESULT_OK && ret->count == 0) result = RESULT_MALFORMED;
	return result;
}

void chain_free(struct chain *chain)
{
	alloc_free(chain->memory);
	*chain = (struct chain){ 0 };
}

bool chain_is_in_order(const struct chain *chain)
{
	for (unsigned i = 0; i + 1 < chain->count; i++) {
		if (!bytes_equal(chain->certificates[i].issuer, chain->certificates[i + 1].subject))
			return false;
	}
	return true;
}

bool chain_ends_in_root(const struct chain *chain)
{
	const struct chain_certificate *last = &chain->certificates[chain->count - 1];
	return bytes_equal(last->issuer, last->subject);
}
