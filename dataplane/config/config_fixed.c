/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config/config_fixed.h"

#include "base/check.h"
#include "base/hash.h"
#include "config/config_codes.h"
#include "config/config_keys.h"

/* One key as the walk over the tables finds it. */
struct fixed_key {
	const struct config_section *section;
	const struct config_key *key;
	const void *object; /* that the section's values are in */
};

typedef void fixed_visit(void *owner, uint32_t index, const struct fixed_key *found);

/* ---- The walk -------------------------------------------------------------------------------- */

static void section_walk(const struct config_section *section, const void *object,
	fixed_visit *visit, void *owner, uint32_t *index)
{
	for (uint32_t i = 0; i < section->key_count; i++) {
		const struct config_key *key = &section->keys[i];
		/* Elements of lists (listeners, endpoints, targets) come and go. */
		if (key->section != NULL && key->arity == CONFIG_ONE) {
			section_walk(key->section, (const uint8_t *)object + key->offset, visit,
				owner, index);
		} else if (key->fixed) {
			CHECK(*index < CONFIG_FIXED_MAX);
			visit(owner, (*index)++, &(struct fixed_key){ section, key, object });
		}
	}
}

static void fixed_walk(const struct config *config, fixed_visit *visit, void *owner)
{
	uint32_t index = 0;
	section_walk(&config_root, config, visit, owner, &index);
}

/* ---- Values ---------------------------------------------------------------------------------- */

static uint64_t text_hash(const char *text, uint64_t seed)
{
	/* With its NUL, so that "ab", "c" is not "a", "bc". */
	return text == NULL ? seed : hash_xxh3(bytes_of(text, strlen(text) + 1), seed);
}

static uint64_t texts_hash(const struct fixed_key *found)
{
	const uint8_t *object = found->object;
	const char *const *texts = *(const char *const *const *)(object + found->key->offset);
	uint32_t count = *(const uint32_t *)(object + found->key->extra);
	uint64_t hash = count;

	for (uint32_t i = 0; i < count; i++) hash = text_hash(texts[i], hash);
	return hash;
}

static uint64_t value_hash(const struct fixed_key *found)
{
	const struct config_key *key = found->key;
	const uint8_t *field = (const uint8_t *)found->object + key->offset;
	char address[ADDRESS_TEXT_SIZE];

	if (key->arity == CONFIG_LIST) return texts_hash(found);
	if (key->type == CONFIG_TYPE_CPUS) {
		const struct config *config = found->object;
		return hash_xxh3(bytes_of(config->cpus, config->cpu_count * sizeof *config->cpus),
			0);
	}
	if (key->type == CONFIG_TYPE_ADDRESS) {
		address_format((const struct io_address *)field, address);
		return text_hash(address, 0);
	}
	if (key->type == CONFIG_TYPE_FILE || key->type == CONFIG_TYPE_WORD ||
		key->type == CONFIG_TYPE_ORIGIN) {
		return text_hash(*(const char *const *)field, 0);
	}
	CHECK(key->type == CONFIG_TYPE_COUNT || key->type == CONFIG_TYPE_SIZE ||
		key->type == CONFIG_TYPE_DURATION || key->type == CONFIG_TYPE_RATIO);
	return hash_xxh3(bytes_of(field, key->size), 0);
}

static void value_take(void *owner, uint32_t index, const struct fixed_key *found)
{
	struct config_fixed *fixed = owner;
	fixed->values[index] = value_hash(found);
}

void config_fixed_take(const struct config *config, struct config_fixed *ret)
{
	*ret = (struct config_fixed){ 0 };
	fixed_walk(config, value_take, ret);
}

/* ---- Comparing ------------------------------------------------------------------------------- */

struct comparison {
	const struct config_fixed *started;
	const struct config *next;
	struct config_report *report;
};

static void value_compare(void *owner, uint32_t index, const struct fixed_key *found)
{
	const struct comparison *comparison = owner;
	const char *section = found->section->name;

	if (value_hash(found) == comparison->started->values[index]) return;
	config_report_add(comparison->report, CONFIG_WARNING, PS_STAYS_UNTIL_RESTART,
		config_position_of(comparison->next,
			(const uint8_t *)found->object + found->key->offset,
			(struct config_position){ 0 }),
		"it stays as it was until the daemon is started again", "needs restart: %s%s%s",
		section, section[0] != '\0' ? "." : "", found->key->name);
}

void config_fixed_compare(const struct config_fixed *started, const struct config *next,
	struct config_report *report)
{
	struct comparison comparison = { started, next, report };

	config_report_borrow(report, next);
	fixed_walk(next, value_compare, &comparison);
	config_report_borrow(report, NULL);
}
