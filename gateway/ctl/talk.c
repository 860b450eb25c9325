/* SPDX-License-Identifier: Apache-2.0 */
/* talk.c - see talk.h. */
#include "ctl/talk.h"

#include <stdlib.h>

#include "base/json.h"

void talk_add_query(struct text_out *out, char before, const char *name, const char *value)
{
    text_out_char(out, before);
    text_out_add(out, text_of(name));
    text_out_char(out, '=');
    call_encode(out, text_of(value));
}

void talk_add_member(struct text_out *out, const char *name, const char *value, bool is_number)
{
    if (!value)
        return;
    text_out_printf(out, "%s\"%s\":", out->len > 1 ? "," : "", name);
    if (is_number)
        text_out_add(out, text_of(value));
    else
        json_out_string(out, text_of(value));
}

int talk_refuse(const struct ctl *ctl, const struct call_answer *answer)
{
    struct text json = {answer->body, answer->len};
    char *why = rows_member(json, "error");
    int code;

    if (ctl->is_json)
        fputs(answer->body, stdout);
    code = ctl_fail(EXIT_REFUSED, "%s (%d)", why && *why ? why : "the gateway refused",
                    answer->status);
    free(why);
    return code;
}

int talk_print_rows(struct text json, const char *array, const struct column *columns, int len)
{
    struct rows rows;

    if (rows_read(json, array, columns, len, &rows))
        return ctl_fail(EXIT_REFUSED, "the gateway's answer is not understood");
    rows_print(&rows, stdout);
    rows_free(&rows);
    return EXIT_DONE;
}

int talk_finish(const struct ctl *ctl, struct call_answer *answer, int (*print)(struct text json))
{
    int code;

    if (answer->status != 200) {
        code = talk_refuse(ctl, answer);
    } else if (ctl->is_json) {
        fputs(answer->body, stdout);
        code = EXIT_DONE;
    } else {
        code = print((struct text){answer->body, answer->len});
    }
    call_free(answer);
    return code;
}
