/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/cursor.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/check.h"

void write_text(struct writer *writer, const char *text)
{
	write_bytes(writer, bytes_of_text(text));
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

struct bytes read_sized(struct reader *reader)
{
	return read_bytes(reader, read_u16(reader));
}
