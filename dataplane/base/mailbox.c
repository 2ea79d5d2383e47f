/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/mailbox.h"

#include <stddef.h>

bool mailbox_push(struct mailbox *box, struct mail *mail)
{
	struct mail *newest = atomic_load_explicit(&box->newest, memory_order_relaxed);
	do {
		mail->next = newest;
	} while (!atomic_compare_exchange_weak_explicit(&box->newest, &newest, mail,
		memory_order_seq_cst, memory_order_relaxed));
	return newest == NULL;
}

struct mail *mailbox_take_all(struct mailbox *box)
{
	struct mail *newest = atomic_exchange_explicit(&box->newest, NULL, memory_order_seq_cst);

	/* The box is a stack; turn it round so that work is done in the order it was given. */
	struct mail *oldest = NULL;
	while (newest != NULL) {
		struct mail *next = newest->next;
		newest->next = oldest;
		oldest = newest;
		newest = next;
	}
	return oldest;
}

bool mailbox_empty(struct mailbox *box)
{
	return atomic_load_explicit(&box->newest, memory_order_seq_cst) == NULL;
}
