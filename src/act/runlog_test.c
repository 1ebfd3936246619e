#include "act/runlog.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/basetest.h"
#include "base/file.h"
#include "base/mem.h"

static const int64_t second = 1000000;

/* --- a folder, and standard error on something of ours --- */

static char folder[64];
static int real_stderr = -1;

static int make_folder(void **state) {
    (void)state;
    snprintf(folder, sizeof(folder), "/tmp/plimsoll-unit-XXXXXX");
    real_stderr = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10);
    return mkdtemp(folder) && real_stderr >= 0 ? 0 : -1;
}

static int remove_folder(void **state) {
    static const char *const names[] = {"events", "fifo", "socket", "there"};
    char path[128];

    (void)state;
    for (size_t i = 0; i < ARRAY_N(names); i++) {
        snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
        unlink(path);
    }
    return rmdir(folder);
}

static const char *in_folder(const char *name) {
    static char path[128];

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    return path;
}

static void stderr_to(int fd) {
    assert_int_equal(dup2(fd, STDERR_FILENO), STDERR_FILENO);
}

static int restore_stderr(void **state) {
    (void)state;
    return dup2(real_stderr, STDERR_FILENO) == STDERR_FILENO ? 0 : -1;
}

static void open_ok(struct runlog *log, const char *where, bool quiet, bool verbose) {
    struct err err = {0};

    if (runlog_open(log, "web", where, quiet, verbose, &err) < 0)
        fail_msg("%s", err.text);
}

/* What the pipe holds now. */
static struct str drain(int fd) {
    static char text[1 << 17];
    struct str out = {text, 0};
    ssize_t n;

    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    while (out.n < sizeof(text) && (n = read(fd, text + out.n, sizeof(text) - out.n)) > 0)
        out.n += (size_t)n;
    return out;
}

static void holds(struct str text, const char *wanted) {
    if (!memmem(text.p, text.n, wanted, strlen(wanted)))
        fail_msg("'%.*s' has no '%s'", STR_ARG(text), wanted);
}

static void is_end(struct str text, const char *wanted) {
    if (!str_ends(text, str_of(wanted)))
        fail_msg("'%.*s' does not end with '%s'", STR_ARG(text), wanted);
}

/* {"ts":"2026-11-21T07:48:16.123Z", and then what is wanted */
static void is_event(struct str line, const char *wanted) {
    assert_true(str_skip(&line, STR("{\"ts\":\"20")));
    assert_true(line.n > 24 && line.p[21] == 'Z' && line.p[22] == '"' && line.p[23] == ',');
    line = str_from(line, 24);
    if (!str_eq(line, str_of(wanted)))
        fail_msg("it is '%.*s', not '%s'", STR_ARG(line), wanted);
}

/* --- words --- */

static void durations_are_as_people_say_them(void **state) {
    static const struct {
        int64_t us;
        const char *text;
    } rows[] = {
        {-5, "0 ms"},
        {0, "0 ms"},
        {999, "0 ms"},
        {850000, "850 ms"},
        {999999, "999 ms"},
        {1000000, "1 s"},
        {1099999, "1 s"},
        {1200000, "1.2 s"},
        {12340000, "12.3 s"},
        {59999999, "59.9 s"},
        {60000000, "1 min"},
        {200500000, "3 min 20 s"},
        {3599000000, "59 min 59 s"},
        {3600000000, "1 h"},
        {7500000000, "2 h 5 min"},
        {86399000000, "23 h 59 min"},
        {86400000000, "1 d"},
        {349200000000, "4 d 1 h"},
        {INT64_MAX, "106751991 d 4 h"},
    };
    struct buf b;

    (void)state;
    buf_init(&b, 200);
    for (size_t i = 0; i < ARRAY_N(rows); i++) {
        runlog_add_duration(&b, rows[i].us);
        basetest_holds(&b, rows[i].text);
    }
    buf_done(&b);
}

static void signals_have_names(void **state) {
    struct buf b;

    (void)state;
    buf_init(&b, 200);
    runlog_add_signal(&b, SIGTERM);
    basetest_holds(&b, "TERM");
    runlog_add_signal(&b, SIGSEGV);
    basetest_holds(&b, "SEGV");
    runlog_add_signal(&b, SIGRTMIN);
    basetest_holds(&b, "RTMIN");
    runlog_add_signal(&b, SIGRTMIN + 3);
    basetest_holds(&b, "RTMIN+3");
    runlog_add_signal(&b, 999);
    basetest_holds(&b, "signal 999");
    buf_done(&b);
}

