/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The order of a turn, deferred tasks, timers by the real clock, and mail from other threads. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>

#include "base/check.h"
#include "engine/loop.h"

enum { SENDERS = 4, MAILS_PER_SENDER = 25000 };

static const struct io_config config = { .sockets_max = 4, .buffer_count = 4, .buffer_size = 1024 };

struct test {
	struct loop loop;
	struct task task;
	struct task other_task;
	struct timer timer;
	struct mail mail;
	char order[8];
	unsigned count;
	unsigned again;
};

static void note(struct test *test, char what)
{
	CHECK(test->count < sizeof test->order - 1);
	test->order[test->count++] = what;
}

static void task_runs(void *owner)
{
	struct test *test = owner;

	note(test, 'k');
	if (test->again == 0) return;
	test->again--;
	loop_defer(&test->loop, &test->task);
}

static void timer_expires(void *owner)
{
	note(owner, 't');
}

static void mail_comes(void *owner, struct mail *mail)
{
	struct test *test = owner;

	CHECK(mail == &test->mail);
	note(test, 'm');
	loop_defer(&test->loop, &test->task);
}

static void open_test(struct test *test)
{
	*test = (struct test){ 0 };
	assert_int_equal(loop_open(&test->loop, &config), RESULT_OK);
	test->loop.mail = mail_comes;
	test->loop.owner = test;
	task_init(&test->task, task_runs, test);
	task_init(&test->other_task, task_runs, test);
	timer_init(&test->timer, timer_expires, test);
}

/* Mail comes before due timers, both before the tasks they deferred. */
static void loop_turn_order(void **state)
{
	struct test test;
	(void)state;

	open_test(&test);
	timer_start(&test.loop.timers, &test.timer, loop_now(&test.loop), 0);
	mono_t end = { .us = loop_now(&test.loop).us + 2 * TIMER_TICK_MS * US_PER_MS };
	/* Passes the time without running the timers. */
	while (loop_now(&test.loop).us < end.us) {
		assert_int_equal(io_turn(test.loop.io, 1000), RESULT_OK);
	}
	loop_post(&test.loop, &test.mail);
	assert_int_equal(loop_turn(&test.loop), RESULT_OK);
	assert_string_equal(test.order, "mtk");
	loop_close(&test.loop);
}

/* A task that defers itself runs once per turn, and those turns do not wait. */
static void loop_task_defers_itself(void **state)
{
	struct test test;
	(void)state;

	open_test(&test);
	test.again = 2;
	loop_defer(&test.loop, &test.task);
	loop_defer(&test.loop, &test.task);
	for (unsigned turn = 1; turn <= 3; turn++) {
		assert_true(loop_wait_us(&test.loop) == 0);
		assert_int_equal(loop_turn(&test.loop), RESULT_OK);
		assert_int_equal(test.count, turn);
	}
	assert_true(loop_wait_us(&test.loop) == UINT64_MAX);
	loop_close(&test.loop);
}

/* A cancelled task does not run; cancelling one that is not deferred is harmless. */
static void loop_task_cancel(void **state)
{
	struct test test;
	(void)state;

	open_test(&test);
	task_cancel(&test.task);
	loop_defer(&test.loop, &test.task);
	loop_defer(&test.loop, &test.other_task);
	task_cancel(&test.task);
	assert_int_equal(loop_turn(&test.loop), RESULT_OK);
	assert_int_equal(test.count, 1);
	loop_close(&test.loop);
}

/* By the real clock: never early. */
static void loop_timer_by_the_clock(void **state)
{
	struct test test;
	(void)state;

	open_test(&test);
	mono_t start = loop_now(&test.loop);
	timer_start(&test.loop.timers, &test.timer, start, 30 * US_PER_MS);
	unsigned turns = 0;
	while (test.count == 0) {
		assert_int_equal(loop_turn(&test.loop), RESULT_OK);
		turns++;
	}
	assert_true(mono_since_us(start, loop_now(&test.loop)) >= 30 * US_PER_MS);
	/* It slept; it did not spin. */
	assert_in_range(turns, 1, 5);
	loop_close(&test.loop);
}

