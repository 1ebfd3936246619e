#include "act/oomwatch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "kern/cgmake.h"
#include "kern/cgtest.h"

#define MIB (1024ull * 1024)

/* --- the counters alone: a machine of files, its log withheld --- */

struct fake {
    struct cgtest tree;
    struct place place;
    struct rungroup group;
    struct loop *loop;
    struct oomwatch *watch;
};

/* ooms and kills as memory.events counts them: with everything below. */
static void set_events(const struct fake *f, const char *group, unsigned ooms, unsigned local,
                       unsigned kills) {
    char path[256], text[128];

    snprintf(path, sizeof(path), "/sys/fs/cgroup%s/memory.events", group);
    snprintf(text, sizeof(text), "low 0\nhigh 0\nmax 0\noom %u\noom_kill %u\n", ooms, kills);
    cgtest_write(&f->tree, path, text);
    snprintf(path, sizeof(path), "/sys/fs/cgroup%s/memory.events.local", group);
    snprintf(text, sizeof(text), "low 0\nhigh 0\nmax 0\noom %u\noom_kill %u\n", local, kills);
    cgtest_write(&f->tree, path, text);
    snprintf(path, sizeof(path), "/sys/fs/cgroup%s/memory.max", group);
    cgtest_write(&f->tree, path, "536870912\n");
}

static void unexpected(const struct oom_evidence *evidence, void *ctx) {
    (void)evidence, (void)ctx;
    fail_msg("nobody was killed meanwhile");
}

static void init_group(struct rungroup *g, const struct place *place, const char *rel) {
    *g = (struct rungroup){.place = place, .limits = {.limit = 60 * MIB, .swap = RUNGROUP_UNSET}};
    for (unsigned i = 0; i < PLAN_TREES; i++)
        g->outer[i] = g->work[i] = g->parent[i] = -1;
    snprintf(g->rel, sizeof(g->rel), "%s", rel);
}

/* top: "cgroup.events" is what only the true root lacks. */
static void fake_start(struct fake *f, bool at_top) {
    memset(f, 0, sizeof(*f));
    cgtest_init(&f->tree);
    cgtest_make_v2(&f->tree);
    if (!at_top)
        cgtest_write(&f->tree, "/sys/fs/cgroup/cgroup.events", "populated 1\nfrozen 0\n");
    set_events(f, "/a", 50, 10, 20);
    set_events(f, "/a/b", 40, 5, 20);
    set_events(f, "/a/b/run", 20, 7, 20);
    set_events(f, "/a/b/run/w", 3, 1, 2);
    cgtest_open(&f->tree, false);
    assert_int_equal(f->tree.fs.at_top, at_top);
    snprintf(f->place.path[PLAN_MEMORY], sizeof(f->place.path[PLAN_MEMORY]), "/a");
    init_group(&f->group, &f->place, "b/run");
    f->group.work[PLAN_MEMORY] = cgfs_open_dir(&f->tree.fs, CG_MEMORY, STR("/a/b/run/w"));
    assert_true(f->group.work[PLAN_MEMORY] >= 0);
    assert_int_equal(loop_new(&f->loop), 0);
    assert_int_equal(
        oomwatch_new(f->loop, &f->tree.host, &f->tree.fs, &f->group, unexpected, NULL, &f->watch),
        0);
    oomwatch_begin(f->watch);
    oomwatch_main(f->watch, getpid());
}

static void fake_stop(struct fake *f) {
    oomwatch_free(f->watch);
    loop_free(f->loop);
    close(f->group.work[PLAN_MEMORY]);
    cgtest_done(&f->tree);
}

