/* SPDX-License-Identifier: GPL-2.0-or-later */
/* tls_library — starts wolfSSL, says what it can do, and counts what it allocates.
 *
 * wolfSSL allocates while it works, on hot threads too: the named exception to the rule that
 * nothing is allocated after start. So it goes through hooks that count.
 */
#include "tls/tls.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "tls/tls_internal.h"

#include <wolfssl/wolfcrypt/cpuid.h>

#include "base/check.h"

/* One counter per thread, each on its own cache line; beyond that many threads they share. */
enum { COUNTERS = 64, COUNTER_ALIGNMENT = 64 };

struct counter {
	_Alignas(COUNTER_ALIGNMENT) atomic_uint_fast64_t count;
};

static bool gcm_is_wide;
static struct counter counters[COUNTERS];
static atomic_uint threads_seen;
static _Thread_local struct counter *own_counter;

static void count_allocation(void)
{
	if (own_counter == NULL) {
		unsigned thread = atomic_fetch_add_explicit(&threads_seen, 1, memory_order_relaxed);
		own_counter = &counters[thread % COUNTERS];
	}
	atomic_fetch_add_explicit(&own_counter->count, 1, memory_order_relaxed);
}

static void *hook_allocate(size_t size)
{
	count_allocation();
	return malloc(size);
}

static void *hook_resize(void *memory, size_t size)
{
	count_allocation();
	return realloc(memory, size);
}

static void hook_free(void *memory)
{
	free(memory);
}

void *tls_memory_take(size_t size)
{
	return hook_allocate(size);
}

char *tls_memory_text(struct bytes text)
{
	char *copy = tls_memory_take(text.size + 1);
	if (copy == NULL) return NULL;
	memcpy(copy, text.data, text.size);
	copy[text.size] = '\0';
	return copy;
}

void tls_memory_free(void *memory)
{
	hook_free(memory);
}

enum result tls_library_open(void)
{
	if (wolfSSL_SetAllocators(hook_allocate, hook_free, hook_resize) != 0) return RESULT_CRYPTO;
	if (wolfSSL_Init() != WOLFSSL_SUCCESS) return RESULT_CRYPTO;
	gcm_is_wide = tls_gcm_open();
	return tls_ticket_keys_rotate();
}

void tls_library_close(void)
{
	CHECK(wolfSSL_Cleanup() == WOLFSSL_SUCCESS);
}

struct tls_library_info tls_library_info(void)
{
	struct tls_library_info info = { .version = wolfSSL_lib_version(), .aes_gcm = "portable" };
#ifdef HAVE_CPUID_INTEL
	word32 flags = cpuid_get_flags();
	if (IS_INTEL_AESNI(flags) != 0) info.aes_gcm = "AES-NI";
	if (gcm_is_wide) info.aes_gcm = "VAES";
	info.sha_instructions = IS_INTEL_SHA(flags) != 0;
	info.avx2 = IS_INTEL_AVX2(flags) != 0;
#elif defined(WOLFSSL_ARMASM)
	info.aes_gcm = "ARMv8";
	info.sha_instructions = true;
#endif
	for (size_t i = 0; i < COUNTERS; i++) {
		info.allocation_count +=
			atomic_load_explicit(&counters[i].count, memory_order_relaxed);
	}
	return info;
}
