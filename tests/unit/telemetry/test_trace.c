/* SPDX-License-Identifier: GPL-2.0-or-later */
/* traceparent, strictly; and its line among those that an event forwards. */
#include "telemetry/trace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/check.h"

#define TRACE "0af7651916cd43dd8448eb211c80319c"
#define SPAN "b7ad6b7169203331"

static void test_traceparent(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		bool good;
		bool sampled;
	} cases[] = {
		{ "00-" TRACE "-" SPAN "-01", true, true },
		{ "00-" TRACE "-" SPAN "-00", true, false },
		{ "00-" TRACE "-" SPAN "-02", true, false },
		{ "00-" TRACE "-" SPAN "-ff", true, true },
		/* A later version, with and without more. */
		{ "01-" TRACE "-" SPAN "-01", true, true },
		{ "cc-" TRACE "-" SPAN "-01-what-the-future-has", true, true },
		{ "cc-" TRACE "-" SPAN "-01.what", false, false },
		{ "00-" TRACE "-" SPAN "-01-more", false, false },
		{ "ff-" TRACE "-" SPAN "-01", false, false },
		{ "0F-" TRACE "-" SPAN "-01", false, false },
		{ "00-0AF7651916CD43DD8448EB211C80319C-" SPAN "-01", false, false },
		{ "00-" TRACE "-B7AD6B7169203331-01", false, false },
		{ "00-00000000000000000000000000000000-" SPAN "-01", false, false },
		{ "00-" TRACE "-0000000000000000-01", false, false },
		{ "00-" TRACE "-" SPAN "-0", false, false },
		{ "00-" TRACE "-" SPAN "-0g", false, false },
		{ "00-" TRACE "-" SPAN "_01", false, false },
		{ "00_" TRACE "-" SPAN "-01", false, false },
		{ "00-" TRACE "x" SPAN "-01", false, false },
		{ "00-0af7651916cd43dd8448eb211c80319g-" SPAN "-01", false, false },
		{ " 00-" TRACE "-" SPAN "-01", false, false },
		{ "", false, false },
		{ "00", false, false },
	};
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		struct trace_context context = { 0 };
		bool good = trace_parse(bytes_of_text(cases[i].text), &context);
		if (good != cases[i].good || context.sampled != cases[i].sampled) {
			fail_msg("%s", cases[i].text);
		}
		if (!good) continue;
		char text[TRACEPARENT_SIZE];
		trace_format(&context, text);
		assert_memory_equal(text,
			cases[i].sampled ? "00-" TRACE "-" SPAN "-01" : "00-" TRACE "-" SPAN "-00",
			TRACEPARENT_SIZE);
	}
}

static void test_ids_are_never_zero(void **state)
{
	(void)state;
	static const uint8_t zero[TRACE_ID_SIZE];
	uint8_t trace[TRACE_ID_SIZE];
	uint8_t span[SPAN_ID_SIZE];
	trace_id_make(0, 0, trace);
	span_id_make(0, span);
	assert_memory_not_equal(trace, zero, sizeof trace);
	assert_memory_not_equal(span, zero, sizeof span);
}

static void test_the_line_is_read_back(void **state)
{
	(void)state;
	char memory[256];
	struct writer writer = writer_of(memory, sizeof memory);
	struct trace_context context;
	struct trace_context again;
	struct bytes rest;

	assert_true(trace_parse(BYTES_LITERAL("00-" TRACE "-" SPAN "-01"), &context));
	trace_line_write(&writer, &context);
	write_text(&writer, "x-topic: orders\r\n");
	assert_memory_equal(memory, "traceparent: 00-" TRACE "-" SPAN "-01\r\nx-topic",
		strlen("traceparent: 00-" TRACE "-" SPAN "-01\r\nx-topic"));
	assert_true(trace_line_read(writer_bytes(&writer), &again, &rest));
	assert_memory_equal(again.trace_id, context.trace_id, TRACE_ID_SIZE);
	assert_memory_equal(again.span_id, context.span_id, SPAN_ID_SIZE);
	assert_true(bytes_equal(rest, BYTES_LITERAL("x-topic: orders\r\n")));

	/* None, cut, or further down: not the event's own. */
	for (size_t size = 0; size < strlen("traceparent: ") + TRACEPARENT_SIZE + 2; size++) {
		assert_false(trace_line_read(bytes_of(memory, size), &again, &rest));
	}
	assert_false(trace_line_read(BYTES_LITERAL("x-topic: a\r\ntraceparent: 00-" TRACE "-" SPAN
						   "-01\r\n"),
		&again, &rest));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_traceparent),
		cmocka_unit_test(test_ids_are_never_zero),
		cmocka_unit_test(test_the_line_is_read_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