/* --- the events as programs read them --- */

static const struct oom_evidence own_oom = {
    .have_kills = true,
    .kills = 1,
    .main = MAYBE_YES,
    .whose = WHOSE_OWN,
    .sure_whose = true,
    .limit = 62914560,
    .path = "/plimsoll-run-web",
};
static const struct exit_cause oom_killed = {
    .kind = EXIT_CAUSE_OOM,
    .signal = SIGKILL,
    .exit_code = 137,
    .whose = WHOSE_OWN,
    .sure = true,
};
static const struct runlog_exit oom_exit = {
    .pid = 4711,
    .cause = &oom_killed,
    .oom = &own_oom,
    .ran_us = 1234567,
    .have_peak = true,
    .peak = 62914560,
    .limit = 62914560,
    .then = RESTART_AGAIN,
    .delay_us = 1000000,
};

static void each_event_has_its_keys(void **state) {
    char *const argv[] = {(char[]){"./app"}, (char[]){"a \"b\"\n"}, NULL};
    struct runlog_start start = {4711, "/plimsoll-run-web", 62914560, 2, argv};
    struct oom_evidence child = own_oom, none = {0};
    struct exit_cause exited = {.kind = EXIT_CAUSE_EXITED, .exit_code = 3, .sure = true};
    struct runlog_exit plain = {.pid = 1, .cause = &exited, .oom = &none, .left = 4};
    auto_close int out = -1;
    struct runlog log;
    int pipes[2];
    char where[20];

    (void)state;
    assert_int_equal(pipe(pipes), 0);
    out = pipes[0];
    snprintf(where, sizeof(where), "fd:%d", pipes[1]);
    open_ok(&log, where, true, false);

    runlog_started(&log, &start);
    is_event(drain(out),
             "\"event\":\"start\",\"name\":\"web\",\"pid\":4711,\"cgroup\":\"/plimsoll-run-web\","
             "\"limit\":62914560,\"restarts\":2,\"command\":[\"./app\",\"a \\\"b\\\"\\n\"]}\n");
    start.limit = 0;
    start.cgroup = "";
    runlog_started(&log, &start);
    holds(drain(out), "\"cgroup\":null,\"limit\":null,");

    child.main = MAYBE_NO;
    child.pid = 99;
    memcpy(child.comm, "worker", 7);
    runlog_child_oom(&log, 4711, &child);
    is_event(drain(out), "\"event\":\"child-oom\",\"name\":\"web\",\"pid\":4711,\"whose\":\"own\","
                         "\"limit\":62914560,\"limit_path\":\"/plimsoll-run-web\",\"kills\":1,"
                         "\"victim\":{\"pid\":99,\"comm\":\"worker\"}}\n");

    runlog_exited(&log, &oom_exit);
    is_event(drain(out),
             "\"event\":\"exit\",\"name\":\"web\",\"pid\":4711,\"cause\":\"oom\",\"whose\":\"own\","
             "\"sure\":true,\"exit_code\":137,\"signal\":\"KILL\",\"core\":false,\"oom_kills\":1,"
             "\"child_kills\":0,\"limit\":62914560,\"limit_path\":\"/plimsoll-run-web\","
             "\"victim\":null,\"peak\":62914560,\"ran_ms\":1234,\"restarts\":0,\"left\":0,"
             "\"then\":\"again\",\"delay_ms\":1000}\n");
    runlog_exited(&log, &plain);
    is_event(drain(out),
             "\"event\":\"exit\",\"name\":\"web\",\"pid\":1,\"cause\":\"exited\",\"whose\":null,"
             "\"sure\":true,\"exit_code\":3,\"signal\":null,\"core\":false,\"oom_kills\":null,"
             "\"child_kills\":null,\"limit\":null,\"limit_path\":null,\"victim\":null,"
             "\"peak\":null,\"ran_ms\":0,\"restarts\":0,\"left\":4,\"then\":\"end\","
             "\"delay_ms\":null}\n");
    plain.then = RESTART_GIVE_UP;
    runlog_exited(&log, &plain);
    holds(drain(out), "\"then\":\"give-up\",\"delay_ms\":null}");
    plain.then = RESTART_AGAIN;
    plain.stopping = true;
    runlog_exited(&log, &plain);
    holds(drain(out), "\"then\":\"end\",\"delay_ms\":null}");

    runlog_stopping(&log, SIGTERM, 10 * second);
    is_event(drain(out), "\"event\":\"stopping\",\"name\":\"web\",\"signal\":\"TERM\","
                         "\"grace_ms\":10000}\n");
    runlog_ended(&log, 137, true);
    is_event(drain(out),
             "\"event\":\"end\",\"name\":\"web\",\"exit_code\":137,\"gave_up\":true}\n");
    runlog_close(&log);
    close(pipes[1]);
}

