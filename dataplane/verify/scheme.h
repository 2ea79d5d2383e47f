/* SPDX-License-Identifier: GPL-2.0-or-later */
/* scheme — what a row of the scheme table can say.
 *
 * A row is data. The engine (verify.c) and its mirror (sign.c) read every row the same way,
 * so a provider that signs in a known manner is added in scheme_table.c and nowhere else.
 *
 * A signature header is a list of items, cut at the separators (no separator: the whole value
 * is one item). An item that begins with `prefix` is a signature; one that begins with the
 * timestamp's or the id's name is that; of a list, any other item is ignored (a version we do
 * not know). This one rule covers the spellings in use:
 *
 *   plain         <hex>                       no separator, no prefix
 *   prefix        sha256=<hex>                no separator, prefix "sha256="
 *   fields        t=1,v1=<hex>,v1=<hex>       separator ",", prefix "v1=", timestamp item "t="
 *   versions      v1,<b64> v1a,<b64>          separator " ", prefix "v1,"
 *   positional    1,<hex>,<hex>               separator ",", no prefix, first item the timestamp
 */
#pragma once

#include "base/bytes.h"
#include "secrets/mac.h"
#include "verify/verify.h"

enum signature_form {
	SIGNATURE_ITEMS,
	SIGNATURE_TOKEN, /* nothing is signed: the header holds the secret itself */
};

/* Exactly one spelling each: a MAC in another letter case is malformed. */
enum signature_encoding {
	SIGNATURE_HEX, /* lower case, as nearly everybody writes it */
	SIGNATURE_HEX_UPPER,
	SIGNATURE_BASE64,
	SIGNATURE_BASE64URL,
};

struct signature_row {
	enum signature_form form;
	enum signature_encoding encoding;
	enum mac_digest digest;
	/* A name that ends in '#' stands for that stem and a number (x-docusign-signature-1 …). */
	struct bytes header;
	/* A second one that may hold a signature; empty: there is none. */
	struct bytes header_other;
	char separators[3]; /* NUL-terminated; signing writes the first */
	struct bytes prefix;
};

enum key_form {
	KEY_TEXT,   /* the secret as it is, its prefix included */
	KEY_BASE64, /* what the base64 after `prefix` decodes to; the prefix may be left out */
	KEY_HEX,
};

struct key_row {
	enum key_form form;
	struct bytes prefix;
	uint32_t size_min; /* of the decoded key; 0 takes any but an empty one */
	const char *wants; /* for the operator, when the secret is not of this form */
};

enum timestamp_place {
	TIMESTAMP_NOWHERE,
	TIMESTAMP_IN_HEADER, /* the header `name` */
	TIMESTAMP_IN_ITEM,   /* the item of the signature header that begins with `name` */
	TIMESTAMP_FIRST_ITEM,
};

enum timestamp_unit {
	TIMESTAMP_S,
	TIMESTAMP_MS,
	TIMESTAMP_ISO,    /* RFC 3339 */
	TIMESTAMP_OPAQUE, /* signed, but nobody says what it counts: no window */
};

struct timestamp_row {
	enum timestamp_place place;
	enum timestamp_unit unit;
	struct bytes name;
	uint32_t tolerance_s; /* either way; 0: the provider's own library knows no window */
};

enum id_place { ID_NOWHERE, ID_IN_HEADER, ID_IN_ITEM };

enum id_charset {
	ID_VISIBLE,        /* ASCII without space and controls */
	ID_VISIBLE_NO_DOT, /* the same without '.', which separates the signed parts */
	ID_TOKEN,          /* [A-Za-z0-9_-] */
};

/* The event id or nonce that the signature covers. */
struct id_row {
	enum id_place place;
	enum id_charset charset;
	struct bytes name;
	uint32_t size_max;
};

enum part_kind {
	PART_END,
	PART_LITERAL,   /* `text` */
	PART_TIMESTAMP, /* as spelled in the request */
	PART_ID,
	PART_BODY,
	PART_BODY_SHA256, /* its digest in hex */
	PART_METHOD,
	PART_URL,
	PART_URL_DECODED, /* with the escapes taken back that HubSpot takes back */
	/* Not signed, hence never in a message: */
	PART_HEADER, /* the header `text` */
	PART_JSON,   /* the top-level string member `text` of the body; see json_id.h */
};

struct part {
	enum part_kind kind;
	struct bytes text;
};

enum { MESSAGE_PARTS_MAX = 8, IDENTITY_PARTS_MAX = 4, EVENT_ID_PARTS_MAX = 3, REQUIRED_MAX = 2 };

/* A header that must be there with exactly this value. */
struct required_row {
	struct bytes name;
	struct bytes value;
};

struct scheme {
	const char *name;
	const char *title; /* for listings */
	struct signature_row signature;
	struct required_row required[REQUIRED_MAX];
	struct key_row key;
	struct timestamp_row timestamp;
	struct id_row id;
	struct part message[MESSAGE_PARTS_MAX];
	/* Same event: the same `identity_key`, if the request has one; else all of `identity`. */
	struct part identity_key;
	struct part identity[IDENTITY_PARTS_MAX];
	/* For people: the first of these that the request has. */
	struct part event_id[EVENT_ID_PARTS_MAX];
	/* Fields that go on to the target, ended by an empty name; NULL: none but ce-*. */
	const struct bytes *forwards;
};
