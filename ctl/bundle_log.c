/* SPDX-License-Identifier: GPL-2.0-or-later */
/* bundle_log — see the header.
 *
 * Lines are read as they are written: an alias replaces the bytes that stand there, so JSON is not
 * decoded. A value with an escape in it is one of those that nobody can judge.
 */
#include "bundle_log.h"

#include <string.h>

#include "base/alloc.h"
#include "base/check.h"
#include "bundle_config.h"

struct line {
	struct anonymizer *anonymizer;
	struct bytes text;
	bool doubt; /* a name may stand in it that was not found */
};

/* ---- Letters --------------------------------------------------------------------------------- */

static bool is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

static bool is_key_letter(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || is_digit(c) || c == '_';
}

static size_t key_size(struct bytes text)
{
	size_t size = 0;
	while (size < text.size && is_key_letter(text.data[size])) size++;
	return size;
}

static bool begins(struct bytes text, const char *with)
{
	return bytes_starts_with(text, bytes_of_text(with));
}

/* Where `what` begins, or the size of the whole. */
static size_t find(struct bytes whole, const char *what)
{
	size_t at = 0;
	while (at < whole.size && !begins(bytes_from(whole, at), what)) at++;
	return at;
}

static bool has(struct bytes whole, const char *what)
{
	return find(whole, what) < whole.size;
}

/* Up to the first of `ends`. */
static size_t span(struct bytes text, const char *ends)
{
	size_t size = 0;
	while (size < text.size && strchr(ends, text.data[size]) == NULL) size++;
	return size;
}

static bool begins_any(struct bytes text, const char *const *list, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (begins(text, list[i])) return true;
	}
	return false;
}

/* ---- Names ----------------------------------------------------------------------------------- */

/* A number is no name: it would be replaced in every figure. */
static bool is_number(struct bytes text)
{
	for (size_t i = 0; i < text.size; i++) {
		if (!is_digit(text.data[i])) return false;
	}
	return true;
}

static void add(struct line *line, const char *kind, struct bytes text)
{
	if (is_number(text)) return;
	char *copy = alloc_array(text.size + 1, 1);
	memcpy(copy, text.data, text.size);
	if (has(text, "://")) {
		bundle_config_url(line->anonymizer, copy);
	} else if (memchr(text.data, '/', text.size) != NULL) {
		bundle_config_path(line->anonymizer, copy);
	} else {
		anonymizer_add(line->anonymizer, kind, text);
		/* Without its port; an IPv6 address is found by its form. */
		struct bytes host = bytes_of(text.data, bytes_find(text, ':'));
		bool one = bytes_find(bytes_from(text, host.size + 1), ':') + host.size + 1 ==
			text.size;
		if (host.size < text.size && one && !is_number(host)) {
			anonymizer_add(line->anonymizer, kind, host);
		}
	}
	alloc_free(copy);
}

/* "alice uid 1000 pid 4711", or none at all. */
static void add_actor(struct line *line, struct bytes value)
{
	static const char *const nobody[] = { "uid ", "start", "nobody: ", "SIGHUP", "loopback",
		"somebody unknown" };
	size_t size = value.size;
	/* The last: a name may be of more words. */
	while (size > 0 && !begins(bytes_from(value, size), " uid ")) size--;
	if (size > 0) {
		bundle_config_user(line->anonymizer, bytes_of(value.data, size));
	} else if (!begins_any(value, nobody, ARRAY_COUNT(nobody))) {
		line->doubt = true;
	}
}

/* Of an action: the path of a backup, or what the daemon says of it. */
static void add_text(struct line *line, struct bytes value)
{
	static const char *const own[] = { "deadline ", "from version ", "refused: ", "generation ",
		"confirmed, generation ", "rolled back, generation ", "rolled back, refused: " };
	if (value.size == 0) return;
	if (value.data[0] == '/') {
		add(line, "path", value);
	} else if (!begins_any(value, own, ARRAY_COUNT(own)) ||
		bytes_find(value, '/') < value.size) {
		line->doubt = true;
	}
}

