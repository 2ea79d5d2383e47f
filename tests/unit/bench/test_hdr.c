/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What other tools read: the encoding byte by byte, and the percentile text. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* The programs' own sources are in no library. */
#include "../../../bench/hdr.c"
#include "../../../bench/histogram.c"

static struct histogram histogram;
static uint8_t counts[COUNTS_SIZE_MAX];
static uint8_t wrapped[COMPRESSED_SIZE_MAX];

static void fill(uint64_t us, unsigned times)
{
	for (unsigned i = 0; i < times; i++) histogram_record(&histogram, us);
}

static void test_an_empty_histogram_is_a_head_alone(void **state)
{
	(void)state;
	static const uint8_t head[HEAD_SIZE] = {
		0x1c, 0x84, 0x93, 0x13, 0, 0, 0, 0, /* cookie, size of what follows the head */
		0, 0, 0, 0, 0, 0, 0, 3,             /* no shift, three digits */
		0, 0, 0, 0, 0, 0, 0, 1,             /* lowest */
		0, 0, 0x3f, 0xff, 0xff, 0xff, 0xff, 0xff, 0x3f, 0xf0, /* highest, ratio 1.0 */
	};

	histogram_reset(&histogram);
	assert_int_equal(encode(counts, &histogram), HEAD_SIZE);
	assert_memory_equal(counts, head, HEAD_SIZE);
}

static void test_zeros_are_runs_and_counts_are_zigzag(void **state)
{
	(void)state;
	/* Up to 2047 ns each has a bucket of its own. */
	static const uint8_t expected[] = {
		0xcf, 0x0f, /* -1000 */
		0x06,       /* 3 */
		0xcd, 0x0f, /* -999 */
		0xd8, 0x04, /* 300 */
	};

	histogram_reset(&histogram);
	fill(1, 3);
	fill(2, 300);
	size_t size = encode(counts, &histogram);
	assert_int_equal(size, HEAD_SIZE + sizeof expected);
	assert_int_equal(counts[7], sizeof expected);
	assert_memory_equal(counts + HEAD_SIZE, expected, sizeof expected);
}

static void test_a_full_histogram_fits(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) histogram.buckets[i] = UINT32_MAX;
	histogram.count = 1;
	size_t size = encode(counts, &histogram);
	assert_in_range(size, HEAD_SIZE + 4 * (HISTOGRAM_BUCKETS / 2), COUNTS_SIZE_MAX);
	struct bytes all = compress(wrapped, bytes_of(counts, size));
	assert_in_range(all.size, size, COMPRESSED_SIZE_MAX);
	/* The first block is full, and not the last. */
	assert_int_equal(wrapped[10], 0);
	assert_int_equal(wrapped[11] | wrapped[12] << 8, BLOCK_SIZE_MAX);
}

static void test_zlib_of_known_bytes(void **state)
{
	(void)state;
	static const uint8_t expected[] = { 0x78, 0x01, 1, 9, 0, 0xf6, 0xff, 'W', 'i', 'k', 'i',
		'p', 'e', 'd', 'i', 'a', 0x11, 0xe6, 0x03, 0x98 };

	const uint8_t *end = put_zlib(wrapped, BYTES_LITERAL("Wikipedia"));
	assert_int_equal(end - wrapped, sizeof expected);
	assert_memory_equal(wrapped, expected, sizeof expected);
}

static void test_percentiles_as_text(void **state)
{
	(void)state;
	char *text = NULL;
	size_t size = 0;

	histogram_reset(&histogram);
	fill(100, 90);
	fill(1000, 9);
	fill(5000, 1);
	FILE *file = open_memstream(&text, &size);
	assert_non_null(file);
	hdr_percentiles_write(file, &histogram);
	assert_int_equal(fclose(file), 0);
	assert_ptr_equal(strstr(text,
				 "       Value     Percentile TotalCount 1/(1-Percentile)\n\n"
				 "       0.100 0.000000000000         90           1.00\n"
				 "       0.100 0.100000000000         90           1.11\n"),
		text);
	assert_non_null(strstr(text, "       1.000 0.900000000000         99          10.00\n"));
	/* The greatest is told exactly. */
	assert_non_null(strstr(text, "       5.000 1.000000000000        100\n#[Mean"));
	assert_non_null(strstr(text, "Total count    =          100]\n"));
	free(text);
}

static void test_percentiles_of_nothing(void **state)
{
	(void)state;
	char text[1024] = { 0 };

	histogram_reset(&histogram);
	FILE *file = fmemopen(text, sizeof text - 1, "w");
	hdr_percentiles_write(file, &histogram);
	assert_int_equal(fclose(file), 0);
	assert_non_null(strstr(text, "Total count    =            0]\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_an_empty_histogram_is_a_head_alone),
		cmocka_unit_test(test_zeros_are_runs_and_counts_are_zigzag),
		cmocka_unit_test(test_a_full_histogram_fits),
		cmocka_unit_test(test_zlib_of_known_bytes),
		cmocka_unit_test(test_percentiles_as_text),
		cmocka_unit_test(test_percentiles_of_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
