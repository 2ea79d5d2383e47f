/* SPDX-License-Identifier: GPL-2.0-or-later */
/* http_date — dates as RFC 9110 §5.6.7 has them: one format written, three read. */
#include "base/check.h"
#include "base/cursor.h"
#include "http/http_internal.h"

#define SECONDS_PER_DAY UINT64_C(86400)
/* 9999-12-31T23:59:59Z: the year has four digits. */
#define UNIX_SECONDS_MAX UINT64_C(253402300799)

static const char day_names[7][10] = { "Sunday", "Monday", "Tuesday", "Wednesday", "Thursday",
	"Friday", "Saturday" };
static const char month_names[12][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug",
	"Sep", "Oct", "Nov", "Dec" };

struct date {
	unsigned year;
	unsigned month; /* 1 … 12 */
	unsigned day;   /* 1 … 31 */
	unsigned hour;
	unsigned minute;
	unsigned second;
};

static bool year_is_leap(unsigned year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static unsigned days_in_month(unsigned year, unsigned month)
{
	static const unsigned days[12] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	return days[month - 1] + (month == 2 && year_is_leap(year) ? 1 : 0);
}

/* Days from 1970-01-01 to the first of January; year >= 1970. */
static uint64_t days_to_year(unsigned year)
{
	uint64_t before = year - 1;
	return UINT64_C(365) * (year - 1970) + (before / 4 - before / 100 + before / 400) -
		(1969 / 4 - 1969 / 100 + 1969 / 400);
}

static void date_split(uint64_t unix_seconds, struct date *date)
{
	uint64_t days = unix_seconds / SECONDS_PER_DAY;
	unsigned seconds = (unsigned)(unix_seconds % SECONDS_PER_DAY);

	/* The estimate is never too small and at most one too large. */
	date->year = (unsigned)(1970 + days / 365);
	while (days_to_year(date->year) > days) date->year--;
	days -= days_to_year(date->year);
	date->month = 1;
	while (days >= days_in_month(date->year, date->month)) {
		days -= days_in_month(date->year, date->month);
		date->month++;
	}
	date->day = (unsigned)days + 1;
	date->hour = seconds / 3600;
	date->minute = seconds / 60 % 60;
	date->second = seconds % 60;
}

static uint64_t date_join(const struct date *date)
{
	uint64_t days = days_to_year(date->year) + date->day - 1;
	for (unsigned month = 1; month < date->month; month++)
		days += days_in_month(date->year, month);
	return days * SECONDS_PER_DAY + date->hour * UINT64_C(3600) + date->minute * UINT64_C(60) +
		date->second;
}

static void put_digits(char *to, unsigned value, size_t count)
{
	for (size_t i = count; i > 0; i--) {
		to[i - 1] = (char)('0' + value % 10);
		value /= 10;
	}
}

void http_date(uint64_t unix_seconds, char to[static HTTP_DATE_SIZE])
{
	CHECK(unix_seconds <= UNIX_SECONDS_MAX);

	struct date date;
	date_split(unix_seconds, &date);
	/* 1970-01-01 was a Thursday. */
	unsigned weekday = (unsigned)((unix_seconds / SECONDS_PER_DAY + 4) % 7);

	memcpy(to, "Sun, 06 Nov 1994 08:49:37 GMT", HTTP_DATE_SIZE);
	memcpy(to, day_names[weekday], 3);
	put_digits(to + 5, date.day, 2);
	memcpy(to + 8, month_names[date.month - 1], 3);
	put_digits(to + 12, date.year, 4);
	put_digits(to + 17, date.hour, 2);
	put_digits(to + 20, date.minute, 2);
	put_digits(to + 23, date.second, 2);
}

static void take_literal(struct reader *reader, const char *text)
{
	struct bytes literal = bytes_of_text(text);
	if (!bytes_equal(read_bytes(reader, literal.size), literal)) reader->failed = true;
}

static unsigned take_digits(struct reader *reader, size_t count)
{
	uint64_t value = 0;
	if (bytes_parse_u64(read_bytes(reader, count), &value) != RESULT_OK) reader->failed = true;
	return (unsigned)value;
}

static unsigned take_month(struct reader *reader)
{
	struct bytes name = read_bytes(reader, 3);
	for (unsigned i = 0; i < 12; i++) {
		if (bytes_equal(name, bytes_of(month_names[i], 3))) return i + 1;
	}
	reader->failed = true;
	return 1;
}

static void take_time(struct reader *reader, struct date *date)
{
	date->hour = take_digits(reader, 2);
	take_literal(reader, ":");
	date->minute = take_digits(reader, 2);
	take_literal(reader, ":");
	date->second = take_digits(reader, 2);
}

/* "Sun, 06 Nov 1994 08:49:37 GMT", after the comma. */
static void take_imf_fixdate(struct reader *reader, struct date *date)
{
	date->day = take_digits(reader, 2);
	take_literal(reader, " ");
	date->month = take_month(reader);
	take_literal(reader, " ");
	date->year = take_digits(reader, 4);
	take_literal(reader, " ");
	take_time(reader, date);
	take_literal(reader, " GMT");
}

/* "Sunday, 06-Nov-94 08:49:37 GMT", after the comma. */
static void take_rfc850(struct reader *reader, uint64_t now_s, struct date *date)
{
	date->day = take_digits(reader, 2);
	take_literal(reader, "-");
	date->month = take_month(reader);
	take_literal(reader, "-");
	unsigned year = take_digits(reader, 2);
	take_literal(reader, " ");
	take_time(reader, date);
	take_literal(reader, " GMT");

	/* RFC 9110 §5.6.7: "Recipients of a timestamp value in rfc850-date format, which uses a
	 * two-digit year, MUST interpret a timestamp that appears to be more than 50 years in
	 * the future as representing the most recent year in the past that had the same last two
	 * digits." */
	struct date now;
	date_split(now_s, &now);
	date->year = now.year / 100 * 100 + year;
	if (date->year > now.year + 50) date->year -= 100;
	if (date->year + 50 <= now.year) date->year += 100; /* towards the end of a century */
}

/* "Sun Nov  6 08:49:37 1994", after the first space. */
static void take_asctime(struct reader *reader, struct date *date)
{
	date->month = take_month(reader);
	take_literal(reader, " ");
	bool one_digit = bytes_starts_with(reader->rest, BYTES_LITERAL(" "));
	if (one_digit) take_literal(reader, " ");
	date->day = take_digits(reader, one_digit ? 1 : 2);
	take_literal(reader, " ");
	take_time(reader, date);
	take_literal(reader, " ");
	date->year = take_digits(reader, 4);
}

static bool is_day_name(struct bytes name, bool is_long)
{
	for (unsigned i = 0; i < 7; i++) {
		size_t size = is_long ? strlen(day_names[i]) : 3;
		if (bytes_equal(name, bytes_of(day_names[i], size))) return true;
	}
	return false;
}

enum result http_date_parse(struct bytes text, uint64_t now_s, uint64_t *ret_unix_seconds)
{
	CHECK(now_s <= UNIX_SECONDS_MAX);

	struct date date = { 0 };
	struct reader reader = reader_of(text);
	size_t name_size = bytes_find(text, ' ');
	struct bytes name = read_bytes(&reader, name_size);
	take_literal(&reader, " ");
	if (reader.failed) return RESULT_MALFORMED;

	bool comma = name.size > 0 && name.data[name.size - 1] == ',';
	if (comma) name.size--;
	if (!comma && is_day_name(name, false)) {
		take_asctime(&reader, &date);
	} else if (comma && is_day_name(name, false)) {
		take_imf_fixdate(&reader, &date);
	} else if (comma && is_day_name(name, true)) {
		take_rfc850(&reader, now_s, &date);
	} else {
		return RESULT_MALFORMED;
	}
	if (!reader_complete(&reader)) return RESULT_MALFORMED;
	if (date.day < 1 || date.day > days_in_month(date.year, date.month))
		return RESULT_MALFORMED;
	/* A leap second counts as the first second of the next minute. */
	if (date.hour > 23 || date.minute > 59 || date.second > 60) return RESULT_MALFORMED;
	/* What was before 1970 is long ago. */
	*ret_unix_seconds = date.year < 1970 ? 0 : date_join(&date);
	return RESULT_OK;
}
