/* cmd_guard.c - guards one group in the foreground: watermarks, a ladder of actions, an audit. */
#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "act/dump.h"
#include "act/hook.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/text.h"
#include "cmd/agentclient.h"
#include "cmd/auditreplay.h"
#include "cmd/grouparg.h"
#include "cmd/guardopt.h"
#include "cmd/guardstart.h"
#include "guard/auditlog.h"
#include "guard/guards.h"
#include "guard/pressuresock.h"

enum { OUTPUT_MAX = 1 << 20, BACK_MS = 300, RECORDED_US = 200000 };

struct guard {
    struct cmd_context *context;
    const struct guardopt *options;
    struct host host;
    struct cgfs fs;
    bool have_fs, gone, failed, rescues;
    struct grouparg group;
    struct guardstart start;
    struct loop *loop;
    struct guards *guards;
    int audit;
    char dumps[4096];
    struct buf line;
    unsigned unread;
};

/* --- what is told ----------------------------------------------------------------------------- */

static void add_time(struct buf *out, int64_t at_ms) {
    char text[64];
    struct buf when;

    buf_fixed(&when, text, sizeof(text));
    clock_add_rfc3339(&when, at_ms);
    buf_add(out, (struct str){text + 11, 12}); /* the time of day: 12:34:56.789 */
}

/* Whether a line can be written without waiting for whoever reads. */
static bool is_read(void) {
    struct pollfd out = {.fd = STDOUT_FILENO, .events = POLLOUT};

    return poll(&out, 1, 0) != 0;
}

/* What is not in the record: whose the limit is. That it is a dry run is said already. */
static void add_beginning(const struct guard *g, const struct audit *a, struct buf *out) {
    struct audit begun = *a;
    struct str words = str_of(begun.report.text);

    if (a->dry_run && str_drop(&words, STR("; dry run")))
        begun.report.text[words.n] = '\0';
    audit_add_line(out, &begun);
    buf_add(out, STR("; "));
    guardstart_add_limit(&g->start, out);
}

/* A rescue changes limits, and may leave them so when it fails or is ended in the middle. */
static void see_limits(struct guard *g, const struct audit *a) {
    if (a->action == ACTION_RESCUE && a->kind == AUDIT_BEGIN)
        g->rescues = !a->dry_run;
    else if (a->action == ACTION_RESCUE && a->kind == AUDIT_END)
        g->rescues = g->rescues && a->report.outcome != OUTCOME_DONE;
    if (!g->rescues)
        guardstart_note(&g->start);
}

static void on_record(void *ctx, const struct audit *a) {
    struct guard *g = ctx;

    see_limits(g, a);
    if (!is_read()) { /* it goes on guarding; the audit has them all */
        g->unread++;
        return;
    }
    if (g->unread > 0)
        cmd_warn("%u lines were not shown: nobody read them; they are in the audit", g->unread);
    g->unread = 0;
    buf_clear(&g->line);
    if (g->context->json) {
        audit_add_json(&g->line, a, a->kind == AUDIT_GUARD ? &g->options->policy : NULL);
    } else {
        char text[4096];
        struct buf line;

        buf_fixed(&line, text, sizeof(text));
        if (a->kind == AUDIT_GUARD)
            add_beginning(g, a, &line);
        else
            audit_add_line(&line, a);
        if (g->context->plain)
            clock_add_rfc3339(&g->line, a->at_ms);
        else
            add_time(&g->line, a->at_ms);
        buf_add(&g->line, g->context->plain ? STR("\t") : STR("  "));
        if (g->context->plain)
            buf_add_format(&g->line, "%s\t", audit_kind_name(a->kind));
        text_add_visible(&g->line, buf_str(&line), g->context->terminal && !g->context->utf8);
    }
    buf_add_char(&g->line, '\n');
    if (cmd_write(&g->line, NULL) != EXIT_DONE)
        g->failed = true; /* nobody reads: it goes on guarding */
}

static void on_gone(void *ctx, unsigned id) {
    struct guard *g = ctx;

    (void)id;
    g->gone = true;
    loop_stop(g->loop);
}

