/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/cursor.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/check.h"

uint8_t *write_reserve(struct writer *writer, size_t size)
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

void write_bytes(struct writer *writer, struct bytes bytes)
{
	if (bytes.size == 0) return;
	uint8_t *at = write_reserve(writer, bytes.size);
	if (at != NULL) memcpy(at, bytes.data, bytes.size);
}

void write_text(struct writer *writer, const char *text)
{
	write_bytes(writer, bytes_of_text(text));
}

static void write_little_endian(struct writer *writer, uint64_t value, size_t size)
{
	uint8_t *at = write_reserve(writer, size);
	if (at == NULL) return;
	for (size_t i = 0; i < size; i++) at[i] = (uint8_t)(value >> 8 * i);
}

static void write_big_endian(struct writer *writer, uint64_t value, size_t size)
{
	uint8_t *at = write_reserve(writer, size);
	if (at == NULL) return;
	for (size_t i = 0; i < size; i++) at[i] = (uint8_t)(value >> 8 * (size - 1 - i));
}

void write_u8(struct writer *writer, uint8_t value)
{
	write_little_endian(writer, value, 1);
}

void write_u16(struct writer *writer, uint16_t value)
{
	write_little_endian(writer, value, 2);
}

void write_u32(struct writer *writer, uint32_t value)
{
	write_little_endian(writer, value, 4);
}

void write_u64(struct writer *writer, uint64_t value)
{
	write_little_endian(writer, value, 8);
}

void write_u16_be(struct writer *writer, uint16_t value)
{
	write_big_endian(writer, value, 2);
}

void write_u32_be(struct writer *writer, uint32_t value)
{
	write_big_endian(writer, value, 4);
}

void write_u64_be(struct writer *writer, uint64_t value)
{
	write_big_endian(writer, value, 8);
}

void write_sized(struct writer *writer, struct bytes bytes)
{
	if (bytes.size > UINT16_MAX) {
		writer->failed = true;
		return;
	}
	write_u16(writer, (uint16_t)bytes.size);
	write_bytes(writer, bytes);
}

void write_decimal(struct writer *writer, uint64_t value)
{
	uint8_t digits[20];
	size_t at = sizeof digits;

	do {
		digits[--at] = (uint8_t)('0' + value % 10);
		value /= 10;
	} while (value > 0);
	write_bytes(writer, bytes_of(digits + at, sizeof digits - at));
}

void write_format(struct writer *writer, const char *format, ...)
{
	if (writer->failed) return;

	va_list arguments;
	va_start(arguments, format);
	size_t room = writer->capacity - writer->size;
	int size = vsnprintf((char *)writer->data + writer->size, room, format, arguments);
	va_end(arguments);

	/* vsnprintf needs a byte for its NUL, which is not counted as written. */
	if (size < 0 || (size_t)size >= room) {
		writer->failed = true;
		return;
	}
	writer->size += (size_t)size;
}

struct bytes writer_bytes(const struct writer *writer)
{
	return bytes_of(writer->data, writer->size);
}

struct bytes read_bytes(struct reader *reader, size_t size)
{
	if (reader->failed || reader->rest.size < size) {
		reader->failed = true;
		return BYTES_EMPTY;
	}
	struct bytes bytes = bytes_of(reader->rest.data, size);
	reader->rest = bytes_from(reader->rest, size);
	return bytes;
}

static uint64_t read_little_endian(struct reader *reader, size_t size)
{
	struct bytes bytes = read_bytes(reader, size);
	uint64_t value = 0;
	for (size_t i = 0; i < bytes.size; i++) value |= (uint64_t)bytes.data[i] << 8 * i;
	return value;
}

static uint64_t read_big_endian(struct reader *reader, size_t size)
{
	struct bytes bytes = read_bytes(reader, size);
	uint64_t value = 0;
	for (size_t i = 0; i < bytes.size; i++) value = value << 8 | bytes.data[i];
	return value;
}

uint8_t read_u8(struct reader *reader)
{
	return (uint8_t)read_little_endian(reader, 1);
}

uint16_t read_u16(struct reader *reader)
{
	return (uint16_t)read_little_endian(reader, 2);
}

uint32_t read_u32(struct reader *reader)
{
	return (uint32_t)read_little_endian(reader, 4);
}

uint64_t read_u64(struct reader *reader)
{
	return read_little_endian(reader, 8);
}

uint16_t read_u16_be(struct reader *reader)
{
	return (uint16_t)read_big_endian(reader, 2);
}

uint32_t read_u32_be(struct reader *reader)
{
	return (uint32_t)read_big_endian(reader, 4);
}

uint64_t read_u64_be(struct reader *reader)
{
	return read_big_endian(reader, 8);
}

struct bytes read_sized(struct reader *reader)
{
	return read_bytes(reader, read_u16(reader));
}

bool reader_complete(const struct reader *reader)
{
	return !reader->failed && reader->rest.size == 0;
}
