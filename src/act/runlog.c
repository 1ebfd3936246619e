#include "act/runlog.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "act/signals.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/text.h"

enum {
    BUFFER = 65536,     /* a line before it is cut: each byte of it may become six */
    PATH = 1024,        /* of paths in JSON, escaped */
    TAIL = 64,          /* room that an event keeps for what follows a long value */
    COMMAND_SHOWN = 512 /* of a command in text */
};
/* A program that goes into the background has done so by then. */
#define DAEMON_US 2000000LL

/* --- the outputs --- */

/* Another open file of the same pipe or terminal, which only we know not to wait. Sockets have
 * their own way; of regular files the position must stay shared with the program. */
static void settle_sink(struct runlog_sink *sink, const struct stat *st) {
    char path[40];
    int again;

    sink->socket = S_ISSOCK(st->st_mode);
    if (!S_ISFIFO(st->st_mode) && !S_ISCHR(st->st_mode))
        return;
    snprintf(path, sizeof(path), "/proc/self/fd/%d", sink->fd);
    again = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (again < 0)
        return; /* somebody else's terminal, no /proc: polled before each write instead */
    if (sink->own)
        close(sink->fd);
    sink->fd = again;
    sink->own = true;
}

static int open_number(struct runlog_sink *sink, const char *where, struct err *err) {
    uint64_t number;
    struct stat st;
    int fd, flags;

    if (str_to_u64(str_of(where + 3), &number) < 0 || number > INT32_MAX)
        return err_set(err, -EINVAL, "'%s' is no descriptor, as in fd:3", where);
    if (number == 0)
        return err_set(err, -EINVAL, "descriptor 0 is the input of the program, not for events");
    fd = (int)number;
    flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fstat(fd, &st) < 0)
        return err_set(err, -errno, "descriptor %d is not open:", fd);
    if ((flags & O_ACCMODE) == O_RDONLY || (flags & O_PATH))
        return err_set(err, -EBADF, "descriptor %d is not open for writing", fd);
    *sink = (struct runlog_sink){.fd = fd};
    /* 1 and 2 are what the program writes to as well, and it keeps them. */
    if (fd > 2 && fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
        return err_set(err, -errno, "cannot keep descriptor %d from the program:", fd);
    settle_sink(sink, &st);
    return 0;
}

static int explain(const char *name, int code, struct err *err) {
    struct stat st;
    bool known = code == -ENXIO && stat(name, &st) == 0;

    if (known && S_ISFIFO(st.st_mode))
        return err_set(err, code, "nobody reads from the FIFO '%s' yet: start its reader first",
                       name);
    if (known && S_ISSOCK(st.st_mode))
        return err_set(err, code, "'%s' is a socket: connect to it and use fd:N", name);
    return err_set(err, code, "cannot open '%s' for events:", name);
}

static int open_name(struct runlog_sink *sink, const char *name, struct err *err) {
    int fd;

    if (!*name)
        return err_set(err, -EINVAL, "the file for events has no name");
    fd = open(name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0644);
    if (fd < 0)
        return explain(name, -errno, err);
    *sink = (struct runlog_sink){.fd = fd, .own = true};
    return 0;
}

int runlog_open(struct runlog *log, const char *name, const char *where, bool quiet, bool verbose,
                struct err *err) {
    struct runlog made = {.name = name, .verbose = verbose, .text.fd = -1, .events.fd = -1};
    struct stat st;
    int r = 0;

    if (where && str_starts(str_of(where), STR("fd:")))
        r = open_number(&made.events, where, err);
    else if (where)
        r = open_name(&made.events, where, err);
    if (r < 0)
        return r;
    buf_init(&made.buf, BUFFER);
    if (!buf_room(&made.buf, BUFFER)) {
        runlog_close(&made);
        return err_set(err, -ENOMEM, "out of memory");
    }
    if (!quiet && fstat(STDERR_FILENO, &st) == 0) {
        made.text.fd = STDERR_FILENO;
        settle_sink(&made.text, &st);
    }
    *log = made;
    return 0;
}

static void close_sink(struct runlog_sink *sink) {
    if (sink->own)
        close(sink->fd);
    *sink = (struct runlog_sink){.fd = -1};
}

void runlog_close(struct runlog *log) {
    close_sink(&log->text);
    close_sink(&log->events);
    buf_done(&log->buf);
}

