/* SPDX-License-Identifier: GPL-2.0-or-later */
/* tls_error — wolfSSL's codes and the peer's alerts as sentences an operator understands.
 *
 * Pure. All sentences last for ever.
 */
#include "tls/tls_internal.h"

#include <wolfssl/error-ssl.h>
#include <wolfssl/wolfcrypt/error-crypt.h>

#include "base/check.h"

struct sentence {
	int code;
	const char *text;
};

static const struct sentence error_sentences[] = {
	{ ASN_AFTER_DATE_E, "the peer's certificate has expired" },
	{ ASN_BEFORE_DATE_E, "the peer's certificate is not valid yet" },
	{ ASN_NO_SIGNER_E, "the peer's certificate is from an unknown CA" },
	{ ASN_SELF_SIGNED_E, "the peer's certificate is self-signed and not trusted" },
	{ ASN_SIG_CONFIRM_E, "the signature on the peer's certificate is wrong" },
	{ ASN_CRIT_EXT_E,
		"the peer's certificate has a critical extension that is not understood" },
	{ ASN_NAME_INVALID_E, "the peer's certificate is for a name its CA may not certify" },
	{ ASN_ALT_NAME_E, "an alternative name in the peer's certificate is malformed" },
	{ ASN_PATHLEN_INV_E, "the peer's certificate chain is longer than its CA allows" },
	{ ASN_PATHLEN_SIZE_E, "the peer's certificate chain is longer than its CA allows" },
	{ ASN_PARSE_E, "the peer's certificate is malformed" },
	{ NOT_CA_ERROR, "the peer's certificate was issued by something that is not a CA" },
	{ CRL_CERT_REVOKED, "the peer's certificate was revoked" },
	{ EXTKEYUSE_AUTH_E, "the peer's certificate is not for this use (extended key usage)" },
	{ KEYUSE_SIGNATURE_E, "the peer's certificate may not sign (key usage)" },
	{ MAX_CHAIN_ERROR, "the peer's certificate chain is too long" },
	{ RSA_KEY_SIZE_E, "the peer's RSA key is too short" },
	{ ECC_KEY_SIZE_E, "the peer's EC key is too short" },
	{ PEER_KEY_ERROR, "the key in the peer's certificate is of an unsupported kind" },
	{ VERIFY_CERT_ERROR, "the peer's certificate was refused" },
	{ DOMAIN_NAME_MISMATCH, "the peer's certificate is for another host name" },
	{ NO_PEER_CERT, "the client sent no certificate, and this listener requires one" },
	{ MATCH_SUITE_ERROR, "no shared cipher suite" },
	{ UNSUPPORTED_SUITE, "no shared cipher suite" },
	{ ECC_CURVE_ERROR, "no shared key exchange group" },
	{ BAD_KEY_SHARE_DATA, "no shared key exchange group" },
	{ VERSION_ERROR, "the peer does not speak TLS 1.2 or 1.3" },
	{ UNKNOWN_ALPN_PROTOCOL_NAME_E, "the client offers neither http/1.1 nor http/1.0 (ALPN)" },
	{ UNKNOWN_RECORD_TYPE, "what came is not TLS" },
	{ PARSE_ERROR, "what came is not TLS" },
	{ DECRYPT_ERROR, "a record does not decrypt" },
	{ VERIFY_MAC_ERROR, "a record does not decrypt" },
	{ AES_GCM_AUTH_E, "a record does not decrypt" },
	{ BUFFER_ERROR, "a handshake message or record is malformed" },
	{ BUFFER_E, "a handshake message or record is malformed" },
	{ LENGTH_ERROR, "a handshake message or record is malformed" },
	{ DECODE_E, "a handshake message or record is malformed" },
	{ INCOMPLETE_DATA, "a handshake message lacks something" },
	{ EXT_MISSING, "a handshake message lacks something" },
	{ DUPLICATE_TLS_EXT_E, "a handshake message has an extension twice" },
	{ HANDSHAKE_SIZE_ERROR, "a handshake message is too long" },
	{ SANITY_MSG_E, "a message came at the wrong time" },
	{ OUT_OF_ORDER_E, "a message came at the wrong time" },
	{ DUPLICATE_MSG_E, "a message came twice" },
	{ INVALID_PARAMETER, "a handshake message has a forbidden value" },
	{ UNSUPPORTED_EXTENSION, "the server answered with an extension nobody asked for" },
	{ SECURE_RENEGOTIATION_E, "the peer wants to renegotiate" },
	{ VERIFY_FINISHED_ERROR, "the handshake was tampered with" },
	{ BAD_BINDER, "a session ticket was used without its secret" },
	{ PSK_KEY_ERROR, "a session ticket was used without a fresh key exchange" },
	{ EXT_MASTER_SECRET_NEEDED_E, "the session to resume lacks the extended master secret" },
	{ SIG_VERIFY_E, "the peer's signature is wrong" },
	{ VERIFY_SIGN_ERROR, "the peer's signature is wrong" },
	{ ALERT_COUNT_E, "the peer sends alert after alert" },
	{ MEMORY_E, "out of memory" },
	{ MEMORY_ERROR, "out of memory" },
	{ 0, "the peer did not authenticate itself" },
};