static void what_was_not_executed_has_an_exit_too(void **state) {
    struct str text, line;
    auto_close int out = -1;
    struct runlog log;
    int pipes[2];

    (void)state;
    assert_int_equal(pipe(pipes), 0);
    out = pipes[0];
    stderr_to(pipes[1]);
    close(pipes[1]);
    open_ok(&log, "fd:2", false, false);
    runlog_not_executed(&log, 4711, "'./a\x1bpp' was not found", 127);
    text = drain(out);
    assert_true(str_cut(&text, '\n', &line));
    assert_true(str_eq(line, STR("plimsoll: web: './a\\x1bpp' was not found")));
    is_event(text, "\"event\":\"exit\",\"name\":\"web\",\"pid\":4711,\"cause\":\"not-executed\","
                   "\"whose\":null,\"sure\":true,\"exit_code\":127,\"signal\":null,\"core\":false,"
                   "\"oom_kills\":null,\"child_kills\":null,\"limit\":null,\"limit_path\":null,"
                   "\"victim\":null,\"peak\":null,\"ran_ms\":null,\"restarts\":null,"
                   "\"left\":null,\"then\":\"end\",\"delay_ms\":null}\n");
    runlog_not_executed(&log, 4711, NULL, 126);
    text = drain(out);
    assert_true(str_starts(text, STR("{\"ts\"")));
    holds(text, "\"exit_code\":126");
    runlog_close(&log);
}

static void an_ancestors_limit_is_told_as_such(void **state) {
    struct oom_evidence oom = own_oom;
    struct exit_cause cause = oom_killed;
    struct runlog_exit e = oom_exit;
    auto_close int out = -1;
    struct runlog log;
    char where[20];
    int pipes[2];

    (void)state;
    assert_int_equal(pipe(pipes), 0);
    out = pipes[0];
    snprintf(where, sizeof(where), "fd:%d", pipes[1]);
    open_ok(&log, where, true, false);
    cause.whose = oom.whose = WHOSE_ANCESTOR;
    oom.limit = 1 << 30;
    memcpy(oom.path, "/batch", 7);
    e.cause = &cause;
    e.oom = &oom;
    runlog_exited(&log, &e);
    holds(drain(out), "\"limit\":1073741824,\"limit_path\":\"/batch\"");
    oom.limit = 0;
    oom.path[0] = '\0';
    runlog_exited(&log, &e); /* the run's own would be a lie */
    holds(drain(out), "\"limit\":null,\"limit_path\":null");
    runlog_close(&log);
    close(pipes[1]);
}

/* --- the lines as people read them --- */

