/* SPDX-License-Identifier: Apache-2.0 */
/* pacing.c - no pacing over the loopback.      Runs on: any thread. */
#include "net/pacing.h"

#include <netinet/tcp.h>

void pacing_avoid(int fd, const struct address *address)
{
    static const char UNPACED[] = "reno";

    if (address_is_loopback(address))
        setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, UNPACED, sizeof(UNPACED) - 1);
}
