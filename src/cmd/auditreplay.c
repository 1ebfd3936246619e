#include "cmd/auditreplay.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"
#include "cmd/auditread.h"
#include "guard/replay.h"

enum { FILE_MOST = 256 << 20, OUTPUT_MAX = 256 << 20 };

/* One guard of one group. */
struct run {
    struct run *next;
    char path[AUDIT_PATH], by[16];
    struct replay replay;
};

struct replaying {
    struct cmd_context *context;
    struct run *runs;
    struct buf out;
    unsigned records, damaged, same, other, asked;
    unsigned guards;  /* whose beginning, which has the policy, is in the file */
    unsigned without; /* actions of nobody whose policy is known */
};

/* Whose record it is: those that somebody asked for are of the guard that did them. */
static struct run *run_of(struct replaying *r, const struct audit *a) {
    struct run *x;

    for (x = r->runs; x; x = x->next)
        if (strcmp(x->path, a->path) == 0 &&
            (strcmp(a->by, "api") == 0 || strcmp(x->by, a->by) == 0))
            return x;
    if (a->kind != AUDIT_GUARD)
        return NULL;
    x = calloc(1, sizeof(*x));
    if (!x)
        return NULL;
    memcpy(x->path, a->path, sizeof(x->path));
    memcpy(x->by, a->by, sizeof(x->by));
    replay_init(&x->replay);
    x->next = r->runs;
    r->runs = x;
    return x;
}

static const char *word_of(enum replay_said said) {
    return said == REPLAY_SAME ? "same" : said == REPLAY_ASKED ? "asked" : "other";
}

static void tell_json(struct replaying *r, const struct audit *a, enum replay_said said,
                      const struct decision *d) {
    struct json j;

    json_start(&j, &r->out);
    json_begin_object(&j);
    json_key(&j, "at_ms");
    json_i64(&j, a->at_ms);
    json_key_str(&j, "id", str_of(a->id));
    json_key_str(&j, "name", str_of(a->name));
    json_key_str(&j, "action", str_of(action_name(a->action)));
    json_key_maybe(&j, "mark", a->mark > 0, a->mark);
    json_key_str(&j, "replay", str_of(word_of(said)));
    json_key_maybe_str(&j, "decided", str_of(d->any ? action_name(d->action) : ""));
    json_key_maybe(&j, "decided_mark", d->any && d->mark > 0, d->mark);
    json_end(&j);
    buf_add_char(&r->out, '\n');
}

static void tell(struct replaying *r, const struct audit *a, enum replay_said said,
                 const struct decision *d) {
    if (r->context->json) {
        tell_json(r, a, said, d);
        return;
    }
    clock_add_rfc3339(&r->out, a->at_ms);
    buf_add(&r->out, STR("  "));
    text_add_visible(&r->out, str_of(a->name), r->context->terminal && !r->context->utf8);
    buf_add_format(&r->out, "  %s", action_name(a->action));
    if (a->mark > 0)
        buf_add_format(&r->out, " at mark %u", a->mark);
    if (said == REPLAY_SAME)
        buf_add(&r->out, STR(": decided again"));
    else if (said == REPLAY_ASKED)
        buf_add(&r->out, STR(": was asked for"));
    else if (d->any)
        buf_add_format(&r->out, ": now %s at mark %u", action_name(d->action), d->mark);
    else
        buf_add(&r->out, STR(": now nothing"));
    buf_add_char(&r->out, '\n');
}

static int take_line(struct replaying *r, struct str line) {
    struct auditread read;
    struct decision decision;
    enum replay_said said;
    struct run *x;

    if (auditread_line(line, &read) < 0) {
        r->damaged++;
        return 0;
    }
    r->records++;
    x = run_of(r, &read.audit);
    r->guards += read.audit.kind == AUDIT_GUARD && read.have_policy;
    r->without += read.audit.kind == AUDIT_BEGIN && !(x && x->replay.any);
    if (!x)
        return read.audit.kind == AUDIT_GUARD ? -ENOMEM : 0;
    said = replay_take(&x->replay, &read.audit, read.have_policy ? &read.policy : NULL, &decision);
    if (said == REPLAY_QUIET)
        return 0;
    r->same += said == REPLAY_SAME;
    r->other += said == REPLAY_OTHER;
    r->asked += said == REPLAY_ASKED;
    tell(r, &read.audit, said, &decision);
    return 0;
}

static int load(const char *file, char **out, size_t *n_out, struct err *err) {
    auto_close int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat st;
    int r;

    if (fd < 0 || fstat(fd, &st) < 0)
        return err_set(err, -errno, "cannot read '%s':", file);
    if (!S_ISREG(st.st_mode))
        return err_set(err, -EINVAL, "'%s' is no regular file", file);
    r = file_load_fd(fd, FILE_MOST, out, n_out);
    return r < 0 ? err_set(err, r, "cannot read '%s':", file) : 0;
}

/* Why nothing can be compared, as far as that is so. */
static int check_any(const struct replaying *r, const char *file, size_t size) {
    if (size == 0)
        return cmd_failf("'%s' is empty: nothing can be decided again", file);
    if (r->records == 0)
        return cmd_failf("'%s' has no records: nothing can be decided again", file);
    if (r->guards == 0 && r->without > 0)
        return cmd_failf("'%s' has no guard's beginning, with its policy: none of its %u action%s "
                         "can be decided again (try: what plimsoll guard, or the agent for its "
                         "guards, has written as --audit FILE)",
                         file, r->without, r->without == 1 ? "" : "s");
    return EXIT_DONE;
}

int auditreplay(struct cmd_context *context, const char *file) {
    struct replaying r = {.context = context};
    struct auditread_lines lines;
    auto_free char *text = NULL;
    struct str line;
    struct err err;
    size_t n = 0;
    int status, failed = load(file, &text, &n, &err);

    if (failed < 0)
        return cmd_fail(&err);
    buf_init(&r.out, OUTPUT_MAX);
    lines.rest = (struct str){text, n};
    while (failed == 0 && auditread_next(&lines, &line))
        failed = take_line(&r, line);
    if (!context->json && !context->plain && (r.guards > 0 || r.without == 0))
        buf_add_format(&r.out, "%u decided again, %u otherwise, %u were asked for\n", r.same,
                       r.other, r.asked);
    status = failed < 0 ? cmd_failf("no memory") : cmd_write(&r.out, NULL);
    if (r.damaged > 0)
        cmd_warn("%u lines of '%s' are no records", r.damaged, file);
    if (status == EXIT_DONE)
        status = check_any(&r, file, n);
    if (status == EXIT_DONE && r.other > 0)
        status = EXIT_BAD;
    while (r.runs) {
        struct run *x = r.runs;

        r.runs = x->next;
        free(x);
    }
    buf_done(&r.out);
    return status;
}
