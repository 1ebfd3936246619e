#include "act/warden.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"

enum { PATIENCE_MS = 10000 }; /* for what takes milliseconds on a machine that has time */

/* Control files are memfds here: what is written and read is the same as of a real one. */

static int file_of(const char *text) {
    int fd = memfd_create("control", MFD_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, text, strlen(text), 0), (ssize_t)strlen(text));
    return fd;
}

static void put(int fd, const char *text) {
    assert_int_equal(pwrite(fd, text, strlen(text), 0), (ssize_t)strlen(text));
}

static bool holds_text(int fd, const char *want) {
    char buf[64];
    struct str text;

    assert_int_equal(file_pread(fd, buf, sizeof(buf), &text), 0);
    return str_eq(text, str_of(want));
}

/* How long until it reads so, or -1 after `most_ms`. */
static int64_t wait_text(int fd, const char *want, int64_t most_ms) {
    int64_t start_us = clock_mono_us();

    while (!holds_text(fd, want)) {
        if (clock_mono_us() - start_us > most_ms * 1000)
            return -1;
        usleep(200);
    }
    return clock_mono_us() - start_us;
}

static struct warden *start(void) {
    struct warden *w;
    struct err err;

    if (warden_start(&w, &err) < 0)
        fail_msg("%s", err.text);
    return w;
}

static struct warden_hold one_step(int fd, const char *value, const char *only_if) {
    struct warden_hold h = {.steps = 1, .event = -1};

    h.step[0].fd = fd;
    snprintf(h.step[0].value, WARDEN_VALUE, "%s", value);
    snprintf(h.step[0].only_if, WARDEN_VALUE, "%s", only_if);
    return h;
}

/* Or waited for by nobody yet: some machines' pid 1 takes its time. */
static bool is_gone(int32_t pid) {
    char path[32], buf[512];
    struct str text;

    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    for (unsigned i = 0; i < PATIENCE_MS; i++) {
        if (file_head_at(AT_FDCWD, path, buf, sizeof(buf), &text) < 0 ||
            str_starts(str_from(text, (size_t)str_rfind(text, ')')), STR(") Z")))
            return true;
        usleep(1000);
    }
    return false;
}

/* A process that holds, tells the warden's pid, and waits to be killed. */
struct owner {
    pid_t pid;
    int32_t warden;
    pid_t child; /* 0: none */
};

static struct owner owner_of(const struct warden_hold *hold, bool with_child) {
    struct owner o = {0};
    int pipes[2];
    pid_t pid;

    assert_int_equal(pipe(pipes), 0);
    o.pid = fork();
    assert_true(o.pid >= 0);
    if (o.pid == 0) {
        struct warden *w = start();

        prctl(PR_SET_PDEATHSIG, SIGKILL);
        o.warden = warden_pid(w);
        o.child = with_child ? fork() : 0;
        if (with_child && o.child == 0) { /* has a copy of the socket, and lives on */
            prctl(PR_SET_PDEATHSIG, 0);
            sleep(60);
            _exit(0);
        }
        if (warden_hold(w, hold) < 0 || write(pipes[1], &o, sizeof(o)) < 0)
            _exit(1);
        for (;;)
            pause();
    }
    close(pipes[1]);
    pid = o.pid;
    assert_int_equal(read(pipes[0], &o, sizeof(o)), sizeof(o));
    close(pipes[0]);
    o.pid = pid;
    return o;
}

static void kill_owner(const struct owner *o) {
    assert_int_equal(kill(o->pid, SIGKILL), 0);
    assert_int_equal(waitpid(o->pid, NULL, 0), o->pid);
}

static void the_end_of_the_owner_undoes(void **state) {
    auto_close int fd = file_of("1");
    struct warden_hold hold = one_step(fd, "0", "");
    struct owner o = owner_of(&hold, false);
    int64_t took_us;

    (void)state;
    usleep(20000);
    assert_true(holds_text(fd, "1"));
    kill_owner(&o);
    took_us = wait_text(fd, "0", PATIENCE_MS);
    assert_true(took_us >= 0);
    assert_true(is_gone(o.warden));
    print_message("# undone %lld us after the owner was waited for\n", (long long)took_us);
}

