/* SPDX-License-Identifier: GPL-2.0-or-later */
/* flow_resolve — host names of targets into addresses, in the system's order (gai.conf, RFC
 * 6724). getaddrinfo() blocks, so that a name server which does not answer costs seconds per
 * name: a few threads share the waiting. Cold threads only.
 */
#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/alloc.h"
#include "base/check.h"
#include "config/config_codes.h"
#include "flow/flow_internal.h"

/* What the threads share: each takes the next host that nobody has taken. */
struct resolving {
	struct flow_host *hosts;
	size_t count;
	atomic_size_t next;
};

static bool ip_parse(const char *text, struct io_address *ret)
{
	*ret = (struct io_address){ 0 };
	if (inet_pton(AF_INET, text, ret->ip) == 1) return true;
	ret->is_ipv6 = true;
	return inet_pton(AF_INET6, text, ret->ip) == 1;
}

static bool ip_equal(const struct io_address *a, const struct io_address *b)
{
	size_t size = a->is_ipv6 ? 16 : 4;
	return a->is_ipv6 == b->is_ipv6 && memcmp(a->ip, b->ip, size) == 0;
}

static bool host_has(const struct flow_host *host, const struct io_address *address)
{
	for (uint32_t i = 0; i < host->address_count; i++) {
		if (ip_equal(&host->addresses[i], address)) return true;
	}
	return false;
}

static void host_resolve(struct flow_host *host)
{
	struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
	struct addrinfo *answers = NULL;

	if (getaddrinfo(host->name, NULL, &hints, &answers) != 0) return;
	for (const struct addrinfo *answer = answers; answer != NULL; answer = answer->ai_next) {
		struct io_address address = { 0 };

		if (host->address_count == FLOW_ADDRESSES_MAX) break;
		if (answer->ai_family == AF_INET) {
			struct sockaddr_in ipv4;
			memcpy(&ipv4, answer->ai_addr, sizeof ipv4);
			memcpy(address.ip, &ipv4.sin_addr, 4);
		} else if (answer->ai_family == AF_INET6) {
			struct sockaddr_in6 ipv6;
			memcpy(&ipv6, answer->ai_addr, sizeof ipv6);
			memcpy(address.ip, &ipv6.sin6_addr, 16);
			address.is_ipv6 = true;
		} else {
			continue;
		}
		if (!host_has(host, &address)) host->addresses[host->address_count++] = address;
	}
	freeaddrinfo(answers);
}

static void *resolve_some(void *argument)
{
	struct resolving *resolving = argument;

	for (;;) {
		size_t at = atomic_fetch_add(&resolving->next, 1);
		if (at >= resolving->count) return NULL;
		struct flow_host *host = &resolving->hosts[at];
		if (host->address_count == 0) host_resolve(host);
	}
}

/* Fills in those without an address. */
static void resolve_all(struct flow_host *hosts, size_t count)
{
	struct resolving resolving = { .hosts = hosts, .count = count };
	pthread_t threads[RESOLVE_THREADS_MAX];
	size_t waiting = 0;
	size_t started = 0;

	for (size_t i = 0; i < count; i++) waiting += hosts[i].address_count == 0 ? 1 : 0;
	if (waiting == 0) return;
	/* This thread does its share; without helpers it does everything. */
	while (started < RESOLVE_THREADS_MAX && started + 1 < waiting) {
		if (pthread_create(&threads[started], NULL, resolve_some, &resolving) != 0) break;
		started++;
	}
	(void)resolve_some(&resolving); /* it returns nothing */
	for (size_t i = 0; i < started; i++) CHECK(pthread_join(threads[i], NULL) == 0);
}

static int host_compare(const void *a, const void *b)
{
	return strcmp(((const struct flow_host *)a)->name, ((const struct flow_host *)b)->name);
}

struct flow_host *flow_hosts_resolve(const struct flow *flow, size_t *ret_count)
{
	struct flow_host *hosts = alloc_array(flow->target_count, sizeof *hosts);
	size_t count = 0;

	for (uint32_t i = 0; i < flow->target_count; i++) {
		hosts[i].name = flow->targets[i].config->host;
	}
	if (flow->target_count > 0) {
		qsort(hosts, flow->target_count, sizeof *hosts, host_compare);
	}
	for (uint32_t i = 0; i < flow->target_count; i++) {
		if (count > 0 && strcmp(hosts[count - 1].name, hosts[i].name) == 0) continue;
		hosts[count] = (struct flow_host){ .name = hosts[i].name };
		if (ip_parse(hosts[count].name, &hosts[count].addresses[0])) {
			hosts[count].address_count = 1;
		}
		count++;
	}
	resolve_all(hosts, count);
	*ret_count = count;
	return hosts;
}

const struct flow_host *flow_host_find(const struct flow_host *hosts, size_t count,
	const char *name)
{
	const struct flow_host wanted = { .name = name };
	const struct flow_host *found = bsearch(&wanted, hosts, count, sizeof *hosts, host_compare);
	CHECK(found != NULL);
	return found;
}

void flow_target_address(struct flow_target *target, const struct flow_host *host)
{
	target->resolved = host->address_count > 0;
	target->address = host->addresses[0];
	target->address.port = target->config->port;
}

struct flow *flow_readdress(struct flow *flow, uint64_t generation)
{
	size_t count;
	struct flow_host *hosts = flow_hosts_resolve(flow, &count);
	struct flow *next = NULL;

	for (uint32_t i = 0; i < flow->target_count; i++) {
		const struct flow_target *target = &flow->targets[i];
		const struct flow_host *host = flow_host_find(hosts, count, target->config->host);

		if (host->address_count == 0) continue;
		if (target->resolved && host_has(host, &target->address)) continue;
		if (next == NULL) next = flow_derive(flow, generation);
		flow_target_address(&next->targets[i], host);
	}
	alloc_free(hosts);
	return next;
}

uint32_t flow_keep_addresses(struct flow *next, const struct flow *previous)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < next->target_count; i++) {
		struct flow_target *target = &next->targets[i];
		const struct flow_target *before = flow_target_by_id(previous, target->id);

		if (target->resolved || before == NULL || !before->resolved) continue;
		if (strcmp(target->config->host, before->config->host) != 0) continue;
		target->address = before->address;
		target->address.port = target->config->port;
		target->resolved = true;
		kept++;
	}
	return kept;
}
