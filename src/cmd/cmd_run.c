/* cmd_run.c - `run`: a program within a limit, watched over, started again when memory killed it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "act/supervise.h"
#include "base/mem.h"
#include "base/num.h"
#include "cmd/opt.h"

extern char **environ;

#define YEAR_MS (1000ULL * 86400 * 365)

struct options {
    struct supervise_options what;
    char name[RUNGROUP_NAME + 1];
    bool swap_given;
};

static void defaults(void *options) {
    struct options *o = options;

    o->what.limits = (struct rungroup_limits){
        .limit = RUNGROUP_UNSET, .swap = RUNGROUP_UNSET, .high = RUNGROUP_UNSET, .swappiness = -1};
    o->what.restart.max = RESTART_UNLIMITED;
    o->what.grace_us = 10000000;
    o->what.hints = true;
}

/* --- setters ---------------------------------------------------------------------------------- */

/* A limit of memory: at least a page, since the kernel rounds down to pages and 0 lets nothing run.
 */
static int set_limit(struct str value, uint64_t *out, struct err *err) {
    uint64_t bytes, page = (uint64_t)sysconf(_SC_PAGESIZE);
    int r = opt_size(value, &bytes, err);

    if (r < 0)
        return r;
    if (bytes < page)
        return err_set(err, -EINVAL,
                       "a limit of '%.*s' is less than a page of %llu bytes: no program can start "
                       "in it (a small one needs about 1M)",
                       STR_ARG(value), (unsigned long long)page);
    *out = bytes;
    return 0;
}

static int set_memory(void *into, struct str value, struct err *err) {
    return set_limit(value, &((struct options *)into)->what.limits.limit, err);
}

static int set_high(void *into, struct str value, struct err *err) {
    return set_limit(value, &((struct options *)into)->what.limits.high, err);
}

static int set_swap(void *into, struct str value, struct err *err) {
    struct options *o = into;

    o->swap_given = true;
    if (str_eq(value, STR("max"))) {
        o->what.limits.swap = RUNGROUP_UNSET;
        return 0;
    }
    return opt_size(value, &o->what.limits.swap, err);
}

/* A whole number up to `max`. */
static int set_number(struct str value, uint64_t max, const char *what, uint64_t *out,
                      struct err *err) {
    uint64_t number;

    if (str_to_u64(value, &number) < 0 || number > max)
        return err_set(err, -EINVAL, "'%.*s' is not %s (0 to %llu)", STR_ARG(value), what,
                       (unsigned long long)max);
    *out = number;
    return 0;
}

static int set_swappiness(void *into, struct str value, struct err *err) {
    uint64_t number = 0;
    int r = set_number(value, 200, "a swappiness", &number, err);

    if (r == 0)
        ((struct options *)into)->what.limits.swappiness = (int)number;
    return r;
}

static int set_oom_group(void *into, struct str value, struct err *err) {
    (void)value, (void)err;
    ((struct options *)into)->what.limits.oom_group = true;
    return 0;
}

static int set_name(void *into, struct str value, struct err *err) {
    struct options *o = into;

    if (!rungroup_name_ok(value))
        return err_set(err, -EINVAL,
                       "'%.*s' cannot be a run's name: letters, digits, '.', '_' and '-', at most "
                       "%d, the first a letter or digit",
                       STR_ARG(value), RUNGROUP_NAME);
    return str_copy(value, o->name, sizeof(o->name));
}

static int set_parent(void *into, struct str value, struct err *err) {
    if (value.n == 0)
        return err_set(err, -EINVAL, "--cgroup-parent needs the path of a group, as /batch");
    ((struct options *)into)->what.parent = value.p;
    return 0;
}

static int choose(struct str value, const char *const *words, unsigned n, const char *option,
                  unsigned *out, struct err *err) {
    char list[160] = "";
    size_t at = 0;

    for (unsigned i = 0; i < n; i++) {
        if (str_eq(value, str_of(words[i]))) {
            *out = i;
            return 0;
        }
        if (at < sizeof(list))
            at += (size_t)snprintf(list + at, sizeof(list) - at, "%s%s", i ? ", " : "", words[i]);
    }
    return err_set(err, -EINVAL, "--%s is one of %s, not '%.*s'", option, list, STR_ARG(value));
}

static int set_restart(void *into, struct str value, struct err *err) {
    if (restart_parse_policy(value, &((struct options *)into)->what.restart.policy) < 0)
        return err_set(err, -EINVAL, "--restart is one of oom, failure, always, never, not '%.*s'",
                       STR_ARG(value));
    return 0;
}