static int on_signal(struct loop *loop, uint32_t what, void *ctx) {
    (void)what, (void)ctx;
    loop_stop(loop);
    return 0;
}

/* --- the work --------------------------------------------------------------------------------- */

static int open_loop(struct guard *g, struct err *err) {
    int r = loop_new(&g->loop);

    if (r == 0)
        r = loop_add_signal(g->loop, SIGINT, on_signal, g, NULL);
    if (r == 0)
        r = loop_add_signal(g->loop, SIGTERM, on_signal, g, NULL);
    if (r == 0)
        r = loop_add_signal(g->loop, SIGHUP, on_signal, g, NULL);
    return r < 0 ? err_set(err, r, "cannot make an event loop:") : 0;
}

static bool writes_dumps(const struct policy *p) {
    for (unsigned i = 0; i < p->actions; i++)
        if (p->action[i] == ACTION_DUMP || p->action[i] == ACTION_RESCUE)
            return !p->dry_run;
    return p->oom_hold && !p->dry_run;
}

static int open_dumps(struct guard *g, struct err *err) {
    const char *dir = g->options->dump_dir;
    int r = dir ? str_copy(str_of(dir), g->dumps, sizeof(g->dumps))
                : dump_default_dir(g->dumps, sizeof(g->dumps));

    if (r < 0)
        return err_set(err, r, "no place for dumps:");
    r = writes_dumps(&g->options->policy) ? guardstart_dumps(g->dumps, dir != NULL) : 0;
    if (r < 0 && dir)
        return err_set(err, r, "dumps cannot be written into '%s':", dir);
    if (r < 0)
        cmd_warn("dumps cannot be written into '%s': %s; --dumps DIR names another place", g->dumps,
                 strerror(-r));
    return 0;
}

static int open_audit(struct guard *g, struct err *err) {
    struct err why;

    g->audit = auditlog_open(g->options->audit, &why);
    if (g->audit >= 0)
        return 0;
    return err_set(err, g->audit, "%s%s", why.text,
                   g->options->audit ? "" : "; --audit FILE names another place");
}

static int check_hook(const struct guard *g, struct err *err) {
    const char *program = g->options->policy.hook;
    struct err why = {0};
    int r = hook_check(&g->options->policy, &why);

    if (r >= 0)
        return 0;
    return err_set(err, r, "%s%s", why.text,
                   r == -ENOENT && strchr(program, ' ')
                       ? " (--hook is one program; its arguments are given by more --hook)"
                       : "");
}

static int open_all(struct guard *g, struct err *err) {
    int r = host_open(NULL, &g->host, err);

    if (r == 0)
        r = cgfs_open(&g->host, &g->fs, err);
    if (r < 0)
        return r;
    g->have_fs = true;
    r = grouparg_find(g->context, &g->host, &g->fs, str_of(g->context->args[0]), &g->group, err);
    if (r == 0)
        r = open_dumps(g, err);
    if (r == 0 && g->options->hook_args > 0)
        r = check_hook(g, err);
    if (r == 0 && g->options->pressure_socket && g->options->policy.dry_run)
        r = pressuresock_check(g->options->pressure_socket, err);
    if (r == 0)
        r = open_audit(g, err);
    if (r == 0)
        r = guardstart_open(&g->start, &g->host, &g->fs, str_of(g->group.path), err);
    if (r < 0)
        return r;
    guardstart_warn(&g->start, &g->options->policy);
    return open_loop(g, err);
}

