/* SPDX-License-Identifier: GPL-2.0-or-later */
/* scheme_table — the rows: how each provider signs.
 *
 * The comment at a row says where its rules are written down and why its replay identity is
 * what it is. An identity may use only what the signature covers: what it does not cover an
 * attacker can change, and a changed identity is a new event. Where the provider signs no id,
 * the body stands for the event, and a header that tells two events of one body apart may be
 * added although it is not signed: changing it only splits, and what splits is delivered.
 * The opposite mistake, two events under one identity, loses the second one.
 */
#include "verify/scheme.h"

#include "base/check.h"
#include "bounds.h"

#define TEXT(text) \
	{ .data = (const uint8_t *)(text), .size = sizeof(text) - 1 }
#define END \
	{ .data = NULL, .size = 0 }

/* Standard Webhooks names both directions; five minutes is what its libraries enforce. */
#define TOLERANCE_S 300
/* Where a provider's page says ten minutes. */
#define TOLERANCE_LONG_S 600

static const struct bytes github_forwards[] = {
	TEXT("X-GitHub-Event"),
	TEXT("X-GitHub-Delivery"),
	TEXT("X-GitHub-Hook-ID"),
	TEXT("X-GitHub-Hook-Installation-Target-ID"),
	TEXT("X-GitHub-Hook-Installation-Target-Type"),
	TEXT("X-GitHub-Enterprise-Host"),
	TEXT("X-GitHub-Enterprise-Version"),
	END,
};

static const struct bytes gitlab_forwards[] = {
	TEXT("X-Gitlab-Event"),
	TEXT("X-Gitlab-Event-UUID"),
	TEXT("X-Gitlab-Webhook-UUID"),
	TEXT("X-Gitlab-Instance"),
	TEXT("Idempotency-Key"),
	END,
};

static const struct bytes shopify_forwards[] = {
	TEXT("X-Shopify-Topic"),
	TEXT("X-Shopify-Sub-Topic"),
	TEXT("X-Shopify-Shop-Domain"),
	TEXT("X-Shopify-API-Version"),
	TEXT("X-Shopify-Webhook-Id"),
	TEXT("X-Shopify-Event-Id"),
	TEXT("X-Shopify-Triggered-At"),
	END,
};

static const struct bytes slack_forwards[] = {
	TEXT("X-Slack-Retry-Num"),
	TEXT("X-Slack-Retry-Reason"),
	END,
};

static const struct bytes box_forwards[] = {
	TEXT("BOX-DELIVERY-ID"),
	END,
};

static const struct bytes circleci_forwards[] = {
	TEXT("circleci-event-type"),
	END,
};

static const struct bytes sanity_forwards[] = {
	TEXT("idempotency-key"),
	TEXT("sanity-transaction-id"),
	TEXT("sanity-transaction-time"),
	TEXT("sanity-dataset"),
	TEXT("sanity-document-id"),
	TEXT("sanity-project-id"),
	TEXT("sanity-webhook-id"),
	TEXT("sanity-operation"),
	END,
};

static const struct bytes square_forwards[] = {
	TEXT("square-environment"),
	TEXT("square-initial-delivery-timestamp"),
	TEXT("square-retry-number"),
	TEXT("square-retry-reason"),
	END,
};

static const struct bytes zendesk_forwards[] = {
	TEXT("X-Zendesk-Account-Id"),
	TEXT("X-Zendesk-Webhook-Id"),
	TEXT("X-Zendesk-Webhook-Invocation-Id"),
	END,
};

/* Standard Webhooks: "The content to be signed is therefore: {msg_id}.{timestamp}.{payload}";
 * the id "remains the same no matter how many times a webhook that has failed is retried", so
 * it is the identity; neither id nor timestamp may hold a '.', or one message could be cut in
 * two ways. The secret is "at least 24 bytes", base64 behind whsec_ (Brex leaves that out).
 * v1a (ed25519) signatures are ignored, as in the reference libraries. */
