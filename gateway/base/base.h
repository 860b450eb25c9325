/* SPDX-License-Identifier: Apache-2.0 */
/* base.h - what every file may assume: fixed-width integers, ASSERT, and a few macros. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MUST_CHECK                         __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt_index, args_index) __attribute__((format(printf, fmt_index, args_index)))
#define UNUSED(name)                       ((void)(name))

#define ARRAY_LEN(array) (sizeof(array) / sizeof((array)[0]))

/* Each of the two is worked out once: a clock that is read in them stays as it was. */
#define MIN(a, b)          PICK_(<, a, b, __COUNTER__)
#define MAX(a, b)          PICK_(>, a, b, __COUNTER__)
#define PICK_(op, a, b, n) PICK_NTH_(op, a, b, n)
#define PICK_NTH_(op, a, b, n)                                                                     \
    ({                                                                                             \
        __auto_type a_##n = (a);                                                                   \
        __auto_type b_##n = (b);                                                                   \
        a_##n op b_##n ? a_##n : b_##n;                                                            \
    })

/* The struct that embeds *ptr as its member. */
#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/* A condition that only a bug can break.  Always on: logs the place and aborts. */
#define ASSERT(cond) ((cond) ? (void)0 : assert_failed(__FILE__, __LINE__, #cond))

_Noreturn void assert_failed(const char *file, int line, const char *what);
