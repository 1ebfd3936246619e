/* cmd_top.c - a full screen of all targets: from the agent, with its history, or from the kernel.
 */
#include <errno.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "cmd/agentclient.h"
#include "cmd/opt.h"
#include "cmd/session.h"
#include "cmd/topsource_agent.h"
#include "cmd/topsource_live.h"
#include "discover/resolve.h"
#include "tui/top.h"

enum { FUTURE_MS = 1000 }; /* a clock that was read somewhere else */

struct options {
    int64_t at_ms; /* 0: now */
    int64_t interval_us;
    enum top_sort sort;
    const char *socket;
    bool no_agent, ascii;
};

static int set_at(void *into, struct str value, struct err *err) {
    return agentclient_moment(value, &((struct options *)into)->at_ms, err);
}

static int set_interval(void *into, struct str value, struct err *err) {
    return opt_interval_us(value, &((struct options *)into)->interval_us, err);
}

static int set_sort(void *into, struct str value, struct err *err) {
    struct buf known;
    int r;

    buf_init(&known, 300);
    for (unsigned i = 0; i < TOP_SORT_N; i++) {
        if (str_eq(value, str_of(top_sort_names[i]))) {
            ((struct options *)into)->sort = (enum top_sort)i;
            buf_done(&known);
            return 0;
        }
        buf_add_format(&known, "%s%s", i > 0 ? ", " : "", top_sort_names[i]);
    }
    r = err_set(err, -EINVAL, "cannot sort by '%.*s'; known are %.*s", STR_ARG(value),
                STR_ARG(buf_str(&known)));
    buf_done(&known);
    return r;
}

static int set_socket(void *into, struct str value, struct err *err) {
    return agentclient_set_socket(value, &((struct options *)into)->socket, err);
}

static int set_no_agent(void *into, struct str value, struct err *err) {
    (void)value, (void)err;
    ((struct options *)into)->no_agent = true;
    return 0;
}

static int set_ascii(void *into, struct str value, struct err *err) {
    (void)value, (void)err;
    ((struct options *)into)->ascii = true;
    return 0;
}

static void defaults(void *options) {
    struct options *o = options;

    o->interval_us = 1000000;
    o->sort = TOP_SORT_STATE;
}

/* What the word means as the other commands have it. The path in it, owned by the caller, or NULL.
 */
static char *find_target(const struct cmd_context *context, struct top_target *t, struct err *err) {
    const struct session_options open = {TARGETS_CHOSEN, 0, false};
    struct resolved found;
    struct session session;
    char *path = NULL;

    t->why = err;
    if (session_open(&session, context, &open, err) < 0)
        return NULL;
    if (resolve_target(session.targets, t->word, &found, err) == 0) {
        t->is_process = found.how == RESOLVE_PID;
        t->path = path = take_ptr(&found.path);
        t->why = NULL;
        resolved_done(&found);
    }
    session_close(&session);
    return path;
}

static int show(const struct cmd_context *context, const struct options *o,
                const struct tui_source *source) {
    struct top_target target = {.path = NULL};
    char *path = NULL;
    struct err err, why;
    struct top_options top = {
        .at_ms = o->at_ms,
        .interval_ms = o->interval_us / 1000,
        .ascii = o->ascii || !context->utf8,
        .no_color = !context->colour,
        .sort = o->sort,
    };
    int r;

    if (context->nargs > 0) {
        target.word = str_of(context->args[0]);
        path = find_target(context, &target, &why);
        top.target = &target;
    }
    setlocale(LC_CTYPE, "");
    r = top_run(source, &top, &err);
    free(path);
    return r < 0 ? cmd_fail(&err) : EXIT_DONE;
}

/* A screen needs a terminal to draw on, and one to read keys from. */
static int check_terminal(const struct cmd_context *context) {
    const char *term = getenv("TERM");

    if (!context->terminal || !isatty(STDIN_FILENO))
        return cmd_failf("this is no terminal; `plimsoll stats` prints the same as lines, and "
                         "`plimsoll stats --json` for programs");
    if (!term || !*term || strcmp(term, "dumb") == 0)
        return cmd_failf("TERM is %s, a terminal without a screen; `plimsoll stats` prints the "
                         "same as lines",
                         term && *term ? "'dumb'" : "not set");
    return EXIT_DONE;
}

/* Whether the agent is to be asked: it is when it answers, but nobody need have one. */
static int open_agent(const struct cmd_context *context, const struct options *o,
                      struct topsource_agent **out) {
    bool needed = o->at_ms > 0 || o->socket;
    struct err err;
    int r;

    if (o->no_agent || context->root)
        return EXIT_DONE;
    r = topsource_agent_new(agentclient_socket(o->socket), out, &err);
    if (r == 0 || !needed)
        return EXIT_DONE;
    if (o->at_ms > 0)
        cmd_warn("only an agent knows the past");
    return cmd_fail(&err);
}

static int run(struct cmd_context *context, void *options) {
    const struct options *o = options;
    struct topsource_agent *agent = NULL;
    struct topsource_live *live = NULL;
    struct tui_source source;
    struct err err;
    int status = EXIT_DONE;

    if (context->nargs > 1)
        return cmd_usage(context->cmd, "one TARGET at most");
    if (o->at_ms > clock_wall_ms() + FUTURE_MS)
        return cmd_usage(context->cmd, "--at is in the future: only what was can be shown");
    if (o->no_agent && (o->at_ms > 0 || o->socket))
        return cmd_usage(context->cmd, "--no-agent excludes %s: only an agent knows the past",
                         o->at_ms > 0 ? "--at" : "--socket");
    if (context->root && (o->at_ms > 0 || o->socket))
        return cmd_usage(context->cmd, "a captured machine has no agent to ask: no %s with --root",
                         o->at_ms > 0 ? "--at" : "--socket");
    status = check_terminal(context);
    if (status == EXIT_DONE)
        status = open_agent(context, o, &agent);
    if (status != EXIT_DONE)
        return status;
    if (!agent && topsource_live_new(context->root, o->interval_us, &live, &err) < 0)
        return cmd_fail(&err);
    source = agent ? topsource_agent_source(agent) : topsource_live_source(live);
    status = show(context, o, &source);
    topsource_agent_free(agent);
    topsource_live_free(live);
    return status;
}

static const struct opt opts[] = {
    {"at", 0, "TIME", "begin at that moment, from the agent: -10m, 07:48, 2026-11-21T07:48:16Z",
     set_at},
    {"interval", 'i', "S", "seconds between looks (1), also as 500ms or 1m", set_interval},
    {"sort", 0, "KEY", "state (the default), name, used%, used, limit, trend, full-in ...",
     set_sort},
    {"socket", 0, "PATH", "the agent's unix socket (/run/plimsoll/plimsoll.sock)", set_socket},
    {"no-agent", 0, NULL, "straight from the kernel, though an agent runs", set_no_agent},
    {"ascii", 0, NULL, "draw with plain characters only", set_ascii},
    {NULL, 0, NULL, NULL, NULL},
};

const struct cmd cmd_top = {
    .name = "top",
    .brief = "a full screen of containers and services, with the past when an agent runs",
    .synopsis = "[TARGET] [--at TIME] [--interval S] [--sort KEY]",
    .about =
        "Keys: j k and Enter choose, / filters, s sorts, [ ] go back and forth in time, Space\n"
        "pauses, ? tells all of them, q ends. Without an agent what was is known since the start\n"
        "only.\n\n"
        "  plimsoll top\n"
        "  plimsoll top web --at -10m\n",
    .opts = opts,
    .options_size = sizeof(struct options),
    .defaults = defaults,
    .run = run,
};
