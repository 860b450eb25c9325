/* SPDX-License-Identifier: Apache-2.0 */
/* servers.c - see servers.h. */

#include "unit/quota/servers.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/base.h"

#define TRIES_MAX 2000
#define SLOTS     16384

static void pause_ms(int ms)
{
    const struct timespec pause = {.tv_nsec = ms * 1000000L};

    nanosleep(&pause, NULL);
}

static bool is_free(int port)
{
    struct sockaddr_in in = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    bool is_bound = bind(fd, (struct sockaddr *)&in, sizeof(in)) == 0;

    close(fd);
    return is_bound;
}

/* Below the ports that the kernel gives to clients. */
int server_port(void)
{
    static unsigned seed = 0;

    if (seed == 0)
        seed = (unsigned)getpid() * 2654435761U;
    for (;;) {
        int port = 12000 + (int)((unsigned)rand_r(&seed) % 10000);

        if (is_free(port) && is_free(port + 10000))
            return port;
    }
}

static void exec_server(const struct server *server, const char *const *options)
{
    char port[16];
    const char *args[48] = {
        "redis-server", "--port",        port,        "--bind", "127.0.0.1", "--unixsocket",
        server->socket, "--dir",         server->dir, "--save", "",          "--appendonly",
        "yes",          "--appendfsync", "no"};
    int len = 15;
    int null = open("/dev/null", O_RDWR);

    snprintf(port, sizeof(port), "%d", MAX(server->port, 0));
    while (*options)
        args[len++] = *options++;
    dup2(null, 1);
    dup2(null, 2);
    execvp(args[0], (char *const *)(uintptr_t)args);
    _exit(127);
}

void server_start(struct server *server, const char *const *options)
{
    pid_t parent = getpid();

    if (server->dir[0] == '\0') {
        strcpy(server->dir, "/tmp/mg-server-XXXXXX");
        cr_assert(mkdtemp(server->dir));
        snprintf(server->socket, sizeof(server->socket), "%s/redis.sock", server->dir);
    }
    if (server->port == 0)
        server->port = server_port();
    unlink(server->socket);
    server->pid = fork();
    cr_assert(server->pid >= 0);
    if (server->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() == parent)
            exec_server(server, options);
        _exit(127);
    }
    for (int tries = 0; tries < TRIES_MAX; tries++) {
        server->side = redisConnectUnix(server->socket);
        if (server->side && !server->side->err && server_ask(server, "PING") >= 0)
            return;
        redisFree(server->side);
        server->side = NULL;
        pause_ms(5);
    }
    cr_assert_fail("redis-server does not start");
}

void server_kill(struct server *server)
{
    if (server->side)
        redisFree(server->side);
    server->side = NULL;
    if (server->pid <= 0)
        return;
    kill(server->pid, SIGKILL);
    kill(server->pid, SIGCONT);
    waitpid(server->pid, NULL, 0);
    server->pid = 0;
}

static int remove_one(const char *path, const struct stat *stat_of, int kind, struct FTW *ftw)
{
    UNUSED(stat_of);
    UNUSED(kind);
    UNUSED(ftw);
    return remove(path);
}

