/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where wolfSSL's objects lie: those of connections close together, and used again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "tls/tls_internal.h"

#include <wolfssl/wolfcrypt/aes.h>

#include "base/alloc.h"
#include "base/check.h"
#include "bounds.h"

#ifdef __SANITIZE_ADDRESS__
enum { SHELVES_USED = false }; /* all is malloc()'s, which is watched */
#else
enum { SHELVES_USED = true };
#endif
enum { OBJECTS = 100, OVER = 10 };

static size_t sizes[] = { sizeof(Aes), 0 /* a connection's, known when it runs */ };

static int compare_addresses(const void *a, const void *b)
{
	uintptr_t first = (uintptr_t) * (void *const *)a;
	uintptr_t second = (uintptr_t) * (void *const *)b;
	return (first > second) - (first < second);
}

/* Whatever lies between them, they do not overlap. Sorts them. */
static void assert_apart(void **objects, size_t count, size_t size)
{
	qsort(objects, count, sizeof objects[0], compare_addresses);
	for (size_t i = 1; i < count; i++) {
		assert_true((uintptr_t)objects[i] - (uintptr_t)objects[i - 1] >= size);
	}
}

/* Other objects are allocated in between, as handshakes do. */
static void connections_lie_close_together(void **state)
{
	void *objects[OBJECTS];
	void *others[OBJECTS];

	(void)state;
	for (size_t kind = 0; kind < ARRAY_COUNT(sizes); kind++) {
		size_t size = sizes[kind];
		for (size_t i = 0; i < OBJECTS; i++) {
			objects[i] = tls_memory_take(size);
			others[i] = tls_memory_take(size + 1);
			assert_non_null(objects[i]);
			if (SHELVES_USED) assert_int_equal((uintptr_t)objects[i] % 64, 0);
			memset(objects[i], 0xff, size);
			memset(others[i], 0xff, size + 1);
		}
		assert_apart(objects, OBJECTS, size);
		size_t span = (size_t)((uint8_t *)objects[OBJECTS - 1] - (uint8_t *)objects[0]);
		/* A run may have begun elsewhere. */
		if (SHELVES_USED) assert_true(span < (size_t)OBJECTS * 2 * (size + 64));
		for (size_t i = 0; i < OBJECTS; i++) {
			tls_memory_free(objects[i]);
			tls_memory_free(others[i]);
		}
	}
}

static void what_is_freed_is_used_again(void **state)
{
	(void)state;
	if (!SHELVES_USED) skip();
	for (size_t kind = 0; kind < ARRAY_COUNT(sizes); kind++) {
		void *first = tls_memory_take(sizes[kind]);
		void *second = tls_memory_take(sizes[kind]);
		tls_memory_free(first);
		tls_memory_free(second);
		void *again[] = { tls_memory_take(sizes[kind]), tls_memory_take(sizes[kind]) };
		assert_ptr_equal(again[0], second);
		assert_ptr_equal(again[1], first);
		tls_memory_free(again[0]);
		tls_memory_free(again[1]);
	}
}

/* A buffer that happens to be as large: it moves, with what is in it. */
static void one_that_grows_moves(void **state)
{
	wolfSSL_Malloc_cb allocate;
	wolfSSL_Free_cb release;
	wolfSSL_Realloc_cb resize;

	(void)state;
	assert_int_equal(wolfSSL_GetAllocators(&allocate, &release, &resize), 0);
	for (size_t kind = 0; kind < ARRAY_COUNT(sizes); kind++) {
		size_t size = sizes[kind];
		uint8_t *object = allocate(size);
		memset(object, 0x5a, size);
		object = resize(object, 2 * size);
		assert_non_null(object);
		for (size_t i = 0; i < size; i++) assert_int_equal(object[i], 0x5a);
		memset(object, 0xa5, 2 * size);
		object = resize(object, size / 2);
		for (size_t i = 0; i < size / 2; i++) assert_int_equal(object[i], 0xa5);
		release(object);
	}
}

static void *free_and_take(void *object)
{
	tls_memory_free(object);
	return tls_memory_take(sizeof(Aes));
}

/* It goes to who has freed it. */
static void another_thread_may_free(void **state)
{
	pthread_t thread;
	void *found = NULL;

	(void)state;
	if (!SHELVES_USED) skip();
	void *object = tls_memory_take(sizeof(Aes));
	assert_int_equal(pthread_create(&thread, NULL, free_and_take, object), 0);
	assert_int_equal(pthread_join(thread, &found), 0);
	assert_ptr_equal(found, object);
	void *next = tls_memory_take(sizeof(Aes));
	assert_ptr_not_equal(next, object);
	tls_memory_free(next);
	tls_memory_free(found);
}

/* The last: it leaves the shelf full. Objects that nobody writes to cost addresses only. */
static void a_full_shelf_is_no_limit(void **state)
{
	const size_t on_shelf = (size_t)TLS_SHELF_CONNECTIONS * 2;

	(void)state;
	if (!SHELVES_USED) skip();
	void **objects = alloc_array(on_shelf + OVER, sizeof *objects);
	for (size_t i = 0; i < on_shelf + OVER; i++) {
		objects[i] = tls_memory_take(sizeof(Aes));
		assert_non_null(objects[i]);
	}
	for (size_t i = on_shelf; i < on_shelf + OVER; i++) {
		memset(objects[i], 0xff, sizeof(Aes));
		tls_memory_free(objects[i]);
	}
	assert_apart(objects, on_shelf, sizeof(Aes));
	alloc_free((void *)objects);
}

static int set_up(void **state)
{
	(void)state;
	sizes[1] = (size_t)wolfSSL_GetObjectSize();
	return tls_library_open() == RESULT_OK ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	tls_library_close();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(connections_lie_close_together),
		cmocka_unit_test(what_is_freed_is_used_again),
		cmocka_unit_test(one_that_grows_moves),
		cmocka_unit_test(another_thread_may_free),
		cmocka_unit_test(a_full_shelf_is_no_limit),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
