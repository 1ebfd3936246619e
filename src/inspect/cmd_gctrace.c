/* cmd_gctrace.c - `gctrace`: a Go program's collector, live, from what it writes itself.
 */
#include <errno.h>
#include <fcntl.h>
#include <langinfo.h>
#include <locale.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "cmd/opt.h"
#include "inspect/gcrun.h"
#include "inspect/gcserver.h"

enum { TOKEN_MAX = 4096, TOKEN_LEAST = 16 };

struct options {
    struct gcrun_options run;
    struct str listen;
    const char *token_file;
    char token[TOKEN_MAX];
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

static int set_spark(void *into, struct str value, struct err *err) {
    (void)value, (void)err;
    ((struct options *)into)->run.spark = true;
    return 0;
}

static int set_stay(void *into, struct str value, struct err *err) {
    (void)value, (void)err;
    ((struct options *)into)->run.stay = true;
    return 0;
}

static int set_listen(void *into, struct str value, struct err *err) {
    (void)err;
    ((struct options *)into)->listen = value;
    return 0;
}

static int set_token_file(void *into, struct str value, struct err *err) {
    if (value.n == 0)
        return err_set(err, -EINVAL, "--token-file needs the name of a file");
    ((struct options *)into)->token_file = value.p; /* from argv: NUL-terminated */
    return 0;
}

/* The page's socket and token, before the program is started. */
static int prepare_page(struct options *o, struct err *err) {
    struct str token;
    int r;

    if (o->listen.n == 0 && (o->token_file || o->run.stay))
        return err_set(err, -EINVAL, "%s is about the page: it needs --listen",
                       o->token_file ? "--token-file" : "--stay");
    if (o->token_file) {
        r = file_read_at(AT_FDCWD, o->token_file, o->token, sizeof(o->token) - 1, &token);
        if (r < 0)
            return err_set(err, r, "cannot read '%s':", o->token_file);
        token = str_trim(token);
        if (token.n < TOKEN_LEAST)
            return err_set(err, -EINVAL, "the token in '%s' is shorter than %d bytes",
                           o->token_file, TOKEN_LEAST);
        memmove(o->token, token.p, token.n);
        o->token[token.n] = '\0';
        o->run.token = o->token;
    }
    if (o->listen.n == 0)
        return 0;
    r = gcserver_bind(o->listen, o->run.token, err);
    o->run.listening = r;
    return r < 0 ? r : 0;
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
    setlocale(LC_CTYPE, "");
    o->run.utf8 = str_eq(str_of(nl_langinfo(CODESET)), STR("UTF-8"));
    setlocale(LC_CTYPE, "C");
    if (prepare_page(o, &err) < 0)
        return cmd_fail(&err) == EXIT_FAILED && err.code == -EINVAL ? EXIT_USAGE : EXIT_RUN_FAILED;
    code = gcrun(&o->run, &err);
    if (err.code != 0)
        (void)cmd_fail(&err);
    return code;
}

static const struct opt opts[] = {
    {"json", 0, NULL, "an object for each collection on stdout, the summary as the last one",
     set_json},
    {"spark", 0, NULL, "a line at the bottom of the terminal while it runs", set_spark},
    {"listen", 0, "ADDR:PORT", "serve a live page there; port 0: one that is free", set_listen},
    {"token-file", 0, "FILE", "ask for this token; needed beyond the loopback", set_token_file},
    {"stay", 0, NULL, "serve the page on when the program has ended", set_stay},
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
