/* SPDX-License-Identifier: GPL-2.0-or-later */
/* contexts — the TLS contexts one worker needs for a flow: one per listener, one per target.
 *
 * Built from the files a configuration names, on a cold thread, for each worker its own
 * (wolfSSL contexts share locks); handed over whole. Targets with equal settings share one.
 */
#pragma once

#include "deliver/deliver.h"
#include "flow/flow.h"
#include "tls/tls.h"

struct contexts {
	uint32_t listener_count;
	uint32_t target_count;
	struct tls_context **listeners; /* NULL for plaintext */
	struct deliver_tls *targets;    /* each context is a reference of its own */
};

/* RESULT_CONFIG with diagnostics that point at the configuration when a file cannot be read or
 * does not hold what it should. */
MUST_USE enum result contexts_build(const struct flow *flow, struct config_report *report,
	struct contexts **ret);
/* A whole file of certificates or a key; free with contexts_file_free(), in any case. Returns why
 * it cannot be used, or NULL. */
const char *contexts_file_load(const char *path, struct bytes *ret);
/* Wipes. */
void contexts_file_free(struct bytes file);
/* Frees the arrays; releases contexts that were not taken out (set to NULL). Accepts NULL. */
void contexts_free(struct contexts *contexts);
