/* SPDX-License-Identifier: GPL-2.0-or-later */
/* secret — key bytes in memory that is locked, left out of core dumps and wiped on release.
 *
 * Key bytes never leave this folder in the clear except through secret_bytes(), which exists
 * for key derivation in this folder and in verify/ at load time, never on the request path.
 * Load and free on cold threads; a loaded secret is immutable and may be read by any thread.
 */
#pragma once

#include "base/bytes.h"

struct secret;

/* The longest secret accepted, bytes. Providers' are 20 to 64 characters. */
enum { SECRET_SIZE_MAX = 4096 };

/* Reads a file whose one line is the secret (one trailing newline is dropped, nothing else
 * is trimmed). The file must be a regular file that neither group (unless it is the
 * process's own or root's) nor others can read or write, as sshd demands for keys:
 * RESULT_PERMISSION otherwise, RESULT_NOT_FOUND, RESULT_FULL when too long, RESULT_MALFORMED
 * when empty or when a control character is in it (a second line, a Windows line end).
 * *ret is owned by the caller. */
MUST_USE enum result secret_load_file(const char *path, struct secret **ret);
/* A copy of the bytes, any bytes; the same results for empty and too long. */
MUST_USE enum result secret_create(struct bytes bytes, struct secret **ret);
/* Wipes. Accepts NULL. */
void secret_free(struct secret *secret);

struct bytes secret_bytes(const struct secret *secret);
/* Constant time; for plain-token schemes. */
bool secret_equals(const struct secret *secret, struct bytes presented);

/* How much secret memory the kernel refused to lock (RLIMIT_MEMLOCK), bytes; 0 is good. */
size_t secret_unlocked_size(void);