struct numbered {
	struct mail mail;
	uint32_t sender;
	uint32_t number;
};

struct sender {
	struct loop *loop;
	uint32_t index;
	struct numbered letters[MAILS_PER_SENDER];
};

struct receiver {
	struct loop loop;
	uint32_t next[SENDERS];
	uint32_t count;
};

static void *send_letters(void *argument)
{
	struct sender *sender = argument;

	for (uint32_t i = 0; i < MAILS_PER_SENDER; i++) {
		sender->letters[i].sender = sender->index;
		sender->letters[i].number = i;
		loop_post(sender->loop, &sender->letters[i].mail);
	}
	return NULL;
}

static void letter_comes(void *owner, struct mail *mail)
{
	struct receiver *receiver = owner;
	struct numbered *numbered = CONTAINER_OF(mail, struct numbered, mail);

	CHECK(numbered->number == receiver->next[numbered->sender]);
	receiver->next[numbered->sender]++;
	receiver->count++;
}

/* 10^5 letters from four threads: none is lost, none is late, each thread's are in order. A
 * lost wake-up would hang here. */
static void loop_mail_from_threads(void **state)
{
	static struct sender senders[SENDERS];
	struct receiver receiver = { .count = 0 };
	pthread_t threads[SENDERS];
	(void)state;

	assert_int_equal(loop_open(&receiver.loop, &config), RESULT_OK);
	receiver.loop.mail = letter_comes;
	receiver.loop.owner = &receiver;
	for (uint32_t i = 0; i < SENDERS; i++) {
		senders[i].loop = &receiver.loop;
		senders[i].index = i;
		assert_int_equal(pthread_create(&threads[i], NULL, send_letters, &senders[i]), 0);
	}
	while (receiver.count < SENDERS * MAILS_PER_SENDER) {
		assert_int_equal(loop_turn(&receiver.loop), RESULT_OK);
	}
	for (uint32_t i = 0; i < SENDERS; i++) pthread_join(threads[i], NULL);
	loop_close(&receiver.loop);
}

struct resting {
	struct test test;
	uint64_t rest_us;
	unsigned asked;
	unsigned looked;
};

static uint64_t rest(void *owner, bool looked)
{
	struct resting *resting = CONTAINER_OF(owner, struct resting, test);

	resting->asked++;
	resting->looked += looked;
	return looked ? resting->rest_us : 0;
}

/* Before it waits it asks; told to look first, it does, and says so when it asks again. */
static void loop_asks_before_it_rests(void **state)
{
	struct resting resting = { .rest_us = 2000 };
	struct test *test = &resting.test;
	(void)state;

	open_test(test);
	test->loop.rest = rest;
	/* Arming the wake-up may come with a completion of its own. */
	while (resting.looked == 0) assert_int_equal(loop_turn(&test->loop), RESULT_OK);
	/* Nothing but its answer ends the wait. */
	assert_int_equal(loop_turn(&test->loop), RESULT_OK);
	assert_int_equal(resting.looked, 2);

	/* With something to do it asks, too, or who never rests would not be asked: but it has not
	 * looked. */
	unsigned asked = resting.asked;
	loop_defer(&test->loop, &test->task);
	assert_int_equal(loop_turn(&test->loop), RESULT_OK);
	assert_int_equal(resting.asked, asked + 1);
	assert_int_equal(resting.looked, 2);
	loop_close(&test->loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(loop_turn_order),
		cmocka_unit_test(loop_task_defers_itself),
		cmocka_unit_test(loop_task_cancel),
		cmocka_unit_test(loop_asks_before_it_rests),
		cmocka_unit_test(loop_timer_by_the_clock),
		cmocka_unit_test(loop_mail_from_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
