/* SPDX-License-Identifier: Apache-2.0 */
/* quota.pml - the quota protocol as a model, in Promela.  Spin tries every order in which its steps can happen.
 *
 * How to read Promela.  A proctype is a process; all run at once, one step at a time, in every possible order.
 * "do :: a -> b :: c -> d od" is a loop: of the options whose first statement can be executed now, any one is taken.  A
 * bare condition waits until it is true.  atomic { } and d_step { } are done as one step; inline is a macro; a chan is a
 * queue, to!x puts x in and from?x takes it out.  assert(x): Spin shows the steps that lead to its being false.
 *
 * The world: GATEWAYS gateways, each with REQUESTS requests one after the other, all of one account with a quota of LIMIT
 * images a window, and where PARTS is 2 of one team, whose quota of TEAM_LIMIT is the second part of each reservation.  A
 * request asks for 1..ASK images, the backend makes 0..all of them.  At any moment it may become midnight; a gateway may
 * be killed (CRASHES times) and is started again; a link may break (LOSSES times).  Lengths of time do not exist: a lease
 * that can end may end now, later or never.
 *
 *   step of the model         what does it in gateway/
 *   begin, denied             quota/quota.c quota_reserve(), quota/denied.c
 *   RESERVE                   redis_scripts.c rows_source, limits_source; ledger.c ledger_reserve()
 *   part after part           redis_parts.c redis_part_answered(), redis_part_give_back()
 *   unwanted, given up        redis_request.c cancel(), unwanted(), drop_reserve()
 *   job sent, head, commit    gate/dispatch.c send_job(), gate/relay.c head_came(), commit()
 *   deliver                   gate/relay.c send_piece()
 *   settle, then the rest     gate/relay.c whole(), gate/settle.c settle_begin()
 *   COMMIT                    redis_command.c write_score(); ledger_commit()
 *   SETTLE                    redis_command.c write_settle(), settle_source; ledger_settle()
 *   RENEW                     redis.c renew(), redis_command.c write_score(), redis_late.c redis_renewal_ended()
 *   REVIVE                    redis_end.c revive(), revive_source; in ledger_commit() and ledger_settle()
 *   ANEW                      redis_late.c; LUA_LATE and the RESERVE behind it
 *   give, reap                redis_scripts.c LUA_MOVE, LUA_REAP, LUA_BURY; row.c row_give(), ledger.c ledger_end()
 *   say, answered             redis_request.c go(), transmit(), keep(); redis_end.c
 *   lose, notice, reconnect   redis/link.c break_link(), redis_request.c lost(), redis_requests_send()
 *   disk, marked, restart     outbox.c outbox_add(), outbox_mark_sent(), outbox_open()
 *
 * What is left out, so that this proves nothing about it: lengths of time and clocks (the tests with libfaketime do that);
 * rates, rolling windows and prices (property tests of core/); Redis losing what it had acknowledged (but see ROWS_LOST);
 * Cluster redirections; a disk that does not keep what it took; more than two gateways and two requests each; of a team,
 * links that break for longer than a lease while two gateways ask (too many states).  The embedded store is the case
 * without links and leases: nothing is lost between worker and store but by a crash of both.
 *
 * What the model has shown, beyond what is promised:
 *
 *   ANY_LEASE     images whose commit was written in time, and reached Redis only after their lease, are delivered and
 *                 charged all the same: so many may be had beyond the limit.  Of all others the limit holds
 *   UNNOTICED     where a commit is done when it is written, link and gateway that die together can lose it
 *   LATE          an ANEW that is done after the settle behind it, over a link that was given up before that, charges
 *                 what nobody gets, so here none is late; and after two cuts for longer than a lease a RESERVE that is so
 *                 late is a new hold of what was charged already.  Redis would have to read an older link last
 *   MUT_RENEW     a RENEW of an uncommitted hold that arrives after its COMMIT would take that back.  So a score only ever
 *                 grows (ZADD XX GT)
 *
 * The switches below describe what may go wrong; run.sh has the combinations.  MUT_* seed a defect: run.sh --mutations
 * shows that each is found. */

#ifndef GATEWAYS
#define GATEWAYS 2
#endif
#ifndef REQUESTS
#define REQUESTS 1
#endif
#ifndef PARTS
#define PARTS 1
#endif
#ifndef LIMIT
#define LIMIT 1
#endif
#ifndef TEAM_LIMIT
#define TEAM_LIMIT LIMIT
#endif
#ifndef ASK
#define ASK 1
#endif
#ifndef CRASHES
#define CRASHES 0
#endif
#ifndef LOSSES
#define LOSSES 0
#endif
/* Gateways 0..FAULTY-1 have faults; the others take what they can get. */
#ifndef FAULTY
#define FAULTY 1
#endif
#ifndef RENEWALS
#define RENEWALS 0
#endif
/* With ANY_LEASE: leases of holds 0..ENDING-1 may end at any moment, others do not. */
#ifndef ENDING
#define ENDING HOLDS
#endif
/* ACKNOWLEDGED  a commit is done when Redis has answered, not when it is written; then a link may die unnoticed, and the
 *               gateway with it (also with UNNOTICED alone: what "commit: sent" does not promise to survive)
 * LATE          what was on its way over a link that broke may still be done, after what comes over the next link
 * ANY_LEASE     leases may end while their gateway lives, or while what ends them waits on a disk: a cut for longer than
 *               a lease.  Otherwise they end only when nobody will say anything about them any more
 * ROWS_LOST     the counters are lost, or reset by an operator, once */
#ifdef ACKNOWLEDGED
#define UNNOTICED
#endif

