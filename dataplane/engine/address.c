/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "engine/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/check.h"

enum { IPV4_SIZE = 4, IPV6_SIZE = 16, PORT_DIGITS_MAX = 5, PORT_MAX = 65535 };
/* "[", an IPv6 address with an IPv4 tail, "]:", a port, NUL. */
BOUND(ADDRESS_TEXT_SIZE >= 1 + INET6_ADDRSTRLEN + 2 + PORT_DIGITS_MAX + 1);

static size_t ip_size(bool is_ipv6)
{
	return is_ipv6 ? IPV6_SIZE : IPV4_SIZE;
}

static enum result parse_port(struct bytes text, uint16_t *ret)
{
	uint64_t port = 0;

	/* One spelling per port: no leading zeros. */
	if (text.size > PORT_DIGITS_MAX) return RESULT_MALFORMED;
	if (text.size > 1 && text.data[0] == '0') return RESULT_MALFORMED;
	TRY(bytes_parse_u64(text, &port));
	if (port > PORT_MAX) return RESULT_MALFORMED;
	*ret = (uint16_t)port;
	return RESULT_OK;
}

static enum result parse_ip(struct bytes text, bool is_ipv6, uint8_t ip[static IPV6_SIZE])
{
	char terminated[INET6_ADDRSTRLEN];

	if (bytes_find(text, '\0') != text.size) return RESULT_MALFORMED;
	if (!bytes_to_text(text, terminated, sizeof terminated)) return RESULT_MALFORMED;
	if (inet_pton(is_ipv6 ? AF_INET6 : AF_INET, terminated, ip) != 1) return RESULT_MALFORMED;
	return RESULT_OK;
}

enum result address_parse(struct bytes text, struct io_address *ret)
{
	struct io_address address = { 0 };
	struct bytes ip;
	struct bytes port;

	if (text.size == 0) return RESULT_MALFORMED;
	address.is_ipv6 = text.data[0] == '[';
	if (address.is_ipv6) {
		struct bytes after;
		if (!bytes_split(bytes_from(text, 1), ']', &ip, &after)) return RESULT_MALFORMED;
		if (after.size == 0 || after.data[0] != ':') return RESULT_MALFORMED;
		port = bytes_from(after, 1);
	} else {
		if (!bytes_split(text, ':', &ip, &port)) return RESULT_MALFORMED;
	}
	TRY(parse_ip(ip, address.is_ipv6, address.ip));
	TRY(parse_port(port, &address.port));
	*ret = address;
	return RESULT_OK;
}

void address_format(const struct io_address *address, char to[static ADDRESS_TEXT_SIZE])
{
	char ip[INET6_ADDRSTRLEN];
	int family = address->is_ipv6 ? AF_INET6 : AF_INET;

	CHECK(inet_ntop(family, address->ip, ip, sizeof ip) != NULL);
	const char *open = address->is_ipv6 ? "[" : "";
	const char *close = address->is_ipv6 ? "]" : "";
	int size = snprintf(to, ADDRESS_TEXT_SIZE, "%s%s%s:%u", open, ip, close, address->port);
	CHECK(size > 0 && size < ADDRESS_TEXT_SIZE);
}

bool address_equal(const struct io_address *a, const struct io_address *b)
{
	if (a->is_ipv6 != b->is_ipv6 || a->port != b->port) return false;
	return memcmp(a->ip, b->ip, ip_size(a->is_ipv6)) == 0;
}

socklen_t address_to_storage(const struct io_address *from, struct sockaddr_storage *to)
{
	memset(to, 0, sizeof *to);
	if (from->is_ipv6) {
		struct sockaddr_in6 *address = (struct sockaddr_in6 *)to;
		address->sin6_family = AF_INET6;
		address->sin6_port = htons(from->port);
		memcpy(&address->sin6_addr, from->ip, sizeof address->sin6_addr);
		return sizeof *address;
	}
	struct sockaddr_in *address = (struct sockaddr_in *)to;
	address->sin_family = AF_INET;
	address->sin_port = htons(from->port);
	memcpy(&address->sin_addr, from->ip, sizeof address->sin_addr);
	return sizeof *address;
}
