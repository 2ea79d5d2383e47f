/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hdr.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/bytes.h"
#include "base/check.h"

enum {
	/* "V2" with the nibble that says how words are encoded: one for LEB128. */
	COOKIE = 0x1c849313,
	COOKIE_COMPRESSED = 0x1c849314,
	SIGNIFICANT_DIGITS = 3,
	HEAD_SIZE = 40,
	WRAP_HEAD_SIZE = 8,
	NS_PER_US = 1000,
	/* As many buckets as nanoseconds need for what the histogram holds in microseconds. */
	NS_BUCKETS = HISTOGRAM_BUCKETS + (10 << HISTOGRAM_SUB_BITS),
	/* A count, or a run of zeros, in LEB128. */
	COUNT_SIZE_MAX = 9,
	COUNTS_SIZE_MAX = HEAD_SIZE + NS_BUCKETS * COUNT_SIZE_MAX,
	BLOCK_SIZE_MAX = 65535,
	BLOCK_HEAD_SIZE = 5,
	COMPRESSED_SIZE_MAX = WRAP_HEAD_SIZE + COUNTS_SIZE_MAX + 6 +
		BLOCK_HEAD_SIZE * (COUNTS_SIZE_MAX / BLOCK_SIZE_MAX + 1),
	TICKS_PER_HALF_DISTANCE = 5,
};

/* ---- The encoding ---------------------------------------------------------------------------- */

static uint8_t *put_be(uint8_t *to, uint64_t value, unsigned size)
{
	for (unsigned i = 0; i < size; i++) to[i] = (uint8_t)(value >> (8 * (size - 1 - i)));
	return to + size;
}

/* ZigZag, then LEB128 of 64 bits in at most nine bytes. */
static uint8_t *put_count(uint8_t *to, int64_t count)
{
	uint64_t value = ((uint64_t)count << 1) ^ (uint64_t)(count >> 63);

	for (unsigned i = 0; i < COUNT_SIZE_MAX - 1 && value >= 0x80; i++) {
		*to++ = (uint8_t)(value | 0x80);
		value >>= 7;
	}
	*to++ = (uint8_t)value;
	return to;
}

/* A bucket of microseconds lies in one of nanoseconds, up to the rounding of both. */
static uint32_t ns_bucket(uint32_t bucket)
{
	return histogram_bucket(histogram_bucket_lowest(bucket) * NS_PER_US);
}

static uint8_t *put_counts(uint8_t *to, const struct histogram *histogram)
{
	uint32_t next = 0; /* bucket of nanoseconds that is written next */
	uint32_t at = 0;   /* the one that `sum` is of */
	uint64_t sum = 0;

	for (uint32_t bucket = 0; bucket <= HISTOGRAM_BUCKETS; bucket++) {
		uint64_t count = bucket < HISTOGRAM_BUCKETS ? histogram->buckets[bucket] : 0;
		if (count == 0 && bucket < HISTOGRAM_BUCKETS) continue;
		uint32_t found = bucket < HISTOGRAM_BUCKETS ? ns_bucket(bucket) : UINT32_MAX;
		if (sum > 0 && found != at) {
			if (at - next == 1) to = put_count(to, 0);
			if (at - next > 1) to = put_count(to, -(int64_t)(at - next));
			to = put_count(to, (int64_t)sum);
			next = at + 1;
			sum = 0;
		}
		at = found;
		sum += count;
	}
	return to;
}

static size_t encode(uint8_t *to, const struct histogram *histogram)
{
	uint8_t *end = put_counts(to + HEAD_SIZE, histogram);
	uint64_t highest = histogram_bucket_highest(NS_BUCKETS - 1);
	double ratio = 1.0;
	uint64_t ratio_bits;

	memcpy(&ratio_bits, &ratio, sizeof ratio_bits);
	to = put_be(to, COOKIE, 4);
	to = put_be(to, (uint64_t)(end - to) - (HEAD_SIZE - 4), 4);
	to = put_be(to, 0, 4); /* normalizing index offset */
	to = put_be(to, SIGNIFICANT_DIGITS, 4);
	to = put_be(to, 1, 8); /* lowest discernible value */
	to = put_be(to, highest, 8);
	to = put_be(to, ratio_bits, 8);
	return HEAD_SIZE + (size_t)(end - to);
}

static uint32_t adler32(struct bytes bytes)
{
	uint32_t a = 1;
	uint32_t b = 0;

	for (size_t i = 0; i < bytes.size; i++) {
		a = (a + bytes.data[i]) % 65521;
		b = (b + a) % 65521;
	}
	return b << 16 | a;
}

/* RFC 1950 around blocks of RFC 1951 §3.2.4. */
static uint8_t *put_zlib(uint8_t *to, struct bytes bytes)
{
	struct bytes rest = bytes;

	to = put_be(to, 0x7801, 2);
	do {
		size_t size = rest.size < BLOCK_SIZE_MAX ? rest.size : BLOCK_SIZE_MAX;
		*to++ = size == rest.size; /* the last block */
		*to++ = (uint8_t)size;
		*to++ = (uint8_t)(size >> 8);
		*to++ = (uint8_t)~size;
		*to++ = (uint8_t)(~size >> 8);
		memcpy(to, rest.data, size);
		to += size;
		rest = bytes_from(rest, size);
	} while (rest.size > 0);
	return put_be(to, adler32(bytes), 4);
}

