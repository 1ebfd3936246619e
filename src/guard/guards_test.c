#include "guard/guards.h"

#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "guard/guardsint.h"
#include "guard/locked.h"
#include "kern/cgtest.h"

/* --- allocations, counted --------------------------------------------------------------------- */

#if !defined(__SANITIZE_ADDRESS__)
#define COUNTS 1
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#undef COUNTS
#endif
#endif
#endif

static unsigned long allocations;

#ifdef COUNTS
extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t n, size_t m);
extern void *__libc_realloc(void *p, size_t n);
void *malloc(size_t n);
void *calloc(size_t n, size_t m);
void *realloc(void *p, size_t n);

void *malloc(size_t n) {
    allocations++;
    return __libc_malloc(n);
}
void *calloc(size_t n, size_t m) {
    allocations++;
    return __libc_calloc(n, m);
}
void *realloc(void *p, size_t n) {
    allocations++;
    return __libc_realloc(p, n);
}
#endif

/* --- a group, a grower, a guard ----------------------------------------------------------------
 */

enum { LIMIT = 64 << 20, PATIENCE_US = 60 * 1000000 };

struct world {
    struct cgtest_real real;
    struct loop *loop;
    struct guards *guards;
    char path[128];
    pid_t grower;
    unsigned long before; /* allocations when the mark was passed */
    unsigned long during; /* from there to the end of the first action */
    bool marked, began, ended, over;
    enum action stop_at;
    struct audit end, undo;
    unsigned records, gone;
};

static void on_record(void *ctx, const struct audit *a) {
    struct world *w = ctx;

    w->records++;
    if (a->kind == AUDIT_MARK && a->up && !w->marked) {
        w->marked = true;
        w->before = allocations;
    }
    w->began |= a->kind == AUDIT_BEGIN;
    if (a->kind == AUDIT_UNDO)
        w->undo = *a;
    if (a->kind == AUDIT_END && a->action == w->stop_at && !w->ended) {
        w->during = allocations - w->before;
        w->ended = true;
        w->end = *a;
        loop_stop(w->loop);
    }
}

static void on_gone(void *ctx, unsigned id) {
    struct world *w = ctx;

    (void)id;
    w->gone++;
    loop_stop(w->loop);
}

static int on_late(struct loop *loop, uint32_t what, void *ctx) {
    (void)what, (void)ctx;
    loop_stop(loop);
    return 0;
}

/* Another program, and no child of ours: what is ours is spared. Grows to so many MiB and stays. */
static void grow_so(struct world *w, unsigned mib, bool deaf) {
    static const char program[] = "import signal, sys, time\n"
                                  "if sys.argv[2] == '1':\n"
                                  "    signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
                                  "kept = []\n"
                                  "for i in range(int(sys.argv[1]) * 4):\n"
                                  "    kept.append(bytearray(b'x') * (256 << 10))\n"
                                  "    time.sleep(0.002)\n"
                                  "time.sleep(100)\n";
    char procs[512], size[16];
    int pair[2];
    pid_t child;

    cgtest_real_path(&w->real, "/g/cgroup.procs", procs, sizeof(procs));
    snprintf(size, sizeof(size), "%u", mib);
    assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        pid_t pid = fork();
        int fd = pid == 0 ? open(procs, O_WRONLY | O_CLOEXEC) : -1;

        if (pid != 0)
            _exit(write(pair[1], &pid, sizeof(pid)) != sizeof(pid));
        if (fd < 0 || write(fd, "0", 1) != 1)
            _exit(1);
        execl("/usr/bin/python3", "python3", "-c", program, size, deaf ? "1" : "0", (char *)NULL);
        _exit(1);
    }
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_int_equal(read(pair[0], &w->grower, sizeof(w->grower)), sizeof(w->grower));
    close(pair[0]);
    close(pair[1]);
}

static void grow(struct world *w, unsigned mib) {
    grow_so(w, mib, false);
}

