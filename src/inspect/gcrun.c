#include "inspect/gcrun.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "act/signals.h"
#include "base/clock.h"
#include "base/mem.h"
#include "cmd/cmd.h"
#include "inspect/gcchild.h"
#include "inspect/gcout.h"
#include "inspect/gcsay.h"
#include "inspect/gcserver.h"
#include "inspect/gcspark.h"
#include "net/loop.h"

enum {
    READ = 64 << 10,
    WRITES = 64,         /* of the program's in one turn */
    LINGER_US = 1000000, /* others may still have the program's stderr */
    END_US = 5000000,    /* for a reader to take the last of it */
    SPARK_US = 250000,
    PAGE_US = 500000, /* for the page to hear of the end */
};

struct gcrun {
    const struct gcrun_options *options;
    struct loop *loop;
    struct gclines lines;
    struct gcstats stats;
    struct gcout text, events; /* the program's, and JSON */
    int64_t began_us;

    int in, in_ready; /* in_ready: what the loop watches for it, a file is always ready */
    uint32_t in_id, stuck_id, patience_id, linger_id;
    bool watches_in, stuck, has_patience, lingers;
    bool ended; /* of the input */

    int signals;
    struct gcchild child; /* pid 0: none, or reaped */
    bool has_child;
    int code;
    unsigned interrupts;

    struct gcpage page;
    struct gcserver *server; /* NULL: none */
    bool over;               /* told to end */

    struct gcspark spark;
    bool sparks; /* it is drawn */
    char chunk[READ];
};

/* --- what comes out ----------------------------------------------------------------------------
 */

static int64_t now_ms(const struct gcrun *run) {
    return (clock_mono_us() - run->began_us) / 1000;
}

static void on_text(void *ctx, struct str s) {
    gcout_add(&((struct gcrun *)ctx)->text, s);
}

static void tell_collection(struct gcrun *run, const struct gctrace *g, int64_t at_ms) {
    struct json j;

    if (run->events.gone)
        return;
    json_start(&j, &run->events.buf);
    gcsay_collection(&j, &run->stats, g, at_ms);
    gcout_add(&run->events, STR("\n"));
}

static void on_line(void *ctx, const struct gctrace *g, struct str line) {
    struct gcrun *run = ctx;
    int64_t at_ms = gcstats_add(&run->stats, g, now_ms(run));

    if (run->options->keep && line.n > 0) {
        gcout_add(&run->text, line);
        gcout_add(&run->text, STR("\n"));
    }
    if (at_ms >= 0 && run->options->json)
        tell_collection(run, g, at_ms);
}

/* --- the terminal's last line -------------------------------------------------------------------
 */

/* Between two writes of the program's only, and when it is read fast enough. */
static int on_spark(struct loop *loop, uint32_t what, void *ctx) {
    struct gcrun *run = ctx;
    struct winsize size = {0};
    struct gcout line;

    (void)loop, (void)what;
    if (run->stuck || run->page.ended)
        return 0;
    gcout_init(&line, STDERR_FILENO);
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0)
        gcspark_draw(&run->spark, &run->stats, size.ws_row, size.ws_col, &line.buf);
    (void)gcout_push(&line);
    gcout_done(&line);
    return 0;
}

static void end_spark(struct gcrun *run) {
    struct gcout line;

    gcout_init(&line, STDERR_FILENO);
    gcspark_end(&run->spark, &line.buf);
    gcout_end(&line, END_US);
    gcout_done(&line);
}

static int begin_spark(struct gcrun *run) {
    const char *term = getenv("TERM"), *no_colour = getenv("NO_COLOR");

    if (!run->options->spark || !isatty(STDERR_FILENO) || !term ||
        str_eq(str_of(term), STR("dumb")))
        return 0;
    run->spark.utf8 = run->options->utf8;
    run->spark.colour = !(no_colour && *no_colour);
    run->sparks = true;
    return loop_add_timer(run->loop, SPARK_US, SPARK_US, on_spark, run, NULL);
}

