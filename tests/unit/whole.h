/* SPDX-License-Identifier: Apache-2.0 */
/* whole.h - tests whose begin() and end() are part of them: criterion forgives what fails in a fixture's fini, a crash
 * included, and the checks that everything came back stand there. */
#pragma once

#include <criterion/criterion.h>

#define WHOLE_TEST(suite, name)                                                                    \
    static void suite##_##name##_body(void);                                                       \
    Test(suite, name)                                                                              \
    {                                                                                              \
        begin();                                                                                   \
        suite##_##name##_body();                                                                   \
        end();                                                                                     \
    }                                                                                              \
    static void suite##_##name##_body(void)