static void a_child_with_a_copy_of_the_socket_does_not_hide_it(void **state) {
    auto_close int fd = file_of("1");
    struct warden_hold hold = one_step(fd, "0", "");
    struct owner o = owner_of(&hold, true);

    (void)state;
    kill_owner(&o);
    assert_true(wait_text(fd, "0", PATIENCE_MS) >= 0);
    assert_true(is_gone(o.warden));
    assert_int_equal(kill(o.child, SIGKILL), 0); /* it was there until now */
}

static void sleep_until(int64_t us) {
    while (clock_mono_us() < us)
        usleep(1000);
}

/* False: we were not run for so long that nothing can be told. */
static bool time_up_undoes_in(int64_t first_us, int64_t more_us) {
    auto_close int fd = file_of("1");
    struct warden *w = start();
    struct warden_hold hold = one_step(fd, "0", "");
    bool in_time, kept;
    int id, r;

    hold.deadline_us = clock_mono_us() + first_us;
    id = warden_hold(w, &hold);
    assert_true(id >= 0);
    r = warden_extend(w, id, hold.deadline_us + more_us);
    in_time = clock_mono_us() < hold.deadline_us;
    sleep_until(hold.deadline_us + more_us / 2);
    kept = holds_text(fd, "1");
    in_time = in_time && clock_mono_us() < hold.deadline_us + more_us;
    if (in_time) {
        assert_int_equal(r, 0);
        assert_true(kept);
    }
    assert_true(wait_text(fd, "0", PATIENCE_MS) >= 0);
    assert_true(clock_mono_us() >= hold.deadline_us + (r == 0 ? more_us : 0));
    assert_int_equal(warden_extend(w, id, 0), -ENOENT);
    assert_int_equal(warden_drop(w, id), -ENOENT);
    warden_end(w);
    return in_time;
}

static void time_up_undoes(void **state) {
    bool told = false;

    (void)state;
    for (int64_t us = 40000; us < 4000000 && !told; us *= 3)
        told = time_up_undoes_in(us, us);
    assert_true(told);
}

/* As one that was not run for a while between asking and writing. */
static void what_is_written_after_the_time_is_undone_too(void **state) {
    auto_close int fd = file_of("100");
    auto_close int dropped = file_of("100");
    struct warden *w = start();
    struct warden_hold hold = one_step(fd, "100", "200"), other = one_step(dropped, "100", "200");
    int id;

    (void)state;
    hold.deadline_us = other.deadline_us = 1;
    assert_true(warden_hold(w, &hold) >= 0);
    id = warden_hold(w, &other);
    usleep(50000);
    assert_int_equal(warden_drop(w, id), -ENOENT);
    put(fd, "200");
    put(dropped, "200");
    assert_true(wait_text(fd, "100", PATIENCE_MS) >= 0);
    warden_end(w);
    assert_true(holds_text(dropped, "200"));
}

static void what_is_dropped_stays(void **state) {
    auto_close int fd = file_of("1");
    auto_close int other = file_of("1");
    struct warden *w = start();
    struct warden_hold hold = one_step(fd, "0", ""), more = one_step(other, "0", "");
    int32_t pid = warden_pid(w);
    int id = warden_hold(w, &hold);

    (void)state;
    assert_true(warden_hold(w, &more) >= 0);
    assert_int_equal(warden_drop(w, id), 0);
    assert_int_equal(warden_drop(w, id), -ENOENT);
    warden_end(w);
    assert_true(holds_text(fd, "1"));
    assert_true(holds_text(other, "0")); /* at once: the end waits for it */
    assert_true(is_gone(pid));
}

