#include "cmd/cmd.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/text.h"

/* Made whole before it is written, so that lines of two processes do not mix. Names of containers
 * and of what a user typed are shown as in tables. */
static void say(const char *format, va_list args) __attribute__((format(printf, 1, 0)));

static void say(const char *format, va_list args) {
    char text[1024];
    struct str rest, line;
    struct buf out;

    vsnprintf(text, sizeof(text), format, args);
    buf_init(&out, 8 * sizeof(text));
    buf_add(&out, STR("plimsoll: "));
    rest = str_of(text);
    while (str_cut(&rest, '\n', &line)) {
        text_add_visible(&out, line, false);
        buf_add_char(&out, '\n');
    }
    text_add_visible(&out, rest, false);
    buf_add_char(&out, '\n');
    (void)buf_flush(&out, STDERR_FILENO);
    buf_done(&out);
}

int cmd_fail(const struct err *err) {
    return cmd_failf("%s", err->text);
}

int cmd_failf(const char *format, ...) {
    va_list args;

    va_start(args, format);
    say(format, args);
    va_end(args);
    return EXIT_FAILED;
}

int cmd_usage(const struct cmd *cmd, const char *format, ...) {
    va_list args;

    va_start(args, format);
    say(format, args);
    va_end(args);
    fprintf(stderr, "try: plimsoll %s%s--help\n", cmd ? cmd->name : "", cmd ? " " : "");
    return EXIT_USAGE;
}

void cmd_warn(const char *format, ...) {
    va_list args;

    va_start(args, format);
    say(format, args);
    va_end(args);
}

void cmd_terminal_size(size_t *columns_out, size_t *rows_out) {
    struct winsize size = {0};
    bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0;

    *columns_out = known ? size.ws_col : 0;
    *rows_out = known ? size.ws_row : 0;
}

static int written(int r, bool *gone_out) {
    struct err err;

    if (r == -EPIPE || r == -ECANCELED) {
        if (gone_out)
            *gone_out = true;
        return EXIT_DONE;
    }
    if (r == 0)
        return EXIT_DONE;
    err_set(&err, r, "cannot write to the standard output:");
    return cmd_fail(&err);
}

int cmd_write(struct buf *out, bool *gone_out) {
    return written(buf_flush(out, STDOUT_FILENO), gone_out);
}

int cmd_write_until(struct buf *out, int stop, bool *gone_out) {
    return written(buf_flush_until(out, STDOUT_FILENO, stop), gone_out);
}
