/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "verify/json_id.h"

#include "base/check.h"

struct scanner {
	struct bytes json;
	size_t at;
	bool failed; /* sticky: every later call does nothing */
};

/* The next byte, or NUL at the end. NUL is nowhere allowed in JSON, so it fails by itself. */
static uint8_t peek(const struct scanner *scanner)
{
	return scanner->at < scanner->json.size ? scanner->json.data[scanner->at] : 0;
}

static void skip_space(struct scanner *scanner)
{
	for (;; scanner->at++) {
		uint8_t c = peek(scanner);
		if (c != ' ' && c != '\t' && c != '\r' && c != '\n') return;
	}
}

static bool accept(struct scanner *scanner, uint8_t c)
{
	if (scanner->failed || peek(scanner) != c) return false;
	scanner->at++;
	return true;
}

static void expect(struct scanner *scanner, uint8_t c)
{
	if (!accept(scanner, c)) scanner->failed = true;
}

/* What stands between the quotes, as spelled. */
static struct bytes scan_string(struct scanner *scanner, bool *ret_escaped)
{
	*ret_escaped = false;
	expect(scanner, '"');
	size_t start = scanner->at;

	while (!scanner->failed) {
		uint8_t c = peek(scanner);
		if (c == '"') {
			scanner->at++;
			return bytes_of(scanner->json.data + start, scanner->at - 1 - start);
		}
		if (c == '\\') {
			*ret_escaped = true;
			scanner->at++;
			c = peek(scanner);
		}
		if (c < ' ')
			scanner->failed = true;
		else
			scanner->at++;
	}
	return BYTES_EMPTY;
}

static bool is_scalar_character(uint8_t c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		c == '-' || c == '+' || c == '.';
}

/* A number, true, false, null. */
static void skip_scalar(struct scanner *scanner)
{
	if (!is_scalar_character(peek(scanner))) scanner->failed = true;
	while (is_scalar_character(peek(scanner))) scanner->at++;
}

/* An object or array. One bit for each open level says which closing bracket it needs. */
static void skip_nested(struct scanner *scanner)
{
	uint64_t is_object = 0;
	unsigned depth = 0;

	do {
		uint8_t c = peek(scanner);
		bool escaped;
		if (c == '{' || c == '[') {
			if (depth == JSON_ID_DEPTH_MAX) scanner->failed = true;
			is_object = is_object << 1 | (c == '{' ? 1 : 0);
			depth++;
			scanner->at++;
		} else if (c == '}' || c == ']') {
			if ((is_object & 1) != (c == '}' ? 1 : 0)) scanner->failed = true;
			is_object >>= 1;
			depth--;
			scanner->at++;
		} else if (c == '"') {
			(void)scan_string(scanner, &escaped);
		} else if (c == 0) {
			scanner->failed = true;
		} else {
			scanner->at++;
		}
	} while (depth > 0 && !scanner->failed);
}
BOUND(JSON_ID_DEPTH_MAX <= 64);

static void skip_value(struct scanner *scanner)
{
	bool escaped;
	uint8_t c = peek(scanner);

	if (c == '"')
		(void)scan_string(scanner, &escaped);
	else if (c == '{' || c == '[')
		skip_nested(scanner);
	else
		skip_scalar(scanner);
}

struct bytes json_id_find(struct bytes json, struct bytes name)
{
	if (json.size > JSON_ID_SCAN_SIZE_MAX) json.size = JSON_ID_SCAN_SIZE_MAX;

	struct scanner scanner = { .json = json };
	skip_space(&scanner);
	expect(&scanner, '{');
	do {
		bool escaped;
		skip_space(&scanner);
		struct bytes member = scan_string(&scanner, &escaped);
		skip_space(&scanner);
		expect(&scanner, ':');
		skip_space(&scanner);
		if (escaped) scanner.failed = true; /* it could spell `name` */
		if (!scanner.failed && bytes_equal(member, name)) {
			struct bytes text = scan_string(&scanner, &escaped);
			return scanner.failed || escaped ? BYTES_EMPTY : text;
		}
		skip_value(&scanner);
		skip_space(&scanner);
	} while (accept(&scanner, ','));
	return BYTES_EMPTY;
}