static void what_others_wrote_is_left_alone(void **state) {
    static const struct {
        const char *now, *only_if, *after;
    } cases[] = {
        {"200\n", "200", "100\n"}, {"201\n", "200", "201\n"}, {"max\n", "200", "max\n"},
        {"max\n", "max", "100\n"}, {"0200", "200", "1000"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_N(cases); i++) {
        auto_close int fd = file_of(cases[i].now);
        struct warden *w = start();
        struct warden_hold hold = one_step(fd, "100", cases[i].only_if);

        assert_true(warden_hold(w, &hold) >= 0);
        warden_end(w);
        assert_true(holds_text(fd, cases[i].after));
    }
}

/* Both say what was there when they began: the first is right. */
static void later_holds_are_undone_first(void **state) {
    auto_close int fd = file_of("300");
    auto_close int slow = file_of("300");

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct warden *w = start();
        struct warden_hold first = one_step(i ? slow : fd, "100", "200");
        struct warden_hold second = one_step(i ? slow : fd, "200", "300");

        first.step[0].slow = second.step[0].slow = i;
        assert_true(warden_hold(w, &first) >= 0);
        assert_true(warden_hold(w, &second) >= 0);
        warden_end(w);
    }
    assert_true(holds_text(fd, "100"));
    assert_true(holds_text(slow, "100"));
}

static void a_limit_below_usage_is_never_written(void **state) {
    auto_close int fd = file_of("300000000");
    auto_close int usage = file_of("200000001");
    struct warden *w = start();
    struct warden_hold hold = one_step(fd, "200000000", "300000000");
    int id;

    (void)state;
    hold.step[0].guarded = true;
    hold.step[0].usage = usage;
    hold.deadline_us = 1;
    id = warden_hold(w, &hold);
    usleep(120000);
    assert_true(holds_text(fd, "300000000"));
    assert_int_equal(warden_extend(w, id, 0), -EALREADY);
    put(usage, "199999999"); /* too near */
    usleep(120000);
    assert_true(holds_text(fd, "300000000"));
    put(usage, "199000000");
    assert_true(wait_text(fd, "200000000", PATIENCE_MS) >= 0);
    warden_end(w);
}

/* The step before a limit that does not fit yet: put back between two tries; where too much can be
 * asked to be reclaimed it is not even done. */
static void what_comes_before_a_limit_waits_for_it(void **state) {
    (void)state;
    for (int reclaims = 0; reclaims < 2; reclaims++) {
        auto_close int high = file_of("900000000");
        auto_close int max = file_of("300000000");
        auto_close int usage = file_of("210000000");
        auto_close int reclaim = file_of("");
        struct warden *w = start();
        struct warden_hold hold = one_step(high, "190000000", "900000000");
        unsigned narrow = 0;

        hold.steps = 3;
        hold.step[1] = one_step(max, "200000000", "300000000").step[0];
        hold.step[2] = one_step(high, "900000000", "190000000").step[0];
        hold.step[0].slow = hold.step[1].slow = hold.step[2].slow = true;
        hold.step[1].guarded = true;
        hold.step[1].usage = usage;
        hold.step[1].reclaims = reclaims;
        hold.step[1].reclaim = reclaim;
        hold.deadline_us = 1;
        assert_true(warden_hold(w, &hold) >= 0);
        for (int i = 0; i < 200; i++, usleep(1000))
            narrow += holds_text(high, "190000000");
        assert_true(reclaims ? narrow == 0 : narrow < 150);
        assert_true(holds_text(max, "300000000"));
        assert_true(wait_text(reclaim, reclaims ? "10524288" : "", PATIENCE_MS) >= 0);
        put(usage, "100000000");
        assert_true(wait_text(max, "200000000", PATIENCE_MS) >= 0);
        warden_end(w);
        assert_true(holds_text(high, "900000000"));
    }
}

static void an_event_starts_the_time(void **state) {
    auto_close int fd = file_of("1");
    auto_close int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct warden *w = start();
    struct warden_hold hold = one_step(fd, "0", "");
    int64_t start_us;
    uint64_t one = 1;

    (void)state;
    hold.event = event;
    hold.after_us = 60000;
    assert_true(warden_hold(w, &hold) >= 0);
    usleep(100000);
    assert_true(holds_text(fd, "1"));
    start_us = clock_mono_us();
    assert_int_equal(write(event, &one, sizeof(one)), sizeof(one));
    assert_true(wait_text(fd, "0", PATIENCE_MS) >= 0);
    assert_true(clock_mono_us() - start_us >= hold.after_us);
    warden_end(w);
}

