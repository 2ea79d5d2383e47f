/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pairs of a line become fields, and nothing that stands in a line can change another field or
 * end the record. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/log_form.h"
#include "lib/guard.h"

static uint8_t memory[LOG_OUTPUT_SIZE];

typedef void form(struct writer *writer, const struct log_line *line);

static struct bytes formed(form *write, struct bytes message)
{
	struct writer writer = writer_of(memory, sizeof memory);
	struct log_line line = {
		.level = LOG_WARNING, .message = message, .time = "2023-11-14T22:13:20Z"
	};

	write(&writer, &line);
	assert_false(writer.failed);
	return writer_bytes(&writer);
}

static void expect(struct bytes found, struct bytes expected)
{
	if (!bytes_equal(found, expected)) {
		print_error("%.*s\n", (int)found.size, (const char *)found.data);
	}
	assert_true(bytes_equal(found, expected));
}

static void a_line_is_text_with_its_level(void **state)
{
	struct writer writer = writer_of(memory, sizeof memory);
	struct log_line line = { .level = LOG_ERROR, .message = BYTES_LITERAL("no disk shard=3") };

	(void)state;
	log_form_text(&writer, &line, "<3>");
	expect(writer_bytes(&writer), BYTES_LITERAL("<3>penstock: error: no disk shard=3\n"));
}

#define JSON_HEAD "{\"time\":\"2023-11-14T22:13:20Z\",\"level\":\"warning\",\"message\":"
#define ENTRY_TAIL "\nPRIORITY=4\nSYSLOG_IDENTIFIER=penstockd\n"

static const struct {
	const char *message;
	const char *escaped; /* the message in JSON, where that differs */
	const char *members;
	const char *fields;
} cases[] = {
	{ .message = "watchdog: all is well", .members = "", .fields = "" },
	{ .message = "event_id=evt_1 is late shard=3 error=\"No space\"",
		.escaped = "event_id=evt_1 is late shard=3 error=\\\"No space\\\"",
		.members = ",\"event_id\":\"evt_1\",\"shard\":\"3\",\"error\":\"No space\"",
		.fields = "PENSTOCK_EVENT_ID=evt_1\nPENSTOCK_SHARD=3\nPENSTOCK_ERROR=No space\n" },
	/* The sentence goes on. */
	{ .message = "generation=17, or generation=16; a=",
		.members = ",\"generation\":\"17\",\"a\":\"\"",
		.fields = "PENSTOCK_GENERATION=17\nPENSTOCK_A=\n" },
	/* Most are not pairs. */
	{ .message = "x== a.b=1 (c=2) =3 D=4 1e=5",
		.members = ",\"x\":\"=\"",
		.fields = "PENSTOCK_X==\n" },
	/* Inside quotes there are no pairs, and the first of a name counts. */
	{ .message = "by=\"alice\" text=\"by=root\" by=\"root\"",
		.escaped = "by=\\\"alice\\\" text=\\\"by=root\\\" by=\\\"root\\\"",
		.members = ",\"by\":\"alice\",\"text\":\"by=root\"",
		.fields = "PENSTOCK_BY=alice\nPENSTOCK_TEXT=by=root\n" },
	/* An object has each member once. */
	{ .message = "level=none time=now message=x",
		.members = "",
		.fields = "PENSTOCK_LEVEL=none\nPENSTOCK_TIME=now\nPENSTOCK_MESSAGE=x\n" },
	/* Cut in the middle of a value. */
	{ .message = "error=\"No sp",
		.escaped = "error=\\\"No sp",
		.members = ",\"error\":\"No sp\"",
		.fields = "PENSTOCK_ERROR=No sp\n" },
	/* What is no UTF-8. */
	{ .message = "a=\"\xff\\\t\x01\"",
		.escaped = "a=\\\"\xef\xbf\xbd\\\\\\t\\u0001\\\"",
		.members = ",\"a\":\"\xef\xbf\xbd\\\\\\t\\u0001\"",
		.fields = "PENSTOCK_A=\xff\\\t\x01\n" },
	{ .message = "", .members = "", .fields = "" },
};