#define IDS (GATEWAYS * REQUESTS)
#define HOLDS (IDS * PARTS)
#define WINDOWS 2
#define PART(h) ((h) % PARTS)
#define ROW(h) (PART(h) * WINDOWS + window[(h) / PARTS])
#define ROWS (PARTS * WINDOWS)
#define ALLOWED(row) (((row) < WINDOWS) -> LIMIT : TEAM_LIMIT)
#if HOLDS > 4
#define IS_ANY(x) (x[0] || x[1] || x[2] || x[3] || x[4] || x[5] || x[6] || x[7])
#elif HOLDS > 2
#define IS_ANY(x) (x[0] || x[1] || x[2] || x[3])
#else
#define IS_ANY(x) (x[0] || x[1])
#endif
#define OWNER(h) ((h) / PARTS / REQUESTS)
#define ID(g) ((g) * REQUESTS + turn[g])
#define FIRST(g) ((g) * REQUESTS * PARTS)
#define END(g) (((g) + 1) * REQUESTS * PARTS)

/* --- Redis: counters, and the ledger of holds ----------------------------------------------------------------------- */

#define GONE 0
#define HELD 1
#define COMMITTED 2

#define NO_TOMB 0
#define GIVEN 1
#define KEPT_CHARGE 2
#define TAKEN 3

short used[ROWS];
byte ledger[HOLDS]; /* GONE, HELD or COMMITTED */
byte tomb[HOLDS];   /* what its expiry did; TAKEN: and somebody has come late since */
bit over[HOLDS];    /* its lease has ended */
bit day;            /* the present window */

/* What a reservation is, on the client's side and in its token: it never changes. */
byte asked[IDS];
bit window[IDS]; /* that it charges */

/* --- the gateways --------------------------------------------------------------------------------------------------- */

mtype = { RESERVE, COMMIT, SETTLE, RENEW, REVIVE, ANEW };

/* What a REVIVE does: a commit, or a settle with so many; FORCED: also without a trace. */
#define AS_COMMIT 0
#define AS_SETTLE(images) (1 + (images))
#define FORCED 8

#define IDLE 0      /* no request */
#define RESERVING 1 /* RESERVE of a part was asked */
#define UNWANTED 2  /* likewise, and the client has gone */
#define HOLDING 3   /* held; queued */
#define AT_WORK 4   /* the job was sent to the backend */
#define COMMITTING 5
#define RELAYING 6
#define SETTLING 7
#define DEAD 8
#define ASKING 9 /* its lease may be over: what it had in hand is asked for anew */

byte phase[GATEWAYS];
byte turn[GATEWAYS];   /* which request */
byte part[GATEWAYS];   /* which part of it is being asked or said */
bit resent[GATEWAYS];  /* the RESERVE of this part may have been done already */
bit marked[GATEWAYS];  /* a commit was called for the request */
byte count[GATEWAYS];  /* whole images that are settled for */
byte denied[GATEWAYS]; /* 1 + the window that is known to be used up */

/* The link of each.  CUT: broken, and the gateway does not know yet. */
#define UP 0
#define CUT 1
#define DOWN 2
byte link[GATEWAYS];

chan to[GATEWAYS] = [8] of { mtype, byte, byte };   /* what, about which hold, with how much */
chan back[GATEWAYS] = [8] of { mtype, byte, byte }; /* the replies */
chan old[GATEWAYS] = [12] of { mtype, byte, byte };  /* from links that are no more: done some time, answered to nobody */
byte flying[HOLDS];                                 /* messages about it in to and old */

/* A commit or a settle that the gateway has called and that is not acknowledged, by hold. */
#define NONE 0
#define ON_WAY 1
#define KEPT 2 /* waits for the link */
#define LEFT 3 /* in the outbox of a gateway that died */

byte c_at[HOLDS];
bit c_sent[HOLDS];     /* was sent before: without a trace of it, it may have been done */
bit c_void[HOLDS];     /* ANEW was asked instead */
bit c_reviving[HOLDS];
bit c_forced[HOLDS];
bit c_disk[HOLDS];
bit c_marked[HOLDS];   /* on disk: it was sent */

byte s_at[HOLDS];
byte s_used[HOLDS];
bit s_sent[HOLDS];
bit s_if_gone[HOLDS];  /* the hold was not committed before: charge anew if it expired */
bit s_first[HOLDS];    /* likewise, as on disk */
bit s_reviving[HOLDS];
bit s_forced[HOLDS];
bit s_disk[HOLDS];
bit s_marked[HOLDS];

/* --- what really happened: for the assertions alone ----------------------------------------------------------------- */

byte got[IDS];      /* images that the client has */
byte due[HOLDS];    /* images that are to stay charged */
short paid[HOLDS];  /* images of it that are charged in its row now */
bit timely[HOLDS];  /* its commit was written while its lease lasted */
bit excused[HOLDS]; /* and yet an expiry gave it back first */
bit unsure[HOLDS];  /* what ends it died with its gateway */
bit faulty;         /* something was left for a lease to clear */
bit is_finished;

byte crashes = CRASHES;
byte losses = LOSSES;
byte renewals = RENEWALS;
#ifdef ROWS_LOST
bit rows_lost;
#endif

/* For use within one step; each ends with forget(), so that no two states differ in it alone. */
byte i;
byte k;
byte n;
byte hold;
byte arg;
byte answer;
short sum;
short team_sum;
mtype what;

inline forget()
{
    i = 0; k = 0; n = 0; hold = 0; arg = 0; answer = 0; sum = 0; team_sum = 0; what = 0
}

