/* SPDX-License-Identifier: GPL-2.0-or-later */
/* tls_context — certificates, trust and policy, prepared once on a cold thread.
 *
 * A context holds one wolfSSL context per certificate. A server starts every connection with
 * the first and changes over when the ClientHello names another (tls_conn_choose_identity);
 * all of them have the same demands on clients. Nothing is changed after creation: a reload
 * builds a new context.
 */
#include <stdarg.h>
#include <stdio.h>

#include "tls/tls_internal.h"

#include <wolfssl/error-ssl.h>

#include "base/alloc.h"
#include "base/check.h"

#define SYSTEM_CA_FILE "/etc/ssl/certs/ca-certificates.crt"

enum { RSA_KEY_BITS_MIN = 2048, EC_KEY_BITS_MIN = 256 };

/* Authenticated encryption and fresh keys only. The 128-bit key is first: the fastest, and
 * nobody breaks it. */
static const char cipher_list[] =
	"TLS13-AES128-GCM-SHA256:TLS13-AES256-GCM-SHA384:TLS13-CHACHA20-POLY1305-SHA256:"
	"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
	"ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
	"ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";

/* What a sentence about a failure is written to. */
struct complaint {
	char *to;
	size_t size;
};

static enum result complain(struct complaint *complaint, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
static enum result complain(struct complaint *complaint, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(complaint->to, complaint->size, format, arguments);
	va_end(arguments);
	return RESULT_CRYPTO;
}

/* ---- Parts ----------------------------------------------------------------------------------- */

static enum result set_groups(WOLFSSL_CTX *wolf, bool is_server)
{
	/* X25519 first: with wolfSSL's assembly it takes 50 us a side where P-256 takes 68.
	 * P-384 on our way out only: there are targets whose certificate or policy demands it,
	 * but a peer that comes to us shall not choose the dearest arithmetic. */
	static const int groups[] = {
		WOLFSSL_ECC_X25519,
		WOLFSSL_ECC_SECP256R1,
		WOLFSSL_ECC_SECP384R1,
	};
	int count = is_server ? 2 : 3;

	int groups_given[ARRAY_COUNT(groups)];
	for (int i = 0; i < count; i++) groups_given[i] = groups[i];
	if (wolfSSL_CTX_set_groups(wolf, groups_given, count) != WOLFSSL_SUCCESS)
		return RESULT_CRYPTO;
	for (int i = 0; i < count; i++) {
		if (wolfSSL_CTX_UseSupportedCurve(wolf, (word16)groups[i]) != WOLFSSL_SUCCESS) {
			return RESULT_CRYPTO;
		}
	}
	return RESULT_OK;
}

static enum result wolf_create(bool is_server, WOLFSSL_CTX **ret, struct complaint *complaint)
{
	WOLFSSL_CTX *wolf =
		wolfSSL_CTX_new(is_server ? wolfTLS_server_method() : wolfTLS_client_method());
	if (wolf == NULL) return RESULT_MEMORY;

	*ret = wolf;
	bool good = wolfSSL_CTX_SetMinVersion(wolf, WOLFSSL_TLSV1_2) == WOLFSSL_SUCCESS &&
		wolfSSL_CTX_set_cipher_list(wolf, cipher_list) == WOLFSSL_SUCCESS &&
		set_groups(wolf, is_server) == RESULT_OK &&
		wolfSSL_CTX_SetMinRsaKey_Sz(wolf, RSA_KEY_BITS_MIN) == WOLFSSL_SUCCESS &&
		wolfSSL_CTX_SetMinEccKey_Sz(wolf, EC_KEY_BITS_MIN) == WOLFSSL_SUCCESS &&
		wolfSSL_CTX_set_session_cache_mode(wolf, WOLFSSL_SESS_CACHE_OFF) ==
			WOLFSSL_SUCCESS &&
		wolfSSL_CTX_set_group_messages(wolf) == WOLFSSL_SUCCESS &&
		wolfSSL_CTX_set_timeout(wolf, TLS_TICKET_LIFETIME_S) == WOLFSSL_SUCCESS;
	if (!good) return complain(complaint, "the TLS library refused a setting of ours");

	wolfSSL_CTX_SetIORecv(wolf, tls_conn_receive);
	wolfSSL_CTX_SetIOSend(wolf, tls_conn_send);
	return RESULT_OK;
}

static enum result use_certificate(WOLFSSL_CTX *wolf, struct bytes chain, struct bytes key,
	const char *which, struct complaint *complaint)
{
	if (chain.size > INT32_MAX || key.size > INT32_MAX) {
		return complain(complaint, "%s: longer than any certificate", which);
	}
	int ret = wolfSSL_CTX_use_certificate_chain_buffer(wolf, chain.data, (long)chain.size);
	if (ret == RSA_KEY_SIZE_E || ret == ECC_KEY_SIZE_E) {
		return complain(complaint, "%s: the key is too short, RSA needs %d bits", which,
			RSA_KEY_BITS_MIN);
	}
	if (ret != WOLFSSL_SUCCESS) {
		return complain(complaint, "%s: the certificate chain is not usable PEM", which);
	}
	if (wolfSSL_CTX_use_PrivateKey_buffer(wolf, key.data, (long)key.size,
		    WOLFSSL_FILETYPE_PEM) != WOLFSSL_SUCCESS) {
		return complain(complaint, "%s: the private key is not usable PEM", which);
	}
	if (wolfSSL_CTX_check_private_key(wolf) != WOLFSSL_SUCCESS) {
		return complain(complaint, "%s: the private key does not belong to the certificate",
			which);
	}
	return RESULT_OK;
}

static enum result trust(WOLFSSL_CTX *wolf, struct bytes ca_pem, struct complaint *complaint)
{
	if (ca_pem.size > INT32_MAX) return complain(complaint, "the CA certificates are too long");
	/* A CA that has expired is no reason not to start: nothing it signed will be accepted. */
	if (wolfSSL_CTX_load_verify_buffer_ex(wolf, ca_pem.data, (long)ca_pem.size,
		    WOLFSSL_FILETYPE_PEM, 0, WOLFSSL_LOAD_FLAG_DATE_ERR_OKAY) != WOLFSSL_SUCCESS) {
		return complain(complaint, "the CA certificates are not usable PEM");
	}
	return RESULT_OK;
}

const char *tls_system_ca_file(void)
{
	return SYSTEM_CA_FILE;
}

static enum result trust_system(WOLFSSL_CTX *wolf, struct complaint *complaint)
{
	/* One odd certificate among the 140 of the bundle shall not stop us. */
	if (wolfSSL_CTX_load_verify_locations_ex(wolf, SYSTEM_CA_FILE, NULL,
		    WOLFSSL_LOAD_FLAG_IGNORE_ERR | WOLFSSL_LOAD_FLAG_PEM_CA_ONLY) !=
		WOLFSSL_SUCCESS) {
		return complain(complaint,
			"the system's CA certificates (" SYSTEM_CA_FILE
			") are missing or unusable: install ca-certificates or name a CA file");
	}
	return RESULT_OK;
}

static void ask_for_client_certificate(WOLFSSL_CTX *wolf, enum tls_client_certificate demand)
{
	switch (demand) {
	case TLS_CLIENT_NONE: wolfSSL_CTX_set_verify(wolf, WOLFSSL_VERIFY_NONE, NULL); break;
	case TLS_CLIENT_OPTIONAL:
		wolfSSL_CTX_set_verify(wolf, WOLFSSL_VERIFY_PEER, tls_verify_peer);
		break;
	case TLS_CLIENT_REQUIRED:
		wolfSSL_CTX_set_verify(wolf,
			WOLFSSL_VERIFY_PEER | WOLFSSL_VERIFY_FAIL_IF_NO_PEER_CERT, tls_verify_peer);
		break;
	}
}

/* No tickets where clients must show certificates: a ticket would stand in for one. */
static enum result set_tickets(WOLFSSL_CTX *wolf, enum tls_client_certificate demand,
	struct complaint *complaint)
{
	bool good;

	if (demand == TLS_CLIENT_NONE) {
		good = wolfSSL_CTX_set_TicketEncCb(wolf, tls_ticket_crypt) == WOLFSSL_SUCCESS &&
			wolfSSL_CTX_set_TicketHint(wolf, TLS_TICKET_LIFETIME_S) ==
				WOLFSSL_SUCCESS &&
			wolfSSL_CTX_only_dhe_psk(wolf) == 0;
	} else {
		good = wolfSSL_CTX_NoTicketTLSv12(wolf) == WOLFSSL_SUCCESS &&
			wolfSSL_CTX_no_ticket_TLSv13(wolf) == 0;
	}
	return good ? RESULT_OK : complain(complaint, "the TLS library refused a setting of ours");
}

static void set_policy(struct tls_identity *identity, enum tls_client_certificate demand,
	struct bytes chain_pem, struct bytes ca_pem)
{
	uint8_t digests[2][SHA256_SIZE];
	uint8_t demand_byte = (uint8_t)demand;

	hash_sha256(chain_pem, digests[0]);
	hash_sha256(ca_pem, digests[1]);
	const struct bytes parts[] = {
		BYTES_LITERAL("penstock ticket policy 1"),
		bytes_of(&demand_byte, 1),
		bytes_of(digests, sizeof digests),
	};
	hash_sha256_parts(parts, ARRAY_COUNT(parts), identity->policy);
}

static void set_names(struct tls_identity *identity, const struct tls_certificate *certificate)
{
	if (certificate->name_count == 0) return;
	identity->names = alloc_array(certificate->name_count, sizeof *identity->names);
	identity->name_count = certificate->name_count;
	for (size_t i = 0; i < certificate->name_count; i++) {
		identity->names[i] = alloc_text(certificate->names[i]);
	}
}

/* ---- The whole ------------------------------------------------------------------------------- */

static struct tls_context *context_new(size_t identity_count)
{
	struct tls_context *context =
		alloc_array(1, sizeof *context + identity_count * sizeof context->identities[0]);
	atomic_init(&context->reference_count, 1);
	context->identity_count = identity_count;
	return context;
}

static enum result server_identity(struct tls_context *context, size_t index,
	const struct tls_server_config *config, struct complaint *complaint)
{
	const struct tls_certificate *certificate = &config->certificates[index];
	struct tls_identity *identity = &context->identities[index];
	uint64_t expires_s;
	char which[64];

	snprintf(which, sizeof which, "certificate %zu", index + 1);
	TRY(wolf_create(true, &identity->wolf, complaint));
	WOLFSSL_CTX *wolf = identity->wolf;
	TRY(use_certificate(wolf, certificate->chain_pem, certificate->key_pem, which, complaint));
	if (tls_certificate_expires_s(certificate->chain_pem, &expires_s) != RESULT_OK) {
		return complain(complaint, "%s: the certificate does not decode", which);
	}
	if (context->expires_s == 0 || expires_s < context->expires_s)
		context->expires_s = expires_s;

	if (config->client_certificate != TLS_CLIENT_NONE) {
		TRY(trust(wolf, config->client_ca_pem, complaint));
	}
	ask_for_client_certificate(wolf, config->client_certificate);
	TRY(set_tickets(wolf, config->client_certificate, complaint));
	wolfSSL_CTX_set_servername_callback(wolf, tls_conn_choose_identity);
	set_policy(identity, config->client_certificate, certificate->chain_pem,
		config->client_ca_pem);
	set_names(identity, certificate);
	return RESULT_OK;
}

enum result tls_server_context_create(const struct tls_server_config *config,
	struct tls_context **ret, char *error, size_t error_size)
{
	struct complaint complaint = { .to = error, .size = error_size };

	CHECK(config->certificate_count > 0);
	CHECK(error_size > 0);
	error[0] = '\0';

	struct tls_context *context = context_new(config->certificate_count);
	context->is_server = true;
	context->client_certificate = config->client_certificate;
	for (size_t i = 0; i < config->certificate_count; i++) {
		enum result result = server_identity(context, i, config, &complaint);
		if (result == RESULT_OK) continue;
		tls_context_release(context);
		return result;
	}
	*ret = context;
	return RESULT_OK;
}

static enum result client_identity(struct tls_context *context,
	const struct tls_client_config *config, struct complaint *complaint)
{
	struct tls_identity *identity = &context->identities[0];

	TRY(wolf_create(false, &identity->wolf, complaint));
	WOLFSSL_CTX *wolf = identity->wolf;
	if (config->chain_pem.size > 0) {
		TRY(use_certificate(wolf, config->chain_pem, config->key_pem, "client certificate",
			complaint));
		if (tls_certificate_expires_s(config->chain_pem, &context->expires_s) !=
			RESULT_OK) {
			return complain(complaint, "client certificate: it does not decode");
		}
	}
	TRY(config->ca_pem.size > 0 ? trust(wolf, config->ca_pem, complaint)
				    : trust_system(wolf, complaint));
	wolfSSL_CTX_set_verify(wolf, WOLFSSL_VERIFY_PEER, tls_verify_peer);
	set_policy(identity, TLS_CLIENT_NONE, config->chain_pem, config->ca_pem);
	return RESULT_OK;
}

enum result tls_client_context_create(const struct tls_client_config *config,
	struct tls_context **ret, char *error, size_t error_size)
{
	struct complaint complaint = { .to = error, .size = error_size };

	CHECK(error_size > 0);
	error[0] = '\0';

	struct tls_context *context = context_new(1);
	enum result result = client_identity(context, config, &complaint);
	if (result != RESULT_OK) {
		tls_context_release(context);
		return result;
	}
	*ret = context;
	return RESULT_OK;
}

struct tls_context *tls_context_acquire(struct tls_context *context)
{
	atomic_fetch_add_explicit(&context->reference_count, 1, memory_order_relaxed);
	return context;
}

void tls_context_release(struct tls_context *context)
{
	if (context == NULL) return;
	if (atomic_fetch_sub_explicit(&context->reference_count, 1, memory_order_acq_rel) > 1)
		return;

	for (size_t i = 0; i < context->identity_count; i++) {
		struct tls_identity *identity = &context->identities[i];
		wolfSSL_CTX_free(identity->wolf);
		for (size_t n = 0; n < identity->name_count; n++) alloc_free(identity->names[n]);
		alloc_free(identity->names);
	}
	alloc_free(context);
}

uint64_t tls_context_expires_s(const struct tls_context *context)
{
	return context->expires_s;
}

/* ---- Names ----------------------------------------------------------------------------------- */

static const struct tls_identity *identity_named(const struct tls_context *context,
	struct bytes prefix, struct bytes rest)
{
	for (size_t i = 0; i < context->identity_count; i++) {
		const struct tls_identity *identity = &context->identities[i];
		for (size_t n = 0; n < identity->name_count; n++) {
			struct bytes name = bytes_of_text(identity->names[n]);
			if (!bytes_starts_with(name, prefix)) continue;
			if (bytes_equal_ignore_case(bytes_from(name, prefix.size), rest))
				return identity;
		}
	}
	return NULL;
}

const struct tls_identity *tls_context_identity(const struct tls_context *context,
	struct bytes name)
{
	const struct tls_identity *identity = NULL;

	if (name.size > 0 && context->identity_count > 1) {
		identity = identity_named(context, BYTES_EMPTY, name);
		if (identity == NULL) {
			struct bytes parent = bytes_from(name, bytes_find(name, '.'));
			identity = identity_named(context, BYTES_LITERAL("*"), parent);
		}
	}
	return identity != NULL ? identity : &context->identities[0];
}