static struct bytes compress(uint8_t *to, struct bytes bytes)
{
	uint8_t *end = put_zlib(to + WRAP_HEAD_SIZE, bytes);

	put_be(to, COOKIE_COMPRESSED, 4);
	put_be(to + 4, (uint64_t)(end - to) - WRAP_HEAD_SIZE, 4);
	return bytes_of(to, (size_t)(end - to));
}

/* ---- The interval log ------------------------------------------------------------------------ */

void hdr_log_open(struct hdr_log *log, FILE *file, wall_t start)
{
	log->file = file;
	log->counts = alloc_array(COUNTS_SIZE_MAX, 1);
	log->compressed = alloc_array(COMPRESSED_SIZE_MAX, 1);
	log->text = alloc_array(base64_encoded_size(COMPRESSED_SIZE_MAX), 1);
	fprintf(file, "#[Logged by penstock-bench]\n#[Histogram log format version 1.3]\n");
	fprintf(file, "#[StartTime: %.3f (seconds since epoch)]\n", (double)start.us / 1e6);
	fprintf(file,
		"\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\","
		"\"Interval_Compressed_Histogram\"\n");
}

void hdr_log_close(struct hdr_log *log)
{
	alloc_free(log->counts);
	alloc_free(log->compressed);
	alloc_free(log->text);
}

void hdr_log_interval(struct hdr_log *log, const char *tag, double start_s, double length_s,
	const struct histogram *histogram)
{
	size_t size = encode(log->counts, histogram);
	CHECK(size <= COUNTS_SIZE_MAX);
	struct bytes compressed = compress(log->compressed, bytes_of(log->counts, size));
	CHECK(compressed.size <= COMPRESSED_SIZE_MAX);
	size_t text_size = base64_encode(compressed, log->text);

	fprintf(log->file, "Tag=%s,%.3f,%.3f,%.3f,", tag, start_s, length_s,
		(double)histogram->max_us / 1000);
	fwrite(log->text, 1, text_size, log->file);
	fputc('\n', log->file);
}

/* ---- The percentile distribution ------------------------------------------------------------- */

static void write_moments(FILE *to, const struct histogram *histogram)
{
	double sum = 0;
	double squares = 0;
	double count = (double)histogram->count;

	for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
		if (histogram->buckets[i] == 0) continue;
		double ms =
			((double)histogram_bucket_lowest(i) + (double)histogram_bucket_highest(i)) /
			2000;
		sum += ms * (double)histogram->buckets[i];
		squares += ms * ms * (double)histogram->buckets[i];
	}
	double mean = count > 0 ? sum / count : 0;
	double variance = count > 0 ? squares / count - mean * mean : 0;
	fprintf(to, "#[Mean    = %12.3f, StdDeviation   = %12.3f]\n", mean,
		sqrt(variance > 0 ? variance : 0));
	fprintf(to, "#[Max     = %12.3f, Total count    = %12" PRIu64 "]\n",
		(double)histogram->max_us / 1000, histogram->count);
	fprintf(to, "#[Buckets = %12d, SubBuckets     = %12d]\n",
		(HISTOGRAM_BUCKETS >> HISTOGRAM_SUB_BITS) - 1, 2 << HISTOGRAM_SUB_BITS);
}

static double bucket_ms(const struct histogram *histogram, uint32_t bucket)
{
	uint64_t us = histogram_bucket_highest(bucket);
	return (double)(us < histogram->max_us ? us : histogram->max_us) / 1000;
}

/* Five steps from each halving of the distance to 100 % to the next one. */
static double percentile_after(double percentile)
{
	double halvings = floor(log2(1 / (1 - percentile)));
	return percentile + 1 / (TICKS_PER_HALF_DISTANCE * exp2(halvings + 1));
}

void hdr_percentiles_write(FILE *to, const struct histogram *histogram)
{
	double percentile = 0;
	uint64_t seen = 0;

	fprintf(to, "       Value     Percentile TotalCount 1/(1-Percentile)\n\n");
	for (uint32_t i = 0; i < HISTOGRAM_BUCKETS && seen < histogram->count; i++) {
		if (histogram->buckets[i] == 0) continue;
		seen += histogram->buckets[i];
		double reached = (double)seen / (double)histogram->count;
		while (percentile <= reached && seen < histogram->count) {
			fprintf(to, "%12.3f %2.12f %10" PRIu64 " %14.2f\n", bucket_ms(histogram, i),
				percentile, seen, 1 / (1 - percentile));
			percentile = percentile_after(percentile);
		}
		if (seen == histogram->count) {
			fprintf(to, "%12.3f %2.12f %10" PRIu64 "\n", bucket_ms(histogram, i), 1.0,
				seen);
		}
	}
	write_moments(to, histogram);
}
