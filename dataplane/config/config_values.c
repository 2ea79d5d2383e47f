/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Names, files, quantities and CPU lists; URLs, hosts and addresses are in config_url.c. */
#include "config/config_values.h"

#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "base/check.h"
#include "config/config_codes.h"
#include "config/config_text.h"

/* How much of a value a sentence repeats. */
#define SHOWN "%.60s"

bool config_fault_set(struct config_fault *fault, const char *code, const char *hint,
	const char *format, ...)
{
	va_list arguments;

	fault->code = code;
	va_start(arguments, format);
	vsnprintf(fault->sentence, sizeof fault->sentence, format, arguments);
	va_end(arguments);
	config_text_trim(fault->sentence);
	snprintf(fault->hint, sizeof fault->hint, "%s", hint == NULL ? "" : hint);
	config_text_trim(fault->hint);
	return false;
}

static bool is_lower(char c)
{
	return c >= 'a' && c <= 'z';
}

static bool is_upper(char c)
{
	return c >= 'A' && c <= 'Z';
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_name(const char *text)
{
	size_t size = strlen(text);

	if (size == 0 || size > NAME_SIZE_MAX) return false;
	if (!is_lower(text[0]) && !is_digit(text[0])) return false;
	for (size_t i = 0; i < size; i++) {
		if (!is_lower(text[i]) && !is_digit(text[i]) && strchr("._-", text[i]) == NULL) {
			return false;
		}
	}
	return true;
}

bool config_value_name(const char *text, struct config_fault *fault)
{
	char better[NAME_SIZE_MAX + 1];
	char hint[NAME_SIZE_MAX + 32] = "";
	size_t size = strlen(text);

	if (is_name(text)) return true;
	if (size > NAME_SIZE_MAX) {
		return config_fault_set(fault, PS_NAME, NULL,
			"a name of %zu characters; the longest allowed is %u", size, NAME_SIZE_MAX);
	}
	for (size_t i = 0; i <= size; i++) {
		better[i] = is_upper(text[i]) ? (char)(text[i] - 'A' + 'a') : text[i];
		if (better[i] == ' ' || better[i] == '/') better[i] = '-';
	}
	if (is_name(better)) snprintf(hint, sizeof hint, "for example '%s'", better);
	return config_fault_set(fault, PS_NAME, hint,
		"'" SHOWN "' is not a name: a-z, 0-9, '.', '_', '-', a letter or digit first",
		text);
}

bool config_value_word(const char *text, struct config_fault *fault)
{
	size_t size = strlen(text);
	bool good = size > 0 && size <= NAME_SIZE_MAX && text[0] != '-';

	for (size_t i = 0; i < size && good; i++) {
		good = is_lower(text[i]) || is_upper(text[i]) || is_digit(text[i]) ||
			strchr("._-", text[i]) != NULL;
	}
	if (good) return true;
	return config_fault_set(fault, PS_NAME, NULL,
		"'" SHOWN "' is not a name: letters, digits, '.', '_', '-', at most %u", text,
		NAME_SIZE_MAX);
}

bool config_value_file(const char *text, struct config_fault *fault)
{
	size_t size = strlen(text);

	if (size == 0) return config_fault_set(fault, PS_FILE_NAME, NULL, "an empty file name");
	if (size > FILE_NAME_SIZE_MAX) {
		return config_fault_set(fault, PS_FILE_NAME, NULL,
			"a file name of %zu bytes; the longest allowed is %u", size,
			FILE_NAME_SIZE_MAX);
	}
	/* The text is not repeated: it may be the secret itself. */
	if (strncmp(text, "whsec_", 6) == 0 || strncmp(text, "whsk_", 5) == 0) {
		return config_fault_set(fault, PS_SECRET_IN_FILE,
			"put the secret into a file with mode 0600 and write its name here; "
			"then replace the secret",
			"this is a secret, not the name of a file");
	}
	if (text[0] == '~') {
		return config_fault_set(fault, PS_FILE_NAME, "write the whole path",
			"'" SHOWN "' begins with '~', which is not expanded", text);
	}
	if (strstr(text, "${") != NULL || text[0] == '$') {
		return config_fault_set(fault, PS_FILE_NAME, "write the whole path",
			"'" SHOWN "' holds a variable, which is not expanded", text);
	}
	return true;
}

bool config_value_count(const char *text, uint64_t *ret, struct config_fault *fault)
{
	char hint[64] = "";
	char digits[24];
	size_t count = 0;

	if (bytes_parse_u64(bytes_of_text(text), ret) == RESULT_OK) return true;
	if (text[0] != '\0' && text[strspn(text, "0123456789")] == '\0') {
		return config_fault_set(fault, PS_RANGE, NULL, "'" SHOWN "' is far too large",
			text);
	}

	/* "1_000", "1,000" and "1 000": what the digits say without what stands between. */
	for (size_t i = 0; text[i] != '\0'; i++) {
		if (strchr("_, '", text[i]) != NULL) continue;
		if (!is_digit(text[i]) || count + 1 >= sizeof digits) {
			count = 0;
			break;
		}
		digits[count++] = text[i];
	}
	digits[count] = '\0';
	if (count > 0 && strlen(text) != count) snprintf(hint, sizeof hint, "write %s", digits);
	return config_fault_set(fault, PS_NUMBER, hint, "'" SHOWN "' is not a whole number", text);
}

bool config_value_ratio(const char *text, uint64_t *ret, struct config_fault *fault)
{
	struct bytes whole;
	struct bytes fraction;
	uint64_t ones = 0;
	uint64_t millionths = 0;
	bool point = bytes_split(bytes_of_text(text), '.', &whole, &fraction);

	bool good = bytes_parse_u64(whole, &ones) == RESULT_OK && ones <= 1 &&
		(!point ||
			(fraction.size <= 6 &&
				bytes_parse_u64(fraction, &millionths) == RESULT_OK));
	for (size_t i = fraction.size; i < 6; i++) millionths *= 10;
	*ret = ones * TELEMETRY_RATIO_ONE + millionths;
	if (good && *ret <= TELEMETRY_RATIO_ONE) return true;
	return config_fault_set(fault, PS_RANGE, "write 0.01 for one in a hundred",
		"'" SHOWN "' is not a number from 0 to 1 with six digits at most behind the point",
		text);
}

void config_format_ratio(uint64_t millionths, char to[static CONFIG_QUANTITY_SIZE])
{
	CHECK(millionths <= TELEMETRY_RATIO_ONE);
	int size = snprintf(to, CONFIG_QUANTITY_SIZE, "%u.%06u",
		(unsigned)(millionths / TELEMETRY_RATIO_ONE),
		(unsigned)(millionths % TELEMETRY_RATIO_ONE));

	while (to[size - 1] == '0') size--;
	if (to[size - 1] == '.') size--;
	to[size] = '\0';
}

struct unit {
	const char *name;
	uint64_t factor;
};

static const struct unit size_units[] = {
	{ "B", 1 },
	{ "KiB", UINT64_C(1) << 10 },
	{ "MiB", UINT64_C(1) << 20 },
	{ "GiB", UINT64_C(1) << 30 },
	{ "TiB", UINT64_C(1) << 40 },
};
static const struct unit duration_units[] = {
	{ "ms", 1 },
	{ "s", 1000 },
	{ "m", 60 * 1000 },
	{ "h", 60 * 60 * 1000 },
	{ "d", 24 * 60 * 60 * 1000 },
};

/* Spellings people try, and what they mean by them. */
static const struct {
	const char *spelling;
	const char *unit;
} other_units[] = {
	{ "k", "KiB" },
	{ "kb", "KiB" },
	{ "kib", "KiB" },
	{ "mb", "MiB" },
	{ "mib", "MiB" },
	{ "g", "GiB" },
	{ "gb", "GiB" },
	{ "gib", "GiB" },
	{ "t", "TiB" },
	{ "tb", "TiB" },
	{ "tib", "TiB" },
	{ "b", "B" },
	{ "bytes", "B" },
	{ "msec", "ms" },
	{ "millis", "ms" },
	{ "sec", "s" },
	{ "secs", "s" },
	{ "second", "s" },
	{ "seconds", "s" },
	{ "min", "m" },
	{ "mins", "m" },
	{ "minute", "m" },
	{ "minutes", "m" },
	{ "hr", "h" },
	{ "hour", "h" },
	{ "hours", "h" },
	{ "day", "d" },
	{ "days", "d" },
};

static const struct unit *unit_find(const struct unit *units, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++) {
		if (strcmp(units[i].name, name) == 0) return &units[i];
	}
	return NULL;
}

