/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Field lines: what is a name and a value, and what is refused. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <stdio.h>

#include "base/check.h"
#include "base/cursor.h"
#include "unit/http/request_reader.h"

static char long_text[2 * HTTP_HEAD_SIZE_MAX];

static const struct refusal bad_fields[] = {
	REFUSED(FIELD_NAME, REQUEST(GET, " " HOST)),
	REFUSED(FIELD_NAME, REQUEST(GET, "\t" HOST)),
	REFUSED(FIELD_NAME, REQUEST(GET, " \r\n" HOST)),
	REFUSED(FIELD_FOLD, WITH("A: b\r\n c\r\n")),
	REFUSED(FIELD_FOLD, WITH("A: b\r\n\tc\r\n")),
	REFUSED(FIELD_FOLD, WITH(" \r\n")),
	REFUSED(FIELD_FOLD, WITH("A:\r\n b\r\n")),
	REFUSED(FIELD_NAME, WITH(": a\r\n")),
	REFUSED(FIELD_NAME, WITH(":\r\n")),
	REFUSED(FIELD_NAME, WITH("a\r\n")),
	REFUSED(FIELD_NAME, WITH("a b: c\r\n")),
	REFUSED(FIELD_NAME, WITH("a : b\r\n")),
	REFUSED(FIELD_NAME, WITH("a\t: b\r\n")),
	REFUSED(FIELD_NAME, WITH("a@b: c\r\n")),
	REFUSED(FIELD_NAME, WITH("a(b): c\r\n")),
	REFUSED(FIELD_NAME, WITH("\"a\": b\r\n")),
	REFUSED(FIELD_NAME, WITH("\xc3\xa9: b\r\n")),
	REFUSED(FIELD_NAME, WITH("a\0b: c\r\n")),
	REFUSED(FIELD_NAME, WITH("a\x7f: c\r\n")),
	REFUSED(FIELD_NAME, WITH("GET / HTTP/1.1\r\n")),
	REFUSED(CONTROL, WITH("A: b\0c\r\n")),
	REFUSED(CONTROL, WITH("A: \x01\r\n")),
	REFUSED(CONTROL,
		WITH("A: 1234567\x1f"
		     "9\r\n")),
	REFUSED(CONTROL, WITH("A: 12345678\x0b\r\n")),
	REFUSED(CONTROL, WITH("A: b\x7f\r\n")),
	REFUSED(CONTROL, WITH("A: \t\t\t\t\t\t\t\t\t\t\x0c\r\n")),
	REFUSED(BARE_CR, WITH("A: b\rc\r\n")),
	REFUSED(BARE_CR, WITH("A: b\r\r\n")),
	REFUSED(BARE_CR, WITH("A: \rB: c\r\n")),
	REFUSED(BARE_CR, WITH("A\r: b\r\n")),
	REFUSED(BARE_CR, WITH("\rA: b\r\n")),
	REFUSED(BARE_CR, WITH("\r\r\n")),
	REFUSED(BARE_LF, WITH("A: b\nC: d\r\n")),
	REFUSED(BARE_LF, WITH("A: b\n")),
	REFUSED(BARE_LF, WITH("A\n: b\r\n")),
	REFUSED(BARE_LF, WITH("A: b\n\r\n")),
	REFUSED(BARE_LF, WITH("\n")),
};

/* Whatever two recipients could read as different field lines is refused. */
static void bad_fields_are_refused(void **state)
{
	(void)state;
	request_expect_refusals(bad_fields, ARRAY_COUNT(bad_fields));
}

enum { NAME_PLACES = 17, VALUE_PLACES = 40 };

/* A byte that is no token character is refused everywhere in a name, a control byte everywhere in
 * a value, whatever the distance to the end of the four, eight or sixteen that are looked at
 * together. */