static void a_hand_has_a_connection_of_its_own(void **state) {
    auto_close int ours = file_of("1");
    auto_close int theirs = file_of("1");
    struct warden *w = start(), *hand;
    struct warden_hold hold = one_step(ours, "0", ""), other = one_step(theirs, "0", "");
    struct err err;
    int status, id = warden_hold(w, &hold);
    pid_t pid;

    (void)state;
    assert_true(id >= 0);
    assert_int_equal(warden_of(w, &hand, &err), 0);
    pid = fork();
    if (pid == 0) {
        warden_end(w); /* its copy alone: nothing is undone */
        _exit(warden_hold(hand, &other) < 0 || warden_drop(hand, id) != -ENOENT);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_true(wait_text(theirs, "0", PATIENCE_MS) >= 0); /* though we still have its socket */
    assert_true(holds_text(ours, "1"));
    assert_int_equal(warden_hold(hand, &other), -EPIPE);
    warden_end(hand);
    assert_int_equal(warden_drop(w, id), 0);
    warden_end(w);
}

static void a_hand_outlives_its_maker(void **state) {
    auto_close int fd = file_of("1");
    int go[2], pid_of[2];
    int32_t warden_is;
    pid_t owner;

    (void)state;
    assert_int_equal(pipe(go), 0);
    assert_int_equal(pipe(pid_of), 0);
    owner = fork();
    if (owner == 0) {
        struct warden *w = start(), *hand;
        struct warden_hold hold = one_step(fd, "0", "");

        if (warden_of(w, &hand, NULL) < 0)
            _exit(1);
        if (fork() == 0) {
            char byte;

            close(go[1]);
            warden_end(w);
            warden_is = warden_pid(hand);
            if (warden_hold(hand, &hold) < 0 || write(pid_of[1], &warden_is, sizeof(warden_is)) < 0)
                _exit(1);
            _exit(read(go[0], &byte, 1) != 0);
        }
        for (;;)
            pause();
    }
    close(go[0]);
    assert_int_equal(read(pid_of[0], &warden_is, sizeof(warden_is)), sizeof(warden_is));
    kill(owner, SIGKILL);
    waitpid(owner, NULL, 0);
    usleep(50000);
    assert_true(holds_text(fd, "1"));
    close(go[1]);
    assert_true(wait_text(fd, "0", PATIENCE_MS) >= 0);
    assert_true(is_gone(warden_is));
    close(pid_of[0]);
    close(pid_of[1]);
}

static void a_warden_that_was_killed_is_noticed_and_started_again(void **state) {
    auto_close int fd = file_of("1");
    auto_close int dropped = file_of("1");
    struct warden *w = start();
    struct warden_hold hold = one_step(fd, "0", ""), gone = one_step(dropped, "0", "");
    struct pollfd poll_it;
    int id = warden_hold(w, &hold), other = warden_hold(w, &gone);
    int32_t before = warden_pid(w);
    struct err err;

    (void)state;
    assert_true(warden_stands(w));
    assert_int_equal(warden_drop(w, other), 0);
    assert_int_equal(kill(before, SIGKILL), 0);
    poll_it = (struct pollfd){.fd = warden_fd(w), .events = POLLIN};
    assert_int_equal(poll(&poll_it, 1, PATIENCE_MS), 1);
    assert_false(warden_stands(w));
    assert_int_equal(warden_hold(w, &hold), -EPIPE);
    if (warden_again(w, &err) < 0)
        fail_msg("%s", err.text);
    assert_true(warden_stands(w));
    assert_int_not_equal(warden_pid(w), before);
    assert_int_equal(warden_extend(w, id, 0), 0);
    warden_end(w);
    assert_true(holds_text(fd, "0"));
    assert_true(holds_text(dropped, "1"));
}

static int64_t since_ms(int64_t start_us) {
    return (clock_mono_us() - start_us) / 1000;
}

/* It is late, and all is as it was told. */
static void a_drop_does_not_wait_for_a_warden_that_stands_still(void **state) {
    auto_close int fd = file_of("1");
    auto_close int other = file_of("1");
    struct warden *w = start();
    struct warden_hold hold = one_step(fd, "0", ""), more = one_step(other, "0", "");
    int id = warden_hold(w, &hold);
    int64_t start_us = clock_mono_us();

    (void)state;
    assert_int_equal(kill(warden_pid(w), SIGSTOP), 0);
    assert_int_equal(warden_drop(w, id), -EINPROGRESS);
    print_message("# a drop took %d ms\n", (int)since_ms(start_us));
    assert_true(since_ms(start_us) < PATIENCE_MS); /* it would stand for ever */
    assert_true(warden_stands(w));
    assert_int_equal(kill(warden_pid(w), SIGCONT), 0);
    assert_true(warden_hold(w, &more) >= 0);
    warden_end(w);
    assert_true(holds_text(fd, "1"));
    assert_true(holds_text(other, "0"));
}

static void a_warden_that_stands_still_is_replaced(void **state) {
    auto_close int fd = file_of("1");
    auto_close int dropped = file_of("1");
    auto_close int refused = file_of("1");
    struct warden *w = start();
    struct warden_hold held = one_step(fd, "0", ""), gone = one_step(dropped, "0", "");
    struct warden_hold late = one_step(refused, "0", "");
    int id[] = {warden_hold(w, &held), warden_hold(w, &gone), warden_hold(w, &gone)};
    int32_t before = warden_pid(w);
    struct pollfd told = {.fd = warden_fd(w), .events = POLLIN};
    int64_t start_us = clock_mono_us();
    struct err err;

    (void)state;
    assert_int_equal(kill(before, SIGSTOP), 0);
    assert_int_equal(warden_drop(w, id[1]), -EINPROGRESS);
    assert_int_equal(poll(&told, 1, 0), 0);
    assert_int_equal(warden_drop(w, id[2]), -EPIPE);
    assert_int_equal(warden_hold(w, &late), -EPIPE);
    print_message("# two drops and a hold took %d ms\n", (int)since_ms(start_us));
    assert_true(since_ms(start_us) < PATIENCE_MS);
    assert_int_equal(poll(&told, 1, 0), 1); /* who polls is told */
    assert_false(warden_stands(w));
    if (warden_again(w, &err) < 0)
        fail_msg("%s", err.text);
    assert_true(is_gone(before));
    assert_true(warden_stands(w));
    assert_true(holds_text(fd, "1")); /* the old one has undone nothing */
    assert_int_equal(warden_extend(w, id[0], 0), 0);
    warden_end(w);
    assert_true(holds_text(fd, "0"));
    assert_true(holds_text(dropped, "1"));
    assert_true(holds_text(refused, "1"));
}

static unsigned fds_of(int32_t pid) {
    char path[32];
    unsigned n = 0;

    for (int fd = 0; fd < 64; fd++) {
        snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)pid, fd);
        n += access(path, F_OK) == 0 || errno != ENOENT;
    }
    return n;
}