static void begin(struct world *w, const char *at, const char *doing, enum action stop_at,
                  struct policy *p) {
    struct guards_options o = {
        .by = "guard", .audit = -1, .tell = on_record, .gone = on_gone, .ctx = w, .most = 1};
    struct err err = {0};

    memset(w, 0, sizeof(*w));
    cgtest_real_init(&w->real);
    cgtest_real_mkdir(&w->real, "/g");
    assert_int_equal(cgtest_real_write(&w->real, "/g/memory.limit_in_bytes", "64M"), 0);
    snprintf(w->path, sizeof(w->path), "%s/g", w->real.group);
    w->stop_at = stop_at;
    assert_int_equal(loop_new(&w->loop), 0);
    assert_int_equal(loop_add_timer(w->loop, PATIENCE_US, 0, on_late, w, NULL), 0);
    o.host = &w->real.host;
    o.fs = &w->real.fs;
    o.loop = w->loop;
    policy_defaults(p);
    assert_int_equal(policy_parse_marks(str_of(at), p, &err), 0);
    assert_int_equal(policy_parse_actions(str_of(doing), p, &err), 0);
    if (guards_new(&o, &w->guards, &err) < 0)
        fail_msg("%s", err.text);
}

static void add(struct world *w, const struct policy *p) {
    struct err err = {0};

    if (guards_add(w->guards, 0, str_of(w->path), STR("g"), p, &err) < 0)
        fail_msg("%s", err.text);
}

static void done(struct world *w) {
    guards_free(w->guards);
    if (w->grower > 0)
        kill(w->grower, SIGKILL); /* init reaps it */
    loop_free(w->loop);
    cgtest_real_rmdir(&w->real, "/g");
    cgtest_real_done(&w->real);
}

static uint64_t peak(const struct world *w) {
    char path[512], text[64] = "";
    auto_close int fd = -1;
    uint64_t bytes = 0;

    cgtest_real_path(&w->real, "/g/memory.max_usage_in_bytes", path, sizeof(path));
    fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0 && read(fd, text, sizeof(text) - 1) > 0);
    assert_int_equal(str_to_u64(str_trim(str_of(text)), &bytes), 0);
    return bytes;
}

static char state_of(pid_t pid) {
    char path[64], text[512] = "";
    const char *at;
    auto_close int fd = -1;

    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0 && read(fd, text, sizeof(text) - 1) > 0);
    at = strrchr(text, ')');
    assert_non_null(at);
    return at[2];
}

/* Done; or who was stopped has a processor to wait for, which is told, and comes to a stand then.
 */
static void was_done(const struct world *w) {
    bool late =
        w->end.action == ACTION_PAUSE && w->end.report.outcome == OUTCOME_PARTLY &&
        strstr(w->end.report.text, "1 stopped (SIGSTOP), of which 1 had not come to a stand");

    for (unsigned i = 0; i < 4000 && late && state_of(w->grower) != 'T'; i++)
        usleep(5000);
    if (w->end.report.outcome != OUTCOME_DONE && (!late || state_of(w->grower) != 'T'))
        fail_msg("%s: %s", action_name(w->end.action), w->end.report.text);
}

/* --- tests ------------------------------------------------------------------------------------ */

static void from_event_to_action_nothing_is_allocated(void **state) {
    static const struct {
        const char *word;
        enum action action;
    } quick[] = {{"pause", ACTION_PAUSE}, {"kill", ACTION_KILL}, {"term", ACTION_TERM}};

    (void)state;
    for (size_t i = 0; i < ARRAY_N(quick); i++) {
        struct world w;
        struct policy p;

        begin(&w, "80%", quick[i].word, quick[i].action, &p);
        add(&w, &p);
        grow(&w, 52);
        assert_int_equal(loop_run(w.loop), 0);
        assert_true(w.ended);
        was_done(&w);
#ifdef COUNTS
        assert_int_equal(w.during, 0);
#endif
        assert_true(peak(&w) < LIMIT);
        done(&w);
    }
}

/* Others are counted too: a test that cannot fail proves nothing. */
static void allocations_are_counted(void **state) {
#ifdef COUNTS
    unsigned long before = allocations;
    void *volatile p = malloc(100);

    assert_true(allocations > before);
    free(p);
#endif
    (void)state;
}

static void what_is_paused_goes_on_when_the_guard_ends(void **state) {
    struct world w;
    struct policy p;

    (void)state;
    begin(&w, "80%", "pause", ACTION_PAUSE, &p);
    add(&w, &p);
    grow(&w, 52);
    assert_int_equal(loop_run(w.loop), 0);
    assert_true(w.ended);
    for (unsigned i = 0; i < 4000 && state_of(w.grower) != 'T'; i++)
        usleep(5000);
    assert_int_equal(state_of(w.grower), 'T');
    guards_remove(w.guards, 0, "enough");
    assert_int_equal(w.undo.action, ACTION_PAUSE);
    for (unsigned i = 0; i < 4000 && state_of(w.grower) == 'T'; i++)
        usleep(5000);
    assert_int_not_equal(state_of(w.grower), 'T');
    done(&w);
}