void server_remove(struct server *server)
{
    server_kill(server);
    if (server->dir[0])
        nftw(server->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static long long number_of(const redisReply *reply)
{
    switch (reply->type) {
    case REDIS_REPLY_INTEGER:
        return reply->integer;
    case REDIS_REPLY_ARRAY:
        return (long long)reply->elements;
    case REDIS_REPLY_STRING:
        return atoll(reply->str);
    case REDIS_REPLY_NIL:
        return 0;
    case REDIS_REPLY_STATUS:
        return 1;
    default:
        return -1;
    }
}

long long server_ask(struct server *server, const char *format, ...)
{
    va_list args;
    long long number = -1;

    va_start(args, format);
    redisReply *reply = redisvCommand(server->side, format, args);
    va_end(args);
    if (!reply)
        return -1;
    number = number_of(reply);
    freeReplyObject(reply);
    return number;
}

const char *server_text(struct server *server, const char *format, ...)
{
    static char text[8192];
    va_list args;

    va_start(args, format);
    redisReply *reply = redisvCommand(server->side, format, args);
    va_end(args);
    cr_assert(reply && reply->str);
    snprintf(text, sizeof(text), "%s", reply->str);
    freeReplyObject(reply);
    return text;
}

/* --- a Cluster --- */

static const char *const node_options[] = {"--cluster-enabled",
                                           "yes",
                                           "--cluster-node-timeout",
                                           "1000",
                                           "--cluster-require-full-coverage",
                                           "no",
                                           NULL};

static bool is_joined(struct server *node)
{
    const char *facts = server_text(node, "CLUSTER INFO");

    return strstr(facts, "cluster_state:ok") && strstr(facts, "cluster_slots_assigned:16384") &&
           strstr(facts, "cluster_known_nodes:3");
}

static bool is_whole(struct server_cluster *cluster)
{
    for (int i = 0; i < CLUSTER_NODES; i++)
        if (!is_joined(&cluster->nodes[i]))
            return false;
    return true;
}

void cluster_start(struct server_cluster *cluster)
{
    memset(cluster, 0, sizeof(*cluster));
    for (int i = 0; i < CLUSTER_NODES; i++) {
        struct server *node = &cluster->nodes[i];

        server_start(node, node_options);
        strcpy(cluster->ids[i], server_text(node, "CLUSTER MYID"));
        cr_assert_eq(server_ask(node, "CLUSTER ADDSLOTSRANGE %d %d", SLOTS * i / CLUSTER_NODES,
                                SLOTS * (i + 1) / CLUSTER_NODES - 1),
                     1);
        cr_assert_eq(server_ask(node, "CLUSTER SET-CONFIG-EPOCH %d", i + 1), 1);
    }
    for (int i = 1; i < CLUSTER_NODES; i++)
        cr_assert_eq(
            server_ask(&cluster->nodes[i], "CLUSTER MEET 127.0.0.1 %d", cluster->nodes[0].port), 1);
    for (int tries = 0; !is_whole(cluster); tries++) {
        cr_assert(tries < TRIES_MAX, "the nodes do not meet");
        pause_ms(5);
    }
}

void cluster_restart_node(struct server_cluster *cluster, int node)
{
    server_start(&cluster->nodes[node], node_options);
}

void cluster_remove(struct server_cluster *cluster)
{
    for (int i = 0; i < CLUSTER_NODES; i++)
        server_remove(&cluster->nodes[i]);
}

void cluster_move_begin(struct server_cluster *cluster, int slot, int from, int to)
{
    cr_assert_eq(server_ask(&cluster->nodes[to], "CLUSTER SETSLOT %d IMPORTING %s", slot,
                            cluster->ids[from]),
                 1);
    cr_assert_eq(server_ask(&cluster->nodes[from], "CLUSTER SETSLOT %d MIGRATING %s", slot,
                            cluster->ids[to]),
                 1);
}

void cluster_move_key(struct server_cluster *cluster, int from, int to, const char *key)
{
    cr_assert_eq(server_ask(&cluster->nodes[from], "MIGRATE 127.0.0.1 %d %s 0 5000",
                            cluster->nodes[to].port, key),
                 1);
}

void cluster_move_all(struct server_cluster *cluster, int slot, int from, int to)
{
    for (;;) {
        redisReply *keys =
            redisCommand(cluster->nodes[from].side, "CLUSTER GETKEYSINSLOT %d 1", slot);

        cr_assert(keys && keys->type == REDIS_REPLY_ARRAY);
        if (keys->elements > 0)
            cluster_move_key(cluster, from, to, keys->element[0]->str);

        bool is_done = keys->elements == 0;

        freeReplyObject(keys);
        if (is_done)
            return;
    }
}

void cluster_move_end(struct server_cluster *cluster, int slot, int from, int to)
{
    int order[CLUSTER_NODES] = {to, from, CLUSTER_NODES - to - from};

    for (int i = 0; i < CLUSTER_NODES; i++)
        cr_assert_eq(server_ask(&cluster->nodes[order[i]], "CLUSTER SETSLOT %d NODE %s", slot,
                                cluster->ids[to]),
                     1);
}
