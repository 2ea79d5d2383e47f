/* SPDX-License-Identifier: GPL-2.0-or-later */
/* guard — puts bytes right before a page that may not be touched, so that reading or writing
 * one byte too far ends the test at once, with a sanitizer or without.
 */
#pragma once

#include "base/bytes.h"

struct guard {
	uint8_t *memory;
	size_t mapped_size; /* with the inaccessible page at the end */
};

/* Room for `capacity` bytes. */
void guard_init(struct guard *guard, size_t capacity);
void guard_done(struct guard *guard);
/* Copies the bytes so that the last one is the last byte that may be touched. What was placed
 * before is overwritten. For no bytes at all: a pointer that may not be read. */
uint8_t *guard_place(struct guard *guard, struct bytes bytes);
