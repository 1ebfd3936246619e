/* err.h - an error that a person will read.
 *
 * Functions that fail with nothing to say return a negative errno alone. Those whose failure is
 * shown to a person take a struct err, owned by the caller, as last parameter and fill it only on
 * failure. Style: lower case, subject in quotes, what failed first, no full stop.
 */
#pragma once

struct err {
    int code; /* the negative errno that was returned */
    char text[400];
};

/* Writes the text (cut to fit, control bytes shown as '?'), appends ": No such file or directory"
 * as strerror says when `code` is a negative errno and the format ends in ':'. Returns code, so
 * that a failure is one line. `err` may be NULL. */
int err_set(struct err *err, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