static void pairs_are_fields(void **state)
{
	char expected[600];

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		const char *text = cases[i].message;
		snprintf(expected, sizeof expected, JSON_HEAD "\"%s\"%s}\n",
			cases[i].escaped != NULL ? cases[i].escaped : text, cases[i].members);
		expect(formed(log_form_json, bytes_of_text(text)), bytes_of_text(expected));
		snprintf(expected, sizeof expected, "MESSAGE=%s" ENTRY_TAIL "%s", text,
			cases[i].fields);
		expect(formed(log_form_journal, bytes_of_text(text)), bytes_of_text(expected));
	}
}

/* A value with a line's end in it has its size in front: "PRIORITY=0" is part of it. */
static void a_line_end_forges_no_field(void **state)
{
	(void)state;
	expect(formed(log_form_journal, BYTES_LITERAL("text=\"x\nPRIORITY=0\" n=1")),
		BYTES_LITERAL("MESSAGE\n\x17\0\0\0\0\0\0\0text=\"x\nPRIORITY=0\" n=1\n"
			      "PRIORITY=4\nSYSLOG_IDENTIFIER=penstockd\n"
			      "PENSTOCK_TEXT\n\x0c\0\0\0\0\0\0\0x\nPRIORITY=0\n"
			      "PENSTOCK_N=1\n"));
	expect(formed(log_form_json, BYTES_LITERAL("a\nb")),
		BYTES_LITERAL(JSON_HEAD "\"a\\nb\"}\n"));
}

/* Any bytes, up to the largest message, fit into the output, and are not read past their end. */
static void whatever_a_message_holds_it_fits(void **state)
{
	static const char *const pieces[] = { "\x01", "=", "\"", " a=", "a=\x01 ", " k=\"\n\"", "z",
		"\xf0" };
	static uint8_t message[LOG_MESSAGE_SIZE_MAX];
	static const size_t sizes[] = { 1, 2, 3, 63, 64, LOG_MESSAGE_SIZE_MAX };
	struct guard guard;

	(void)state;
	guard_init(&guard, sizeof message);
	for (size_t i = 0; i < ARRAY_COUNT(pieces); i++) {
		size_t size = strlen(pieces[i]);
		for (size_t at = 0; at < sizeof message; at++) {
			message[at] = (uint8_t)pieces[i][at % size];
		}
		for (size_t n = 0; n < ARRAY_COUNT(sizes); n++) {
			uint8_t *placed = guard_place(&guard, bytes_of(message, sizes[n]));
			struct bytes text = bytes_of(placed, sizes[n]);
			assert_true(formed(log_form_json, text).size > sizes[n]);
			assert_true(formed(log_form_journal, text).size > sizes[n]);
		}
	}
	guard_done(&guard);
}

/* Sixteen names of 32 letters are fields; a longer name and the seventeenth are not. */
static void fields_are_bounded(void **state)
{
	char message[LOG_MESSAGE_SIZE_MAX];
	size_t size = 0;

	(void)state;
	size += (size_t)snprintf(message, sizeof message, "%033d", 0);
	memset(message, 'k', 33);
	size += (size_t)snprintf(message + size, sizeof message - size, "=no");
	for (unsigned i = 0; i < LOG_PAIRS_MAX + 1; i++) {
		size += (size_t)snprintf(message + size, sizeof message - size,
			" kkkkkkkkkkkkkkkkkkkkkkkkkkkkkk%02u=v", i);
	}
	struct bytes found = formed(log_form_journal, bytes_of(message, size));
	memory[found.size] = '\0';
	const char *text = (const char *)memory;
	assert_null(strstr(text, "PENSTOCK_KKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKK="));
	assert_non_null(strstr(text, "\nPENSTOCK_KKKKKKKKKKKKKKKKKKKKKKKKKKKKKK15=v\n"));
	assert_null(strstr(text, "KK16=v\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_is_text_with_its_level),
		cmocka_unit_test(pairs_are_fields),
		cmocka_unit_test(a_line_end_forges_no_field),
		cmocka_unit_test(whatever_a_message_holds_it_fits),
		cmocka_unit_test(fields_are_bounded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
