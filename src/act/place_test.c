#include "act/place.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/wait.h>

#include "kern/cgtest.h"

static struct place place;

static void has_text(const char *text, const char *part) {
    if (!strstr(text, part))
        fail_msg("'%s' does not say '%s'", text, part);
}

static int find(struct cgtest *t, const char *wanted, struct err *err) {
    *err = (struct err){0};
    cgtest_open(t, true);
    return place_find(&t->host, &t->fs, wanted, &place, err);
}

static void find_well(struct cgtest *t, const char *wanted) {
    struct err err;

    if (find(t, wanted, &err) < 0)
        fail_msg("%s", err.text);
}

static void path_is(enum plan_tree tree, const char *wanted) {
    assert_string_equal(place.path[tree], wanted);
}

/* Which group this process is in, for the machine of files. */
static void set_own(const struct cgtest *t, const char *line) {
    char path[64];

    snprintf(path, sizeof(path), "/proc/%d/cgroup", (int)getpid());
    cgtest_write(t, path, line);
}

static void steps_are(const char *wanted) {
    static struct plan plan;
    struct plan_roots roots = {{place.dir[0], place.dir[1]}, {"M", "U"}};
    struct buf out;

    plan.n = 0;
    plan.overflow = false;
    buf_init(&out, 8192);
    place_plan(&place, &plan);
    plan_add_text(&plan, &roots, &out);
    if (!str_eq(buf_str(&out), str_of(wanted)))
        fail_msg("the steps are:\n%.*s", STR_ARG(buf_str(&out)));
    assert_int_equal(place_needs_work(&place), wanted[0] != '\0');
    buf_done(&out);
}

static void root_has_the_top_of_both_trees(void **state) {
    struct cgtest t;
    int fds;

    (void)state;
    cgtest_init(&t);
    cgtest_make_v1(&t);
    cgtest_open(&t, true);
    fds = cgtest_open_fds();
    find_well(&t, NULL);
    assert_int_equal(place.version, CG_V1);
    path_is(PLAN_MEMORY, "/");
    path_is(PLAN_UNIFIED, "/");
    assert_string_equal(place.shown[PLAN_MEMORY], "/sys/fs/cgroup/memory");
    assert_string_equal(place.shown[PLAN_UNIFIED], "/sys/fs/cgroup/unified");
    assert_null(place.without_unified);
    steps_are("");
    place_done(&place);
    assert_int_equal(cgtest_open_fds(), fds);
    cgtest_mounts(&t, "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n");
    find_well(&t, "/");
    assert_int_equal(place.dir[PLAN_UNIFIED], -1);
    assert_non_null(place.without_unified);
    place_done(&place);
    cgtest_done(&t);
}

static void missing_parents_are_made_in_both_trees(void **state) {
    struct cgtest t;

    (void)state;
    cgtest_init(&t);
    cgtest_make_v1(&t);
    cgtest_folders(&t, "/sys/fs/cgroup/memory/batch/");
    find_well(&t, "batch//x/./y/"); /* the unified tree has no batch: both begin at the top */
    path_is(PLAN_MEMORY, "/");
    assert_string_equal(place.make, "batch/x/y");
    steps_are("mkdir -p M/batch\necho 1 > M/batch/memory.use_hierarchy\nmkdir -p U/batch\n"
              "mkdir -p M/batch/x\necho 1 > M/batch/x/memory.use_hierarchy\nmkdir -p U/batch/x\n"
              "mkdir -p M/batch/x/y\necho 1 > M/batch/x/y/memory.use_hierarchy\n"
              "mkdir -p U/batch/x/y\n");
    place_done(&place);
    cgtest_folders(&t, "/sys/fs/cgroup/unified/batch/x/");
    find_well(&t, "/batch/x");
    path_is(PLAN_MEMORY, "/batch");
    path_is(PLAN_UNIFIED, "/batch");
    assert_string_equal(place.shown[PLAN_UNIFIED], "/sys/fs/cgroup/unified/batch");
    assert_string_equal(place.make, "x");
    place_done(&place);
    cgtest_folders(&t, "/sys/fs/cgroup/memory/batch/x/");
    find_well(&t, "/batch/x");
    path_is(PLAN_MEMORY, "/batch/x");
    steps_are("");
    place_done(&place);
    cgtest_done(&t);
}

