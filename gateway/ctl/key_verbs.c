/* SPDX-License-Identifier: Apache-2.0 */
/* key_verbs.c - meltctl key add, revoke, list: keys in a file; those in a keystore are keystore_verbs.c's.
 * A key is made here, printed once, and nowhere else: the file has its SHA-256. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "config/value.h"
#include "config/zone.h"
#include "core/account.h"
#include "ctl/ctl.h"
#include "ctl/keyfile.h"
#include "ctl/keystore_verbs.h"
#include "identity/key_words.h"

/* So many digits of a digest name a key to a person. */
#define SHOWN     12
#define SHOWN_MIN 8

static int fail_file(const struct ctl *ctl, enum status st, const char *why)
{
    return ctl_fail(EXIT_REFUSED, "%s: %s", ctl->keyfile, st == ST_NOMEM ? "no memory" : why);
}

/* The file's text is replaced by *edited, which is freed. */
static int store(const struct ctl *ctl, struct keyfile *file, char *edited)
{
    char why[KEY_WHY_MAX] = "";
    enum status st = keyfile_replace(file, edited, why);

    free(edited);
    return st ? fail_file(ctl, st, why) : EXIT_DONE;
}

static struct text text_of_file(const struct keyfile *file)
{
    return (struct text){file->text, file->len};
}

static void say_reload(void)
{
    fputs("The gateway takes it with: kill -HUP PID\n", stderr);
}

/* --- add ---------------------------------------------------------------------------------------------------------------- */

static int check_names(const struct ctl *ctl)
{
    struct text account = text_of(ctl->object);

    if (account.len > ACCOUNT_ID_MAX || !value_is_visible(account))
        return ctl_fail(EXIT_USAGE, "an account's id is 1 to %d visible ASCII characters",
                        ACCOUNT_ID_MAX);
    if (!value_is_name(text_of(ctl->tier), 64))
        return ctl_fail(EXIT_USAGE, "%s cannot be the name of a tier", ctl->tier);
    if (ctl->team && !value_is_name(text_of(ctl->team), 64))
        return ctl_fail(EXIT_USAGE, "%s cannot be the name of a team", ctl->team);
    if (ctl->timezone && !zone_exists(text_of(ctl->timezone)))
        return ctl_fail(EXIT_USAGE, "%s is no zone of the tz database", ctl->timezone);
    return EXIT_DONE;
}

static void print_added(const struct ctl *ctl, const char *key, const char *sha256)
{
    char buf[1024];
    struct text_out out;

    if (!ctl->is_json) {
        printf("%s\n", key);
        fprintf(stderr, "This key is shown once; the file has only its SHA-256 (%.*s...).\n", SHOWN,
                sha256);
        say_reload();
        return;
    }
    text_out_init(&out, buf, sizeof(buf));
    text_out_printf(&out, "{\"key\":\"%s\",\"sha256\":\"%s\",\"account\":", key, sha256);
    json_out_string(&out, text_of(ctl->object));
    text_out_printf(&out, ",\"tier\":\"%s\"", ctl->tier);
    if (ctl->team)
        text_out_printf(&out, ",\"team\":\"%s\"", ctl->team);
    text_out_char(&out, '}');
    puts(buf);
}

/* The keys of one account must agree on its team and zone, or its quota would be counted in two places: what the file says
 * is taken over, and nothing else is taken. */
static int agree(const struct ctl *ctl, const struct key_list *list, struct key_item *item)
{
    for (int i = 0; i < list->len; i++) {
        const struct key_item *there = &list->items[i];

        if (strcmp(there->account, item->account) != 0)
            continue;
        if ((ctl->team && strcmp(there->team, ctl->team) != 0) ||
            (ctl->timezone && strcmp(there->timezone, ctl->timezone) != 0))
            return ctl_fail(
                EXIT_REFUSED,
                "%s has keys already, with another team or time zone; revoke them first",
                item->account);
        item->team = there->team;
        item->timezone = there->timezone;
        return EXIT_DONE;
    }
    return EXIT_DONE;
}

