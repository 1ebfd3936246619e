#include "kern/cgfs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sched.h>
#include <sys/wait.h>

#include "base/file.h"
#include "kern/cgtest.h"

static enum cg_version version(const struct cgtest *t, enum cg_ctl ctl) {
    assert_true(t->fs.ctl[ctl].dir >= 0);
    return t->fs.ctl[ctl].version;
}

static void each_controller_has_a_version_of_its_own(void **state) {
    struct cgtest t;

    (void)state;
    cgtest_init(&t);
    cgtest_make_v1(&t);
    cgtest_open(&t, false);
    assert_int_equal(version(&t, CG_MEMORY), CG_V1);
    assert_int_equal(version(&t, CG_CPU), CG_V1);
    assert_int_equal(version(&t, CG_PIDS), CG_V1);
    assert_int_equal(version(&t, CG_IO), CG_V1);
    assert_int_equal(version(&t, CG_UNIFIED), CG_V2);
    assert_string_equal(t.fs.memory_root, "/");
    assert_string_equal(t.fs.memory_point, "/sys/fs/cgroup/memory");
    assert_true(t.fs.at_top);
    /* the pids controller is handed to the unified tree: only that one moves */
    cgtest_mounts(&t, "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
                      "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
    cgtest_write(&t, "/sys/fs/cgroup/unified/cgroup.controllers", "hugetlb pids\n");
    cgtest_open(&t, false);
    assert_int_equal(version(&t, CG_MEMORY), CG_V1);
    assert_int_equal(version(&t, CG_PIDS), CG_V2);
    assert_int_equal(version(&t, CG_CPU), CG_V2); /* cpu.stat needs no controller */
    assert_int_equal(t.fs.ctl[CG_IO].dir, -1);
    cgtest_done(&t);
}

static void the_unified_tree_serves_all_where_nothing_else_is(void **state) {
    struct cgtest t;

    (void)state;
    cgtest_init(&t);
    cgtest_make_v2(&t);
    cgtest_open(&t, false);
    for (unsigned ctl = 0; ctl < CG_CTL_N; ctl++)
        assert_int_equal(version(&t, ctl), CG_V2);
    assert_string_equal(t.fs.memory_point, "/sys/fs/cgroup");
    assert_true(t.fs.at_top);
    cgtest_write(&t, "/sys/fs/cgroup/cgroup.events", "populated 1\n"); /* not the true root */
    cgtest_open(&t, false);
    assert_false(t.fs.at_top);
    cgtest_done(&t);
}

static void no_memory_controller_is_an_error_that_says_what_to_do(void **state) {
    struct err err = {0};
    struct cgtest t;

    (void)state;
    cgtest_init(&t);
    assert_int_equal(cgtest_try(&t, false, &err), -ENOENT);
    assert_non_null(strstr(err.text, "no control groups are mounted"));
    assert_non_null(strstr(err.text, t.top));
    cgtest_mounts(&t, "38 23 0:33 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
    cgtest_write(&t, "/sys/fs/cgroup/cgroup.controllers", "cpu pids nomemory memoryx\n");
    assert_int_equal(cgtest_try(&t, false, &err), -ENOENT);
    assert_non_null(strstr(err.text, "memory controller"));
    assert_non_null(strstr(err.text, "try:"));
    assert_int_equal(t.fs.ctl[CG_UNIFIED].dir, -1); /* untouched, and nothing left open */
    cgtest_done(&t);
}

static void a_folder_without_a_mount_is_none_on_this_machine(void **state) {
    struct err err = {0};
    struct cgtest t;

    (void)state;
    cgtest_init(&t);
    cgtest_make_v1(&t);
    cgtest_mounts(&t, "32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n");
    cgtest_open(&t, false); /* a captured tree: files are as good */
    assert_int_equal(version(&t, CG_MEMORY), CG_V1);
    assert_int_equal(cgtest_try(&t, true, &err), -ENOENT);
    assert_non_null(strstr(err.text, "no control groups are mounted"));
    cgtest_write(&t, "/proc/cgroups",
                 "#subsys_name\thierarchy\tnum_cgroups\tenabled\n"
                 "cpu\t1\t3\t1\nmemory\t4\t3\t1\n");
    assert_int_equal(cgtest_try(&t, true, &err), -ENOENT);
    assert_non_null(strstr(err.text, "not mounted (try: mount -t cgroup -o memory"));
    cgtest_write(&t, "/proc/cgroups", "memory\t4\t3\t0\n"); /* switched off at boot */
    assert_int_equal(cgtest_try(&t, true, &err), -ENOENT);
    assert_null(strstr(err.text, "mount -t"));
    cgtest_delete(&t, "/sys");
    cgtest_copy(&t, "tests/fixtures/v2/root", "/sys/fs/cgroup");
    cgtest_open(&t, false);
    assert_int_equal(cgtest_try(&t, true, &err), -ENOENT);
    cgtest_done(&t);
}

static void without_mountinfo_the_usual_places_are_tried(void **state) {
    struct cgtest t;

    (void)state;
    cgtest_init(&t);
    cgtest_make_v1(&t);
    cgtest_delete(&t, "/proc/1");
    cgtest_delete(&t, "/proc/self");
    cgtest_open(&t, false);
    assert_int_equal(version(&t, CG_MEMORY), CG_V1);
    assert_int_equal(version(&t, CG_PIDS), CG_V1);
    assert_int_equal(version(&t, CG_UNIFIED), CG_V2);
    cgtest_delete(&t, "/sys");
    cgtest_copy(&t, "tests/fixtures/v2/root", "/sys/fs/cgroup");
    cgtest_open(&t, false);
    assert_int_equal(version(&t, CG_MEMORY), CG_V2);
    cgtest_done(&t);
}

static void lines_that_are_no_mounts_of_groups_do_no_harm(void **state) {
    struct cgtest t;

    (void)state;
    cgtest_init(&t);
    cgtest_make_v1(&t);
    cgtest_mounts(&t, "garbage\n\n"
                      "1 1 0:1 / /nowhere rw - cgroup cgroup rw,memory\n"
                      "2 1 0:1 / /fake/memory rw - tmpfs cgroup rw,memory\n"
                      "3 1 0:1 / /odd\\040place rw shared:7 - cgroup cgroup rw,memory\n"
                      "4 1 0:1 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
                      "5 1 0:1 / /cut rw - cgr");
    cgtest_folders(&t, "/fake/memory/");
    cgtest_write(&t, "/odd place/memory.stat", "total_rss 5\n");
    cgtest_open(&t, false);
    assert_string_equal(t.fs.memory_point, "/odd place"); /* the first that can be opened */
    cgtest_done(&t);
}

static void own_is(struct cgtest *t, const char *groups, const char *wanted) {
    char path[64], out[4096] = "untouched";
    int r;

    snprintf(path, sizeof(path), "/proc/%d/cgroup", (int)getpid());
    cgtest_write(t, path, groups);
    r = cgfs_own_path(&t->host, &t->fs, out, sizeof(out));
    if (!wanted) {
        assert_int_equal(r, -ENODATA);
        assert_string_equal(out, "untouched");
        return;
    }
    assert_int_equal(r, 0);
    assert_string_equal(out, wanted);
}

static void ones_own_group_on_a_host(void **state) {
    struct cgtest t;

    (void)state;
    cgtest_init(&t);
    cgtest_make_v1(&t);
    cgtest_open(&t, true);
    own_is(&t, "8:pids:/p\n4:memory:/a/b\n0::/user.slice\n", "/a/b");
    own_is(&t, "5:cpu,memory:/odd :name,x\n", "/odd :name,x");
    own_is(&t, "4:memory:/\n", "/");
    own_is(&t, "4:memory:/../other\n", NULL); /* outside of our namespace */
    own_is(&t, "4:memory:/..\n", NULL);
    own_is(&t, "4:memory:/..a\n", "/..a");
    own_is(&t, "0::/a\n", NULL);
    cgtest_make_v2(&t);
    cgtest_open(&t, true);
    own_is(&t, "1:name=systemd:/x\n0::/user.slice/a\n", "/user.slice/a");
    cgtest_open(&t, false); /* a captured machine: "self" there is nobody */
    own_is(&t, "0::/user.slice/a\n", NULL);
    cgtest_done(&t);
}

static void ones_own_group_where_only_a_part_is_mounted(void **state) {
    struct cgtest t;

    (void)state;
    cgtest_init(&t);
    cgtest_mounts(&t, "35 31 0:32 /docker/4f /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n");
    cgtest_folders(&t, "/sys/fs/cgroup/memory/");
    cgtest_open(&t, true);
    assert_string_equal(t.fs.memory_root, "/docker/4f");
    assert_false(t.fs.at_top);
    own_is(&t, "4:memory:/docker/4f\n", "/");
    own_is(&t, "4:memory:/docker/4f/child\n", "/child");
    own_is(&t, "4:memory:/docker/4fe\n", NULL);
    own_is(&t, "4:memory:/docker\n", NULL);
    own_is(&t, "4:memory:/\n", NULL);
    cgtest_done(&t);
}

static void ones_own_group_below_a_mount_above_the_namespace(void **state) {
    struct cgtest t;
    char pid[32];

    (void)state;
    cgtest_init(&t);
    cgtest_mounts(&t, "38 23 0:33 /../.. /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
    cgtest_write(&t, "/sys/fs/cgroup/cgroup.controllers", "memory\n");
    cgtest_write(&t, "/sys/fs/cgroup/cgroup.procs", "1\n2\n");
    cgtest_write(&t, "/sys/fs/cgroup/a/cgroup.procs", "3\n");
    cgtest_write(&t, "/sys/fs/cgroup/a/b/cgroup.procs", "4\n");
    cgtest_open(&t, true);
    assert_string_equal(t.fs.memory_root, "");
    own_is(&t, "0::/\n", NULL);
    snprintf(pid, sizeof(pid), "4\n%d\n5\n", (int)getpid());
    cgtest_write(&t, "/sys/fs/cgroup/a/b/cgroup.procs", pid);
    own_is(&t, "0::/\n", "/a/b");
    cgtest_write(&t, "/sys/fs/cgroup/cgroup.procs", pid);
    own_is(&t, "0::/\n", "/");
    cgtest_done(&t);
}

static void a_path_that_may_be_cut_is_not_believed(void **state) {
    char text[5000] = "4:memory:/", out[8] = "old";
    struct cgtest t;
    char path[64];

    (void)state;
    cgtest_init(&t);
    cgtest_make_v1(&t);
    cgtest_open(&t, true);
    memset(text + 10, 'a', 4094);
    snprintf(text + 10 + 4094, 2, "\n");
    snprintf(path, sizeof(path), "/proc/%d/cgroup", (int)getpid());
    cgtest_write(&t, path, text);
    assert_int_equal(cgfs_own_path(&t.host, &t.fs, out, sizeof(out)), -ENAMETOOLONG);
    cgtest_write(&t, path, "4:memory:/longer-than-eight\n");
    assert_int_equal(cgfs_own_path(&t.host, &t.fs, out, sizeof(out)), -ENAMETOOLONG);
    assert_string_equal(out, "old");
    cgtest_done(&t);
}

/* Far beyond PATH_MAX, as mkdirat and a walk allow. */
static void paths_of_any_length_are_opened(void **state) {
    enum { LEVELS = 60, NAME = 200 };
    char name[NAME + 1], path[LEVELS * (NAME + 1) + 1], buf[64];
    int dir[LEVELS + 1];
    struct cgtest t;
    struct str text;

    (void)state;
    cgtest_init(&t);
    cgtest_make_v1(&t);
    cgtest_open(&t, false);
    dir[0] = cgfs_open_dir(&t.fs, CG_MEMORY, STR("/"));
    for (unsigned i = 0; i < LEVELS; i++) {
        memset(name, 'a' + (char)(i % 26), NAME);
        name[NAME] = '\0';
        path[i * (NAME + 1)] = '/';
        memcpy(path + i * (NAME + 1) + 1, name, NAME + 1);
        assert_int_equal(mkdirat(dir[i], name, 0755), 0);
        dir[i + 1] = openat(dir[i], name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_true(dir[i + 1] >= 0);
    }
    for (unsigned i = 1; i <= LEVELS; i++) {
        auto_close int made = openat(dir[i], "x", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
        auto_close int opened = -1, file = -1;
        struct stat a, b;

        path[i * (NAME + 1)] = '\0';
        opened = cgfs_open_dir(&t.fs, CG_MEMORY, str_of(path));
        assert_true(opened >= 0);
        assert_int_equal(fstat(dir[i], &a) | fstat(opened, &b), 0);
        assert_int_equal(a.st_ino, b.st_ino);
        assert_int_equal(write(made, path, 5), 5);
        file = cgfs_open_file(&t.fs, CG_MEMORY, str_of(path), "x");
        assert_true(file >= 0);
        assert_int_equal(file_pread(file, buf, sizeof(buf), &text), 0);
        assert_int_equal(text.n, 5);
        assert_int_equal(cgfs_open_file(&t.fs, CG_MEMORY, str_of(path), "y"), -ENOENT);
        if (i < LEVELS)
            path[i * (NAME + 1)] = '/';
    }
    for (unsigned i = LEVELS; i > 0; i--) { /* nothing else can remove what is so deep */
        memset(name, 'a' + (char)((i - 1) % 26), NAME);
        assert_int_equal(unlinkat(dir[i], "x", 0), 0);
        close(dir[i]);
        assert_int_equal(unlinkat(dir[i - 1], name, AT_REMOVEDIR), 0);
    }
    close(dir[0]);
    cgtest_done(&t);
}

static void no_path_climbs_out_of_the_hierarchy(void **state) {
    static const char *const ways[] = {"..",         "/..",          "/a/..",
                                       "/../memory", "a/../../pids", "/a/../a"};
    struct cgtest t;

    (void)state;
    cgtest_init(&t);
    cgtest_make_v1(&t);
    cgtest_write(&t, "/sys/fs/cgroup/memory/a/memory.stat", "");
    cgtest_write(&t, "/sys/fs/cgroup/memory/..b/memory.stat", "");
    cgtest_open(&t, false);
    for (size_t i = 0; i < ARRAY_N(ways); i++) {
        assert_int_equal(cgfs_open_dir(&t.fs, CG_MEMORY, str_of(ways[i])), -EINVAL);
        assert_int_equal(cgfs_open_file(&t.fs, CG_MEMORY, str_of(ways[i]), "memory.stat"), -EINVAL);
    }
    close(cgfs_open_dir(&t.fs, CG_MEMORY, STR("//a/")));
    for (unsigned i = 0; i < 2; i++) {
        auto_close int dir = cgfs_open_dir(&t.fs, CG_MEMORY, i ? STR("/..b") : STR("/a"));

        assert_true(dir >= 0);
    }
    assert_int_equal(cgfs_open_dir(&t.fs, CG_MEMORY, STR("/none")), -ENOENT);
    assert_int_equal(cgfs_open_dir(&t.fs, CG_MEMORY, STR("/a\0b")), -EILSEQ);
    cgfs_done(&t.fs);
    assert_int_equal(cgfs_open_dir(&t.fs, CG_MEMORY, STR("/a")), -ENOENT);
    assert_int_equal(cgfs_open_file(&t.fs, CG_MEMORY, STR("/a"), "x"), -ENOENT);
    cgtest_done(&t);
}

static void nothing_is_left_open(void **state) {
    int before = cgtest_open_fds();
    struct cgtest t;

    (void)state;
    cgtest_init(&t);
    cgtest_make_v1(&t);
    cgtest_open(&t, true);
    own_is(&t, "4:memory:/a\n", "/a");
    (void)cgfs_open_dir(&t.fs, CG_MEMORY, STR("/none/none"));
    cgtest_done(&t);
    assert_int_equal(cgtest_open_fds(), before);
}

/* In a child with a cgroup namespace of its own: "/" is where it stood, and a sibling of that is
 * outside. */
static int in_a_namespace(const struct cgtest_real *r) {
    struct cgfs *fs = calloc(1, sizeof(*fs));
    char out[4096] = "";
    struct err err;

    if (!fs || cgtest_real_write(r, "/a/cgroup.procs", "0") != 0)
        return 10;
    if (unshare(CLONE_NEWCGROUP) < 0)
        return errno == EPERM || errno == EINVAL ? 77 : 11;
    if (cgfs_open(&r->host, fs, &err) < 0)
        return 12;
    /* our mount is the machine's, so it lies above the namespace */
    if (fs->memory_root[0] != '\0' || cgfs_own_path(&r->host, fs, out, sizeof(out)) != 0)
        return 13;
    if (!str_ends(str_of(out), STR("/a")) || !str_starts(str_of(out), str_of(r->group)))
        return 14;
    cgfs_done(fs);
    free(fs);
    return 0;
}

static void ones_own_group_is_found_from_inside_a_real_namespace(void **state) {
    struct cgtest_real r;
    pid_t child;
    int status = 0;

    (void)state;
    cgtest_real_init(&r);
    cgtest_real_mkdir(&r, "/a");
    child = fork();
    if (child == 0)
        _exit(in_a_namespace(&r));
    waitpid(child, &status, 0);
    cgtest_real_rmdir(&r, "/a");
    cgtest_real_done(&r);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77) {
        print_message("# skipped: no permission for a cgroup namespace\n");
        skip();
    }
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_controller_has_a_version_of_its_own),
        cmocka_unit_test(the_unified_tree_serves_all_where_nothing_else_is),
        cmocka_unit_test(no_memory_controller_is_an_error_that_says_what_to_do),
        cmocka_unit_test(a_folder_without_a_mount_is_none_on_this_machine),
        cmocka_unit_test(without_mountinfo_the_usual_places_are_tried),
        cmocka_unit_test(lines_that_are_no_mounts_of_groups_do_no_harm),
        cmocka_unit_test(ones_own_group_on_a_host),
        cmocka_unit_test(ones_own_group_where_only_a_part_is_mounted),
        cmocka_unit_test(ones_own_group_below_a_mount_above_the_namespace),
        cmocka_unit_test(a_path_that_may_be_cut_is_not_believed),
        cmocka_unit_test(paths_of_any_length_are_opened),
        cmocka_unit_test(no_path_climbs_out_of_the_hierarchy),
        cmocka_unit_test(nothing_is_left_open),
        cmocka_unit_test(ones_own_group_is_found_from_inside_a_real_namespace),
    };

    return cmocka_run_group_tests(tests, NULL, cgtest_real_sweep);
}
