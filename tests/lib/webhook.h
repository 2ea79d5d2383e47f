/* SPDX-License-Identifier: GPL-2.0-or-later */
/* webhook — requests to try the verifier on: the published vectors, and one signed by ourselves
 * for any scheme. Every byte of a request can be changed by the test.
 */
#pragma once

#include "verify/verify.h"

enum {
	WEBHOOKS_MAX = 32,
	WEBHOOK_FIELDS_MAX = 12,
	WEBHOOK_TEXT_MAX = 1024,
};

struct webhook {
	char name[64];
	const struct scheme *scheme;
	char secret[WEBHOOK_TEXT_MAX];
	char previous[WEBHOOK_TEXT_MAX]; /* empty: none */
	char method[16];
	char url[WEBHOOK_TEXT_MAX];
	char body[WEBHOOK_TEXT_MAX];
	char signed_text[WEBHOOK_TEXT_MAX]; /* as published; empty: unknown */
	uint64_t now_s;                     /* 0: none was published */
	uint32_t field_count;
	char field_name[WEBHOOK_FIELDS_MAX][128];
	char field_value[WEBHOOK_FIELDS_MAX][WEBHOOK_TEXT_MAX];
};

/* The published vectors whose scheme we have. Those of Standard Webhooks come a second time
 * with Svix's names. Returns the count. */
size_t webhook_load_vectors(struct webhook to[static WEBHOOKS_MAX]);

/* A request of any scheme, signed by verifier_sign() at now_s. */
void webhook_sign(struct webhook *to, const struct scheme *scheme, uint64_t now_s);

/* A secret of the form the scheme wants; different for different `variant`. */
const char *webhook_secret(const struct scheme *scheme, int variant);

/* The value of the field of that name, to be changed; fails the test when there is none. */
char *webhook_value(struct webhook *webhook, const char *name);
void webhook_add_field(struct webhook *webhook, const char *name, const char *value);
/* Parses "Name: value\r\n" lines. */
void webhook_add_lines(struct webhook *webhook, struct bytes lines);

/* With the webhook's secrets; NULL when the scheme does not take them. */
struct verifier *webhook_verifier(const struct webhook *webhook, uint32_t tolerance_s);
/* What the verifier is given; views into the webhook and `fields`. */
struct verify_input webhook_input(const struct webhook *webhook, struct http_fields *fields);
/* Judges. The outcome's views point into the webhook. */
struct verify_outcome webhook_verify(const struct webhook *webhook, const struct verifier *verifier,
	uint64_t now_s);
/* The same with a verifier made for this one call. */
struct verify_outcome webhook_judge(const struct webhook *webhook, uint64_t now_s);
