/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sink — plays a target: takes deliveries, checks them against the ledger, and misbehaves as
 * asked: slow, failing, resetting, 429.
 *
 * Not a measure of targets: it answers as fast as it can so as not to be the bottleneck.
 */
#pragma once

#include "base/random.h"
#include "bounds.h"
#include "flush_file.h"
#include "ledger.h"
#include "payload.h"
#include "tls/stream.h"
#include "verify/verify.h"

/* As many as a worker of the daemon opens. */
enum { SINK_CONNECTIONS_MAX = DELIVER_CHANNELS_MAX };

struct sink_config {
	struct streams *streams;
	struct ledger *ledger; /* NULL: only counts */
	struct payload_shape shape;
	struct io_address address;
	struct tls_context *context; /* NULL: plaintext */
	struct verifier *verifier;   /* of the deliveries' signature; NULL: not checked */
	uint32_t connections_max;
	uint32_t delay_ms;       /* before each answer */
	uint32_t fail_permille;  /* answered 500 */
	uint32_t busy_permille;  /* answered 429 with Retry-After */
	uint32_t reset_permille; /* connection reset instead of an answer */
	uint32_t retry_after_s;  /* with 429 */
	uint64_t seed;
	/* What came is written to a file there and flushed before it is answered, together with all
	 * that came meanwhile; the loop's mail opens letters. NULL: not kept. */
	const char *keep_folder;
};

struct sink;

struct sink_counts {
	uint64_t requests;
	uint64_t answered_ok;
	uint64_t answered_error;
	uint64_t resets;
	uint64_t malformed;
	uint64_t signature_bad;
	uint64_t not_kept; /* answered 500, because the disk refused */
	uint64_t connections;
};

/* RESULT_DISK: keep_folder takes no file, RESULT_KERNEL: the address cannot be listened on; errno
 * says why. */
MUST_USE enum result sink_open(const struct sink_config *config, struct sink **ret);
struct io_address sink_address(const struct sink *sink);
struct sink_counts sink_counts(const struct sink *sink);
/* Before each answer from now on. */
void sink_set_delay(struct sink *sink, uint32_t delay_ms);
void sink_abort(struct sink *sink);
bool sink_closed(const struct sink *sink);
void sink_close(struct sink *sink);
