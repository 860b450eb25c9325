/* SPDX-License-Identifier: Apache-2.0 */
/* main.c - the benchmarks' load: runs, and prints one line of JSON. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "run.h"

static double us_at(const struct histogram *h, double share)
{
    return (double)histogram_at(h, share) / 1000.0;
}

static void print_statuses(const struct result *r)
{
    const char *comma = "";

    printf("\"statuses\":{");
    for (int status = 0; status < STATUS_MAX; status++) {
        const struct tally *tally = &r->statuses[status];

        if (tally->count == 0)
            continue;
        printf("%s\"%d\":{\"count\":%lld,\"bytes_min\":%lld,\"bytes_max\":%lld}", comma, status,
               (long long)tally->count, (long long)tally->bytes_min, (long long)tally->bytes_max);
        comma = ",";
    }
    printf("}");
}

static void print(const struct result *r)
{
    const struct histogram *h = &r->latency;

    printf("{\"sent\":%lld,\"answered\":%lld,\"unanswered\":%lld,\"broken\":%lld,"
           "\"reconnects\":%lld,\"seconds\":%.6f,\"per_second\":%.1f,",
           (long long)r->sent, (long long)r->answered, (long long)r->unanswered,
           (long long)r->broken, (long long)r->reconnects, r->seconds,
           r->seconds > 0 ? (double)r->answered / r->seconds : 0.0);
    print_statuses(r);
    printf(",\"latency_us\":{\"p50\":%.1f,\"p90\":%.1f,\"p99\":%.1f,\"p999\":%.1f,\"max\":%.1f}}\n",
           us_at(h, 0.5), us_at(h, 0.9), us_at(h, 0.99), us_at(h, 0.999),
           (double)h->max_ns / 1000.0);
    fflush(stdout);
}

static void wait_for_end_of_input(void)
{
    char byte;

    while (read(STDIN_FILENO, &byte, 1) > 0)
        ;
}

int main(int argc, char **argv)
{
    struct options options;
    struct result *result = calloc(1, sizeof(*result));

    if (!result || !options_parse(argc, argv, &options))
        return 2;
    if (!run(&options, result)) {
        fprintf(stderr, "load: cannot begin: %s\n", strerror(errno));
        return 1;
    }
    print(result);
    if (options.is_staying)
        wait_for_end_of_input();
    free(result);
    return 0;
}