/* The unit meant by a spelling that is not accepted: NULL when there is no telling. */
static const struct unit *unit_guess(const struct unit *units, size_t count, const char *name)
{
	for (size_t i = 0; i < ARRAY_COUNT(other_units); i++) {
		if (strcasecmp(other_units[i].spelling, name) != 0) continue;
		const struct unit *unit = unit_find(units, count, other_units[i].unit);
		if (unit != NULL) return unit;
	}
	for (size_t i = 0; i < count; i++) {
		if (strcasecmp(units[i].name, name) == 0) return &units[i];
	}
	return NULL;
}

struct quantity_kind {
	const struct unit *units;
	size_t unit_count;
	const char *unit_names;
	const char *example_unit;
	const char *noun;
};

static const struct quantity_kind size_kind = { size_units, ARRAY_COUNT(size_units),
	"B, KiB, MiB, GiB or TiB", "MiB", "size" };
static const struct quantity_kind duration_kind = { duration_units, ARRAY_COUNT(duration_units),
	"ms, s, m, h or d", "s", "duration" };

static void quantity_format(const struct quantity_kind *kind, uint64_t value, char *to)
{
	size_t at = kind->unit_count - 1;

	while (at > 0 && (value < kind->units[at].factor || value % kind->units[at].factor != 0)) {
		at--;
	}
	snprintf(to, CONFIG_QUANTITY_SIZE, "%llu%s",
		(unsigned long long)(value / kind->units[at].factor), kind->units[at].name);
}

