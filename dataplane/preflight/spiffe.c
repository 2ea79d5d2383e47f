/* SPDX-License-Identifier: GPL-2.0-or-later */
/* spiffe — whether a text is a SPIFFE id: spiffe://trust-domain/path. Pure. */
#include "base/check.h"
#include "preflight/preflight_internal.h"

enum { ID_SIZE_MAX = 2048, TRUST_DOMAIN_SIZE_MAX = 255 };

static bool all_in(struct bytes text, const char *allowed)
{
	for (size_t i = 0; i < text.size; i++) {
		if (text.data[i] == '\0' || strchr(allowed, text.data[i]) == NULL) return false;
	}
	return true;
}

#define LOWER "abcdefghijklmnopqrstuvwxyz0123456789.-_"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

static const char *path_fault(struct bytes path)
{
	bool more = true;

	while (more) {
		struct bytes segment;
		more = bytes_split(path, '/', &segment, &path);
		/* SPIFFE-ID 2.2: "the path … MUST NOT include a trailing '/'", nor empty segments
		 * or relative ones. */
		if (segment.size == 0) return "its path has an empty segment";
		if (bytes_equal(segment, BYTES_LITERAL(".")) ||
			bytes_equal(segment, BYTES_LITERAL(".."))) {
			return "its path has a '.' or '..' segment";
		}
		if (!all_in(segment, LOWER UPPER)) {
			return "its path may hold letters, digits, '.', '-' and '_' only";
		}
	}
	return NULL;
}

const char *spiffe_id_fault(struct bytes id)
{
	struct bytes domain;
	struct bytes path;

	if (!bytes_starts_with(id, BYTES_LITERAL("spiffe://"))) return "it is not spiffe://…";
	if (id.size > ID_SIZE_MAX) return "it is longer than 2048 bytes";
	bool has_path = bytes_split(bytes_from(id, 9), '/', &domain, &path);
	if (domain.size == 0) return "it has no trust domain";
	if (domain.size > TRUST_DOMAIN_SIZE_MAX) return "its trust domain is longer than 255 bytes";
	/* 2.1: lower case, and neither port nor user. */
	if (!all_in(domain, LOWER)) {
		return "its trust domain may hold a-z, 0-9, '.', '-' and '_' only";
	}
	/* X509-SVID 2: a leaf's id "MUST have a non-root path component". */
	if (!has_path) return "it has no path";
	return path_fault(path);
}
