/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/list.h"

struct item {
	char name;
	struct list link;
};

static struct item a = { .name = 'a' };
static struct item b = { .name = 'b' };
static struct item c = { .name = 'c' };
static struct item d = { .name = 'd' };

/* The list is in that order, forwards and backwards. */
static void expect_order(const struct list *head, const char *names)
{
	const struct list *node = head;
	for (size_t i = 0; i < strlen(names); i++) {
		assert_ptr_equal(node->next->previous, node);
		node = node->next;
		assert_int_equal(LIST_ENTRY(node, struct item, link)->name, names[i]);
	}
	assert_ptr_equal(node->next, head);
	assert_ptr_equal(head->previous, node);
	assert_int_equal(list_empty(head), names[0] == '\0');
}

static int set_up(void **state)
{
	(void)state;
	list_init(&a.link);
	list_init(&b.link);
	list_init(&c.link);
	list_init(&d.link);
	return 0;
}

/* A new list is empty, and nothing can be taken from it. */
static void new_list_is_empty(void **state)
{
	struct list head;
	(void)state;

	list_init(&head);
	expect_order(&head, "");
	assert_null(list_pop(&head));
	expect_order(&head, "");
}

/* A node goes to the end, to the front, or before another. */
static void nodes_are_put_in(void **state)
{
	struct list head;
	(void)state;

	list_init(&head);
	list_append(&head, &b.link);
	list_append(&head, &d.link);
	list_prepend(&head, &a.link);
	list_insert_before(&d.link, &c.link);
	expect_order(&head, "abcd");
}

/* A node is taken out from anywhere, and once more without harm. */
static void nodes_are_taken_out(void **state)
{
	struct list head;
	(void)state;

	list_init(&head);
	list_append(&head, &a.link);
	list_append(&head, &b.link);
	list_append(&head, &c.link);
	list_append(&head, &d.link);
	list_remove(&b.link);
	expect_order(&head, "acd");
	list_remove(&b.link);
	expect_order(&head, "acd");
	list_remove(&d.link);
	expect_order(&head, "ac");
	assert_ptr_equal(list_pop(&head), &a.link);
	assert_true(list_empty(&a.link));
	assert_ptr_equal(list_pop(&head), &c.link);
	assert_null(list_pop(&head));
	expect_order(&head, "");
}

/* A splice moves all nodes to the end and leaves the other list empty and usable. */
static void lists_are_spliced(void **state)
{
	struct list to;
	struct list from;
	(void)state;

	list_init(&to);
	list_init(&from);
	list_splice(&to, &from);
	expect_order(&to, "");

	list_append(&from, &a.link);
	list_splice(&to, &from);
	expect_order(&to, "a");
	expect_order(&from, "");

	list_append(&from, &b.link);
	list_append(&from, &c.link);
	list_splice(&to, &from);
	expect_order(&to, "abc");
	list_splice(&to, &from);
	expect_order(&to, "abc");

	list_append(&from, &d.link);
	expect_order(&from, "d");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(new_list_is_empty, set_up),
		cmocka_unit_test_setup(nodes_are_put_in, set_up),
		cmocka_unit_test_setup(nodes_are_taken_out, set_up),
		cmocka_unit_test_setup(lists_are_spliced, set_up),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
