/* cmd_query.c - one metric of some targets, now or over a time, from the agent's history.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "cmd/agentclient.h"
#include "cmd/opt.h"
#include "cmd/queryview.h"

enum { OUTPUT_MAX = 256 << 20, POINTS = 240 };

struct options {
    const char *socket;
    int64_t since_ms, until_ms, at_ms, step_ms; /* 0: not given */
};

static int set_socket(void *into, struct str value, struct err *err) {
    return agentclient_set_socket(value, &((struct options *)into)->socket, err);
}

static int set_since(void *into, struct str value, struct err *err) {
    return agentclient_since(value, &((struct options *)into)->since_ms, err);
}

static int set_until(void *into, struct str value, struct err *err) {
    return agentclient_moment(value, &((struct options *)into)->until_ms, err);
}

static int set_at(void *into, struct str value, struct err *err) {
    return agentclient_moment(value, &((struct options *)into)->at_ms, err);
}

static int set_step(void *into, struct str value, struct err *err) {
    int64_t us;
    int r = opt_interval_us(value, &us, err);

    if (r == 0)
        ((struct options *)into)->step_ms = us / 1000;
    return r;
}

static void add_seconds(struct buf *request, const char *key, int64_t ms) {
    char text[32];

    snprintf(text, sizeof(text), "%lld.%03d", (long long)(ms / 1000), (int)(ms % 1000));
    agentclient_param(request, key, str_of(text));
}

/* A step that gives about as many points as a screen has columns, in whole seconds. */
static int64_t step_of(const struct options *o) {
    int64_t step = (o->until_ms - o->since_ms) / POINTS;

    if (o->step_ms > 0)
        return o->step_ms;
    return step < 1000 ? 1000 : (step + 999) / 1000 * 1000;
}

static void make_request(const struct options *o, struct str expression, struct buf *request) {
    bool range = o->since_ms > 0;
    struct buf text;

    buf_init(&text, 65536);
    queryview_expression(expression, &text);
    agentclient_path(request, range ? "/api/v1/query_range" : "/api/v1/query");
    agentclient_param(request, "query", buf_str(&text));
    buf_done(&text);
    if (!range) {
        if (o->at_ms > 0)
            add_seconds(request, "time", o->at_ms);
        return;
    }
    add_seconds(request, "start", o->since_ms);
    add_seconds(request, "end", o->until_ms);
    add_seconds(request, "step", step_of(o));
}

static int check(struct cmd_context *context, struct options *o) {
    if (context->root)
        return cmd_usage(context->cmd, "a captured machine has no agent to ask: no --root here");
    if (context->nargs != 1)
        return cmd_usage(context->cmd, "query takes one EXPR, not %zu", context->nargs);
    if (o->at_ms > 0 && (o->since_ms > 0 || o->until_ms > 0 || o->step_ms > 0))
        return cmd_usage(context->cmd, "--at is one moment: it excludes --since, --until, --step");
    if (o->since_ms == 0 && (o->until_ms > 0 || o->step_ms > 0))
        return cmd_usage(context->cmd, "--until and --step belong to --since");
    if (o->until_ms == 0)
        o->until_ms = clock_wall_ms();
    if (o->since_ms > o->until_ms)
        return cmd_usage(context->cmd, "--since lies behind --until");
    return EXIT_DONE;
}

static int show(struct cmd_context *context, const struct options *o, const json_t *answer) {
    struct queryview v = {
        .json = context->json,
        .plain = context->plain,
        .ascii = context->terminal && !context->utf8,
        .graph = context->terminal && context->utf8,
        .points = o->step_ms > 0,
    };
    struct buf out;
    struct err err;
    size_t n = 0, rows;
    int status;

    if (context->terminal)
        cmd_terminal_size(&v.width, &rows);
    buf_init(&out, OUTPUT_MAX);
    if (queryview_print(&v, answer, &out, &n, &err) < 0)
        status = cmd_fail(&err);
    else if (n == 0)
        status = cmd_failf("nothing that was recorded then matches '%s'", context->args[0]);
    else
        status = cmd_write(&out, NULL);
    buf_done(&out);
    return status;
}

static int run(struct cmd_context *context, void *options) {
    struct options *o = options;
    int status = check(context, o);
    json_t *answer = NULL;
    struct buf request;
    struct err err;

    if (status != EXIT_DONE)
        return status;
    buf_init(&request, 1 << 20);
    make_request(o, str_of(context->args[0]), &request);
    if (agentclient_get(agentclient_socket(o->socket), &request, &answer, &err) < 0)
        status = cmd_fail(&err);
    else
        status = show(context, o, answer);
    json_decref(answer);
    buf_done(&request);
    return status;
}

static const struct opt opts[] = {
    {"since", 's', "TIME", "every point since then: 10m, 2h, 07:48, 2026-11-21T07:48:16Z",
     set_since},
    {"until", 'u', "TIME", "up to then (now)", set_until},
    {"step", 0, "S", "one point each S seconds, also as 500ms or 1m; prints the points", set_step},
    {"at", 0, "TIME", "the values as of that moment instead of now", set_at},
    {"socket", 0, "PATH", "the agent's unix socket (/run/plimsoll/plimsoll.sock)", set_socket},
    {NULL, 0, NULL, NULL, NULL},
};

const struct cmd cmd_query = {
    .name = "query",
    .brief = "values of a metric from the agent's history",
    .synopsis = "EXPR [--since TIME] [--until TIME] [--step S] [--at TIME]",
    .about =
        "EXPR is the name of a metric (as in /metrics, or a key of `plimsoll stats --json`) and,\n"
        "in braces, which labels its series must have: = is, != is not, =~ matches, !~ does not.\n"
        "Asks the agent.\n\n"
        "  plimsoll query used\n"
        "  plimsoll query 'used{name=~\"web.*\"}' --since 1h\n"
        "  plimsoll query 'plimsoll_memory_usage_bytes{name=\"db\"}' --since 10m --step 1m "
        "--json\n",
    .opts = opts,
    .output_opts = true,
    .options_size = sizeof(struct options),
    .run = run,
};