#define STANDARD_SIGNATURE(header_name) \
	{ \
		.encoding = SIGNATURE_BASE64, \
		.digest = MAC_SHA256, \
		.header = TEXT(header_name), \
		.separators = " ", \
		.prefix = TEXT("v1,"), \
	}
#define STANDARD_MESSAGE \
	{ \
		{ PART_ID, END }, { PART_LITERAL, TEXT(".") }, { PART_TIMESTAMP, END }, \
		{ PART_LITERAL, TEXT(".") }, { PART_BODY, END }, \
	}
#define STANDARD_SECRET \
	"the secret must be the base64 of at least 24 bytes, usually behind whsec_"
#define STANDARD_KEY(bytes_min, wanted) \
	{ .form = KEY_BASE64, .prefix = TEXT("whsec_"), .size_min = (bytes_min), .wants = (wanted) }
#define STANDARD_ROW(id_header, timestamp_header, signature_header) \
	.signature = STANDARD_SIGNATURE(signature_header), \
	.timestamp = { .place = TIMESTAMP_IN_HEADER, .unit = TIMESTAMP_S, \
		.name = TEXT(timestamp_header), .tolerance_s = TOLERANCE_S }, \
	.id = { .place = ID_IN_HEADER, .charset = ID_VISIBLE_NO_DOT, .name = TEXT(id_header), \
		.size_max = EVENT_ID_SIZE_MAX }, \
	.message = STANDARD_MESSAGE, \
	.identity = { { PART_ID, END } }, \
	.event_id = { { PART_ID, END } }

#define KEY_VERBATIM \
	{ .form = KEY_TEXT, .wants = "the secret must not be empty" }

