/* cmd_rescue.c - brings a group that hangs at its memory limit back to work. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "act/rescue.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/text.h"
#include "cmd/agentclient.h"
#include "cmd/grouparg.h"
#include "cmd/opt.h"
#include "cmd/rescueaudit.h"

enum {
    TIMEOUT_MS = 60000,
    TIMEOUT_LEAST_MS = 1000,
    WATCH_MS = 5000,
    PATH_SIZE = 4096,
    OUTPUT_MAX = 1 << 20,
    RT_CENTI = 9000, /* of the limit: Go's own, from now on */
    LEND_LEAST = 1 << 20,
};

struct options {
    struct policy policy;
    const char *dump_dir, *audit, *socket;
    uint64_t timeout_ms, watch_ms;
    bool force, no_dump, kill;
};

static int set_lend(void *into, struct str value, struct err *err) {
    uint64_t *lend = &((struct options *)into)->policy.lend;

    if (num_parse_size(value, lend) < 0 || *lend < LEND_LEAST)
        return err_set(err, -EINVAL, "'%.*s' is not a size of 1M or more", STR_ARG(value));
    return 0;
}

static int set_dry(void *into, struct str value, struct err *err) {
    (void)value, (void)err;
    ((struct options *)into)->policy.dry_run = true;
    return 0;
}

static int set_inject(void *into, struct str value, struct err *err) {
    struct policy *p = &((struct options *)into)->policy;

    (void)value, (void)err;
    p->inject = true;
    p->rt_limit = RT_CENTI;
    return 0;
}

static int set_force(void *into, struct str value, struct err *err) {
    (void)value, (void)err;
    ((struct options *)into)->force = true;
    return 0;
}

static int set_no_dump(void *into, struct str value, struct err *err) {
    (void)value, (void)err;
    ((struct options *)into)->no_dump = true;
    return 0;
}

static int set_kill(void *into, struct str value, struct err *err) {
    (void)value, (void)err;
    ((struct options *)into)->kill = true;
    return 0;
}

static int set_kill_init(void *into, struct str value, struct err *err) {
    (void)value, (void)err;
    ((struct options *)into)->policy.kill_init = true;
    return 0;
}

static int set_protect(void *into, struct str value, struct err *err) {
    return policy_add_text(((struct options *)into)->policy.protect, value, err);
}

static int set_prefer(void *into, struct str value, struct err *err) {
    return policy_add_text(((struct options *)into)->policy.prefer, value, err);
}

static int set_folder(void *into, struct str value, struct err *err) {
    if (value.n == 0 || value.p[0] != '/')
        return err_set(err, -EINVAL, "'%.*s' is not an absolute path", STR_ARG(value));
    ((struct options *)into)->dump_dir = value.p;
    return 0;
}

static int set_audit(void *into, struct str value, struct err *err) {
    if (value.n == 0)
        return err_set(err, -EINVAL, "an empty name is no file");
    ((struct options *)into)->audit = value.p;
    return 0;
}

static int set_socket(void *into, struct str value, struct err *err) {
    return agentclient_set_socket(value, &((struct options *)into)->socket, err);
}

static int set_timeout(void *into, struct str value, struct err *err) {
    return opt_timeout_ms(value, TIMEOUT_LEAST_MS, &((struct options *)into)->timeout_ms, err);
}

static int set_watch(void *into, struct str value, struct err *err) {
    return opt_timeout_ms(value, 0, &((struct options *)into)->watch_ms, err);
}

static void defaults(void *options) {
    struct options *o = options;

    policy_defaults(&o->policy);
    o->policy.lend = 0;
    o->policy.rt_limit = 0;
    o->timeout_ms = TIMEOUT_MS;
    o->watch_ms = WATCH_MS;
}

/* --- what is told ----------------------------------------------------------------------------- */

struct rescue {
    const struct cmd_context *context;
    const struct options *options;
    struct rescueaudit audit;
    const struct rescue_result *got;
    int64_t began_us;
    struct buf steps; /* JSON */
    struct json j;
};

