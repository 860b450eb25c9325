/* SPDX-License-Identifier: Apache-2.0 */
/* outbox.h - commits and settles that Redis has not confirmed and could not be sent, kept on disk so that a gateway that
 * is killed meanwhile loses none of them.
 *
 * Each worker appends to a file of its own, which it holds locked; what a process that died left behind is taken over by
 * the next that opens the folder.  Records are fixed-size with a checksum; one that was cut short ends the file.  A record
 * is in the kernel's hands when outbox_add() returns: that outlives the process, though not the machine. */
#pragma once

#include "quota/redis_token.h"

/* COMMITTED holds, or SETTLED with so many images used. */
enum outbox_kind { OUTBOX_NONE, OUTBOX_COMMIT, OUTBOX_SETTLE, OUTBOX_SENT };

struct outbox_record {
    struct hold_handle handle;
    int64_t expires_us;   /* of a commit */
    int64_t row_expiry_s; /* should the charge have to be made again */
    int64_t used_images;  /* of a settle */
    uint32_t kind;
    uint16_t
        charges_if_gone; /* the hold was not committed before: if it expired meanwhile, charge anew */
    uint16_t was_sent;   /* perhaps Redis has done it already: being gone proves nothing */
};

struct outbox;

/* Makes the folder, and this worker's file in it; hands every record left behind to take, in order, with was_sent as it is
 * known, and keeps them in the new file.  ST_OK, or ST_UNAVAILABLE with the reason. */
MUST_CHECK enum status outbox_open(const char *folder,
                                   void (*take)(void *owner, const struct outbox_record *record),
                                   void *owner, struct text_out *error, struct outbox **out);
/* False when it could not be written (logged when that begins). */
bool outbox_add(struct outbox *outbox, const struct outbox_record *record);
/* All that is in it now is about to be sent. */
void outbox_mark_sent(struct outbox *outbox);
/* Nothing in it is needed any more. */
void outbox_clear(struct outbox *outbox);
/* Leaves the file behind if there is anything in it. */
void outbox_close(struct outbox **outbox);