/* What was delivered is charged, at every moment. */
#if defined(ANY_LEASE) || defined(ROWS_LOST)
#define IS_PAID(h) skip
#else
#define IS_PAID(h) assert(paid[h] >= got[(h) / PARTS])
#endif

/* --- inside Redis --------------------------------------------------------------------------------------------------- */

/* Gives back: to the window that was charged, and never below zero. */
inline give(h, images)
{
#ifdef MUT_PRESENT_WINDOW
    k = PART(h) * WINDOWS + day;
#else
    k = ROW(h);
#endif
    if
#ifdef MUT_NO_FLOOR
    :: true -> used[k] = used[k] - (images)
#else
    :: used[k] >= (images) -> used[k] = used[k] - (images)
    :: else -> used[k] = 0
#endif
    fi;
    paid[h] = paid[h] - (images);
#ifndef ROWS_LOST
    assert(paid[h] >= 0);
#endif
    assert(used[k] >= 0)
}

/* Ends what has expired: uncommitted holds are given back, of committed ones the charge stays. */
inline reap()
{
    i = 0;
    do
    :: i == HOLDS -> break
    :: else ->
        if
        :: over[i] && ledger[i] == HELD ->
            printf("Redis      hold %d is given back: its lease has ended\n", i);
            give(i, asked[i / PARTS]);
            excused[i] = excused[i] || timely[i];
#ifndef MUT_NO_TOMB
            tomb[i] = GIVEN;
#endif
            ledger[i] = GONE
        :: over[i] && ledger[i] == COMMITTED ->
#ifdef MUT_REAP_COMMITTED
            give(i, asked[i / PARTS]);
#endif
            printf("Redis      hold %d is dropped, its charge stays: its lease has ended\n", i);
#ifndef MUT_NO_TOMB
            tomb[i] = KEPT_CHARGE;
#endif
            ledger[i] = GONE
        :: else
        fi;
        over[i] = 0;
        IS_PAID(i);
        i++
    od
}

inline charge(h)
{
    ledger[h] = HELD;
    paid[h] = paid[h] + asked[(h) / PARTS];
    over[h] = 0;
    used[ROW(h)] = used[ROW(h)] + asked[(h) / PARTS]
}

/* Nobody is refused by what it holds itself, nor by what has expired. */
inline refuse(h)
{
    answer = 0;
    assert(ledger[h] == GONE);
    i = 0;
    do
    :: i == HOLDS -> break
    :: else -> assert(!over[i]); i++
    od
}

#define HAS_ROOM(h) (used[ROW(h)] + asked[(h) / PARTS] <= ALLOWED(ROW(h)))

inline reserve(h)
{
    answer = 1;
    if
#if !defined(MUT_NO_NX) && !defined(MUT_RETRY_REFUSED)
    :: ledger[h] != GONE -> over[h] = 0 /* held already: nothing is charged, the lease put off */
#endif
#ifdef MUT_RETRY_REFUSED
    :: ledger[h] != GONE && HAS_ROOM(h) -> over[h] = 0
#endif
    :: else ->
#ifndef MUT_NO_REAP
        if
        :: !HAS_ROOM(h) -> reap()
        :: else
        fi;
#endif
        if
        :: HAS_ROOM(h) ->
            charge(h);
            over[h] = (tomb[h] == GIVEN) /* asked again after its lease, which counts from the first time */
        :: else -> refuse(h)
        fi
    fi
}

/* Of a hold that is gone, what is charged is made to be so many. */
inline revive(h, x)
{
    answer = 1;
    n = (tomb[h] == KEPT_CHARGE -> asked[(h) / PARTS] : 0);
    if
    :: (x) % FORCED == AS_COMMIT -> arg = asked[(h) / PARTS]; ledger[h] = COMMITTED; over[h] = 0
    :: else -> arg = (x) % FORCED - 1
    fi;
    if
    :: n > arg -> give(h, n - arg)
    :: else -> used[ROW(h)] = used[ROW(h)] + arg - n; paid[h] = paid[h] + arg - n
    fi;
#ifdef MUT_TAKES_NOT
    skip
#else
    tomb[h] = TAKEN
#endif
}

/* What is there becomes committed, what was kept is back; the rest is reserved as any other. */
inline anew(h)
{
    answer = 1;
    if
    :: ledger[h] != GONE -> ledger[h] = COMMITTED; over[h] = 0
    :: ledger[h] == GONE && tomb[h] == KEPT_CHARGE -> ledger[h] = COMMITTED; over[h] = 0
    :: else ->
        reap();
        if
        :: HAS_ROOM(h) -> charge(h); ledger[h] = COMMITTED
        :: else -> refuse(h)
        fi
    fi;
    if
    :: tomb[h] != TAKEN -> tomb[h] = NO_TOMB
    :: else
    fi
}

/* One message, done as one step.  A COMMIT of what is committed already may change nothing, and say so: a score that is
 * the same.  RENEW says a score, too, and never takes a commit back. */
inline serve(kind, h, x)
{
    flying[h]--;
    answer = 0;
    if
    :: kind == RESERVE -> reserve(h)
    :: kind == COMMIT && ledger[h] != GONE ->
        answer = (ledger[h] == HELD);
        ledger[h] = COMMITTED;
        over[h] = 0
    :: kind == SETTLE && ledger[h] != GONE ->
        answer = 1;
        give(h, asked[(h) / PARTS] - x);
        ledger[h] = GONE;
        over[h] = 0
#ifdef MUT_SETTLE_TWICE
    :: kind == SETTLE && ledger[h] == GONE -> give(h, asked[(h) / PARTS] - x)
#endif
    :: kind == RENEW && ledger[h] != GONE ->
        if
#ifdef MUT_RENEW
        :: x == 0 -> ledger[h] = HELD
#endif
        :: x == 1 -> ledger[h] = COMMITTED
        :: else
        fi;
        over[h] = 0
    :: kind == REVIVE && ledger[h] != GONE ->
        answer = 1;
        if
        :: (x) % FORCED == AS_COMMIT -> ledger[h] = COMMITTED
        :: else -> give(h, asked[(h) / PARTS] - ((x) % FORCED - 1)); ledger[h] = GONE; tomb[h] = TAKEN
        fi;
        over[h] = 0
    :: kind == REVIVE && ledger[h] == GONE && tomb[h] != TAKEN && (tomb[h] != NO_TOMB || (x) >= FORCED) ->
        revive(h, x)
    :: kind == ANEW -> anew(h)
    :: else
    fi
}