/* Large plain sizes are bytes in people's minds; everything else has a usual unit. */
static void plain_number_hint(const struct quantity_kind *kind, const char *text, char *hint,
	size_t hint_size)
{
	char exact[CONFIG_QUANTITY_SIZE];
	uint64_t number = 0;

	if (kind->units == size_units &&
		bytes_parse_u64(bytes_of_text(text), &number) == RESULT_OK && number >= 1024) {
		quantity_format(kind, number, exact);
		snprintf(hint, hint_size, "for example %s; units are %s", exact, kind->unit_names);
		return;
	}
	snprintf(hint, hint_size, "for example %s%s; units are %s", text, kind->example_unit,
		kind->unit_names);
}

static bool quantity_fault(const struct quantity_kind *kind, const char *text, size_t digits,
	struct config_fault *fault)
{
	char hint[96] = "";
	const char *unit = text + digits;

	if (digits == 0 || digits > 20) {
		snprintf(hint, sizeof hint, "a whole number and %s", kind->unit_names);
		return config_fault_set(fault, PS_UNIT, hint, "'" SHOWN "' is not a %s", text,
			kind->noun);
	}
	if (*unit == '\0') {
		plain_number_hint(kind, text, hint, sizeof hint);
		return config_fault_set(fault, PS_UNIT_MISSING, hint, "'%s' has no unit", text);
	}
	while (*unit == ' ') unit++;
	const struct unit *meant = unit_guess(kind->units, kind->unit_count, unit);
	if (meant != NULL) {
		snprintf(hint, sizeof hint, "write %.*s%s", (int)digits, text, meant->name);
	} else {
		snprintf(hint, sizeof hint, "a whole number and %s", kind->unit_names);
	}
	return config_fault_set(fault, PS_UNIT, hint, "'" SHOWN "' is not a %s", text, kind->noun);
}

static bool quantity_parse(const struct quantity_kind *kind, const char *text, uint64_t *ret,
	struct config_fault *fault)
{
	size_t digits = strspn(text, "0123456789");
	const struct unit *unit = unit_find(kind->units, kind->unit_count, text + digits);
	uint64_t number;

	if (digits == 0 || unit == NULL) return quantity_fault(kind, text, digits, fault);
	if (bytes_parse_u64(bytes_of(text, digits), &number) != RESULT_OK ||
		number > UINT64_MAX / unit->factor) {
		return config_fault_set(fault, PS_RANGE, NULL, "'" SHOWN "' is far too large",
			text);
	}
	*ret = number * unit->factor;
	return true;
}