static int set_max_restarts(void *into, struct str value, struct err *err) {
    uint64_t number = 0;
    int r = set_number(value, RESTART_WINDOW_MAX, "a number of restarts", &number, err);

    if (r == 0)
        ((struct options *)into)->what.restart.max = (uint32_t)number;
    return r;
}

static int set_duration(struct str value, uint64_t least_ms, int64_t *out, struct err *err) {
    uint64_t ms = 0;
    int r = num_parse_ms(value, &ms);

    if (r == -ERANGE || (r == 0 && (ms < least_ms || ms > YEAR_MS)))
        return err_set(err, -EINVAL, "a duration of '%.*s' is out of range (%llu ms to a year)",
                       STR_ARG(value), (unsigned long long)least_ms);
    if (r < 0)
        return err_set(err, -EINVAL, "'%.*s' is not a duration; write it as 10, 0.5, 200ms or 5m",
                       STR_ARG(value));
    *out = (int64_t)ms * 1000;
    return 0;
}

static int set_window(void *into, struct str value, struct err *err) {
    return set_duration(value, 1, &((struct options *)into)->what.restart.window_us, err);
}

static int set_backoff(void *into, struct str value, struct err *err) {
    return set_duration(value, 1, &((struct options *)into)->what.restart.first_us, err);
}

static int set_backoff_max(void *into, struct str value, struct err *err) {
    return set_duration(value, 1, &((struct options *)into)->what.restart.most_us, err);
}

static int set_grace(void *into, struct str value, struct err *err) {
    return set_duration(value, 0, &((struct options *)into)->what.grace_us, err);
}

static int set_hints(void *into, struct str value, struct err *err) {
    static const char *const words[] = {"off", "auto"};
    unsigned chosen = 0;
    int r = choose(value, words, ARRAY_N(words), "hints", &chosen, err);

    if (r == 0)
        ((struct options *)into)->what.hints = chosen == 1;
    return r;
}

static int set_pressure(void *into, struct str value, struct err *err) {
    static const char *const words[] = {
        [PRESSURE_AUTO] = "auto", [PRESSURE_SOCKET] = "socket", [PRESSURE_OFF] = "off"};
    unsigned chosen = 0;
    int r = choose(value, words, ARRAY_N(words), "pressure", &chosen, err);

    if (r == 0)
        ((struct options *)into)->what.pressure = (enum pressure_mode)chosen;
    return r;
}

static int set_events(void *into, struct str value, struct err *err) {
    if (value.n == 0)
        return err_set(err, -EINVAL, "--events needs a file, or fd:N");
    ((struct options *)into)->what.events = value.p;
    return 0;
}

static int set_print(void *into, struct str value, struct err *err) {
    (void)value, (void)err;
    ((struct options *)into)->what.print = true;
    return 0;
}

static int set_verbose(void *into, struct str value, struct err *err) {
    (void)value, (void)err;
    ((struct options *)into)->what.verbose = true;
    return 0;
}

static int set_quiet(void *into, struct str value, struct err *err) {
    (void)value, (void)err;
    ((struct options *)into)->what.quiet = true;
    return 0;
}

static const struct opt opts[] = {
    {"memory", 'm', "SIZE", "the limit: 60M, 1.5G", set_memory},
    {"swap", 0, "SIZE", "swap it may use on top; max: any (default: none with -m)", set_swap},
    {"high", 0, "SIZE", "v2: above it the kernel slows the program down", set_high},
    {"swappiness", 0, "N", "v1: 0 to 200 (default: 0 where no swap is allowed)", set_swappiness},
    {"oom-group", 0, NULL, "v2: an OOM kill takes the whole group", set_oom_group},
    {"name", 0, "NAME", "what stats, ps and free call it (default: CMD and a pid)", set_name},
    {"cgroup-parent", 0, "PATH", "the group to make its group in (made if missing)", set_parent},
    {"restart", 0, "WHEN", "oom (default), failure, always or never", set_restart},
    {"max-restarts", 0, "N", "give up after so many, with exit code 137", set_max_restarts},
    {"window", 0, "TIME", "... within this time (default: ever)", set_window},
    {"backoff", 0, "TIME", "wait before the first restart, then doubled (1s)", set_backoff},
    {"backoff-max", 0, "TIME", "the longest wait (60s)", set_backoff_max},
    {"grace", 0, "TIME", "from SIGTERM to SIGKILL (10s)", set_grace},
    {"hints", 0, "HOW", "auto (default): tell runtimes their limit; or off", set_hints},
    {"pressure", 0, "HOW", "$MEMORY_PRESSURE_WATCH: auto (default), socket or off", set_pressure},
    {"events", 0, "WHERE", "JSON lines to a file or fd:N", set_events},
    {"print", 0, NULL, "show what would be written and set, and do nothing", set_print},
    {"verbose", 'v', NULL, "also tell of hints and starts", set_verbose},
    {"quiet", 'q', NULL, "no messages but errors of its own", set_quiet},
    {NULL, 0, NULL, NULL, NULL},
};

