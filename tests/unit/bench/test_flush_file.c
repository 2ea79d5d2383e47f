/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is said to be flushed has been written, in order and round and round; what a disk refused is
 * never said to be. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <sys/stat.h>

#include <cmocka.h>

#include "lib/folder.h"

/* The programs' own sources are in no library. */
#include "../../../bench/flush_file.c"

static const struct io_config config = { .sockets_max = 4, .buffer_count = 4, .buffer_size = 1024 };
static struct loop loop;
static struct flush_file file;
static unsigned kept_count, refused_count;
static char folder[FOLDER_PATH_SIZE];

static void open_mail(void *owner, struct mail *mail)
{
	struct letter *letter = CONTAINER_OF(mail, struct letter, mail);

	(void)owner;
	letter->open(letter);
}

static void flushed(void *owner, bool kept)
{
	assert_ptr_equal(owner, &kept_count);
	assert_false(flush_file_busy(&file));
	kept_count += kept;
	refused_count += !kept;
}

static int set_up(void **state)
{
	(void)state;
	kept_count = refused_count = 0;
	folder_make(folder);
	assert_int_equal(loop_open(&loop, &config), RESULT_OK);
	loop.mail = open_mail;
	return flush_file_open(&file, folder, &loop, flushed, &kept_count) == RESULT_OK ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	flush_file_close(&file);
	loop_close(&loop);
	folder_remove(folder);
	return 0;
}

static void flush(void)
{
	flush_file_begin(&file);
	while (flush_file_busy(&file)) assert_int_equal(loop_turn(&loop), RESULT_OK);
}

static void assert_written(uint64_t position, const char *text)
{
	static _Alignas(FLUSH_FILE_PAGE) char page[FLUSH_FILE_PAGE];

	assert_int_equal(pread(file.fd, page, sizeof page, (off_t)position), sizeof page);
	assert_string_equal(page, text);
}

static void test_batches_follow_one_another(void **state)
{
	struct stat status;

	(void)state;
	assert_true(flush_file_add(&file, BYTES_LITERAL("one ")));
	assert_true(flush_file_add(&file, BYTES_LITERAL("two")));
	flush();
	assert_written(0, "one two");
	/* The buffers take turns. */
	for (unsigned i = 1; i <= 3; i++) {
		char text[8];
		snprintf(text, sizeof text, "<%u>", i);
		assert_true(flush_file_add(&file, bytes_of_text(text)));
		assert_true(flush_file_add(&file, BYTES_LITERAL("\0")));
		flush();
		assert_written((uint64_t)i * FLUSH_FILE_PAGE, text);
	}
	assert_int_equal(kept_count, 4);
	assert_int_equal(refused_count, 0);
	assert_int_equal(fstat(file.fd, &status), 0);
	assert_int_equal(status.st_size, FLUSH_FILE_SIZE);
	assert_int_equal(status.st_nlink, 0);
}

static void test_gathered_while_one_is_flushed(void **state)
{
	(void)state;
	assert_true(flush_file_add(&file, BYTES_LITERAL("first")));
	flush_file_begin(&file);
	assert_true(flush_file_busy(&file));
	assert_true(flush_file_add(&file, BYTES_LITERAL("second")));
	while (flush_file_busy(&file)) assert_int_equal(loop_turn(&loop), RESULT_OK);
	assert_int_equal(kept_count, 1);
	assert_written(FLUSH_FILE_PAGE, "");
	flush();
	assert_written(0, "first");
	assert_written(FLUSH_FILE_PAGE, "second");
}

static void test_a_full_batch_and_the_end_of_the_file(void **state)
{
	struct bytes half = { .data = alloc_map(FLUSH_FILE_BATCH / 2),
		.size = FLUSH_FILE_BATCH / 2 };

	(void)state;
	/* Three quarters of the file, so that the next does not fit behind them. */
	for (unsigned i = 0; i < 3; i++) {
		assert_true(flush_file_add(&file, half));
		flush();
	}
	assert_true(flush_file_add(&file, half));
	assert_true(flush_file_add(&file, half));
	assert_false(flush_file_add(&file, BYTES_LITERAL("x")));
	flush();
	assert_int_equal(file.position, FLUSH_FILE_BATCH);
	assert_true(flush_file_add(&file, BYTES_LITERAL("x")));
	flush();
	assert_written(FLUSH_FILE_BATCH, "x");
	alloc_unmap((uint8_t *)(uintptr_t)half.data, half.size);
}

/* Refused once, refused for good, whatever the disk says later. */
static void test_a_disk_that_refuses(void **state)
{
	int good = dup(file.fd);
	int bad = open("/dev/full", O_WRONLY | O_CLOEXEC);

	(void)state;
	assert_true(good >= 0 && bad >= 0);
	assert_int_equal(dup2(bad, file.fd), file.fd);
	assert_true(flush_file_add(&file, BYTES_LITERAL("lost")));
	flush();
	assert_int_equal(refused_count, 1);
	assert_int_equal(dup2(good, file.fd), file.fd);
	assert_true(flush_file_add(&file, BYTES_LITERAL("not asked")));
	flush();
	assert_int_equal(refused_count, 2);
	assert_int_equal(kept_count, 0);
	assert_written(0, "");
	close(good);
	close(bad);
}

static void test_a_folder_that_takes_no_file(void **state)
{
	static struct flush_file other;

	(void)state;
	assert_int_equal(flush_file_open(&other, "/nonexistent", &loop, flushed, NULL),
		RESULT_DISK);
	assert_int_equal(errno, ENOENT);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_batches_follow_one_another),
		TEST(test_gathered_while_one_is_flushed),
		TEST(test_a_full_batch_and_the_end_of_the_file),
		TEST(test_a_disk_that_refuses),
		TEST(test_a_folder_that_takes_no_file),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