static void where_the_oom_was_tells_whose_limit_it_was(void **state) {
    static const struct {
        bool at_top;
        unsigned w_ooms, w_local, run_local, b_local, a_local; /* more than before */
        enum oom_whose whose;
        bool sure;
        const char *path;
        uint64_t limit;
    } t[] = {
        {true, 1, 1, 0, 0, 0, WHOSE_OWN, true, "/a/b/run", 60 * MIB},
        {true, 0, 0, 1, 0, 0, WHOSE_OWN, true, "/a/b/run", 60 * MIB},
        {true, 0, 0, 0, 1, 0, WHOSE_ANCESTOR, true, "/a/b", 512 * MIB},
        {true, 0, 0, 0, 0, 9, WHOSE_ANCESTOR, true, "/a", 512 * MIB},
        {true, 1, 0, 0, 0, 0, WHOSE_INSIDE, true, "", 0},
        {true, 0, 0, 0, 0, 0, WHOSE_HOST, true, "", 0},
        {false, 0, 0, 0, 0, 0, WHOSE_UNKNOWN, false, "", 0}, /* who knows what is above */
        {false, 1, 1, 0, 0, 0, WHOSE_OWN, true, "/a/b/run", 60 * MIB},
        {true, 1, 1, 0, 1, 0, WHOSE_OWN, false, "/a/b/run", 60 * MIB},
        {true, 0, 0, 0, 1, 1, WHOSE_ANCESTOR, false, "/a/b", 512 * MIB},
        {true, 1, 0, 0, 0, 1, WHOSE_ANCESTOR, false, "/a", 512 * MIB},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_N(t); i++) {
        struct oom_evidence e;
        struct fake f;

        fake_start(&f, t[i].at_top);
        set_events(&f, "/a", 60, 10 + t[i].a_local, 21);
        set_events(&f, "/a/b", 50, 5 + t[i].b_local, 21);
        set_events(&f, "/a/b/run", 30, 7 + t[i].run_local, 21);
        set_events(&f, "/a/b/run/w", 3 + t[i].w_ooms, 1 + t[i].w_local, 3);
        oomwatch_settle(f.watch, &e);
        assert_true(e.have_kills && e.log_lost);
        assert_int_equal(e.kills, 1);
        assert_int_equal(e.main, MAYBE_UNKNOWN);
        if (e.whose != t[i].whose || e.sure_whose != t[i].sure)
            fail_msg("row %zu: %s, sure %d", i, exitcause_whose_name(e.whose), e.sure_whose);
        assert_string_equal(e.path, t[i].path);
        assert_int_equal(e.limit, t[i].limit);
        fake_stop(&f);
    }
}

static void an_oom_without_a_kill_is_none(void **state) {
    struct oom_evidence e;
    struct fake f;

    (void)state;
    fake_start(&f, true);
    set_events(&f, "/a/b/run/w", 900, 900, 2);
    oomwatch_settle(f.watch, &e);
    assert_true(e.have_kills);
    assert_int_equal(e.kills, 0);
    assert_int_equal(e.main, MAYBE_NO);
    assert_int_equal(e.whose, WHOSE_UNKNOWN);
    fake_stop(&f);
}

static void what_was_before_a_start_is_forgotten(void **state) {
    struct oom_evidence e;
    struct fake f;

    (void)state;
    fake_start(&f, true);
    set_events(&f, "/a/b/run/w", 4, 2, 3);
    oomwatch_begin(f.watch);
    oomwatch_main(f.watch, getpid());
    oomwatch_settle(f.watch, &e);
    assert_int_equal(e.kills, 0);
    assert_int_equal(e.main, MAYBE_NO);

    /* w is another one: its numbers begin anew */
    oomwatch_begin(f.watch);
    set_events(&f, "/a/b/run/w", 0, 0, 0);
    oomwatch_begin(f.watch);
    set_events(&f, "/a/b/run/w", 1, 1, 1);
    oomwatch_settle(f.watch, &e);
    assert_int_equal(e.kills, 1);
    assert_int_equal(e.whose, WHOSE_OWN);
    fake_stop(&f);
}

static void without_counters_nothing_is_claimed(void **state) {
    struct oom_evidence e;
    struct fake f;

    (void)state;
    fake_start(&f, true);
    cgtest_delete(&f.tree, "/sys/fs/cgroup/a/b/run/w");
    oomwatch_settle(f.watch, &e);
    assert_false(e.have_kills);
    assert_int_equal(e.main, MAYBE_UNKNOWN);
    assert_int_equal(e.whose, WHOSE_UNKNOWN);
    fake_stop(&f);
}

/* --- the real kernel --- */

struct real {
    struct cgtest_real top;
    struct place place;
    struct rungroup group;
    struct loop *loop;
    struct oomwatch *watch;
    unsigned told;
    struct oom_evidence evidence;
};

static void note(const struct oom_evidence *evidence, void *ctx) {
    struct real *r = ctx;

    r->told++;
    r->evidence = *evidence;
    loop_stop(r->loop);
}

