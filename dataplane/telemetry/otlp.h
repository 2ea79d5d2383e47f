/* SPDX-License-Identifier: GPL-2.0-or-later */
/* otlp — spans as an OTLP/HTTP request body in its JSON encoding
 * (https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding), with the attributes of the
 * semantic conventions for HTTP. Pure.
 */
#pragma once

#include "telemetry/spans.h"

#define OTLP_PATH "/v1/traces"

/* What one span takes at most: names and codes are plain, a place may be escaped to six times its
 * size. */
enum { OTLP_SPAN_SIZE_MAX = 4096, OTLP_HEAD_SIZE_MAX = 1024 };

/* Begins a body with the resource it is all about; `host`: of this machine. */
void otlp_begin(struct writer *writer, const char *host);
void otlp_span(struct writer *writer, const struct span *span, bool first);
void otlp_end(struct writer *writer);
