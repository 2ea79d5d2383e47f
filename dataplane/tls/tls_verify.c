/* SPDX-License-Identifier: GPL-2.0-or-later */
/* tls_verify — who the peer is: our own checks of its leaf certificate, after wolfSSL has
 * checked the chain, the dates and the key usage.
 *
 * Not left to wolfSSL, because its name check compares a host name with subject alternative
 * names of every kind and lets a wildcard stand for part of an IP address, and because its
 * list of names for applications has lost the type: a DNS name spelled "spiffe://…" would look
 * like an identity. Here the ASN.1 tag decides.
 *
 *   server's leaf:  dNSName equal to the host name, or "*." plus all but its first label;
 *                   iPAddress equal to the address, when the host name is one. No common name.
 *   client's leaf:  at most one URI. With a URI (X.509-SVID) it must not be a CA.
 */
#include <arpa/inet.h>
#include <string.h>
#include <time.h>

#include "tls/tls_internal.h"

#include <wolfssl/wolfcrypt/asn.h>

#include "base/alloc.h"
#include "base/check.h"

enum { IP_SIZE_MAX = 16, URI_SIZE_MAX = 2048, DER_SIZE_MAX = 65536 };
BOUND(URI_SIZE_MAX + 1 == sizeof((struct tls_peer *)0)->uri_san);

static struct bytes name_bytes(const DNS_entry *name)
{
	return bytes_of(name->name, name->len > 0 ? (size_t)name->len : 0);
}

static bool dns_name_matches(struct bytes pattern, struct bytes host)
{
	if (bytes_equal_ignore_case(pattern, host)) return true;
	if (!bytes_starts_with(pattern, BYTES_LITERAL("*."))) return false;

	/* "*.example.org" stands for one label before ".example.org", and for no fewer than two
	 * labels after it: "*.org" certifies nothing. */
	struct bytes pattern_rest = bytes_from(pattern, 1);
	struct bytes host_rest = bytes_from(host, bytes_find(host, '.'));
	bool first_label_empty = host_rest.size == host.size;
	bool two_labels = bytes_find(bytes_from(pattern_rest, 1), '.') < pattern_rest.size - 1;
	return !first_label_empty && two_labels && bytes_equal_ignore_case(pattern_rest, host_rest);
}

/* 4 or 16, or 0 when the text is not an address. */
static size_t address_bytes(const char *text, uint8_t to[static IP_SIZE_MAX])
{
	if (inet_pton(AF_INET, text, to) == 1) return 4;
	if (inet_pton(AF_INET6, text, to) == 1) return 16;
	return 0;
}

static bool certificate_is_for(const DecodedCert *certificate, const char *host_name)
{
	uint8_t ip[IP_SIZE_MAX];
	struct bytes address = bytes_of(ip, address_bytes(host_name, ip));
	struct bytes host = bytes_of_text(host_name);

	/* A fully qualified name may be written with its final dot; certificates never do. */
	if (host.size > 0 && host.data[host.size - 1] == '.') host.size--;
	if (host.size == 0) return false;

	for (const DNS_entry *name = certificate->altNames; name != NULL; name = name->next) {
		if (address.size > 0) {
			if (name->type == ASN_IP_TYPE && bytes_equal(name_bytes(name), address))
				return true;
		} else if (name->type == ASN_DNS_TYPE && dns_name_matches(name_bytes(name), host)) {
			return true;
		}
	}
	return false;
}

static bool uri_is_plain(struct bytes uri)
{
	for (size_t i = 0; i < uri.size; i++) {
		if (uri.data[i] <= ' ' || uri.data[i] > '~') return false;
	}
	return uri.size > 0 && uri.size <= URI_SIZE_MAX;
}

/* NULL, or why not. */
static const char *check_client(struct tls_conn *conn, const DecodedCert *certificate)
{
	struct bytes uri = BYTES_EMPTY;
	size_t uri_count = 0;

	for (const DNS_entry *name = certificate->altNames; name != NULL; name = name->next) {
		if (name->type != ASN_URI_TYPE) continue;
		uri = name_bytes(name);
		uri_count++;
	}
	if (uri_count == 0) return NULL;
	if (uri_count > 1) return "the client's certificate has more than one URI name";
	if (!uri_is_plain(uri)) return "the URI name in the client's certificate is malformed";
	if (certificate->isCA) return "the client's certificate is a CA's, not a workload's";

	tls_memory_free(conn->uri_san);
	conn->uri_san = tls_memory_text(uri);
	return conn->uri_san != NULL ? NULL : "out of memory";
}

