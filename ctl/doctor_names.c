/* SPDX-License-Identifier: GPL-2.0-or-later */
/* doctor_names — whether the targets' names resolve. Asked one after the other, for so long that a
 * person waits for it, and no longer.
 */
#include <netdb.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "doctor.h"

enum { NAMES_TIME_MAX_S = 15 };

static bool seen_before(const struct config *config, uint32_t index)
{
	for (uint32_t i = 0; i < index; i++) {
		if (strcmp(config->targets[i].host, config->targets[index].host) == 0) return true;
	}
	return false;
}

static void check_name(struct doctor *doctor, const struct config_target *target)
{
	struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
	struct addrinfo *answers = NULL;
	int failed = getaddrinfo(target->host, NULL, &hints, &answers);
	if (failed == 0) {
		unsigned count = 0;
		for (const struct addrinfo *one = answers; one != NULL; one = one->ai_next) count++;
		freeaddrinfo(answers);
		doctor_add(doctor, DOCTOR_OK, "name", NULL, "%s: %u addresses", target->host,
			count);
		return;
	}
	doctor_add(doctor, DOCTOR_FAIL, "name",
		"the url of the target, /etc/resolv.conf, or the name server",
		"%s (target %s) does not resolve: %s", target->host, target->name,
		gai_strerror(failed));
}

void doctor_names(struct doctor *doctor, const struct config *config)
{
	struct timespec begin;
	struct timespec now;
	uint32_t looked = 0;
	uint32_t left_out = 0;
	clock_gettime(CLOCK_MONOTONIC, &begin);
	now = begin;
	for (uint32_t i = 0; i < config->target_count; i++) {
		bool late = now.tv_sec - begin.tv_sec >= NAMES_TIME_MAX_S;
		if (looked == DOCTOR_ITEMS_MAX || late) {
			left_out = config->target_count - i;
			break;
		}
		if (seen_before(config, i)) continue;
		looked++;
		check_name(doctor, &config->targets[i]);
		clock_gettime(CLOCK_MONOTONIC, &now);
	}
	if (left_out == 0) return;
	doctor_add(doctor, DOCTOR_WARN, "name",
		"the name server is slow, or there are many: see penstockctl config check",
		"the names of %u targets were not looked at", left_out);
}