/* Redis takes one command after the other, from any connection. */
inline serve_next(g)
{
    to[g] ? what, hold, arg;
    serve(what, hold, arg);
    printf("Redis      %e of hold %d (%d): %d\n", what, hold, arg, answer);
    back[g] ! what, hold, answer;
    forget()
}

inline serve_old(g)
{
    old[g] ? what, hold, arg;
    serve(what, hold, arg);
    printf("Redis      %e of hold %d (%d), from a link that is no more\n", what, hold, arg);
    forget()
}

active proctype Redis()
{
end:
    do
    :: d_step { nempty(to[0]) -> serve_next(0) }
    :: d_step { nempty(old[0]) -> serve_old(0) }
#if GATEWAYS > 1
    :: d_step { nempty(to[1]) -> serve_next(1) }
    :: d_step { nempty(old[1]) -> serve_old(1) }
#endif
    od
}

/* --- what a gateway says, and hears --------------------------------------------------------------------------------- */

inline transmit(g, kind, h, x)
{
    if
    :: link[g] == UP -> to[g] ! kind, h, x; flying[h]++; printf("gateway %d  sends %e of hold %d (%d)\n", g, kind, h, x)
    :: else -> printf("gateway %d  sends %e of hold %d into nowhere\n", g, kind, h)
    fi
}

#define IS_ALIVE(h) (ledger[h] != GONE && !over[h])

/* A commit (settle) of a hold: over the link, or else onto the disk. */
inline say_commit(g, h)
{
    due[h] = asked[(h) / PARTS];
    timely[h] = IS_ALIVE(h);
    c_void[h] = 0;
    if
    :: link[g] != DOWN -> transmit(g, COMMIT, h, 0); c_at[h] = ON_WAY
    :: else ->
        c_at[h] = KEPT;
        printf("gateway %d  keeps COMMIT of hold %d\n", g, h);
#ifndef MUT_NO_OUTBOX
        c_disk[h] = 1;
#endif
        c_marked[h] = 0
    fi
}

inline say_settle(g, h, x, is_first, is_worth_a_place)
{
    due[h] = x;
    timely[h] = timely[h] || (is_first && IS_ALIVE(h));
    s_used[h] = x;
    s_if_gone[h] = is_first;
    s_first[h] = is_first;
    if
    :: link[g] != DOWN -> transmit(g, SETTLE, h, x); s_at[h] = ON_WAY
    :: else ->
        s_at[h] = KEPT;
        printf("gateway %d  keeps SETTLE of hold %d (%d)\n", g, h, x);
#ifndef MUT_NO_OUTBOX
        s_disk[h] = is_worth_a_place;
#endif
        s_marked[h] = 0
    fi
}

/* The outbox is emptied once all that it has is acknowledged. */
inline clear_outbox(g)
{
    i = FIRST(g);
    do
    :: i == END(g) || (c_disk[i] && c_at[i] != NONE) || (s_disk[i] && s_at[i] != NONE) -> break
    :: else -> i++
    od;
    if
    :: i == END(g) ->
        i = FIRST(g);
        do
        :: i == END(g) -> break
        :: else ->
            c_disk[i] = 0; c_marked[i] = 0; s_disk[i] = 0; s_marked[i] = 0; s_first[i] = 0;
            if
            :: s_at[i] == NONE -> s_used[i] = 0
            :: else
            fi;
            i++
        od
    :: else
    fi
}

inline commit_ends(g, h)
{
    c_at[h] = NONE; c_sent[h] = 0; c_reviving[h] = 0; c_forced[h] = 0; c_void[h] = 0;
    clear_outbox(g)
}

inline settle_ends(g, h)
{
    s_at[h] = NONE; s_sent[h] = 0; s_reviving[h] = 0; s_forced[h] = 0; s_if_gone[h] = 0;
    clear_outbox(g)
}

/* Nothing was delivered yet: all parts are asked for, one after the other. */
inline ask_anew(g)
{
    printf("gateway %d  asks anew\n", g);
    phase[g] = ASKING;
    part[g] = 0;
    c_void[ID(g) * PARTS] = (c_at[ID(g) * PARTS] != NONE);
    c_void[ID(g) * PARTS + PARTS - 1] = (c_at[ID(g) * PARTS + PARTS - 1] != NONE);
    send_anew(g)
}

inline send_anew(g)
{
    due[ID(g) * PARTS + part[g]] = asked[ID(g)];
    transmit(g, ANEW, ID(g) * PARTS + part[g], 0)
}

/* Nothing is delivered, and what is held still is given back. */
inline not_anew(g)
{
    printf("gateway %d  the client is refused\n", g);
    say_settle(g, ID(g) * PARTS, 0, 0, 1);
#if PARTS > 1
    say_settle(g, ID(g) * PARTS + 1, 0, 0, 1);
#endif
    next_request(g)
}

