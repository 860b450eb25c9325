/* SPDX-License-Identifier: Apache-2.0 */
/* redis_scripts.h - what runs inside Redis.  All keys of a call carry the bucket's hash tag.
 *
 * A ledger mg:{b}:h is a sorted set of holds.  A member (token, see redis_token.h) packs what never changes: whose, how
 * many images, and what each limit was charged.  The score is what changes: the expiry in seconds since 2020, plus 2^30
 * once committed.  So commit is a plain ZADD XX, and a settle of all that was held a plain ZREM.
 *
 * Rows are hashes from 5 bytes of a subject to its value; the key ends in a letter and five digits in base 36:
 *
 *   c w m   images of a day, week, month: granted * 2^24 + used      C W M   credits: granted * 2^32 + used (thousandths)
 *   g       RATE: the TAT, in microseconds since the segment began   r R     ROLLING: the newest slot, then 13 counts
 *
 * Grants until a date are kept in mg:{b}:x, by a subject's 5 bytes and the letter of the row: until when, u48, and how
 * many, u48.  A row that is not there yet begins with them.
 *
 * A row of g, r, R lies in the segment of time that the digits number; it is looked for in the one before, too.
 *
 * Tombstones mg:{b}:t are a sorted set of tokens that have left the ledger otherwise than by being settled in time.  The
 * score is when (seconds since 2020): as it is where all was given back; plus 2^30 where the charge was kept; plus 2^31
 * where somebody has come late, and done what was to be done.  They last an hour.
 *
 *   ROWS    RESERVE where all limits are calendar limits for images of the ledger's own subject.
 *           ledger, row a limit; token, score, images, facts: u8 task, i32 reap up to this score, u16 images; then for
 *           each limit u48 images allowed, u48 when its row expires (0: its hash does, and the bucket keeps no grants; see redis_rows.c).
 *   LIMITS  RESERVE with any limits.
 *           ledger, one or two rows a limit; token, score, images, the plan (redis_plan.h).
 *   RESERVES  RESERVE for several accounts with the same common plan, or one calendar limit; their hashes will stay, and
 *           their buckets keep no grants.  A ledger and the plan's rows an account; score, facts; then a token an account.
 *   AMEND   Inspects or amends; the same arguments, and until when a grant stands (Unix seconds; 0: in this window alone).
 *   SETTLE  ledger, rows; token, images to give back, now (microseconds).  Replies 1, or 0 where it is gone.
 *   SHARE   a row of the service; see redis_service.c.
 *   REVIVE  A commit or settle of what is gone, done all the same, once: whoever finds the tombstone does it.
 *           ledger, tombstones, rows; token, score, now, when the rows expire, force (0 or 1), images used (-1: commit).
 *           It is charged as it should be, over the limit if need be; what is committed is held again.  Without a trace
 *           (it was done; or Redis has lost it) it is done where forced alone.  Replies 1 where it is as it should be now,
 *           0 where nothing was to be done.
 *
 * ROWS, LIMITS and AMEND reply a list: 0 (held, or done), the 1-based limit that refuses, or -3 (much has expired: ask again);
 * the limits on trial that would have refused, as bits; where one refuses, the images held by its subject, else the limits
 * whose hash has been seen to, while the bucket keeps no grants until a date, as bits; and the row of each limit: with the
 * charge where held, else without.
 *
 * What is held may also be told by one number, where there is no more to tell.  By ROWS with one limit: its row.  By LIMITS
 * with a common plan: images in flight beside these * 2^24, plus the calendar limit's row; nothing is granted there, and
 * the RATE was idle.
 *
 * RESERVES replies a list of what these would reply, or of -3: it may be refused, or is held already; ask for it alone.
 * One limit may also refuse at once, where nothing is held in the bucket: -4 less its row.
 * Only in its calls are keys of several buckets, so it is not for a Cluster. */
#pragma once

enum redis_script {
    SCRIPT_ROWS,
    SCRIPT_LIMITS,
    SCRIPT_AMEND,
    SCRIPT_SETTLE,
    SCRIPT_REVIVE,
    SCRIPT_SHARE,
    SCRIPT_RESERVES,
    SCRIPTS
};

/* What ROWS, LIMITS and AMEND are to do. */
enum redis_task {
    TASK_RESERVE,
    TASK_REAP_AND_RESERVE,
    TASK_RESERVE_LATE, /* with a committed score: of a hold that may have ended */
    TASK_INSPECT,
    TASK_GRANT,
    TASK_SET_USED,
    TASK_RESET
};

extern const char redis_settle_source[], redis_revive_source[]; /* redis_scripts_end.c */
extern const char redis_share_source[];                         /* redis_service.c */
/* What a link loads, in the order of enum redis_script. */
extern const char *const redis_script_sources[SCRIPTS];
