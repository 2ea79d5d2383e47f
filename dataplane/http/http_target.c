/* SPDX-License-Identifier: GPL-2.0-or-later */
/* http_target — the request target in its four forms (RFC 9112 §3.2), and the host. */
#include "http/http_internal.h"

enum { PORT_SIZE_MAX = 5, PORT_MAX = 65535 };

/* "0" … "255", no zero in front (RFC 3986: dec-octet). */
static bool ipv4_octet_is_valid(struct bytes text)
{
	uint64_t value;

	if (text.size > 1 && text.data[0] == '0') return false;
	return bytes_parse_u64(text, &value) == RESULT_OK && value <= 255;
}

static bool ipv4_is_valid(struct bytes text)
{
	struct bytes octet;

	for (unsigned i = 0; i < 3; i++) {
		if (!bytes_split(text, '.', &octet, &text) || !ipv4_octet_is_valid(octet))
			return false;
	}
	return ipv4_octet_is_valid(text);
}

/* RFC 3986 §3.2.2: eight groups of one to four hex digits, the last two perhaps as an IPv4
 * address, and one run of zero groups perhaps as "::". No zone: it means nothing to a peer. */
static bool ipv6_is_valid(struct bytes text)
{
	unsigned groups = 0;
	bool gap = bytes_starts_with(text, BYTES_LITERAL("::"));
	if (gap) text = bytes_from(text, 2);

	while (text.size > 0) {
		size_t digits = 0;
		while (digits < text.size && http_char_is(text.data[digits], CHAR_HEX)) digits++;

		if (digits < text.size && text.data[digits] == '.') {
			if (!ipv4_is_valid(text)) return false;
			groups += 2;
			break;
		}
		if (digits == 0 || digits > 4) return false;
		groups++;
		text = bytes_from(text, digits);
		if (text.size == 0) break;

		if (text.data[0] != ':' || text.size == 1) return false;
		text = bytes_from(text, 1);
		if (text.data[0] != ':') continue;
		if (gap) return false;
		gap = true;
		text = bytes_from(text, 1);
	}
	return gap ? groups < 8 : groups == 8;
}

/* Nothing, or a colon and 1 … 65535. An empty port is in the grammar, but sent by nobody. */
static bool port_is_valid(struct bytes text)
{
	uint64_t port;

	if (text.size == 0) return true;
	if (text.data[0] != ':' || text.size > 1 + PORT_SIZE_MAX) return false;
	if (bytes_parse_u64(bytes_from(text, 1), &port) != RESULT_OK) return false;
	return port > 0 && port <= PORT_MAX;
}

bool http_host_is_valid(struct bytes host)
{
	if (bytes_starts_with(host, BYTES_LITERAL("["))) {
		size_t end = bytes_find(host, ']');
		if (end == host.size) return false;
		return ipv6_is_valid(bytes_of(host.data + 1, end - 1)) &&
			port_is_valid(bytes_from(host, end + 1));
	}

	/* RFC 9110 §4.2.1: "A recipient that processes such a URI reference [with an empty
	 * host] MUST reject it as invalid."; §4.2.4: "a recipient SHOULD parse for userinfo and
	 * treat its presence as an error".
	 *
	 * A reg-name may also hold sub-delims and escapes, but no name that DNS knows does, and
	 * a comma is what two Host fields look like once somebody has joined them. */
	size_t name_size = bytes_find(host, ':');
	return http_text_is(bytes_of(host.data, name_size), CHAR_HOST) &&
		port_is_valid(bytes_from(host, name_size));
}

/* Whether all bytes are of that kind or part of an escape. The escaped NUL is refused: it
 * ends the path for whoever decodes it into a C string. */
static bool uri_text_is_valid(struct bytes text, unsigned what)
{
	for (size_t i = 0; i < text.size; i++) {
		if (http_char_is(text.data[i], what)) continue;
		if (text.data[i] != '%' || text.size - i < 3) return false;
		if (!http_char_is(text.data[i + 1], CHAR_HEX)) return false;
		if (!http_char_is(text.data[i + 2], CHAR_HEX)) return false;
		if (text.data[i + 1] == '0' && text.data[i + 2] == '0') return false;
		i += 2;
	}
	return true;
}

/* A '#' is in neither class: RFC 9112 §3.2.1 has no fragment in a target. */
static enum http_fault path_and_query_parse(struct bytes text, struct http_request *request)
{
	bytes_split(text, '?', &request->path, &request->query);
	if (!uri_text_is_valid(request->path, CHAR_PATH)) return HTTP_FAULT_TARGET;
	if (!uri_text_is_valid(request->query, CHAR_QUERY)) return HTTP_FAULT_TARGET;
	return HTTP_FAULT_NONE;
}

/* RFC 9112 §3.2.2: "A server MUST accept the absolute-form in requests even though most
 * HTTP/1.1 clients will only send the absolute-form to a proxy." */
static enum http_fault absolute_form_parse(struct http_request *request)
{
	struct bytes scheme;
	struct bytes rest;

	bytes_split(request->target, ':', &scheme, &rest);
	if (!bytes_equal_ignore_case(scheme, BYTES_LITERAL("https")) &&
		!bytes_equal_ignore_case(scheme, BYTES_LITERAL("http"))) {
		return HTTP_FAULT_TARGET;
	}
	if (!bytes_starts_with(rest, BYTES_LITERAL("//"))) return HTTP_FAULT_TARGET;
	struct bytes slash = bytes_of(rest.data + 1, 1);
	rest = bytes_from(rest, 2);

	size_t host_size = 0;
	while (host_size < rest.size && rest.data[host_size] != '/' &&
		rest.data[host_size] != '?') {
		host_size++;
	}
	request->host = bytes_of(rest.data, host_size);
	if (!http_host_is_valid(request->host)) return HTTP_FAULT_TARGET;

	enum http_fault fault = path_and_query_parse(bytes_from(rest, host_size), request);
	/* RFC 9110 §4.2.3: an empty path is the same as "/". Here it is the last slash before
	 * the host, so that every view lies within the input. */
	if (request->path.size == 0) request->path = slash;
	return fault;
}

enum http_fault http_target_parse(struct http_request *request)
{
	struct bytes target = request->target;

	/* RFC 9112 §3: "A server that receives a request-target longer than any URI it wishes
	 * to parse MUST respond with a 414 (URI Too Long) status code". */
	if (target.size > HTTP_TARGET_SIZE_MAX) return HTTP_FAULT_TARGET_SIZE;

	/* No tunnels are built here. RFC 9112 §3.2.3: "The "authority-form" of request-target
	 * is only used for CONNECT requests". */
	if (bytes_equal(request->method, BYTES_LITERAL("CONNECT"))) return HTTP_FAULT_TARGET;

	/* RFC 9112 §3.2.4: "The "asterisk-form" of request-target is only used for a
	 * server-wide OPTIONS request"; §3.3: then "the target URI's combined path and query
	 * component is empty." */
	if (bytes_equal(target, BYTES_LITERAL("*"))) {
		if (!bytes_equal(request->method, BYTES_LITERAL("OPTIONS")))
			return HTTP_FAULT_TARGET;
		request->path = bytes_of(target.data, 0);
		return HTTP_FAULT_NONE;
	}

	if (bytes_starts_with(target, BYTES_LITERAL("/")))
		return path_and_query_parse(target, request);
	return absolute_form_parse(request);
}
