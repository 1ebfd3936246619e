#include "act/rungroup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <sys/file.h>
#include <sys/wait.h>

#include "base/file.h"
#include "kern/cgmake.h"
#include "kern/cgtest.h"

static const struct rungroup_limits plain = {
    32 << 20, RUNGROUP_UNSET, RUNGROUP_UNSET, -1, false,
};

static void has_text(const char *text, const char *part) {
    if (!strstr(text, part))
        fail_msg("'%s' does not say '%s'", text, part);
}

static void names_are_what_a_path_and_a_table_can_hold(void **state) {
    char name[RUNGROUP_NAME + 2];

    (void)state;
    assert_true(rungroup_name_ok(STR("a")));
    assert_true(rungroup_name_ok(STR("9.A_b-c")));
    assert_false(rungroup_name_ok(STR("")));
    assert_false(rungroup_name_ok(STR(".a")));
    assert_false(rungroup_name_ok(STR("-a")));
    assert_false(rungroup_name_ok(STR("a/b")));
    assert_false(rungroup_name_ok(STR("..")));
    assert_false(rungroup_name_ok(STR("a b")));
    assert_false(rungroup_name_ok(STR("\xc3\xa4")));
    memset(name, 'x', sizeof(name));
    assert_true(rungroup_name_ok((struct str){name, RUNGROUP_NAME}));
    assert_false(rungroup_name_ok((struct str){name, RUNGROUP_NAME + 1}));
}

/* --- the steps, on machines of files --- */

static struct place place;

static void steps_are(struct cgtest *t, const struct rungroup_limits *l, const char *wanted) {
    static struct plan plan;
    struct plan_roots roots = {{-1, -1}, {"M", "U"}};
    struct err err = {0};
    struct buf out;

    cgtest_open(t, true);
    if (place_find(&t->host, &t->fs, NULL, &place, &err) < 0)
        fail_msg("%s", err.text);
    plan.n = 0;
    plan.overflow = false;
    buf_init(&out, 8192);
    roots.dir[0] = place.dir[0];
    roots.dir[1] = place.dir[1];
    rungroup_plan(&place, "x", l, &plan);
    plan_add_text(&plan, &roots, &out);
    if (!str_eq(buf_str(&out), str_of(wanted)))
        fail_msg("the steps are:\n%.*s", STR_ARG(buf_str(&out)));
    buf_done(&out);
    place_done(&place);
}

static void v1_limits_memory_then_both(void **state) {
    const struct rungroup_limits l = {60 << 20, 0, RUNGROUP_UNSET, -1, false};
    struct cgtest t;

    (void)state;
    cgtest_init(&t);
    cgtest_make_v1(&t);
    steps_are(&t, &l,
              "mkdir M/plimsoll-run-x\n"
              "mkdir U/plimsoll-run-x\n"
              "echo 1 > M/plimsoll-run-x/memory.use_hierarchy\n"
              "echo 0 > M/plimsoll-run-x/memory.swappiness\n"
              "echo 0 > M/plimsoll-run-x/memory.oom_control\n"
              "mkdir M/plimsoll-run-x/w\n"
              "mkdir U/plimsoll-run-x/w\n"
              "echo 62914560 > M/plimsoll-run-x/w/memory.limit_in_bytes\n"
              "echo 62914560 > M/plimsoll-run-x/w/memory.memsw.limit_in_bytes\n"
              "echo 62914560 > M/plimsoll-run-x/memory.limit_in_bytes\n"
              "echo 62914560 > M/plimsoll-run-x/memory.memsw.limit_in_bytes\n");
    cgtest_done(&t);
}