static int guard_it(struct guard *g, struct err *err) {
    char where[4096];
    const char *path = g->options->audit                                  ? g->options->audit
                       : auditlog_default_path(where, sizeof(where)) == 0 ? where
                                                                          : NULL;
    const struct guards_options o = {
        .host = &g->host,
        .fs = &g->fs,
        .loop = g->loop,
        .by = "guard",
        .audit = g->audit,
        .audit_path = path,
        .tell = on_record,
        .gone = on_gone,
        .ctx = g,
        .dump_dir = g->dumps,
        .most = 1,
    };
    struct err unlocked;
    int r;

    (void)malloc_trim(0); /* what finding the target has needed: forks would keep it */
    r = guards_new(&o, &g->guards, err);
    if (r == 0 && g->options->pressure_socket && !g->options->policy.dry_run)
        r = guards_listen(g->guards, g->options->pressure_socket, err);
    if (r < 0)
        return r;
    if (guards_lock(&unlocked) < 0)
        cmd_warn("%s; under pressure it may be slow", unlocked.text);
    r = guards_add(g->guards, 0, str_of(g->group.path), str_of(g->group.name), &g->options->policy,
                   err);
    if (r < 0)
        return r;
    if (!guards_recorded(g->guards, RECORDED_US))
        cmd_warn("the audit takes no record now (is its disk full?): it is tried again; without "
                 "room for records nothing is killed");
    r = loop_run(g->loop);
    return r < 0 ? err_set(err, r, "cannot go on guarding:") : 0;
}

/* Of a rescue that was ended in the middle, or failed. */
static void tell_lent(struct guard *g) {
    char room[32];
    struct buf size;

    if (!g->rescues || guardstart_lent(&g->start) == 0)
        return;
    (void)poll(NULL, 0, BACK_MS);
    buf_fixed(&size, room, sizeof(room));
    if (guardstart_lent(&g->start) == 0)
        return;
    num_add_iec(&size, guardstart_lent(&g->start));
    cmd_warn("what a rescue has lent is not back yet: %.*s; plimsoll-warden tries to take them "
             "back for 30 s, then every 5 s for an hour",
             (int)size.n, size.p);
}

static void close_all(struct guard *g) {
    guards_free(g->guards);
    tell_lent(g);
    guardstart_done(&g->start);
    if (g->loop)
        loop_free(g->loop);
    if (g->audit >= 0)
        close(g->audit);
    if (g->have_fs)
        cgfs_done(&g->fs);
    host_done(&g->host);
    buf_done(&g->line);
}

static int run(struct cmd_context *context, void *options) {
    struct guardopt *o = options;
    struct guard g = {.context = context, .options = o, .audit = -1, .start = GUARDSTART_NONE};
    struct err err;
    int r, status = EXIT_DONE;

    log_open("guard", 0);
    if (o->replay && context->nargs > 0)
        return cmd_usage(context->cmd, "--replay reads a file: no TARGET with it");
    if (o->replay)
        return auditreplay(context, o->replay);
    if (context->nargs != 1)
        return cmd_usage(context->cmd, "guard takes one TARGET, not %zu", context->nargs);
    guardopt_settle(o);
    if (guardopt_check(o, &err) < 0)
        return cmd_usage(context->cmd, "%s", err.text);
    guardopt_warn(o);
    buf_init(&g.line, OUTPUT_MAX);
    r = open_all(&g, &err);
    if (r == 0)
        r = guard_it(&g, &err);
    close_all(&g);
    if (r < 0)
        status = cmd_fail(&err);
    else if (g.gone)
        status = EXIT_DONE;
    return status;
}

const struct cmd cmd_guard = {
    .name = "guard",
    .brief = "act before a group meets its limit, and rescue what hangs at it",
    .synopsis = "TARGET [--at MARKS] [--do ACTIONS] [--inject] [--dry-run]",
    .about =
        "Decides on used memory (never page cache). The n-th mark starts the n-th action, the\n"
        "last mark all that follow as long as what was done does not suffice: notify, gc,\n"
        "reclaim, throttle, pause, dump, rescue, term, kill. What it changes is undone when it\n"
        "ends, however that happens. Everything is recorded: plimsoll incidents.\n\n"
        "  plimsoll guard web --at 80%,90%,95% --do notify,gc,reclaim\n"
        "  plimsoll guard web --at 90% --do gc,rescue,kill --inject --dry-run\n",
    .opts = guardopt_table,
    .output_opts = true,
    .acts = true,
    .options_size = sizeof(struct guardopt),
    .defaults = guardopt_defaults,
    .run = run,
};