/* Whether a line can be written now. A pipe that polls writable takes a page at once. */
static bool takes(int fd) {
    struct pollfd wait = {.fd = fd, .events = POLLOUT};
    int n;

    do
        n = poll(&wait, 1, 0);
    while (n < 0 && errno == EINTR);
    return n == 1 && (wait.revents & (POLLOUT | POLLERR | POLLNVAL)) == POLLOUT;
}

static void write_line(struct runlog_sink *sink, const struct buf *line) {
    ssize_t n = -1;

    if (buf_error(line) == 0 && line->n <= RUNLOG_LINE && takes(sink->fd)) {
        do
            n = sink->socket ? send(sink->fd, line->p, line->n, MSG_DONTWAIT | MSG_NOSIGNAL)
                             : write(sink->fd, line->p, line->n);
        while (n < 0 && errno == EINTR);
    }
    if (n == (ssize_t)line->n) {
        sink->lost = 0;
        sink->torn = false;
        return;
    }
    sink->lost += sink->lost < UINT32_MAX;
    if (n > 0)
        sink->torn = true;
}

static void begin_line(struct runlog_sink *sink, struct buf *b) {
    buf_clear(b);
    if (sink->torn)
        buf_add_char(b, '\n');
}

/* --- for people --- */

static void begin_text(struct runlog *log) {
    struct buf *b = &log->buf;
    unsigned lost = log->text.lost;

    begin_line(&log->text, b);
    buf_add(b, STR("plimsoll: "));
    text_add_visible(b, str_of(log->name), false);
    buf_add(b, STR(": "));
    if (lost == 1)
        buf_add(b, STR("(a line before this was lost) "));
    else if (lost > 1)
        buf_add_format(b, "(%u lines before this were lost) ", lost);
}

static void end_text(struct runlog *log) {
    static const struct str more = {"...", 3};
    struct buf *b = &log->buf;

    if (b->n >= RUNLOG_LINE) {
        size_t n = RUNLOG_LINE - 1 - more.n;

        while (n > 0 && ((unsigned char)b->p[n] & 0xc0) == 0x80)
            n--; /* not inside of a character */
        b->n = n;
        buf_add(b, more);
    }
    buf_add_char(b, '\n');
    write_line(&log->text, b);
}

static void say(struct runlog *log, const char *text) {
    if (log->text.fd < 0)
        return;
    begin_text(log);
    text_add_visible(&log->buf, str_trim(str_of(text)), false);
    end_text(log);
}

static void vsay(struct runlog *log, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));

static void vsay(struct runlog *log, const char *format, va_list args) {
    char text[RUNLOG_LINE];

    if (vsnprintf(text, sizeof(text), format, args) >= 0)
        say(log, text);
}

void runlog_say(struct runlog *log, const char *format, ...) {
    va_list args;

    va_start(args, format);
    vsay(log, format, args);
    va_end(args);
}

void runlog_detail(struct runlog *log, const char *format, ...) {
    va_list args;

    if (!log->verbose)
        return;
    va_start(args, format);
    vsay(log, format, args);
    va_end(args);
}

static void add_two(struct buf *b, uint64_t n, uint64_t part, const char *unit, const char *small) {
    uint64_t rest = n % part;

    buf_add_format(b, "%llu %s", (unsigned long long)(n / part), unit);
    if (rest > 0)
        buf_add_format(b, " %llu %s", (unsigned long long)rest, small);
}

void runlog_add_duration(struct buf *b, int64_t us) {
    uint64_t ms = us > 0 ? (uint64_t)us / 1000 : 0, seconds = ms / 1000;

    if (ms < 1000) {
        buf_add_format(b, "%llu ms", (unsigned long long)ms);
    } else if (seconds < 60) {
        num_add_centi(b, ms / 10, ms % 1000 < 100 ? 0 : 1);
        buf_add(b, STR(" s"));
    } else if (seconds < 3600) {
        add_two(b, seconds, 60, "min", "s");
    } else if (seconds < 86400) {
        add_two(b, seconds / 60, 60, "h", "min");
    } else {
        add_two(b, seconds / 3600, 24, "d", "h");
    }
}

void runlog_add_signal(struct buf *b, int signal) {
    char room[16];

    buf_add(b, str_of(signals_name(signal, room)));
}

static void add_plural(struct buf *b, uint64_t n, const char *one, const char *many) {
    buf_add_u64(b, n);
    buf_add_char(b, ' ');
    buf_add(b, str_of(n == 1 ? one : many));
}

/* --- for programs --- */

static void begin_event(struct runlog *log, struct json *j, const char *event) {
    begin_line(&log->events, &log->buf);
    json_start(j, &log->buf);
    json_begin_object(j);
    json_key(j, "ts");
    json_time_ms(j, clock_wall_ms());
    json_key_str(j, "event", str_of(event));
    json_key_str(j, "name", str_of(log->name));
}

