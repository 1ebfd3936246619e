#include "act/oomlog.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <sys/socket.h>

#include "kern/cgtest.h"

#define OURS "/batch/plimsoll-run-x"

/* A machine with a log that we write: a packet is a record. */
struct machine {
    struct cgtest tree;
    struct oomlog *log;
    int kernel; /* where the records go in */
    unsigned long seq;
};

static void link_ns(const struct machine *m, const char *kind, const char *inode) {
    char path[256], full[512], target[64];

    snprintf(path, sizeof(path), "/proc/%d/ns/%s", (int)getpid(), kind);
    cgtest_folders(&m->tree, path);
    cgtest_full(&m->tree, path, full, sizeof(full));
    snprintf(target, sizeof(target), "%s:[%s]", kind, inode);
    assert_int_equal(symlink(target, full), 0);
}

/* root: mountinfo's; first: in the machine's own namespaces. */
static void start(struct machine *m, const char *root, bool first) {
    struct err err;
    int pair[2];

    memset(m, 0, sizeof(*m));
    cgtest_init(&m->tree);
    assert_int_equal(host_open(m->tree.top, &m->tree.host, &err), 0);
    link_ns(m, "pid", first ? "4026531836" : "4026532000");
    link_ns(m, "cgroup", first ? "4026531835" : "4026532001");
    snprintf(m->tree.fs.memory_root, sizeof(m->tree.fs.memory_root), "%s", root);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair),
                     0);
    m->kernel = pair[0];
    assert_int_equal(oomlog_open(&m->tree.host, &m->tree.fs, STR(OURS), pair[1], &m->log), 0);
    oomlog_begin(m->log);
    oomlog_main(m->log, 7);
}

static void stop(struct machine *m) {
    oomlog_free(m->log);
    close(m->kernel);
    cgtest_done(&m->tree);
}

static void say(struct machine *m, const char *text) {
    char line[KMSG_RECORD];
    int n = snprintf(line, sizeof(line), "6,%lu,1,-;%s\n", m->seq++, text);

    assert_int_equal(send(m->kernel, line, (size_t)n, 0), n);
}

/* limit NULL: the report was not printed. */
static void kill_of(struct machine *m, int pid, const char *comm, const char *limit,
                    const char *task) {
    char line[4096];

    if (limit) {
        snprintf(line, sizeof(line),
                 "oom-kill:constraint=CONSTRAINT_%s,nodemask=(null),cpuset=/,mems_allowed=0%s%s,"
                 "task_memcg=%s,task=%s,pid=%d,uid=0",
                 limit[0] ? "MEMCG" : "NONE", limit[0] ? ",oom_memcg=" : ",global_oom", limit, task,
                 comm, pid);
        say(m, line);
    }
    snprintf(line, sizeof(line),
             "%s: Killed process %d (%s) total-vm:9kB, anon-rss:8kB, file-rss:1kB, shmem-rss:0kB",
             limit && !limit[0] ? "Out of memory" : "Memory cgroup out of memory", pid, comm);
    say(m, line);
}

static const struct oomlog_told *read_all(struct machine *m) {
    while (oomlog_read(m->log, 3) > 0)
        ;
    return oomlog_told(m->log);
}