static int add_to(const struct ctl *ctl, struct keyfile *file, const char *sha256)
{
    char why[KEY_WHY_MAX] = "";
    char *edited = NULL;
    struct key_list list;
    struct key_item item = {.sha256 = sha256,
                            .account = ctl->object,
                            .tier = ctl->tier,
                            .team = ctl->team ? ctl->team : "",
                            .timezone = ctl->timezone ? ctl->timezone : ""};
    enum status st = key_text_read(text_of_file(file), &list, why);

    if (st)
        return fail_file(ctl, st, why);
    int code = agree(ctl, &list, &item);
    if (code == EXIT_DONE) {
        st = key_text_add(text_of_file(file), &item, &edited, why);
        code = st ? fail_file(ctl, st, why) : store(ctl, file, edited);
    }
    key_list_free(&list);
    return code;
}

static int add_to_file(const struct ctl *ctl)
{
    char key[KEY_WORD_MAX], sha256[KEY_DIGEST_MAX], why[KEY_WHY_MAX] = "";
    struct keyfile file;
    int code;

    if (ctl->label)
        return ctl_fail(EXIT_USAGE, "a key in a file has no label");
    enum status st = keyfile_open(ctl->keyfile, true, &file, why);
    if (st)
        return fail_file(ctl, st, why);
    key_word_new(key);
    key_word_digest(text_of(key), sha256);
    code = add_to(ctl, &file, sha256);
    if (code == EXIT_DONE)
        print_added(ctl, key, sha256);
    keyfile_close(&file);
    explicit_bzero(key, sizeof(key));
    return code;
}

int key_add(const struct ctl *ctl)
{
    int code = check_names(ctl);

    if (code)
        return code;
    return ctl->keyfile ? add_to_file(ctl) : keystore_add(ctl);
}

/* --- list --------------------------------------------------------------------------------------------------------------- */

static void print_item(const struct key_item *item, bool is_json, bool is_first)
{
    char buf[1024];
    struct text_out out;

    if (!is_json) {
        printf("%-*.*s  %-24s  %-12s  %s\n", SHOWN, SHOWN, item->sha256, item->account, item->tier,
               item->team);
        return;
    }
    text_out_init(&out, buf, sizeof(buf));
    text_out_add(&out, is_first ? TEXT("") : TEXT(","));
    text_out_add(&out, TEXT("{\"sha256\":"));
    json_out_string(&out, text_of(item->sha256));
    text_out_add(&out, TEXT(",\"account\":"));
    json_out_string(&out, text_of(item->account));
    text_out_add(&out, TEXT(",\"tier\":"));
    json_out_string(&out, text_of(item->tier));
    text_out_add(&out, TEXT(",\"team\":"));
    if (*item->team)
        json_out_string(&out, text_of(item->team));
    else
        text_out_add(&out, TEXT("null"));
    text_out_char(&out, '}');
    fputs(buf, stdout);
}

static void print_list(const struct ctl *ctl, const struct key_list *list)
{
    bool is_first = true;

    if (ctl->is_json)
        fputs("{\"keys\":[", stdout);
    else
        printf("%-*s  %-24s  %-12s  %s\n", SHOWN, "SHA-256", "ACCOUNT", "TIER", "TEAM");
    for (int i = 0; i < list->len; i++) {
        if (ctl->object && strcmp(ctl->object, list->items[i].account) != 0)
            continue;
        print_item(&list->items[i], ctl->is_json, is_first);
        is_first = false;
    }
    if (ctl->is_json)
        fputs("]}\n", stdout);
}

static int list_file(const struct ctl *ctl)
{
    char why[KEY_WHY_MAX] = "";
    struct keyfile file;
    struct key_list list;
    enum status st = keyfile_open(ctl->keyfile, false, &file, why);

    if (st)
        return fail_file(ctl, st, why);
    st = key_text_read(text_of_file(&file), &list, why);
    keyfile_close(&file);
    if (st)
        return fail_file(ctl, st, why);
    print_list(ctl, &list);
    key_list_free(&list);
    return EXIT_DONE;
}

int key_list(const struct ctl *ctl)
{
    return ctl->keyfile ? list_file(ctl) : keystore_list(ctl);
}

