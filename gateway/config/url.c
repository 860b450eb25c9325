/* SPDX-License-Identifier: Apache-2.0 */
/* url.c - URLs, taken apart.      Runs on: control thread.
 * What is wrong is told without a word of the URL, for there may be a password in it. */
#include "config/url.h"

#include <limits.h>
#include <string.h>
#include <sys/un.h>

#include "config/value.h"

#define HOST_MAX       253
#define USERINFO_MAX   512
#define REDIS_PORT     6379
#define SENTINEL_PORT  26379
#define REDIS_DB_MAX   65535
#define HTTP_PORT      80
#define HOST_PORT_SIZE (HOST_MAX + sizeof("[]:65535"))

/* Cuts t at the first such character: *out is what stands before it, t what follows.  False: it is not there. */
static bool cut(struct text *t, char at, struct text *out)
{
    const char *found = t->len > 0 ? memchr(t->ptr, at, t->len) : NULL;

    if (!found)
        return false;
    *out = (struct text){t->ptr, (size_t)(found - t->ptr)};
    *t = (struct text){found + 1, t->len - out->len - 1};
    return true;
}

static bool cut_prefix(struct text *t, struct text prefix)
{
    if (t->len < prefix.len || !text_equal_nocase((struct text){t->ptr, prefix.len}, prefix))
        return false;
    t->ptr += prefix.len;
    t->len -= prefix.len;
    return true;
}

/* Up to the first '/' or '?'; t is left with that and the rest. */
static struct text cut_authority(struct text *t)
{
    size_t len = 0;

    while (len < t->len && t->ptr[len] != '/' && t->ptr[len] != '?')
        len++;
    struct text authority = {t->ptr, len};
    t->ptr += len;
    t->len -= len;
    return authority;
}

static enum status parse_port(struct text t, int *out)
{
    int64_t port;
    enum status st = value_integer(t, &port);

    if (st || port < 1 || port > 65535)
        return ST_INVALID;
    *out = (int)port;
    return ST_OK;
}

static bool is_ipv6(struct text host)
{
    char buf[64];
    struct text_out out;
    struct address address;

    text_out_init(&out, buf, sizeof(buf));
    text_out_printf(&out, "[%.*s]:0", TEXT_ARG(host));
    return !out.is_full && address_parse(text_out_text(&out), &address) == ST_OK;
}

/* host, host:port, [v6] or [v6]:port. */
static enum status split_host_port(struct text authority, struct text *host, int *port)
{
    struct text rest = authority;

    if (rest.len > 0 && rest.ptr[0] == '[') {
        rest.ptr++;
        rest.len--;
        if (!cut(&rest, ']', host) || !is_ipv6(*host))
            return ST_INVALID;
        if (rest.len == 0)
            return ST_OK;
        if (rest.ptr[0] != ':')
            return ST_INVALID;
        return parse_port((struct text){rest.ptr + 1, rest.len - 1}, port);
    }
    bool has_port = cut(&rest, ':', host);
    if (!has_port)
        *host = rest;
    if (!value_is_name(*host, HOST_MAX))
        return ST_INVALID;
    return has_port ? parse_port(rest, port) : ST_OK;
}

static bool has_char(struct text t, char c)
{
    return t.len > 0 && memchr(t.ptr, c, t.len) != NULL;
}

/* --- http --- */

static const char *keep_host_port(struct config_memory *memory, struct text host, int port)
{
    char buf[HOST_PORT_SIZE];
    struct text_out out;
    bool is_v6 = has_char(host, ':');

    text_out_init(&out, buf, sizeof(buf));
    text_out_printf(&out, "%s%.*s%s:%d", is_v6 ? "[" : "", TEXT_ARG(host), is_v6 ? "]" : "", port);
    return memory_text(memory, text_out_text(&out));
}

static enum status complain(const char **why, const char *what)
{
    *why = what;
    return ST_INVALID;
}

enum status url_http(struct text url, struct config_memory *memory, const char **why,
                     struct http_url *out)
{
    struct text rest = url;
    struct text host = TEXT_NONE;
    int port = HTTP_PORT;

    if (cut_prefix(&rest, TEXT("https://")))
        return complain(why, "https is not supported yet, expected an http:// URL");
    if (!cut_prefix(&rest, TEXT("http://")))
        return complain(why, "not an http URL, expected http://host[:port][/path]");
    struct text authority = cut_authority(&rest);
    if (has_char(authority, '@'))
        return complain(why, "a user in a URL, expected http://host[:port][/path]");
    if (split_host_port(authority, &host, &port))
        return complain(why, "wrong host or port, expected http://host[:port][/path]");
    if (rest.len > 0 && (!value_is_visible(rest) || rest.ptr[0] != '/' || has_char(rest, '#')))
        return complain(why, "wrong path, expected http://host[:port][/path]");
    struct http_url made = {
        .host_port = keep_host_port(memory, host, port),
        .path = rest.len > 0 ? memory_text(memory, rest) : "",
    };
    if (!made.host_port || !made.path)
        return ST_NOMEM;
    *out = made;
    return ST_OK;
}

