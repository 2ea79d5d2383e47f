/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "engine/loop.h"

#include "base/check.h"

/* Mail is looked for in every turn; being woken is enough. */
static void loop_woken(void *owner)
{
	struct loop *loop = owner;
	CHECK(loop->io != NULL);
}

enum result loop_open(struct loop *loop, const struct io_config *config)
{
	struct io_config own_config = *config;

	*loop = (struct loop){ 0 };
	list_init(&loop->tasks);
	own_config.woken = loop_woken;
	own_config.owner = loop;
	TRY(io_open(&own_config, &loop->io));
	timers_init(&loop->timers, io_mono(loop->io));
	return RESULT_OK;
}

void loop_close(struct loop *loop)
{
	CHECK(list_empty(&loop->tasks));
	CHECK(loop->timers.count == 0);
	io_close(loop->io);
	loop->io = NULL;
}

static void run_mail(struct loop *loop)
{
	if (mailbox_empty(&loop->mailbox)) return;

	struct mail *mail = mailbox_take_all(&loop->mailbox);
	while (mail != NULL) {
		/* Before the call: then the node is its owner's again. */
		struct mail *next = mail->next;
		loop->mail(loop->owner, mail);
		mail = next;
	}
}

static void run_tasks(struct loop *loop)
{
	struct list tasks;

	/* Only those that are there now: a task that defers itself runs in the next turn. */
	list_init(&tasks);
	list_splice(&tasks, &loop->tasks);
	for (struct list *node = list_pop(&tasks); node != NULL; node = list_pop(&tasks)) {
		struct task *task = LIST_ENTRY(node, struct task, node);
		task->run(task->owner);
	}
}

uint64_t loop_wait_us(struct loop *loop)
{
	if (!list_empty(&loop->tasks) || !mailbox_empty(&loop->mailbox)) return 0;
	return timers_wait_us(&loop->timers, loop_now(loop));
}

/* What came is known by the count of completions; mail and tasks are seen before the next wait. */
enum result loop_turn(struct loop *loop)
{
	uint64_t wait_us = loop_wait_us(loop);
	if (loop->rest != NULL) {
		uint64_t rest_us = loop->rest(loop->owner, wait_us > 0 && loop->looked);
		if (rest_us < wait_us) wait_us = rest_us;
	}
	uint64_t completions = io_statistics(loop->io).completions;
	TRY(io_turn(loop->io, wait_us));
	loop->looked = io_statistics(loop->io).completions == completions &&
		mailbox_empty(&loop->mailbox);
	run_mail(loop);
	timers_run(&loop->timers, loop_now(loop));
	run_tasks(loop);
	return RESULT_OK;
}

void task_init(struct task *task, void (*run)(void *owner), void *owner)
{
	*task = (struct task){ .run = run, .owner = owner };
	list_init(&task->node);
}

void loop_defer(struct loop *loop, struct task *task)
{
	if (!list_empty(&task->node)) return;
	list_append(&loop->tasks, &task->node);
}

void task_cancel(struct task *task)
{
	list_remove(&task->node);
}

void loop_post(struct loop *loop, struct mail *mail)
{
	/* Not only when the box was empty: what is in it may have been posted without. */
	mailbox_push(&loop->mailbox, mail);
	io_wake(loop->io);
}

void loop_post_followed(struct loop *loop, struct mail *mail)
{
	mailbox_push(&loop->mailbox, mail);
}