static void the_verdict_tells_what_follows(void **state) {
    struct exit_cause killed = {
        .kind = EXIT_CAUSE_KILLED, .signal = SIGKILL, .exit_code = 137, .sure = true};
    struct oom_evidence none = {.have_kills = true};
    struct runlog_exit e = oom_exit;
    auto_close int out = -1;
    struct runlog log;
    struct str line;
    int pipes[2];

    (void)state;
    assert_int_equal(pipe(pipes), 0);
    out = pipes[0];
    stderr_to(pipes[1]);
    close(pipes[1]);
    open_ok(&log, NULL, false, false);

    runlog_exited(&log, &e);
    line = drain(out);
    assert_true(str_starts(line, STR("plimsoll: web: ")));
    is_end(line, " after 1.2 s (peak 60.0M); restart 1 in 1 s\n");
    e.restarts = 5;
    e.delay_us = 32 * second;
    e.left = 1;
    runlog_exited(&log, &e);
    is_end(drain(out), " (peak 60.0M); 1 process it left behind is ended; restart 6 in 32 s\n");
    e.then = RESTART_GIVE_UP;
    e.left = 0;
    runlog_exited(&log, &e);
    is_end(drain(out), " (peak 60.0M); gave up after 5 restarts\n");
    e.restarts = 0;
    runlog_exited(&log, &e);
    is_end(drain(out), "; gave up: no restart is allowed\n");
    e.stopping = true;
    runlog_exited(&log, &e);
    is_end(drain(out), " (peak 60.0M)\n");

    e = (struct runlog_exit){.cause = &killed, .oom = &none, .ran_us = 5 * second};
    runlog_exited(&log, &e);
    is_end(drain(out), " after 5 s\n");
    e.have_peak = true;
    e.peak = 12 << 20;
    runlog_exited(&log, &e);
    is_end(drain(out), " after 5 s (peak 12.0M)\n");
    e.limit = 60 << 20;
    runlog_exited(&log, &e);
    is_end(drain(out), " after 5 s (peak 12.0M of 60.0M)\n");
    runlog_close(&log);
}

static void what_the_end_may_mean_is_said(void **state) {
    struct exit_cause cause = {.kind = EXIT_CAUSE_EXITED, .sure = true};
    struct oom_evidence none = {.have_kills = true};
    struct runlog_exit e = {.cause = &cause, .oom = &none, .ran_us = second, .left = 1};
    auto_close int out = -1;
    struct runlog log;
    int pipes[2];

    (void)state;
    assert_int_equal(pipe(pipes), 0);
    out = pipes[0];
    stderr_to(pipes[1]);
    close(pipes[1]);
    open_ok(&log, NULL, false, false);
    runlog_exited(&log, &e); /* a daemon */
    is_end(drain(out), " after 1 s; 1 process it left behind is ended (a program that puts itself "
                       "into the background has to be run in the foreground)\n");
    e.ran_us = 2 * second;
    e.left = 3;
    runlog_exited(&log, &e);
    is_end(drain(out), " after 2 s; 3 processes it left behind are ended\n");
    e.ran_us = second;
    cause.exit_code = 1;
    runlog_exited(&log, &e);
    is_end(drain(out), " after 1 s; 3 processes it left behind are ended\n");

    e = (struct runlog_exit){.cause = &cause, .oom = &none, .ran_us = second};
    cause = (struct exit_cause){.kind = EXIT_CAUSE_CRASHED, .signal = SIGABRT, .exit_code = 134};
    e.have_peak = true;
    e.peak = 86 << 20;
    e.limit = 100 << 20;
    runlog_exited(&log, &e);
    is_end(drain(out), "crashed with SIGABRT after 1 s (peak 86.0M of 100M), close to its limit: a "
                       "runtime that met its own heap limit?\n");
    e.peak = 85 << 20;
    runlog_exited(&log, &e);
    is_end(drain(out), " after 1 s (peak 85.0M of 100M)\n");
    e.peak = 99 << 20;
    cause.signal = SIGSEGV;
    runlog_exited(&log, &e);
    is_end(drain(out), " after 1 s (peak 99.0M of 100M)\n");
    cause.signal = SIGABRT;
    e.limit = 0;
    runlog_exited(&log, &e);
    is_end(drain(out), " after 1 s (peak 99.0M)\n");
    runlog_close(&log);
}