static void v2_hands_on_and_limits_both_groups(void **state) {
    const struct rungroup_limits l = {60 << 20, 1 << 20, 50 << 20, -1, true};
    const struct rungroup_limits none = {RUNGROUP_UNSET, RUNGROUP_UNSET, RUNGROUP_UNSET, -1, false};
    struct cgtest t;

    (void)state;
    cgtest_init(&t);
    cgtest_make_v2(&t);
    cgtest_write(&t, "/sys/fs/cgroup/cgroup.subtree_control", "cpu\n");
    steps_are(&t, &l,
              "echo +memory > M/cgroup.subtree_control\n"
              "mkdir M/plimsoll-run-x\n"
              "echo +memory > M/plimsoll-run-x/cgroup.subtree_control\n"
              "mkdir M/plimsoll-run-x/w\n"
              "echo 1048576 > M/plimsoll-run-x/w/memory.swap.max\n"
              "echo 52428800 > M/plimsoll-run-x/w/memory.high\n"
              "echo 62914560 > M/plimsoll-run-x/w/memory.max\n"
              "echo 1 > M/plimsoll-run-x/w/memory.oom.group\n"
              "echo 1048576 > M/plimsoll-run-x/memory.swap.max\n"
              "echo 52428800 > M/plimsoll-run-x/memory.high\n"
              "echo 62914560 > M/plimsoll-run-x/memory.max\n"
              "echo 1 > M/plimsoll-run-x/memory.oom.group\n");
    cgtest_write(&t, "/sys/fs/cgroup/cgroup.subtree_control", "memory\n");
    steps_are(&t, &none,
              "mkdir M/plimsoll-run-x\n"
              "echo +memory > M/plimsoll-run-x/cgroup.subtree_control\n"
              "mkdir M/plimsoll-run-x/w\n");
    cgtest_done(&t);
}

static void what_a_version_cannot_limit_is_refused(void **state) {
    const struct rungroup_limits high = {1 << 20, RUNGROUP_UNSET, 1 << 20, -1, false};
    const struct rungroup_limits swap = {RUNGROUP_UNSET, 1 << 20, RUNGROUP_UNSET, -1, false};
    const struct rungroup_limits all = {1 << 20, 0, RUNGROUP_UNSET, -1, true};
    const struct rungroup_limits eager = {1 << 20, 0, RUNGROUP_UNSET, 0, false};
    const struct rungroup_limits no_swap = {1 << 20, 0, RUNGROUP_UNSET, -1, false};
    static struct place v1 = {.version = CG_V1, .dir = {-1, -1}};
    static struct place v2 = {.version = CG_V2, .dir = {-1, -1}};
    struct rungroup_left left;
    struct rungroup g;
    struct buf warnings;
    struct err err;

    (void)state;
    assert_int_equal(rungroup_check(&v1, &high, &err), -EINVAL);
    has_text(err.text, "--high needs cgroup v2");
    assert_int_equal(rungroup_check(&v1, &swap, &err), -EINVAL);
    has_text(err.text, "--swap needs -m");
    assert_int_equal(rungroup_check(&v1, &all, &err), -EINVAL);
    has_text(err.text, "--oom-group needs cgroup v2");
    assert_int_equal(rungroup_check(&v2, &eager, &err), -EINVAL);
    has_text(err.text, "--swappiness needs cgroup v1");
    assert_int_equal(rungroup_check(&v1, &eager, &err), 0);
    assert_int_equal(rungroup_check(&v2, &all, &err), 0);
    assert_int_equal(rungroup_check(&v2, &no_swap, &err), 0);
    assert_int_equal(rungroup_check(&v1, &no_swap, &err), 0);
    assert_int_equal(rungroup_check(&v1, &plain, &err), 0);
    assert_int_equal(rungroup_check(&v2, &high, &err), 0);
    assert_int_equal(rungroup_check(&v2, &swap, &err), 0);
    buf_init(&warnings, 64);
    assert_int_equal(rungroup_make(&g, &v1, "x", &high, &left, &warnings, &err), -EINVAL);
    assert_int_equal(rungroup_make(&g, &v1, "../x", &plain, &left, &warnings, &err), -EINVAL);
    has_text(err.text, "'../x' cannot be the name");
    assert_int_equal(rungroup_remove(&g), 0); /* legal */
}

/* --- on the real kernel --- */

struct scene {
    struct cgtest_real r;
    struct rungroup g;
    struct rungroup_left left;
    struct buf warnings;
    struct err err;
    int fds;
};

static void scene_init(struct scene *s) {
    memset(s, 0, sizeof(*s));
    cgtest_real_init(&s->r);
    s->fds = cgtest_open_fds();
    buf_init(&s->warnings, 4096);
    if (place_find(&s->r.host, &s->r.fs, s->r.group, &place, &s->err) < 0)
        fail_msg("%s", s->err.text);
}

/* Nothing of ours may be left, in neither tree, nor a descriptor. */
static void scene_done(struct scene *s) {
    char path[512];

    place_done(&place);
    buf_done(&s->warnings);
    assert_int_equal(cgtest_open_fds(), s->fds);
    cgtest_real_path(&s->r, "/plimsoll-run-t", path, sizeof(path));
    assert_int_equal(access(path, F_OK), -1);
    if (s->r.fs.ctl[CG_UNIFIED].dir >= 0) {
        snprintf(path, sizeof(path), "%.200s%s", s->r.fs.unified_point, s->r.group);
        assert_int_equal(access(path, F_OK), -1); /* made by us, so removed by us */
    }
    cgtest_real_done(&s->r);
}

