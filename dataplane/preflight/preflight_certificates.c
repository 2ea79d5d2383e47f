/* SPDX-License-Identifier: GPL-2.0-or-later */
/* preflight_certificates — certificates that we show to others, as they will see them: whether
 * they are valid today, for how long, and whether a SPIFFE id in them is one.
 *
 * That a key belongs to its certificate has been found out when the TLS contexts were made.
 */
#include <stdio.h>
#include <time.h>

#include "config/config_codes.h"
#include "preflight/preflight_internal.h"

/* Whose certificate it is, and where that is written. */
struct shown {
	char owner[NAME_SIZE_MAX + 64];
	const char *file;
	struct config_position position;
};

static void date_of(uint64_t seconds, char to[static 16])
{
	time_t time = (time_t)seconds;
	struct tm calendar = { 0 };

	(void)gmtime_r(&time, &calendar); /* fails only beyond the year 2^31 */
	if (strftime(to, 16, "%Y-%m-%d", &calendar) == 0) to[0] = '\0';
}

static void check_dates(const struct shown *shown, const struct tls_certificate_facts *facts,
	uint64_t now_s, struct config_report *report)
{
	char date[16];
	uint64_t soon_s = now_s + PREFLIGHT_EXPIRY_S;

	if (facts->not_before_s > now_s) {
		date_of(facts->not_before_s, date);
		config_report_add(report, CONFIG_ERROR, PS_CERTIFICATE_EXPIRED, shown->position,
			"check the host's clock, or use the certificate before it",
			"%s: %.160s is not valid before %s", shown->owner, shown->file, date);
	} else if (facts->not_after_s <= now_s) {
		date_of(facts->not_after_s, date);
		config_report_add(report, CONFIG_ERROR, PS_CERTIFICATE_EXPIRED, shown->position,
			"renew it", "%s: %.160s ended on %s", shown->owner, shown->file, date);
	} else if (facts->not_after_s <= soon_s) {
		date_of(facts->not_after_s, date);
		config_report_add(report, CONFIG_WARNING, PS_CERTIFICATE_EXPIRES, shown->position,
			"renew it, then: penstockctl reload", "%s: %.160s ends on %s", shown->owner,
			shown->file, date);
	}
}

static void check_identity(const struct shown *shown, const struct tls_certificate_facts *facts,
	struct config_report *report)
{
	if (!facts->has_spiffe) return;
	/* X509-SVID, section 2: "An X.509 SVID MUST contain exactly one URI SAN"; section 3.1: a
	 * leaf "MUST NOT have the CA field set to true" in the sense of basic constraints. */
	const char *fault = facts->uri_count > 1 ? "it has more than one URI name"
		: facts->is_ca                   ? "it is a CA's certificate"
						 : spiffe_id_fault(bytes_of_text(facts->uri));
	if (fault == NULL) return;
	config_report_add(report, CONFIG_ERROR, PS_SPIFFE_ID, shown->position,
		"ask the issuer for one URI name, spiffe://TRUST-DOMAIN/PATH",
		"%s: %.160s is no SPIFFE identity: %s", shown->owner, shown->file, fault);
}

static void check_certificate(const struct shown *shown, uint64_t now_s,
	struct config_report *report)
{
	struct tls_certificate_facts facts;
	struct bytes chain;

	/* What cannot be read or decoded has been reported when the contexts were made. */
	if (contexts_file_load(shown->file, &chain) == NULL &&
		tls_certificate_look(chain, &facts) == RESULT_OK) {
		check_dates(shown, &facts, now_s, report);
		check_identity(shown, &facts, report);
	}
	contexts_file_free(chain);
}

void preflight_certificates(const struct config *config, uint64_t now_s,
	struct config_report *report)
{
	struct shown shown;

	for (uint32_t i = 0; i < config->listener_count; i++) {
		const struct config_listener *listener = &config->listeners[i];

		snprintf(shown.owner, sizeof shown.owner, "certificate of listener '%s'",
			listener->name);
		for (uint32_t j = 0; j < listener->certificate_count; j++) {
			const struct config_certificate *certificate = &listener->certificates[j];
			shown.file = certificate->certificate_file;
			shown.position = config_position_of(config, &certificate->certificate_file,
				certificate->position);
			check_certificate(&shown, now_s, report);
		}
	}
	for (uint32_t i = 0; i < config->target_count; i++) {
		const struct config_target *target = &config->targets[i];

		if (target->client_certificate_file == NULL) continue;
		snprintf(shown.owner, sizeof shown.owner, "client_certificate of target '%s'",
			target->name);
		shown.file = target->client_certificate_file;
		shown.position = config_position_of(config, &target->client_certificate_file,
			target->position);
		check_certificate(&shown, now_s, report);
	}
}
