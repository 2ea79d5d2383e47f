/* SPDX-License-Identifier: GPL-2.0-or-later */
/* tls_library — starts wolfSSL, and says what it can do. */
#include "tls/tls.h"

#include "tls/tls_internal.h"

#include <wolfssl/wolfcrypt/cpuid.h>

#include "base/check.h"

static bool gcm_is_wide;

enum result tls_library_open(void)
{
	TRY(tls_memory_open());
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
	struct tls_library_info info = {
		.version = wolfSSL_lib_version(),
		.aes_gcm = "portable",
		.allocation_count = tls_memory_count(),
	};
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
	return info;
}