/* --- stores --- */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Percent-decoding (RFC 3986 2.1) of what becomes a C string. */
static enum status keep_decoded(struct config_memory *memory, struct text t, const char **out)
{
    char buf[USERINFO_MAX];
    size_t len = 0;

    if (t.len > sizeof(buf))
        return ST_INVALID;
    for (size_t i = 0; i < t.len; i++) {
        char c = t.ptr[i];
        if (c == '%') {
            int high = i + 2 < t.len ? hex_digit(t.ptr[i + 1]) : -1;
            int low = i + 2 < t.len ? hex_digit(t.ptr[i + 2]) : -1;
            if (high < 0 || low < 0 || high + low == 0)
                return ST_INVALID;
            c = (char)(high * 16 + low);
            i += 2;
        }
        buf[len++] = c;
    }
    *out = memory_text(memory, (struct text){buf, len});
    return *out ? ST_OK : ST_NOMEM;
}

/* [user]:password of what stands before the last '@', if anything does. */
static enum status take_userinfo(struct text *authority, struct config_memory *memory,
                                 struct store_url *out)
{
    const char *at = authority->len > 0 ? memrchr(authority->ptr, '@', authority->len) : NULL;
    struct text user;

    if (!at)
        return ST_OK;
    struct text password = {authority->ptr, (size_t)(at - authority->ptr)};
    authority->len -= password.len + 1;
    authority->ptr = at + 1;
    if (!cut(&password, ':', &user) || password.len == 0)
        return ST_INVALID;
    enum status st = keep_decoded(memory, password, &out->password);
    if (!st && user.len > 0)
        st = keep_decoded(memory, user, &out->user);
    return st;
}

static enum status keep_path(struct text path, struct config_memory *memory, struct store_url *out)
{
    if (!value_is_line(path) || path.ptr[0] != '/' || has_char(path, '?') || has_char(path, '#'))
        return ST_INVALID;
    out->path = memory_text(memory, path);
    return out->path ? ST_OK : ST_NOMEM;
}

static enum status embedded_url(struct text rest, struct config_memory *memory, const char **why,
                                struct store_url *out)
{
    out->kind = STORE_EMBEDDED;
    enum status st = keep_path(rest, memory, out);
    if (st == ST_INVALID || rest.len > PATH_MAX / 2)
        return complain(why, "wrong folder, expected embedded:///folder");
    return st;
}

#define USERINFO_WRONG                                                                             \
    "wrong user or password, expected [user]:password@ with special characters as %XX"

/* "", "?db=" and a number. */
static enum status parse_query(struct text query, int *out_db)
{
    int64_t db;

    if (query.len == 0)
        return ST_OK;
    if (!cut_prefix(&query, TEXT("db=")) || value_integer(query, &db) || db > REDIS_DB_MAX)
        return ST_INVALID;
    *out_db = (int)db;
    return ST_OK;
}

static enum status unix_url(struct text rest, struct config_memory *memory, const char **why,
                            struct store_url *out)
{
    struct text authority = cut_authority(&rest);
    enum status st = take_userinfo(&authority, memory, out);
    struct text path = rest;

    out->kind = STORE_REDIS;
    out->topology = TOPOLOGY_SINGLE;
    if (st == ST_INVALID)
        return complain(why, USERINFO_WRONG);
    if (st)
        return st;
    if (cut(&rest, '?', &path) && (rest.len == 0 || parse_query(rest, &out->db)))
        return complain(why, "wrong database, expected redis+unix:///path?db=0");
    st = keep_path(path, memory, out);
    if (st == ST_INVALID || authority.len > 0 ||
        path.len >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
        return complain(why,
                        "wrong socket, expected redis+unix:///path (at most 107 bytes of path)");
    return st;
}

/* "", "/" or "/number". */
static enum status parse_db(struct text rest, int *out)
{
    int64_t db = 0;

    if (rest.len > 0 && rest.ptr[0] != '/')
        return ST_INVALID;
    if (rest.len > 1) {
        enum status st = value_integer((struct text){rest.ptr + 1, rest.len - 1}, &db);
        if (st || db > REDIS_DB_MAX)
            return ST_INVALID;
    }
    *out = (int)db;
    return ST_OK;
}

/* [[user]:password@]host[:port],...: at most so many hosts. */
static enum status read_hosts(struct text *rest, int port, int hosts_max,
                              struct config_memory *memory, const char **why, struct store_url *out)
{
    struct text authority = cut_authority(rest);
    struct text host;
    enum status st = take_userinfo(&authority, memory, out);

