/* SPDX-License-Identifier: Apache-2.0 */
/* pacing.h - no pacing where there is no network.
 *
 * Where the machine's congestion control is BBR, which suits a gateway to the internet, the kernel spreads what a socket
 * sends over time, by a timer for every piece (tcp_output.c: tcp_pacing_check; draft-ietf-ccwg-bbr).  Over the loopback
 * that costs more than all the rest of relaying an image, and gains nothing: nothing queues there, and nothing is lost.
 * Such sockets use Reno, which every kernel has and every user may choose.  Once paced, a socket stays so: it must be told
 * before it is connected.  A listener hands it on. */
#pragma once

#include "base/address.h"

/* For a TCP socket that is to listen at that address, or to connect to it. */
void pacing_avoid(int fd, const struct address *address);
