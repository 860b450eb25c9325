/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>

#include <pthread.h>

#include "net/mailbox.h"

#define THREADS     4
#define MAIL_A_HEAD 5000

static struct loop *loop;
static struct mailbox *box;

struct letter {
    struct mail mail;
    int from;
    int number;
};

static struct letter letters[THREADS][MAIL_A_HEAD];
static int delivered;
static int last_number[THREADS];

static void deliver(struct mail *mail)
{
    const struct letter *letter = container_of(mail, struct letter, mail);

    cr_assert_eq(letter->number, last_number[letter->from] + 1, "in order of posting");
    last_number[letter->from] = letter->number;
    delivered++;
}

static void begin(void)
{
    cr_assert_eq(loop_new(&loop), ST_OK);
    cr_assert_eq(mailbox_new(loop, &box), ST_OK);
    for (int t = 0; t < THREADS; t++) {
        for (int i = 0; i < MAIL_A_HEAD; i++)
            letters[t][i] = (struct letter){.mail.deliver = deliver, .from = t, .number = i + 1};
    }
}

static void finish(void)
{
    mailbox_free(&box);
    loop_free(&loop);
}

TestSuite(mailbox, .init = begin, .fini = finish);

Test(mailbox, delivers_from_the_loop_in_order)
{
    for (int i = 0; i < 10; i++)
        mailbox_post(box, &letters[0][i].mail);
    cr_assert_eq(delivered, 0);
    loop_run_once(loop, 1000);
    cr_assert_eq(delivered, 10);
    loop_run_once(loop, 0);
    cr_assert_eq(delivered, 10);
    mailbox_post(box, &letters[0][10].mail);
    loop_run_once(loop, 1000);
    cr_assert_eq(delivered, 11);
}

static void *post_all(void *of_thread)
{
    struct letter *mine = of_thread;

    for (int i = 0; i < MAIL_A_HEAD; i++)
        mailbox_post(box, &mine[i].mail);
    return NULL;
}

Test(mailbox, loses_nothing_between_threads)
{
    pthread_t threads[THREADS];

    for (int t = 0; t < THREADS; t++)
        cr_assert_eq(pthread_create(&threads[t], NULL, post_all, letters[t]), 0);
    while (delivered < THREADS * MAIL_A_HEAD)
        loop_run_once(loop, -1);
    for (int t = 0; t < THREADS; t++)
        pthread_join(threads[t], NULL);
    cr_assert_eq(delivered, THREADS * MAIL_A_HEAD);
}

static struct letter reply;

static void deliver_and_post(struct mail *mail)
{
    UNUSED(mail);
    reply = (struct letter){.mail.deliver = deliver, .number = 1};
    mailbox_post(box, &reply.mail);
}

Test(mailbox, mail_may_post_mail)
{
    struct mail mail = {.deliver = deliver_and_post};

    mailbox_post(box, &mail);
    loop_run_once(loop, 1000);
    cr_assert_eq(delivered, 0, "it is for the next turn");
    loop_run_once(loop, 1000);
    cr_assert_eq(delivered, 1);
}

Test(mailbox, free_delivers_what_is_left)
{
    struct mail mail = {.deliver = deliver_and_post};

    mailbox_post(box, &mail);
    mailbox_free(&box);
    cr_assert_eq(delivered, 1);
    cr_assert_null(box);
}