/* --- reading -----------------------------------------------------------------------------------
 */

static void look_at_end(struct gcrun *run) {
    bool program_ended = !run->has_child || run->child.pid == 0;

    if (!run->ended || !program_ended || run->stuck)
        return;
    if (!run->page.ended && run->server && run->options->stay && !run->over)
        cmd_warn("the program has ended; its page is there until we are interrupted");
    run->page.ended = true;
    run->page.code = run->code;
    if (!run->server || !run->options->stay || run->over)
        loop_stop(run->loop);
}

static void stop_reading(struct gcrun *run) {
    if (run->watches_in)
        loop_remove(run->loop, run->in_id);
    run->watches_in = false;
}

static void end_input(struct gcrun *run) {
    stop_reading(run);
    if (!run->ended)
        gclines_flush(&run->lines, true);
    run->ended = true;
    mem_close_fd(&run->in);
    run->in = -1;
}

static int on_input(struct loop *loop, uint32_t what, void *ctx);

static int on_unstuck(struct loop *loop, uint32_t what, void *ctx);

/* Writes what there is. What is not taken has to be before more is read. */
static int push(struct gcrun *run) {
    bool text = gcout_push(&run->text), events = gcout_push(&run->events);
    struct gcout *slow = !text ? &run->text : !events ? &run->events : NULL;
    int r = 0;

    if (run->stuck)
        loop_remove(run->loop, run->stuck_id);
    run->stuck = false;
    /* Nobody reads the program's stderr: it is told so by its pipe, as without us. */
    if (run->text.gone && run->text.error == -EPIPE && !run->ended)
        end_input(run);
    if (slow) {
        stop_reading(run);
        r = loop_add_fd(run->loop, slow->fd, EPOLLOUT, on_unstuck, run, &run->stuck_id);
        run->stuck = r == 0;
    } else if (!run->watches_in && !run->ended) {
        r = loop_add_fd(run->loop, run->in_ready, EPOLLIN, on_input, run, &run->in_id);
        run->watches_in = r == 0;
    }
    look_at_end(run);
    return r;
}

static int on_unstuck(struct loop *loop, uint32_t what, void *ctx) {
    (void)loop, (void)what;
    return push(ctx);
}

static int on_patience(struct loop *loop, uint32_t what, void *ctx) {
    struct gcrun *run = ctx;

    (void)loop, (void)what;
    run->has_patience = false;
    gclines_flush(&run->lines, false);
    return push(run);
}

/* What is held back waits for its rest, but not for ever. */
static void set_patience(struct gcrun *run) {
    int64_t us = gclines_patience_us(&run->lines);

    if (run->has_patience)
        loop_remove(run->loop, run->patience_id);
    run->has_patience = us > 0 && !run->ended &&
                        loop_add_timer(run->loop, us, 0, on_patience, run, &run->patience_id) == 0;
}

static int on_input(struct loop *loop, uint32_t what, void *ctx) {
    struct gcrun *run = ctx;
    ssize_t n;

    (void)loop, (void)what;
    for (unsigned i = 0; i < (run->has_child ? WRITES : 1); i++) {
        n = read(run->in, run->chunk, sizeof(run->chunk));
        if (n < 0 && (errno == EINTR || errno == EAGAIN))
            break;
        if (n <= 0) {
            end_input(run);
            break;
        }
        if (run->has_child)
            gclines_write(&run->lines, (struct str){run->chunk, (size_t)n});
        else
            gclines_feed(&run->lines, (struct str){run->chunk, (size_t)n});
    }
    set_patience(run);
    return push(run);
}

/* --- signals and the program -------------------------------------------------------------------
 */

