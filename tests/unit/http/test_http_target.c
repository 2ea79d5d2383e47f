/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Targets and hosts: what is cut up and how, and what is refused. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/cursor.h"
#include "unit/http/request_reader.h"

static char long_text[2 * HTTP_HEAD_SIZE_MAX];

#define FOR_HOST(host) REQUEST(GET, "Host: " host "\r\n")
#define FOR_TARGET(target) REQUEST("GET " target " HTTP/1.1", HOST)

static const struct refusal bad_targets[] = {
	REFUSED(TARGET, FOR_TARGET("hook")),
	REFUSED(TARGET, FOR_TARGET("*")),
	REFUSED(TARGET, FOR_TARGET("?a")),
	REFUSED(TARGET, FOR_TARGET("example.com")),
	REFUSED(TARGET, FOR_TARGET("example.com:80")),
	REFUSED(TARGET, FOR_TARGET("/a#b")),
	REFUSED(TARGET, FOR_TARGET("/?a#b")),
	REFUSED(TARGET, FOR_TARGET("/\x01")),
	REFUSED(TARGET, FOR_TARGET("/\0")),
	REFUSED(TARGET, FOR_TARGET("/a\x7f")),
	REFUSED(TARGET, FOR_TARGET("/a\tb")),
	REFUSED(TARGET, FOR_TARGET("/\xc3\xa9")),
	REFUSED(TARGET, FOR_TARGET("/?\xff")),
	REFUSED(TARGET, FOR_TARGET("/a\\b")),
	REFUSED(TARGET, FOR_TARGET("/<script>")),
	REFUSED(TARGET, FOR_TARGET("/?\"")),
	REFUSED(TARGET, FOR_TARGET("/<41")),
	REFUSED(TARGET, FOR_TARGET("/%")),
	REFUSED(TARGET, FOR_TARGET("/%4")),
	REFUSED(TARGET, FOR_TARGET("/%4g")),
	REFUSED(TARGET, FOR_TARGET("/%g4")),
	REFUSED(TARGET, FOR_TARGET("/%%41")),
	REFUSED(TARGET, FOR_TARGET("/%u0041")),
	REFUSED(TARGET, FOR_TARGET("/%00")),
	REFUSED(TARGET, FOR_TARGET("/?%0")),
	REFUSED(TARGET, REQUEST("OPTIONS ** HTTP/1.1", HOST)),
	REFUSED(TARGET, REQUEST("options * HTTP/1.1", HOST)),
	REFUSED(TARGET, REQUEST("CONNECT example.com:443 HTTP/1.1", HOST)),
	REFUSED(TARGET, REQUEST("CONNECT / HTTP/1.1", HOST)),
	REFUSED(TARGET, REQUEST("CONNECT http://example.com/ HTTP/1.1", HOST)),
	REFUSED(TARGET, FOR_TARGET("http:/example.com/")),
	REFUSED(TARGET, FOR_TARGET("http:example.com/")),
	REFUSED(TARGET, FOR_TARGET("http://")),
	REFUSED(TARGET, FOR_TARGET("http:///")),
	REFUSED(TARGET, FOR_TARGET("http://?a")),
	REFUSED(TARGET, FOR_TARGET("http://user@example.com/")),
	REFUSED(TARGET, FOR_TARGET("http://user:word@example.com/")),
	REFUSED(TARGET, FOR_TARGET("http://example.com:0/")),
	REFUSED(TARGET, FOR_TARGET("http://example.com:65536/")),
	REFUSED(TARGET, FOR_TARGET("http://example.com#a")),
	REFUSED(TARGET, FOR_TARGET("http://[::1/")),
	REFUSED(TARGET, FOR_TARGET("ftp://example.com/")),
	REFUSED(TARGET, FOR_TARGET("httpx://example.com/")),
	REFUSED(HOST_MISMATCH, FOR_TARGET("http://example.org/")),
	REFUSED(HOST_MISMATCH, FOR_TARGET("http://example.com:80/")),
	REFUSED(HOST_MISMATCH, FOR_TARGET("https://example.com.evil/")),
	REFUSED(HOST_MISSING, REQUEST("GET http://example.com/ HTTP/1.1", "")),
};

