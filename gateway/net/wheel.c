/* SPDX-License-Identifier: Apache-2.0 */
/* wheel.c - the timers of one loop.      Runs on: the loop's thread.
 * wheel->tick is behind or at the present; every slot at or before it is empty, but for the one being fired.  A timer is
 * linked if and only if its deadline_us is not zero. */
#include "net/wheel.h"

#define SLOT_MASK (WHEEL_SLOTS - 1)

static void ring_init(struct wheel_ring *ring)
{
    for (int i = 0; i < WHEEL_SLOTS; i++)
        list_init(&ring->slots[i]);
}

void wheel_init(struct wheel *wheel, int64_t now_us)
{
    *wheel = (struct wheel){.tick = now_us / WHEEL_TICK_US};
    ring_init(&wheel->near);
    ring_init(&wheel->far);
}

static void ring_put(struct wheel_ring *ring, int64_t slot, struct timer *timer)
{
    int i = (int)(slot & SLOT_MASK);

    list_push_back(&ring->slots[i], &timer->link);
    ring->marks[i / 64] |= UINT64_C(1) << (i % 64);
}

/* The timer must be in no list.  earliest: the first tick whose slot is still to come. */
static void place(struct wheel *wheel, struct timer *timer, int64_t earliest)
{
    /* Rounded up, so that it is never early. */
    int64_t tick = MAX((timer->deadline_us - 1) / WHEEL_TICK_US + 1, earliest);

    if (tick - wheel->tick < WHEEL_SLOTS) {
        ring_put(&wheel->near, tick, timer);
        return;
    }
    int64_t farthest = (wheel->tick >> WHEEL_SLOTS_LOG2) + SLOT_MASK;

    ring_put(&wheel->far, MIN(tick >> WHEEL_SLOTS_LOG2, farthest), timer);
}

void wheel_set(struct wheel *wheel, struct timer *timer, int64_t deadline_us)
{
    ASSERT(deadline_us > 0);
    bool is_moved_later = timer->deadline_us != 0 && deadline_us >= timer->deadline_us;

    timer->deadline_us = deadline_us;
    if (is_moved_later)
        return;
    list_remove(&timer->link);
    place(wheel, timer, wheel->tick + 1);
}

/* Moves all of a slot to a list of its own, so that what is set while they are handled goes elsewhere. */
static void ring_take(struct wheel_ring *ring, int64_t slot, struct list *out)
{
    int i = (int)(slot & SLOT_MASK);

    ring->marks[i / 64] &= ~(UINT64_C(1) << (i % 64));
    list_move(&ring->slots[i], out);
}

/* The far slot that begins at this tick is dealt out to the near ones. */
static void spread(struct wheel *wheel)
{
    struct list due;

    ring_take(&wheel->far, wheel->tick >> WHEEL_SLOTS_LOG2, &due);
    for (struct list *link = list_pop_front(&due); link; link = list_pop_front(&due))
        place(wheel, container_of(link, struct timer, link), wheel->tick);
}

static void fire_slot(struct wheel *wheel, int64_t now_us)
{
    struct list due;

    ring_take(&wheel->near, wheel->tick, &due);
    for (struct list *link = list_pop_front(&due); link; link = list_pop_front(&due)) {
        struct timer *timer = container_of(link, struct timer, link);

        if (timer->deadline_us > now_us) {
            place(wheel, timer, wheel->tick + 1);
            continue;
        }
        timer->deadline_us = 0;
        timer->fire(timer);
    }
}

/* The distance (1..WHEEL_SLOTS) from a slot to the next one that holds timers, 0 when there is none.  Marks that
 * timer_clear() left behind are taken away. */
static int ring_distance(struct wheel_ring *ring, int64_t slot)
{
    int distance = 1;

    while (distance <= WHEEL_SLOTS) {
        int i = (int)((slot + distance) & SLOT_MASK);
        uint64_t marks = ring->marks[i / 64] >> (i % 64);

        if (marks == 0) {
            distance += 64 - i % 64;
            continue;
        }
        int skip = __builtin_ctzll(marks);

        if (skip > 0) {
            distance += skip;
            continue;
        }
        if (!list_is_empty(&ring->slots[i]))
            return distance;
        ring->marks[i / 64] &= ~(UINT64_C(1) << (i % 64));
        distance++;
    }
    return 0;
}

/* The next tick at which there is anything to do, INT64_MAX for none. */
static int64_t next_tick(struct wheel *wheel)
{
    int64_t next = INT64_MAX;
    int near = ring_distance(&wheel->near, wheel->tick);
    int64_t far_slot = wheel->tick >> WHEEL_SLOTS_LOG2;
    int far = ring_distance(&wheel->far, far_slot);

    if (near > 0)
        next = wheel->tick + near;
    if (far > 0)
        next = MIN(next, (far_slot + far) << WHEEL_SLOTS_LOG2);
    return next;
}

void wheel_advance(struct wheel *wheel, int64_t now_us)
{
    int64_t now_tick = now_us / WHEEL_TICK_US;

    while (wheel->tick < now_tick) {
        wheel->tick = MIN(next_tick(wheel), now_tick);
        if ((wheel->tick & SLOT_MASK) == 0)
            spread(wheel);
        fire_slot(wheel, now_us);
    }
}

int64_t wheel_next_us(struct wheel *wheel)
{
    int64_t tick = next_tick(wheel);

    return tick == INT64_MAX ? INT64_MAX : tick * WHEEL_TICK_US;
}

static void ring_fini(struct wheel_ring *ring)
{
    for (int i = 0; i < WHEEL_SLOTS; i++) {
        struct list *slot = &ring->slots[i];

        while (!list_is_empty(slot))
            timer_clear(container_of(slot->next, struct timer, link));
    }
}

void wheel_fini(struct wheel *wheel)
{
    ring_fini(&wheel->near);
    ring_fini(&wheel->far);
}