static const struct scheme table[] = {
	{
		.name = "standard-webhooks",
		.title = "Standard Webhooks (OpenAI, Replicate, Supabase, Render, Brex ...)",
		.key = STANDARD_KEY(24, STANDARD_SECRET),
		STANDARD_ROW("webhook-id", "webhook-timestamp", "webhook-signature"),
	},
	{
		.name = "svix",
		.title = "Svix (Clerk, Resend, Stytch, Vanta ...)",
		.key = STANDARD_KEY(24, STANDARD_SECRET),
		STANDARD_ROW("svix-id", "svix-timestamp", "svix-signature"),
	},
	{
		/* The signing token, GitLab's newer way: Standard Webhooks with a key of 32 bytes.
		 * webhook-id equals Idempotency-Key, which stays over retries. */
		.name = "gitlab",
		.title = "GitLab, signing token",
		.key = STANDARD_KEY(32, "the token must be whsec_ and the base64 of 32 bytes"),
		STANDARD_ROW("webhook-id", "webhook-timestamp", "webhook-signature"),
		.forwards = gitlab_forwards,
	},
	{
		/* The secret token, GitLab's older way: nothing is signed, whoever reads one
		 * request can write any. So identity protects from GitLab's own retries only.
		 * Idempotency-Key stays over retries (GitLab 17.4). X-Gitlab-Event-UUID alone would
		 * not do: webhooks that a webhook's own API calls set off share it, so the body is
		 * mixed in. */
		.name = "gitlab-token",
		.title = "GitLab, secret token",
		.signature = { .form = SIGNATURE_TOKEN, .header = TEXT("X-Gitlab-Token") },
		.key = { .form = KEY_TEXT, .wants = "the token must be text without controls" },
		.identity_key = { PART_HEADER, TEXT("Idempotency-Key") },
		.identity = {
			{ PART_HEADER, TEXT("X-Gitlab-Event-UUID") },
			{ PART_HEADER, TEXT("X-Gitlab-Event") },
			{ PART_BODY, END },
		},
		.event_id = {
			{ PART_HEADER, TEXT("Idempotency-Key") },
			{ PART_HEADER, TEXT("X-Gitlab-Event-UUID") },
			{ PART_HEADER, TEXT("X-Gitlab-Webhook-UUID") },
		},
		.forwards = gitlab_forwards,
	},
	{
		/* Only the body is signed. X-GitHub-Delivery is not, so it is for people only. Two
		 * event types can share a body, hence the type beside it. */
		.name = "github",
		.title = "GitHub",
		.signature = {
			.encoding = SIGNATURE_HEX,
			.digest = MAC_SHA256,
			.header = TEXT("X-Hub-Signature-256"),
			.prefix = TEXT("sha256="),
		},
		.key = KEY_VERBATIM,
		.message = { { PART_BODY, END } },
		.identity = { { PART_HEADER, TEXT("X-GitHub-Event") }, { PART_BODY, END } },
		.event_id = { { PART_HEADER, TEXT("X-GitHub-Delivery") } },
		.forwards = github_forwards,
	},
	{
		/* The key is the whole whsec_… text, not decoded. While a secret is rolled there
		 * are several v1; v0 is for tests and must be ignored. Every retry is signed anew,
		 * so the event's id in the signed body is the identity. */
		.name = "stripe",
		.title = "Stripe",
		.signature = {
			.encoding = SIGNATURE_HEX,
			.digest = MAC_SHA256,
			.header = TEXT("Stripe-Signature"),
			.separators = ",",
			.prefix = TEXT("v1="),
		},
		.key = KEY_VERBATIM,
		.timestamp = { .place = TIMESTAMP_IN_ITEM, .unit = TIMESTAMP_S, .name = TEXT("t="),
			.tolerance_s = TOLERANCE_S },
		.message = {
			{ PART_TIMESTAMP, END }, { PART_LITERAL, TEXT(".") }, { PART_BODY, END },
		},
		.identity_key = { PART_JSON, TEXT("id") },
		.identity = { { PART_BODY, END } },
		.event_id = { { PART_JSON, TEXT("id") } },
	},
	{
		/* A retry is signed anew over the same body, and every body has an id or a trigger
		 * of its own in it: the body is the identity. */
		.name = "slack",
		.title = "Slack",
		.signature = {
			.encoding = SIGNATURE_HEX,
			.digest = MAC_SHA256,
			.header = TEXT("X-Slack-Signature"),
			.prefix = TEXT("v0="),
		},
		.key = KEY_VERBATIM,
		.timestamp = { .place = TIMESTAMP_IN_HEADER, .unit = TIMESTAMP_S,
			.name = TEXT("X-Slack-Request-Timestamp"), .tolerance_s = TOLERANCE_S },
		.message = {
			{ PART_LITERAL, TEXT("v0:") }, { PART_TIMESTAMP, END },
			{ PART_LITERAL, TEXT(":") }, { PART_BODY, END },
		},
		.identity = { { PART_BODY, END } },
		.event_id = { { PART_JSON, TEXT("event_id") } },
		.forwards = slack_forwards,
	},
	{
		/* Only the body is signed; orders/create and orders/paid can have the same one,
		 * hence the topic beside it. X-Shopify-Event-Id would be Shopify's own advice, but
		 * an attacker can change it. */
		.name = "shopify",
		.title = "Shopify",
		.signature = {
			.encoding = SIGNATURE_BASE64,
			.digest = MAC_SHA256,
			.header = TEXT("X-Shopify-Hmac-Sha256"),
		},
		.key = KEY_VERBATIM,
		.message = { { PART_BODY, END } },
		.identity = { { PART_HEADER, TEXT("X-Shopify-Topic") }, { PART_BODY, END } },
		.event_id = {
			{ PART_HEADER, TEXT("X-Shopify-Webhook-Id") },
			{ PART_HEADER, TEXT("X-Shopify-Event-Id") },
		},
		.forwards = shopify_forwards,
	},
	{
		/* Timestamp and nonce are signed; the nonce is the identity. */
		.name = "zen",
		.title = "X-Zen-Signature: t=, n=, v1=",
		.signature = {
			.encoding = SIGNATURE_HEX,
			.digest = MAC_SHA256,
			.header = TEXT("X-Zen-Signature"),
			.separators = ",",
			.prefix = TEXT("v1="),
		},
		.key = KEY_VERBATIM,
		.timestamp = { .place = TIMESTAMP_IN_ITEM, .unit = TIMESTAMP_S, .name = TEXT("t="),
			.tolerance_s = TOLERANCE_S },
		.id = { .place = ID_IN_ITEM, .charset = ID_TOKEN, .name = TEXT("n="),
			.size_max = 128 },
		.message = {
			{ PART_TIMESTAMP, END }, { PART_LITERAL, TEXT(".") }, { PART_ID, END },
			{ PART_LITERAL, TEXT(".") }, { PART_BODY, END },
		},
		.identity = { { PART_ID, END } },
		.event_id = { { PART_ID, END } },
	},
	{
		/* Two keys, primary and secondary, each with a signature of its own: any may match.
		 * "When Box retries a webhook [BOX-DELIVERY-ID] will change, while the ID in the
		 * payload body remains the same." */
		.name = "box",
		.title = "Box",
		.signature = {
			.encoding = SIGNATURE_BASE64,
			.digest = MAC_SHA256,
			.header = TEXT("BOX-SIGNATURE-PRIMARY"),
			.header_other = TEXT("BOX-SIGNATURE-SECONDARY"),
		},
		.required = {
			{ TEXT("BOX-SIGNATURE-VERSION"), TEXT("1") },
			{ TEXT("BOX-SIGNATURE-ALGORITHM"), TEXT("HmacSHA256") },
		},
		.key = KEY_VERBATIM,
		.timestamp = { .place = TIMESTAMP_IN_HEADER, .unit = TIMESTAMP_ISO,
			.name = TEXT("BOX-DELIVERY-TIMESTAMP"), .tolerance_s = TOLERANCE_LONG_S },
		.message = { { PART_BODY, END }, { PART_TIMESTAMP, END } },
		.identity_key = { PART_JSON, TEXT("id") },
		.identity = { { PART_BODY, END } },
		.event_id = {
			{ PART_JSON, TEXT("id") }, { PART_HEADER, TEXT("BOX-DELIVERY-ID") },
		},
		.forwards = box_forwards,
	},
	{
		/* "v1=", later versions may come in the same list. The body's id is made to tell
		 * deliveries apart. */
		.name = "circleci",
		.title = "CircleCI",
		.signature = {
			.encoding = SIGNATURE_HEX,
			.digest = MAC_SHA256,
			.header = TEXT("circleci-signature"),
			.separators = ",",
			.prefix = TEXT("v1="),
		},
		.key = KEY_VERBATIM,
		.message = { { PART_BODY, END } },
		.identity_key = { PART_JSON, TEXT("id") },
		.identity = { { PART_BODY, END } },
		.event_id = { { PART_JSON, TEXT("id") } },
		.forwards = circleci_forwards,
	},
	{
		/* Convoy as a sender, simple signatures: nothing but the body to go by. */
		.name = "convoy",
		.title = "Convoy, simple signatures",
		.signature = {
			.encoding = SIGNATURE_HEX,
			.digest = MAC_SHA256,
			.header = TEXT("X-Convoy-Signature"),
		},
		.key = KEY_VERBATIM,
		.message = { { PART_BODY, END } },
		.identity = { { PART_BODY, END } },
	},
	{
		/* Signs everything, and counts attempts in the body, so a retry never looks like
		 * the first; a request without a body is told apart by its URL and time. */
		.name = "hubspot-v3",
		.title = "HubSpot, signature v3",
		.signature = {
			.encoding = SIGNATURE_BASE64,
			.digest = MAC_SHA256,
			.header = TEXT("X-HubSpot-Signature-v3"),
		},
		.key = KEY_VERBATIM,
		.timestamp = { .place = TIMESTAMP_IN_HEADER, .unit = TIMESTAMP_MS,
			.name = TEXT("X-HubSpot-Request-Timestamp"), .tolerance_s = TOLERANCE_S },
		.message = {
			{ PART_METHOD, END }, { PART_URL_DECODED, END }, { PART_BODY, END },
			{ PART_TIMESTAMP, END },
		},
		.identity = {
			{ PART_METHOD, END }, { PART_URL, END }, { PART_BODY, END },
			{ PART_TIMESTAMP, END },
		},
	},
	{
		/* The body is a projection of the document that the customer chose: two changes can
		 * look alike. The signed timestamp tells them apart. Sanity's library checks no
		 * window, and whether a retry is signed anew is not written down. */
		.name = "sanity",
		.title = "Sanity",
		.signature = {
			.encoding = SIGNATURE_BASE64URL,
			.digest = MAC_SHA256,
			.header = TEXT("sanity-webhook-signature"),
			.separators = ",",
			.prefix = TEXT("v1="),
		},
		.key = KEY_VERBATIM,
		.timestamp = { .place = TIMESTAMP_IN_ITEM, .unit = TIMESTAMP_MS,
			.name = TEXT("t=") },
		.message = {
			{ PART_TIMESTAMP, END }, { PART_LITERAL, TEXT(".") }, { PART_BODY, END },
		},
		.identity = { { PART_TIMESTAMP, END }, { PART_BODY, END } },
		.event_id = { { PART_HEADER, TEXT("idempotency-key") } },
		.forwards = sanity_forwards,
	},
	{
		/* "Use the generated idempotency value that's included as the event_id field in the
		 * body." */
		.name = "square",
		.title = "Square",
		.signature = {
			.encoding = SIGNATURE_BASE64,
			.digest = MAC_SHA256,
			.header = TEXT("x-square-hmacsha256-signature"),
		},
		.key = KEY_VERBATIM,
		.message = { { PART_URL, END }, { PART_BODY, END } },
		.identity_key = { PART_JSON, TEXT("event_id") },
		.identity = { { PART_BODY, END } },
		.event_id = { { PART_JSON, TEXT("event_id") } },
		.forwards = square_forwards,
	},
	{
		/* The secret is used as it is although it looks like base64. A trigger's body is
		 * what the customer wrote, and its "id" may be the ticket's: so not the id but the
		 * signed timestamp beside the body. */
		.name = "zendesk",
		.title = "Zendesk",
		.signature = {
			.encoding = SIGNATURE_BASE64,
			.digest = MAC_SHA256,
			.header = TEXT("X-Zendesk-Webhook-Signature"),
		},
		.key = KEY_VERBATIM,
		.timestamp = { .place = TIMESTAMP_IN_HEADER, .unit = TIMESTAMP_ISO,
			.name = TEXT("X-Zendesk-Webhook-Signature-Timestamp"),
			.tolerance_s = TOLERANCE_S },
		.message = { { PART_TIMESTAMP, END }, { PART_BODY, END } },
		.identity = { { PART_TIMESTAMP, END }, { PART_BODY, END } },
		.event_id = { { PART_HEADER, TEXT("X-Zendesk-Webhook-Invocation-Id") } },
		.forwards = zendesk_forwards,
	},
};

size_t scheme_count(void)
{
	return ARRAY_COUNT(table);
}

const struct scheme *scheme_at(size_t index)
{
	CHECK(index < ARRAY_COUNT(table));
	return &table[index];
}

const struct scheme *scheme_find(struct bytes name)
{
	for (size_t i = 0; i < ARRAY_COUNT(table); i++) {
		if (bytes_equal(bytes_of_text(table[i].name), name)) return &table[i];
	}
	return NULL;
}
