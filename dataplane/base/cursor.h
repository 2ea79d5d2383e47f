/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cursor — bounds-checked writing and reading of byte sequences with a sticky error.
 *
 * Straight-line calls, one test at the end: after the first overflow (writer) or underrun
 * (reader) every later call does nothing, and `failed` says so. Integers are little-endian
 * in our own records (store) and big-endian only in LMDB keys that must sort: `_be`.
 * Pure. The memory is borrowed.
 */
#pragma once

#include <endian.h>
#include <stdbool.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"

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
static inline uint8_t *write_reserve(struct writer *writer, size_t size)
{
	CHECK(writer->size <= writer->capacity);

	if (writer->failed || writer->capacity - writer->size < size) {
		writer->failed = true;
		return NULL;
	}
	uint8_t *at = writer->data + writer->size;
	writer->size += size;
	return at;
}

static inline void write_bytes(struct writer *writer, struct bytes bytes)
{
	if (bytes.size == 0) return;
	uint8_t *at = write_reserve(writer, bytes.size);
	if (at != NULL) memcpy(at, bytes.data, bytes.size);
}

void write_text(struct writer *writer, const char *text);

/* A record has a dozen of them: a call for each would cost more than the writing. */
static inline void write_u8(struct writer *writer, uint8_t value)
{
	write_bytes(writer, bytes_of(&value, sizeof value));
}

static inline void write_u16(struct writer *writer, uint16_t value)
{
	uint16_t word = htole16(value);
	write_bytes(writer, bytes_of(&word, sizeof word));
}

static inline void write_u32(struct writer *writer, uint32_t value)
{
	uint32_t word = htole32(value);
	write_bytes(writer, bytes_of(&word, sizeof word));
}

static inline void write_u64(struct writer *writer, uint64_t value)
{
	uint64_t word = htole64(value);
	write_bytes(writer, bytes_of(&word, sizeof word));
}

static inline void write_u16_be(struct writer *writer, uint16_t value)
{
	uint16_t word = htobe16(value);
	write_bytes(writer, bytes_of(&word, sizeof word));
}

static inline void write_u32_be(struct writer *writer, uint32_t value)
{
	uint32_t word = htobe32(value);
	write_bytes(writer, bytes_of(&word, sizeof word));
}

static inline void write_u64_be(struct writer *writer, uint64_t value)
{
	uint64_t word = htobe64(value);
	write_bytes(writer, bytes_of(&word, sizeof word));
}

/* A 16-bit size, then the bytes. More than 65,535 bytes fail the writer. */
void write_sized(struct writer *writer, struct bytes bytes);
/* Decimal digits. */
void write_decimal(struct writer *writer, uint64_t value);
/* As printf; cut output fails the writer. Not for hot paths. */
void write_format(struct writer *writer, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* What was written so far. */
static inline struct bytes writer_bytes(const struct writer *writer)
{
	return bytes_of(writer->data, writer->size);
}

struct reader {
	struct bytes rest;
	bool failed;
};

static inline struct reader reader_of(struct bytes bytes)
{
	return (struct reader){ .rest = bytes };
}

/* A view of the next `size` bytes; empty (and failed) when fewer are left. */
static inline struct bytes read_bytes(struct reader *reader, size_t size)
{
	if (reader->failed || reader->rest.size < size) {
		reader->failed = true;
		return BYTES_EMPTY;
	}
	struct bytes bytes = bytes_of(reader->rest.data, size);
	reader->rest = bytes_from(reader->rest, size);
	return bytes;
}

/* The bytes of an integer; zeros when they are not there. */
static inline void read_word(struct reader *reader, void *to, size_t size)
{
	struct bytes bytes = read_bytes(reader, size);
	if (bytes.size == size) {
		memcpy(to, bytes.data, size);
	} else {
		memset(to, 0, size);
	}
}

static inline uint8_t read_u8(struct reader *reader)
{
	uint8_t byte;
	read_word(reader, &byte, sizeof byte);
	return byte;
}

static inline uint16_t read_u16(struct reader *reader)
{
	uint16_t word;
	read_word(reader, &word, sizeof word);
	return le16toh(word);
}

static inline uint32_t read_u32(struct reader *reader)
{
	uint32_t word;
	read_word(reader, &word, sizeof word);
	return le32toh(word);
}

static inline uint64_t read_u64(struct reader *reader)
{
	uint64_t word;
	read_word(reader, &word, sizeof word);
	return le64toh(word);
}

static inline uint16_t read_u16_be(struct reader *reader)
{
	uint16_t word;
	read_word(reader, &word, sizeof word);
	return be16toh(word);
}

static inline uint32_t read_u32_be(struct reader *reader)
{
	uint32_t word;
	read_word(reader, &word, sizeof word);
	return be32toh(word);
}

static inline uint64_t read_u64_be(struct reader *reader)
{
	uint64_t word;
	read_word(reader, &word, sizeof word);
	return be64toh(word);
}

struct bytes read_sized(struct reader *reader);
/* True when nothing failed and nothing is left over. */
static inline bool reader_complete(const struct reader *reader)
{
	return !reader->failed && reader->rest.size == 0;
}
