/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mailbox — hands intrusive nodes from any thread to the one thread that owns the box.
 *
 * Bounded by construction: a node is embedded in its owner, so there are never more nodes
 * in the box than owners exist. The box does not wake anybody: that is up to who pushes, by the
 * owner's own means, and once is enough for several in a row.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>

struct mail {
	struct mail *next;
};

/* Mail that knows what to do with itself on arrival: what loops exchange. */
struct letter {
	struct mail mail;
	void (*open)(struct letter *letter); /* on the receiving thread */
};

struct mailbox {
	_Atomic(struct mail *) newest;
};

/* Any thread. Returns true when the box was empty, that is when the owner may have to be woken.
 * From here on the node belongs to the box. */
bool mailbox_push(struct mailbox *box, struct mail *mail);

/* Owner only. All that is in the box, oldest first, linked by `next`; NULL when empty. */
struct mail *mailbox_take_all(struct mailbox *box);

/* Owner only; a hint for deciding whether to sleep. */
bool mailbox_empty(struct mailbox *box);
