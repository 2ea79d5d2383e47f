/* SPDX-License-Identifier: GPL-2.0-or-later */
/* http_chunked — takes the chunked coding off a body, in place and incrementally.
 *
 * Trailer fields are checked, bounded and dropped, never merged into the head's fields. So
 * are chunk extensions: a chunk's header has at most HTTP_CHUNK_LINE_SIZE_MAX bytes, and the
 * extensions of all chunks and the trailer together at most HTTP_TRAILER_SIZE_MAX.
 */
#pragma once

#include "http/http.h"

struct http_chunked {
	uint8_t state;         /* private; zero to start */
	uint8_t digits;        /* of the present chunk's size */
	uint32_t line_size;    /* of the present chunk's header */
	uint32_t dropped_size; /* chunk extensions and trailer so far */
	uint64_t left;         /* of the present chunk */
};

/* Decodes data[0 … size) in place. *ret_decoded payload bytes then stand at data[0 …], and
 * *ret_consumed input bytes were used up. MORE: all input was consumed. DONE: the last chunk
 * and the trailer were read; input beyond *ret_consumed belongs to the next message and is
 * untouched where it stood. BAD sets *ret_fault. After DONE and BAD start with a new one. */
enum http_parse http_chunked_decode(struct http_chunked *chunked, uint8_t *data, size_t size,
	size_t *ret_consumed, size_t *ret_decoded, enum http_fault *ret_fault);
