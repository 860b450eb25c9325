/* SPDX-License-Identifier: Apache-2.0 */
/* test_outcome.c - the table of endings. */
#include <criterion/criterion.h>
#include <string.h>

#include "gate/outcome.h"

Test(outcome, each_has_a_word_of_its_own)
{
    for (int a = 0; a < OUTCOMES_LEN; a++) {
        const char *word = outcome_rows[a].word;

        cr_assert_gt(strlen(word), 0);
        cr_assert_eq(strspn(word, "abcdefghijklmnopqrstuvwxyz_0123456789"), strlen(word), "%s",
                     word);
        for (int b = 0; b < a; b++)
            cr_assert_str_neq(word, outcome_rows[b].word);
    }
}

Test(outcome, own_answers_are_errors_and_cost_nothing)
{
    for (int i = 1; i < OUTCOMES_LEN; i++) {
        const struct outcome_row *row = &outcome_rows[i];

        if (!row->status)
            continue;
        cr_assert(row->status >= 400 && row->status <= 599, "%s", row->word);
        cr_assert_eq(row->charge, CHARGE_NOTHING, "%s", row->word);
        cr_assert_not_null(row->type, "%s", row->word);
        cr_assert(row->message || row->status == 503, "%s", row->word);
    }
}

Test(outcome, each_reason_to_refuse_is_an_outcome_of_the_same_word)
{
    for (enum reason reason = REASON_TOO_MANY_IMAGES; reason <= REASON_QUEUE_FULL; reason++) {
        const struct outcome_row *row = &outcome_rows[outcome_of_reason(reason)];

        cr_assert_str_eq(row->word, admission_reason_name(reason));
        cr_assert_eq(row->status, reason == REASON_TOO_MANY_IMAGES ? 400 : 503);
    }
}

Test(outcome, problem_types_are_those_of_the_draft)
{
    cr_assert_null(problem_uri(PROBLEM_NONE));
    cr_assert(strstr(problem_uri(PROBLEM_QUOTA), "#quota-exceeded"));
    cr_assert(strstr(problem_uri(PROBLEM_CAPACITY), "#temporary-reduced-capacity"));
}
