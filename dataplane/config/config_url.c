/* SPDX-License-Identifier: GPL-2.0-or-later */
/* URLs, hosts, paths and addresses of the configuration: see config_values.h. */
#include <arpa/inet.h>
#include <stdio.h>

#include "base/check.h"
#include "config/config_codes.h"
#include "config/config_values.h"

#define SHOWN "%.60s"

static bool is_alphanumeric(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static bool is_hex(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* RFC 3986 §3.3: pchar = unreserved / pct-encoded / sub-delims / ":" / "@". '%' is looked at
 * apart. */
static bool is_path_character(char c)
{
	return is_alphanumeric(c) || (c != '\0' && strchr("-._~!$&'()*+,;=:@/", c) != NULL);
}

/* Percent signs must introduce two hex digits; everything else must be legal. Returns the first
 * offender, or NULL. */
static const char *path_offender(const char *path, bool query_allowed)
{
	for (const char *at = path; *at != '\0'; at++) {
		if (*at == '%') {
			if (!is_hex(at[1]) || !is_hex(at[2])) return at;
			continue;
		}
		if (*at == '?' && query_allowed) continue;
		if (!is_path_character(*at)) return at;
	}
	return NULL;
}

/* "/./", "/../", or one of them at the end. */
static bool has_dot_segment(const char *path)
{
	for (const char *at = path; *at != '\0'; at++) {
		if (at[0] != '/' || at[1] != '.') continue;
		const char *end = at[2] == '.' ? at + 3 : at + 2;
		if (*end == '/' || *end == '\0') return true;
	}
	return false;
}

bool config_value_path(const char *text, struct config_fault *fault)
{
	char hint[96] = "";

	if (text[0] != '/') {
		if (strstr(text, "://") != NULL) {
			return config_fault_set(fault, PS_PATH,
				"the host goes into 'host:', the rest of the URL here",
				"a path is expected, not a whole URL");
		}
		snprintf(hint, sizeof hint, "write '/%.60s'", text);
		return config_fault_set(fault, PS_PATH, hint, "'" SHOWN "' does not begin with '/'",
			text);
	}
	if (strlen(text) > ENDPOINT_PATH_SIZE_MAX) {
		return config_fault_set(fault, PS_PATH, NULL,
			"a path of %zu bytes; the longest allowed is %u", strlen(text),
			ENDPOINT_PATH_SIZE_MAX);
	}
	if (has_dot_segment(text)) {
		return config_fault_set(fault, PS_PATH,
			"clients resolve '.' and '..' before they send, so it would never match",
			"'" SHOWN "' has a '.' or '..' segment", text);
	}

	const char *offender = path_offender(text, false);
	if (offender == NULL) return true;
	if (*offender == '?' || *offender == '#') {
		return config_fault_set(fault, PS_PATH,
			"paths are compared without the query; leave it out",
			"'" SHOWN "' has a %s", text, *offender == '?' ? "query" : "fragment");
	}
	return config_fault_set(fault, PS_PATH,
		"paths match exactly, byte by byte, as they are sent: other bytes as %XX",
		"'" SHOWN "' holds a character that cannot stand in a path", text);
}

static bool is_ip(const char *text)
{
	uint8_t ip[16];
	return inet_pton(AF_INET, text, ip) == 1 || inet_pton(AF_INET6, text, ip) == 1;
}

static bool is_host_name(const char *text)
{
	size_t label = 0;
	bool only_numbers = true;

	for (const char *at = text; *at != '\0'; at++) {
		if (*at == '.') {
			if (label == 0 || at[-1] == '-') return false;
			label = 0;
			continue;
		}
		if (!is_alphanumeric(*at) && *at != '_' && (*at != '-' || label == 0)) return false;
		if (*at < '0' || *at > '9') only_numbers = false;
		if (++label > 63) return false;
	}
	/* 1.2.3 and 999.1.1.1 are mistyped addresses, which resolvers read in their own ways. */
	return label > 0 && text[strlen(text) - 1] != '-' && !only_numbers;
}

bool config_value_host(const char *text, bool wildcard, struct config_fault *fault)
{
	size_t size = strlen(text);

	if (size <= HOST_SIZE_MAX) {
		if (is_ip(text) || is_host_name(text)) return true;
		if (strncmp(text, "*.", 2) == 0 && is_host_name(text + 2)) {
			if (wildcard) return true;
			return config_fault_set(fault, PS_HOST,
				"leave 'host' out to match any host",
				"'" SHOWN "' is a pattern; hosts are compared whole", text);
		}
	} else {
		return config_fault_set(fault, PS_HOST, NULL,
			"a host of %zu characters; the longest allowed is %u", size, HOST_SIZE_MAX);
	}
	const char *hint = NULL;
	if (strstr(text, "://") != NULL) {
		hint = "without 'https://'";
	} else if (strchr(text, ':') != NULL) {
		hint = "without the port";
	} else if (size > 0 && text[size - 1] == '.') {
		hint = "without the dot at the end";
	} else if (strchr(text, '/') != NULL) {
		hint = "without the path";
	}
	for (size_t i = 0; i < size; i++) {
		if ((unsigned char)text[i] >= 0x80) hint = "write the ASCII form, xn--…";
	}
	return config_fault_set(fault, PS_HOST, hint, "'" SHOWN "' is not a host name", text);
}

/* What to write instead of an address that is none. */
static void address_hint(const char *text, char *hint, size_t hint_size)
{
	const char *colon = strrchr(text, ':');
	const char *port = colon == NULL ? text : colon + 1;
	size_t digits = strspn(port, "0123456789");
	bool has_port = digits > 0 && digits <= 5 && port[digits] == '\0';
	size_t host_size = colon == NULL ? 0 : (size_t)(colon - text);

	if (has_port && (host_size == 0 || (host_size == 1 && text[0] == '*'))) {
		snprintf(hint, hint_size,
			"write 0.0.0.0:%s for all of IPv4, '[::]:%s' for all of IPv6", port, port);
	} else if (has_port && host_size == 9 && strncmp(text, "localhost", 9) == 0) {
		snprintf(hint, hint_size, "write 127.0.0.1:%s or '[::1]:%s'", port, port);
	} else if (is_ip(text)) {
		bool is_ipv6 = strchr(text, ':') != NULL;
		snprintf(hint, hint_size,
			is_ipv6 ? "add the port: '[%.48s]:443'" : "add the port: %.48s:443", text);
	} else {
		snprintf(hint, hint_size, "write 127.0.0.1:8443, 0.0.0.0:443 or '[::]:443'");
	}
}

bool config_value_address(const char *text, struct io_address *ret, struct config_fault *fault)
{
	char hint[96];

	if (address_parse(bytes_of_text(text), ret) != RESULT_OK) {
		address_hint(text, hint, sizeof hint);
		return config_fault_set(fault, PS_ADDRESS, hint,
			"'" SHOWN "' is not an address with a port", text);
	}
	if (ret->port == 0) {
		return config_fault_set(fault, PS_RANGE, NULL, "port 0 is outside 1 to 65535");
	}
	return true;
}

/* host[:port] up to `end`. */
static bool authority_parse(const char *text, const char *end, struct config_url *ret,
	struct config_fault *fault)
{
	const char *host = text;
	const char *host_end;
	const char *port = NULL;

	if (*host == '[') {
		host++;
		host_end = memchr(host, ']', (size_t)(end - host));
		if (host_end == NULL) {
			return config_fault_set(fault, PS_URL, NULL, "'[' without ']' in the URL");
		}
		if (host_end + 1 < end) port = host_end + 1;
	} else {
		host_end = memchr(host, ':', (size_t)(end - host));
		if (host_end == NULL) host_end = end;
		if (host_end < end) port = host_end;
	}

	if (host_end == host) return config_fault_set(fault, PS_URL, NULL, "the URL has no host");
	if (!bytes_to_text(bytes_of(host, (size_t)(host_end - host)), ret->host,
		    sizeof ret->host)) {
		return config_fault_set(fault, PS_URL, NULL, "the URL's host is longer than %u",
			HOST_SIZE_MAX);
	}
	if (*text == '[' && (!is_ip(ret->host) || strchr(ret->host, ':') == NULL)) {
		return config_fault_set(fault, PS_URL, NULL, "'[" SHOWN "]' is not an IPv6 address",
			ret->host);
	}
	if (!config_value_host(ret->host, false, fault)) {
		fault->code = PS_URL;
		return false;
	}
	for (char *at = ret->host; *at != '\0'; at++) {
		if (*at >= 'A' && *at <= 'Z') *at = (char)(*at - 'A' + 'a');
	}

	ret->has_port = port != NULL;
	ret->port = ret->tls ? 443 : 80;
	if (port == NULL) return true;
	uint64_t number = 0;
	enum result parsed = bytes_parse_u64(bytes_of(port + 1, (size_t)(end - port) - 1), &number);
	if (*port != ':' || parsed != RESULT_OK || number == 0 || number > UINT16_MAX) {
		return config_fault_set(fault, PS_URL, NULL,
			"the port '%.*s' is not a number from 1 to 65535", (int)(end - port) - 1,
			port + 1);
	}
	ret->port = (uint16_t)number;
	return true;
}

bool config_value_url(const char *text, struct config_url *ret, struct config_fault *fault)
{
	const char *rest;

	*ret = (struct config_url){ .path = "" };
	if (strlen(text) > URL_SIZE_MAX) {
		return config_fault_set(fault, PS_URL, NULL,
			"a URL of %zu bytes; the longest allowed is %u", strlen(text),
			URL_SIZE_MAX);
	}
	if (strncasecmp(text, "https://", 8) == 0) {
		ret->tls = true;
		rest = text + 8;
	} else if (strncasecmp(text, "http://", 7) == 0) {
		rest = text + 7;
	} else {
		return config_fault_set(fault, PS_URL, "write https://host/path",
			"the URL does not begin with https:// or http://");
	}

	const char *end = rest + strcspn(rest, "/?#");
	/* Neither sentence repeats the text: there may be a password in it. */
	if (memchr(rest, '@', (size_t)(end - rest)) != NULL) {
		return config_fault_set(fault, PS_URL,
			"URLs end up in logs; deliveries prove themselves by signature or "
			"client certificate",
			"user and password may not stand in a URL");
	}
	if (strchr(rest, '#') != NULL) {
		return config_fault_set(fault, PS_URL, "a fragment is never sent; leave it out",
			"the URL has a fragment ('#…')");
	}
	if (!authority_parse(rest, end, ret, fault)) return false;
	const char *offender = path_offender(end, true);
	if (offender != NULL) {
		return config_fault_set(fault, PS_URL, "write it as %XX",
			"the URL holds '%.*s', which cannot stand there",
			(unsigned char)*offender < 0x80 ? 1 : 4, offender);
	}
	ret->path = end;
	return true;
}