/* --- revoke ------------------------------------------------------------------------------------------------------------- */

/* The digest, or the beginning of one, that the argument names; "-" reads the key itself from standard input, since an
 * argument can be seen by all users of the machine. */
static int read_wanted(const struct ctl *ctl, char out[KEY_DIGEST_MAX])
{
    char line[KEY_DIGEST_MAX + 1024];
    struct text t = text_of(ctl->object);

    if (text_equal(t, TEXT("-"))) {
        if (!fgets(line, sizeof(line), stdin))
            return ctl_fail(EXIT_USAGE, "no key on standard input");
        line[strcspn(line, "\r\n")] = '\0';
        key_word_digest(text_of(line), out);
        explicit_bzero(line, sizeof(line));
        return EXIT_DONE;
    }
    if (t.len < SHOWN_MIN || t.len >= KEY_DIGEST_MAX ||
        strspn(t.ptr, "0123456789abcdefABCDEF") != t.len)
        return ctl_fail(EXIT_USAGE,
                        "expected at least %d digits of the key's SHA-256, as `meltctl key list` "
                        "shows them, or - to read the key from standard input",
                        SHOWN_MIN);
    memcpy(out, t.ptr, t.len + 1);
    return EXIT_DONE;
}

/* The one item whose digest begins so; -1: none, -2: several. */
static int find(const struct key_list *list, const char *wanted)
{
    int found = -1;

    for (int i = 0; i < list->len; i++) {
        if (strncasecmp(list->items[i].sha256, wanted, strlen(wanted)) != 0)
            continue;
        if (found >= 0)
            return -2;
        found = i;
    }
    return found;
}

static int revoke_from(const struct ctl *ctl, struct keyfile *file, const char *wanted)
{
    char why[KEY_WHY_MAX] = "";
    struct key_list list;
    char *edited = NULL;
    enum status st = key_text_read(text_of_file(file), &list, why);

    if (st)
        return fail_file(ctl, st, why);
    int index = find(&list, wanted);
    int code;
    if (index < 0) {
        code = ctl_fail(EXIT_REFUSED, "%s: %s", ctl->keyfile,
                        index == -1 ? "no such key" : "several keys begin so; give more digits");
    } else {
        st = key_text_remove(text_of_file(file), index, &edited, why);
        code = st ? fail_file(ctl, st, why) : store(ctl, file, edited);
    }
    if (code == EXIT_DONE && ctl->is_json) {
        fputs("{\"revoked\":[", stdout);
        print_item(&list.items[index], true, true);
        fputs("]}\n", stdout);
    } else if (code == EXIT_DONE) {
        printf("revoked %.*s of %s\n", SHOWN, list.items[index].sha256, list.items[index].account);
        say_reload();
    }
    key_list_free(&list);
    return code;
}

static int revoke_in_file(const struct ctl *ctl, const char *wanted)
{
    char why[KEY_WHY_MAX] = "";
    struct keyfile file;

    /* Nothing is revoked from a file that is not there, and none should be made. */
    enum status st = keyfile_open(ctl->keyfile, false, &file, why);
    if (st == ST_OK) {
        keyfile_close(&file);
        st = keyfile_open(ctl->keyfile, true, &file, why);
    }
    if (st)
        return fail_file(ctl, st, why);
    int code = revoke_from(ctl, &file, wanted);
    keyfile_close(&file);
    return code;
}

int key_revoke(const struct ctl *ctl)
{
    char wanted[KEY_DIGEST_MAX];
    int code;

    if (!ctl->object == !ctl->account)
        return ctl_fail(EXIT_USAGE, "key revoke needs KEY or --account, one of them");
    if (ctl->account && ctl->keyfile)
        return ctl_fail(EXIT_USAGE, "--account is for a keystore; of a file, name each key");
    if (ctl->account)
        return keystore_revoke_account(ctl);
    code = read_wanted(ctl, wanted);
    if (code)
        return code;
    return ctl->keyfile ? revoke_in_file(ctl, wanted) : keystore_revoke(ctl, wanted);
}
