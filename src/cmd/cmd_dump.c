/* cmd_dump.c - writes down everything that can be known of a group now. */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "act/dump.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"
#include "cmd/agentclient.h"
#include "cmd/grouparg.h"
#include "cmd/opt.h"

enum {
    TIMEOUT_MS = 15000,
    TIMEOUT_LEAST_MS = 500,
    LOOKS_US = 1500000, /* at most, to see whether it hangs */
    PATH_SIZE = 4096,
    OUTPUT_MAX = 1 << 20,
};

struct options {
    const char *out, *socket;
    uint64_t timeout_ms;
    bool no_cmdline;
};

static int set_out(void *into, struct str value, struct err *err) {
    if (value.n == 0)
        return err_set(err, -EINVAL, "an empty name is no folder");
    ((struct options *)into)->out = value.p;
    return 0;
}

static int set_no_cmdline(void *into, struct str value, struct err *err) {
    (void)value, (void)err;
    ((struct options *)into)->no_cmdline = true;
    return 0;
}

static int set_socket(void *into, struct str value, struct err *err) {
    return agentclient_set_socket(value, &((struct options *)into)->socket, err);
}

static int set_timeout(void *into, struct str value, struct err *err) {
    return opt_timeout_ms(value, TIMEOUT_LEAST_MS, &((struct options *)into)->timeout_ms, err);
}

static void defaults(void *options) {
    ((struct options *)options)->timeout_ms = TIMEOUT_MS;
}

/* The folder as an absolute path. */
static int folder_of(const struct options *o, char *out, size_t size, struct err *err) {
    char here[PATH_SIZE] = "";
    struct buf path;
    int r;

    if (!o->out) {
        r = dump_default_dir(out, size);
        return r < 0 ? err_set(err, r, "there is no folder for dumps: name one with --out DIR") : 0;
    }
    buf_init(&path, size - 1);
    if (o->out[0] != '/' && !getcwd(here, sizeof(here)))
        return err_set(err, -errno, "cannot tell the current folder:");
    if (here[0])
        buf_add_format(&path, "%s/", here);
    buf_add(&path, str_of(o->out));
    r = buf_error(&path);
    if (r == 0)
        r = str_copy(buf_str(&path), out, size);
    buf_done(&path);
    return r < 0 ? err_set(err, r, "the name of the folder is too long") : 0;
}

/* Looks as often as it may be a hang. */
static void look_for_hang(struct grip *g, struct audit *why) {
    int64_t until_us = clock_mono_us() + LOOKS_US;
    const struct timespec pause = {.tv_nsec = (long)HANG_LOOK_US * 1000};

    do {
        if (grip_read(g, GRIP_STAT | GRIP_EVENTS | GRIP_PSI, &why->facts) < 0)
            return;
        (void)hang_see(&why->hang, &why->facts);
        if (why->hang.kind != HANG_NONE || !hang_suspects(&why->hang))
            return;
        nanosleep(&pause, NULL);
    } while (clock_mono_us() < until_us);
}

static void tell(const struct cmd_context *context, const struct grip *g,
                 const struct action_report *r, int64_t took_us, struct buf *out) {
    struct json j;

    if (!context->json) {
        if (!context->plain)
            buf_add_format(out, "%s: ", outcome_name(r->outcome));
        text_add_visible(out, context->plain ? str_of(r->file) : str_of(r->text), false);
        if (!context->plain && r->file[0]) {
            buf_add(out, STR("\n"));
            text_add_visible(out, str_of(r->file), false);
            buf_add(out, STR("/summary.txt"));
        }
        buf_add_char(out, '\n');
        return;
    }
    json_start(&j, out);
    json_begin_object(&j);
    json_key_str(&j, "target", str_of(g->path));
    json_key_str(&j, "name", str_of(g->name));
    json_key_str(&j, "outcome", str_of(outcome_name(r->outcome)));
    json_key_maybe_str(&j, "folder", str_of(r->file));
    json_key_str(&j, "text", str_of(r->text));
    json_key_maybe_str(&j, "next", str_of(r->next));
    json_key_u64(&j, "took_ms", (uint64_t)(took_us / 1000));
    json_end(&j);
    buf_add_char(out, '\n');
}