static void a_dry_run_touches_nothing(void **state) {
    struct world w;
    struct policy p;

    (void)state;
    begin(&w, "80%", "kill", ACTION_KILL, &p);
    p.dry_run = true;
    add(&w, &p);
    grow(&w, 48);
    assert_int_equal(loop_run(w.loop), 0);
    assert_true(w.ended);
    assert_int_equal(w.end.report.outcome, OUTCOME_DRY);
    assert_int_equal(w.end.report.pid, w.grower);
    assert_int_not_equal(state_of(w.grower), 'Z');
    done(&w);
}

static void page_cache_is_no_reason(void **state) {
    struct world w;
    struct policy p;
    char procs[512];
    int status = -1;

    (void)state;
    begin(&w, "80%", "kill", ACTION_KILL, &p);
    add(&w, &p);
    cgtest_real_path(&w.real, "/g/cgroup.procs", procs, sizeof(procs));
    w.grower = fork();
    assert_true(w.grower >= 0);
    if (w.grower == 0) { /* reads and writes far more than the limit */
        char name[] = "/var/tmp/plimsoll-unit-XXXXXX";
        static char block[1 << 20];
        int fd = open(procs, O_WRONLY | O_CLOEXEC), file;

        if (fd < 0 || write(fd, "0", 1) != 1)
            _exit(1);
        file = mkstemp(name);
        if (file < 0 || unlink(name) < 0)
            _exit(1);
        memset(block, 1, sizeof(block));
        for (unsigned i = 0; i < 2 * (LIMIT >> 20); i++)
            if (write(file, block, sizeof(block)) < 0)
                _exit(1);
        _exit(0);
    }
    for (unsigned i = 0; i < 12000 && waitpid(w.grower, &status, WNOHANG) == 0; i++) {
        assert_int_equal(loop_turn(w.loop), 0);
        usleep(5000);
    }
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    w.grower = 0;
    assert_true(peak(&w) > LIMIT / 100 * 90); /* of usage; not of what is used */
    assert_false(w.ended);
    done(&w);
}

static void the_limit_moves_and_its_marks_with_it(void **state) {
    struct world w;
    struct policy p;

    (void)state;
    begin(&w, "80%", "pause", ACTION_PAUSE, &p);
    add(&w, &p);
    assert_int_equal(cgtest_real_write(&w.real, "/g/memory.limit_in_bytes", "32M"), 0);
    for (unsigned i = 0; i < 50; i++) { /* the guard sees that within some seconds */
        assert_int_equal(loop_turn(w.loop), 0);
        usleep(50000);
    }
    grow(&w, 24);
    assert_int_equal(loop_run(w.loop), 0);
    assert_true(w.ended);
    assert_true(w.end.facts.value[FACT_LIMIT] == 32 << 20);
    assert_true(peak(&w) < 32 << 20);
    done(&w);
}

static void a_group_that_is_removed(void **state) {
    struct world w;
    struct policy p;

    (void)state;
    begin(&w, "80%", "pause", ACTION_PAUSE, &p);
    add(&w, &p);
    cgtest_real_rmdir(&w.real, "/g");
    assert_int_equal(loop_run(w.loop), 0);
    assert_int_equal(w.gone, 1);
    assert_false(w.ended);
    done(&w);
}

static void turn(struct world *w, unsigned times) {
    for (unsigned i = 0; i < times; i++) {
        assert_int_equal(loop_turn(w->loop), 0);
        usleep(10000);
    }
}

static uint64_t usage(const struct world *w) {
    char path[512], text[64] = "";
    auto_close int fd = -1;
    uint64_t bytes = 0;

    cgtest_real_path(&w->real, "/g/memory.usage_in_bytes", path, sizeof(path));
    fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0 && read(fd, text, sizeof(text) - 1) > 0);
    assert_int_equal(str_to_u64(str_trim(str_of(text)), &bytes), 0);
    return bytes;
}

static void hook(struct policy *p, const char *program, const char *word) {
    struct err err = {0};

    assert_int_equal(policy_add_text(p->hook, str_of(program), &err), 0);
    if (word[0])
        assert_int_equal(policy_add_text(p->hook, str_of(word), &err), 0);
}