inline anew_answered(g, h, reply)
{
    timely[h] = 1;
    excused[h] = 0;
    if
    :: reply == 0 -> not_anew(g)
    :: reply == 1 && part[g] + 1 < PARTS -> part[g]++; send_anew(g)
    :: else ->
        part[g] = 0;
        phase[g] = (marked[g] -> RELAYING : SETTLING);
        marked[g] = 1
    fi
}

#ifdef ACKNOWLEDGED
#define IS_AWAITED(g, h, which) (phase[g] == which && ID(g) == (h) / PARTS)
#else
#define IS_AWAITED(g, h, which) false
#endif

#ifdef MUT_SETTLE_BEHIND
#define BEHIND(h) true
#else
#define BEHIND(h) (s_at[h] == NONE)
#endif
/* What was never sent before was never done. */
#ifdef MUT_REVIVE_SENT
#define IS_UNDONE(was_sent) true
#else
#define IS_UNDONE(was_sent) (!(was_sent))
#endif

inline commit_answered(g, h, reply)
{
    if
#ifdef MUT_NO_REVIVE
    :: false
#else
#ifndef MUT_SETTLE_BEHIND
    :: reply == 0 && !c_void[h] && s_at[h] != NONE ->
        /* A settle that is behind it does what is to be done. */
        s_if_gone[h] = (s_used[h] > 0 && !c_sent[h]);
        commit_ends(g, h)
#endif
    :: reply == 0 && !c_void[h] && BEHIND(h) && !c_reviving[h] && IS_AWAITED(g, h, COMMITTING) ->
        commit_ends(g, h); ask_anew(g)
    :: reply == 0 && !c_void[h] && BEHIND(h) && !c_reviving[h] && !IS_AWAITED(g, h, COMMITTING) ->
        c_reviving[h] = 1;
        transmit(g, REVIVE, h, AS_COMMIT)
    :: reply == 0 && !c_void[h] && BEHIND(h) && c_reviving[h] && !c_forced[h] && IS_UNDONE(c_sent[h]) ->
        c_forced[h] = 1;
        transmit(g, REVIVE, h, AS_COMMIT + FORCED)
#endif
    :: else -> commit_ends(g, h)
    fi
}

/* Of what is settled at once: a single part, sent once. */
#define IS_UNDELIVERED(g, h) \
    (PARTS == 1 && !marked[g] && count[g] > 0 && !s_sent[h] && IS_AWAITED(g, h, SETTLING))

inline settle_answered(g, h, reply)
{
    if
#ifndef MUT_NO_REVIVE
    :: reply == 0 && !s_reviving[h] && IS_UNDELIVERED(g, h) ->
        settle_ends(g, h); ask_anew(g)
    :: reply == 0 && !s_reviving[h] && !IS_UNDELIVERED(g, h) ->
        s_reviving[h] = 1;
        transmit(g, REVIVE, h, AS_SETTLE(s_used[h]))
    :: reply == 0 && s_reviving[h] && !s_forced[h] && s_if_gone[h] && IS_UNDONE(s_sent[h]) ->
        s_forced[h] = 1;
        transmit(g, REVIVE, h, AS_SETTLE(s_used[h]) + FORCED)
#endif
    :: else -> settle_ends(g, h)
    fi
}

inline next_request(g)
{
    phase[g] = IDLE;
    turn[g]++;
    part[g] = 0; resent[g] = 0; marked[g] = 0; count[g] = 0
}

/* What the parts before this one hold is given back. */
inline give_back_earlier(g)
{
#if PARTS > 1 && !defined(MUT_KEEPS_EARLIER)
    if
    :: part[g] > 0 -> say_settle(g, ID(g) * PARTS, 0, 0, 1)
    :: else
    fi;
#endif
    skip
}

inline reserve_answered(g, h, reply)
{
    if
    :: phase[g] == UNWANTED && reply == 1 ->
#ifdef MUT_KEEPS_UNWANTED
        skip;
#else
        say_settle(g, h, 0, 0, 0);
#endif
        give_back_earlier(g);
        next_request(g)
    :: phase[g] == RESERVING && reply == 1 ->
        part[g]++;
        resent[g] = 0;
        if
        :: part[g] < PARTS -> transmit(g, RESERVE, h + 1, 0)
        :: else -> phase[g] = HOLDING; part[g] = 0
        fi
    :: else ->
        give_back_earlier(g);
        denied[g] = 1 + window[ID(g)];
        next_request(g)
    fi
}

/* --- faults --------------------------------------------------------------------------------------------------------- */

/* What was on its way is lost; with LATE it may be so late that it only seems to be. */
inline lose_messages(g)
{
    do
    :: nempty(to[g]) ->
        to[g] ? what, hold, arg;
        if
#ifdef LATE
        :: what != ANEW && nfull(old[g]) -> old[g] ! what, hold, arg
#endif
        :: flying[hold]--
        fi
    :: empty(to[g]) -> break
    od;
    do
    :: nempty(back[g]) -> back[g] ? what, hold, arg
    :: empty(back[g]) -> break
    od;
    hold = 0; arg = 0
}

/* The link's owner is told: commits and settles go to disk; a RESERVE that nobody waits for is settled with nothing. */
inline notice(g)
{
    link[g] = DOWN;
    printf("gateway %d  sees that its link is lost\n", g);
    i = FIRST(g);
    do
    :: i == END(g) -> break
    :: else ->
        if
        :: c_at[i] == ON_WAY ->
            c_at[i] = KEPT; c_sent[i] = 1; c_reviving[i] = 0;
#ifndef MUT_NO_OUTBOX
            if :: !c_disk[i] -> c_disk[i] = 1; c_marked[i] = 1 :: else fi
#endif
        :: else
        fi;
        if
        :: s_at[i] == ON_WAY ->
            s_at[i] = KEPT; s_sent[i] = 1; s_reviving[i] = 0;
#ifndef MUT_NO_OUTBOX
            if :: !s_disk[i] -> s_disk[i] = 1; s_marked[i] = 1 :: else fi
#endif
        :: else
        fi;
        i++
    od;
    if
    :: phase[g] == RESERVING -> resent[g] = 1
    :: phase[g] == UNWANTED -> resent[g] = 1; give_up(g)
    :: else
    fi
}