static uint64_t locked_kb(int32_t pid) {
    char path[32], buf[4096];
    struct str text, line;
    uint64_t kb = 0;

    snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    assert_int_equal(file_head_at(AT_FDCWD, path, buf, sizeof(buf), &text), 0);
    while (str_cut(&text, '\n', &line))
        if (str_skip(&line, STR("VmLck:")) && str_drop(&line, STR(" kB")))
            assert_int_equal(str_to_u64(str_trim(line), &kb), 0);
    return kb;
}

static void it_has_nothing_but_what_it_needs(void **state) {
    static const int ignored[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGPIPE, SIGALRM};
    auto_close int fd = file_of("1");
    auto_close int noise = open("/dev/null", O_RDONLY);
    struct warden *w = start();
    struct warden_hold hold = one_step(fd, "0", "");
    int32_t pid = warden_pid(w);
    unsigned before;

    (void)state;
    assert_int_not_equal(getsid(pid), getsid(0));
    before = fds_of(pid);
    assert_int_equal(before, 8); /* pidfd in place of 0 1 2, socket, mailbox, its thread's two */
    assert_true(warden_hold(w, &hold) >= 0);
    assert_int_equal(fds_of(pid), before + 1);
    for (size_t i = 0; i < ARRAY_N(ignored); i++)
        assert_int_equal(kill(pid, ignored[i]), 0);
    usleep(20000);
    assert_true(warden_stands(w));
    if (geteuid() == 0)
        assert_true(locked_kb(pid) > 256);
    warden_end(w);
    assert_true(holds_text(fd, "0"));
}