bool config_value_size(const char *text, uint64_t *ret, struct config_fault *fault)
{
	return quantity_parse(&size_kind, text, ret, fault);
}

bool config_value_duration_ms(const char *text, uint64_t *ret, struct config_fault *fault)
{
	return quantity_parse(&duration_kind, text, ret, fault);
}

void config_format_size(uint64_t size, char to[static CONFIG_QUANTITY_SIZE])
{
	quantity_format(&size_kind, size, to);
}

void config_format_duration_ms(uint64_t duration_ms, char to[static CONFIG_QUANTITY_SIZE])
{
	quantity_format(&duration_kind, duration_ms, to);
}

bool config_value_switch(const char *text, bool *ret, struct config_fault *fault)
{
	bool on = strcmp(text, "on") == 0 || strcmp(text, "true") == 0;
	bool off = strcmp(text, "off") == 0 || strcmp(text, "false") == 0;

	*ret = on;
	if (on || off) return true;
	return config_fault_set(fault, PS_SWITCH, "write on or off",
		"'" SHOWN "' is neither on nor off", text);
}

bool config_cpus_has(const struct config_cpus *cpus, uint32_t cpu)
{
	return cpu < CPU_INDEX_LIMIT && (cpus->bits[cpu / 64] >> cpu % 64 & 1) != 0;
}

uint32_t config_cpus_count(const struct config_cpus *cpus)
{
	uint32_t count = 0;

	for (size_t i = 0; i < ARRAY_COUNT(cpus->bits); i++) {
		count += (uint32_t)__builtin_popcountll(cpus->bits[i]);
	}
	return count;
}

/* "3" or "4-7". */
static bool cpu_range_parse(struct bytes text, uint64_t *ret_first, uint64_t *ret_last)
{
	struct bytes first;
	struct bytes last;
	bool is_range = bytes_split(text, '-', &first, &last);

	if (bytes_parse_u64(first, ret_first) != RESULT_OK) return false;
	*ret_last = *ret_first;
	return !is_range || bytes_parse_u64(last, ret_last) == RESULT_OK;
}

bool config_value_cpus(const char *text, struct config_cpus *cpus, struct config_fault *fault)
{
	struct bytes rest = bytes_of_text(text);
	bool more = true;

	while (more) {
		struct bytes part;
		uint64_t first;
		uint64_t last;

		more = bytes_split(rest, ',', &part, &rest);
		if (!cpu_range_parse(bytes_trim(part), &first, &last)) {
			return config_fault_set(fault, PS_CPUS,
				"write auto, a number, a range 0-3, or a list [0, 2, 4-7]",
				"'" SHOWN "' is not a CPU or a range of CPUs", text);
		}
		if (first > last) {
			return config_fault_set(fault, PS_CPUS, NULL,
				"the range '" SHOWN "' runs backwards", text);
		}
		if (last >= CPU_INDEX_LIMIT) {
			return config_fault_set(fault, PS_RANGE, NULL,
				"'" SHOWN "' is outside 0 to %u", text, CPU_INDEX_LIMIT - 1);
		}
		for (uint64_t cpu = first; cpu <= last; cpu++) {
			if (config_cpus_has(cpus, (uint32_t)cpu)) {
				return config_fault_set(fault, PS_DUPLICATE_ELEMENT, NULL,
					"CPU %u is listed twice", (unsigned)cpu);
			}
			cpus->bits[cpu / 64] |= UINT64_C(1) << cpu % 64;
		}
	}
	return true;
}

bool config_value_cpus_auto(struct config_cpus *ret)
{
	cpu_set_t set;

	*ret = (struct config_cpus){ 0 };
	/* Of the main thread: the caller may be a thread that is pinned to one CPU. */
	if (sched_getaffinity(getpid(), sizeof set, &set) != 0) return false;
	for (uint32_t cpu = 0; cpu < CPU_INDEX_LIMIT && cpu < CPU_SETSIZE; cpu++) {
		if (CPU_ISSET(cpu, &set)) ret->bits[cpu / 64] |= UINT64_C(1) << cpu % 64;
	}
	return config_cpus_count(ret) > 0;
}
