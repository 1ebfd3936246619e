#include "act/plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/wait.h>

#include "base/file.h"
#include "kern/cgtest.h"

/* A parent of files, where a plan can be run; its steps live in `plan`. */
struct scene {
    struct cgtest t;
    struct plan plan;
    struct plan_roots roots;
    struct buf warnings;
    struct err err;
    char shown[PLAN_TREES][128];
};

static void scene_init(struct scene *s) {
    memset(s, 0, sizeof(*s));
    cgtest_init(&s->t);
    cgtest_write(&s->t, "/memory/memory.max", "");
    cgtest_write(&s->t, "/memory/cgroup.subtree_control", "");
    cgtest_folders(&s->t, "/unified/");
    for (unsigned tree = 0; tree < PLAN_TREES; tree++) {
        snprintf(s->shown[tree], sizeof(s->shown[tree]), "%.60s/%s", s->t.top,
                 tree == PLAN_MEMORY ? "memory" : "unified");
        s->roots.shown[tree] = s->shown[tree];
        s->roots.dir[tree] = open(s->shown[tree], O_PATH | O_DIRECTORY | O_CLOEXEC);
        assert_true(s->roots.dir[tree] >= 0);
    }
    buf_init(&s->warnings, 4096);
}

static void scene_done(struct scene *s) {
    close(s->roots.dir[0]);
    if (s->roots.dir[1] >= 0)
        close(s->roots.dir[1]);
    buf_done(&s->warnings);
    cgtest_done(&s->t);
}

static int run(struct scene *s) {
    s->err = (struct err){0};
    return plan_run(&s->plan, &s->roots, &s->warnings, &s->err);
}

static bool is_there(const struct scene *s, const char *path) {
    char full[4096];

    cgtest_full(&s->t, path, full, sizeof(full));
    return access(full, F_OK) == 0;
}

static void file_is(const struct scene *s, const char *path, const char *wanted) {
    char full[4096], buf[256];
    struct str text;

    cgtest_full(&s->t, path, full, sizeof(full));
    assert_int_equal(file_read_at(AT_FDCWD, full, buf, sizeof(buf), &text), 0);
    assert_true(str_eq(text, str_of(wanted)));
}

static void has_text(const char *text, const char *part) {
    if (!strstr(text, part))
        fail_msg("'%s' does not say '%s'", text, part);
}

