/* SPDX-License-Identifier: GPL-2.0-or-later */
/* anonymizer — see the header.
 *
 * Names are sorted, without regard to case. The longest one that a text begins with is then found
 * by halving: the greatest name that is not behind the text either is it, or shows how much of the
 * text a shorter one can have.
 */
#include "anonymizer.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>

#include "base/alloc.h"
#include "base/check.h"
#include "secrets/mac.h"

enum {
	KEY_SIZE = 32,
	ALIAS_BYTES = 6, /* of the HMAC: as many names as there may be stay distinct */
	ALIAS_SIZE = 40,
	NAMES_FIRST = 256,
};

struct name {
	char *text; /* as it was added */
	size_t size;
	char alias[ALIAS_SIZE];
};

struct names {
	struct name *names;
	size_t count;
	size_t capacity;
};

struct anonymizer {
	uint8_t key[KEY_SIZE];
	struct mac_key *mac;
	struct names names;     /* sorted, once `ready` */
	struct names addresses; /* found in texts */
	bool ready;
};

/* ---- Letters --------------------------------------------------------------------------------- */

static uint8_t lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c + ('a' - 'A')) : c;
}

static bool is_word(uint8_t c)
{
	c = lower(c);
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c >= 0x80;
}

static size_t common_size(struct bytes a, struct bytes b)
{
	size_t size = 0;
	while (size < a.size && size < b.size && lower(a.data[size]) == lower(b.data[size])) size++;
	return size;
}

/* Less than, equal to or greater than 0; a beginning comes before what it is the beginning of. */
static int compare_bytes(struct bytes a, struct bytes b)
{
	size_t size = common_size(a, b);
	if (size == a.size || size == b.size) return (a.size > b.size) - (a.size < b.size);
	return lower(a.data[size]) < lower(b.data[size]) ? -1 : 1;
}

static struct bytes bytes_of_name(const struct name *name)
{
	return bytes_of(name->text, name->size);
}

static int compare_names(const void *a, const void *b)
{
	return compare_bytes(bytes_of_name(a), bytes_of_name(b));
}

/* ---- Names ----------------------------------------------------------------------------------- */

struct anonymizer *anonymizer_create(void)
{
	struct anonymizer *anonymizer = alloc_array(1, sizeof *anonymizer);
	/* Up to 256 bytes come whole and are not interrupted: getrandom(2). */
	CHECK(getrandom(anonymizer->key, KEY_SIZE, 0) == KEY_SIZE);
	CHECK(mac_key_create(MAC_SHA256, bytes_of(anonymizer->key, KEY_SIZE), &anonymizer->mac) ==
		RESULT_OK);
	return anonymizer;
}

static void names_free(struct names *names)
{
	for (size_t i = 0; i < names->count; i++) alloc_free(names->names[i].text);
	alloc_free(names->names);
}

void anonymizer_free(struct anonymizer *anonymizer)
{
	if (anonymizer == NULL) return;
	names_free(&anonymizer->names);
	names_free(&anonymizer->addresses);
	mac_key_free(anonymizer->mac);
	bytes_wipe(anonymizer->key, KEY_SIZE);
	alloc_free(anonymizer);
}

static void alias_make(const struct anonymizer *anonymizer, const char *kind, struct bytes text,
	char to[static ALIAS_SIZE])
{
	uint8_t mac[MAC_SIZE_MAX];
	char hex[2 * ALIAS_BYTES];
	uint8_t *copy = alloc_array(text.size + 1, 1);
	for (size_t i = 0; i < text.size; i++) copy[i] = lower(text.data[i]);
	struct bytes part = bytes_of(copy, text.size);
	mac_compute(anonymizer->mac, &part, 1, mac);
	alloc_free(copy);
	hex_encode(bytes_of(mac, ALIAS_BYTES), hex);
	snprintf(to, ALIAS_SIZE, "%.20s-%.*s", kind, (int)sizeof hex, hex);
}

static struct name *names_add(struct anonymizer *anonymizer, struct names *names, const char *kind,
	struct bytes text)
{
	if (names->count == names->capacity) {
		size_t capacity = names->capacity > 0 ? names->capacity * 2 : NAMES_FIRST;
		struct name *grown = alloc_array(capacity, sizeof *grown);
		if (names->count > 0) memcpy(grown, names->names, names->count * sizeof *grown);
		alloc_free(names->names);
		names->names = grown;
		names->capacity = capacity;
	}
	struct name *name = &names->names[names->count++];
	name->text = alloc_array(text.size + 1, 1);
	memcpy(name->text, text.data, text.size);
	name->size = text.size;
	alias_make(anonymizer, kind, text, name->alias);
	return name;
}

void anonymizer_add(struct anonymizer *anonymizer, const char *kind, struct bytes text)
{
	CHECK(!anonymizer->ready);
	if (text.size == 0 || bytes_equal(text, BYTES_LITERAL("/"))) return;
	names_add(anonymizer, &anonymizer->names, kind, text);
}