static void every_byte_is_judged_at_every_place(void **state)
{
	static const char token[] = "!#$%&'*+-.^_`|~0123456789"
				    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
	(void)state;

	char text[] = WITH("nnnnnnnnnnnnnnnnn: vvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv\r\n");
	struct bytes head = bytes_of(text, sizeof text - 1);
	char *name = strstr(text, "nnn");
	char *value = strstr(text, "vvv");
	for (unsigned byte = 0; byte < 256; byte++) {
		bool is_token = byte != 0 && strchr(token, (int)byte) != NULL;
		bool is_text = byte == '\t' || (byte >= ' ' && byte != 0x7f);
		for (size_t place = 0; place < NAME_PLACES; place++) {
			name[place] = (char)byte;
			/* A colon ends a name that is not empty. */
			bool taken = is_token || (byte == ':' && place > 0);
			assert_int_equal(request_read(head) == HTTP_FAULT_NONE, taken);
			name[place] = 'n';
		}
		for (size_t place = 0; place < VALUE_PLACES; place++) {
			value[place] = (char)byte;
			assert_int_equal(request_read(head) == HTTP_FAULT_NONE, is_text);
			value[place] = 'v';
		}
	}
}

/* Where a value ends the head, the last of its bytes are not looked at together with others. */
static void every_length_of_a_value_is_judged(void **state)
{
	enum { NOT_TEXT = 3 }; /* of these, in front */
	static const char odd[] = { '\x01', '\x1f', '\x7f', '\t', ' ', '\x80', '\xff' };
	(void)state;

	for (size_t size = 1; size <= VALUE_PLACES; size++) {
		for (size_t place = 0; place < size; place++) {
			for (size_t i = 0; i < sizeof odd; i++) {
				char text[256];
				char value[VALUE_PLACES + 1] = "";
				memset(value, 'v', size);
				value[place] = odd[i];
				int length = snprintf(text, sizeof text, "%s\r\n%sn:%s\r\n\r\n",
					GET, HOST, value);
				struct bytes head = bytes_of(text, (size_t)length);
				assert_int_equal(request_read(head) == HTTP_FAULT_NONE,
					i >= NOT_TEXT);
			}
		}
	}
}

/* HTTP_FIELDS_MAX fields are taken and counted, one more is not. */
static void fields_are_bounded(void **state)
{
	(void)state;

	for (size_t over = 0; over < 2; over++) {
		struct writer writer = writer_of(long_text, sizeof long_text);
		write_text(&writer, GET "\r\n" HOST);
		for (size_t i = 1; i < HTTP_FIELDS_MAX + over; i++) write_text(&writer, "a:\r\n");
		write_text(&writer, "\r\n");
		assert_false(writer.failed);
		assert_int_equal(request_read(writer_bytes(&writer)),
			over > 0 ? HTTP_FAULT_FIELD_COUNT : HTTP_FAULT_NONE);
		assert_int_equal(request_last.fields.count, HTTP_FIELDS_MAX);
	}
}

/* Values lose the white space around them and keep what is inside, obs-text too. */
static void values_are_trimmed(void **state)
{
	(void)state;

	request_expect_fault(
		BYTES_LITERAL(
			WITH("A:\r\nB: \t \r\nC:c\r\nD: \td e\tf \t\r\nE: \xc3\xa9:\"\\\r\n")),
		HTTP_FAULT_NONE, 0);
	assert_int_equal(request_last.fields.count, 6);
	const char *const values[] = { "example.com", "", "", "c", "d e\tf", "\xc3\xa9:\"\\" };
	for (size_t i = 0; i < ARRAY_COUNT(values); i++) {
		assert_true(bytes_equal(request_last.fields.field[i].value,
			bytes_of_text(values[i])));
	}
	assert_true(bytes_equal(request_last.fields.field[5].name, BYTES_LITERAL("E")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bad_fields_are_refused),
		cmocka_unit_test(every_byte_is_judged_at_every_place),
		cmocka_unit_test(every_length_of_a_value_is_judged),
		cmocka_unit_test(fields_are_bounded),
		cmocka_unit_test(values_are_trimmed),
	};
	return cmocka_run_group_tests(tests, request_reader_set_up, request_reader_tear_down);
}
