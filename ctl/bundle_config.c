/* SPDX-License-Identifier: GPL-2.0-or-later */
/* bundle_config — see the header. */
#include "bundle_config.h"

#include <string.h>

#include "base/alloc.h"
#include "base/cursor.h"
#include "config/config_walk.h"

enum { TOKEN_SIZE_MIN = 10 };

/* As it is, and as it stands between single quotes in YAML. */
static void add_bytes(struct anonymizer *anonymizer, const char *kind, struct bytes text)
{
	anonymizer_add(anonymizer, kind, text);
	if (text.size == 0 || memchr(text.data, '\'', text.size) == NULL) return;
	size_t capacity = 2 * text.size;
	uint8_t *memory = alloc_array(capacity, 1);
	struct writer writer = writer_of(memory, capacity);
	for (size_t i = 0; i < text.size; i++) {
		write_u8(&writer, text.data[i]);
		if (text.data[i] == '\'') write_u8(&writer, text.data[i]);
	}
	anonymizer_add(anonymizer, kind, writer_bytes(&writer));
	alloc_free(memory);
}

static void add(struct anonymizer *anonymizer, const char *kind, const char *text)
{
	add_bytes(anonymizer, kind, bytes_of_text(text));
}

/* The file and its folder: a line may have either. */
void bundle_config_path(struct anonymizer *anonymizer, const char *path)
{
	add(anonymizer, "path", path);
	const char *slash = strrchr(path, '/');
	if (slash == NULL) return;
	add_bytes(anonymizer, "path", bytes_of(path, (size_t)(slash - path)));
}

static void add_url_path(struct anonymizer *anonymizer, const char *path)
{
	add(anonymizer, "path", path);
	/* What a router or a log may show of it. */
	size_t size = strcspn(path, "?");
	add_bytes(anonymizer, "path", bytes_of(path, size));
	for (const char *at = path; *at != '\0';) {
		size_t part = strcspn(at, "/?&=");
		/* Receivers put tokens there; "hooks" and "v1" are none. */
		if (part >= TOKEN_SIZE_MIN) add_bytes(anonymizer, "part", bytes_of(at, part));
		at += part;
		if (*at != '\0') at++;
	}
}

void bundle_config_url(struct anonymizer *anonymizer, const char *url)
{
	add(anonymizer, "url", url);
	const char *host = strstr(url, "://");
	if (host == NULL) return;
	host += 3;
	size_t size = strcspn(host, "/?");
	add_url_path(anonymizer, host + size);
	/* An address in brackets is found by its form. */
	if (host[0] == '[') return;
	add_bytes(anonymizer, "host", bytes_of(host, size));
	add_bytes(anonymizer, "host", bytes_of(host, strcspn(host, ":/?")));
}

/* ---- By type --------------------------------------------------------------------------------- */

typedef void add_fn(struct anonymizer *anonymizer, const struct config_visit *visit,
	const char *text);

static void add_file(struct anonymizer *anonymizer, const struct config_visit *visit,
	const char *path)
{
	(void)visit;
	bundle_config_path(anonymizer, path);
}

static void add_request_path(struct anonymizer *anonymizer, const struct config_visit *visit,
	const char *path)
{
	(void)visit;
	add_url_path(anonymizer, path);
}

static void add_url(struct anonymizer *anonymizer, const struct config_visit *visit,
	const char *url)
{
	(void)visit;
	bundle_config_url(anonymizer, url);
}

static void add_host(struct anonymizer *anonymizer, const struct config_visit *visit,
	const char *host)
{
	(void)visit;
	add(anonymizer, "host", host);
	if (strncmp(host, "*.", 2) == 0) add(anonymizer, "host", host + 2);
}

/* "name" is that of what the section is about; elsewhere a name is one of a target. */
static void add_name(struct anonymizer *anonymizer, const struct config_visit *visit,
	const char *name)
{
	bool own = strcmp(visit->key->name, "name") == 0;
	add(anonymizer, own ? visit->section->name : "target", name);
}