static void on_v2_each_level_hands_the_controller_on(void **state) {
    struct cgtest t;

    (void)state;
    cgtest_init(&t);
    cgtest_make_v2(&t);
    cgtest_write(&t, "/sys/fs/cgroup/cgroup.subtree_control", "cpu memory pids\n");
    find_well(&t, NULL);
    assert_int_equal(place.version, CG_V2);
    assert_int_equal(place.dir[PLAN_UNIFIED], -1);
    assert_null(place.without_unified);
    steps_are("");
    place_done(&place);
    find_well(&t, "a/b");
    steps_are("mkdir -p M/a\necho +memory > M/a/cgroup.subtree_control\n"
              "mkdir -p M/a/b\necho +memory > M/a/b/cgroup.subtree_control\n");
    place_done(&place);
    /* the true root may hold processes and hand on */
    cgtest_write(&t, "/sys/fs/cgroup/cgroup.subtree_control", "cpu\n");
    cgtest_write(&t, "/sys/fs/cgroup/cgroup.procs", "1\n2\n");
    find_well(&t, NULL);
    steps_are("echo +memory > M/cgroup.subtree_control\n");
    place_done(&place);
    /* a group that is there but was given no controller: begin above it */
    cgtest_write(&t, "/sys/fs/cgroup/a/cgroup.controllers", "cpu\n");
    find_well(&t, "a");
    path_is(PLAN_MEMORY, "/");
    steps_are("echo +memory > M/cgroup.subtree_control\n"
              "mkdir -p M/a\necho +memory > M/a/cgroup.subtree_control\n");
    place_done(&place);
    cgtest_done(&t);
}

/* In a container "/" is a group like others. */
static void processes_in_the_way_are_told_or_moved(void **state) {
    char procs[64];
    struct err err;
    struct cgtest t;

    (void)state;
    cgtest_init(&t);
    cgtest_make_v2(&t);
    cgtest_write(&t, "/sys/fs/cgroup/cgroup.events", "populated 1\n");
    cgtest_write(&t, "/sys/fs/cgroup/cgroup.subtree_control", "\n");
    cgtest_write(&t, "/sys/fs/cgroup/cgroup.procs", "");
    find_well(&t, NULL);
    steps_are("echo +memory > M/cgroup.subtree_control\n");
    place_done(&place);
    snprintf(procs, sizeof(procs), "%d\n", (int)getpid());
    cgtest_write(&t, "/sys/fs/cgroup/cgroup.procs", procs);
    find_well(&t, NULL);
    assert_true(place.move_self);
    steps_are("mkdir -p M/plimsoll-supervisor\necho $$ > M/plimsoll-supervisor/cgroup.procs\n"
              "echo +memory > M/cgroup.subtree_control\n");
    place_done(&place);
    snprintf(procs, sizeof(procs), "%d\n777777\n", (int)getpid());
    cgtest_write(&t, "/sys/fs/cgroup/cgroup.procs", procs);
    assert_int_equal(find(&t, NULL, &err), -EBUSY);
    has_text(err.text, "holds processes (777777)");
    has_text(err.text, "try:");
    cgtest_write(&t, "/sys/fs/cgroup/cgroup.procs", "0\n"); /* of another pid namespace */
    assert_int_equal(find(&t, NULL, &err), -EBUSY);
    cgtest_write(&t, "/sys/fs/cgroup/cgroup.subtree_control", "memory\n");
    find_well(&t, NULL); /* who hands on already holds none */
    steps_are("");
    place_done(&place);
    cgtest_done(&t);
}

static void parents_that_cannot_be_are_refused(void **state) {
    static const struct {
        const char *wanted;
        int r;
        const char *says;
    } cases[] = {
        {"", -EINVAL, "needs the path"},
        {"..", -EINVAL, "'..' is not allowed"},
        {"/a/../b", -EINVAL, "'..' is not allowed"},
        {"a/..", -EINVAL, "'..' is not allowed"},
        {"plimsoll-run-x", -EINVAL, "belongs to another run"},
        {"a/plimsoll-run-x/y", -EINVAL, "belongs to another run"},
        {"memory.stat", -ENOTDIR, "is not a group"},
        {"memory.stat/x", -ENOTDIR, "is not a group"},
        {"link", -ENOTDIR, "is not a group"},
        {"a\nb", -ENAMETOOLONG, "can be called so"},
    };
    char longest[600];
    struct err err;
    struct cgtest t;
    int fds;

    (void)state;
    cgtest_init(&t);
    cgtest_make_v1(&t);
    cgtest_open(&t, true);
    assert_int_equal(symlinkat("/", t.fs.ctl[CG_MEMORY].dir, "link"), 0);
    fds = cgtest_open_fds();
    for (size_t i = 0; i < ARRAY_N(cases); i++) {
        int r = find(&t, cases[i].wanted, &err);

        if (r != cases[i].r)
            fail_msg("'%s': %d, %s", cases[i].wanted, r, err.text);
        has_text(err.text, cases[i].says);
    }
    for (size_t i = 0; i < sizeof(longest); i++)
        longest[i] = i % 2 ? 'x' : '/';
    longest[sizeof(longest) - 1] = '\0';
    assert_int_equal(find(&t, longest, &err), -ENAMETOOLONG);
    memset(longest, 'x', 256);
    longest[256] = '\0';
    assert_int_equal(find(&t, longest, &err), -ENAMETOOLONG);
    assert_int_equal(cgtest_open_fds(), fds);
    cgtest_open(&t, false);
    assert_int_equal(place_find(&t.host, &t.fs, NULL, &place, &err), -EINVAL);
    has_text(err.text, "--root");
    cgtest_done(&t);
}

