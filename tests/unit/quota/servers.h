/* SPDX-License-Identifier: Apache-2.0 */
/* servers.h - redis-servers of a test, on TCP ports of their own and with a Unix socket on which the test talks to them;
 * each ends with the test, however that ends. */
#pragma once

#include <hiredis/hiredis.h>
#include <sys/types.h>

#define SERVER_NO_PORT (-1) /* the socket alone */

struct server {
    pid_t pid; /* 0: not running */
    int port;  /* 0: one is chosen when it starts */
    char dir[64];
    char socket[96];
    redisContext *side;
};

/* A port that was free a moment ago, as was the one 10,000 above it. */
int server_port(void);
/* With options, NULL-terminated, behind those that it always has (a port among them).  Started again, it finds its data. */
void server_start(struct server *server, const char *const *options);
void server_kill(struct server *server);
void server_remove(struct server *server);

/* The answer as a number: an integer, a text's value, an array's length; 0 for nil, 1 for OK, -1 for an error. */
long long server_ask(struct server *server, const char *format, ...);
/* The answer as a text, valid until the next one. */
const char *server_text(struct server *server, const char *format, ...);

#define CLUSTER_NODES 3

/* Masters that share the slots evenly. */
struct server_cluster {
    struct server nodes[CLUSTER_NODES];
    char ids[CLUSTER_NODES][48];
};

void cluster_start(struct server_cluster *cluster);
void cluster_remove(struct server_cluster *cluster);
void cluster_restart_node(struct server_cluster *cluster, int node);
/* The first and the last step of moving a slot, and the middle one: a key. */
void cluster_move_begin(struct server_cluster *cluster, int slot, int from, int to);
void cluster_move_key(struct server_cluster *cluster, int from, int to, const char *key);
void cluster_move_all(struct server_cluster *cluster, int slot, int from, int to);
void cluster_move_end(struct server_cluster *cluster, int slot, int from, int to);