static void a_dead_child_is_told_while_its_parent_lives(void **state) {
    struct oom_evidence oom = own_oom;
    auto_close int out = -1;
    struct runlog log;
    int pipes[2];

    (void)state;
    assert_int_equal(pipe(pipes), 0);
    out = pipes[0];
    stderr_to(pipes[1]);
    close(pipes[1]);
    open_ok(&log, NULL, false, false);
    oom.pid = 99;
    memcpy(oom.comm, "wor\x1bker", 8);
    runlog_child_oom(&log, 1, &oom);
    is_end(drain(out), "plimsoll: web: process 99 (wor\\x1bker) was OOM-killed at the run's limit "
                       "of 60.0M; the main process goes on\n");
    oom.pid = 0;
    oom.kills = 3;
    oom.whose = WHOSE_ANCESTOR;
    oom.sure_whose = false;
    memcpy(oom.path, "/ba\ntch", 8);
    runlog_child_oom(&log, 1, &oom);
    is_end(drain(out), "web: a process of it and 2 others were OOM-killed, probably at a limit of "
                       "60.0M around the run, that of /ba\\ntch; the main process goes on\n");
    oom.whose = WHOSE_HOST;
    oom.sure_whose = true;
    oom.kills = 1;
    runlog_child_oom(&log, 1, &oom);
    is_end(drain(out), " was OOM-killed because the machine ran out of memory; the main process "
                       "goes on\n");
    oom.whose = WHOSE_UNKNOWN;
    runlog_child_oom(&log, 1, &oom);
    is_end(drain(out), "web: a process of it was OOM-killed; the main process goes on\n");
    runlog_close(&log);
}

static void details_are_for_the_verbose_and_nothing_for_the_quiet(void **state) {
    char *const argv[] = {(char[]){"./app"}, (char[]){"-x"}, NULL};
    struct runlog_start start = {4711, "/plimsoll-run-web", 62914560, 0, argv};

    (void)state;
    for (unsigned kind = 0; kind < 3; kind++) {
        auto_close int out = -1;
        struct runlog log;
        struct str text;
        int pipes[2];

        assert_int_equal(pipe(pipes), 0);
        out = pipes[0];
        stderr_to(pipes[1]);
        close(pipes[1]);
        open_ok(&log, NULL, kind == 0, kind != 1);
        runlog_say(&log, "said %d", 1);
        runlog_detail(&log, "detail");
        runlog_started(&log, &start);
        runlog_stopping(&log, SIGINT, second);
        runlog_ended(&log, 0, false);
        text = drain(out);
        if (kind == 0)
            assert_int_equal(text.n, 0);
        else if (kind == 1)
            assert_true(str_eq(text, STR("plimsoll: web: said 1\n")));
        else
            assert_true(str_eq(
                text, STR("plimsoll: web: said 1\n"
                          "plimsoll: web: detail\n"
                          "plimsoll: web: started as pid 4711 in /plimsoll-run-web with a limit of "
                          "60.0M: ./app -x\n"
                          "plimsoll: web: stopping (INT): what still runs in 1 s is killed\n"
                          "plimsoll: web: ends with exit code 0\n")));
        runlog_close(&log);
        restore_stderr(NULL);
    }
}

/* --- never waiting --- */

/* Until not even one byte fits. */
static size_t fill(int fd) {
    auto_close int again = -1;
    static const char bytes[4096];
    size_t n = 0;
    char path[40];

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    again = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    assert_true(again >= 0);
    for (size_t size = sizeof(bytes); size > 0; size /= 2) {
        ssize_t wrote;

        while ((wrote = write(again, bytes, size)) > 0)
            n += (size_t)wrote;
    }
    return n;
}