/* --- root within a limit --- */

static void make_group(const struct cgtest *t, const char *group, const char *handed_on) {
    char path[256];

    snprintf(path, sizeof(path), "/sys/fs/cgroup%s/cgroup.controllers", group);
    cgtest_write(t, path, "memory pids\n");
    snprintf(path, sizeof(path), "/sys/fs/cgroup%s/cgroup.subtree_control", group);
    cgtest_write(t, path, handed_on);
    snprintf(path, sizeof(path), "/sys/fs/cgroup%s/cgroup.procs", group);
    cgtest_write(t, path, "");
}

static void set_v1_limit(const struct cgtest *t, const char *group, const char *limit) {
    char path[1024], text[96];

    snprintf(path, sizeof(path), "/sys/fs/cgroup/memory%s/memory.stat", group);
    snprintf(text, sizeof(text), "cache 0\nhierarchical_memory_limit %s\ntotal_rss 0\n", limit);
    cgtest_write(t, path, text);
}

static void own_is(struct cgtest *t, const char *own, const char *wanted) {
    char line[2048];

    snprintf(line, sizeof(line), "4:memory:%s\n0::%s\n", own, own);
    set_own(t, line);
    find_well(t, NULL);
    path_is(PLAN_MEMORY, wanted);
}

static void on_v1_root_stays_within_the_limit_around_it(void **state) {
    static const char none[] = "9223372036854771712";
    char deep[701];
    struct cgtest t;

    (void)state;
    cgtest_init(&t);
    cgtest_make_v1(&t);
    set_v1_limit(&t, "", none);
    set_v1_limit(&t, "/free", none);
    set_v1_limit(&t, "/huge", "9000000000000"); /* more than the machine has */
    set_v1_limit(&t, "/lim/sub", "104857600");
    own_is(&t, "/free", "/");
    place_done(&place);
    own_is(&t, "/huge", "/");
    place_done(&place);
    cgtest_folders(&t, "/sys/fs/cgroup/unified/lim/sub/");
    own_is(&t, "/lim/sub", "/lim/sub");
    path_is(PLAN_UNIFIED, "/lim/sub");
    steps_are("");
    place_done(&place);
    cgtest_delete(&t, "/sys/fs/cgroup/unified/lim"); /* then it is made there */
    own_is(&t, "/lim/sub", "/");
    assert_string_equal(place.make, "lim/sub");
    path_is(PLAN_UNIFIED, "/");
    place_done(&place);
    memset(deep, 'd', sizeof(deep));
    for (size_t i = 0; i < sizeof(deep); i += 100)
        deep[i] = '/';
    deep[sizeof(deep) - 1] = '\0';
    set_v1_limit(&t, deep, "104857600");
    own_is(&t, deep, deep);
    assert_string_equal(place.make, "");
    assert_non_null(place.without_unified);
    place_done(&place);
    set_v1_limit(&t, "", "104857600"); /* a container's: at its top nobody is outside */
    own_is(&t, "/lim/sub", "/");
    assert_string_equal(place.make, "");
    place_done(&place);
    cgtest_done(&t);
}

static void a_run_in_a_run_is_made_inside_of_it(void **state) {
    struct cgtest t;

    (void)state;
    cgtest_init(&t);
    cgtest_make_v1(&t);
    cgtest_folders(&t, "/sys/fs/cgroup/unified/a/plimsoll-run-x/w/");
    cgtest_folders(&t, "/sys/fs/cgroup/memory/a/plimsoll-run-x/w/");
    own_is(&t, "/a/plimsoll-run-x/w", "/a/plimsoll-run-x/w"); /* with no limit at all */
    path_is(PLAN_UNIFIED, "/a/plimsoll-run-x/w");
    place_done(&place);
    cgtest_done(&t);
    cgtest_init(&t);
    cgtest_make_v2(&t);
    make_group(&t, "/a", "memory\n");
    make_group(&t, "/a/plimsoll-run-x", "memory\n");
    make_group(&t, "/a/plimsoll-run-x/w", "\n");
    cgtest_write(&t, "/sys/fs/cgroup/a/plimsoll-run-x/w/cgroup.procs", "777777\n");
    own_is(&t, "/a/plimsoll-run-x/w", "/a/plimsoll-run-x"); /* beside w, which holds processes */
    steps_are("");
    place_done(&place);
    cgtest_done(&t);
}