static const struct refusal bad_hosts[] = {
	REFUSED(HOST_MISSING, REQUEST(GET, "")),
	REFUSED(HOST_MISSING, REQUEST(GET, "Hosts: a\r\nX-Host: b\r\nHos: c\r\n")),
	REFUSED(HOST_DUPLICATE, REQUEST(GET, HOST HOST)),
	REFUSED(HOST_DUPLICATE, REQUEST(GET, HOST "A: b\r\nhOST: example.org\r\n")),
	REFUSED(HOST_DUPLICATE, REQUEST("GET / HTTP/1.0", HOST HOST)),
	REFUSED(HOST_INVALID, FOR_HOST("")),
	REFUSED(HOST_INVALID, FOR_HOST(" \t ")),
	REFUSED(HOST_INVALID, FOR_HOST("user@example.com")),
	REFUSED(HOST_INVALID, FOR_HOST("user:word@example.com")),
	REFUSED(HOST_INVALID, FOR_HOST("example.com/path")),
	REFUSED(HOST_INVALID, FOR_HOST("http://example.com")),
	REFUSED(HOST_INVALID, FOR_HOST("example.com?a")),
	REFUSED(HOST_INVALID, FOR_HOST("example.com#a")),
	REFUSED(HOST_INVALID, FOR_HOST("example.com, example.org")),
	REFUSED(HOST_INVALID, FOR_HOST("example.com,example.org")),
	REFUSED(HOST_INVALID, FOR_HOST("exa mple.com")),
	REFUSED(HOST_INVALID, FOR_HOST("exam\xc3\xa9.com")),
	REFUSED(HOST_INVALID, FOR_HOST("a%2eb")),
	REFUSED(HOST_INVALID, FOR_HOST(":80")),
	REFUSED(HOST_INVALID, FOR_HOST("example.com:")),
	REFUSED(HOST_INVALID, FOR_HOST("example.com:0")),
	REFUSED(HOST_INVALID, FOR_HOST("example.com:65536")),
	REFUSED(HOST_INVALID, FOR_HOST("example.com:000080")),
	REFUSED(HOST_INVALID, FOR_HOST("example.com:99999999999999999999")),
	REFUSED(HOST_INVALID, FOR_HOST("example.com:+80")),
	REFUSED(HOST_INVALID, FOR_HOST("example.com:-1")),
	REFUSED(HOST_INVALID, FOR_HOST("example.com:8o")),
	REFUSED(HOST_INVALID, FOR_HOST("example.com: 80")),
	REFUSED(HOST_INVALID, FOR_HOST("example.com:80:80")),
	REFUSED(HOST_INVALID, FOR_HOST("::1")),
	REFUSED(HOST_INVALID, FOR_HOST("[")),
	REFUSED(HOST_INVALID, FOR_HOST("[]")),
	REFUSED(HOST_INVALID, FOR_HOST("[::1")),
	REFUSED(HOST_INVALID, FOR_HOST("[::1]80")),
	REFUSED(HOST_INVALID, FOR_HOST("[::1]:")),
	REFUSED(HOST_INVALID, FOR_HOST("[::1]:65536")),
	REFUSED(HOST_INVALID, FOR_HOST("[::1]]")),
	REFUSED(HOST_INVALID, FOR_HOST("[:]")),
	REFUSED(HOST_INVALID, FOR_HOST("[:::]")),
	REFUSED(HOST_INVALID, FOR_HOST("[1]")),
	REFUSED(HOST_INVALID, FOR_HOST("[1:2:3:4:5:6:7]")),
	REFUSED(HOST_INVALID, FOR_HOST("[1:2:3:4:5:6:7:]")),
	REFUSED(HOST_INVALID, FOR_HOST("[1:2:3:4:5:6:7:8:9]")),
	REFUSED(HOST_INVALID, FOR_HOST("[::1:2:3:4:5:6:7:8]")),
	REFUSED(HOST_INVALID, FOR_HOST("[1::2::3]")),
	REFUSED(HOST_INVALID, FOR_HOST("[:1::]")),
	REFUSED(HOST_INVALID, FOR_HOST("[1::2:]")),
	REFUSED(HOST_INVALID, FOR_HOST("[::12345]")),
	REFUSED(HOST_INVALID, FOR_HOST("[::g]")),
	REFUSED(HOST_INVALID, FOR_HOST("[fe80::1%eth0]")),
	REFUSED(HOST_INVALID, FOR_HOST("[fe80::1%25eth0]")),
	REFUSED(HOST_INVALID, FOR_HOST("[v1.a]")),
	REFUSED(HOST_INVALID, FOR_HOST("[::1.2.3]")),
	REFUSED(HOST_INVALID, FOR_HOST("[::1.2.3.256]")),
	REFUSED(HOST_INVALID, FOR_HOST("[::1.2.3.04]")),
	REFUSED(HOST_INVALID, FOR_HOST("[::1.2.3.4.5]")),
	REFUSED(HOST_INVALID, FOR_HOST("[::1.2.3.4:5]")),
	REFUSED(HOST_INVALID, FOR_HOST("[1:2:3:4:5:6:7:1.2.3.4]")),
	REFUSED(HOST_INVALID, FOR_HOST("[1.2.3.4]")),
};