static int make_named(struct scene *s, struct rungroup *g, const char *name) {
    return rungroup_make(g, &place, name, &plain, &s->left, &s->warnings, &s->err);
}

static void make(struct scene *s) {
    if (make_named(s, &s->g, "t") < 0)
        fail_msg("%s", s->err.text);
    assert_int_equal(buf_str(&s->warnings).n, 0);
}

static uint64_t number(int dir, const char *file) {
    char buf[64];
    struct str text;
    uint64_t value = 0;

    assert_int_equal(file_read_at(dir, file, buf, sizeof(buf), &text), 0);
    assert_int_equal(str_to_u64(str_trim(text), &value), 0);
    return value;
}

/* A child in the run that sleeps, or does something and exits. */
static pid_t start(struct scene *s, void (*what)(void)) {
    int ready[2];
    char byte;
    pid_t pid;

    assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        for (unsigned tree = 0; tree < PLAN_TREES; tree++)
            if (s->g.work[tree] >= 0 && cgmake_join(s->g.work[tree]) < 0)
                _exit(1);
        rungroup_close(&s->g); /* and the lock, which a child shares until it executes */
        if (write(ready[1], "", 1) != 1)
            _exit(1);
        if (what)
            what();
        for (;;)
            pause();
    }
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    return pid;
}

static void end(pid_t pid, int signal) {
    int status;

    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (signal)
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == signal);
    else
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void both_groups_have_the_limit_and_the_work_its_process(void **state) {
    static struct scene s;
    int32_t pids[4] = {0};
    pid_t pid;

    (void)state;
    scene_init(&s);
    make(&s);
    assert_int_equal(number(s.g.outer[PLAN_MEMORY], "memory.limit_in_bytes"), plain.limit);
    assert_int_equal(number(s.g.work[PLAN_MEMORY], "memory.limit_in_bytes"), plain.limit);
    assert_false(rungroup_busy(&s.g));
    pid = start(&s, NULL);
    assert_true(rungroup_busy(&s.g));
    assert_int_equal(rungroup_pids(&s.g, pids, ARRAY_N(pids)), 1); /* in two trees, told once */
    assert_int_equal(pids[0], pid);
    assert_int_equal(rungroup_pids(&s.g, NULL, 0), 1);
    assert_int_equal(rungroup_remove(&s.g), -EBUSY);
    assert_true(s.g.outer[PLAN_MEMORY] >= 0);
    assert_int_equal(rungroup_signal(&s.g, SIGTERM), 1);
    end(pid, SIGTERM);
    pid = start(&s, NULL);
    rungroup_kill(&s.g);
    end(pid, SIGKILL);
    assert_false(rungroup_busy(&s.g));
    assert_int_equal(rungroup_remove(&s.g), 0);
    scene_done(&s);
}

static void swappiness_and_the_oom_killer_pass_to_the_work(void **state) {
    struct rungroup_limits l = plain;
    static struct scene s;
    char buf[128];
    struct str text;

    (void)state;
    scene_init(&s);
    l.swappiness = 7;
    assert_int_equal(rungroup_make(&s.g, &place, "t", &l, &s.left, &s.warnings, &s.err), 0);
    assert_int_equal(number(s.g.work[PLAN_MEMORY], "memory.swappiness"), 7);
    assert_int_equal(
        file_read_at(s.g.work[PLAN_MEMORY], "memory.oom_control", buf, sizeof(buf), &text), 0);
    assert_true(str_starts(text, STR("oom_kill_disable 0\n")));
    assert_int_equal(rungroup_remove(&s.g), 0);
    l.swappiness = 1000; /* the kernel refuses it, and then nothing stays */
    assert_int_equal(rungroup_make(&s.g, &place, "t", &l, &s.left, &s.warnings, &s.err), -EINVAL);
    has_text(s.err.text, "1000 for 'memory.swappiness'");
    scene_done(&s);
}