static void on_v2_root_stays_within_the_limit_around_it(void **state) {
    struct cgtest t;
    struct err err;

    (void)state;
    cgtest_init(&t);
    cgtest_make_v2(&t);
    cgtest_write(&t, "/sys/fs/cgroup/cgroup.subtree_control", "memory\n");
    make_group(&t, "/lim", "memory\n");
    make_group(&t, "/lim/a", "memory\n");
    make_group(&t, "/lim/a/leaf", "\n");
    cgtest_write(&t, "/sys/fs/cgroup/lim/a/leaf/cgroup.procs", "777777\n");
    cgtest_write(&t, "/sys/fs/cgroup/lim/a/leaf/memory.max", "max\n");
    cgtest_write(&t, "/sys/fs/cgroup/lim/a/memory.max", "max\n");
    cgtest_write(&t, "/sys/fs/cgroup/lim/memory.max", "max\n");
    own_is(&t, "/lim/a/leaf", "/");
    place_done(&place);
    cgtest_write(&t, "/sys/fs/cgroup/lim/memory.max", "104857600\n");
    own_is(&t, "/lim/a/leaf", "/lim/a"); /* the nearest that hands on */
    place_done(&place);
    cgtest_write(&t, "/sys/fs/cgroup/lim/a/cgroup.controllers", "pids\n");
    cgtest_write(&t, "/sys/fs/cgroup/lim/a/cgroup.subtree_control", "pids\n");
    own_is(&t, "/lim/a/leaf", "/lim");
    place_done(&place);
    cgtest_write(&t, "/sys/fs/cgroup/lim/a/memory.max", "52428800\n"); /* /lim is outside now */
    assert_int_equal(find(&t, NULL, &err), -EBUSY);
    has_text(err.text, "/lim/a/leaf' holds processes (777777)");
    has_text(err.text, "outside of our limit of 50.0M (try: --cgroup-parent / ");
    assert_int_equal(place.dir[PLAN_MEMORY], -1);
    cgtest_write(&t, "/sys/fs/cgroup/lim/a/leaf/cgroup.controllers", "pids\n");
    assert_int_equal(find(&t, NULL, &err), -EACCES);
    has_text(err.text, "within the limit");
    has_text(err.text, "try: --cgroup-parent /");
    find_well(&t, "/"); /* who asks for it has it */
    path_is(PLAN_MEMORY, "/");
    place_done(&place);
    cgtest_done(&t);
}

/* --- as a user who is not root --- */

enum { USER = 65534 };

