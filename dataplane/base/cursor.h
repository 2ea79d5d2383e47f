/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cursor — bounds-checked writing and reading of byte sequences with a sticky error.
 *
 * Straight-line calls, one test at the end: after the first overflow (writer) or underrun
 * (reader) every later call does nothing, and `failed` says so. Integers are little-endian
 * in our own records (store) and big-endian only in LMDB keys that must sort: `_be`.
 * Pure. The memory is borrowed.
 */
#pragma once

#include <stdbool.h>

#include "base/bytes.h"

struct writer {
	uint8_t *data;
	size_t capacity;
	size_t size;
	bool failed;
};

static inline struct writer writer_of(void *data, size_t capacity)
{
	return (struct writer){ .data = data, .capacity = capacity };
}

/* Room for `size` bytes, or NULL (and failed) when there is not enough. */
uint8_t *write_reserve(struct writer *writer, size_t size);
void write_bytes(struct writer *writer, struct bytes bytes);
void write_text(struct writer *writer, const char *text);
void write_u8(struct writer *writer, uint8_t value);
void write_u16(struct writer *writer, uint16_t value);
void write_u32(struct writer *writer, uint32_t value);
void write_u64(struct writer *writer, uint64_t value);
void write_u16_be(struct writer *writer, uint16_t value);
void write_u32_be(struct writer *writer, uint32_t value);
void write_u64_be(struct writer *writer, uint64_t value);
/* A 16-bit size, then the bytes. More than 65,535 bytes fail the writer. */
void write_sized(struct writer *writer, struct bytes bytes);
/* Decimal digits. */
void write_decimal(struct writer *writer, uint64_t value);
/* As printf; cut output fails the writer. Not for hot paths. */
void write_format(struct writer *writer, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* What was written so far. */
struct bytes writer_bytes(const struct writer *writer);

struct reader {
	struct bytes rest;
	bool failed;
};

static inline struct reader reader_of(struct bytes bytes)
{
	return (struct reader){ .rest = bytes };
}

/* A view of the next `size` bytes; empty (and failed) when fewer are left. */
struct bytes read_bytes(struct reader *reader, size_t size);
uint8_t read_u8(struct reader *reader);
uint16_t read_u16(struct reader *reader);
uint32_t read_u32(struct reader *reader);
uint64_t read_u64(struct reader *reader);
uint16_t read_u16_be(struct reader *reader);
uint32_t read_u32_be(struct reader *reader);
uint64_t read_u64_be(struct reader *reader);
struct bytes read_sized(struct reader *reader);
/* True when nothing failed and nothing is left over. */
bool reader_complete(const struct reader *reader);