static const char *element_kind(struct bytes text)
{
	static const char *const kinds[] = { "endpoint", "listener", "target" };
	for (size_t i = 0; i < ARRAY_COUNT(kinds); i++) {
		size_t size = strlen(kinds[i]);
		if (begins(text, kinds[i]) && size < text.size && text.data[size] == ' ') {
			return kinds[i];
		}
	}
	return NULL;
}

/* "endpoint acme: removed", or the path of a key: "metrics", "store.path". */
static void add_change(struct line *line, struct bytes change)
{
	const char *kind = element_kind(change);
	if (kind == NULL) {
		size_t size = 0;
		while (size < change.size &&
			(is_key_letter(change.data[size]) || change.data[size] == '.')) {
			size++;
		}
		if (size < change.size && !bytes_equal(change, BYTES_LITERAL("and more"))) {
			line->doubt = true;
		}
		return;
	}
	struct bytes name = bytes_from(change, strlen(kind) + 1);
	size_t size = find(name, ": ");
	if (size == name.size) line->doubt = true; /* cut */
	add(line, kind, bytes_of(name.data, size));
}

static void add_changes(struct line *line, struct bytes value)
{
	while (value.size > 0) {
		size_t size = find(value, "; ");
		add_change(line, bytes_of(value.data, size));
		value = bytes_from(value, size < value.size ? size + 2 : size);
	}
}

/* ---- Pairs ----------------------------------------------------------------------------------- */

static const char *key_find(struct bytes key)
{
	static const char *const keys[] = { "address", "by", "changes", "endpoint", "file",
		"folder", "host", "listener", "name", "path", "target", "text", "url" };
	for (size_t i = 0; i < ARRAY_COUNT(keys); i++) {
		if (bytes_equal(key, bytes_of_text(keys[i]))) return keys[i];
	}
	return NULL;
}

static void add_value(struct line *line, const char *key, struct bytes value)
{
	if (bytes_find(value, '\\') < value.size) line->doubt = true;
	if (strcmp(key, "by") == 0) {
		add_actor(line, value);
	} else if (strcmp(key, "text") == 0) {
		add_text(line, value);
	} else if (strcmp(key, "changes") == 0) {
		add_changes(line, value);
	} else {
		add(line, key, value);
	}
}

static bool is_pair(struct bytes text)
{
	size_t size = key_size(text);
	return size > 0 && size < text.size && text.data[size] == '=';
}

/* How a pair goes on behind its key; the longer ones first. */
static const struct form {
	const char *opens;
	const char *closes; /* "": with the word */
	const char *behind; /* one of these, or the end of the line, or the next pair */
} forms[] = {
	{ "=\\\"", "\\\"", "\"" },
	{ "=\"", "\"", "" },
	{ "\":\"", "\"", ",}" },
	{ "=", "", "\",;" },
};

/* Otherwise the value has not ended there. */
static bool value_ends(const struct form *form, struct bytes after)
{
	if (after.size == 0 || strchr(form->behind, after.data[0]) != NULL) return true;
	return after.data[0] == ' ' && is_pair(bytes_from(after, 1));
}

/* Up to the quote that ends it; in JSON an escape is stepped over. */
static size_t quoted_size(struct bytes text, const char *closes)
{
	size_t size = 0;
	while (size < text.size && !begins(bytes_from(text, size), closes)) {
		size += text.data[size] == '\\' ? 2 : 1;
	}
	return size < text.size ? size : text.size;
}

/* Returns what the pair at the text's begin takes, or 0 when it is none with a name in it. */
static size_t take_pair(struct line *line, struct bytes text)
{
	size_t at = key_size(text);
	const char *key = key_find(bytes_of(text.data, at));
	if (key == NULL) return 0;
	for (size_t i = 0; i < ARRAY_COUNT(forms); i++) {
		const struct form *form = &forms[i];
		if (!begins(bytes_from(text, at), form->opens)) continue;
		struct bytes value = bytes_from(text, at + strlen(form->opens));
		bool bare = form->closes[0] == '\0';
		size_t size = bare ? span(value, " \"\\,;") : quoted_size(value, form->closes);
		struct bytes after = bytes_from(value, size);
		add_value(line, key, bytes_of(value.data, size));
		/* A line that was cut has no end. */
		if (!bare && after.size == 0) line->doubt = true;
		if (after.size > 0) after = bytes_from(after, strlen(form->closes));
		if (!value_ends(form, after)) line->doubt = true;
		return text.size - after.size;
	}
	return 0;
}