/* What is said when we are ended in the middle: always one that is whole. */
static struct {
    pid_t pid; /* our children have the handler too */
    volatile sig_atomic_t which;
    char text[2][400];
    size_t n[2];
} farewell;

static void on_end(int signal_number) {
    int which = farewell.which;

    if (getpid() == farewell.pid &&
        write(STDERR_FILENO, farewell.text[which], farewell.n[which]) < 0)
        farewell.n[which] = 0; /* nobody reads */
    (void)signal(signal_number, SIG_DFL);
    (void)raise(signal_number);
}

static void know_loan(uint64_t lent) {
    int which = !farewell.which;
    struct buf text;

    buf_fixed(&text, farewell.text[which], sizeof(farewell.text[which]));
    buf_add(&text, STR("plimsoll: ended in the middle: "));
    if (lent > 0) {
        num_add_iec(&text, lent);
        buf_add(&text, STR(" are lent; plimsoll-warden takes them back now, or, if more than the "
                           "limit is in use, tries it for 30 s, then every 5 s for an hour\n"));
    } else {
        buf_add(&text, STR("nothing is lent\n"));
    }
    farewell.n[which] = text.n;
    farewell.which = which;
}

static void say_farewell(void) {
    const int ends[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction act = {.sa_handler = on_end}, before;

    farewell.pid = getpid();
    know_loan(0);
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
        if (sigaction(ends[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN)
            (void)sigaction(ends[i], &act, NULL);
}

static void tell_step(void *ctx, const char *step, const char *text) {
    struct rescue *x = ctx;
    int64_t ms = (clock_mono_us() - x->began_us) / 1000;
    struct buf out;

    know_loan(x->got->lent_now);
    if (x->context->json) {
        json_begin_object(&x->j);
        json_key_u64(&x->j, "at_ms", (uint64_t)ms);
        json_key_str(&x->j, "step", str_of(step));
        json_key_str(&x->j, "text", str_of(text));
        json_end(&x->j);
        return;
    }
    buf_init(&out, OUTPUT_MAX);
    if (x->context->plain)
        buf_add_format(&out, "%lld\t%s\t", (long long)ms, step);
    else
        buf_add_format(&out, "%6.2f s  %-6s", (double)ms / 1000, step);
    text_add_visible(&out, str_of(text), false);
    buf_add_char(&out, '\n');
    (void)cmd_write(&out, NULL);
    buf_done(&out);
}

static int tell_action(void *ctx, enum action action, int32_t pid, const char *why,
                       const struct action_report *report) {
    struct rescue *x = ctx;

    x->audit.hang = x->got->running_us > 0 ? NULL : &x->got->hang; /* over since then */
    know_loan(x->got->lent_now); /* the record may have to wait for the disk */
    return rescueaudit_action(&x->audit, action, pid, why, report);
}

static void add_json(const struct rescue *x, const struct grip *g, const struct rescue_result *got,
                     const struct action_report *r, struct buf *out) {
    int64_t now = clock_mono_us();
    int64_t over = got->running_us > 0 ? x->began_us + got->running_us : now;
    bool hung = got->hang.kind != HANG_NONE;
    struct json j;

    json_start(&j, out);
    json_begin_object(&j);
    json_key_str(&j, "target", str_of(g->path));
    json_key_str(&j, "name", str_of(g->name));
    json_key_maybe_str(&j, "hang", str_of(hung ? hang_name(got->hang.kind) : ""));
    json_key_maybe(&j, "hang_for_ms", hung, (uint64_t)((over - got->hang.since_us) / 1000));
    json_key_str(&j, "outcome", str_of(outcome_name(r->outcome)));
    json_key_str(&j, "text", str_of(r->text));
    json_key_maybe_str(&j, "next", str_of(r->next));
    json_key_maybe_str(&j, "dump", str_of(r->file));
    json_key_maybe(&j, "limit", got->limit > 0, got->limit);
    json_key_u64(&j, "lent_peak", got->lent_peak);
    json_key_u64(&j, "lent_now", got->lent_now);
    json_key_maybe(&j, "needs", got->needs > 0, got->needs);
    json_key_u64(&j, "stuck_execs", got->stuck_execs);
    json_key_u64(&j, "collected", got->collected);
    json_key_maybe(&j, "killed", got->killed > 0, (uint64_t)got->killed);
    json_key(&j, "running");
    json_bool(&j, got->running);
    json_key(&j, "restored");
    json_bool(&j, got->restored);
    json_key_maybe(&j, "running_ms", got->running_us > 0, (uint64_t)(got->running_us / 1000));
    json_key_u64(&j, "took_ms", (uint64_t)((now - x->began_us) / 1000));
    json_key(&j, "steps");
    json_raw(&j, buf_str(&x->steps));
    json_end(&j);
    buf_add_char(out, '\n');
}

static int conclude(const struct rescue *x, const struct grip *g, const struct rescue_result *got,
                    const struct action_report *r) {
    struct buf out;
    int status;

    buf_init(&out, OUTPUT_MAX);
    if (x->context->json) {
        add_json(x, g, got, r, &out);
    } else {
        text_add_visible(&out, str_of(g->name[0] ? g->name : g->path), false);
        if (x->context->plain)
            buf_add_format(&out, "\t%s\t", outcome_name(r->outcome));
        else
            buf_add(&out, STR(": "));
        text_add_visible(&out, str_of(r->text), false);
        if (r->next[0]) {
            buf_add(&out, x->context->plain ? STR("\t") : STR("\nwhat would work: "));
            text_add_visible(&out, str_of(r->next), false);
        }
        buf_add_char(&out, '\n');
    }
    status = cmd_write(&out, NULL);
    buf_done(&out);
    if (status != EXIT_DONE || r->outcome == OUTCOME_DRY)
        return status;
    if (!got->restored ||
        (got->hang.kind != HANG_NONE && !got->running && !got->killed && !got->gone) ||
        (got->killed && r->outcome != OUTCOME_DONE))
        return EXIT_BAD;
    return r->outcome == OUTCOME_DONE ? EXIT_DONE : EXIT_FAILED;
}

/* --- the work --------------------------------------------------------------------------------- */

static struct warden *volatile at_work; /* until our end */

static int rescue(struct rescue *x, struct grip *g, struct err *err) {
    const struct options *o = x->options;
    char dir[PATH_SIZE] = "";
    struct rescue_terms terms = {
        .policy = &o->policy,
        .agent_socket = agentclient_socket(o->socket),
        .force = o->force,
        .kill = o->kill,
        .deadline_us = x->began_us + (int64_t)o->timeout_ms * 1000,
        .watch_us = (int64_t)o->watch_ms * 1000,
        .tell = tell_step,
        .acts = tell_action,
        .ctx = x,
    };
    struct rescue_result got = {.hang.kind = HANG_NONE};
    struct action_report report;
    int r = o->policy.dry_run ? 0 : warden_start(&terms.warden, err);

    if (r < 0)
        return r;
    if (!o->no_dump && (o->dump_dir || dump_default_dir(dir, sizeof(dir)) == 0))
        terms.dump_dir = o->dump_dir ? o->dump_dir : dir;
    x->audit.hang = &got.hang; /* until we return */
    x->got = &got;             /* cppcheck-suppress autoVariables */
    if (!o->policy.dry_run)
        say_farewell();
    json_start(&x->j, &x->steps);
    json_begin_array(&x->j);
    (void)rescue_run(g, &terms, &got, &report);
    json_end(&x->j);
    r = conclude(x, g, &got, &report);
    x->audit.hang = NULL;
    x->got = NULL;
    /* What is still lent it goes on to take back when we have ended: nobody waits for that. */
    if (got.lent_now == 0)
        warden_end(terms.warden);
    else
        at_work = terms.warden;
    return r;
}

static int work(struct cmd_context *context, const struct options *o, struct session *s,
                struct grip *g) {
    struct rescue x = {.context = context, .options = o, .began_us = clock_mono_us()};
    struct err err;
    int r = grouparg_open(s, str_of(context->args[0]), g, &err);

    if (r < 0)
        return cmd_fail(&err);
    r = rescueaudit_open(&x.audit, g, &o->policy, o->audit, &err);
    if (r < 0)
        return o->audit ? cmd_fail(&err)
                        : cmd_failf("%s; --audit FILE names another place", err.text);
    buf_init(&x.steps, OUTPUT_MAX);
    r = rescue(&x, g, &err);
    buf_done(&x.steps);
    rescueaudit_close(&x.audit);
    return r < 0 ? cmd_fail(&err) : r;
}

static int run(struct cmd_context *context, void *options) {
    struct session_options open = {TARGETS_CHOSEN, 0, false};
    const struct options *o = options;
    auto_free struct grip *g = malloc(sizeof(*g));
    struct session session;
    struct err err;
    int status;

    log_open("rescue", 0);
    if (context->nargs != 1)
        return cmd_usage(context->cmd, "rescue takes one TARGET, not %zu", context->nargs);
    if (!o->kill && (o->policy.kill_init || o->policy.prefer[0]))
        return cmd_usage(context->cmd, "%s does nothing without --kill",
                         o->policy.kill_init ? "--kill-init" : "--prefer");
    if (!g)
        return cmd_failf("no memory");
    if (session_open(&session, context, &open, &err) < 0)
        return cmd_fail(&err);
    *g = (struct grip)GRIP_NONE;
    status = work(context, options, &session, g);
    grip_done(g);
    session_close(&session);
    return status;
}

static const struct opt opts[] = {
    {"lend", 0, "SIZE", "lend so much at most (default a quarter of the limit, at most 64M)",
     set_lend},
    {"dry-run", 'n', NULL, "look, and say what would be done", set_dry},
    {"inject", 'i', NULL, "also by writing into a runtime's memory and by calls in its name",
     set_inject},
    {"force", 'f', NULL, "also when no hang is seen", set_force},
    {"kill", 'k', NULL, "when it still hangs in the end, end the process that is to blame",
     set_kill},
    {"protect", 0, "GLOB", "processes of such a name are never ended; may be repeated",
     set_protect},
    {"prefer", 0, "GLOB", "those are ended first; may be repeated", set_prefer},
    {"kill-init", 0, NULL, "a container's first process may be ended though others are larger",
     set_kill_init},
    {"no-dump", 0, NULL, "without writing down first what is known of it", set_no_dump},
    {"dump-dir", 0, "DIR", "folder for the dump (default /var/log/plimsoll/dumps)", set_folder},
    {"watch", 0, "TIME", "watch for so long whether it hangs again (default 5s)", set_watch},
    {"timeout", 't', "TIME", "for all of it, at most (default 60s)", set_timeout},
    {"audit", 0, "FILE", "where each action is recorded (default /var/log/plimsoll/audit.jsonl)",
     set_audit},
    {"socket", 's', "PATH", "of the agent, for the dump's history", set_socket},
    {NULL, 0, NULL, NULL, NULL},
};

const struct cmd cmd_rescue = {
    .name = "rescue",
    .brief = "bring a container that hangs at its memory limit back to work",
    .synopsis = "TARGET [--lend SIZE] [--inject] [--kill] [--dry-run] [--force] [--no-dump]",
    .about =
        "Writes down what is known of it, ends a container engine's exec that is stuck in it,\n"
        "lends it memory until it runs, makes its runtimes collect garbage, and takes the loan\n"
        "back. Nobody is killed, unless --kill says so and nothing else has helped. With\n"
        "--inject a Go program gets a soft memory limit that stays.\n\n"
        "  plimsoll rescue web\n"
        "  plimsoll rescue web --inject --lend 128M --kill\n",
    .opts = opts,
    .output_opts = true,
    .acts = true,
    .options_size = sizeof(struct options),
    .defaults = defaults,
    .run = run,
};
