/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/mailbox.h"

enum { SENDERS = 4, PARCELS = 20000 };

struct parcel {
	struct mail mail;
	size_t sender;
	size_t number;
};

/* An empty box gives nothing; the first parcel into it asks for a wake, the next ones do not;
 * all come out together, oldest first. */
static void parcels_come_out_in_order(void **state)
{
	struct mailbox box = { 0 };
	struct mail first;
	struct mail second;
	struct mail third;
	(void)state;

	assert_true(mailbox_empty(&box));
	assert_null(mailbox_take_all(&box));

	assert_true(mailbox_push(&box, &first));
	assert_false(mailbox_empty(&box));
	assert_false(mailbox_push(&box, &second));
	assert_false(mailbox_push(&box, &third));

	assert_ptr_equal(mailbox_take_all(&box), &first);
	assert_ptr_equal(first.next, &second);
	assert_ptr_equal(second.next, &third);
	assert_null(third.next);
	assert_true(mailbox_empty(&box));

	/* A parcel that was taken may be sent again. */
	assert_true(mailbox_push(&box, &second));
	assert_ptr_equal(mailbox_take_all(&box), &second);
	assert_null(second.next);
}

static struct mailbox shared_box;
static struct parcel parcels[SENDERS][PARCELS];
static size_t wakes[SENDERS];

static void *send_all(void *argument)
{
	size_t sender = *(const size_t *)argument;

	for (size_t i = 0; i < PARCELS; i++) {
		struct parcel *parcel = &parcels[sender][i];
		parcel->sender = sender;
		parcel->number = i;
		if (mailbox_push(&shared_box, &parcel->mail)) wakes[sender]++;
	}
	return NULL;
}

/* From several threads at once: no parcel is lost or doubled, those of one sender stay in their
 * order, what the sender wrote is seen, and there is one wake for each time the box was
 * emptied, neither more nor less. */
static void threads_lose_no_parcel(void **state)
{
	pthread_t threads[SENDERS];
	size_t numbers[SENDERS];
	size_t expected[SENDERS] = { 0 };
	size_t received = 0;
	size_t emptied = 0;
	size_t wake_count = 0;
	(void)state;

	for (size_t i = 0; i < SENDERS; i++) {
		numbers[i] = i;
		assert_int_equal(pthread_create(&threads[i], NULL, send_all, &numbers[i]), 0);
	}
	while (received < (size_t)SENDERS * PARCELS) {
		struct mail *mail = mailbox_take_all(&shared_box);
		if (mail == NULL) {
			sched_yield();
			continue;
		}
		emptied++;
		for (; mail != NULL; mail = mail->next) {
			const struct parcel *parcel = CONTAINER_OF(mail, struct parcel, mail);
			assert_true(parcel->sender < SENDERS);
			assert_int_equal(parcel->number, expected[parcel->sender]);
			expected[parcel->sender]++;
			received++;
		}
	}
	for (size_t i = 0; i < SENDERS; i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		wake_count += wakes[i];
	}
	assert_true(mailbox_empty(&shared_box));
	assert_int_equal(wake_count, emptied);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parcels_come_out_in_order),
		cmocka_unit_test(threads_lose_no_parcel),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