static const char *check_leaf(struct tls_conn *conn, struct bytes der)
{
	const char *reason;
	DecodedCert certificate;

	wc_InitDecodedCert(&certificate, der.data, (word32)der.size, NULL);
	if (wc_ParseCert(&certificate, CERT_TYPE, NO_VERIFY, NULL) != 0) {
		reason = "the peer's certificate is malformed";
	} else if ((conn->flags & TLS_CONN_IS_SERVER) != 0) {
		reason = check_client(conn, &certificate);
	} else if (!certificate_is_for(&certificate, conn->host_name)) {
		reason = "the peer's certificate is for another host name";
	} else {
		reason = NULL;
	}
	wc_FreeDecodedCert(&certificate);
	return reason;
}

int tls_verify_peer(int chain_is_good, WOLFSSL_X509_STORE_CTX *store)
{
	struct tls_conn *conn = store->userCtx;

	/* Saying yes here would override wolfSSL's no. */
	if (!chain_is_good) return 0;
	if (store->error_depth != 0) return 1;
	/* A client that shows no certificate. Not verified; whether it may is decided when the
	 * handshake is done. */
	if (store->totalCerts == 0) return 1;

	const char *reason =
		check_leaf(conn, bytes_of(store->certs[0].buffer, store->certs[0].length));
	if (reason != NULL) {
		conn->error = reason;
		return 0;
	}
	conn->flags |= TLS_CONN_PEER_VERIFIED;
	return 1;
}

/* A date as the certificate has it, in seconds since 1970. */
static enum result date_s(const byte *from, int from_size, uint64_t *ret)
{
	const byte *date;
	byte format;
	int size;
	struct tm calendar = { 0 };

	if (wc_GetDateInfo(from, from_size, &date, &format, &size) != 0) return RESULT_MALFORMED;
	if (wc_GetDateAsCalendarTime(date, size, format, &calendar) != 0) return RESULT_MALFORMED;
	time_t seconds = timegm(&calendar);
	*ret = seconds > 0 ? (uint64_t)seconds : 0;
	return RESULT_OK;
}

static void look_at_names(const DecodedCert *certificate, struct tls_certificate_facts *facts)
{
	for (const DNS_entry *name = certificate->altNames; name != NULL; name = name->next) {
		if (name->type != ASN_URI_TYPE) continue;
		struct bytes uri = name_bytes(name);
		facts->uri_count++;
		if (bytes_starts_with(uri, BYTES_LITERAL("spiffe://"))) facts->has_spiffe = true;
		if (facts->uri[0] == '\0' && uri_is_plain(uri)) {
			CHECK(bytes_to_text(uri, facts->uri, sizeof facts->uri));
		}
	}
}

static enum result look_at(const DecodedCert *certificate, struct tls_certificate_facts *facts)
{
	TRY(date_s(certificate->beforeDate, certificate->beforeDateLen, &facts->not_before_s));
	TRY(date_s(certificate->afterDate, certificate->afterDateLen, &facts->not_after_s));
	facts->is_ca = certificate->isCA;
	look_at_names(certificate, facts);
	return RESULT_OK;
}

enum result tls_certificate_look(struct bytes chain_pem, struct tls_certificate_facts *ret)
{
	enum result result = RESULT_MALFORMED;
	uint8_t *der = alloc_array(DER_SIZE_MAX, 1);
	struct tls_certificate_facts facts = { 0 };
	DecodedCert certificate;

	int size =
		wc_CertPemToDer(chain_pem.data, (int)chain_pem.size, der, DER_SIZE_MAX, CERT_TYPE);
	if (size > 0) {
		wc_InitDecodedCert(&certificate, der, (word32)size, NULL);
		if (wc_ParseCert(&certificate, CERT_TYPE, NO_VERIFY, NULL) == 0) {
			result = look_at(&certificate, &facts);
		}
		wc_FreeDecodedCert(&certificate);
	}
	alloc_free(der);
	if (result == RESULT_OK) *ret = facts;
	return result;
}

enum result tls_certificate_expires_s(struct bytes chain_pem, uint64_t *ret)
{
	struct tls_certificate_facts facts;

	TRY(tls_certificate_look(chain_pem, &facts));
	*ret = facts.not_after_s;
	return RESULT_OK;
}