/* Runs the claim as another user; only root can. */
static void as_user(struct cgtest *t, void (*claim)(struct cgtest *t)) {
    int status;
    pid_t pid;

    if (geteuid() != 0) {
        print_message("# skipped: only root can become another user\n");
        skip();
    }
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (setresuid(USER, USER, USER) < 0)
            _exit(2);
        claim(t); /* a failed assertion does not come back here as a success */
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void need(bool claim, const char *what) {
    if (claim)
        return;
    dprintf(STDERR_FILENO, "# not so: %s\n", what);
    _exit(1);
}

static void chown_group(const struct cgtest *t, const char *group) {
    static const char *const files[] = {"", "/cgroup.procs", "/cgroup.subtree_control"};

    for (size_t i = 0; i < ARRAY_N(files); i++) {
        char path[256], full[4096];

        snprintf(path, sizeof(path), "/sys/fs/cgroup%s%s", group, files[i]);
        cgtest_full(t, path, full, sizeof(full));
        assert_int_equal(chown(full, USER, USER), 0);
    }
}

/* What a user's systemd makes: user@1000.service is delegated, the shell's scope lies below. */
static void make_user_session(struct cgtest *t) {
    cgtest_init(t);
    cgtest_make_v2(t);
    make_group(t, "/user", "memory pids\n");
    make_group(t, "/user/1000", "memory pids\n");
    make_group(t, "/user/1000/app", "memory pids\n");
    make_group(t, "/user/1000/app/scope", "\n");
    cgtest_write(t, "/sys/fs/cgroup/user/1000/app/scope/cgroup.procs", "777777\n");
    chown_group(t, "/user/1000");
    chown_group(t, "/user/1000/app");
    chown_group(t, "/user/1000/app/scope");
}

static void set_own_scope(struct cgtest *t, const char *line) {
    char path[4096];

    snprintf(path, sizeof(path), "%.60s/proc", t->top);
    need(chmod(path, 0777) == 0 || errno == EPERM, "chmod");
    set_own(t, line);
}

static void nearest_delegated(struct cgtest *t) {
    struct err err = {0};

    set_own_scope(t, "0::/user/1000/app/scope\n");
    cgtest_try(t, true, &err);
    need(place_find(&t->host, &t->fs, NULL, &place, &err) == 0, err.text);
    need(strcmp(place.path[PLAN_MEMORY], "/user/1000/app") == 0, place.path[PLAN_MEMORY]);
    need(!place.enable && !place.move_self, "nothing is to be prepared");
}

static void nothing_delegated(struct cgtest *t) {
    struct err err = {0};

    set_own_scope(t, "0::/system/x\n");
    cgtest_try(t, true, &err);
    need(place_find(&t->host, &t->fs, NULL, &place, &err) == -EACCES, "EACCES");
    need(strstr(err.text, "/system/x") && strstr(err.text, "Delegate=yes"), err.text);
    need(place.dir[PLAN_MEMORY] == -1, "nothing is open");
    need(place_find(&t->host, &t->fs, "/batch", &place, &err) == -EACCES, "EACCES by name");
    need(strstr(err.text, "/sys/fs/cgroup/batch'") && strstr(err.text, "try:"), err.text);
}

static void only_busy(struct cgtest *t) {
    struct err err = {0};

    set_own_scope(t, "0::/user/1000/app/scope\n");
    cgtest_try(t, true, &err);
    need(place_find(&t->host, &t->fs, NULL, &place, &err) == -EBUSY, "EBUSY");
    need(strstr(err.text, "scope' holds processes (777777)") != NULL, err.text);
}

static void only_bare(struct cgtest *t) {
    struct err err = {0};

    set_own_scope(t, "0::/user/1000/app/scope\n");
    cgtest_try(t, true, &err);
    need(place_find(&t->host, &t->fs, NULL, &place, &err) == -EACCES, "EACCES");
    need(strstr(err.text, "not handed on to it") != NULL, err.text);
}

static void open_to_all(struct cgtest *t) {
    char path[4096];

    snprintf(path, sizeof(path), "%.60s/proc", t->top);
    assert_int_equal(chmod(path, 0777), 0);
}

static void a_user_has_the_nearest_delegated_group(void **state) {
    struct cgtest t;

    (void)state;
    make_user_session(&t);
    open_to_all(&t);
    as_user(&t, nearest_delegated);
    cgtest_done(&t);
}

static void a_user_without_one_is_told_the_next_step(void **state) {
    struct cgtest t;

    (void)state;
    make_user_session(&t);
    make_group(&t, "/system", "memory\n");
    make_group(&t, "/system/x", "\n");
    open_to_all(&t);
    as_user(&t, nothing_delegated);
    cgtest_done(&t);
}

static void a_user_is_told_what_is_in_the_way(void **state) {
    char full[4096];
    struct cgtest t;

    (void)state;
    make_user_session(&t);
    open_to_all(&t);
    for (unsigned i = 0; i < 2; i++) { /* of the three, the scope alone is the user's */
        cgtest_full(&t, i ? "/sys/fs/cgroup/user/1000" : "/sys/fs/cgroup/user/1000/app", full,
                    sizeof(full));
        assert_int_equal(chown(full, 0, 0), 0);
    }
    as_user(&t, only_busy);
    cgtest_write(&t, "/sys/fs/cgroup/user/1000/app/scope/cgroup.controllers", "pids\n");
    as_user(&t, only_bare);
    cgtest_done(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(root_has_the_top_of_both_trees),
        cmocka_unit_test(missing_parents_are_made_in_both_trees),
        cmocka_unit_test(on_v2_each_level_hands_the_controller_on),
        cmocka_unit_test(processes_in_the_way_are_told_or_moved),
        cmocka_unit_test(parents_that_cannot_be_are_refused),
        cmocka_unit_test(on_v1_root_stays_within_the_limit_around_it),
        cmocka_unit_test(a_run_in_a_run_is_made_inside_of_it),
        cmocka_unit_test(on_v2_root_stays_within_the_limit_around_it),
        cmocka_unit_test(a_user_has_the_nearest_delegated_group),
        cmocka_unit_test(a_user_without_one_is_told_the_next_step),
        cmocka_unit_test(a_user_is_told_what_is_in_the_way),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
