/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Addresses have one text form each; everything else is refused. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/check.h"
#include "engine/address.h"

/* What is written in the normal form parses, and is formatted the same again. */
static void address_round_trip(void **state)
{
	static const char *const texts[] = {
		"0.0.0.0:0",
		"127.0.0.1:8443",
		"255.255.255.255:65535",
		"[::]:0",
		"[::1]:443",
		"[2001:db8::8:800:200c:417a]:80",
		"[::ffff:192.0.2.1]:65535",
		"[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535",
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
		struct io_address address;
		char text[ADDRESS_TEXT_SIZE];
		assert_int_equal(address_parse(bytes_of_text(texts[i]), &address), RESULT_OK);
		assert_true(address.is_ipv6 == (texts[i][0] == '['));
		address_format(&address, text);
		assert_string_equal(text, texts[i]);
	}
}

/* The bytes of an IPv4 address stand first, the port is in host order. */
static void address_fields(void **state)
{
	struct io_address address;
	(void)state;

	assert_int_equal(address_parse(BYTES_LITERAL("10.1.2.3:258"), &address), RESULT_OK);
	assert_memory_equal(address.ip, "\x0a\x01\x02\x03\0\0\0\0\0\0\0\0\0\0\0\0", 16);
	assert_int_equal(address.port, 258);
	assert_false(address.is_ipv6);
	assert_int_equal(address_parse(BYTES_LITERAL("[1::2]:1"), &address), RESULT_OK);
	assert_memory_equal(address.ip, "\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\x02", 16);
}

/* Names, missing or odd ports, odd spellings and rubbish are malformed. */
static void address_malformed(void **state)
{
	static const struct bytes texts[] = {
		BYTES_LITERAL(""),
		BYTES_LITERAL(":80"),
		BYTES_LITERAL("127.0.0.1"),
		BYTES_LITERAL("127.0.0.1:"),
		BYTES_LITERAL("127.0.0.1:65536"),
		BYTES_LITERAL("127.0.0.1:99999999999999999999"),
		BYTES_LITERAL("127.0.0.1:-1"),
		BYTES_LITERAL("127.0.0.1:+1"),
		BYTES_LITERAL("127.0.0.1:080"),
		BYTES_LITERAL("127.0.0.1:80 "),
		BYTES_LITERAL("127.0.0.1:80:81"),
		BYTES_LITERAL(" 127.0.0.1:80"),
		BYTES_LITERAL("127.0.0.01:80"),
		BYTES_LITERAL("127.0.0:80"),
		BYTES_LITERAL("127.0.0.1.1:80"),
		BYTES_LITERAL("256.0.0.1:80"),
		BYTES_LITERAL("0x7f.0.0.1:80"),
		BYTES_LITERAL("127.0.0.1\0:80"),
		BYTES_LITERAL("localhost:80"),
		BYTES_LITERAL("::1:80"),
		BYTES_LITERAL("[::1]"),
		BYTES_LITERAL("[::1]80"),
		BYTES_LITERAL("[::1]:"),
		BYTES_LITERAL("[::1"),
		BYTES_LITERAL("["),
		BYTES_LITERAL("[]:80"),
		BYTES_LITERAL("[127.0.0.1]:80"),
		BYTES_LITERAL("[::1%lo]:80"),
		BYTES_LITERAL("[::1::2]:80"),
		BYTES_LITERAL("[::1\0]:80"),
		BYTES_LITERAL("[1:2:3:4:5:6:7:8:9]:80"),
		BYTES_LITERAL("[1111:1111:1111:1111:1111:1111:1111:1111:1111:1111]:80"),
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
		struct io_address address;
		assert_int_equal(address_parse(texts[i], &address), RESULT_MALFORMED);
	}
}

/* Equal means family, address and port. */
static void address_compare(void **state)
{
	static const char *const different[] = { "1.2.3.4:80", "1.2.3.4:81", "1.2.3.5:80",
		"[102:304::]:80", "[102:304::1]:80" };
	(void)state;

	for (size_t i = 0; i < ARRAY_COUNT(different); i++) {
		for (size_t j = 0; j < ARRAY_COUNT(different); j++) {
			struct io_address a;
			struct io_address b;
			assert_int_equal(address_parse(bytes_of_text(different[i]), &a), RESULT_OK);
			assert_int_equal(address_parse(bytes_of_text(different[j]), &b), RESULT_OK);
			assert_true(address_equal(&a, &b) == (i == j));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(address_round_trip),
		cmocka_unit_test(address_fields),
		cmocka_unit_test(address_malformed),
		cmocka_unit_test(address_compare),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