/* The group itself costs the kernel some 20 kB, charged to the one above. */
static void a_small_limit_does_not_keep_the_groups_from_being_made(void **state) {
    struct rungroup_limits l = plain;
    static struct scene s;

    (void)state;
    scene_init(&s);
    for (unsigned i = 0; i < 50; i++) {
        l.limit = i % 2 ? 65536 : 24576;
        if (rungroup_make(&s.g, &place, "t", &l, &s.left, &s.warnings, &s.err) < 0)
            fail_msg("%s", s.err.text);
        if (rungroup_renew(&s.g, &s.err) < 0)
            fail_msg("%s", s.err.text);
        assert_int_equal(number(s.g.outer[PLAN_MEMORY], "memory.limit_in_bytes"), l.limit);
        assert_int_equal(number(s.g.work[PLAN_MEMORY], "memory.limit_in_bytes"), l.limit);
        assert_int_equal(rungroup_remove(&s.g), 0);
    }
    scene_done(&s);
}

/* Another run took away its parents between our look and our making. */
static void a_parent_that_goes_meanwhile_is_made_again(void **state) {
    char below[512];
    static struct scene s;

    (void)state;
    scene_init(&s);
    for (unsigned i = 0; i < 3; i++) { /* the parent; it and the one above; none */
        place_done(&place);
        if (i < 2)
            cgtest_real_mkdir(&s.r, "/x");
        if (i == 1)
            cgtest_real_mkdir(&s.r, "/x/y");
        snprintf(below, sizeof(below), "%s/x%s", s.r.group, i == 1 ? "/y" : "");
        assert_int_equal(place_find(&s.r.host, &s.r.fs, below, &place, &s.err), 0);
        if (i == 1)
            cgtest_real_rmdir(&s.r, "/x/y");
        if (i < 2)
            cgtest_real_rmdir(&s.r, "/x");
        make(&s);
        assert_int_equal(s.err.code, 0); /* what was overcome is not told */
        assert_int_equal(number(s.g.work[PLAN_MEMORY], "memory.limit_in_bytes"), plain.limit);
        assert_int_equal(rungroup_remove(&s.g), 0);
        cgtest_real_path(&s.r, "/x", below, sizeof(below));
        assert_int_equal(access(below, F_OK), -1); /* made by us, so removed by us */
    }
    scene_done(&s);
}

static void a_live_run_keeps_its_name(void **state) {
    static struct scene s;
    struct rungroup other;
    pid_t pid;

    (void)state;
    scene_init(&s);
    make(&s);
    pid = start(&s, NULL);
    assert_int_equal(make_named(&s, &other, "t"), -EBUSY);
    has_text(s.err.text, "'t' is supervised already");
    assert_int_equal(kill(pid, 0), 0);
    assert_true(rungroup_busy(&s.g));
    assert_int_equal(make_named(&s, &other, "u"), 0); /* nor does another's end sweep it away */
    assert_int_equal(rungroup_remove(&other), 0);
    assert_true(rungroup_busy(&s.g));
    rungroup_kill(&s.g);
    end(pid, SIGKILL);
    assert_int_equal(make_named(&s, &other, "u"), 0);
    assert_int_equal(rungroup_remove(&other), 0);
    assert_int_equal(number(s.g.outer[PLAN_MEMORY], "memory.limit_in_bytes"), plain.limit);
    assert_int_equal(rungroup_remove(&s.g), 0);
    scene_done(&s);
}

/* Into the root of the unified tree, where a program that may can go. */
static void leave_unified(void) {
    struct err err;
    struct host h;
    struct cgfs fs;

    if (host_open(NULL, &h, &err) < 0 || cgfs_open(&h, &fs, &err) < 0)
        _exit(1);
    if (fs.ctl[CG_UNIFIED].dir >= 0)
        (void)cgmake_join(fs.ctl[CG_UNIFIED].dir);
}

static void what_a_dead_run_left_is_ended_and_replaced(void **state) {
    static struct scene s;
    pid_t pid[2];

    (void)state;
    scene_init(&s);
    make(&s);
    assert_false(s.left.found);
    pid[0] = start(&s, NULL);
    pid[1] = start(&s, leave_unified);
    cgtest_real_mkdir(&s.r, "/plimsoll-run-t/w/made-by-the-program");
    rungroup_close(&s.g); /* as the kernel does for one that was killed */
    make(&s);
    assert_true(s.left.found);
    assert_int_equal(s.left.killed, 2);
    end(pid[0], SIGKILL);
    end(pid[1], SIGKILL);
    assert_false(rungroup_busy(&s.g));
    assert_int_equal(number(s.g.outer[PLAN_MEMORY], "memory.failcnt"), 0);
    assert_int_equal(rungroup_remove(&s.g), 0);
    scene_done(&s);
}

