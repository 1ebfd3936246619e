/* gcrun.h - `gctrace`: a program started with gctrace=1, or our standard input, taken apart as it
 * comes. What is the program's goes on untouched and in order; as slow as it is read, no faster.
 */
#pragma once
#include <stdbool.h>

#include "base/err.h"

struct gcrun_options {
    char **argv;       /* NULL: the standard input */
    bool json;         /* an object for each collection on stdout; the program's text to stderr */
    bool utf8;         /* of the terminal */
    bool spark;        /* a line at the bottom of the terminal */
    bool keep;         /* the collector's lines go on as well */
    bool stay;         /* the page is served until we are told to end */
    bool ignores_pipe; /* SIGPIPE was ignored when we were started */
    int listening;     /* a socket, -1: none; taken */
    const char *token; /* of the page's data, or NULL */
};

/* Runs to the end, blocks. The exit code: the program's, or as a shell gives it (128 + signal, 126,
 * 127), 0 at the end of the input, 125 with a text in err when we failed ourselves. */
int gcrun(const struct gcrun_options *options, struct err *err);