static void it_holds_as_many_as_it_says(void **state) {
    auto_close int fd = file_of("1");
    struct warden *w = start();
    struct warden_hold hold = one_step(fd, "0", "");
    int id[WARDEN_HOLDS];
    int64_t start_us = clock_mono_us();

    (void)state;
    for (int i = 0; i < WARDEN_HOLDS; i++) {
        id[i] = warden_hold(w, &hold);
        assert_true(id[i] >= 0);
    }
    print_message("# a hold takes %.1f us\n", (double)(clock_mono_us() - start_us) / WARDEN_HOLDS);
    assert_int_equal(warden_hold(w, &hold), -ENOSPC);
    assert_int_equal(warden_drop(w, id[7]), 0);
    assert_true(warden_hold(w, &hold) >= 0);
    assert_int_equal(warden_drop(w, id[7]), -ENOENT);
    for (int i = 0; i < WARDEN_HOLDS; i++)
        if (i != 7)
            assert_int_equal(warden_drop(w, id[i]), 0);
    assert_true(holds_text(fd, "1"));
    warden_end(w);
    assert_true(holds_text(fd, "0"));
}

static void nonsense_is_refused(void **state) {
    auto_close int fd = file_of("1");
    struct warden *w = start();
    struct warden_hold hold = one_step(fd, "0", "");

    (void)state;
    hold.steps = 0;
    assert_int_equal(warden_hold(w, &hold), -EINVAL);
    hold.steps = WARDEN_STEPS + 1;
    assert_int_equal(warden_hold(w, &hold), -EINVAL);
    hold.steps = 1;
    memset(hold.step[0].value, '1', WARDEN_VALUE);
    assert_int_equal(warden_hold(w, &hold), -EINVAL);
    hold = one_step(-1, "0", "");
    assert_int_equal(warden_hold(w, &hold), -EBADF);
    assert_int_equal(warden_drop(w, -5), -ENOENT);
    assert_int_equal(warden_extend(w, 0x7fffffff, 0), -ENOENT);
    assert_true(warden_stands(w));
    warden_end(w);
    warden_end(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_end_of_the_owner_undoes),
        cmocka_unit_test(a_child_with_a_copy_of_the_socket_does_not_hide_it),
        cmocka_unit_test(time_up_undoes),
        cmocka_unit_test(what_is_written_after_the_time_is_undone_too),
        cmocka_unit_test(what_is_dropped_stays),
        cmocka_unit_test(what_others_wrote_is_left_alone),
        cmocka_unit_test(later_holds_are_undone_first),
        cmocka_unit_test(a_limit_below_usage_is_never_written),
        cmocka_unit_test(what_comes_before_a_limit_waits_for_it),
        cmocka_unit_test(an_event_starts_the_time),
        cmocka_unit_test(a_hand_has_a_connection_of_its_own),
        cmocka_unit_test(a_hand_outlives_its_maker),
        cmocka_unit_test(a_warden_that_was_killed_is_noticed_and_started_again),
        cmocka_unit_test(a_drop_does_not_wait_for_a_warden_that_stands_still),
        cmocka_unit_test(a_warden_that_stands_still_is_replaced),
        cmocka_unit_test(it_has_nothing_but_what_it_needs),
        cmocka_unit_test(it_holds_as_many_as_it_says),
        cmocka_unit_test(nonsense_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
