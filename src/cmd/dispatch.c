/* dispatch.c - from argv to a subcommand. */
#include "cmd/dispatch.h"

#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/beside.h"
#include "base/mem.h"
#include "cmd/opt.h"

/* The commands of this executable, and of those beside it. */
static const struct cmd *const *commands;
static size_t commands_n;

static void add_help(struct buf *out) {
    buf_add(out, STR("usage: plimsoll COMMAND [OPTION...] [ARGUMENT...]\n\n"
                     "Sees and explains the memory of containers and processes.\n\n"));
    for (size_t i = 0; i < commands_n; i++)
        buf_add_format(out, "  %-8s %s\n", commands[i]->name, commands[i]->brief);
    buf_add(out, STR("\n`plimsoll COMMAND --help` explains a command; "
                     "`man plimsoll` tells what the numbers mean.\n"));
}

static int print_help(void) {
    struct buf out;
    int r;

    buf_init(&out, 65536);
    add_help(&out);
    r = cmd_write(&out, NULL);
    buf_done(&out);
    return r;
}

/* No command at all: what would be right, where messages go. */
static int print_usage(void) {
    struct buf out;

    buf_init(&out, 65536);
    add_help(&out);
    (void)buf_flush(&out, STDERR_FILENO);
    buf_done(&out);
    return EXIT_USAGE;
}

static int print_command_help(const struct cmd *cmd) {
    struct buf out;
    int r;

    buf_init(&out, 65536);
    opt_add_help(cmd, &out);
    r = cmd_write(&out, NULL);
    buf_done(&out);
    return r;
}

static const struct cmd *find(struct str name) {
    for (size_t i = 0; i < commands_n; i++)
        if (str_eq(name, str_of(commands[i]->name)))
            return commands[i];
    return NULL;
}

/* The other executable becomes us, with the same words. */
static int become(const struct cmd *cmd, char **argv) {
    char path[4096];
    struct err err;

    if (beside_find(cmd->in, path, sizeof(path), &err) < 0)
        return cmd_fail(&err);
    execv(path, argv);
    return cmd_failf("cannot start '%s': %s", path, strerror(errno));
}

static int unknown_command(struct str name) {
    const char *known[DISPATCH_MAX];
    const char *near;

    if (str_starts(name, STR("-")))
        return cmd_usage(NULL, "unknown option '%.*s'", STR_ARG(name));
    for (size_t i = 0; i < commands_n; i++)
        /* The analyzer thinks that find() gave NULL because the table holds one. */
        known[i] = commands[i]->name; /* NOLINT(clang-analyzer-core.NullDereference) */
    near = opt_suggest(name, known, commands_n);
    if (near)
        return cmd_usage(NULL, "unknown command '%.*s', did you mean '%s'?", STR_ARG(name), near);
    return cmd_usage(NULL, "unknown command '%.*s'", STR_ARG(name));
}

static void look_at_stdout(struct cmd_context *context) {
    const char *term = getenv("TERM"), *no_colour = getenv("NO_COLOR");

    setlocale(LC_CTYPE, "");
    context->utf8 = str_eq(str_of(nl_langinfo(CODESET)), STR("UTF-8"));
    setlocale(LC_CTYPE, "C");
    context->terminal = isatty(STDOUT_FILENO) && !context->json && !context->plain;
    context->colour = context->terminal && !(no_colour && *no_colour) && term &&
                      !str_eq(str_of(term), STR("dumb"));
}

static int run(const struct cmd *cmd, int argc, char **argv, bool ignores_pipe) {
    struct cmd_context context = {.cmd = cmd, .ignores_pipe = ignores_pipe};
    auto_free void *options = calloc(1, cmd->options_size ? cmd->options_size : 1);
    struct err err;
    int r;

    if (!options)
        return cmd_failf("out of memory");
    if (cmd->defaults)
        cmd->defaults(options);
    r = opt_parse(cmd, argc, argv, options, &context, &err);
    if (r < 0)
        return cmd_usage(cmd, "%s", err.text);
    if (r > 0)
        return print_command_help(cmd);
    if (context.json && context.plain)
        return cmd_usage(cmd, "--json and --plain exclude each other");
    /* What only acts prints words, not tables; and a locale takes longer than a start. */
    if (!cmd->acts || cmd->output_opts)
        look_at_stdout(&context);
    return cmd->run(&context, options);
}

int dispatch(const struct cmd *const *table, size_t n, int argc, char **argv) {
    struct str name = str_of(argc > 1 ? argv[1] : NULL);
    const struct cmd *cmd;

    commands = table;
    commands_n = n < DISPATCH_MAX ? n : DISPATCH_MAX;
    /* A reader that goes away is an EPIPE, not a death. */
    bool ignores_pipe = signal(SIGPIPE, SIG_IGN) == SIG_IGN;

    if (argc < 2)
        return print_usage();
    if (str_eq(name, STR("--help")) || str_eq(name, STR("-h")) ||
        (str_eq(name, STR("help")) && argc == 2))
        return print_help();
    if (str_eq(name, STR("--version")) || str_eq(name, STR("-V"))) {
        if (argc > 2)
            return cmd_usage(NULL, "%s takes no argument", argv[1]);
        printf("plimsoll %s\n", PLIMSOLL_VERSION);
        return fflush(stdout) == 0 ? EXIT_DONE : EXIT_FAILED;
    }
    if (str_eq(name, STR("help"))) {
        name = str_of(argv[2]);
        cmd = find(name);
        if (cmd && cmd->in)
            return become(cmd, argv);
        return cmd ? print_command_help(cmd) : unknown_command(name);
    }
    cmd = find(name);
    if (!cmd)
        return unknown_command(name);
    if (cmd->in) {
        if (ignores_pipe == false)
            signal(SIGPIPE, SIG_DFL); /* as it was */
        return become(cmd, argv);
    }
    return run(cmd, argc - 1, argv + 1, ignores_pipe);
}