static void empty_groups_of_dead_runs_are_swept(void **state) {
    static struct scene s;
    struct rungroup other;
    char path[512];
    pid_t pid;

    (void)state;
    scene_init(&s);
    assert_int_equal(make_named(&s, &other, "dead"), 0);
    rungroup_close(&other);
    make(&s);
    pid = start(&s, NULL);
    rungroup_close(&s.g); /* dead too, but something runs in it */
    cgtest_real_mkdir(&s.r, "/somebody-else");
    assert_int_equal(make_named(&s, &other, "new"), 0);
    assert_int_equal(rungroup_remove(&other), 0);
    cgtest_real_path(&s.r, "/plimsoll-run-dead", path, sizeof(path));
    assert_int_equal(access(path, F_OK), -1);
    cgtest_real_path(&s.r, "/plimsoll-run-t/w", path, sizeof(path));
    assert_int_equal(access(path, F_OK), 0);
    assert_int_equal(kill(pid, 0), 0);
    make(&s);
    end(pid, SIGKILL);
    assert_int_equal(rungroup_remove(&s.g), 0);
    cgtest_real_rmdir(&s.r, "/somebody-else"); /* was not ours to remove */
    scene_done(&s);
}

static int cached; /* an open file without a name: its pages stay while it is open */

static void fill_cache(void) {
    static char block[1 << 16];

    for (unsigned i = 0; i < 128; i++)
        if (write(cached, block, sizeof(block)) != sizeof(block))
            _exit(2);
    _exit(0);
}

static void a_new_start_does_not_inherit_page_cache(void **state) {
    char name[] = "/tmp/plimsoll-unit-XXXXXX";
    static struct scene s;
    uint64_t before, after;
    pid_t pid;

    (void)state;
    cached = mkostemp(name, O_CLOEXEC);
    assert_true(cached >= 0);
    assert_int_equal(unlink(name), 0);
    scene_init(&s);
    make(&s);
    before = 0;
    for (unsigned i = 0; i < 20 && before < 8 << 20; i++) { /* others may take page cache, too */
        pid = start(&s, fill_cache);
        end(pid, 0);
        before = number(s.g.outer[PLAN_MEMORY], "memory.usage_in_bytes");
    }
    if (before < 8 << 20)
        fail_msg("only %llu bytes are charged", (unsigned long long)before);
    assert_int_equal(rungroup_renew(&s.g, &s.err), 0);
    after = number(s.g.outer[PLAN_MEMORY], "memory.usage_in_bytes");
    if (after > 2 << 20)
        fail_msg("%llu bytes are still charged", (unsigned long long)after);
    assert_int_equal(number(s.g.work[PLAN_MEMORY], "memory.limit_in_bytes"), plain.limit);
    pid = start(&s, NULL); /* and it can be used */
    rungroup_kill(&s.g);
    end(pid, SIGKILL);
    assert_int_equal(rungroup_remove(&s.g), 0);
    scene_done(&s);
    close(cached);
}

static void a_thousand_runs_leave_nothing(void **state) {
    static struct scene s;
    int fds;

    (void)state;
    scene_init(&s);
    fds = cgtest_open_fds();
    for (unsigned i = 0; i < 1000; i++) {
        make(&s);
        assert_false(s.left.found);
        if (i % 50 == 0)
            assert_int_equal(rungroup_renew(&s.g, &s.err), 0);
        assert_int_equal(rungroup_remove(&s.g), 0);
    }
    assert_int_equal(cgtest_open_fds(), fds);
    scene_done(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_what_a_path_and_a_table_can_hold),
        cmocka_unit_test(v1_limits_memory_then_both),
        cmocka_unit_test(v2_hands_on_and_limits_both_groups),
        cmocka_unit_test(what_a_version_cannot_limit_is_refused),
        cmocka_unit_test(both_groups_have_the_limit_and_the_work_its_process),
        cmocka_unit_test(swappiness_and_the_oom_killer_pass_to_the_work),
        cmocka_unit_test(a_small_limit_does_not_keep_the_groups_from_being_made),
        cmocka_unit_test(a_parent_that_goes_meanwhile_is_made_again),
        cmocka_unit_test(a_live_run_keeps_its_name),
        cmocka_unit_test(what_a_dead_run_left_is_ended_and_replaced),
        cmocka_unit_test(empty_groups_of_dead_runs_are_swept),
        cmocka_unit_test(a_new_start_does_not_inherit_page_cache),
        cmocka_unit_test(a_thousand_runs_leave_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, cgtest_real_sweep);
}