/* The RESERVE that was sent may have been done. */
inline give_up(g)
{
    if
    :: resent[g] -> say_settle(g, ID(g) * PARTS + part[g], 0, 0, 0)
    :: else
    fi;
    give_back_earlier(g);
    next_request(g)
}

inline resend_commit(g, h)
{
    if
    :: c_at[h] == KEPT -> c_at[h] = ON_WAY; transmit(g, COMMIT, h, 0)
    :: else
    fi
}

inline resend_settle(g, h)
{
    if
    :: s_at[h] == KEPT -> s_at[h] = ON_WAY; transmit(g, SETTLE, h, s_used[h])
    :: else
    fi
}

/* Of the first part; one that was called committed renews as committed. */
inline renew(g)
{
    renewals--;
    if
    :: marked[g] -> due[ID(g) * PARTS] = asked[ID(g)] /* as good as a commit */
    :: else
    fi;
    transmit(g, RENEW, ID(g) * PARTS, marked[g])
}

/* Leases first.  Then, in order: a commit before its settle, and both before the question that waits. */
inline reconnect(g)
{
    link[g] = UP;
    printf("gateway %d  has a new link\n", g);
    if
    :: renewals > 0 && phase[g] >= HOLDING && phase[g] <= RELAYING -> renew(g)
    :: else
    fi;
    i = FIRST(g);
    do
    :: i == END(g) -> break
    :: else ->
#ifndef MUT_NO_MARK
        if :: c_disk[i] -> c_marked[i] = 1 :: else fi;
        if :: s_disk[i] -> s_marked[i] = 1 :: else fi;
#endif
#ifdef MUT_OVERTAKES
        resend_settle(g, i);
        resend_commit(g, i);
#else
        resend_commit(g, i);
        resend_settle(g, i);
#endif
        i++
    od;
    if
    :: phase[g] == RESERVING -> transmit(g, RESERVE, ID(g) * PARTS + part[g], 0)
    :: phase[g] == ASKING -> send_anew(g)
    :: else
    fi
}

/* What is written is done though its gateway dies, but not when the link was dead, too, nor necessarily in time. */
#ifdef ANY_LEASE
#define DIES_WITH_IT(g) true
#else
#define DIES_WITH_IT(g) (link[g] == CUT)
#endif

/* kill -9.  What the kernel has is still delivered; what is on disk stays. */
inline die(g)
{
    faulty = 1;
    printf("gateway %d  is killed\n", g);
    do
    :: nempty(to[g]) -> to[g] ? what, hold, arg; old[g] ! what, hold, arg
    :: empty(to[g]) -> break
    od;
    do
    :: nempty(back[g]) -> back[g] ? what, hold, arg
    :: empty(back[g]) -> break
    od;
    hold = 0; arg = 0;
    i = FIRST(g);
    do
    :: i == END(g) -> break
    :: else ->
        if
        :: DIES_WITH_IT(g) && (c_at[i] == ON_WAY || s_at[i] == ON_WAY) -> unsure[i] = 1
        :: phase[g] == ASKING && ID(g) == i / PARTS -> unsure[i] = 1
        :: else
        fi;
        c_at[i] = (c_disk[i] -> LEFT : NONE);
        c_sent[i] = c_disk[i] && c_marked[i];
        c_reviving[i] = 0;
        c_forced[i] = 0;
        c_void[i] = 0;
        s_at[i] = (s_disk[i] -> LEFT : NONE);
        s_sent[i] = s_disk[i] && s_marked[i];
        s_if_gone[i] = s_disk[i] && s_first[i];
        s_reviving[i] = 0;
        s_forced[i] = 0;
        if
        :: !s_disk[i] -> s_used[i] = 0; s_first[i] = 0
        :: else
        fi;
        i++
    od;
    link[g] = DOWN;
    denied[g] = 0;
    if
    :: phase[g] != IDLE -> next_request(g)
    :: else
    fi;
    phase[g] = DEAD
}

/* The next process takes over what is in the outbox. */
inline restart(g)
{
    phase[g] = IDLE;
    printf("gateway %d  is started again\n", g);
    i = FIRST(g);
    do
    :: i == END(g) -> break
    :: else ->
        if :: c_at[i] == LEFT -> c_at[i] = KEPT :: else fi;
        if :: s_at[i] == LEFT -> s_at[i] = KEPT :: else fi;
        i++
    od
}

/* --- a gateway ------------------------------------------------------------------------------------------------------ */

/* Images reach the client: of all but those whose commit was in time and found their hold given back, never more than the
 * limit. */
inline deliver(g, images)
{
    got[ID(g)] = images;
    printf("gateway %d  the client has %d\n", g, got[ID(g)]);
    i = 0;
    do
    :: i == IDS -> break
    :: else ->
        if
        :: window[i] == window[ID(g)] && !excused[i * PARTS] -> sum = sum + got[i]
        :: else
        fi;
        if
        :: window[i] == window[ID(g)] && !excused[i * PARTS + PARTS - 1] -> team_sum = team_sum + got[i]
        :: else
        fi;
        i++
    od;
#ifndef ROWS_LOST
    assert(sum <= LIMIT);
    assert(PARTS == 1 || team_sum <= TEAM_LIMIT);
#endif
    IS_PAID(ID(g) * PARTS);
    IS_PAID(ID(g) * PARTS + PARTS - 1);
    forget()
}

