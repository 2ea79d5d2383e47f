/* SPDX-License-Identifier: GPL-2.0-or-later */
/* presented — reads out of a request's header fields what it claims: signatures, timestamp, id.
 *
 * Only the form is judged here, from bytes the sender knows, so a verdict about it tells an
 * attacker nothing. The first thing wrong is the verdict; reading goes on for the rest.
 */
#include "base/check.h"
#include "bounds.h"
#include "verify/verify_internal.h"

/* Names in rows are literals, hence NUL-terminated. */
static const char *text_of(struct bytes name)
{
	return (const char *)name.data;
}

static void fault(struct verify_presented *presented, enum verdict verdict, struct bytes header)
{
	if (presented->verdict != VERDICT_AUTHENTIC) return;
	presented->verdict = verdict;
	presented->header = text_of(header);
}

static bool same_name(struct bytes a, struct bytes b)
{
	return a.size == b.size && bytes_equal_ignore_case(a, b);
}

/* "stem-#" stands for "stem-1", "stem-2" … */
static bool is_numbered(struct bytes pattern)
{
	return pattern.size > 0 && pattern.data[pattern.size - 1] == '#';
}

static bool matches_name(struct bytes pattern, struct bytes name)
{
	if (!is_numbered(pattern)) return same_name(pattern, name);

	uint64_t number;
	size_t stem_size = pattern.size - 1;
	return name.size > stem_size &&
		same_name(bytes_of(pattern.data, stem_size), bytes_of(name.data, stem_size)) &&
		bytes_parse_u64(bytes_from(name, stem_size), &number) == RESULT_OK;
}

/* The value of the one field of that name; its absence or repetition is a fault. */
static bool find_field(const struct http_fields *fields, struct bytes name,
	struct verify_presented *presented, struct bytes *ret)
{
	const struct http_field *found = NULL;
	for (uint32_t i = 0; i < fields->count; i++) {
		const struct http_field *field = &fields->field[i];
		if (!same_name(field->name, name)) continue;
		if (found != NULL) {
			fault(presented, VERDICT_DUPLICATE_HEADER, name);
			return false;
		}
		found = field;
	}
	if (found == NULL) {
		fault(presented, VERDICT_MISSING_HEADER, name);
		return false;
	}
	*ret = found->value;
	return true;
}

/* Cuts the next item off *rest. */
static struct bytes next_item(const char *separators, struct bytes *rest)
{
	size_t size = 0;
	while (size < rest->size && rest->data[size] != (uint8_t)separators[0] &&
		(separators[1] == '\0' || rest->data[size] != (uint8_t)separators[1])) {
		size++;
	}
	struct bytes item = bytes_trim(bytes_of(rest->data, size));
	*rest = bytes_from(*rest, size + 1);
	return item;
}

/* Repeating the very same value is harmless (Persona sends `t=…,v1=… t=…,v1=…`); two
 * different ones leave open which was meant. */
static void take_once(const struct scheme *scheme, struct verify_presented *presented,
	struct bytes *to, struct bytes value)
{
	if (to->data != NULL && !bytes_equal(*to, value)) {
		fault(presented, VERDICT_MALFORMED_SIGNATURE, scheme->signature.header);
	}
	*to = value;
}

static void read_item(const struct scheme *scheme, struct bytes item, bool first,
	struct verify_presented *presented)
{
	const struct signature_row *row = &scheme->signature;
	const struct timestamp_row *timestamp = &scheme->timestamp;

	if (timestamp->place == TIMESTAMP_FIRST_ITEM && first) {
		presented->timestamp = item;
	} else if (timestamp->place == TIMESTAMP_IN_ITEM &&
		bytes_starts_with(item, timestamp->name)) {
		take_once(scheme, presented, &presented->timestamp,
			bytes_of(item.data + timestamp->name.size,
				item.size - timestamp->name.size));
	} else if (scheme->id.place == ID_IN_ITEM && bytes_starts_with(item, scheme->id.name)) {
		take_once(scheme, presented, &presented->id,
			bytes_of(item.data + scheme->id.name.size,
				item.size - scheme->id.name.size));
	} else if (!bytes_starts_with(item, row->prefix)) {
		if (row->separators[0] == '\0') {
			fault(presented, VERDICT_MALFORMED_SIGNATURE, row->header);
		}
	} else if (presented->signature_count == VERIFY_SIGNATURES_MAX) {
		fault(presented, VERDICT_MALFORMED_SIGNATURE, row->header);
	} else {
		presented->signature[presented->signature_count++] =
			bytes_from(item, row->prefix.size);
	}
}

static void read_items(const struct scheme *scheme, struct bytes value,
	struct verify_presented *presented)
{
	if (scheme->signature.separators[0] == '\0') {
		read_item(scheme, value, true, presented);
		return;
	}
	bool first = true;
	while (value.size > 0) {
		struct bytes item = next_item(scheme->signature.separators, &value);
		if (item.size > 0) read_item(scheme, item, first, presented);
		first = false;
	}
}

