/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "problem.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/cursor.h"
#include "http/http_write.h"
#include "table.h"

enum { PROBLEM_SIZE = 4096 };

static void say_json(const char *code, const char *fix, const char *detail)
{
	uint8_t memory[PROBLEM_SIZE];
	struct writer writer = writer_of(memory, sizeof memory);
	write_format(&writer,
		"{\"schema\":\"penstock.problem/v1\",\"type\":\"urn:penstock:problem:%s\","
		"\"title\":\"penstockctl could not do this\",\"code\":\"%s\",\"detail\":",
		code, code);
	http_write_json_string(&writer, bytes_of_text(detail));
	if (fix != NULL) {
		write_text(&writer, ",\"fix\":");
		http_write_json_string(&writer, bytes_of_text(fix));
	}
	write_text(&writer, "}\n");
	struct bytes text = writer_bytes(&writer);
	fwrite(text.data, 1, text.size, stdout);
}

int problem_say(const struct invocation *invocation, int exit_code, const char *code,
	const char *fix, const char *format, ...)
{
	char detail[512];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(detail, sizeof detail, format, arguments);
	va_end(arguments);
	if (invocation->json) {
		say_json(code, fix, detail);
		return exit_code;
	}
	fputs("penstockctl: ", stderr);
	table_write_safe(stderr, detail);
	if (fix != NULL) fputs("; ", stderr);
	if (fix != NULL) table_write_safe(stderr, fix);
	fputc('\n', stderr);
	return exit_code;
}