/* ---- Words ----------------------------------------------------------------------------------- */

/* "target acme: …", "target \"acme\"". */
static void take_element(struct line *line, struct bytes text)
{
	const char *kind = element_kind(text);
	if (kind == NULL) return;
	struct bytes name = bytes_from(text, strlen(kind) + 1);
	if (begins(name, "any more ")) return; /* worker/handed.c */
	size_t size = find(name, ": ");
	if (size == name.size || bytes_find(name, ' ') < size) {
		line->doubt = true;
		return;
	}
	add(line, kind, bytes_of(name.data, size));
}

/* "the collector at otel.example:4318 does not take traces". */
static void take_collector(struct line *line, struct bytes text)
{
	static const char words[] = "collector at ";
	if (!begins(text, words)) return;
	struct bytes name = bytes_from(text, strlen(words));
	add(line, "host", bytes_of(name.data, bytes_find(name, ' ')));
}

/* A path or a URL. One with a blank in it goes on where its word ends. */
static void take_path(struct line *line, struct bytes text)
{
	static const char *const behind[] = { " cannot be ", " does not run", " takes over",
		" still says " };
	size_t size = span(text, " \"\\,;()");
	struct bytes word = bytes_of(text.data, size);
	struct bytes after = bytes_from(text, size);
	if (bytes_find(word, '/') == word.size) return;
	if (after.size > 0 && after.data[0] == ' ' && !is_pair(bytes_from(after, 1)) &&
		word.data[word.size - 1] != ':' &&
		!begins_any(after, behind, ARRAY_COUNT(behind))) {
		line->doubt = true;
	}
	if (!has(word, "://")) word.size = bytes_find(word, ':');
	add(line, "path", word);
	/* The sentence's colon, or a place in the file. */
	for (; word.size < size; word.size++) {
		uint8_t c = word.data[word.size];
		if (c != ':' && !is_digit(c)) line->doubt = true;
	}
}

/* ---- Lines ----------------------------------------------------------------------------------- */

/* Complaints about a configuration show what stands in it, in sentences of every form. */
static bool is_complaint(struct bytes text)
{
	size_t at = find(text, ": PS");
	return has(text, "reload failed, ") || (at + 4 < text.size && is_digit(text.data[at + 4]));
}

static void line_take(struct line *line)
{
	size_t at = 0;
	bool inside = false; /* the byte before is one of a word */
	line->doubt = is_complaint(line->text) || bytes_find(line->text, 0) < line->text.size;
	while (at < line->text.size) {
		struct bytes rest = bytes_from(line->text, at);
		size_t size = inside ? 0 : take_pair(line, rest);
		if (!inside && size == 0) {
			take_element(line, rest);
			take_collector(line, rest);
			take_path(line, rest);
		}
		at += size > 0 ? size : 1;
		inside = size == 0 && strchr(" \"\\=,;()>", rest.data[0]) == NULL;
	}
}

unsigned bundle_log_names(struct anonymizer *anonymizer, char *text, size_t *size)
{
	struct bytes rest = bytes_of(text, *size);
	size_t kept = 0;
	unsigned left_out = 0;

	while (rest.size > 0) {
		size_t end = bytes_find(rest, '\n');
		struct line line = { .anonymizer = anonymizer, .text = bytes_of(rest.data, end) };
		size_t whole = end < rest.size ? end + 1 : end;
		line_take(&line);
		if (line.doubt) {
			left_out++;
		} else {
			memmove(text + kept, rest.data, whole);
			kept += whole;
		}
		rest = bytes_from(rest, whole);
	}
	*size = kept;
	return left_out;
}
