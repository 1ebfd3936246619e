/* cmd_agent.c - the daemon: watches every container, remembers, serves what it knows.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "cmd/opt.h"
#include "engine/agent.h"

struct options {
    const char *config, *state, *listen, *socket, *audit;
    bool check, foreground;
};

static int set_text(struct str value, const char *option, const char **out, struct err *err) {
    if (value.n == 0)
        return err_set(err, -EINVAL, "--%s needs a value", option);
    *out = value.p; /* an argument of ours: a NUL follows */
    return 0;
}

static int set_config(void *into, struct str value, struct err *err) {
    return set_text(value, "config", &((struct options *)into)->config, err);
}

static int set_state(void *into, struct str value, struct err *err) {
    return set_text(value, "state", &((struct options *)into)->state, err);
}

static int set_listen(void *into, struct str value, struct err *err) {
    return set_text(value, "listen", &((struct options *)into)->listen, err);
}

static int set_socket(void *into, struct str value, struct err *err) {
    return set_text(value, "socket", &((struct options *)into)->socket, err);
}

static int set_audit(void *into, struct str value, struct err *err) {
    return set_text(value, "audit", &((struct options *)into)->audit, err);
}

static int set_check(void *into, struct str value, struct err *err) {
    (void)value, (void)err;
    ((struct options *)into)->check = true;
    return 0;
}

static int set_foreground(void *into, struct str value, struct err *err) {
    (void)value, (void)err;
    ((struct options *)into)->foreground = true;
    return 0;
}

/* The agent's processes have folders of their own: a path is made absolute before they start. It
 * lives until the process ends. */
static int make_absolute(const char **path) {
    char folder[4096];
    char *whole = NULL;

    if (!*path || (*path)[0] == '/')
        return 0;
    if (!getcwd(folder, sizeof(folder)))
        return -errno;
    if (asprintf(&whole, "%s/%s", folder, *path) < 0)
        return -ENOMEM;
    *path = whole;
    return 0;
}

static int run(struct cmd_context *context, void *into) {
    struct options *o = into;
    const char **paths[] = {&o->config, &o->state, &o->socket, &o->audit};
    struct agent_options agent;
    struct err err;
    int r = 0;

    if (context->nargs > 0)
        return cmd_usage(context->cmd, "agent takes no argument, not '%s'", context->args[0]);
    for (size_t i = 0; i < ARRAY_N(paths) && r == 0; i++)
        r = make_absolute(paths[i]);
    if (r < 0) {
        err_set(&err, r, "cannot tell the current folder:");
        return cmd_fail(&err);
    }
    agent = (struct agent_options){
        .config = o->config,
        .state = o->state,
        .listen = o->listen,
        .socket = o->socket,
        .audit = o->audit,
        .foreground = o->foreground,
        .version = PLIMSOLL_VERSION,
    };
    r = o->check ? agent_check(&agent, &err) : agent_run(&agent, &err);
    if (r >= 0)
        return r;
    (void)cmd_fail(&err);
    return r == -EINVAL ? EXIT_USAGE : EXIT_FAILED;
}

static const struct opt opts[] = {
    {"config", 'c', "FILE", "configuration (/etc/plimsoll/plimsoll.yaml if there is one)",
     set_config},
    {"state", 0, "DIR", "where the history is kept", set_state},
    {"listen", 'l', "ADDRESS", "ADDR:PORT, unix:PATH or off, instead of the configuration's",
     set_listen},
    {"socket", 0, "PATH", "the unix socket that plimsoll's own commands ask", set_socket},
    {"audit", 0, "FILE", "what guards do is recorded there (/var/log/plimsoll/audit.jsonl)",
     set_audit},
    {"check", 0, NULL, "only tell what is wrong with the configuration", set_check},
    {"foreground", 0, NULL, "log lines for people, not for a journal", set_foreground},
    {NULL, 0, NULL, NULL, NULL},
};

const struct cmd cmd_agent = {
    .name = "agent",
    .brief = "watch every container, remember, serve metrics",
    .synopsis = "[--config FILE] [--state DIR] [--listen ADDRESS] [--audit FILE] [--check]",
    .about =
        "Samples every container, service and named run once a second, keeps the history, and\n"
        "serves it by HTTP on 127.0.0.1:7533: /metrics for Prometheus, JSON below /api/v1.\n"
        "SIGHUP reads the configuration again, SIGTERM ends it.\n\n"
        "  plimsoll agent --foreground --state ./var\n"
        "  plimsoll agent --check --config plimsoll.yaml\n",
    .opts = opts,
    .acts = true,
    .options_size = sizeof(struct options),
    .run = run,
};