static int on_linger(struct loop *loop, uint32_t what, void *ctx) {
    struct gcrun *run = ctx;
    struct pollfd p = {.fd = run->in, .events = POLLIN};

    (void)loop, (void)what;
    if (run->stuck || run->ended || poll(&p, 1, 0) != 0)
        return 0; /* there is more to come, or to be taken */
    end_input(run);
    return push(run);
}

static int begin_linger(struct gcrun *run) {
    look_at_end(run);
    if (run->ended || run->lingers)
        return 0;
    run->lingers = true;
    return loop_add_timer(run->loop, LINGER_US, LINGER_US, on_linger, run, &run->linger_id);
}

/* The shell waits for us, not for the program: when that was stopped from its terminal, so are we.
 */
static void follow_stop(struct gcrun *run, int how) {
    if (run->sparks)
        end_spark(run);
    if (how == SIGTSTP || how == SIGTTIN || how == SIGTTOU)
        (void)kill(getpid(), SIGSTOP);
}

static int reap(struct gcrun *run) {
    int status;

    while (run->child.pid > 0 && waitpid(run->child.pid, &status, WNOHANG | WUNTRACED) > 0) {
        if (WIFSTOPPED(status)) {
            follow_stop(run, WSTOPSIG(status));
            continue;
        }
        run->code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        run->child.pid = 0;
        return begin_linger(run);
    }
    return 0;
}

/* Of a filter: who interrupts the whole pipeline wants to see its end, too. */
static void end_filter(struct gcrun *run, const struct signal_got *got) {
    bool first = got->number == SIGINT && !run->page.ended && run->interrupts++ == 0;

    if (!signals_ends(got->number) || first)
        return;
    if (!run->page.ended)
        run->code = 128 + got->number;
    run->over = true;
    end_input(run);
    look_at_end(run);
}

static int on_signal(struct loop *loop, uint32_t what, void *ctx) {
    struct gcrun *run = ctx;
    struct signal_got got;

    (void)loop, (void)what;
    while (signals_next(run->signals, &got) > 0) {
        if (got.number == SIGCHLD) {
            int r = reap(run);

            if (r < 0)
                return r;
        } else if (got.number == SIGCONT && got.from_self) {
            continue;
        } else if (run->child.pid > 0 && !got.from_terminal) {
            (void)kill(run->child.pid, got.number);
        } else if (!run->has_child || run->child.pid == 0) {
            end_filter(run, &got);
        }
    }
    return run->has_child ? 0 : push(run);
}

/* --- from beginning to end ---------------------------------------------------------------------
 */

/* A file is always ready, which epoll does not say. */
static int watch_input(struct gcrun *run) {
    int r;

    run->in_ready = run->in;
    r = loop_add_fd(run->loop, run->in, EPOLLIN, on_input, run, &run->in_id);
    if (r == -EPERM) {
        run->in_ready = eventfd(1, EFD_CLOEXEC);
        r = run->in_ready < 0
                ? -errno
                : loop_add_fd(run->loop, run->in_ready, EPOLLIN, on_input, run, &run->in_id);
    }
    run->watches_in = r == 0;
    return r;
}

static int serve(struct gcrun *run, struct err *err) {
    const struct gcrun_options *o = run->options;
    struct buf where;
    int r;

    run->page = (struct gcpage){
        .stats = &run->stats, .lines = &run->lines, .argv = o->argv, .began_ms = clock_wall_ms()};
    if (o->listening < 0)
        return 0;
    buf_init(&where, 128);
    gcserver_where(o->listening, &where);
    r = gcserver_new(run->loop, o->listening, &run->page, o->token, &run->server, err);
    if (r == 0)
        cmd_warn("the page is at http://%.*s/", STR_ARG(buf_str(&where)));
    buf_done(&where);
    return r;
}