static void a_reader_that_does_not_read_loses_lines_and_is_told_so(void **state) {
    struct str text, first;
    auto_close int out = -1;
    struct runlog log;
    char where[20];
    int pipes[2];
    size_t n;

    (void)state;
    assert_int_equal(pipe(pipes), 0);
    out = pipes[0];
    stderr_to(pipes[1]);
    snprintf(where, sizeof(where), "fd:%d", pipes[1]);
    open_ok(&log, where, false, false);
    /* The program shares this pipe, and finds it as it was: it may wait. */
    assert_int_equal(fcntl(STDERR_FILENO, F_GETFL) & O_NONBLOCK, 0);
    /* We may not, even if it fills the pipe between our look and our write. */
    assert_true(fcntl(log.text.fd, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(log.events.fd, F_GETFL) & O_NONBLOCK);
    n = fill(pipes[1]);
    assert_true(n >= 4096);
    alarm(20);
    for (unsigned i = 0; i < 3; i++)
        runlog_exited(&log, &oom_exit);
    alarm(0);
    assert_int_equal(log.text.lost, 3);
    assert_int_equal(log.events.lost, 3);
    text = drain(out);
    assert_int_equal(text.n, n); /* not a byte of a line */
    assert_int_equal(fcntl(out, F_SETFL, 0), 0);

    runlog_exited(&log, &oom_exit);
    text = drain(out);
    assert_true(str_cut(&text, '\n', &first));
    holds(first, "plimsoll: web: (3 lines before this were lost) ");
    is_end(text, ",\"delay_ms\":1000,\"dropped\":3}\n");
    assert_int_equal(fcntl(out, F_SETFL, 0), 0);

    runlog_exited(&log, &oom_exit);
    text = drain(out);
    assert_true(str_cut(&text, '\n', &first));
    assert_null(memmem(first.p, first.n, "lost", 4));
    is_end(text, ",\"delay_ms\":1000}\n");
    runlog_close(&log);
    close(pipes[1]);
}

static void a_reader_that_has_gone_ends_nobody(void **state) {
    struct runlog log;
    char where[20];
    int pipes[2];

    (void)state;
    assert_int_equal(pipe(pipes), 0);
    snprintf(where, sizeof(where), "fd:%d", pipes[1]);
    open_ok(&log, where, true, false);
    close(pipes[0]);
    runlog_ended(&log, 0, false); /* SIGPIPE would end the test */
    assert_int_equal(log.events.lost, 1);
    runlog_close(&log);
    close(pipes[1]);
}

static void a_socket_is_not_waited_for_either(void **state) {
    static const char bytes[4096];
    struct runlog log;
    char where[20];
    int ends[2];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    snprintf(where, sizeof(where), "fd:%d", ends[1]);
    open_ok(&log, where, true, false);
    runlog_ended(&log, 0, false);
    holds(drain(ends[0]), "\"event\":\"end\"");
    while (send(ends[1], bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
        ;
    alarm(20);
    runlog_ended(&log, 0, false);
    alarm(0);
    assert_int_equal(log.events.lost, 1);
    close(ends[0]);
    runlog_ended(&log, 0, false);
    assert_int_equal(log.events.lost, 2);
    runlog_close(&log);
    close(ends[1]);
}

static void a_full_disk_tears_at_most_one_line(void **state) {
    struct runlog log;
    struct str text, line;
    char buf[8192];

    (void)state;
    open_ok(&log, in_folder("events"), true, false);
    runlog_ended(&log, 0, false);
    /* What a disk that fills up does: half of a line, and then nothing. */
    assert_int_equal(write(log.events.fd, "{\"ts\":\"20", 9), 9);
    log.events.torn = true;
    log.events.lost = 1;
    runlog_ended(&log, 1, false);
    runlog_ended(&log, 2, false);
    runlog_close(&log);
    assert_int_equal(file_read_at(AT_FDCWD, in_folder("events"), buf, sizeof(buf), &text), 0);
    assert_true(str_cut(&text, '\n', &line) && basetest_is_json(line));
    assert_true(str_cut(&text, '\n', &line) && str_eq(line, STR("{\"ts\":\"20")));
    assert_true(str_cut(&text, '\n', &line) && basetest_is_json(line));
    is_end(line, "\"gave_up\":false,\"dropped\":1}");
    assert_true(str_cut(&text, '\n', &line) && basetest_is_json(line));
    is_end(line, "\"exit_code\":2,\"gave_up\":false}");
    assert_int_equal(text.n, 0);
}

/* --- lines of hostile length and content --- */

static void a_line_never_is_longer_than_a_page(void **state) {
    static char word[200000], path[5000];
    char *argv[3000] = {0};
    struct runlog_start start = {1, path, 0, 0, argv};
    auto_close int out = -1;
    struct runlog log;
    char where[20];
    int pipes[2];

    (void)state;
    memset(word, 'x', sizeof(word) - 1);
    memset(path, '\xff', sizeof(path) - 1);
    assert_int_equal(pipe(pipes), 0);
    out = pipes[0];
    stderr_to(pipes[1]);
    snprintf(where, sizeof(where), "fd:%d", pipes[1]);
    open_ok(&log, where, false, true);
    for (unsigned kind = 0; kind < 4; kind++) {
        struct str text, line;
        unsigned lines = 0;

        for (size_t i = 0; i + 1 < ARRAY_N(argv); i++)
            argv[i] = kind == 0 ? word : kind == 1 ? word + sizeof(word) - 100 : path + 4000;
        argv[kind == 3 ? 0 : ARRAY_N(argv) - 1] = NULL;
        runlog_started(&log, &start);
        text = drain(out);
        while (str_cut(&text, '\n', &line)) {
            assert_true(line.n < RUNLOG_LINE);
            if (lines++ == 0)
                continue;
            assert_true(basetest_is_json(line));
            holds(line, "\"cgroup\":null");
            if (kind < 3)
                is_end(line, ",\"command_cut\":true}");
            if (kind == 1)
                assert_true(line.n > RUNLOG_LINE - 300); /* what fits is told */
        }
        assert_int_equal(lines, 2);
        assert_int_equal(text.n, 0);
        assert_int_equal(fcntl(out, F_SETFL, 0), 0);
    }
    runlog_say(&log, "%s", word);
    is_end(drain(out), "xxx...\n");
    assert_int_equal(log.text.lost + log.events.lost, 0);
    runlog_close(&log);
    close(pipes[1]);
}

static void names_of_any_bytes_make_one_line_each(void **state) {
    struct basetest_random dice = {7};
    auto_close int out = -1;
    struct runlog log;
    char where[20];
    int pipes[2];

    (void)state;
    assert_int_equal(pipe(pipes), 0);
    out = pipes[0];
    stderr_to(pipes[1]);
    snprintf(where, sizeof(where), "fd:%d", pipes[1]);
    open_ok(&log, where, false, true);
    for (unsigned i = 0; i < 2000; i++) {
        struct oom_evidence oom = own_oom;
        char name[80] = {0}, path[600] = {0};
        char *argv[] = {path, name, NULL};
        struct runlog_start start = {1, path, 0, 0, argv};
        struct str text, line;
        unsigned lines = 0;

        for (size_t n = basetest_bytes(&dice, name, sizeof(name) - 1); n > 0; n--)
            name[n - 1] = name[n - 1] ? name[n - 1] : 1;
        for (size_t n = basetest_bytes(&dice, path, sizeof(path) - 1); n > 0; n--)
            path[n - 1] = path[n - 1] ? path[n - 1] : 1;
        log.name = name;
        oom.pid = 9;
        memcpy(oom.comm, name, sizeof(oom.comm) - 1);
        memcpy(oom.path, path, sizeof(path));
        runlog_child_oom(&log, 1, &oom);
        runlog_started(&log, &start);
        text = drain(out);
        for (; str_cut(&text, '\n', &line); lines++) {
            for (size_t k = 0; k < line.n; k++)
                assert_true((unsigned char)line.p[k] >= 0x20 && line.p[k] != 0x7f);
            assert_int_equal(basetest_is_json(line), lines % 2 == 1);
        }
        assert_int_equal(lines, 4);
        assert_int_equal(fcntl(out, F_SETFL, 0), 0);
    }
    runlog_close(&log);
    close(pipes[1]);
}

/* --- where events go --- */

static void fails(const char *where, int code, const char *text) {
    struct runlog log = {.buf.max = 1};
    struct err err = {0};

    assert_int_equal(runlog_open(&log, "web", where, true, false, &err), code);
    holds(str_of(err.text), text);
    assert_int_equal(log.buf.max, 1); /* untouched */
}

static void a_bad_place_is_refused_with_the_reason(void **state) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    auto_close int reading = open("/dev/null", O_RDONLY | O_CLOEXEC);
    auto_close int socket_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char where[20];

    (void)state;
    fails("fd:", -EINVAL, "'fd:' is no descriptor");
    fails("fd:3x", -EINVAL, "no descriptor");
    fails("fd:-1", -EINVAL, "no descriptor");
    fails("fd:+3", -EINVAL, "no descriptor");
    fails("fd:99999999999", -EINVAL, "no descriptor");
    fails("fd:0", -EINVAL, "input of the program");
    fails("fd:987", -EBADF, "descriptor 987 is not open");
    snprintf(where, sizeof(where), "fd:%d", reading);
    fails(where, -EBADF, "is not open for writing");
    fails("", -EINVAL, "has no name");
    fails(folder, -EISDIR, "cannot open '/tmp/plimsoll-unit-");
    fails("/nowhere/events", -ENOENT, "No such file or directory");
    assert_int_equal(mkfifo(in_folder("fifo"), 0600), 0);
    fails(in_folder("fifo"), -ENXIO, "start its reader first");
    snprintf(address.sun_path, sizeof(address.sun_path), "%s/socket", folder);
    assert_int_equal(bind(socket_fd, (struct sockaddr *)&address, sizeof(address)), 0);
    fails(in_folder("socket"), -ENXIO, "is a socket");
}

static void a_fifo_with_a_reader_is_fine(void **state) {
    auto_close int reader = -1;
    struct runlog log;

    (void)state;
    (void)mkfifo(in_folder("fifo"), 0600);
    reader = open(in_folder("fifo"), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    assert_true(reader >= 0);
    open_ok(&log, in_folder("fifo"), true, false);
    runlog_ended(&log, 3, false);
    holds(drain(reader), "\"exit_code\":3");
    runlog_close(&log);
}

static void a_file_is_appended_to_and_hidden_from_the_program(void **state) {
    struct runlog log;
    struct str text;
    struct stat st;
    char buf[4096];
    mode_t mask = umask(022);

    (void)state;
    for (int i = 0; i < 2; i++) {
        open_ok(&log, in_folder("there"), true, false);
        assert_int_equal(fcntl(log.events.fd, F_GETFD), FD_CLOEXEC);
        runlog_ended(&log, i, false);
        runlog_close(&log);
    }
    umask(mask);
    assert_int_equal(stat(in_folder("there"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0644);
    assert_int_equal(file_read_at(AT_FDCWD, in_folder("there"), buf, sizeof(buf), &text), 0);
    holds(text, "\"exit_code\":0,\"gave_up\":false}\n{\"ts\":");
    is_end(text, "\"exit_code\":1,\"gave_up\":false}\n");
}

static void a_descriptor_for_events_is_kept_from_the_program(void **state) {
    char where[20];
    struct runlog log;
    int pipes[2];

    (void)state;
    assert_int_equal(pipe(pipes), 0);
    snprintf(where, sizeof(where), "fd:%d", pipes[1]);
    assert_int_equal(fcntl(pipes[1], F_GETFD), 0);
    open_ok(&log, where, true, false);
    assert_int_equal(fcntl(pipes[1], F_GETFD), FD_CLOEXEC);
    assert_int_equal(fcntl(log.events.fd, F_GETFD), FD_CLOEXEC);
    runlog_close(&log);
    assert_true(fcntl(pipes[1], F_GETFD) >= 0); /* not ours to close */
    close(pipes[0]);
    close(pipes[1]);

    open_ok(&log, "fd:2", true, false); /* the program's as well: it keeps it */
    assert_int_equal(fcntl(2, F_GETFD), 0);
    runlog_close(&log);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations_are_as_people_say_them),
        cmocka_unit_test(signals_have_names),
        cmocka_unit_test(each_event_has_its_keys),
        cmocka_unit_test_teardown(what_was_not_executed_has_an_exit_too, restore_stderr),
        cmocka_unit_test(an_ancestors_limit_is_told_as_such),
        cmocka_unit_test_teardown(the_verdict_tells_what_follows, restore_stderr),
        cmocka_unit_test_teardown(what_the_end_may_mean_is_said, restore_stderr),
        cmocka_unit_test_teardown(a_dead_child_is_told_while_its_parent_lives, restore_stderr),
        cmocka_unit_test_teardown(details_are_for_the_verbose_and_nothing_for_the_quiet,
                                  restore_stderr),
        cmocka_unit_test_teardown(a_reader_that_does_not_read_loses_lines_and_is_told_so,
                                  restore_stderr),
        cmocka_unit_test(a_reader_that_has_gone_ends_nobody),
        cmocka_unit_test(a_socket_is_not_waited_for_either),
        cmocka_unit_test(a_full_disk_tears_at_most_one_line),
        cmocka_unit_test_teardown(a_line_never_is_longer_than_a_page, restore_stderr),
        cmocka_unit_test_teardown(names_of_any_bytes_make_one_line_each, restore_stderr),
        cmocka_unit_test(a_bad_place_is_refused_with_the_reason),
        cmocka_unit_test(a_fifo_with_a_reader_is_fine),
        cmocka_unit_test(a_file_is_appended_to_and_hidden_from_the_program),
        cmocka_unit_test(a_descriptor_for_events_is_kept_from_the_program),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
