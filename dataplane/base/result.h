/* SPDX-License-Identifier: GPL-2.0-or-later */
/* result — what a fallible function of ours returns when the environment fails it.
 *
 * Three kinds of failure, three mechanisms: our bug is a CHECK, the environment is an
 * enum result, a peer's fault is a verdict (an ordinary value of the module that judges).
 */
#pragma once

#define RESULT_TABLE(X) \
	X(OK,          "ok") \
	X(FULL,        "a bound was reached") \
	X(MALFORMED,   "stored or received bytes do not decode") \
	X(DISK,        "the disk refused a read or a write") \
	X(SPACE,       "the disk or the quota is full") \
	X(MEMORY,      "out of memory") \
	X(KERNEL,      "the kernel refused a system call") \
	X(UNSUPPORTED, "this kernel or build lacks a needed feature") \
	X(PERMISSION,  "permission denied") \
	X(NOT_FOUND,   "no such thing") \
	X(EXISTS,      "it exists already") \
	X(BUSY,        "in use by somebody else") \
	X(CONFIG,      "the configuration is wrong") \
	X(CRYPTO,      "the cryptographic library refused") \
	X(VERSION,     "written by an incompatible version") \
	X(CLOSED,      "the other side has gone")

enum result {
#define X(name, text) RESULT_##name,
	RESULT_TABLE(X)
#undef X
	RESULT_COUNT
};

#define MUST_USE __attribute__((warn_unused_result))

/* The one macro with hidden control flow. For functions with nothing to clean up. */
#define TRY(expr) \
	do { \
		enum result try_result = (expr); \
		if (try_result != RESULT_OK) return try_result; \
	} while (0)

/* The sentence of the table above, for log lines and operators. Any thread. */
const char *result_text(enum result result);