/* Sorted, each once. Which kind an alias of two gets does not matter; that it is one does. */
static void names_finish(struct anonymizer *anonymizer)
{
	struct names *names = &anonymizer->names;
	size_t kept = 0;
	if (anonymizer->ready) return;
	anonymizer->ready = true;
	if (names->count == 0) return;
	qsort(names->names, names->count, sizeof names->names[0], compare_names);
	for (size_t i = 1; i < names->count; i++) {
		if (compare_names(&names->names[kept], &names->names[i]) == 0) {
			alloc_free(names->names[i].text);
		} else {
			names->names[++kept] = names->names[i];
		}
	}
	names->count = kept + 1;
}

/* ---- Finding --------------------------------------------------------------------------------- */

/* The greatest name that is not behind the text; NULL when all are. */
static const struct name *name_before(const struct names *names, struct bytes text)
{
	size_t low = 0;
	size_t high = names->count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (compare_bytes(bytes_of_name(&names->names[middle]), text) <= 0) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	return low > 0 ? &names->names[low - 1] : NULL;
}

/* A name that ends like a word ends where the word does. */
static bool ends_here(struct bytes text, size_t size)
{
	return size == text.size || !is_word(text.data[size - 1]) || !is_word(text.data[size]);
}

/* The longest name that the text begins with. */
static const struct name *name_find(const struct names *names, struct bytes text)
{
	struct bytes rest = text;
	while (rest.size > 0) {
		const struct name *name = name_before(names, rest);
		if (name == NULL) return NULL;
		size_t common = common_size(bytes_of_name(name), rest);
		bool whole = common == name->size;
		if (whole && ends_here(text, common)) return name;
		rest.size = whole ? common - 1 : common;
	}
	return NULL;
}

static bool is_address_letter(uint8_t c)
{
	c = lower(c);
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || c == '.' || c == ':';
}

static bool is_address(struct bytes text)
{
	char copy[INET6_ADDRSTRLEN];
	uint8_t address[16];
	if (!bytes_to_text(text, copy, sizeof copy)) return false;
	return inet_pton(AF_INET, copy, address) == 1 || inet_pton(AF_INET6, copy, address) == 1;
}

/* How much of the text is an address, or 0. "::" alone stands in too much that is none. */
static size_t address_size(struct bytes text)
{
	size_t size = 0;
	while (size < text.size && size < INET6_ADDRSTRLEN && is_address_letter(text.data[size]))
		size++;
	/* What follows may be a port, or the end of a sentence. */
	for (; size > 2; size--) {
		if (size < text.size && is_word(text.data[size]) && text.data[size - 1] != ':')
			continue;
		if (is_address(bytes_of(text.data, size))) return size;
	}
	return 0;
}

static const char *address_alias(struct anonymizer *anonymizer, struct bytes text)
{
	struct names *addresses = &anonymizer->addresses;
	for (size_t i = 0; i < addresses->count; i++) {
		if (compare_bytes(bytes_of_name(&addresses->names[i]), text) == 0) {
			return addresses->names[i].alias;
		}
	}
	return names_add(anonymizer, addresses, "address", text)->alias;
}

void anonymizer_write(struct anonymizer *anonymizer, struct bytes text, FILE *file)
{
	names_finish(anonymizer);
	bool inside = false; /* the character before is one of a word */
	while (text.size > 0) {
		bool begins = !inside || !is_word(text.data[0]);
		const struct name *name = begins ? name_find(&anonymizer->names, text) : NULL;
		size_t size = name != NULL ? name->size : 0;
		const char *alias = name != NULL ? name->alias : NULL;
		if (alias == NULL && begins && is_address_letter(text.data[0])) {
			size = address_size(text);
			if (size > 0) alias = address_alias(anonymizer, bytes_of(text.data, size));
		}
		if (alias != NULL) {
			fputs(alias, file);
		} else {
			size = 1;
			fputc(text.data[0], file);
		}
		inside = is_word(text.data[size - 1]);
		text = bytes_from(text, size);
	}
}

static void write_names(const struct names *names, FILE *file)
{
	for (size_t i = 0; i < names->count; i++) {
		fprintf(file, "%s %s\n", names->names[i].alias, names->names[i].text);
	}
}

void anonymizer_write_table(const struct anonymizer *anonymizer, FILE *file)
{
	char hex[2 * KEY_SIZE];
	hex_encode(bytes_of(anonymizer->key, KEY_SIZE), hex);
	fprintf(file,
		"# What the aliases of a support bundle stand for. Keep it; do not send it.\n");
	fprintf(file, "key %.*s\n", (int)sizeof hex, hex);
	bytes_wipe(hex, sizeof hex);
	write_names(&anonymizer->names, file);
	write_names(&anonymizer->addresses, file);
}