static bool is_everywhere(struct bytes user)
{
	return bytes_equal(user, BYTES_LITERAL("root")) ||
		bytes_equal(user, BYTES_LITERAL("penstock"));
}

void bundle_config_user(struct anonymizer *anonymizer, struct bytes name)
{
	if (!is_everywhere(name)) add_bytes(anonymizer, "user", name);
}

/* A user or a group, but for the word that says how a provider signs, and for those that every
 * host has. */
static void add_word(struct anonymizer *anonymizer, const struct config_visit *visit,
	const char *word)
{
	if (strcmp(visit->key->name, "scheme") == 0) return;
	if (is_everywhere(bytes_of_text(word))) return;
	add(anonymizer, strcmp(visit->key->name, "group") == 0 ? "group" : "user", word);
}

/* ---- The walk -------------------------------------------------------------------------------- */

static void visit_list(struct anonymizer *anonymizer, const struct config_visit *visit,
	add_fn *add_one)
{
	const uint8_t *object = visit->object;
	const char *const *texts;
	uint32_t count;

	memcpy(&texts, object + visit->key->offset, sizeof texts);
	memcpy(&count, object + visit->key->extra, sizeof count);
	for (uint32_t i = 0; i < count; i++) add_one(anonymizer, visit, texts[i]);
}

static void visit_text(struct anonymizer *anonymizer, const struct config_visit *visit,
	add_fn *add_one)
{
	const char *text;

	if (visit->key->arity == CONFIG_LIST) {
		visit_list(anonymizer, visit, add_one);
		return;
	}
	memcpy(&text, (const uint8_t *)visit->object + visit->key->offset, sizeof text);
	if (text != NULL) add_one(anonymizer, visit, text);
}

static void visit_address(struct anonymizer *anonymizer, const struct config_visit *visit)
{
	char text[ADDRESS_TEXT_SIZE];
	struct io_address address;

	memcpy(&address, (const uint8_t *)visit->object + visit->key->offset, sizeof address);
	address_format(&address, text);
	add(anonymizer, "address", text);
}

static void visit_value(void *owner, const struct config_visit *visit)
{
	if (visit->text == NULL) return;
	switch (visit->key->type) {
	case CONFIG_TYPE_NAME: visit_text(owner, visit, add_name); return;
	case CONFIG_TYPE_WORD: visit_text(owner, visit, add_word); return;
	case CONFIG_TYPE_FILE: visit_text(owner, visit, add_file); return;
	case CONFIG_TYPE_PATH: visit_text(owner, visit, add_request_path); return;
	case CONFIG_TYPE_HOST:
	case CONFIG_TYPE_HOST_PATTERN: visit_text(owner, visit, add_host); return;
	case CONFIG_TYPE_TARGET_URL:
	case CONFIG_TYPE_ORIGIN: visit_text(owner, visit, add_url); return;
	case CONFIG_TYPE_ADDRESS: visit_address(owner, visit); return;
	case CONFIG_TYPE_COUNT:
	case CONFIG_TYPE_SIZE:
	case CONFIG_TYPE_DURATION:
	case CONFIG_TYPE_RATIO:
	case CONFIG_TYPE_CHOICE:
	case CONFIG_TYPE_CPUS:
	case CONFIG_TYPE_SECTION:
	case CONFIG_TYPE_SECTION_OR_OFF:
	case CONFIG_TYPE_REFUSED: return; /* say nothing of anybody */
	}
}

static void visit_section(void *owner, const struct config_visit *visit)
{
	(void)owner;
	(void)visit;
}

void bundle_config_names(const struct config *config, struct anonymizer *anonymizer)
{
	static const struct config_visitor visitor = { visit_value, visit_section, visit_section };

	config_walk(config, &visitor, anonymizer);
	bundle_config_path(anonymizer, config->path);
}