static int write_it(const struct cmd_context *context, const struct options *o, struct grip *g) {
    int64_t began_us = clock_mono_us();
    struct audit *why = calloc(1, sizeof(*why));
    char dir[PATH_SIZE];
    struct action_report report;
    struct dump_terms terms = {
        .dir = dir,
        .socket = agentclient_socket(o->socket),
        .deadline_us = began_us + (int64_t)o->timeout_ms * 1000,
        .no_cmdline = o->no_cmdline,
    };
    struct err err;
    struct buf out;
    int status;

    if (!why)
        return cmd_failf("no memory");
    if (folder_of(o, dir, sizeof(dir), &err) < 0) {
        free(why);
        return cmd_fail(&err);
    }
    why->kind = AUDIT_BEGIN;
    why->action = ACTION_DUMP;
    why->at_ms = clock_wall_ms();
    (void)str_copy(STR("command"), why->by, sizeof(why->by));
    (void)str_copy(STR("asked for by hand"), why->report.text, sizeof(why->report.text));
    (void)str_copy(str_of(g->path), why->path, sizeof(why->path));
    (void)str_copy(str_of(g->name), why->name, sizeof(why->name));
    look_for_hang(g, why);
    terms.why = why;
    terms.hung = why->hang.kind != HANG_NONE && why->hang.kind != HANG_THROTTLED;
    (void)dump_write(g, &terms, &report);
    free(why);
    if (report.outcome == OUTCOME_FAILED || report.outcome == OUTCOME_REFUSED)
        return cmd_failf("%s%s%s", report.text, report.next[0] ? "\ntry: " : "", report.next);
    buf_init(&out, OUTPUT_MAX);
    tell(context, g, &report, clock_mono_us() - began_us, &out);
    status = cmd_write(&out, NULL);
    buf_done(&out);
    return status;
}

static int run(struct cmd_context *context, void *options) {
    struct session_options open = {TARGETS_CHOSEN, 0, false};
    struct grip *g;
    struct session session;
    struct err err;
    int status;

    if (context->nargs != 1)
        return cmd_usage(context->cmd, "dump takes one TARGET, not %zu", context->nargs);
    if (session_open(&session, context, &open, &err) < 0)
        return cmd_fail(&err);
    g = malloc(sizeof(*g));
    if (!g) {
        session_close(&session);
        return cmd_failf("no memory");
    }
    *g = (struct grip)GRIP_NONE;
    if (grouparg_open(&session, str_of(context->args[0]), g, &err) < 0)
        status = cmd_fail(&err);
    else
        status = write_it(context, options, g);
    grip_done(g);
    free(g);
    session_close(&session);
    return status;
}

static const struct opt opts[] = {
    {"out", 'o', "DIR", "where the dump's folder is made (default /var/log/plimsoll/dumps)",
     set_out},
    {"timeout", 't', "TIME", "for all of it, at most (default 15s)", set_timeout},
    {"no-cmdline", 0, NULL, "no command lines: they may hold secrets", set_no_cmdline},
    {"socket", 0, "PATH", "the agent's socket, for the last ten minutes", set_socket},
    {NULL, 0, NULL, NULL, NULL},
};

const struct cmd cmd_dump = {
    .name = "dump",
    .brief = "write down everything that can be known of a container now",
    .synopsis = "TARGET [--out DIR] [--timeout TIME] [--no-cmdline]",
    .about =
        "Memory files of the group, its processes with PSS, mappings and what their threads wait\n"
        "for, what their runtimes tell, the kernel's OOM reports, the agent's last ten minutes.\n"
        "Works while the container hangs. summary.txt in the new folder is the page to read.\n\n"
        "  plimsoll dump web\n",
    .opts = opts,
    .output_opts = true,
    .acts = true,
    .options_size = sizeof(struct options),
    .defaults = defaults,
    .run = run,
};