static void the_limit_that_was_met_is_told_by_its_path(void **state) {
    static const struct {
        const char *limit, *task;
        enum oom_whose whose;
        const char *path;
        size_t up;
    } t[] = {
        {OURS, OURS "/w", WHOSE_OWN, "", 0},
        {OURS "/w", OURS "/w", WHOSE_OWN, "", 0},
        {OURS "/w", OURS "/w/deep/er", WHOSE_OWN, "", 0},
        {"/batch", OURS "/w", WHOSE_ANCESTOR, "/batch", 15},
        {OURS "/w/sub", OURS "/w/sub/er", WHOSE_INSIDE, "/w/sub", 0},
        {OURS "/v", OURS "/v", WHOSE_INSIDE, "/v", 0},
        {"", OURS "/w", WHOSE_HOST, "", 0},
        {"", "/elsewhere", WHOSE_HOST, "", 0}, /* it has moved out */
        {"/batch", "/batch/b", WHOSE_ANCESTOR, "/batch", 15},
        {"/other", "/other/b", WHOSE_UNKNOWN, "", 0},
        {NULL, NULL, WHOSE_UNKNOWN, "", 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_N(t); i++) {
        const struct oomlog_told *told;
        struct machine m;

        start(&m, "/", true);
        assert_true(oomlog_knows_pids(m.log));
        kill_of(&m, 7, "app", t[i].limit, t[i].task);
        told = read_all(&m);
        assert_true(told->main && !told->lost);
        assert_int_equal(told->ours, 1);
        assert_int_equal(told->of_main.whose, t[i].whose);
        assert_string_equal(told->of_main.path, t[i].path);
        assert_int_equal(told->of_main.up, t[i].up);
        assert_string_equal(told->of_main.comm, "app");
        assert_int_equal(told->last.pid, 0);
        stop(&m);
    }
}

static void others_are_ours_elsewhere_or_unknown(void **state) {
    const struct oomlog_told *told;
    struct machine m;

    (void)state;
    start(&m, "/", true);
    kill_of(&m, 8, "child", OURS "/w", OURS "/w");
    told = read_all(&m);
    assert_int_equal(told->ours, 1);
    assert_false(told->main);
    assert_int_equal(told->last.pid, 8);
    assert_string_equal(told->last.comm, "child");

    kill_of(&m, 9, "other", "/batch", "/batch/plimsoll-run-xy/w"); /* not us, but for a letter */
    kill_of(&m, 9, "other", "/x" OURS, "/x" OURS "/w");
    assert_int_equal(read_all(&m)->ours, 1);
    assert_int_equal(told->maybe, 0);

    kill_of(&m, 10, "any", NULL, NULL);
    assert_int_equal(read_all(&m)->maybe, 1);
    assert_int_equal(told->last_maybe.pid, 10);
    assert_true(told->last_maybe.memcg);
    assert_int_equal(told->last.pid, 8);

    kill_of(&m, 7, "main", OURS, OURS "/w");
    assert_int_equal(read_all(&m)->ours, 2);
    assert_true(told->main);
    assert_int_equal(told->last.pid, 8); /* still the last of the others */

    oomlog_clear(m.log);
    assert_int_equal(told->ours + told->maybe, 0);
    assert_false(told->main);
    stop(&m);
}

static void a_group_kill_counts_its_victim_once(void **state) {
    const struct oomlog_told *told;
    struct machine m;

    (void)state;
    start(&m, "/", true);
    kill_of(&m, 7, "main", OURS, OURS "/w");
    say(&m, "Tasks in " OURS " are going to be killed due to memory.oom.group set");
    kill_of(&m, 8, "child", NULL, NULL);
    kill_of(&m, 7, "main", NULL, NULL);
    told = read_all(&m);
    assert_int_equal(told->ours, 2);
    assert_int_equal(told->again, 1);
    assert_int_equal(told->maybe, 1);
    assert_int_equal(told->of_main.whose, WHOSE_OWN);
    stop(&m);
}

static void in_a_container_the_end_of_the_path_has_to_do_and_pids_say_nothing(void **state) {
    static const char *const roots[] = {"/", "/../..", ""};

    (void)state;
    for (size_t i = 0; i < ARRAY_N(roots); i++) {
        const struct oomlog_told *told;
        struct machine m;

        start(&m, roots[i], false);
        assert_false(oomlog_knows_pids(m.log));
        kill_of(&m, 7, "x", "/docker/id", "/docker/id" OURS "/w");
        told = read_all(&m);
        assert_int_equal(told->ours, 1);
        assert_false(told->main); /* its number is another's here */
        assert_int_equal(told->last.whose, WHOSE_ANCESTOR);
        assert_false(told->last.sure);
        assert_int_equal(told->last.up, strlen(OURS));
        kill_of(&m, 8, "y", "/docker/id" OURS, "/docker/id" OURS "/w");
        assert_int_equal(read_all(&m)->last.whose, WHOSE_OWN);
        kill_of(&m, 9, "z", "/docker/id", "/docker/id" OURS "y/w");
        assert_int_equal(read_all(&m)->ours, 2);
        kill_of(&m, 7, "x", NULL, NULL);
        assert_int_equal(read_all(&m)->maybe, 1);
        stop(&m);
    }
}

static void a_part_of_the_tree_that_is_mounted_is_named_whole(void **state) {
    struct machine m;

    (void)state;
    start(&m, "/docker/id", true);
    kill_of(&m, 8, "x", "/docker", "/docker/id" OURS "/w");
    assert_int_equal(read_all(&m)->ours, 1);
    assert_int_equal(oomlog_told(m.log)->last.whose, WHOSE_ANCESTOR);
    assert_true(oomlog_told(m.log)->last.sure);
    kill_of(&m, 8, "x", OURS, OURS "/w"); /* another's that looks like it */
    assert_int_equal(read_all(&m)->ours, 1);
    stop(&m);
}

static void a_log_that_cannot_be_read_is_lost(void **state) {
    struct machine m;
    struct oomlog *log;

    (void)state;
    start(&m, "/", true);
    assert_true(oomlog_fd(m.log) >= 0);
    assert_int_equal(oomlog_open(&m.tree.host, &m.tree.fs, STR(OURS), -EPERM, &log), 0);
    assert_int_equal(oomlog_fd(log), -1);
    assert_true(oomlog_told(log)->lost);
    oomlog_begin(log);
    assert_true(oomlog_told(log)->lost);
    assert_int_equal(oomlog_read(log, 10), 0);
    oomlog_free(log);

    assert_int_equal(
        oomlog_open(&m.tree.host, &m.tree.fs, STR(OURS), open("/dev/null", O_WRONLY), &log), 0);
    assert_true(oomlog_fd(log) >= 0);
    assert_int_equal(oomlog_read(log, 10), 1);
    assert_int_equal(oomlog_fd(log), -1);
    assert_true(oomlog_told(log)->lost);
    oomlog_free(log);
    stop(&m);
}

static void a_flood_is_read_in_parts_and_what_is_no_record_is_passed_over(void **state) {
    struct machine m;

    (void)state;
    start(&m, "/", true);
    for (unsigned i = 0; i < 20; i++)
        say(&m, "eth0: up");
    assert_int_equal(send(m.kernel, "rubbish", 7, 0), 7);
    kill_of(&m, 7, "x", OURS, OURS);
    assert_int_equal(oomlog_read(m.log, 8), 8);
    assert_int_equal(oomlog_read(m.log, 8), 8);
    assert_int_equal(oomlog_read(m.log, 100), 7);
    assert_true(oomlog_told(m.log)->main);
    stop(&m);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_limit_that_was_met_is_told_by_its_path),
        cmocka_unit_test(others_are_ours_elsewhere_or_unknown),
        cmocka_unit_test(a_group_kill_counts_its_victim_once),
        cmocka_unit_test(in_a_container_the_end_of_the_path_has_to_do_and_pids_say_nothing),
        cmocka_unit_test(a_part_of_the_tree_that_is_mounted_is_named_whole),
        cmocka_unit_test(a_log_that_cannot_be_read_is_lost),
        cmocka_unit_test(a_flood_is_read_in_parts_and_what_is_no_record_is_passed_over),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