#ifdef ACKNOWLEDGED
#define IS_ANSWERED(at) ((at) != ON_WAY)
#else
#define IS_ANSWERED(at) true
#endif
#if PARTS > 1
#define SAID(g, at) (part[g] == PARTS && IS_ANSWERED(at[ID(g) * PARTS]) && IS_ANSWERED(at[ID(g) * PARTS + 1]))
#else
#define SAID(g, at) (part[g] == PARTS && IS_ANSWERED(at[ID(g) * PARTS]))
#endif

/* The head of the answer, or that there will be none. */
inline begin_end(g, next, images)
{
    printf("gateway %d  %d: commit (5) or settle with %d (7)\n", g, next, images);
    phase[g] = next;
    count[g] = images;
    part[g] = 0
}

/* Nothing of what is about to be delivered was written yet. */
#ifdef MUT_NOT_ASKED
#define IS_LATE(g) false
#else
#define IS_LATE(g) \
    (part[g] == 0 && (phase[g] == COMMITTING || (phase[g] == SETTLING && !marked[g] && count[g] > 0)) && \
     !(IS_ALIVE(ID(g) * PARTS) && IS_ALIVE(ID(g) * PARTS + PARTS - 1)))
#endif

proctype Gateway(byte g)
{
    do
    /* begin: the windows are chosen now, though Redis may be asked after midnight */
    :: atomic { phase[g] == IDLE && turn[g] < REQUESTS && link[g] != DOWN ->
        window[ID(g)] = day;
        asked[ID(g)] = 1;
        printf("gateway %d  begins request %d\n", g, ID(g));
#if ASK > 1
        if :: true :: asked[ID(g)] = 2 fi;
#endif
        if
#ifdef MUT_DENIED_GRANTS
        :: denied[g] == 1 + day -> phase[g] = HOLDING
#endif
        :: denied[g] == 1 + day -> next_request(g)
        :: denied[g] != 0 -> denied[g] = 0; phase[g] = RESERVING; transmit(g, RESERVE, ID(g) * PARTS, 0)
        :: denied[g] == 0 -> phase[g] = RESERVING; transmit(g, RESERVE, ID(g) * PARTS, 0)
        fi }

    /* replies */
    :: d_step { nempty(back[g]) ->
        back[g] ? what, hold, n;
        if
        :: what == RESERVE -> reserve_answered(g, hold, n)
        :: what == COMMIT || (what == REVIVE && c_reviving[hold]) -> commit_answered(g, hold, n)
        :: what == SETTLE || (what == REVIVE && !c_reviving[hold]) -> settle_answered(g, hold, n)
        :: what == ANEW -> anew_answered(g, hold, n)
        :: what == RENEW
        fi;
        forget() }

    /* the client leaves, or the deadline passes, while Redis is asked */
    :: atomic { phase[g] == RESERVING && link[g] != DOWN -> phase[g] = UNWANTED; printf("gateway %d  is not waited for any more\n", g) }
    :: d_step { phase[g] == RESERVING && link[g] == DOWN -> give_up(g) }
    :: d_step { phase[g] == ASKING && link[g] == DOWN -> not_anew(g) }

    /* dispatch: only what is held in all its parts is sent, whatever the denied memory says */
    :: d_step { phase[g] == HOLDING -> begin_end(g, SETTLING, 0) }
    :: d_step { phase[g] == HOLDING ->
#ifndef ANY_LEASE
        assert(ledger[ID(g) * PARTS] == HELD);
        assert(ledger[ID(g) * PARTS + PARTS - 1] == HELD);
#endif
        printf("gateway %d  sends the job\n", g);
        phase[g] = AT_WORK }

    /* the backend is lost, or refuses; or its head has come, perhaps with all of the answer */
    :: d_step { phase[g] == AT_WORK -> begin_end(g, SETTLING, 0) }
    :: d_step { phase[g] == AT_WORK -> begin_end(g, COMMITTING, 0); marked[g] = 1 }
    :: atomic { phase[g] == AT_WORK ->
        begin_end(g, SETTLING, 0);
        if
        :: true
        :: count[g] = 1
        :: asked[ID(g)] > 1 -> count[g] = 2
        fi }

    /* the clock says that a lease may be over */
#ifndef MUT_NOT_ASKED
    :: d_step { IS_LATE(g) && link[g] != DOWN -> ask_anew(g); forget() }
    :: d_step { IS_LATE(g) && link[g] == DOWN -> not_anew(g); forget() }
#endif

    /* what was called is written: all parts at once */
    :: d_step { phase[g] == COMMITTING && part[g] < PARTS && !IS_LATE(g) ->
        say_commit(g, ID(g) * PARTS);
#if PARTS > 1
        say_commit(g, ID(g) * PARTS + 1);
#endif
        part[g] = PARTS }
    :: d_step { phase[g] == SETTLING && part[g] < PARTS && !IS_LATE(g) ->
        say_settle(g, ID(g) * PARTS, count[g], !marked[g] && count[g] > 0, 1);
#if PARTS > 1
        say_settle(g, ID(g) * PARTS + 1, count[g], !marked[g] && count[g] > 0, 1);
#endif
        part[g] = PARTS }

    /* relay */
    :: atomic { phase[g] == COMMITTING && SAID(g, c_at) -> phase[g] = RELAYING; part[g] = 0 }
#ifdef MUT_DELIVER_FIRST
    :: d_step { phase[g] == COMMITTING && part[g] == 0 && got[ID(g)] == 0 -> deliver(g, 1) }
#endif
    :: d_step { phase[g] == RELAYING && got[ID(g)] < asked[ID(g)] -> deliver(g, got[ID(g)] + 1) }
    :: d_step { phase[g] == RELAYING -> begin_end(g, SETTLING, got[ID(g)]) }
    :: d_step { phase[g] == RELAYING && got[ID(g)] < asked[ID(g)] -> begin_end(g, SETTLING, got[ID(g)] + 1) }
    :: d_step { phase[g] == SETTLING && SAID(g, s_at) ->
        if
        :: count[g] > got[ID(g)] -> deliver(g, count[g])
        :: else
        fi;
        denied[g] = 0;
        next_request(g) }

    /* what keeps a lease alive */
#if RENEWALS > 0
    :: d_step { renewals > 0 && link[g] == UP &&
        (phase[g] == HOLDING || phase[g] == AT_WORK || phase[g] == RELAYING) -> renew(g) }
#endif

    /* faults */
#if CRASHES > 0
    :: d_step { crashes > 0 && g < FAULTY && phase[g] != DEAD -> crashes--; die(g); forget() }
    :: d_step { phase[g] == DEAD -> restart(g); forget() }
#endif
#if LOSSES > 0
#ifdef UNNOTICED
    :: atomic { losses > 0 && g < FAULTY && link[g] == UP -> losses--; faulty = 1; lose_messages(g); link[g] = CUT; forget() }
    :: d_step { link[g] == CUT -> notice(g); forget() }
#else
    :: atomic { losses > 0 && g < FAULTY && link[g] == UP -> losses--; faulty = 1; lose_messages(g); notice(g); forget() }
#endif
#endif
    :: d_step { link[g] == DOWN && phase[g] != DEAD -> reconnect(g); forget() }
    :: is_finished -> break
    od
}

