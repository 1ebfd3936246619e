/* cmd.h - what a subcommand is, and what all of them share.
 *
 * A subcommand is one file cmd_NAME.c that exports one descriptor, and one line in main.c. --help,
 * and the OPTIONS part of the manual page (checked by a test), come from the descriptor. A command
 * parses, calls, prints; when it computes, that belongs below.
 */
#pragma once
#include "base/buf.h"
#include "base/err.h"
#include "kern/cgfs.h"
#include "kern/host.h"

/* Exit codes that scripts rely on. */
enum {
    EXIT_DONE = 0,
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,
    EXIT_BAD = 3,
    EXIT_UNDECIDED = 4,
    EXIT_RUN_FAILED = 125, /* `run` itself failed: every other code may be its program's */
};

struct cmd_context;

struct opt {
    const char *name; /* long name without the dashes */
    char letter;      /* short name, or 0 */
    const char *arg;  /* name of its argument as shown in --help, NULL: takes none */
    const char *help; /* one line */
    /* Stores the argument ("" when it takes none) in the command's own options. 0; or a negative
     * errno with a text that says what would be right. */
    int (*set)(void *into, struct str value, struct err *err);
};

struct cmd {
    const char *name;
    const char *brief;    /* one line for `plimsoll --help` */
    const char *synopsis; /* what follows the name in the usage line */
    const char *about;    /* a few lines below it, with an example; NULL: none */
    const struct opt
        *opts;      /* ends with a NULL name; --help, --root, --json, --plain come by themselves */
    const char *in; /* the executable beside ours that has it (dispatch.h); NULL: this one */
    bool output_opts;                /* has --json and --plain */
    bool acts;                       /* changes things: this machine alone, so no --root either */
    bool takes_command;              /* the first argument begins another program's command line */
    size_t options_size;             /* bytes of the command's own option struct, zeroed for it */
    void (*defaults)(void *options); /* NULL: all zero */
    int (*run)(struct cmd_context *context, void *options);
};

/* What a running command gets. */
struct cmd_context {
    const struct cmd *cmd;
    const char *root; /* --root, or NULL */
    bool json, plain;
    char **args; /* what is neither option nor option argument */
    size_t nargs;
    /* Of the standard output: */
    bool terminal; /* a terminal, and neither --json nor --plain */
    bool colour;   /* terminal, NO_COLOR unset, TERM not dumb */
    bool utf8;     /* the locale's character set is UTF-8 */
    /* Of whoever started us: */
    bool ignores_pipe; /* SIGPIPE was ignored: programs that we start inherit that, not our own */
};

/* Messages on stderr, "plimsoll: " in front; control bytes shown as '?'. cmd_fail returns
 * EXIT_FAILED, cmd_usage (which adds the next step) EXIT_USAGE. */
int cmd_fail(const struct err *err);
int cmd_failf(const char *format, ...) __attribute__((format(printf, 1, 2)));
int cmd_usage(const struct cmd *cmd, const char *format, ...) __attribute__((format(printf, 2, 3)));
void cmd_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Columns and rows of the terminal on stdout, 0 when it is none. */
void cmd_terminal_size(size_t *columns_out, size_t *rows_out);

/* Writes the buffer to stdout. EXIT_DONE; EXIT_FAILED with a message, but a reader that went away
 * (`| head`) is no failure: then *gone_out, which may be NULL, is set. */
int cmd_write(struct buf *out, bool *gone_out);

/* The same for streams: a reader that does not read (a stopped pager) must not keep us from ending
 * when `stop` becomes readable; then *gone_out is set too. */
int cmd_write_until(struct buf *out, int stop, bool *gone_out);

extern const struct cmd cmd_stats, cmd_free, cmd_ps, cmd_map, cmd_top, cmd_run, cmd_agent,
    cmd_query, cmd_gc, cmd_doctor, cmd_enter, cmd_dump, cmd_guard, cmd_rescue, cmd_incidents;
/* of plimsoll-inspect */
extern const struct cmd cmd_heap, cmd_gctrace;
