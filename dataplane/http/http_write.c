/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "http/http_write.h"

#include "base/check.h"

/* RFC 9110 §5.5: "Field values containing CR, LF, or NUL characters are invalid and
 * dangerous". In what we send they would be our own bug: text of peers was parsed. */
static bool line_text_is_safe(struct bytes text)
{
	return bytes_find(text, '\r') == text.size && bytes_find(text, '\n') == text.size &&
		bytes_find(text, '\0') == text.size;
}

void http_write_status(struct writer *writer, unsigned status)
{
	CHECK(status >= 100 && status <= 599);

	write_bytes(writer, BYTES_LITERAL("HTTP/1.1 "));
	write_decimal(writer, status);
	write_bytes(writer, BYTES_LITERAL(" "));
	write_text(writer, http_reason(status));
	write_bytes(writer, BYTES_LITERAL("\r\n"));
}

void http_write_request_line(struct writer *writer, const char *method, struct bytes target,
	struct bytes host)
{
	CHECK(line_text_is_safe(target) && bytes_find(target, ' ') == target.size);

	write_text(writer, method);
	write_bytes(writer, BYTES_LITERAL(" "));
	write_bytes(writer, target);
	write_bytes(writer, BYTES_LITERAL(" HTTP/1.1\r\n"));
	http_write_field(writer, BYTES_LITERAL("Host"), host);
}

void http_write_field(struct writer *writer, struct bytes name, struct bytes value)
{
	CHECK(line_text_is_safe(name));
	CHECK(line_text_is_safe(value));

	write_bytes(writer, name);
	write_bytes(writer, BYTES_LITERAL(": "));
	write_bytes(writer, value);
	write_bytes(writer, BYTES_LITERAL("\r\n"));
}

void http_write_field_decimal(struct writer *writer, const char *name, uint64_t value)
{
	write_text(writer, name);
	write_bytes(writer, BYTES_LITERAL(": "));
	write_decimal(writer, value);
	write_bytes(writer, BYTES_LITERAL("\r\n"));
}

void http_write_end(struct writer *writer)
{
	write_bytes(writer, BYTES_LITERAL("\r\n"));
}

static void write_problem_member(struct writer *writer, const char *name, const char *value)
{
	if (value == NULL) return;
	write_bytes(writer, BYTES_LITERAL(","));
	http_write_json_string(writer, bytes_of_text(name));
	write_bytes(writer, BYTES_LITERAL(":"));
	http_write_json_string(writer, bytes_of_text(value));
}

static void write_problem_body(struct writer *writer, const struct http_problem *problem)
{
	write_bytes(writer, BYTES_LITERAL("{\"type\":\"urn:penstock:problem:"));
	write_text(writer, problem->code);
	write_bytes(writer, BYTES_LITERAL("\""));
	write_problem_member(writer, "title", problem->title);
	write_bytes(writer, BYTES_LITERAL(",\"status\":"));
	write_decimal(writer, problem->status);
	write_problem_member(writer, "code", problem->code);
	write_problem_member(writer, "detail", problem->detail);
	write_problem_member(writer, "instance", problem->instance);
	write_bytes(writer, BYTES_LITERAL("}"));
}

/* The size goes before the body, so the body is written twice: first where the head will
 * stand, to be measured. A body that does not fit there fits nowhere. */
static size_t problem_body_size(struct writer *writer, const struct http_problem *problem)
{
	struct writer draft = *writer;

	write_problem_body(&draft, problem);
	writer->failed = draft.failed;
	return draft.size - writer->size;
}

void http_write_problem(struct writer *writer, const struct http_problem *problem)
{
	size_t body_size = problem_body_size(writer, problem);

	http_write_status(writer, problem->status);
	if (problem->date != NULL) {
		http_write_field(writer, BYTES_LITERAL("Date"), bytes_of_text(problem->date));
	}
	http_write_field(writer, BYTES_LITERAL("Content-Type"),
		BYTES_LITERAL("application/problem+json"));
	http_write_field_decimal(writer, "Content-Length", body_size);
	if (problem->allow != NULL) {
		http_write_field(writer, BYTES_LITERAL("Allow"), bytes_of_text(problem->allow));
	}
	if (problem->challenge != NULL) {
		http_write_field(writer, BYTES_LITERAL("WWW-Authenticate"),
			bytes_of_text(problem->challenge));
	}
	if (problem->retry_after_s > 0) {
		http_write_field_decimal(writer, "Retry-After", problem->retry_after_s);
	}
	if (problem->connection != NULL) {
		http_write_field(writer, BYTES_LITERAL("Connection"),
			bytes_of_text(problem->connection));
	}
	http_write_end(writer);
	if (!problem->head_method) write_problem_body(writer, problem);
}