/* Nobody stands ready yet to do what takes long. */
static void a_group_that_is_above_its_mark_at_the_start(void **state) {
    struct world w;
    struct policy p;

    (void)state;
    begin(&w, "50%", "notify", ACTION_NOTIFY, &p);
    hook(&p, "/bin/true", "");
    grow(&w, 40);
    for (unsigned i = 0; i < 4000 && usage(&w) < LIMIT / 100 * 60; i++)
        usleep(5000);
    add(&w, &p);
    assert_int_equal(loop_run(w.loop), 0);
    assert_true(w.ended);
    if (w.end.report.outcome != OUTCOME_DONE)
        fail_msg("%s", w.end.report.text);
    done(&w);
}

static void an_id_is_given_again(void **state) {
    struct world w;
    struct policy p;
    char id[AUDIT_ID];

    (void)state;
    begin(&w, "90%", "notify", ACTION_NOTIFY, &p);
    hook(&p, "/bin/true", "");
    add(&w, &p);
    turn(&w, 30); /* one stands ready */
    guards_remove(w.guards, 0, "enough");
    add(&w, &p);
    assert_int_equal(guards_ask(w.guards, 0, ACTION_NOTIFY, "test", id), 0);
    assert_int_equal(loop_run(w.loop), 0);
    assert_true(w.ended);
    assert_string_equal(w.end.id, id);
    if (w.end.report.outcome != OUTCOME_DONE)
        fail_msg("%s", w.end.report.text);
    done(&w);
}

/* A hook that goes on until it is let go: it reads the ten lines that head(1) wants. */
struct waiting {
    char dir[40], path[64];
    int fd;
};

static void wait_for_us(struct waiting *x, struct policy *p) {
    snprintf(x->dir, sizeof(x->dir), "/tmp/plimsoll-guards-XXXXXX");
    assert_non_null(mkdtemp(x->dir));
    snprintf(x->path, sizeof(x->path), "%s/lines", x->dir);
    assert_int_equal(mkfifo(x->path, 0600), 0);
    x->fd = open(x->path, O_RDWR | O_CLOEXEC);
    assert_true(x->fd >= 0);
    hook(p, "/usr/bin/head", x->path);
}

static void let_it_go(struct waiting *x) {
    assert_int_equal(write(x->fd, "\n\n\n\n\n\n\n\n\n\n", 10), 10);
    usleep(20000); /* it has opened it, or does now */
    close(x->fd);
    unlink(x->path);
    rmdir(x->dir);
}

static void what_goes_on_when_the_guard_ends(void **state) {
    struct world w;
    struct policy p;
    struct waiting waiting;
    char id[AUDIT_ID];

    (void)state;
    begin(&w, "90%", "notify", ACTION_NOTIFY, &p);
    wait_for_us(&waiting, &p);
    add(&w, &p);
    assert_int_equal(guards_ask(w.guards, 0, ACTION_NOTIFY, "test", id), 0);
    for (unsigned i = 0; i < 1000 && !w.began; i++)
        turn(&w, 1);
    turn(&w, 5);
    assert_true(w.began && !w.ended);
    guards_remove(w.guards, 0, "enough");
    assert_true(w.ended);
    assert_string_equal(w.end.id, id);
    assert_int_equal(w.end.report.outcome, OUTCOME_FAILED);
    let_it_go(&waiting);
    done(&w);
}

/* The end of each is told: of the kill at once, of the hook when it comes. */
static void a_hook_holds_nothing_up(void **state) {
    struct world w;
    struct policy p;
    struct waiting waiting;
    char first[AUDIT_ID], second[AUDIT_ID];

    (void)state;
    begin(&w, "80%", "notify,kill", ACTION_KILL, &p);
    wait_for_us(&waiting, &p);
    p.deadline_us = 2 * PATIENCE_US;
    p.cooldown_us = 0;
    add(&w, &p);
    assert_int_equal(guards_ask(w.guards, 0, ACTION_NOTIFY, "test", first), 0);
    grow(&w, 52);
    assert_int_equal(loop_run(w.loop), 0);
    assert_true(w.ended);
    was_done(&w);
    w.stop_at = ACTION_NOTIFY;
    w.ended = false;
    assert_int_equal(guards_ask(w.guards, 0, ACTION_NOTIFY, "test", second), 0);
    assert_true(w.ended); /* one hook at a time */
    assert_string_equal(w.end.id, second);
    assert_int_equal(w.end.report.outcome, OUTCOME_PARTLY);
    w.ended = false;
    guards_remove(w.guards, 0, "enough");
    assert_true(w.ended);
    assert_string_equal(w.end.id, first);
    assert_int_equal(w.end.report.outcome, OUTCOME_FAILED);
    let_it_go(&waiting);
    done(&w);
}

