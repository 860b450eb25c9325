/* SPDX-License-Identifier: Apache-2.0 */
/* service_rows.c - two pages of sums.      Runs on: the store's thread. */

#include "quota/service_rows.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/log.h"
#include "quota/store.h"

#define VERSION UINT64_C(0x6d67207365727601)
/* A window is kept for a quarter of an hour: sixteen minutes of two measures, and some hours and days. */
#define ROWS_MAX 64

/* As on disk, in this machine's byte order: the file never leaves it. */
struct row {
    int64_t number; /* of service_row() */
    int64_t ordinal;
    int64_t end_s;
    int64_t leased_units;
};

struct page {
    uint64_t version;
    uint64_t serial; /* the larger one counts */
    int64_t len;
    struct row rows[ROWS_MAX];
    unsigned char hash[HASH_LEN]; /* of all before it */
};

_Static_assert(sizeof(struct page) == 24 + ROWS_MAX * sizeof(struct row) + HASH_LEN,
               "no padding is written");

struct service_rows {
    int fd;
    bool is_changed;
    bool is_failing;
    struct page page;    /* with what was claimed since */
    struct page written; /* as on disk */
};

static void hash_page(const struct page *page, unsigned char out[HASH_LEN])
{
    hash_128((struct text){(const char *)page, offsetof(struct page, hash)}, 0, out);
}

static bool is_whole(const struct page *page)
{
    unsigned char hash[HASH_LEN];

    hash_page(page, hash);
    return page->version == VERSION && page->len >= 0 && page->len <= ROWS_MAX &&
           memcmp(hash, page->hash, sizeof(hash)) == 0;
}

static off_t place_of(const struct page *page)
{
    return (off_t)((page->serial + 1) % 2 * sizeof(*page)); /* the first one is 1 */
}

/* Where the first write of all was cut short, nothing had been leased. */
static enum status load(struct service_rows *rows)
{
    struct page pages[2];
    ssize_t len = pread(rows->fd, pages, sizeof(pages), 0);
    bool has_first = len >= (ssize_t)sizeof(pages[0]) && is_whole(&pages[0]);
    bool has_second = len == (ssize_t)sizeof(pages) && is_whole(&pages[1]);

    if (len < 0)
        return ST_UNAVAILABLE;
    if (!has_first && !has_second)
        return len <= (ssize_t)sizeof(pages[0]) ? ST_OK : ST_INVALID;
    rows->page =
        has_second && (!has_first || pages[1].serial > pages[0].serial) ? pages[1] : pages[0];
    rows->written = rows->page;
    return ST_OK;
}

/* The file's name is on disk, too. */
static bool sync_folder(const char *folder)
{
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool is_synced = fd >= 0 && fsync(fd) == 0;

    if (fd >= 0)
        close(fd);
    return is_synced;
}

static enum status open_file(struct service_rows *rows, const char *folder, struct text_out *error)
{
    char file[PATH_MAX];
    int len = snprintf(file, sizeof(file), "%s/service", folder);

    if (len < 0 || (size_t)len >= sizeof(file)) {
        text_out_printf(error, "cannot use %s: the path is too long", folder);
        return ST_UNAVAILABLE;
    }
    rows->fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (rows->fd < 0 || !sync_folder(folder)) {
        text_out_printf(error, "cannot use %s: %s", file, strerror(errno));
        return ST_UNAVAILABLE;
    }

    enum status st = load(rows);

    if (st == ST_INVALID)
        text_out_printf(error, "%s is damaged, or was made by another version", file);
    else if (st)
        text_out_printf(error, "cannot read %s: %s", file, strerror(errno));
    return st;
}

enum status service_rows_open(const char *folder, struct text_out *error, struct service_rows **out)
{
    struct service_rows *rows = calloc(1, sizeof(*rows));

    if (!rows)
        return ST_NOMEM;
    rows->fd = -1;
    rows->page.version = VERSION;
    rows->written = rows->page;

    enum status st = open_file(rows, folder, error);

    if (st)
        service_rows_close(&rows);
    else
        *out = rows;
    return st;
}

void service_rows_close(struct service_rows **where)
{
    struct service_rows *rows = *where;

    if (!rows)
        return;
    *where = NULL;
    if (rows->fd >= 0)
        close(rows->fd);
    free(rows);
}

static void drop_old(struct page *page, int64_t now_s)
{
    int64_t kept = 0;

    for (int64_t i = 0; i < page->len; i++)
        if (page->rows[i].end_s + SERVICE_KEPT_S > now_s)
            page->rows[kept++] = page->rows[i];
    page->len = kept;
}

static struct row *find(struct page *page, const struct quota_claim *claim)
{
    int64_t number = service_row(&claim->rule);

    for (int64_t i = 0; i < page->len; i++)
        if (page->rows[i].number == number && page->rows[i].ordinal == claim->window.ordinal)
            return &page->rows[i];
    return NULL;
}

static struct row *find_or_add(struct page *page, const struct quota_claim *claim, int64_t now_s)
{
    struct row *row = find(page, claim);

    if (!row)
        drop_old(page, now_s);
    if (row || page->len == ROWS_MAX)
        return row;
    row = &page->rows[page->len++];
    *row = (struct row){.number = service_row(&claim->rule), .ordinal = claim->window.ordinal};
    return row;
}

enum status service_rows_claim(struct service_rows *rows, struct quota_claim *claim, int64_t now_s)
{
    struct row *row = find(&rows->page, claim);

    if (claim->serial == 0) {
        claim->leased_units = row ? row->leased_units : 0;
        return ST_OK;
    }
    if (now_s >= claim->window.end_s + SERVICE_CLAIMED_S)
        return ST_UNAVAILABLE;
    row = find_or_add(&rows->page, claim, now_s);
    if (!row)
        return ST_UNAVAILABLE;
    row->end_s = MAX(row->end_s, claim->window.end_s);
    claim->got_units = service_grant(claim->rule.units, row->leased_units, claim->held_units,
                                     claim->need_units, claim->want_units);
    row->leased_units = MAX(row->leased_units + claim->got_units - claim->held_units, 0);
    claim->leased_units = row->leased_units;
    rows->is_changed = rows->is_changed || claim->got_units != claim->held_units;
    return ST_OK;
}

enum status service_rows_write(struct service_rows *rows)
{
    struct page *page = &rows->page;

    if (!rows->is_changed)
        return ST_OK;
    rows->is_changed = false;
    page->serial++;
    hash_page(page, page->hash);
    if (pwrite(rows->fd, page, sizeof(*page), place_of(page)) == (ssize_t)sizeof(*page) &&
        fdatasync(rows->fd) == 0) {
        rows->written = *page;
        rows->is_failing = false;
        return ST_OK;
    }
    if (!rows->is_failing)
        log_event(LOG_ERROR, "service_rows_failed", "error=\"%m\"");
    rows->is_failing = true;
    *page = rows->written;
    return ST_UNAVAILABLE;
}
