/* SPDX-License-Identifier: Apache-2.0 */
/* policy_message.c - the message in the client's language.
 *
 * Languages are chosen by RFC 4647 basic filtering, turned round: a message is written in one primary language, so a
 * range counts by its first subtag.  The closest range decides about a message: "ko" before "ko-KR" before "*". */

#include "core/policy.h"

/* More ranges than this are not read: a long field buys no time of ours. */
#define RANGES_MAX  64
#define SUBTAG_MAX  8
#define QUALITY_MAX 1000

/* How a language range speaks of a message. */
enum closeness { CLOSE_NOT, CLOSE_ANY, CLOSE_REGION, CLOSE_EXACT };

struct range {
    struct text primary; /* the first subtag, or "*" */
    bool is_primary_only;
    int quality;  /* thousandths */
    int position; /* in the field: of equals the first is preferred */
};

/* What the field says of one message.  Unmentioned is worse than any wish, and better than an exclusion (q=0). */
struct wish {
    enum closeness closeness;
    int quality;
    int position;
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_alpha(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* qvalue of RFC 9110 12.4.2: 0 to 1 with at most three decimals; -1: it is none. */
static int parse_quality(struct text t)
{
    if (t.len < 1 || t.len > 5 || (t.ptr[0] != '0' && t.ptr[0] != '1'))
        return -1;
    if (t.len > 1 && t.ptr[1] != '.')
        return -1;

    int quality = (t.ptr[0] - '0') * QUALITY_MAX;
    int place = QUALITY_MAX / 10;

    for (size_t i = 2; i < t.len; i++) {
        if (!is_digit(t.ptr[i]))
            return -1;
        quality += (t.ptr[i] - '0') * place;
        place /= 10;
    }
    return quality <= QUALITY_MAX ? quality : -1;
}

/* What follows the semicolon: q=qvalue; -1: something else. */
static int parse_weight(struct text t)
{
    if (t.len < 2 || (t.ptr[0] != 'q' && t.ptr[0] != 'Q') || t.ptr[1] != '=')
        return -1;
    return parse_quality((struct text){t.ptr + 2, t.len - 2});
}

/* RFC 4647 2.1: "*", or 1 to 8 letters and then 1 to 8 letters or digits a subtag. */
static bool is_language_range(struct text t)
{
    struct text rest = t;
    struct text subtag;
    bool is_first = true;

    if (text_equal(t, TEXT("*")))
        return true;
    if (t.len == 0 || t.ptr[t.len - 1] == '-')
        return false;
    while (text_next(&rest, '-', &subtag)) {
        if (subtag.len < 1 || subtag.len > SUBTAG_MAX)
            return false;
        for (size_t i = 0; i < subtag.len; i++)
            if (!is_alpha(subtag.ptr[i]) && (is_first || !is_digit(subtag.ptr[i])))
                return false;
        is_first = false;
    }
    return true;
}

/* One element of the field.  False: malformed; it is passed over. */
static bool parse_range(struct text element, int position, struct range *out)
{
    struct text rest = element;
    struct text tag;

    if (!text_next(&rest, ';', &tag) || !is_language_range(tag))
        return false;

    bool has_weight = tag.len < element.len;
    int quality = has_weight ? parse_weight(text_trim(rest)) : QUALITY_MAX;
    struct text subtags = tag;

    if (quality < 0 || !text_next(&subtags, '-', &out->primary))
        return false;
    out->is_primary_only = out->primary.len == tag.len;
    out->quality = quality;
    out->position = position;
    return true;
}

static enum closeness closeness_of(const struct range *range, const struct message *message)
{
    if (text_equal(range->primary, TEXT("*")))
        return CLOSE_ANY;
    if (!text_equal_nocase(range->primary, text_of(message->language)))
        return CLOSE_NOT;
    return range->is_primary_only ? CLOSE_EXACT : CLOSE_REGION;
}

static void wish_add(struct wish *wish, const struct range *range, const struct message *message)
{
    enum closeness closeness = closeness_of(range, message);

    if (closeness == CLOSE_NOT || closeness < wish->closeness)
        return;
    if (closeness == wish->closeness && range->quality <= wish->quality)
        return;
    *wish = (struct wish){closeness, range->quality, range->position};
}

/* Wanted, not mentioned, excluded: in this order. */
static int wish_rank(const struct wish *wish)
{
    if (wish->closeness == CLOSE_NOT)
        return 0;
    return wish->quality > 0 ? wish->quality : -1;
}

static bool is_better(const struct wish *a, const struct wish *b)
{
    if (wish_rank(a) != wish_rank(b))
        return wish_rank(a) > wish_rank(b);
    return a->position < b->position;
}

const struct message *policy_message(const struct policy *policy, struct text accept_language)
{
    struct wish wishes[MESSAGES_MAX] = {{.closeness = CLOSE_NOT}};
    struct text element;
    int best = 0;

    ASSERT(policy->messages_len >= 1 && policy->messages_len <= MESSAGES_MAX);
    for (int n = 0; n < RANGES_MAX && text_next(&accept_language, ',', &element); n++) {
        struct range range;

        if (!parse_range(element, n, &range))
            continue;
        for (int i = 0; i < policy->messages_len; i++)
            wish_add(&wishes[i], &range, &policy->messages[i]);
    }
    for (int i = 1; i < policy->messages_len; i++)
        if (is_better(&wishes[i], &wishes[best]))
            best = i;
    return &policy->messages[best];
}
