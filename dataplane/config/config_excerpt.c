/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config/config_excerpt.h"

#include "base/check.h"
#include "base/cursor.h"
#include "config/config_text.h"

enum {
	WINDOW_CHARACTERS = 110,
	/* Of the window, before the caret when the line's start does not fit. */
	WINDOW_BEFORE = 60,
	/* Further to the right no excerpt is given: such a file was not written by a person. */
	LINE_SIZE_MAX = 65536,
	CHARACTER_SIZE_MAX = 4,
	ELLIPSIS_SIZE = 3,
};
BOUND(WINDOW_CHARACTERS *CHARACTER_SIZE_MAX + 2 * ELLIPSIS_SIZE < CONFIG_EXCERPT_SIZE);

#define ELLIPSIS "\xE2\x80\xA6"
#define MASK "***"

/* Keys whose value is never shown, wherever they stand. */
static const char *const masked_keys[] = { "secret", "previous_secret", "password", "token",
	"private_key", "api_key" };
/* What secrets themselves begin with. */
static const char *const masked_starts[] = { "whsec_", "whsk_", "sk_live_", "sk_test_", "ghp_",
	"glpat-", "xoxb-", "shpss_", "-----BEGIN" };

static bool is_word(uint8_t byte)
{
	return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
		(byte >= '0' && byte <= '9') || byte == '_' || byte == '-';
}

static bool ends_value(uint8_t byte)
{
	return byte == ' ' || byte == '\t' || byte == '"' || byte == '\'' || byte == ',' ||
		byte == '}' || byte == ']' || byte == '\r';
}

/* A masked key at `at`: the offset just behind its colon. 0 otherwise. */
static size_t masked_key_end(struct bytes line, size_t at)
{
	if (at > 0 && is_word(line.data[at - 1])) return 0;

	struct bytes rest = bytes_from(line, at);
	for (size_t i = 0; i < ARRAY_COUNT(masked_keys); i++) {
		size_t end = strlen(masked_keys[i]);
		if (end > rest.size) continue;
		if (!bytes_equal_ignore_case(bytes_of(rest.data, end),
			    bytes_of_text(masked_keys[i]))) {
			continue;
		}
		while (end < rest.size && ends_value(rest.data[end])) end++;
		if (end < rest.size && rest.data[end] == ':') return at + end + 1;
	}
	return 0;
}

/* A secret itself at `at`: the offset behind it. 0 otherwise. */
static size_t masked_value_end(struct bytes line, size_t at)
{
	struct bytes rest = bytes_from(line, at);
	size_t end = 0;

	for (size_t i = 0; i < ARRAY_COUNT(masked_starts); i++) {
		if (bytes_starts_with(rest, bytes_of_text(masked_starts[i]))) {
			while (end < rest.size && !ends_value(rest.data[end])) end++;
			return at + end;
		}
	}
	/* "user:password@" behind "://". */
	if (at >= 3 && memcmp(line.data + at - 3, "://", 3) == 0) {
		size_t last = 0;
		for (; end < rest.size && !ends_value(rest.data[end]); end++) {
			if (rest.data[end] == '/') break;
			if (rest.data[end] == '@') last = end;
		}
		if (last > 0) return at + last;
	}
	return 0;
}

/* Walks a line piece by piece: one character, or the mask that stands for a secret. */
struct walk {
	struct bytes line;
	size_t at;
	uint32_t column;     /* of `at` in the line, from 1 */
	size_t masked_until; /* the rest of the line when a masked key was passed */
};

static void walk_skip(struct walk *walk, size_t end)
{
	uint32_t character;

	while (walk->at < end) {
		size_t size = config_text_next(bytes_from(walk->line, walk->at), &character);
		walk->at += size == 0 ? 1 : size;
		walk->column++;
	}
}

static bool walk_next(struct walk *walk, struct bytes *ret)
{
	uint32_t character;

	if (walk->at >= walk->line.size) return false;

	size_t key_end = walk->masked_until == 0 ? masked_key_end(walk->line, walk->at) : 0;
	if (key_end > 0) walk->masked_until = key_end;

	size_t end = masked_value_end(walk->line, walk->at);
	if (walk->masked_until > 0 && walk->at >= walk->masked_until) end = walk->line.size;
	if (end > 0) {
		*ret = BYTES_LITERAL(MASK);
		walk_skip(walk, end);
		return true;
	}

	struct bytes rest = bytes_from(walk->line, walk->at);
	size_t size = config_text_next(rest, &character);
	*ret = bytes_of(rest.data, size);
	if (size == 0 || !config_text_allowed(character)) *ret = BYTES_LITERAL("?");
	if (size == 1 && character == '\t') *ret = BYTES_LITERAL(" ");
	walk_skip(walk, walk->at + (size == 0 ? 1 : size));
	return true;
}

static struct bytes find_line(struct bytes text, uint32_t line)
{
	struct bytes head = BYTES_EMPTY;

	for (uint32_t i = 0; i < line; i++) {
		if (i > 0 && text.size == 0) return BYTES_EMPTY;
		(void)bytes_split(text, '\n', &head, &text); /* the last line has no end */
	}
	if (head.size > 0 && head.data[head.size - 1] == '\r') head.size--;
	if (head.size > LINE_SIZE_MAX) head.size = LINE_SIZE_MAX;
	return head;
}

/* Characters that will stand before the caret. */
static uint32_t caret_of(struct bytes line, uint32_t column)
{
	struct walk walk = { .line = line, .column = 1 };
	struct bytes piece;
	uint32_t shown = 0;

	while (walk.column < column && walk_next(&walk, &piece)) {
		bool is_mask = piece.size == sizeof MASK - 1 && piece.data[0] == '*';
		/* A place inside a masked secret: the caret stands under the mask's start. */
		if (is_mask && walk.column > column) break;
		shown += is_mask ? (uint32_t)piece.size : 1;
	}
	return shown;
}

void config_excerpt(struct bytes text, struct config_position position,
	char to[static CONFIG_EXCERPT_SIZE], uint32_t *ret_caret)
{
	struct bytes piece;

	to[0] = '\0';
	*ret_caret = 0;
	if (position.line == 0 || position.column > LINE_SIZE_MAX) return;

	struct bytes line = find_line(text, position.line);
	struct walk walk = { .line = line, .column = 1 };
	struct writer writer = writer_of(to, CONFIG_EXCERPT_SIZE - 1);
	uint32_t caret = caret_of(line, position.column);
	uint32_t skip = caret > WINDOW_CHARACTERS - 10 ? caret - WINDOW_BEFORE : 0;
	uint32_t shown = 0;

	if (skip > 0) write_text(&writer, ELLIPSIS);
	while (shown < skip + WINDOW_CHARACTERS && walk_next(&walk, &piece)) {
		bool is_mask = piece.size == sizeof MASK - 1 && piece.data[0] == '*';
		if (shown >= skip) write_bytes(&writer, piece);
		shown += is_mask ? (uint32_t)piece.size : 1;
	}
	if (walk.at < line.size) write_text(&writer, ELLIPSIS);
	if (writer.failed) writer.size = 0;
	to[writer.size] = '\0';
	*ret_caret = caret - skip + (skip > 0 ? 1 : 0);
}