static int open_group(const struct real *r, const char *below) {
    char path[512];

    cgtest_real_path(&r->top, below, path, sizeof(path));
    return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static void real_start(struct real *r) {
    memset(r, 0, sizeof(*r));
    cgtest_real_init(&r->top);
    cgtest_real_mkdir(&r->top, "/run");
    cgtest_real_mkdir(&r->top, "/run/w");
    assert_int_equal(cgtest_real_write(&r->top, "/run/memory.limit_in_bytes", "8M"), 0);
    assert_int_equal(cgtest_real_write(&r->top, "/run/w/memory.limit_in_bytes", "8M"), 0);
    snprintf(r->place.path[PLAN_MEMORY], sizeof(r->place.path[PLAN_MEMORY]), "%s", r->top.group);
    init_group(&r->group, &r->place, "run");
    r->group.limits.limit = 8 * MIB;
    r->group.work[PLAN_MEMORY] = open_group(r, "/run/w");
    assert_true(r->group.work[PLAN_MEMORY] >= 0);
    assert_int_equal(loop_new(&r->loop), 0);
    assert_int_equal(oomwatch_new(r->loop, &r->top.host, &r->top.fs, &r->group, note, r, &r->watch),
                     0);
    oomwatch_begin(r->watch);
}

static void real_stop(struct real *r) {
    oomwatch_free(r->watch);
    loop_free(r->loop);
    close(r->group.work[PLAN_MEMORY]);
    cgtest_real_rmdir(&r->top, "/run/w");
    cgtest_real_rmdir(&r->top, "/run");
    cgtest_real_done(&r->top);
}

/* More than it may have. */
static _Noreturn void take_memory(void) {
    for (unsigned i = 0; i < 32; i++) {
        char *p = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        if (p == MAP_FAILED)
            break;
        memset(p, 1, MIB);
    }
    _exit(1);
}

/* In the group: takes memory itself, or by a child, and then waits for its end. */
static pid_t run(const struct real *r, bool by_child) {
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid > 0)
        return pid;
    if (cgmake_join(r->group.work[PLAN_MEMORY]) < 0)
        _exit(2);
    if (!by_child || fork() == 0)
        take_memory();
    (void)wait(NULL);
    for (;;)
        pause();
}

static void wait_killed(pid_t pid) {
    int status;

    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void a_kill_at_the_real_limit_is_told_as_such(void **state) {
    struct oom_evidence e;
    struct real r;
    pid_t pid;

    (void)state;
    real_start(&r);
    pid = run(&r, false);
    oomwatch_main(r.watch, pid);
    wait_killed(pid);
    oomwatch_settle(r.watch, &e);
    assert_true(e.have_kills);
    assert_int_equal(e.kills, 1);
    assert_int_not_equal(e.main, MAYBE_NO); /* without the log nobody can be sure */
    assert_int_equal(e.whose, WHOSE_OWN);
    assert_int_equal(e.limit, 8 * MIB);
    assert_true(e.path[0]);
    assert_int_equal(e.pid, 0);
    real_stop(&r);
}

static void a_real_kill_from_outside_is_none(void **state) {
    struct oom_evidence e;
    struct real r;
    pid_t pid;

    (void)state;
    real_start(&r);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        for (;;)
            pause();
    oomwatch_main(r.watch, pid);
    assert_int_equal(kill(pid, SIGKILL), 0);
    wait_killed(pid);
    oomwatch_settle(r.watch, &e);
    assert_true(e.have_kills);
    assert_int_equal(e.kills, 0);
    assert_int_equal(e.main, MAYBE_NO);
    real_stop(&r);
}

static int on_timeout(struct loop *loop, uint32_t what, void *ctx) {
    (void)what, (void)ctx;
    loop_stop(loop);
    return 0;
}

static void a_child_that_was_killed_is_told_while_the_main_process_goes_on(void **state) {
    struct oom_evidence e;
    struct real r;
    pid_t pid;

    (void)state;
    real_start(&r);
    assert_int_equal(loop_add_timer(r.loop, 20000000, 0, on_timeout, NULL, NULL), 0);
    pid = run(&r, true);
    oomwatch_main(r.watch, pid);
    assert_int_equal(loop_run(r.loop), 0);
    assert_int_equal(r.told, 1);
    assert_int_equal(r.evidence.kills, 1);
    assert_int_equal(r.evidence.main, MAYBE_NO);
    assert_int_equal(r.evidence.whose, WHOSE_OWN);
    if (!r.evidence.log_lost) {
        assert_string_equal(r.evidence.comm, "act_oomwatch_te");
        assert_int_not_equal(r.evidence.pid, pid);
    }

    assert_int_equal(kill(pid, SIGKILL), 0); /* what was told does not count again */
    wait_killed(pid);
    oomwatch_settle(r.watch, &e);
    assert_int_equal(e.kills, 0);
    assert_int_equal(e.earlier, 1);
    assert_int_equal(e.main, MAYBE_NO);
    assert_int_equal(e.whose, WHOSE_OWN);
    assert_int_equal(e.pid, r.evidence.pid);
    assert_int_equal(r.told, 1);
    real_stop(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(where_the_oom_was_tells_whose_limit_it_was),
        cmocka_unit_test(an_oom_without_a_kill_is_none),
        cmocka_unit_test(what_was_before_a_start_is_forgotten),
        cmocka_unit_test(without_counters_nothing_is_claimed),
        cmocka_unit_test(a_kill_at_the_real_limit_is_told_as_such),
        cmocka_unit_test(a_real_kill_from_outside_is_none),
        cmocka_unit_test(a_child_that_was_killed_is_told_while_the_main_process_goes_on),
    };

    return cmocka_run_group_tests(tests, NULL, cgtest_real_sweep);
}