static void steps_are_done_in_order_and_groups_are_kept(void **state) {
    static struct scene s;
    int fds, kept = -1, given, unified = -1;

    (void)state;
    scene_init(&s);
    fds = cgtest_open_fds();
    assert_int_equal(mkdirat(s.roots.dir[0], "given", 0755), 0);
    given = openat(s.roots.dir[0], "given", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    plan_parent(&s.plan, PLAN_MEMORY, "a");
    plan_parent(&s.plan, PLAN_MEMORY, "a"); /* is there: no failure */
    plan_make(&s.plan, PLAN_MEMORY, "a/run")->keep = &kept;
    plan_make(&s.plan, PLAN_UNIFIED, "run")->keep = &unified;
    plan_make(&s.plan, PLAN_MEMORY, "a/run/w");
    plan_make(&s.plan, PLAN_MEMORY, "given")->keep = &given;
    plan_make(&s.plan, PLAN_MEMORY, "given/w");
    plan_write(&s.plan, PLAN_MEMORY, "", "memory.max", "4096", NULL);
    plan_write(&s.plan, PLAN_MEMORY, "a/run", "memory.high", "1", "no brake");
    plan_write(&s.plan, PLAN_MEMORY, "a/run/w", "memory.use_hierarchy", "1", "");
    assert_int_equal(run(&s), 0);
    assert_true(is_there(&s, "/memory/a/run/w") && is_there(&s, "/unified/run"));
    assert_true(is_there(&s, "/memory/given/w"));
    file_is(&s, "/memory/memory.max", "4096");
    assert_true(str_eq(buf_str(&s.warnings), STR("no brake\n")));
    assert_true(kept >= 0 && faccessat(kept, "w", F_OK, 0) == 0);
    close(kept);
    close(unified);
    close(given);
    assert_int_equal(cgtest_open_fds(), fds);
    scene_done(&s);
}

static void a_failure_leaves_nothing_behind(void **state) {
    static struct scene s;
    int fds, kept = -1;

    (void)state;
    scene_init(&s);
    fds = cgtest_open_fds();
    plan_parent(&s.plan, PLAN_MEMORY, "a");
    plan_write(&s.plan, PLAN_MEMORY, "", "cgroup.subtree_control", "+memory", NULL);
    plan_make(&s.plan, PLAN_MEMORY, "a/run")->keep = &kept;
    plan_make(&s.plan, PLAN_UNIFIED, "run");
    plan_make(&s.plan, PLAN_MEMORY, "a/run/w");
    plan_write(&s.plan, PLAN_MEMORY, "a/run/w", "memory.max", "4096", NULL); /* no such file */
    assert_int_equal(run(&s), -ENOENT);
    has_text(s.err.text, "memory.max");
    has_text(s.err.text, "/memory/a/run/w");
    assert_false(is_there(&s, "/memory/a") || is_there(&s, "/unified/run"));
    file_is(&s, "/memory/cgroup.subtree_control", "-memory"); /* written over "+memory" */
    assert_int_equal(kept, -1);
    assert_int_equal(cgtest_open_fds(), fds);
    scene_done(&s);
}

static void what_was_there_before_stays_after_a_failure(void **state) {
    static struct scene s;

    (void)state;
    scene_init(&s);
    cgtest_folders(&s.t, "/memory/a/");
    plan_parent(&s.plan, PLAN_MEMORY, "a");
    plan_make(&s.plan, PLAN_MEMORY, "a/run");
    plan_make(&s.plan, PLAN_MEMORY, "a/run");
    assert_int_equal(run(&s), -EEXIST);
    has_text(s.err.text, "exists already");
    assert_true(is_there(&s, "/memory/a"));
    assert_false(is_there(&s, "/memory/a/run"));
    scene_done(&s);
}

static void a_parent_that_is_no_group_is_not_taken_for_one(void **state) {
    static struct scene s;
    int fds;

    (void)state;
    scene_init(&s);
    fds = cgtest_open_fds();
    cgtest_write(&s.t, "/memory/b/file", "");
    assert_int_equal(symlinkat("b", s.roots.dir[0], "link"), 0);
    plan_parent(&s.plan, PLAN_MEMORY, "a");
    plan_parent(&s.plan, PLAN_UNIFIED, "a");
    plan_parent(&s.plan, PLAN_MEMORY, "b");
    plan_parent(&s.plan, PLAN_MEMORY, "b/file");
    assert_int_equal(run(&s), -ENOTDIR);
    has_text(s.err.text, "/memory/b/file': there is something of that name");
    assert_false(is_there(&s, "/memory/a") || is_there(&s, "/unified/a"));
    assert_true(is_there(&s, "/memory/b/file"));
    s.plan = (struct plan){.n = 0};
    plan_parent(&s.plan, PLAN_MEMORY, "link");
    assert_true(run(&s) < 0);
    assert_int_equal(cgtest_open_fds(), fds);
    scene_done(&s);
}

static void a_tree_that_cannot_be_used_is_left_out(void **state) {
    static struct scene s;
    int kept = -1;

    (void)state;
    scene_init(&s);
    cgtest_folders(&s.t, "/unified/run/");
    plan_make(&s.plan, PLAN_MEMORY, "run");
    plan_make(&s.plan, PLAN_UNIFIED, "run")->or_else = "without it";
    plan_make(&s.plan, PLAN_UNIFIED, "run/w")->keep = &kept;
    plan_write(&s.plan, PLAN_UNIFIED, "run/w", "cgroup.freeze", "1", NULL);
    assert_int_equal(run(&s), 0);
    assert_true(str_eq(buf_str(&s.warnings), STR("without it\n")));
    assert_int_equal(kept, -1);
    assert_false(is_there(&s, "/unified/run/w"));
    assert_int_equal(unlinkat(s.roots.dir[0], "run", AT_REMOVEDIR), 0);
    buf_clear(&s.warnings);
    close(s.roots.dir[PLAN_UNIFIED]);
    s.roots.dir[PLAN_UNIFIED] = -1;
    assert_int_equal(run(&s), 0);
    assert_int_equal(buf_str(&s.warnings).n, 0);
    scene_done(&s);
}

static void a_plan_that_is_cut_off_is_not_run(void **state) {
    static struct scene s;
    char name[PLAN_REL + 1];

    (void)state;
    scene_init(&s);
    for (unsigned i = 0; i < PLAN_STEPS; i++)
        assert_non_null(plan_parent(&s.plan, PLAN_MEMORY, "a"));
    assert_null(plan_parent(&s.plan, PLAN_MEMORY, "b"));
    assert_int_equal(run(&s), -ENAMETOOLONG);
    assert_false(is_there(&s, "/memory/a"));
    s.plan = (struct plan){.n = 0};
    memset(name, 'x', PLAN_REL);
    name[PLAN_REL] = '\0';
    assert_null(plan_make(&s.plan, PLAN_MEMORY, name));
    assert_int_equal(run(&s), -ENAMETOOLONG);
    s.plan = (struct plan){.n = 0};
    plan_write(&s.plan, PLAN_MEMORY, "", "memory.max", name, NULL); /* cut values are wrong ones */
    assert_int_equal(run(&s), -ENAMETOOLONG);
    file_is(&s, "/memory/memory.max", "");
    scene_done(&s);
}

static void run_shell(const struct scene *s, struct str script) {
    char path[4096];
    int status;
    pid_t pid;

    cgtest_bytes(&s->t, "/script", script);
    cgtest_full(&s->t, "/script", path, sizeof(path));
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        execl("/bin/bash", "bash", "-e", path, (char *)NULL);
        _exit(127);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* The names a shell would trip over, in one path; bash itself is asked what it understands. */
static void the_printed_steps_can_be_pasted(void **state) {
    static const char *const names[] = {
        "plain-name_1.x", "two words",       "it's",           "$(touch x)", "a;b&c|d",
        "star*?[x]",      "back\\slash",     "\"quoted\"",     "-dash",      "~",
        "\xc3\xa4\n",     "\xff\x1b[31m'\\", "#not a comment", "a\\'b",      "tab\tin",
    };
    static struct scene s;
    struct buf out;

    (void)state;
    scene_init(&s);
    buf_init(&out, 65536);
    for (size_t i = 0; i < ARRAY_N(names); i++) {
        plan_make(&s.plan, PLAN_MEMORY, names[i]);
        plan_write(&s.plan, PLAN_MEMORY, names[i], "memory.max", "4096", NULL);
    }
    plan_parent(&s.plan, PLAN_UNIFIED, "a/b");
    plan_move(&s.plan, PLAN_UNIFIED, "a/b");
    plan_add_text(&s.plan, &s.roots, &out);
    for (size_t i = 0; i < buf_str(&out).n; i++)
        assert_in_range((unsigned char)buf_str(&out).p[i], '\n', '~'); /* ASCII, fit to be seen */
    assert_null(memchr(buf_str(&out).p, 0x1b, buf_str(&out).n));
    run_shell(&s, buf_str(&out));
    for (size_t i = 0; i < ARRAY_N(names); i++) {
        char path[256];

        snprintf(path, sizeof(path), "/memory/%s/memory.max", names[i]);
        file_is(&s, path, "4096\n");
    }
    assert_true(is_there(&s, "/unified/a/b/cgroup.procs"));
    buf_clear(&out);
    close(s.roots.dir[PLAN_UNIFIED]);
    s.roots.dir[PLAN_UNIFIED] = -1;
    plan_add_text(&s.plan, &s.roots, &out);
    assert_null(memmem(buf_str(&out).p, buf_str(&out).n, "unified", 7));
    buf_done(&out);
    scene_done(&s);
}

static void each_failure_to_make_a_group_has_its_text(void **state) {
    static const struct {
        int r;
        const char *says;
    } cases[] = {
        {-EROFS, "read-only"},     {-EROFS, "try: run plimsoll outside"},
        {-EACCES, "try: as root"}, {-EPERM, "no permission"},
        {-EAGAIN, "cgroup.max"},   {-ENOMEM, "at its limit?"},
        {-ENOSPC, "65535"},        {-ENODEV, "removed meanwhile"},
        {-EIO, "Input/output"},
    };
    static struct scene s;
    struct err err;

    (void)state;
    scene_init(&s);
    for (size_t i = 0; i < ARRAY_N(cases); i++) {
        assert_int_equal(plan_explain_make(&s.roots, PLAN_MEMORY, "run", cases[i].r, &err),
                         cases[i].r);
        has_text(err.text, cases[i].says);
        has_text(err.text, "/memory/run'");
    }
    plan_explain_make(&s.roots, PLAN_MEMORY, "", -EACCES, &err);
    has_text(err.text, "to make groups in '");
    has_text(err.text, "--cgroup-parent"); /* v1: root has to make one */
    cgtest_write(&s.t, "/memory/cgroup.controllers", "memory\n");
    plan_explain_make(&s.roots, PLAN_MEMORY, "", -EACCES, &err);
    has_text(err.text, "Delegate=yes");
    scene_done(&s);
}

static void processes_in_the_way_are_named(void **state) {
    static struct scene s;
    struct buf out;
    char own[64];

    (void)state;
    scene_init(&s);
    buf_init(&out, 256);
    plan_add_pids(s.roots.dir[0], &out);
    assert_int_equal(buf_str(&out).n, 0);
    snprintf(own, sizeof(own), "%d\n30\n20\n", (int)getpid());
    cgtest_write(&s.t, "/memory/cgroup.procs", own);
    plan_add_pids(s.roots.dir[0], &out);
    assert_true(str_eq(buf_str(&out), STR("20, 30")));
    buf_clear(&out);
    cgtest_write(&s.t, "/memory/cgroup.procs", "1\n2\n3\n4\n5\n");
    plan_add_pids(s.roots.dir[0], &out);
    assert_true(str_eq(buf_str(&out), STR("1, 2, 3 and 2 more")));
    buf_done(&out);
    scene_done(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_are_done_in_order_and_groups_are_kept),
        cmocka_unit_test(a_failure_leaves_nothing_behind),
        cmocka_unit_test(what_was_there_before_stays_after_a_failure),
        cmocka_unit_test(a_parent_that_is_no_group_is_not_taken_for_one),
        cmocka_unit_test(a_tree_that_cannot_be_used_is_left_out),
        cmocka_unit_test(a_plan_that_is_cut_off_is_not_run),
        cmocka_unit_test(the_printed_steps_can_be_pasted),
        cmocka_unit_test(each_failure_to_make_a_group_has_its_text),
        cmocka_unit_test(processes_in_the_way_are_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
