/* SPDX-License-Identifier: GPL-2.0-or-later */
/* units — see the header. */
#include "units.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/clock.h"

const char *units_number(uint64_t number, char text[static UNITS_TEXT_SIZE])
{
	char digits[24];
	int size = snprintf(digits, sizeof digits, "%" PRIu64, number);
	char *at = text;
	for (int i = 0; i < size; i++) {
		if (i > 0 && (size - i) % 3 == 0) *at++ = ',';
		*at++ = digits[i];
	}
	*at = '\0';
	return text;
}

const char *units_size(uint64_t size, char text[static UNITS_TEXT_SIZE])
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	size_t unit = 0;
	double value = (double)size;
	/* What would be shown as 1024.0 is one of the next unit. */
	while (value >= 1023.95 && unit + 1 < ARRAY_COUNT(units)) {
		value /= 1024;
		unit++;
	}
	if (unit == 0) {
		snprintf(text, UNITS_TEXT_SIZE, "%" PRIu64 " B", size);
	} else {
		snprintf(text, UNITS_TEXT_SIZE, "%.1f %s", value, units[unit]);
	}
	return text;
}

const char *units_duration(uint64_t us, char text[static UNITS_TEXT_SIZE])
{
	uint64_t s = us / US_PER_S;
	if (us < US_PER_MS) {
		snprintf(text, UNITS_TEXT_SIZE, "%" PRIu64 " µs", us);
	} else if (us < 999950) {
		snprintf(text, UNITS_TEXT_SIZE, "%.1f ms", (double)us / 1e3);
	} else if (us < 59950000) {
		snprintf(text, UNITS_TEXT_SIZE, "%.1f s", (double)us / 1e6);
	} else if (s < 3600) {
		snprintf(text, UNITS_TEXT_SIZE, "%" PRIu64 "m %02" PRIu64 "s", s / 60, s % 60);
	} else if (s < 86400) {
		snprintf(text, UNITS_TEXT_SIZE, "%" PRIu64 "h %02" PRIu64 "m", s / 3600,
			s / 60 % 60);
	} else {
		snprintf(text, UNITS_TEXT_SIZE, "%" PRIu64 "d %02" PRIu64 "h", s / 86400,
			s / 3600 % 24);
	}
	return text;
}

enum result units_time_parse(const char *text, uint64_t *ret_us)
{
	struct tm tm = { 0 };
	const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
	if (rest == NULL) return RESULT_MALFORMED;
	uint64_t us = 0;
	if (*rest == '.') {
		uint64_t unit = US_PER_S;
		for (rest++; *rest >= '0' && *rest <= '9' && unit > 1; rest++) {
			unit /= 10;
			us += (uint64_t)(*rest - '0') * unit;
		}
	}
	if (strcmp(rest, "Z") != 0) return RESULT_MALFORMED;
	time_t seconds = timegm(&tm);
	if (seconds < 0) return RESULT_MALFORMED;
	*ret_us = (uint64_t)seconds * US_PER_S + us;
	return RESULT_OK;
}

const char *units_time(uint64_t us, bool with_ms, char text[static UNITS_TEXT_SIZE])
{
	time_t seconds = (time_t)(us / US_PER_S);
	struct tm tm;
	text[0] = '\0';
	if (localtime_r(&seconds, &tm) == NULL) return text;
	size_t size = strftime(text, UNITS_TEXT_SIZE, "%F %T", &tm);
	if (with_ms) {
		snprintf(text + size, UNITS_TEXT_SIZE - size, ".%03u",
			(unsigned)(us / US_PER_MS % 1000));
	}
	return text;
}