/* The fields that may hold a signature, in order. */
struct signature_fields {
	uint8_t index[HTTP_FIELDS_MAX];
	uint32_t count;
};
BOUND(HTTP_FIELDS_MAX <= UINT8_MAX);

/* Of two values for one header nobody can say which the provider meant. */
static void find_signatures(const struct signature_row *row, const struct http_fields *fields,
	struct verify_presented *presented, struct signature_fields *ret)
{
	unsigned count = 0;
	unsigned count_other = 0;

	ret->count = 0;
	for (uint32_t i = 0; i < fields->count; i++) {
		struct bytes name = fields->field[i].name;
		if (matches_name(row->header, name)) {
			count++;
		} else if (row->header_other.size > 0 && matches_name(row->header_other, name)) {
			count_other++;
		} else {
			continue;
		}
		ret->index[ret->count++] = (uint8_t)i;
	}
	if (ret->count == 0) fault(presented, VERDICT_MISSING_HEADER, row->header);
	if (count > 1 && !is_numbered(row->header)) {
		fault(presented, VERDICT_DUPLICATE_HEADER, row->header);
	}
	if (count_other > 1) fault(presented, VERDICT_DUPLICATE_HEADER, row->header_other);
}

static void read_signatures(const struct scheme *scheme, const struct http_fields *fields,
	struct verify_presented *presented)
{
	const struct signature_row *row = &scheme->signature;
	struct signature_fields found;

	find_signatures(row, fields, presented, &found);
	for (uint32_t i = 0; i < found.count; i++) {
		read_items(scheme, fields->field[found.index[i]].value, presented);
	}
	if (presented->signature_count == 0) {
		fault(presented, VERDICT_MALFORMED_SIGNATURE, row->header);
	}
}

static void read_required(const struct scheme *scheme, const struct http_fields *fields,
	struct verify_presented *presented)
{
	for (size_t i = 0; i < REQUIRED_MAX; i++) {
		const struct required_row *row = &scheme->required[i];
		struct bytes value;
		if (row->name.size == 0) return;
		if (!find_field(fields, row->name, presented, &value)) continue;
		if (!bytes_equal(value, row->value)) {
			fault(presented, VERDICT_MALFORMED_SIGNATURE, row->name);
		}
	}
}

static void read_timestamp(const struct scheme *scheme, const struct http_fields *fields,
	struct verify_presented *presented)
{
	const struct timestamp_row *row = &scheme->timestamp;
	struct bytes header = scheme->signature.header;

	if (row->place == TIMESTAMP_NOWHERE) return;
	if (row->place == TIMESTAMP_IN_HEADER) {
		header = row->name;
		if (!find_field(fields, header, presented, &presented->timestamp)) return;
	} else if (presented->timestamp.data == NULL) {
		fault(presented, VERDICT_MALFORMED_SIGNATURE, header);
		return;
	}
	if (timestamp_parse(row->unit, presented->timestamp, &presented->timestamp_s) !=
		RESULT_OK) {
		fault(presented, VERDICT_MALFORMED_TIMESTAMP, header);
	}
}

static bool is_id_character(enum id_charset charset, uint8_t c)
{
	switch (charset) {
	case ID_VISIBLE: return c > ' ' && c < 0x7f;
	case ID_VISIBLE_NO_DOT: return c > ' ' && c < 0x7f && c != '.';
	case ID_TOKEN:
		return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			c == '-' || c == '_';
	}
	UNREACHABLE();
}

bool id_is_valid(const struct id_row *row, struct bytes id)
{
	if (id.size == 0 || id.size > row->size_max) return false;
	for (size_t i = 0; i < id.size; i++) {
		if (!is_id_character(row->charset, id.data[i])) return false;
	}
	return true;
}

bool id_is_plain(struct bytes id)
{
	static const struct id_row row = { .charset = ID_VISIBLE, .size_max = EVENT_ID_SIZE_MAX };
	return id_is_valid(&row, id);
}

static void read_id(const struct scheme *scheme, const struct http_fields *fields,
	struct verify_presented *presented)
{
	const struct id_row *row = &scheme->id;
	struct bytes header = scheme->signature.header;

	if (row->place == ID_NOWHERE) return;
	if (row->place == ID_IN_HEADER) {
		header = row->name;
		if (!find_field(fields, header, presented, &presented->id)) return;
	} else if (presented->id.data == NULL) {
		fault(presented, VERDICT_MALFORMED_SIGNATURE, header);
		return;
	}
	if (!id_is_valid(row, presented->id)) {
		fault(presented, VERDICT_MALFORMED_ID, header);
	}
}

void presented_read(const struct scheme *scheme, const struct http_fields *fields,
	struct verify_presented *ret)
{
	*ret = (struct verify_presented){ .verdict = VERDICT_AUTHENTIC };
	read_signatures(scheme, fields, ret);
	read_required(scheme, fields, ret);
	read_timestamp(scheme, fields, ret);
	read_id(scheme, fields, ret);
}
