/* SPDX-License-Identifier: GPL-2.0-or-later */
/* metrics_format — which exposition format a client asks for (RFC 9110 §12.5.1). */
#include "metrics/metrics_expose.h"

#include "base/check.h"

enum { QUALITY_MAX = 1000, QUALITY_DIGITS_MAX = 3 };

/* "0.5" in thousandths. RFC 9110 §12.4.2: "qvalue = ( "0" [ "." 0*3DIGIT ] ) / ( "1" [ "."
 * 0*3("0") ] )". What is none means: not at all. */
static unsigned quality_parse(struct bytes text)
{
	struct bytes whole;
	struct bytes fraction;
	bool dot = bytes_split(text, '.', &whole, &fraction);
	uint64_t value = 0;

	if (bytes_equal(whole, BYTES_LITERAL("1"))) return QUALITY_MAX;
	if (!bytes_equal(whole, BYTES_LITERAL("0")) || !dot) return 0;
	if (fraction.size > QUALITY_DIGITS_MAX || bytes_parse_u64(fraction, &value) != RESULT_OK) {
		return 0;
	}
	for (size_t i = fraction.size; i < QUALITY_DIGITS_MAX; i++) value *= 10;
	return (unsigned)value;
}

/* Of one range's parameters; 0 when it is a version that is not written here. */
static unsigned range_quality(struct bytes parameters, struct bytes version)
{
	unsigned quality = QUALITY_MAX;
	bool more = parameters.size > 0;

	while (more) {
		struct bytes parameter;
		struct bytes name;
		struct bytes value;
		more = bytes_split(parameters, ';', &parameter, &parameters);
		if (!bytes_split(bytes_trim(parameter), '=', &name, &value)) continue;
		if (bytes_equal_ignore_case(name, BYTES_LITERAL("q")))
			quality = quality_parse(value);
		if (bytes_equal_ignore_case(name, BYTES_LITERAL("version")) &&
			!bytes_equal(value, version)) {
			return 0;
		}
	}
	return quality;
}

/* How much the client likes a type that it names. */
static unsigned type_quality(struct bytes accept, struct bytes type, struct bytes version)
{
	unsigned best = 0;
	bool more = true;

	while (more) {
		struct bytes range;
		struct bytes name;
		struct bytes parameters;
		more = bytes_split(accept, ',', &range, &accept);
		bytes_split(range, ';', &name, &parameters);
		if (!bytes_equal_ignore_case(bytes_trim(name), type)) continue;
		unsigned quality = range_quality(parameters, version);
		if (quality > best) best = quality;
	}
	return best;
}

enum metrics_format metrics_format_accepted(struct bytes accept)
{
	unsigned openmetrics = type_quality(accept, BYTES_LITERAL("application/openmetrics-text"),
		BYTES_LITERAL("1.0.0"));
	unsigned text = type_quality(accept, BYTES_LITERAL("text/plain"), BYTES_LITERAL("0.0.4"));

	return openmetrics > 0 && openmetrics >= text ? METRICS_FORMAT_OPENMETRICS
						      : METRICS_FORMAT_TEXT;
}

const char *metrics_content_type(enum metrics_format format)
{
	switch (format) {
	case METRICS_FORMAT_TEXT: return "text/plain; version=0.0.4; charset=utf-8";
	case METRICS_FORMAT_OPENMETRICS:
		return "application/openmetrics-text; version=1.0.0; charset=utf-8";
	case METRICS_FORMAT_REFERENCE: return "text/markdown; charset=utf-8";
	}
	UNREACHABLE();
}
