/* SPDX-License-Identifier: GPL-2.0-or-later */
/* trace — W3C Trace Context (https://www.w3.org/TR/trace-context/): which trace an event belongs
 * to, from the sender's traceparent to the target's. Pure.
 *
 * An event keeps it among the header lines it forwards, as its first one: so it survives a restart,
 * and a delivery long after belongs to the same trace.
 */
#pragma once

#include <stdbool.h>

#include "base/cursor.h"

enum { TRACE_ID_SIZE = 16, SPAN_ID_SIZE = 8, TRACEPARENT_SIZE = 55 };

struct trace_context {
	uint8_t trace_id[TRACE_ID_SIZE];
	uint8_t span_id[SPAN_ID_SIZE];
	bool sampled;
};

/* Strictly, as §2.2.2 has it: lower-case hex, no zero id, no version ff; of a later version what
 * this one knows. False: there is none, and a new trace may begin. */
bool trace_parse(struct bytes traceparent, struct trace_context *ret);
/* "00-<trace>-<span>-<flags>" */
void trace_format(const struct trace_context *context, char to[static TRACEPARENT_SIZE]);

/* Never zero. `random`: two for a trace id. */
void trace_id_make(uint64_t first, uint64_t second, uint8_t to[static TRACE_ID_SIZE]);
void span_id_make(uint64_t random, uint8_t to[static SPAN_ID_SIZE]);

/* The event's first forwarded line. */
void trace_line_write(struct writer *writer, const struct trace_context *context);
/* Whether the lines begin with one, and what follows it. */
bool trace_line_read(struct bytes fields, struct trace_context *ret, struct bytes *ret_rest);
