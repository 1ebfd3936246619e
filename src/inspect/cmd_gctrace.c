/* cmd_gctrace.c - `gctrace`: a Go program's collector, live, from what it writes itself.
 */
#include <unistd.h>

#include "base/mem.h"
#include "cmd/opt.h"
#include "inspect/gcrun.h"

struct options {
    struct gcrun_options run;
};

static int set_json(void *into, struct str value, struct err *err) {
    (void)value, (void)err;
    ((struct options *)into)->run.json = true;
    return 0;
}

static int set_keep(void *into, struct str value, struct err *err) {
    (void)value, (void)err;
    ((struct options *)into)->run.keep = true;
    return 0;
}

static void defaults(void *options) {
    ((struct options *)options)->run.listening = -1;
}

static int run(struct cmd_context *context, void *options) {
    struct options *o = options;
    bool filter = context->nargs == 1 && str_eq(str_of(context->args[0]), STR("-"));
    struct err err = {.code = 0};
    int code;

    if (context->nargs == 0)
        return cmd_usage(context->cmd, "gctrace needs a command line, or '-' to read the lines of "
                                       "one: CMD 2>&1 | plimsoll gctrace -");
    if (!filter && str_eq(str_of(context->args[0]), STR("-")))
        return cmd_usage(context->cmd,
                         "what follows '-' is not understood: options come before it");
    if (filter && isatty(STDIN_FILENO))
        return cmd_usage(context->cmd, "the standard input is a terminal: pipe a program's stderr "
                                       "into it, CMD 2>&1 | plimsoll gctrace -");
    o->run.argv = filter ? NULL : context->args;
    o->run.ignores_pipe = context->ignores_pipe;
    code = gcrun(&o->run, &err);
    if (err.code != 0)
        (void)cmd_fail(&err);
    return code;
}

static const struct opt opts[] = {
    {"json", 0, NULL, "an object for each collection on stdout, the summary as the last one",
     set_json},
    {"keep", 'k', NULL, "pass the collector's lines on as well", set_keep},
    {NULL, 0, NULL, NULL, NULL},
};

const struct cmd cmd_gctrace = {
    .name = "gctrace",
    .brief = "a Go program's collector, live: from GODEBUG=gctrace=1",
    .synopsis = "[OPTION...] [--] COMMAND [ARGUMENT...]\n"
                "   or: COMMAND 2>&1 | plimsoll gctrace [OPTION...] -",
    .about =
        "Starts the command with GODEBUG=gctrace=1 and takes the collector's lines out of its\n"
        "stderr; all else goes through untouched. At the end a summary, and the command's\n"
        "own exit code.\n\n"
        "  plimsoll gctrace -- ./server -v\n"
        "  GODEBUG=gctrace=1 ./server 2>&1 | plimsoll gctrace -\n"
        "  plimsoll gctrace --json -- ./server | jq .pause_ns\n",
    .opts = opts,
    .acts = true,
    .takes_command = true,
    .options_size = sizeof(struct options),
    .defaults = defaults,
    .run = run,
};