static void end_event(struct runlog *log, struct json *j) {
    if (log->events.lost > 0)
        json_key_u64(j, "dropped", log->events.lost);
    json_end(j);
    buf_add_char(&log->buf, '\n');
    write_line(&log->events, &log->buf);
}

/* The value, if what it becomes takes at most so many bytes: half a path is another path. */
static bool add_within(struct json *j, struct str s, size_t most) {
    struct json before = *j;
    size_t n = j->out->n;

    if (s.n <= most) {
        json_str(j, s);
        if (j->out->n - n <= most + 2)
            return true;
    }
    *j = before;
    j->out->n = n;
    return false;
}

static void key_path(struct json *j, const char *key, struct str path) {
    json_key(j, key);
    if (path.n == 0 || !add_within(j, path, PATH))
        json_unknown(j);
}

static void key_signal(struct json *j, int signal) {
    char room[16];

    json_key(j, "signal");
    if (signal == 0)
        json_unknown(j);
    else
        json_str(j, str_of(signals_name(signal, room)));
}

static void key_victim(struct json *j, const struct oom_evidence *oom) {
    json_key(j, "victim");
    if (oom->pid <= 0) {
        json_unknown(j);
        return;
    }
    json_begin_object(j);
    json_key_u64(j, "pid", (uint64_t)oom->pid);
    json_key(j, "comm");
    if (!oom->comm[0] || !add_within(j, str_of(oom->comm), PATH))
        json_unknown(j);
    json_end(j);
}

static void key_command(struct json *j, char *const *argv) {
    size_t end = RUNLOG_LINE - TAIL;
    bool cut = false;

    json_key(j, "command");
    json_begin_array(j);
    for (size_t i = 0; argv[i] && !cut; i++)
        cut = j->out->n + 3 > end || !add_within(j, str_of(argv[i]), end - j->out->n - 3);
    json_end(j);
    if (cut) {
        json_key(j, "command_cut");
        json_bool(j, true);
    }
}

/* --- what happened --- */

static void start_text(struct runlog *log, const struct runlog_start *s) {
    struct buf *b = &log->buf;
    size_t end;

    begin_text(log);
    buf_add_format(b, "started as pid %d in ", s->pid);
    text_add_visible(b, str_of(s->cgroup), false);
    if (s->limit > 0) {
        buf_add(b, STR(" with a limit of "));
        num_add_iec(b, s->limit);
    }
    buf_add_char(b, ':');
    end = b->n + COMMAND_SHOWN;
    for (size_t i = 0; s->argv[i] && b->n < end; i++) {
        buf_add_char(b, ' ');
        text_add_visible(b, str_head(str_of(s->argv[i]), COMMAND_SHOWN), false);
    }
    end_text(log);
}

void runlog_started(struct runlog *log, const struct runlog_start *s) {
    struct json j;

    if (log->text.fd >= 0 && log->verbose)
        start_text(log, s);
    if (log->events.fd < 0)
        return;
    begin_event(log, &j, "start");
    json_key_u64(&j, "pid", (uint64_t)s->pid);
    key_path(&j, "cgroup", str_of(s->cgroup));
    json_key_maybe(&j, "limit", s->limit > 0, s->limit);
    json_key_u64(&j, "restarts", s->restarts);
    key_command(&j, s->argv);
    end_event(log, &j);
}

/* " at the limit of 60.0M of /batch, around it" */
static void add_where(struct buf *b, const struct oom_evidence *oom) {
    static const char *const relation[WHOSE_N] = {
        [WHOSE_ANCESTOR] = "around the run",
        [WHOSE_INSIDE] = "inside the run",
    };

    if (oom->whose == WHOSE_UNKNOWN)
        return;
    if (!oom->sure_whose)
        buf_add(b, STR(", probably"));
    if (oom->whose == WHOSE_HOST) {
        buf_add(b, STR(" because the machine ran out of memory"));
        return;
    }
    buf_add(b, oom->whose == WHOSE_OWN ? STR(" at the run's limit") : STR(" at a limit"));
    if (oom->limit > 0) {
        buf_add(b, STR(" of "));
        num_add_iec(b, oom->limit);
    }
    if (!relation[oom->whose])
        return;
    buf_add_char(b, ' ');
    buf_add(b, str_of(relation[oom->whose]));
    if (!oom->path[0])
        return;
    buf_add(b, STR(", that of "));
    text_add_visible(b, str_of(oom->path), false);
}