/* The peer gave up: RFC 8446 §6.2. */
static const struct sentence alert_sentences[] = {
	{ unexpected_message, "the peer sent an alert: unexpected_message" },
	{ bad_record_mac, "the peer sent an alert: bad_record_mac" },
	{ record_overflow, "the peer sent an alert: record_overflow" },
	{ handshake_failure, "the peer sent an alert: handshake_failure (nothing in common)" },
	{ bad_certificate, "the peer sent an alert: bad_certificate" },
	{ unsupported_certificate, "the peer sent an alert: unsupported_certificate" },
	{ certificate_revoked, "the peer sent an alert: certificate_revoked" },
	{ certificate_expired, "the peer sent an alert: certificate_expired" },
	{ certificate_unknown, "the peer sent an alert: certificate_unknown" },
	{ illegal_parameter, "the peer sent an alert: illegal_parameter" },
	{ unknown_ca, "the peer sent an alert: unknown_ca (it does not trust our certificate)" },
	{ access_denied, "the peer sent an alert: access_denied" },
	{ decode_error, "the peer sent an alert: decode_error" },
	{ decrypt_error, "the peer sent an alert: decrypt_error" },
	{ wolfssl_alert_protocol_version, "the peer sent an alert: protocol_version" },
	{ insufficient_security, "the peer sent an alert: insufficient_security" },
	{ internal_error, "the peer sent an alert: internal_error" },
	{ inappropriate_fallback, "the peer sent an alert: inappropriate_fallback" },
	{ user_canceled, "the peer sent an alert: user_canceled" },
	{ missing_extension, "the peer sent an alert: missing_extension" },
	{ unsupported_extension, "the peer sent an alert: unsupported_extension" },
	{ unrecognized_name, "the peer sent an alert: unrecognized_name (SNI)" },
	{ certificate_required, "the peer sent an alert: certificate_required" },
	{ no_application_protocol, "the peer sent an alert: no_application_protocol (ALPN)" },
};

static const char *sentence_find(const struct sentence *sentences, size_t count, int code)
{
	for (size_t i = 0; i < count; i++) {
		if (sentences[i].code == code) return sentences[i].text;
	}
	return NULL;
}

const char *tls_error_sentence(int code, int alert_received)
{
	const char *text;

	if (code == FATAL_ERROR && alert_received > 0) {
		text = sentence_find(alert_sentences, ARRAY_COUNT(alert_sentences), alert_received);
		return text != NULL ? text : "the peer sent an alert of an unknown kind";
	}
	text = sentence_find(error_sentences, ARRAY_COUNT(error_sentences), code);
	if (text != NULL) return text;
	/* wolfSSL's own table: static strings, in its own words. */
	text = wolfSSL_ERR_reason_error_string((unsigned long)code);
	return text != NULL ? text : "an unknown error of the TLS library";
}