static int begin(struct gcrun *run, struct err *err) {
    const struct gcrun_options *o = run->options;
    struct gcchild_options child = {
        .argv = o->argv, .ignores_pipe = o->ignores_pipe, .stdout_to_err = o->json};
    int r;

    run->signals = signals_open(&child.mask);
    r = run->signals < 0 ? run->signals : loop_new(&run->loop);
    if (r == 0)
        r = loop_add_fd(run->loop, run->signals, EPOLLIN, on_signal, run, NULL);
    if (r < 0) {
        err_set(err, r, "cannot begin:");
        return EXIT_RUN_FAILED;
    }
    if (serve(run, err) < 0)
        return EXIT_RUN_FAILED;
    r = begin_spark(run);
    if (r < 0) {
        err_set(err, r, "cannot begin:");
        return EXIT_RUN_FAILED;
    }
    run->has_child = o->argv;
    if (o->argv)
        r = gcchild_start(&child, &run->child, err);
    if (r != 0)
        return r;
    run->in = o->argv ? run->child.err : fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
    r = run->in < 0 ? -errno : watch_input(run);
    if (r < 0) {
        err_set(err, r, "cannot read %s:", o->argv ? "the program's stderr" : "the standard input");
        return EXIT_RUN_FAILED;
    }
    return 0;
}

static void tell_summary(struct gcrun *run) {
    struct gcsummary sum;
    struct json j;

    gcstats_sum(&run->stats, &sum);
    if (run->options->json) {
        json_start(&j, &run->events.buf);
        json_begin_object(&j);
        json_key(&j, "summary");
        json_begin_object(&j);
        gcsay_summary(&j, &sum, &run->lines);
        json_end(&j);
        json_end(&j);
        gcout_add(&run->events, STR("\n"));
    } else {
        struct gcout words;

        gcout_init(&words, STDERR_FILENO);
        gcsay_words(&words.buf, &sum, &run->lines);
        gcout_end(&words, END_US);
        gcout_done(&words);
    }
    gcout_end(&run->events, END_US);
}

/* What could not be written is told; a reader who went away had enough. A program that failed keeps
 * its own code. */
static void look_at_output(struct gcrun *run, const struct gcout *out, const char *what) {
    if (!out->gone || out->error == -EPIPE)
        return;
    cmd_warn("%s could not be written, some is lost: %s", what, strerror(-out->error));
    if (run->code == 0)
        run->code = EXIT_FAILED;
}

static void release(struct gcrun *run) {
    gcserver_free(run->server);
    loop_free(run->loop);
    if (run->in_ready >= 0 && run->in_ready != run->in)
        close(run->in_ready);
    mem_close_fd(&run->in);
    mem_close_fd(&run->signals);
    gcout_done(&run->text);
    gcout_done(&run->events);
    free(run);
}

int gcrun(const struct gcrun_options *o, struct err *err) {
    struct gcrun *run = calloc(1, sizeof(*run));
    int code, r;

    if (!run) {
        err_set(err, -ENOMEM, "cannot begin:");
        return EXIT_RUN_FAILED;
    }
    run->options = o;
    run->in = run->in_ready = run->signals = -1;
    run->began_us = clock_mono_us();
    gclines_init(&run->lines, on_text, on_line, run);
    gcstats_init(&run->stats, !o->argv);
    /* A filter's text goes on to the next; a program's goes where it would have gone. */
    gcout_init(&run->text, o->argv || o->json ? STDERR_FILENO : STDOUT_FILENO);
    gcout_init(&run->events, STDOUT_FILENO);
    code = begin(run, err);
    if (code == 0) {
        r = loop_run(run->loop);
        if (r < 0) {
            err_set(err, r, "cannot go on:");
            run->code = EXIT_RUN_FAILED;
        }
        gcout_end(&run->text, END_US);
        look_at_output(run, &run->text, "the program's text");
        if (run->sparks)
            end_spark(run);
        if (run->server)
            gcserver_finish(run->server, PAGE_US);
        tell_summary(run);
        look_at_output(run, &run->events, "what the collections say");
        code = run->code;
    }
    release(run);
    return code;
}
