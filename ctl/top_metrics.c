/* SPDX-License-Identifier: GPL-2.0-or-later */
/* top_metrics — reads the Prometheus text exposition as far as top needs it: the counters and
 * histograms of the tables in top_sample.h, summed over all labels; and for one endpoint or target
 * the histogram that bears its name.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "top_sample.h"

struct line {
	struct bytes name;
	struct bytes labels; /* between the braces */
	double value;
};

static bool number_parse(struct bytes text, double *ret)
{
	char copy[40];
	char *end;
	if (!bytes_to_text(bytes_trim(text), copy, sizeof copy) || copy[0] == '\0') return false;
	*ret = strtod(copy, &end);
	return *end == '\0';
}

/* `name{labels} value` or `name value`; label values may hold blanks and escaped quotes. */
static bool line_parse(struct bytes text, struct line *ret)
{
	size_t brace = bytes_find(text, '{');
	size_t blank = bytes_find(text, ' ');
	if (text.size == 0 || text.data[0] == '#' || blank == text.size) return false;
	if (blank < brace) {
		*ret = (struct line){ .name = bytes_of(text.data, blank) };
		return number_parse(bytes_from(text, blank), &ret->value);
	}
	bool quoted = false;
	size_t at = brace + 1;
	for (; at < text.size && (quoted || text.data[at] != '}'); at++) {
		if (quoted && text.data[at] == '\\')
			at++;
		else if (text.data[at] == '"')
			quoted = !quoted;
	}
	if (at >= text.size) return false;
	ret->name = bytes_of(text.data, brace);
	ret->labels = bytes_of(text.data + brace + 1, at - brace - 1);
	return number_parse(bytes_from(text, at + 1), &ret->value);
}

/* The value of a label, still escaped; empty when it is not there. */
static struct bytes label_find(struct bytes labels, struct bytes name)
{
	while (labels.size > 0) {
		struct bytes key;
		struct bytes rest;
		if (!bytes_split(labels, '"', &key, &rest)) break;
		size_t end = 0;
		while (end < rest.size && rest.data[end] != '"') {
			end += rest.data[end] == '\\' ? 2 : 1;
		}
		if (end >= rest.size) break;
		struct bytes value = bytes_of(rest.data, end);
		if (key.size > 0 && key.data[0] == ',') key = bytes_from(key, 1);
		if (key.size == name.size + 1 && bytes_starts_with(key, name)) return value;
		labels = bytes_from(rest, end + 1);
	}
	return BYTES_EMPTY;
}

/* Series come in the order of the items, mostly: so it is looked for from the last one on. */
static struct top_item *item_named(struct top_sample *sample, enum top_list list, struct bytes name,
	uint32_t *last)
{
	for (uint32_t i = 0; i < sample->counts[list]; i++) {
		uint32_t at = (*last + i) % sample->counts[list];
		struct top_item *item = &sample->items[list][at];
		if (!bytes_equal(bytes_of_text(item->name), name)) continue;
		*last = at;
		return item;
	}
	return NULL;
}

static void take_counter(struct top_sample *sample, const struct line *line)
{
	static const char *const beginnings[] = {
#define X(name, metric) [TOP_##name] = metric,
		TOP_COUNTER_TABLE(X)
#undef X
	};
	for (size_t i = 0; i < TOP_COUNTER_COUNT; i++) {
		if (!bytes_starts_with(line->name, bytes_of_text(beginnings[i]))) continue;
		sample->counters[i] += (uint64_t)line->value;
		return;
	}
}

static void take_bucket(struct top_sample *sample, const struct line *line, uint32_t lasts[2])
{
	static const char *const histograms[] = {
#define X(name, key, metric, text) [TOP_LATENCY_##name] = metric "_bucket",
		TOP_LATENCY_TABLE(X)
#undef X
	};
	double bound_s;
	struct bytes le = label_find(line->labels, BYTES_LITERAL("le"));
	if (!number_parse(le, &bound_s)) return; /* "+Inf" is a number */
	for (size_t i = 0; i < TOP_LATENCY_COUNT; i++) {
		if (!bytes_equal(line->name, bytes_of_text(histograms[i]))) continue;
		top_histogram_add(&sample->latencies[i], bound_s, (uint64_t)line->value);
		bool ack = i == TOP_LATENCY_ACK;
		if (!ack && i != TOP_LATENCY_ATTEMPT) return;
		enum top_list list = ack ? TOP_ENDPOINTS : TOP_TARGETS;
		struct bytes name = label_find(line->labels,
			ack ? BYTES_LITERAL("endpoint") : BYTES_LITERAL("target"));
		if (name.size == 0) return;
		struct top_item *item = item_named(sample, list, name, &lasts[list]);
		if (item != NULL) top_histogram_add(&item->latency, bound_s, (uint64_t)line->value);
		return;
	}
}

void top_sample_metrics(struct top_sample *sample, struct bytes text)
{
	uint32_t lasts[2] = { 0 };
	while (text.size > 0) {
		struct bytes row;
		struct line line;
		bytes_split(text, '\n', &row, &text);
		if (!line_parse(row, &line) || !(line.value >= 0)) continue;
		take_counter(sample, &line);
		take_bucket(sample, &line, lasts);
	}
}