/* A target that is not in the form its method asks for, or holds what a URI may not, is
 * refused. */
static void bad_targets_are_refused(void **state)
{
	(void)state;
	request_expect_refusals(bad_targets, ARRAY_COUNT(bad_targets));
}

/* Exactly one Host is there, and it is a host with an optional port and nothing else. */
static void bad_hosts_are_refused(void **state)
{
	(void)state;
	request_expect_refusals(bad_hosts, ARRAY_COUNT(bad_hosts));
}

/* A target of HTTP_TARGET_SIZE_MAX bytes is taken, one byte more is not. */
static void target_is_bounded(void **state)
{
	static char target[HTTP_TARGET_SIZE_MAX + 1];
	(void)state;

	memset(target, 'a', sizeof target);
	target[0] = '/';
	for (size_t over = 0; over < 2; over++) {
		struct writer writer = writer_of(long_text, sizeof long_text);
		write_text(&writer, "GET ");
		write_bytes(&writer, bytes_of(target, HTTP_TARGET_SIZE_MAX + over));
		write_text(&writer, " HTTP/1.1\r\n" HOST);
		write_text(&writer, "\r\n");
		assert_false(writer.failed);
		assert_int_equal(request_read(writer_bytes(&writer)),
			over > 0 ? HTTP_FAULT_TARGET_SIZE : HTTP_FAULT_NONE);
	}
}

/* The four forms of a target, with and without a query, empty ones too. */
static void targets_are_cut_up(void **state)
{
#define ROW(method, target, path, query) \
	{ REQUEST(method " " target " HTTP/1.1", HOST), method, target, path, query, \
		"example.com", HTTP_BODY_NONE, 0, 1, true, false, 1 }
	static const struct reading rows[] = {
		ROW("GET", "/", "/", ""),
		ROW("GET", "/?", "/", ""),
		ROW("GET", "/?a", "/", "a"),
		ROW("GET", "/?a?b", "/", "a?b"),
		ROW("POST", "/hooks/a-b_c.d~e", "/hooks/a-b_c.d~e", ""),
		ROW("POST", "/a;b=c,d/$&'()*+!:@", "/a;b=c,d/$&'()*+!:@", ""),
		ROW("POST", "/%41%C3%a9?%ff=%20", "/%41%C3%a9", "%ff=%20"),
		ROW("POST", "/%01%10%AF%fa", "/%01%10%AF%fa", ""),
		ROW("GET", "//example.org/../a", "//example.org/../a", ""),
		ROW("GET", "/?tag[]=a|b{c}\\^`", "/", "tag[]=a|b{c}\\^`"),
		ROW("GET", "http://example.com", "/", ""),
		ROW("GET", "http://example.com/", "/", ""),
		ROW("GET", "HTTPS://EXAMPLE.com/a?b", "/a", "b"),
		ROW("GET", "http://example.com?a/b", "/", "a/b"),
		ROW("OPTIONS", "*", "", ""),
		ROW("OPTIONS", "/a", "/a", ""),
		ROW("!#$%&'*+-.^_`|~", "/", "/", ""),
	};
#undef ROW
	(void)state;

	request_expect_readings(rows, ARRAY_COUNT(rows));
}

/* Hosts that are names or addresses, with and without a port. */
static void hosts_are_taken(void **state)
{
	static const char *const hosts[] = { "a", "example.com", "example.com.", "EXAMPLE.com:443",
		"localhost:1", "a_b-c.example:65535", "127.0.0.1", "127.0.0.1:8080", "[::]",
		"[::1]", "[::1]:443", "[1::]", "[1:2:3:4:5:6:7:8]", "[1::3:4:5:6:7:8]",
		"[::2:3:4:5:6:7:8]", "[1:2:3:4:5:6:7::]", "[2001:DB8::a:0]", "[::ffff:192.0.2.1]",
		"[::192.0.2.255]:80", "[1:2:3:4:5:6:0.0.0.0]" };
	(void)state;

	for (size_t i = 0; i < ARRAY_COUNT(hosts); i++) {
		struct writer writer = writer_of(long_text, sizeof long_text);
		write_format(&writer, GET "\r\nHost:%s\t \r\n\r\n", hosts[i]);
		request_expect_fault(writer_bytes(&writer), HTTP_FAULT_NONE, i);
		assert_true(bytes_equal(request_last.host, bytes_of_text(hosts[i])));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bad_targets_are_refused),
		cmocka_unit_test(bad_hosts_are_refused),
		cmocka_unit_test(target_is_bounded),
		cmocka_unit_test(targets_are_cut_up),
		cmocka_unit_test(hosts_are_taken),
	};
	return cmocka_run_group_tests(tests, request_reader_set_up, request_reader_tear_down);
}
