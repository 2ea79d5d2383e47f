/* SPDX-License-Identifier: GPL-2.0-or-later */
/* anonymizer — replaces names in text by others that say nothing, the same ones for the same names.
 *
 * An alias is a keyed hash (HMAC-SHA256 under a random key) of what it stands for, so nobody
 * without the key can tell it by trying names; the owner of the table can. Names are found as whole
 * words, in any case of their letters, the longest first. IP addresses are found by their form.
 */
#pragma once

#include <stdio.h>

#include "base/bytes.h"

struct anonymizer;

/* With a key of its own from the kernel. */
struct anonymizer *anonymizer_create(void);
void anonymizer_free(struct anonymizer *anonymizer);

/* `kind` is a literal: what the alias begins with. Empty texts, and "/", are no names. A text that
 * was added before keeps its alias. */
void anonymizer_add(struct anonymizer *anonymizer, const char *kind, struct bytes text);

/* Writes the text with all that was added replaced; nothing may be added any more. IP addresses
 * that it finds are added to the table. */
void anonymizer_write(struct anonymizer *anonymizer, struct bytes text, FILE *file);
/* The key, and each alias with what it stands for. Secret: it undoes everything. */
void anonymizer_write_table(const struct anonymizer *anonymizer, FILE *file);
