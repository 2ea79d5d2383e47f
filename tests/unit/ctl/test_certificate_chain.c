/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Files of certificates, whole and broken. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/certificates.h"

/* The programs' own sources are in no library. */
#include "../../../ctl/certificate_chain.c"

enum { DAY_S = 86400 };

static uint64_t now_s(void)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec;
}

static struct chain chain_of(const char *file)
{
	struct chain chain;
	assert_int_equal(chain_parse(certificate_file(file), &chain), RESULT_OK);
	return chain;
}

static void dates_are_read(void **state)
{
	(void)state;
	struct chain chain = chain_of("server.pem");
	assert_int_equal(chain.count, 1);
	assert_true(chain.certificates[0].not_before_s <= now_s());
	assert_in_range(chain.certificates[0].not_after_s, now_s() + 3600 * DAY_S,
		now_s() + 3651 * DAY_S);
	chain_free(&chain);
	chain = chain_of("server-expired.pem");
	assert_true(chain.certificates[0].not_after_s < now_s());
	chain_free(&chain);
	chain = chain_of("server-future.pem");
	assert_true(chain.certificates[0].not_before_s > now_s());
	chain_free(&chain);
}

static void order_and_roots_are_seen(void **state)
{
	(void)state;
	struct chain chain = chain_of("server-chain.pem");
	assert_int_equal(chain.count, 2);
	assert_true(chain_is_in_order(&chain));
	assert_false(chain_ends_in_root(&chain));
	struct chain_certificate first = chain.certificates[0];
	chain.certificates[0] = chain.certificates[1];
	chain.certificates[1] = first;
	assert_false(chain_is_in_order(&chain));
	chain_free(&chain);
	chain = chain_of("ca.pem");
	assert_true(chain_is_in_order(&chain));
	assert_true(chain_ends_in_root(&chain));
	chain_free(&chain);
}

static void what_is_no_certificate_is_refused(void **state)
{
	(void)state;
	struct chain chain;
	static const char *const texts[] = {
		"",
		"nonsense",
		"-----BEGIN CERTIFICATE-----",
		"-----BEGIN CERTIFICATE----------END CERTIFICATE-----",
		"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----",
		"-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----",
		"-----BEGIN CERTIFICATE-----\nMIT/////\n-----END CERTIFICATE-----",
	};
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		assert_int_equal(chain_parse(bytes_of_text(texts[i]), &chain), RESULT_MALFORMED);
		chain_free(&chain);
	}
	assert_int_equal(chain_parse(certificate_file("server.key"), &chain), RESULT_MALFORMED);
	chain_free(&chain);
}

/* Cut anywhere, or with any byte of the DER changed: refused or taken, never read beyond. */
static void no_damage_leads_astray(void **state)
{
	(void)state;
	struct bytes pem = certificate_file("server.pem");
	struct chain whole = chain_of("server.pem");
	uint8_t der[2048];
	size_t size = 0;
	struct bytes rest = pem;
	struct bytes text;
	assert_true(pem_next(&rest, &text));
	uint8_t *plain = alloc_array(pem.size, 1);
	assert_int_equal(base64_decode(BASE64_STANDARD, without_blanks(text, plain), der,
				 sizeof der, &size),
		RESULT_OK);
	for (size_t i = 0; i < size; i++) {
		struct chain_certificate one;
		uint8_t *copy = alloc_array(size, 1);
		memcpy(copy, der, size);
		enum result cut = certificate_parse(bytes_of(copy, i), &one);
		assert_int_equal(cut, RESULT_MALFORMED);
		for (unsigned bit = 0; bit < 8; bit++) {
			copy[i] ^= (uint8_t)(1u << bit);
			if (certificate_parse(bytes_of(copy, size), &one) == RESULT_OK) {
				assert_true(one.issuer.data >= copy);
				assert_true(one.subject.data + one.subject.size <= copy + size);
			}
			copy[i] ^= (uint8_t)(1u << bit);
		}
		alloc_free(copy);
	}
	alloc_free(plain);
	chain_free(&whole);
}

static void too_many_are_refused(void **state)
{
	(void)state;
	struct bytes pem = certificate_file("server.pem");
	size_t size = pem.size * (CHAIN_MAX + 1);
	uint8_t *many = alloc_array(size, 1);
	struct chain chain;
	for (size_t i = 0; i <= CHAIN_MAX; i++) memcpy(many + i * pem.size, pem.data, pem.size);
	assert_int_equal(chain_parse(bytes_of(many, size), &chain), RESULT_FULL);
	chain_free(&chain);
	assert_int_equal(chain_parse(bytes_of(many, size - pem.size), &chain), RESULT_OK);
	assert_int_equal(chain.count, CHAIN_MAX);
	chain_free(&chain);
	alloc_free(many);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dates_are_read),
		cmocka_unit_test(order_and_roots_are_seen),
		cmocka_unit_test(what_is_no_certificate_is_refused),
		cmocka_unit_test(no_damage_leads_astray),
		cmocka_unit_test(too_many_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
