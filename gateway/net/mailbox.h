/* SPDX-License-Identifier: Apache-2.0 */
/* mailbox.h - messages to another thread's loop.  Any thread posts; the owner's loop delivers, in order of posting.
 * A lock-free stack and an eventfd that is written only when the box was empty. */
#pragma once

#include "net/loop.h"

/* One message, embedded in what it carries.  Belongs to the box from post until deliver. */
struct mail {
    struct mail *next;
    void (*deliver)(struct mail *mail); /* on the owner's thread */
};

struct mailbox;

MUST_CHECK enum status mailbox_new(struct loop *loop, struct mailbox **out);
/* Undelivered mail is delivered first.  Nobody may post any more, and no mail may free the box it came by. */
void mailbox_free(struct mailbox **box);
void mailbox_post(struct mailbox *box, struct mail *mail);