static void a_group_that_cannot_be_read_for_a_while(void **state) {
    struct world w;
    struct policy p;
    int folder, own, *usage;

    (void)state;
    begin(&w, "80%", "pause", ACTION_PAUSE, &p);
    add(&w, &p);
    turn(&w, 10);
    usage = &w.guards->at[0]->grip.level[0].usage;
    own = dup(*usage);
    folder = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(own >= 0 && folder >= 0);
    assert_int_equal(dup2(folder, *usage), *usage);
    turn(&w, 150);
    assert_int_equal(w.gone, 0);
    assert_int_equal(dup2(own, *usage), *usage);
    grow(&w, 52);
    assert_int_equal(loop_run(w.loop), 0);
    assert_true(w.ended);
    was_done(&w);
    close(own);
    close(folder);
    done(&w);
}

/* Who is asked to end needs a processor for that. */
static void what_is_asked_to_end_is_not_slowed_down(void **state) {
    char cpu[128], below[160], path[192], text[32] = "";
    struct world w;
    struct policy p;
    int fd;

    (void)state;
    begin(&w, "80%", "throttle,term", ACTION_TERM, &p);
    if (!cgtest_real_beside(&w.real, "cpu", cpu)) {
        done(&w);
        skip();
    }
    snprintf(below, sizeof(below), "%s/g", cpu);
    assert_int_equal(mkdir(below, 0755), 0);
    add(&w, &p);
    grow(&w, 52);
    assert_int_equal(loop_run(w.loop), 0);
    assert_true(w.ended);
    assert_int_equal(w.undo.action, ACTION_THROTTLE);
    assert_string_equal(w.undo.report.text, "it must run for what follows"); /* not at its end */
    snprintf(path, sizeof(path), "%s/cpu.cfs_quota_us", below);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0 && read(fd, text, sizeof(text) - 1) > 0);
    close(fd);
    assert_string_equal(text, "-1\n");
    done(&w);
    cgtest_remove(below);
    cgtest_remove(cpu);
}

/* Each that has begun has an end in the audit. */
static void a_second_term_ends_the_first(void **state) {
    struct world w;
    struct policy p;
    char id[AUDIT_ID];

    (void)state;
    begin(&w, "90%", "term", ACTION_TERM, &p);
    p.cooldown_us = 0;
    add(&w, &p);
    grow_so(&w, 54, true);
    for (unsigned i = 0; i < 20000 && usage(&w) < LIMIT / 100 * 40; i++)
        usleep(1000);
    assert_int_equal(guards_ask(w.guards, 0, ACTION_TERM, "test", id), 0);
    assert_false(w.ended);
    assert_int_equal(loop_run(w.loop), 0);
    assert_true(w.ended);
    assert_string_equal(w.end.id, id);
    assert_int_equal(w.end.report.outcome, OUTCOME_PARTLY);
    done(&w);
}

/* There was no room for another warden at first. */
static void a_warden_is_raised_when_there_is_room_again(void **state) {
    struct rlimit was, none;
    struct world w;
    struct policy p;
    int lowest;

    (void)state;
    begin(&w, "80%", "pause", ACTION_PAUSE, &p);
    add(&w, &p);
    turn(&w, 30);
    lowest = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);
    assert_true(lowest >= 0);
    close(lowest);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
    none = was;
    none.rlim_cur = (rlim_t)lowest;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    assert_int_equal(kill(warden_pid(w.guards->warden), SIGKILL), 0);
    turn(&w, 20);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
    assert_false(warden_stands(w.guards->warden));
    for (unsigned i = 0; i < 200 && !warden_stands(w.guards->warden); i++)
        turn(&w, 10);
    assert_true(warden_stands(w.guards->warden));
    grow(&w, 52);
    assert_int_equal(loop_run(w.loop), 0);
    assert_true(w.ended);
    if (w.end.report.outcome != OUTCOME_DONE)
        fail_msg("%s", w.end.report.text);
    done(&w);
}

/* In the group, two: the second waits in the kernel until the first, its child, executes something,
 * which no signal ends. */