static void child_text(struct runlog *log, const struct oom_evidence *oom) {
    struct buf *b = &log->buf;

    begin_text(log);
    if (oom->pid > 0) {
        buf_add_format(b, "process %d", oom->pid);
        if (oom->comm[0]) {
            buf_add(b, STR(" ("));
            text_add_visible(b, str_of(oom->comm), false);
            buf_add_char(b, ')');
        }
    } else {
        buf_add(b, STR("a process of it"));
    }
    if (oom->have_kills && oom->kills > 1) {
        buf_add(b, STR(" and "));
        add_plural(b, oom->kills - 1, "other", "others");
        buf_add(b, STR(" were "));
    } else {
        buf_add(b, STR(" was "));
    }
    buf_add(b, STR("OOM-killed"));
    add_where(b, oom);
    buf_add(b, STR("; the main process goes on"));
    end_text(log);
}

void runlog_child_oom(struct runlog *log, int32_t pid, const struct oom_evidence *oom) {
    struct json j;

    if (log->text.fd >= 0)
        child_text(log, oom);
    if (log->events.fd < 0)
        return;
    begin_event(log, &j, "child-oom");
    json_key_u64(&j, "pid", (uint64_t)pid);
    json_key_str(&j, "whose", str_of(exitcause_whose_name(oom->whose)));
    json_key_maybe(&j, "limit", oom->limit > 0, oom->limit);
    key_path(&j, "limit_path", str_of(oom->path));
    json_key_maybe(&j, "kills", oom->have_kills, oom->kills);
    key_victim(&j, oom);
    end_event(log, &j);
}

static bool is_oom(const struct exit_cause *cause) {
    return cause->kind == EXIT_CAUSE_OOM || cause->kind == EXIT_CAUSE_OOM_CHILD ||
           cause->kind == EXIT_CAUSE_NO_START;
}

/* "; restart 2 in 4 s" */
static void add_next(struct buf *b, const struct runlog_exit *e) {
    if (e->stopping || e->then == RESTART_END)
        return;
    buf_add(b, STR("; "));
    if (e->then == RESTART_AGAIN) {
        buf_add_format(b, "restart %u in ", e->restarts + 1);
        runlog_add_duration(b, e->delay_us);
    } else if (e->restarts == 0) {
        buf_add(b, STR("gave up: no restart is allowed"));
    } else {
        buf_add(b, STR("gave up after "));
        add_plural(b, e->restarts, "restart", "restarts");
    }
}

/* "; 1 process it left behind is ended" */
static void add_left(struct buf *b, const struct runlog_exit *e) {
    if (e->left == 0)
        return;
    buf_add(b, STR("; "));
    add_plural(b, e->left, "process it left behind is ended", "processes it left behind are ended");
    if (e->cause->kind == EXIT_CAUSE_EXITED && e->cause->exit_code == 0 && e->ran_us < DAEMON_US)
        buf_add(b, STR(" (a program that puts itself into the background has to be run in the "
                       "foreground)"));
}

/* What a runtime does that cannot get more from its own heap: abort. */
static bool may_be_heap_limit(const struct runlog_exit *e) {
    return e->cause->kind == EXIT_CAUSE_CRASHED && e->cause->signal == SIGABRT && e->have_peak &&
           e->limit > 0 && e->peak > e->limit / 100 * 85;
}

static void exit_text(struct runlog *log, const struct runlog_exit *e) {
    struct buf *b = &log->buf;

    begin_text(log);
    exitcause_add_text(e->cause, e->oom, b);
    buf_add(b, STR(" after "));
    runlog_add_duration(b, e->ran_us);
    if (e->have_peak) {
        buf_add(b, STR(" (peak "));
        num_add_iec(b, e->peak);
        if (e->limit > 0 && !(is_oom(e->cause) && e->cause->whose == WHOSE_OWN)) {
            buf_add(b, STR(" of "));
            num_add_iec(b, e->limit);
        }
        buf_add_char(b, ')');
    }
    if (may_be_heap_limit(e))
        buf_add(b, STR(", close to its limit: a runtime that met its own heap limit?"));
    add_left(b, e);
    add_next(b, e);
    end_text(log);
}

static const char *next_word(const struct runlog_exit *e) {
    if (e->stopping || e->then == RESTART_END)
        return "end";
    return e->then == RESTART_AGAIN ? "again" : "give-up";
}