/* --- run -------------------------------------------------------------------------------------- */

/* The last part of the program's name, without what a name may not have, and our pid. */
static void make_name(struct options *o, struct str program) {
    char base[32];
    size_t n = 0;

    program = str_from(program, (size_t)(str_rfind(program, '/') + 1));
    for (size_t i = 0; i < program.n && n < sizeof(base) - 1; i++) {
        base[n] = program.p[i];
        n += rungroup_name_ok((struct str){base, n + 1});
    }
    base[n] = '\0';
    snprintf(o->name, sizeof(o->name), "%s-%d", n ? base : "run", (int)getpid());
}

/* Descriptors of ours must not take the place of standard streams that the caller closed. */
static void hold_standard_streams(void) {
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0)
            (void)open("/dev/null", fd == 0 ? O_RDONLY : O_WRONLY);
}

static int check(const struct cmd_context *context, struct options *o) {
    struct rungroup_limits *l = &o->what.limits;

    if (context->nargs == 0)
        return cmd_usage(context->cmd, "no command to run (try: plimsoll run -m 60M -- ./app)");
    if (context->args[0][0] == '\0')
        return cmd_usage(context->cmd, "the command is empty");
    if (l->high != RUNGROUP_UNSET && l->limit != RUNGROUP_UNSET && l->high > l->limit)
        return cmd_usage(context->cmd, "--high is above the limit of -m, and would do nothing");
    if (o->what.verbose && o->what.quiet)
        return cmd_usage(context->cmd, "-v and -q exclude each other");
    if (o->what.restart.window_us > 0 && o->what.restart.max == RESTART_UNLIMITED)
        return cmd_usage(context->cmd, "--window counts restarts for --max-restarts, which is not "
                                       "given");
    if (l->limit != RUNGROUP_UNSET && !o->swap_given)
        l->swap = 0;
    return EXIT_DONE;
}

static int supervise_it(const struct options *o) {
    struct host host;
    struct cgfs *fs = calloc(1, sizeof(*fs));
    struct err err = {.code = 0};
    struct buf shown;
    int code = EXIT_RUN_FAILED;

    buf_init(&shown, 1 << 20);
    if (!fs) {
        (void)cmd_failf("out of memory");
    } else if (host_open(NULL, &host, &err) == 0) {
        if (cgfs_open(&host, fs, &err) == 0) {
            code = supervise(&host, fs, &o->what, &shown, &err);
            cgfs_done(fs);
        }
        host_done(&host);
    }
    if (err.code)
        (void)cmd_fail(&err);
    if (shown.n > 0 && cmd_write(&shown, NULL) != EXIT_DONE)
        code = EXIT_RUN_FAILED;
    buf_done(&shown);
    free(fs);
    return code;
}

static int run(struct cmd_context *context, void *options) {
    struct options *o = options;
    int r = check(context, o);

    if (r != EXIT_DONE)
        return r;
    hold_standard_streams();
    if (!o->name[0])
        make_name(o, str_of(context->args[0]));
    o->what.name = o->name;
    o->what.argv = context->args;
    o->what.env = environ;
    o->what.ignore_pipe = context->ignores_pipe;
    return supervise_it(o);
}

const struct cmd cmd_run = {
    .name = "run",
    .brief = "run a program within a memory limit, and start it again when that killed it",
    .synopsis = "[-m SIZE] [OPTION...] [--] COMMAND [ARGUMENT...]",
    .about =
        "Options end where the command begins. The exit code is the command's own, 128 + signal\n"
        "if a signal killed it, 126 and 127 if it cannot be executed or found, 137 when there\n"
        "were too many restarts, 125 if plimsoll itself failed.\n\n"
        "  plimsoll run -m 60M -- ./app\n"
        "  plimsoll run -m 1G --name web --restart failure --max-restarts 5 -- node server.js\n",
    .opts = opts,
    .acts = true,
    .takes_command = true,
    .options_size = sizeof(struct options),
    .defaults = defaults,
    .run = run,
};
