#include "sampler/procs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/mem.h"
#include "kern/smaps.h"

enum { MIB = 1 << 20 };

#define ALL (PROC_BIT(PROC_N) - 1)

static int open_dir(const char *path) {
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    assert_true(fd >= 0);
    return fd;
}

static const struct proc_row *row_of(const struct procs *p, int32_t pid) {
    for (size_t i = 0; i < p->n; i++)
        if (p->row[i].pid == pid)
            return &p->row[i];
    return NULL;
}

static void start(struct procs *p, int proc, bool live, uint32_t want, enum procs_pss pss) {
    struct procs_options options = {.proc = proc, .live = live, .want = want, .pss = pss};

    assert_int_equal(procs_init(p, &options), 0);
}

/* A child that sleeps, with `mib` MiB touched and a name. */
static pid_t sleeper(const char *name, size_t mib) {
    int fds[2];
    pid_t child;
    char ready;

    assert_int_equal(pipe(fds), 0);
    child = fork();
    if (child == 0) {
        char *p =
            mmap(NULL, mib * MIB + 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        madvise(p, mib * MIB, MADV_NOHUGEPAGE);
        memset(p, 1, mib * MIB);
        prctl(PR_SET_NAME, name);
        if (write(fds[1], "", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    assert_true(child > 0);
    assert_int_equal(read(fds[0], &ready, 1), 1);
    close(fds[0]);
    close(fds[1]);
    return child;
}

static void end(pid_t child) {
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
}

static void a_captured_process_has_its_figures(void **state) {
    auto_close int v1 = open_dir("tests/fixtures/v1/proc");
    const struct proc_row *row;
    struct procs p;

    (void)state;
    start(&p, v1, false, ALL, PROCS_PSS_EXACT);
    assert_int_equal(procs_collect(&p, NULL), 0);
    assert_int_equal(p.n, 2);
    row = row_of(&p, 10569);
    assert_non_null(row);
    assert_int_equal(row->res, 28994 * 4096);
    assert_int_equal(row->shr, 6788 * 4096);
    assert_int_equal(row->anon, 88824 * 1024);
    assert_int_equal(row->pss, 114053 * 1024);
    assert_int_equal(row->uss, (24988 + 88824) * 1024);
    assert_int_equal(row->uid, 0);
    assert_int_equal(row->oom_score, 669);
    assert_false(row->pss_estimated);
    assert_true(str_eq(procs_text(&p, row->cgroup), STR("/plk/app")));
    assert_true(str_ends(procs_text(&p, row->command), STR("/bin/python3 mix.py")));
    /* No fd directory, no boot time in this tree: unknown, not zero. */
    assert_false(proc_has(row, PROC_FDS) || proc_has(row, PROC_START));
    row = row_of(&p, 7596);
    assert_non_null(row);
    assert_true(str_eq(procs_comm(row), STR("a) R 1 1\nVmRSS:")));
    assert_int_equal(row->ppid, 7408);
    assert_false(proc_has(row, PROC_RES) || proc_has(row, PROC_PSS) || proc_has(row, PROC_CGROUP));
    procs_done(&p);
}

static void only_what_is_wanted_is_known(void **state) {
    auto_close int proc = open_dir("/proc");
    struct pidlist self = {0};
    struct procs p;
    uint64_t value;

    (void)state;
    assert_int_equal(pidlist_add(&self, getpid()), 0);
    start(&p, proc, true, PROC_BIT(PROC_RES) | PROC_BIT(PROC_PSS), PROCS_PSS_NONE);
    assert_int_equal(procs_collect(&p, &self), 0);
    assert_int_equal(p.n, 1);
    assert_true(proc_value(&p.row[0], PROC_RES, &value) && value > 0);
    assert_false(proc_has(&p.row[0], PROC_STATE) || proc_has(&p.row[0], PROC_PSS) ||
                 proc_has(&p.row[0], PROC_COMMAND) || proc_has(&p.row[0], PROC_UID));
    procs_done(&p);
    pidlist_done(&self);
}

static void this_process_is_seen_as_it_is(void **state) {
    auto_close int proc = open_dir("/proc");
    struct pidlist self = {0};
    struct smaps before, after; /* what others map of our libraries may change in between */
    uint64_t least, most;
    struct procs p;

    (void)state;
    assert_int_equal(pidlist_add(&self, getpid()), 0);
    start(&p, proc, true, ALL, PROCS_PSS_EXACT);
    assert_int_equal(smaps_read_rollup(proc, getpid(), &before), 0);
    assert_int_equal(procs_collect(&p, &self), 0);
    assert_int_equal(smaps_read_rollup(proc, getpid(), &after), 0);
    assert_int_equal(p.n, 1);
    assert_int_equal(p.row[0].ppid, getppid());
    assert_int_equal(p.row[0].uid, geteuid());
    assert_int_equal(p.row[0].state, 'R');
    assert_true(p.row[0].fds >= 4);
    assert_true(p.row[0].start_ms <= clock_wall_ms() + 2000 &&
                p.row[0].start_ms > clock_wall_ms() - 600000);
    least = before.value[SMAPS_PSS], most = after.value[SMAPS_PSS];
    if (least > most)
        least = after.value[SMAPS_PSS], most = before.value[SMAPS_PSS];
    assert_in_range(p.row[0].pss + MIB, least, most + 2 * MIB);
    assert_int_equal(p.pss_measured, 1);
    procs_done(&p);
    pidlist_done(&self);
}

static void those_that_are_gone_are_left_out(void **state) {
    auto_close int proc = open_dir("/proc");
    struct pidlist list = {0};
    struct procs p;
    pid_t zombie = fork();
    siginfo_t info;

    (void)state;
    if (zombie == 0)
        _exit(0);
    assert_int_equal(waitid(P_PID, (id_t)zombie, &info, WEXITED | WNOWAIT), 0);
    assert_int_equal(pidlist_add(&list, zombie), 0);
    assert_int_equal(pidlist_add(&list, INT32_MAX), 0);
    start(&p, proc, true, ALL, PROCS_PSS_EXACT);
    assert_int_equal(procs_collect(&p, &list), 0);
    assert_int_equal(p.n, 1);
    assert_int_equal(p.row[0].state, 'Z');
    /* A zombie's memory is known: it has none. */
    assert_true(proc_has(&p.row[0], PROC_PSS) && p.row[0].pss == 0 && p.row[0].res == 0);
    waitpid(zombie, NULL, 0);
    assert_int_equal(procs_collect(&p, &list), 0);
    assert_int_equal(p.n, 0);
    procs_done(&p);
    pidlist_done(&list);
}

/* Two sleepers of one name. The larger is read; then there is no money left. */
static void a_namesake_lends_its_ratio(void **state) {
    auto_close int proc = open_dir("/proc");
    pid_t large = sleeper("twin", 60), small = sleeper("twin", 20), other = sleeper("stranger", 1);
    struct pidlist list = {0};
    const struct proc_row *row;
    uint64_t pss, res;
    struct procs p;

    (void)state;
    assert_int_equal(pidlist_add(&list, large), 0);
    start(&p, proc, true, ALL, PROCS_PSS_BUDGET);
    p.plan.us_per_mib = 100;
    assert_int_equal(procs_collect(&p, &list), 0);
    row = row_of(&p, large);
    assert_true(row && proc_has(row, PROC_PSS) && !row->pss_estimated);
    pss = row->pss;
    res = row->res;

    assert_int_equal(pidlist_add(&list, small), 0);
    assert_int_equal(pidlist_add(&list, other), 0);
    pidlist_sort(&list);
    p.plan.credit_us = -1000000;
    assert_int_equal(procs_collect(&p, &list), 0);
    assert_int_equal(p.pss_measured, 0);
    assert_int_equal(p.pss_estimated, 2);
    assert_int_equal(p.pss_unknown, 1);
    row = row_of(&p, large);
    assert_true(row && row->pss_estimated && row->pss == pss);
    row = row_of(&p, small);
    assert_true(row && row->pss_estimated);
    assert_in_range(row->pss, pss * row->res / res - 1, pss * row->res / res + 1);
    row = row_of(&p, other);
    assert_true(row && proc_has(row, PROC_RES) && !proc_has(row, PROC_PSS));
    end(large);
    end(small);
    end(other);
    procs_done(&p);
    pidlist_done(&list);
}

static void descendants_are_found(void **state) {
    auto_close int proc = open_dir("/proc");
    pid_t child = sleeper("child", 1);
    struct pidlist list = {0};

    (void)state;
    assert_int_equal(procs_descendants(proc, getpid(), &list), 0);
    assert_true(pidlist_has(&list, getpid()) && pidlist_has(&list, child));
    assert_false(pidlist_has(&list, getppid()));
    pidlist_clear(&list);
    assert_int_equal(procs_descendants(proc, child, &list), 0);
    assert_int_equal(list.n, 1);
    assert_int_equal(procs_descendants(proc, INT32_MAX, &list), -ENOENT);
    end(child);
    pidlist_done(&list);
}

static void put(int dir, const char *path, const char *text) {
    auto_close int fd = openat(dir, path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

/* Parents that are their own grandchildren, as no kernel shows but a captured tree may. */
static void a_circle_of_parents_ends(void **state) {
    char top[] = "/tmp/plimsoll-procs-XXXXXX";
    const char *tail = "0 0 0 -1 0 0 0 0 0 0 0 0 0 0 20 0 1 0 9 0 0 1\n";
    struct pidlist list = {0};

    (void)state;
    assert_non_null(mkdtemp(top));
    auto_close int dir = open_dir(top);

    for (int pid = 1; pid <= 3; pid++) {
        char path[32], text[128];

        snprintf(path, sizeof(path), "%d", pid);
        assert_int_equal(mkdirat(dir, path, 0700), 0);
        snprintf(path, sizeof(path), "%d/stat", pid);
        snprintf(text, sizeof(text), "%d (x) S %d %s", pid, pid % 3 + 1, tail);
        put(dir, path, text);
    }
    assert_int_equal(procs_descendants(dir, 2, &list), 0);
    assert_int_equal(list.n, 3);
    for (int pid = 1; pid <= 3; pid++) {
        char path[32];

        snprintf(path, sizeof(path), "%d/stat", pid);
        assert_int_equal(unlinkat(dir, path, 0), 0);
        snprintf(path, sizeof(path), "%d", pid);
        assert_int_equal(unlinkat(dir, path, AT_REMOVEDIR), 0);
    }
    assert_int_equal(rmdir(top), 0);
    pidlist_done(&list);
}

static void a_group_is_its_whole_tree(void **state) {
    char top[] = "/tmp/plimsoll-procs-XXXXXX";
    struct pidlist list = {0};

    (void)state;
    assert_non_null(mkdtemp(top));
    auto_close int dir = open(top, O_PATH | O_DIRECTORY | O_CLOEXEC);

    assert_int_equal(procs_of_group(dir, &list), -ENOENT);
    assert_int_equal(mkdirat(dir, "a", 0700), 0);
    assert_int_equal(mkdirat(dir, "a/b", 0700), 0);
    assert_int_equal(mkdirat(dir, "empty", 0700), 0);
    put(dir, "cgroup.procs", "12\n");
    put(dir, "a/cgroup.procs", "");
    put(dir, "a/b/cgroup.procs", "7\n9\n7\n");
    assert_int_equal(procs_of_group(dir, &list), 0);
    assert_int_equal(list.n, 3);
    assert_int_equal(list.pid[0], 7);
    assert_int_equal(list.pid[2], 12);
    assert_int_equal(unlinkat(dir, "a/b/cgroup.procs", 0), 0);
    assert_int_equal(unlinkat(dir, "a/cgroup.procs", 0), 0);
    assert_int_equal(unlinkat(dir, "cgroup.procs", 0), 0);
    assert_int_equal(unlinkat(dir, "a/b", AT_REMOVEDIR), 0);
    assert_int_equal(unlinkat(dir, "a", AT_REMOVEDIR), 0);
    assert_int_equal(unlinkat(dir, "empty", AT_REMOVEDIR), 0);
    assert_int_equal(rmdir(top), 0);
    pidlist_done(&list);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_captured_process_has_its_figures),
        cmocka_unit_test(only_what_is_wanted_is_known),
        cmocka_unit_test(this_process_is_seen_as_it_is),
        cmocka_unit_test(those_that_are_gone_are_left_out),
        cmocka_unit_test(a_namesake_lends_its_ratio),
        cmocka_unit_test(descendants_are_found),
        cmocka_unit_test(a_circle_of_parents_ends),
        cmocka_unit_test(a_group_is_its_whole_tree),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
