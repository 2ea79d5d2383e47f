/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Runs a fuzz target without libFuzzer: on the files and the files of the directories named,
 * and then, with -runs=N, on N random mutations of them.
 *
 * The seed is fixed, so that two runs do the same; looking for what is new is libFuzzer's work.
 * Other arguments that start with "-" are left to libFuzzer and ignored.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/check.h"
#include "base/random.h"

enum {
	INPUT_SIZE_MAX = 1 << 16,
	SEEDS_MAX = 4096,
	MUTATIONS_MAX = 8, /* of one input, one after another */
};

struct input {
	uint8_t *data;
	size_t size;
};

static struct input seeds[SEEDS_MAX];
static size_t seed_count;
static size_t run_count;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* In memory of just its size, so that a sanitizer sees a byte read too far. */
static void run(const uint8_t *data, size_t size)
{
	uint8_t *copy = alloc_array(size, 1);
	if (size > 0) memcpy(copy, data, size);
	CHECK(LLVMFuzzerTestOneInput(copy, size) == 0);
	alloc_free(copy);
	run_count++;
}

static int run_file(const char *path)
{
	static uint8_t content[INPUT_SIZE_MAX];

	FILE *file = fopen(path, "rb");
	if (file == NULL) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return 1;
	}
	size_t size = fread(content, 1, sizeof content, file);
	fclose(file);

	run(content, size);
	if (seed_count < SEEDS_MAX) {
		struct input *seed = &seeds[seed_count++];
		seed->data = alloc_array(size, 1);
		seed->size = size;
		if (size > 0) memcpy(seed->data, content, size);
	}
	return 0;
}

static int run_directory(const char *path)
{
	struct dirent **entries;
	int failed = 0;

	int count = scandir(path, &entries, NULL, alphasort);
	if (count < 0) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return 1;
	}
	for (int i = 0; i < count; i++) {
		char name[4096];
		int size = snprintf(name, sizeof name, "%s/%s", path, entries[i]->d_name);
		if (entries[i]->d_name[0] != '.' && size > 0 && (size_t)size < sizeof name) {
			failed |= run_file(name);
		}
		free(entries[i]);
	}
	free(entries);
	return failed;
}

static int run_path(const char *path)
{
	struct stat status;

	if (stat(path, &status) == 0 && S_ISDIR(status.st_mode)) return run_directory(path);
	return run_file(path);
}

/* Bytes that mean something in one of the formats we read. */
static uint8_t interesting_byte(struct random *random)
{
	static const char bytes[] = "\r\n \t\0:;,=\"\\/?#%@[]{}+-.0159aAfFxX\x7f\x80\xff";
	return (uint8_t)bytes[random_below(random, sizeof bytes - 1)];
}

static void overwrite(struct random *random, struct input *input, size_t at)
{
	uint64_t how = random_below(random, 3);

	if (how == 0) input->data[at] = interesting_byte(random);
	if (how == 1) input->data[at] = (uint8_t)random_u64(random);
	if (how == 2) input->data[at] ^= (uint8_t)(1u << random_below(random, 8));
}

/* Makes room for `size` bytes at `at`, as far as there is room. Returns what there is. */
static size_t open_gap(struct input *input, size_t at, size_t size)
{
	if (size > INPUT_SIZE_MAX - input->size) size = INPUT_SIZE_MAX - input->size;
	memmove(input->data + at + size, input->data + at, input->size - at);
	input->size += size;
	return size;
}

static void insert_piece(struct random *random, struct input *input, size_t at)
{
	const struct input *other = &seeds[random_below(random, seed_count)];
	if (other->size == 0) return;

	size_t from = (size_t)random_below(random, other->size);
	size_t size = (size_t)random_below(random, other->size - from + 1);
	size = open_gap(input, at, size);
	memcpy(input->data + at, other->data + from, size);
}

static void mutate(struct random *random, struct input *input)
{
	size_t at = (size_t)random_below(random, input->size + 1);
	size_t rest = input->size - at;

	switch (random_below(random, 6)) {
	case 0: /* drop the end */ input->size = at; return;
	case 1: /* drop a piece */
		if (rest == 0) return;
		size_t drop = 1 + (size_t)random_below(random, rest < 16 ? rest : 16);
		if (drop > rest) drop = rest;
		memmove(input->data + at, input->data + at + drop, rest - drop);
		input->size -= drop;
		return;
	case 2: /* put a byte in */
		if (open_gap(input, at, 1) == 1) input->data[at] = interesting_byte(random);
		return;
	case 3: /* put a piece of some seed in */ insert_piece(random, input, at); return;
	default:
		if (rest > 0) overwrite(random, input, at);
		return;
	}
}

static void run_mutations(uint64_t runs)
{
	static uint8_t memory[INPUT_SIZE_MAX];
	struct random random = { .state = 1 };

	if (seed_count == 0) {
		seeds[0].data = alloc_array(1, 1);
		seed_count = 1;
	}
	for (uint64_t i = 0; i < runs; i++) {
		const struct input *seed = &seeds[random_below(&random, seed_count)];
		struct input input = { .data = memory, .size = seed->size };
		memcpy(memory, seed->data, seed->size);
		uint64_t mutations = 1 + random_below(&random, MUTATIONS_MAX);
		for (uint64_t j = 0; j < mutations; j++) mutate(&random, &input);
		run(input.data, input.size);
	}
}

int main(int argc, char **argv)
{
	uint64_t runs = 0;
	int failed = 0;

	for (int i = 1; i < argc; i++) {
		if (strncmp(argv[i], "-runs=", 6) == 0) {
			runs = strtoull(argv[i] + 6, NULL, 10);
		} else if (argv[i][0] != '-') {
			failed |= run_path(argv[i]);
		}
	}
	run_mutations(runs);

	for (size_t i = 0; i < seed_count; i++) alloc_free(seeds[i].data);
	printf("%s: %zu inputs, ok\n", argv[0], run_count);
	return failed;
}