static pid_t wait_for_exec(const struct world *w) {
    char procs[512];
    pid_t pid = fork();
    int fd;

    assert_true(pid >= 0);
    if (pid > 0)
        return pid;
    cgtest_real_path(&w->real, "/g/cgroup.procs", procs, sizeof(procs));
    fd = open(procs, O_WRONLY | O_CLOEXEC);
    alarm(30);
    if (fd < 0 || write(fd, "0", 1) != 1)
        _exit(1);
    if (syscall(SYS_clone, CLONE_VFORK | SIGCHLD, 0, 0, 0, 0) == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;)
            usleep(10000);
    }
    _exit(0);
}

/* It is not begun once more with what is kept for a moment without memory: that would be refused.
 */
static void what_is_partly_done_is_told_as_that(void **state) {
    struct err err = {0};
    struct world w;
    struct policy p;
    pid_t waiting;

    (void)state;
    if (locked_all(&err) < 0)
        skip();
    begin(&w, "80%", "pause", ACTION_PAUSE, &p);
    waiting = wait_for_exec(&w);
    add(&w, &p);
    grow(&w, 52);
    assert_int_equal(loop_run(w.loop), 0);
    assert_true(w.ended);
    if (w.end.report.outcome != OUTCOME_PARTLY)
        fail_msg("%s: %s", outcome_name(w.end.report.outcome), w.end.report.text);
    guards_remove(w.guards, 0, "enough");
    kill(waiting, SIGKILL);
    waitpid(waiting, NULL, 0);
    done(&w);
    munlockall();
}

static void many_groups(void **state) {
    enum { GROUPS = 300 };
    struct cgtest_real real;
    struct guards_options o = {.by = "guard", .audit = -1, .most = GROUPS};
    struct guards *guards;
    struct loop *loop;
    struct policy p;
    struct err err = {0};
    int fds;

    (void)state;
    cgtest_real_init(&real);
    assert_int_equal(loop_new(&loop), 0);
    o.host = &real.host;
    o.fs = &real.fs;
    o.loop = loop;
    policy_defaults(&p);
    if (guards_new(&o, &guards, &err) < 0)
        fail_msg("%s", err.text);
    fds = cgtest_open_fds();
    for (unsigned i = 0; i < GROUPS; i++) {
        char name[32], path[128];

        snprintf(name, sizeof(name), "/%u", i);
        cgtest_real_mkdir(&real, name);
        snprintf(path, sizeof(path), "%s%s", real.group, name);
        if (guards_add(guards, i, str_of(path), STR("g"), &p, &err) < 0)
            fail_msg("%s", err.text);
    }
    assert_true(cgtest_open_fds() - fds <= GROUPS * 18);
    for (unsigned i = 0; i < 20; i++) {
        assert_int_equal(loop_turn(loop), 0);
        usleep(10000);
    }
    guards_free(guards);
    loop_free(loop);
    for (unsigned i = 0; i < GROUPS; i++) {
        char name[32];

        snprintf(name, sizeof(name), "/%u", i);
        cgtest_real_rmdir(&real, name);
    }
    cgtest_real_done(&real);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(allocations_are_counted),
        cmocka_unit_test(from_event_to_action_nothing_is_allocated),
        cmocka_unit_test(what_is_paused_goes_on_when_the_guard_ends),
        cmocka_unit_test(a_dry_run_touches_nothing),
        cmocka_unit_test(page_cache_is_no_reason),
        cmocka_unit_test(the_limit_moves_and_its_marks_with_it),
        cmocka_unit_test(a_group_that_is_removed),
        cmocka_unit_test(a_group_that_is_above_its_mark_at_the_start),
        cmocka_unit_test(an_id_is_given_again),
        cmocka_unit_test(what_goes_on_when_the_guard_ends),
        cmocka_unit_test(a_hook_holds_nothing_up),
        cmocka_unit_test(a_group_that_cannot_be_read_for_a_while),
        cmocka_unit_test(what_is_asked_to_end_is_not_slowed_down),
        cmocka_unit_test(a_second_term_ends_the_first),
        cmocka_unit_test(a_warden_is_raised_when_there_is_room_again),
        cmocka_unit_test(many_groups),
        cmocka_unit_test(what_is_partly_done_is_told_as_that),
    };

    return cmocka_run_group_tests(tests, NULL, cgtest_real_sweep);
}
