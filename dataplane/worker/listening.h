/* SPDX-License-Identifier: GPL-2.0-or-later */
/* listening — the sockets that providers connect to, as the daemon holds them for its workers: so
 * many for each address as there are workers, with SO_REUSEPORT.
 *
 * A worker accepts on a copy of its descriptor. So a socket, and who waits in its backlog, outlives
 * the worker: it can be handed to the next process, and a reload keeps what stays. Where fewer were
 * handed to us workers share them; where more, a worker has several.
 *
 * Cold threads, one at a time.
 */
#pragma once

#include "worker/claim.h"
#include "worker/handed.h"

struct listening_set; /* one address */

struct listening {
	uint32_t count; /* in the order of the configuration's listeners */
	struct listening_set *sets[LISTENERS_MAX];
};

/* For every listener of the configuration: what `before` (or NULL) has, what was handed over (or
 * NULL), or new ones. RESULT_BUSY when another process listens there and goes on for `patience_ms`.
 * On failure `error` has a sentence, *ret_failed the listener's index, and nothing new is held. */
MUST_USE enum result listening_open(const struct config *config, uint32_t worker_count,
	const struct listening *before, struct handed *handed, uint32_t patience_ms,
	struct listening *ret, uint32_t *ret_failed, char *error, size_t error_size);
/* Closes those that `kept` (or NULL) does not have. */
void listening_close(struct listening *listening, const struct listening *kept);

/* How many sockets of listener `index` that worker accepts on, and the n-th of them. */
uint32_t listening_share(const struct listening *listening, uint32_t index, uint32_t worker_count,
	uint32_t worker);
int listening_fd(const struct listening *listening, uint32_t index, uint32_t worker_count,
	uint32_t worker, uint32_t nth);

bool listening_has(const struct listening *listening, int fd);
/* All descriptors, with the address they are of: for handing them on. */
typedef void listening_visit(void *owner, int fd, const struct io_address *address);
void listening_each(const struct listening *listening, listening_visit *visit, void *owner);
