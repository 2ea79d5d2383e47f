/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A secret comes out of a file that nobody else can read, or not at all; its memory is locked,
 * stays out of core dumps and is empty afterwards. */
#include "secrets/secret.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/check.h"

static char folder[] = "/tmp/penstock-secret-XXXXXX";
static char path[sizeof folder + 16];

static int make_folder(void **state)
{
	(void)state;
	if (mkdtemp(folder) == NULL) return -1;
	return snprintf(path, sizeof path, "%s/secret", folder) > 0 ? 0 : -1;
}

static int remove_folder(void **state)
{
	(void)state;
	(void)unlink(path);
	return rmdir(folder);
}

static void write_file(const char *text, size_t size, mode_t mode)
{
	(void)unlink(path);
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, size), (ssize_t)size);
	assert_int_equal(fchmod(fd, mode), 0);
	assert_int_equal(close(fd), 0);
}

static void test_one_newline_is_dropped_and_nothing_else(void **state)
{
	static const struct {
		const char *content;
		const char *secret; /* NULL: malformed */
	} cases[] = {
		{ "secret", "secret" },
		{ "secret\n", "secret" },
		{ " secret \n", " secret " },
		{ "h\xc3\xa9 \xe2\x82\xac\n", "h\xc3\xa9 \xe2\x82\xac" },
		{ "", NULL },
		{ "\n", NULL },
		{ "secret\n\n", NULL },
		{ "secret\r\n", NULL },
		{ "first\nsecond\n", NULL },
		{ "a\tb", NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		struct secret *secret = NULL;
		write_file(cases[i].content, strlen(cases[i].content), 0600);
		enum result result = secret_load_file(path, &secret);
		if (cases[i].secret == NULL) {
			assert_int_equal(result, RESULT_MALFORMED);
			assert_null(secret);
			continue;
		}
		assert_int_equal(result, RESULT_OK);
		assert_true(bytes_equal(secret_bytes(secret), bytes_of_text(cases[i].secret)));
		secret_free(secret);
	}
}

/* The group may read when it is root's or our own; another group or the world may not. */
static void test_who_else_may_read_decides(void **state)
{
	static const struct {
		mode_t mode;
		enum result wanted;
	} cases[] = {
		{ 0600, RESULT_OK },
		{ 0400, RESULT_OK },
		{ 0700, RESULT_OK },
		{ 0440, RESULT_OK },
		{ 0660, RESULT_OK },
		{ 0604, RESULT_PERMISSION },
		{ 0602, RESULT_PERMISSION },
		{ 0644, RESULT_PERMISSION },
		{ 0666, RESULT_PERMISSION },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		struct secret *secret = NULL;
		write_file("secret", 6, cases[i].mode);
		assert_int_equal(chown(path, (uid_t)-1, getegid()), 0);
		assert_int_equal(secret_load_file(path, &secret), cases[i].wanted);
		secret_free(secret);
	}
	if (geteuid() != 0) return; /* only root can give a file to a foreign group */
	struct secret *secret = NULL;
	write_file("secret", 6, 0640);
	assert_int_equal(chown(path, (uid_t)-1, getegid() + 4242), 0);
	assert_int_equal(secret_load_file(path, &secret), RESULT_PERMISSION);
	write_file("secret", 6, 0620);
	assert_int_equal(chown(path, (uid_t)-1, getegid() + 4242), 0);
	assert_int_equal(secret_load_file(path, &secret), RESULT_PERMISSION);
}

static void test_what_is_no_file_is_refused(void **state)
{
	struct secret *secret = NULL;
	char missing[sizeof path + 8];

	(void)state;
	assert_true(snprintf(missing, sizeof missing, "%s/none", folder) > 0);
	assert_int_equal(secret_load_file(missing, &secret), RESULT_NOT_FOUND);
	assert_int_equal(secret_load_file(folder, &secret), RESULT_PERMISSION);
	assert_int_equal(secret_load_file("/dev/null", &secret), RESULT_PERMISSION);

	/* A pipe that nobody writes to must not hang us. */
	(void)unlink(path);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(secret_load_file(path, &secret), RESULT_PERMISSION);
	assert_null(secret);
}

static void test_the_longest_secret(void **state)
{
	static char text[SECRET_SIZE_MAX + 3];
	struct secret *secret = NULL;

	(void)state;
	memset(text, 'x', sizeof text);
	text[SECRET_SIZE_MAX] = '\n';
	write_file(text, SECRET_SIZE_MAX + 1, 0600);
	assert_int_equal(secret_load_file(path, &secret), RESULT_OK);
	assert_int_equal(secret_bytes(secret).size, SECRET_SIZE_MAX);
	secret_free(secret);

	secret = NULL;
	text[SECRET_SIZE_MAX] = 'x';
	for (size_t size = SECRET_SIZE_MAX + 1; size <= sizeof text; size++) {
		write_file(text, size, 0600);
		assert_int_equal(secret_load_file(path, &secret), RESULT_FULL);
	}
	assert_int_equal(secret_create(bytes_of(text, sizeof text), &secret), RESULT_FULL);
	assert_int_equal(secret_create(BYTES_EMPTY, &secret), RESULT_MALFORMED);
	assert_null(secret);
}

static void test_equality(void **state)
{
	struct secret *secret = NULL;
	(void)state;
	assert_int_equal(secret_create(BYTES_LITERAL("token"), &secret), RESULT_OK);
	assert_true(secret_equals(secret, BYTES_LITERAL("token")));
	assert_false(secret_equals(secret, BYTES_LITERAL("Token")));
	assert_false(secret_equals(secret, BYTES_LITERAL("toke")));
	assert_false(secret_equals(secret, BYTES_LITERAL("tokens")));
	assert_false(secret_equals(secret, BYTES_EMPTY));
	secret_free(secret);
	secret_free(NULL);
}

/* A freed block is used again for the next secret of its size, and holds nothing of the old. */
static void test_freed_memory_is_wiped(void **state)
{
	struct secret *first = NULL;
	struct secret *second = NULL;
	(void)state;
	assert_int_equal(secret_create(BYTES_LITERAL("0123456789abcdef0123"), &first), RESULT_OK);
	const uint8_t *old = secret_bytes(first).data;
	secret_free(first);
	assert_int_equal(secret_create(BYTES_LITERAL("x"), &second), RESULT_OK);
	assert_ptr_equal(secret_bytes(second).data, old);
	for (size_t i = 1; i < 20; i++) assert_int_equal(old[i], 0);
	secret_free(second);
}

/* Does the mapping that holds `address` have that flag ("lo": locked, "dd": not dumped)? */
static bool mapping_has(const void *address, const char *flag)
{
	char line[512];
	char wanted[8];
	bool inside = false;
	bool found = false;
	FILE *maps = fopen("/proc/self/smaps", "r");

	assert_non_null(maps);
	assert_true(snprintf(wanted, sizeof wanted, " %s ", flag) > 0);
	while (fgets(line, sizeof line, maps) != NULL) {
		char *end = NULL;
		unsigned long from = strtoul(line, &end, 16);
		if (*end == '-') {
			unsigned long to = strtoul(end + 1, NULL, 16);
			inside = (unsigned long)address >= from && (unsigned long)address < to;
		} else if (inside && strncmp(line, "VmFlags:", 8) == 0) {
			found = strstr(line, wanted) != NULL;
		}
	}
	assert_int_equal(fclose(maps), 0);
	return found;
}

static void test_memory_is_locked_and_not_dumped(void **state)
{
	struct secret *secret = NULL;
	(void)state;
	assert_int_equal(secret_create(BYTES_LITERAL("secret"), &secret), RESULT_OK);
	assert_true(mapping_has(secret_bytes(secret).data, "dd"));
	/* A host may forbid locking: then it is said. Sanitizers make mlock() do nothing. */
#ifndef __SANITIZE_ADDRESS__
	assert_true(mapping_has(secret_bytes(secret).data, "lo") || secret_unlocked_size() > 0);
#endif
	secret_free(secret);
}

/* Tens of thousands of secrets are a few locked regions, not a page each, and all are there. */
static void test_many_secrets(void **state)
{
	enum { COUNT = 20000 };
	static struct secret *secrets[COUNT];
	char text[32];

	(void)state;
	for (int i = 0; i < COUNT; i++) {
		assert_true(snprintf(text, sizeof text, "secret number %d", i) > 0);
		assert_int_equal(secret_create(bytes_of_text(text), &secrets[i]), RESULT_OK);
	}
	for (int i = 0; i < COUNT; i++) {
		assert_true(snprintf(text, sizeof text, "secret number %d", i) > 0);
		assert_true(secret_equals(secrets[i], bytes_of_text(text)));
		secret_free(secrets[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_newline_is_dropped_and_nothing_else),
		cmocka_unit_test(test_who_else_may_read_decides),
		cmocka_unit_test(test_what_is_no_file_is_refused),
		cmocka_unit_test(test_the_longest_secret),
		cmocka_unit_test(test_equality),
		cmocka_unit_test(test_freed_memory_is_wiped),
		cmocka_unit_test(test_memory_is_locked_and_not_dumped),
		cmocka_unit_test(test_many_secrets),
	};
	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
