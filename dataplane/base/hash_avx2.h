/* SPDX-License-Identifier: GPL-2.0-or-later */
/* hash_avx2 — XXH3 of long inputs by AVX2, for hash.c alone: the same values in two thirds of the
 * time. Everything else is built for any CPU of its kind; this is compiled a second time. */
#pragma once

#include "base/hash.h"

/* Shorter ones do not come to the part that is made of vectors. */
enum { HASH_AVX2_SIZE_MIN = 241 };

/* Whether CPU, kernel and compiler have it. Where not, it is an error to call the others. */
bool hash_avx2_usable(void);
uint64_t hash_avx2_xxh3(struct bytes bytes, uint64_t seed);
struct hash128 hash_avx2_xxh128(struct bytes bytes, uint64_t seed);