    if (st == ST_INVALID)
        return complain(why, USERINFO_WRONG);
    if (st)
        return st;
    if (authority.len == 0 || authority.ptr[authority.len - 1] == ',')
        return complain(why, NULL);
    while (text_next(&authority, ',', &host)) {
        struct store_host *made = &out->hosts[out->hosts_len];
        struct text name = TEXT_NONE;

        if (out->hosts_len == hosts_max)
            return complain(why, NULL);
        made->port = port;
        if (split_host_port(host, &name, &made->port))
            return complain(why, NULL);
        made->name = memory_text(memory, name);
        if (!made->name)
            return ST_NOMEM;
        out->hosts_len++;
    }
    return ST_OK;
}

static enum status redis_url(struct text rest, struct config_memory *memory, const char **why,
                             struct store_url *out)
{
    enum status st = read_hosts(&rest, REDIS_PORT, 1, memory, why, out);

    out->kind = STORE_REDIS;
    out->topology = TOPOLOGY_SINGLE;
    if (st == ST_INVALID && !*why)
        *why = "wrong host or port, expected redis://[user:password@]host[:port][/db]";
    if (!st && parse_db(rest, &out->db))
        return complain(why, "wrong database, expected a number: redis://host:port/0");
    return st;
}

/* "/master" or "/master/db"; the name as Sentinel allows it. */
static enum status read_master(struct text rest, struct config_memory *memory,
                               struct store_url *out)
{
    struct text name;

    if (!cut_prefix(&rest, TEXT("/")))
        return ST_INVALID;
    name = rest;
    if (cut(&rest, '/', &name)) {
        rest = (struct text){rest.ptr - 1, rest.len + 1};
        if (parse_db(rest, &out->db))
            return ST_INVALID;
    }
    if (!value_is_name(name, HOST_MAX))
        return ST_INVALID;
    out->master = memory_text(memory, name);
    return out->master ? ST_OK : ST_NOMEM;
}

#define SENTINEL_FORM "redis+sentinel://[user:password@]host[:port],host,.../master[/db]"

static enum status sentinel_url(struct text rest, struct config_memory *memory, const char **why,
                                struct store_url *out)
{
    enum status st = read_hosts(&rest, SENTINEL_PORT, STORE_HOSTS_MAX, memory, why, out);

    out->kind = STORE_REDIS;
    out->topology = TOPOLOGY_SENTINEL;
    if (st == ST_INVALID && !*why)
        *why = "wrong hosts (1 to 16), expected " SENTINEL_FORM;
    if (st)
        return st;
    st = read_master(rest, memory, out);
    if (st == ST_INVALID)
        *why = "wrong name of the master, or database, expected " SENTINEL_FORM;
    return st;
}

#define CLUSTER_FORM "redis+cluster://[user:password@]host[:port],host,..."

static enum status cluster_url(struct text rest, struct config_memory *memory, const char **why,
                               struct store_url *out)
{
    enum status st = read_hosts(&rest, REDIS_PORT, STORE_HOSTS_MAX, memory, why, out);

    out->kind = STORE_REDIS;
    out->topology = TOPOLOGY_CLUSTER;
    if (st == ST_INVALID && !*why)
        *why = "wrong hosts (1 to 16), expected " CLUSTER_FORM;
    if (!st && (parse_db(rest, &out->db) || out->db != 0))
        return complain(why, "a Cluster has no databases, expected " CLUSTER_FORM);
    return st;
}

enum status url_store(struct text url, struct config_memory *memory, const char **why,
                      struct store_url *out)
{
    static const struct scheme {
        const char *prefix;
        bool is_tls;
        enum status (*read)(struct text rest, struct config_memory *memory, const char **why,
                            struct store_url *out);
    } schemes[] = {
        {"embedded://", false, embedded_url},
        {"redis+unix://", false, unix_url},
        {"redis://", false, redis_url},
        {"rediss://", true, redis_url},
        {"redis+sentinel://", false, sentinel_url},
        {"rediss+sentinel://", true, sentinel_url},
        {"redis+cluster://", false, cluster_url},
        {"rediss+cluster://", true, cluster_url},
    };
    struct text rest = url;

    for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
        struct store_url made = {.is_tls = schemes[i].is_tls};

        if (!cut_prefix(&rest, text_of(schemes[i].prefix)))
            continue;
        *why = NULL;
        enum status st = schemes[i].read(rest, memory, why, &made);
        if (!st)
            *out = made;
        return st;
    }
    return complain(why, "no such kind of store, expected embedded:///folder, "
                         "redis://[user:password@]host[:port][/db], redis+unix:///path, "
                         "redis+sentinel://host,.../master or redis+cluster://host,... "
                         "(rediss: over TLS)");
}