/* --- time ----------------------------------------------------------------------------------------------------------- */

#define IS_DISCUSSED(h) \
    (flying[h] > 0 || c_at[h] != NONE || s_at[h] != NONE || \
     (phase[OWNER(h)] != IDLE && phase[OWNER(h)] != DEAD && ID(OWNER(h)) == (h) / PARTS))

#ifdef ANY_LEASE
#define MAY_END(h) ((h) < ENDING && ledger[h] != GONE && !over[h])
#else
#define MAY_END(h) (ledger[h] != GONE && !over[h] && !IS_DISCUSSED(h))
#endif

active proctype Time()
{
end:
    do
#ifndef NO_MIDNIGHT
    :: d_step { day == 0 -> day = 1; printf("midnight\n") }
#endif
    :: d_step { MAY_END(0) -> over[0] = 1 }
    :: d_step { MAY_END(1) -> over[1] = 1 }
#if HOLDS > 2
    :: d_step { MAY_END(2) -> over[2] = 1 }
    :: d_step { MAY_END(3) -> over[3] = 1 }
#endif
#if HOLDS > 4
    :: d_step { MAY_END(4) -> over[4] = 1 }
    :: d_step { MAY_END(5) -> over[5] = 1 }
    :: d_step { MAY_END(6) -> over[6] = 1 }
    :: d_step { MAY_END(7) -> over[7] = 1 }
#endif
#ifndef MUT_NO_REAP
    :: d_step { IS_ANY(over) -> reap(); forget() } /* by another account's call, or an inspection */
#endif
#ifdef ROWS_LOST
    :: d_step { !rows_lost -> rows_lost = 1; used[0] = 0; used[1] = 0 }
#endif
    od
}

/* --- the end -------------------------------------------------------------------------------------------------------- */

#define IS_AT_REST(g) \
    (((phase[g] == IDLE && turn[g] == REQUESTS) || phase[g] == DEAD) && empty(to[g]) && empty(back[g]) && empty(old[g]))

/* What is to be charged in the end is, but for what died with its gateway. */
inline check(h)
{
    assert(ledger[h] == GONE);
#ifndef ROWS_LOST
    assert(unsure[h] || paid[h] >= got[(h) / PARTS]);
    assert(paid[h] <= asked[(h) / PARTS]);
    assert(unsure[h] || paid[h] == due[h])
#else
    skip
#endif
}

inline check_rows()
{
    i = 0;
    do
    :: i == ROWS -> break
    :: else ->
        sum = 0;
        k = 0;
        do
        :: k == HOLDS -> break
        :: else ->
            if
            :: ROW(k) == i -> sum = sum + paid[k]
            :: else
            fi;
            k++
        od;
        assert(used[i] == sum);
        i++
    od
}

inline check_all()
{
    i = 0;
    do
    :: i == HOLDS -> break
    :: else ->
        assert(faulty || ledger[i] == GONE); /* what goes well leaves nothing to a lease */
        over[i] = 1;
        i++
    od;
#ifndef MUT_NO_REAP
    reap();
#endif
    i = 0;
    do
    :: i == HOLDS -> break
    :: else -> check(i); i++
    od;
#ifndef ROWS_LOST
    check_rows();
#endif
    forget()
}

/* Nobody is left with anything to say.  That this comes is checked, too: Spin reports a state that no step leads out of. */
active proctype End()
{
    d_step { IS_AT_REST(0) && IS_AT_REST(GATEWAYS - 1) && !IS_ANY(c_at) && !IS_ANY(s_at) ->
        check_all();
        is_finished = 1 }
}

init
{
    atomic {
        run Gateway(0);
#if GATEWAYS > 1
        run Gateway(1)
#endif
    }
}