static void exit_event(struct runlog *log, const struct runlog_exit *e) {
    const struct exit_cause *cause = e->cause;
    const struct oom_evidence *oom = e->oom;
    bool again = !e->stopping && e->then == RESTART_AGAIN;
    static const struct oom_evidence nobody;
    uint64_t limit = is_oom(cause) && cause->whose != WHOSE_OWN ? oom->limit : e->limit;
    struct json j;

    begin_event(log, &j, "exit");
    json_key_u64(&j, "pid", (uint64_t)e->pid);
    json_key_str(&j, "cause", str_of(exitcause_kind_name(cause->kind)));
    json_key(&j, "whose");
    if (is_oom(cause))
        json_str(&j, str_of(exitcause_whose_name(cause->whose)));
    else
        json_unknown(&j);
    json_key(&j, "sure");
    json_bool(&j, cause->sure);
    json_key(&j, "exit_code");
    json_i64(&j, cause->exit_code);
    key_signal(&j, cause->signal);
    json_key(&j, "core");
    json_bool(&j, cause->core);
    json_key_maybe(&j, "oom_kills", oom->have_kills, oom->kills);
    json_key_maybe(&j, "child_kills", oom->have_kills, cause->child_kills);
    json_key_maybe(&j, "limit", limit > 0, limit);
    key_path(&j, "limit_path", is_oom(cause) ? str_of(oom->path) : STR(""));
    /* One that was told already is told again only where it is the cause. */
    key_victim(&j, oom->kills > 0 || cause->kind == EXIT_CAUSE_OOM_CHILD ? oom : &nobody);
    json_key_maybe(&j, "peak", e->have_peak, e->peak);
    json_key(&j, "ran_ms");
    json_i64(&j, e->ran_us / 1000);
    json_key_u64(&j, "restarts", e->restarts);
    json_key_u64(&j, "left", e->left);
    json_key_str(&j, "then", str_of(next_word(e)));
    json_key_maybe(&j, "delay_ms", again, again ? (uint64_t)e->delay_us / 1000 : 0);
    end_event(log, &j);
}

void runlog_exited(struct runlog *log, const struct runlog_exit *e) {
    if (log->text.fd >= 0)
        exit_text(log, e);
    if (log->events.fd >= 0)
        exit_event(log, e);
}

static void key_unknown(struct json *j, const char *key) {
    json_key(j, key);
    json_unknown(j);
}

void runlog_not_executed(struct runlog *log, int32_t pid, const char *why, int exit_code) {
    static const char *const unknown[] = {"oom_kills",  "child_kills", "limit",
                                          "limit_path", "victim",      "peak",
                                          "ran_ms",     "restarts",    "left"};
    struct json j;

    if (why)
        say(log, why);
    if (log->events.fd < 0)
        return;
    begin_event(log, &j, "exit");
    json_key_u64(&j, "pid", (uint64_t)pid);
    json_key_str(&j, "cause", STR("not-executed"));
    key_unknown(&j, "whose");
    json_key(&j, "sure");
    json_bool(&j, true);
    json_key(&j, "exit_code");
    json_i64(&j, exit_code);
    key_unknown(&j, "signal");
    json_key(&j, "core");
    json_bool(&j, false);
    for (size_t i = 0; i < ARRAY_N(unknown); i++)
        key_unknown(&j, unknown[i]);
    json_key_str(&j, "then", STR("end"));
    key_unknown(&j, "delay_ms");
    end_event(log, &j);
}

void runlog_stopping(struct runlog *log, int signal, int64_t grace_us) {
    struct json j;

    if (log->text.fd >= 0 && log->verbose) {
        begin_text(log);
        buf_add(&log->buf, STR("stopping ("));
        runlog_add_signal(&log->buf, signal);
        buf_add(&log->buf, STR("): what still runs in "));
        runlog_add_duration(&log->buf, grace_us);
        buf_add(&log->buf, STR(" is killed"));
        end_text(log);
    }
    if (log->events.fd < 0)
        return;
    begin_event(log, &j, "stopping");
    key_signal(&j, signal);
    json_key(&j, "grace_ms");
    json_i64(&j, grace_us / 1000);
    end_event(log, &j);
}

void runlog_ended(struct runlog *log, int exit_code, bool gave_up) {
    struct json j;

    runlog_detail(log, "ends with exit code %d", exit_code);
    if (log->events.fd < 0)
        return;
    begin_event(log, &j, "end");
    json_key(&j, "exit_code");
    json_i64(&j, exit_code);
    json_key(&j, "gave_up");
    json_bool(&j, gave_up);
    end_event(log, &j);
}
