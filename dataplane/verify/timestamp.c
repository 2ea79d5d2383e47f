/* SPDX-License-Identifier: GPL-2.0-or-later */
/* timestamp — the three spellings of a point in time that providers sign.
 *
 * The civil calendar is computed here and not by libc: no time zone data, no locale, no lock.
 */
#include "base/check.h"
#include "verify/verify_internal.h"

/* 9999-12-31T23:59:59Z: far more than any clock error, far from any overflow. */
#define TIMESTAMP_S_MAX UINT64_C(253402300799)

enum { DAYS_1970 = 719468, DAYS_PER_ERA = 146097, S_PER_DAY = 86400 };

/* Days since 1970-01-01 of a date from year 0 on: years begin in March, so that the leap day
 * is the last one, and 400 of them (an era) always have the same number of days. */
static int64_t days_from_date(unsigned year, unsigned month, unsigned day)
{
	unsigned march_year = month <= 2 ? year - 1 : year;
	unsigned march_month = month <= 2 ? month + 9 : month - 3;
	unsigned era = march_year / 400;
	unsigned year_of_era = march_year % 400;
	unsigned day_of_year = (153 * march_month + 2) / 5 + day - 1;
	unsigned day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
	return (int64_t)era * DAYS_PER_ERA + day_of_era - DAYS_1970;
}

static unsigned days_in_month(unsigned year, unsigned month)
{
	static const unsigned char days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
	return month == 2 && leap ? 29 : days[month - 1];
}

/* Takes `count` digits off the front. */
static bool take_digits(struct bytes *text, size_t count, unsigned *ret)
{
	if (text->size < count) return false;
	unsigned value = 0;
	for (size_t i = 0; i < count; i++) {
		uint8_t c = text->data[i];
		if (c < '0' || c > '9') return false;
		value = value * 10 + (unsigned)(c - '0');
	}
	*text = bytes_from(*text, count);
	*ret = value;
	return true;
}

static bool take_one_of(struct bytes *text, const char *characters)
{
	if (text->size == 0 || text->data[0] == 0) return false;
	if (strchr(characters, text->data[0]) == NULL) return false;
	*text = bytes_from(*text, 1);
	return true;
}

/* ".123": any number of digits, of no interest. */
static bool skip_fraction(struct bytes *text)
{
	if (!take_one_of(text, ".")) return true;
	size_t digits = 0;
	while (take_one_of(text, "0123456789")) digits++;
	return digits > 0;
}

/* "Z" or "+01:00", to the end. */
static bool take_offset(struct bytes *text, int64_t *ret_seconds)
{
	*ret_seconds = 0;
	if (take_one_of(text, "Zz")) return text->size == 0;

	bool west = text->size > 0 && text->data[0] == '-';
	unsigned hours, minutes;
	if (!take_one_of(text, "+-") || !take_digits(text, 2, &hours) || !take_one_of(text, ":") ||
		!take_digits(text, 2, &minutes) || text->size != 0 || hours > 23 || minutes > 59) {
		return false;
	}
	*ret_seconds = (int64_t)hours * 3600 + (int64_t)minutes * 60;
	if (west) *ret_seconds = -*ret_seconds;
	return true;
}

/* RFC 3339 §5.6 date-time. */
static enum result parse_iso(struct bytes text, uint64_t *ret_seconds)
{
	unsigned year, month, day, hour, minute, second;
	int64_t offset_s;

	if (!take_digits(&text, 4, &year) || !take_one_of(&text, "-") ||
		!take_digits(&text, 2, &month) || !take_one_of(&text, "-") ||
		!take_digits(&text, 2, &day) || !take_one_of(&text, "Tt ") ||
		!take_digits(&text, 2, &hour) || !take_one_of(&text, ":") ||
		!take_digits(&text, 2, &minute) || !take_one_of(&text, ":") ||
		!take_digits(&text, 2, &second) || !skip_fraction(&text) ||
		!take_offset(&text, &offset_s)) {
		return RESULT_MALFORMED;
	}
	if (year < 1970 || month < 1 || month > 12 || day < 1 || day > days_in_month(year, month) ||
		hour > 23 || minute > 59 || second > 60) {
		return RESULT_MALFORMED;
	}
	int64_t seconds = days_from_date(year, month, day) * S_PER_DAY +
		(int64_t)(hour * 3600 + minute * 60 + second) - offset_s;
	if (seconds < 0) return RESULT_MALFORMED;
	*ret_seconds = (uint64_t)seconds;
	return RESULT_OK;
}

enum result timestamp_parse(enum timestamp_unit unit, struct bytes text, uint64_t *ret_seconds)
{
	uint64_t value = 0;

	switch (unit) {
	case TIMESTAMP_S: TRY(bytes_parse_u64(text, &value)); break;
	case TIMESTAMP_MS:
		TRY(bytes_parse_u64(text, &value));
		value /= 1000;
		break;
	case TIMESTAMP_ISO: TRY(parse_iso(text, &value)); break;
	case TIMESTAMP_OPAQUE:
		if (text.size == 0) return RESULT_MALFORMED;
		break;
	}
	if (value > TIMESTAMP_S_MAX) return RESULT_MALFORMED;
	*ret_seconds = value;
	return RESULT_OK;
}

static void write_two_digits(struct writer *writer, uint64_t value)
{
	write_u8(writer, (uint8_t)('0' + value / 10 % 10));
	write_u8(writer, (uint8_t)('0' + value % 10));
}

static void write_iso(struct writer *writer, uint64_t seconds)
{
	/* The inverse of days_from_date(). */
	uint64_t days = seconds / S_PER_DAY + DAYS_1970;
	uint64_t era = days / DAYS_PER_ERA;
	uint64_t day_of_era = days % DAYS_PER_ERA;
	uint64_t year_of_era =
		(day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
	uint64_t day_of_year = day_of_era -
		(365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	uint64_t march_month = (5 * day_of_year + 2) / 153;
	uint64_t month = march_month < 10 ? march_month + 3 : march_month - 9;
	uint64_t year = era * 400 + year_of_era + (month <= 2 ? 1 : 0);

	write_two_digits(writer, year / 100);
	write_two_digits(writer, year);
	write_u8(writer, '-');
	write_two_digits(writer, month);
	write_u8(writer, '-');
	write_two_digits(writer, day_of_year - (153 * march_month + 2) / 5 + 1);
	write_u8(writer, 'T');
	write_two_digits(writer, seconds / 3600 % 24);
	write_u8(writer, ':');
	write_two_digits(writer, seconds / 60 % 60);
	write_u8(writer, ':');
	write_two_digits(writer, seconds % 60);
	write_u8(writer, 'Z');
}

struct bytes timestamp_write(enum timestamp_unit unit, wall_t now,
	char to[static TIMESTAMP_SIZE_MAX])
{
	struct writer writer = writer_of(to, TIMESTAMP_SIZE_MAX);

	switch (unit) {
	case TIMESTAMP_S:
	case TIMESTAMP_OPAQUE: write_decimal(&writer, wall_seconds(now)); break;
	case TIMESTAMP_MS: write_decimal(&writer, now.us / US_PER_MS); break;
	case TIMESTAMP_ISO: write_iso(&writer, wall_seconds(now)); break;
	}
	CHECK(!writer.failed);
	return writer_bytes(&writer);
}
