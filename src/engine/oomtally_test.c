#include "engine/oomtally.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "kern/cgmake.h"
#include "kern/cgtest.h"

#define MIB (1024ull * 1024)

enum { UIDS = 256 };

struct told {
    uint64_t kills[UIDS], unsure, outside, named, strays, total;
    char comm[64], limit[256], group[256];
    uint64_t anon;
    int32_t pid;
};

struct bed {
    struct loop *loop;
    struct oomtally *tally;
    struct told told;
    uint64_t wanted; /* the loop stops once so many kills are told */
};

static void note(void *ctx, const struct oomtally_kill *k) {
    struct bed *b = ctx;

    assert_true(k->uid < UIDS && k->kills > 0);
    b->told.kills[k->uid] += k->kills;
    b->told.total += k->kills;
    b->told.strays += k->group.n > 0;
    snprintf(b->told.group, sizeof(b->told.group), "%.*s", STR_ARG(k->group));
    b->told.unsure += k->sure ? 0 : k->kills;
    b->told.outside += k->outside ? k->kills : 0;
    b->told.named += k->victim_pid > 0;
    b->told.pid = k->victim_pid;
    b->told.anon = k->anon;
    snprintf(b->told.comm, sizeof(b->told.comm), "%.*s", STR_ARG(k->comm));
    snprintf(b->told.limit, sizeof(b->told.limit), "%.*s", STR_ARG(k->limit_path));
    if (b->wanted > 0 && b->told.total >= b->wanted)
        loop_stop(b->loop);
}

static int stop(struct loop *loop, uint32_t what, void *ctx) {
    (void)what, (void)ctx;
    loop_stop(loop);
    return 0;
}

static void run_so_long(struct bed *b, int64_t ms) {
    int64_t end_us = clock_mono_us() + ms * 1000;

    b->wanted = 0;
    assert_int_equal(loop_add_timer(b->loop, ms * 1000, 0, stop, NULL, NULL), 0);
    do
        assert_int_equal(loop_run(b->loop), 0);
    while (clock_mono_us() < end_us); /* a child's end stops it, too */
}

/* What is enough to conclude anything on a machine that has time goes on until all is concluded,
 * or for long. */
static void run_for(struct bed *b, int64_t ms) {
    int64_t patience_us = clock_mono_us() + 5000000;

    do
        run_so_long(b, ms);
    while (ms >= 300 && oomtally_busy(b->tally) && clock_mono_us() < patience_us);
}

static void run_until(struct bed *b, uint64_t wanted, int64_t ms) {
    uint32_t id;

    if (b->told.total >= wanted)
        return;
    b->wanted = wanted;
    assert_int_equal(loop_add_timer(b->loop, ms * 1000, ms * 1000, stop, NULL, &id), 0);
    assert_int_equal(loop_run(b->loop), 0);
    loop_remove(b->loop, id);
    b->wanted = 0;
}

/* --- a machine of files: v2, its log a socket ------------------------------------------------- */

struct fake {
    struct cgtest tree;
    struct bed b;
    int log;
    unsigned seq;
};

static void set_kills(const struct fake *f, const char *group, unsigned kills) {
    char path[256], text[128];

    snprintf(path, sizeof(path), "/sys/fs/cgroup%s/cgroup.procs", group);
    cgtest_write(&f->tree, path, "");
    snprintf(path, sizeof(path), "/sys/fs/cgroup%s/memory.events", group);
    snprintf(text, sizeof(text), "low 0\nhigh 0\nmax 9\noom 5\noom_kill %u\n", kills);
    cgtest_write(&f->tree, path, text);
}

static void drop_group(const struct fake *f, const char *group) {
    char path[256];

    snprintf(path, sizeof(path), "/sys/fs/cgroup%s", group);
    cgtest_delete(&f->tree, path);
}

static void fake_start(struct fake *f, bool with_log) {
    struct err err = {0};
    int ends[2];

    memset(f, 0, sizeof(*f));
    f->log = -1;
    cgtest_init(&f->tree);
    cgtest_make_v2(&f->tree);
    set_kills(f, "/a", 7);
    set_kills(f, "/a/one", 3);
    set_kills(f, "/a/two", 4);
    cgtest_open(&f->tree, false);
    assert_int_equal(loop_new(&f->b.loop), 0);
    if (oomtally_new(f->b.loop, &f->tree.host, &f->tree.fs, note, &f->b, &f->b.tally, &err) < 0)
        fail_msg("%s", err.text);
    if (!with_log)
        return;
    assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), 0);
    assert_int_equal(oomtally_use_log(f->b.tally, ends[0]), 0);
    f->log = ends[1];
}

static void fake_stop(struct fake *f) {
    oomtally_free(f->b.tally);
    loop_free(f->b.loop);
    if (f->log >= 0)
        close(f->log);
    cgtest_done(&f->tree);
}

static void add(struct fake *f, uint32_t uid, const char *path) {
    assert_int_equal(oomtally_add(f->b.tally, uid, str_of(path), OOMTALLY_WHOLE, false), 0);
}

static void say(struct fake *f, const char *text) {
    char record[1024];
    int n = snprintf(record, sizeof(record), "4,%u,1000,-;%s\n", ++f->seq, text);

    assert_int_equal(write(f->log, record, (size_t)n), n);
}

/* task NULL: the report was rate-limited away */
static void say_kill(struct fake *f, const char *limit, const char *task, int pid) {
    char text[512];

    if (task) {
        snprintf(text, sizeof(text),
                 "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,"
                 "oom_memcg=%s,task_memcg=%s,task=hog,pid=%d,uid=0",
                 limit, task, pid);
        say(f, text);
    }
    snprintf(text, sizeof(text),
             "Memory cgroup out of memory: Killed process %d (hog) total-vm:99kB, anon-rss:16kB, "
             "file-rss:4kB, shmem-rss:0kB, UID:0 pgtables:1kB oom_score_adj:0",
             pid);
    say(f, text);
}

static void a_count_that_grew_is_told_once_and_what_was_before_is_not(void **state) {
    struct fake f;

    (void)state;
    fake_start(&f, false);
    add(&f, 1, "/a/one");
    add(&f, 2, "/a/two");
    run_for(&f.b, 20);
    assert_int_equal(f.b.told.total, 0);
    set_kills(&f, "/a/one", 5);
    set_kills(&f, "/a", 9);
    oomtally_seen(f.b.tally, 1, 5);
    run_for(&f.b, 20);
    oomtally_seen(f.b.tally, 1, 5);
    run_for(&f.b, 300);
    assert_int_equal(f.b.told.kills[1], 2);
    assert_int_equal(f.b.told.total, 2);
    assert_int_equal(f.b.told.unsure, 0);
    assert_false(oomtally_busy(f.b.tally));
    fake_stop(&f);
}

static void what_only_the_group_around_counted_was_in_the_one_that_is_gone(void **state) {
    struct fake f;

    (void)state;
    fake_start(&f, false);
    add(&f, 1, "/a/one");
    add(&f, 2, "/a/two");
    set_kills(&f, "/a/two", 6); /* two that live on explain themselves */
    set_kills(&f, "/a", 10);
    drop_group(&f, "/a/one");
    oomtally_remove(f.b.tally, 1);
    run_for(&f.b, 400);
    assert_int_equal(f.b.told.kills[1], 1);
    assert_int_equal(f.b.told.kills[2], 2);
    assert_int_equal(f.b.told.unsure, 0);
    assert_false(oomtally_busy(f.b.tally));
    fake_stop(&f);
}

static void a_group_that_went_without_a_kill_had_none(void **state) {
    struct fake f;

    (void)state;
    fake_start(&f, true);
    add(&f, 1, "/a/one");
    add(&f, 2, "/a/two");
    drop_group(&f, "/a/one");
    oomtally_remove(f.b.tally, 1);
    set_kills(&f, "/a/two", 5);
    set_kills(&f, "/a", 8);
    run_for(&f.b, 400);
    assert_int_equal(f.b.told.kills[1], 0);
    assert_int_equal(f.b.told.kills[2], 1);
    fake_stop(&f);
}

static void two_that_are_gone_share_what_was_counted(void **state) {
    struct fake f;

    (void)state;
    fake_start(&f, false);
    add(&f, 1, "/a/one");
    add(&f, 2, "/a/two");
    drop_group(&f, "/a/one");
    drop_group(&f, "/a/two");
    set_kills(&f, "/a", 9);
    oomtally_remove(f.b.tally, 1);
    oomtally_remove(f.b.tally, 2);
    run_for(&f.b, 400);
    assert_int_equal(f.b.told.kills[1], 1);
    assert_int_equal(f.b.told.kills[2], 1);
    assert_int_equal(f.b.told.unsure, 2);
    fake_stop(&f);
}

static void the_log_names_the_victim_and_whose_limit_it_was(void **state) {
    struct fake f;

    (void)state;
    fake_start(&f, true);
    add(&f, 1, "/a/one");
    add(&f, 2, "/a/two");
    set_kills(&f, "/a/one", 4);
    set_kills(&f, "/a", 8);
    say_kill(&f, "/a/one", "/a/one", 77);
    run_for(&f.b, 20);
    assert_int_equal(f.b.told.kills[1], 1);
    assert_int_equal(f.b.told.named, 1);
    assert_int_equal(f.b.told.pid, 77);
    assert_int_equal(f.b.told.anon, 16384);
    assert_string_equal(f.b.told.comm, "hog");
    assert_string_equal(f.b.told.limit, "/a/one");
    assert_int_equal(f.b.told.outside, 0);

    set_kills(&f, "/a/two", 5);
    set_kills(&f, "/a", 9);
    oomtally_seen(f.b.tally, 2, 5);
    say_kill(&f, "/a", "/a/two", 78);
    run_for(&f.b, 20);
    assert_int_equal(f.b.told.kills[2], 1);
    assert_int_equal(f.b.told.outside, 1);
    assert_string_equal(f.b.told.limit, "/a");

    run_for(&f.b, 300);
    assert_int_equal(f.b.told.total, 2);

    /* the report was left out: the victim's group is not known, nor whose limit it was */
    set_kills(&f, "/a/one", 5);
    set_kills(&f, "/a", 10);
    oomtally_seen(f.b.tally, 1, 5);
    say_kill(&f, NULL, NULL, 79);
    run_for(&f.b, 300);
    assert_int_equal(f.b.told.kills[1], 2);
    assert_int_equal(f.b.told.named, 2);
    assert_int_equal(f.b.told.outside, 1);
    assert_string_equal(f.b.told.limit, "");
    fake_stop(&f);
}

static void a_line_that_comes_too_late_counts_nothing(void **state) {
    struct fake f;

    (void)state;
    fake_start(&f, true);
    add(&f, 1, "/a/one");
    set_kills(&f, "/a/one", 4);
    set_kills(&f, "/a", 8);
    oomtally_seen(f.b.tally, 1, 4);
    run_for(&f.b, 150);
    assert_int_equal(f.b.told.total, 1);
    say_kill(&f, "/a/one", "/a/one", 77);
    run_for(&f.b, 300);
    assert_int_equal(f.b.told.total, 1);
    assert_int_equal(f.b.told.named, 0);
    fake_stop(&f);
}

static void a_line_about_a_group_that_is_gone_counts_by_itself(void **state) {
    struct fake f;

    (void)state;
    fake_start(&f, true);
    add(&f, 1, "/a/one");
    drop_group(&f, "/a/one");
    set_kills(&f, "/a", 8);
    say_kill(&f, "/a/one", "/a/one", 77);
    run_for(&f.b, 20); /* before anybody said that it is gone */
    assert_int_equal(f.b.told.kills[1], 1);
    oomtally_remove(f.b.tally, 1);
    run_for(&f.b, 400);
    assert_int_equal(f.b.told.kills[1], 1);
    assert_int_equal(f.b.told.total, 1);
    assert_int_equal(f.b.told.unsure, 0);

    /* it came, was killed and went before it was seen */
    say_kill(&f, "/a/three", "/a/three", 78);
    set_kills(&f, "/a", 9);
    run_for(&f.b, 50);
    assert_int_equal(oomtally_add(f.b.tally, 3, STR("/a/three"), OOMTALLY_PART, true), 0);
    oomtally_remove(f.b.tally, 3);
    run_for(&f.b, 400);
    assert_int_equal(f.b.told.kills[3], 1);
    assert_int_equal(f.b.told.total, 2);
    fake_stop(&f);
}

static void a_kill_below_counts_for_the_innermost_target(void **state) {
    struct fake f;

    (void)state;
    fake_start(&f, true);
    set_kills(&f, "/a/one/sub", 0);
    add(&f, 9, "/a");
    assert_int_equal(oomtally_group_add(f.b.tally, STR("/a/one"), false), 0);
    assert_int_equal(oomtally_group_add(f.b.tally, STR("/a/one/sub"), false), 0);
    add(&f, 1, "/a/one");
    set_kills(&f, "/a/one/sub", 1);
    set_kills(&f, "/a/one", 4);
    set_kills(&f, "/a", 8);
    oomtally_seen(f.b.tally, 9, 8);
    say_kill(&f, "/a/one", "/a/one/sub", 77);
    run_for(&f.b, 400);
    assert_int_equal(f.b.told.kills[1], 1);
    assert_int_equal(f.b.told.kills[9], 0);

    /* one below that nobody told of, and is gone */
    set_kills(&f, "/a/one", 5);
    set_kills(&f, "/a", 9);
    oomtally_seen(f.b.tally, 1, 5);
    say_kill(&f, "/a/one", "/a/one/brief", 78);
    run_for(&f.b, 400);
    assert_int_equal(f.b.told.kills[1], 2);
    assert_int_equal(f.b.told.kills[9], 0);

    drop_group(&f, "/a/one/sub");
    set_kills(&f, "/a/one", 6);
    set_kills(&f, "/a", 10);
    oomtally_group_remove(f.b.tally, STR("/a/one/sub"));
    run_for(&f.b, 400);
    assert_int_equal(f.b.told.kills[1], 3);
    assert_int_equal(f.b.told.total, 3);
    fake_stop(&f);
}

static void a_part_counts_for_the_whole_and_what_is_around_for_the_rest(void **state) {
    struct fake f;

    (void)state;
    fake_start(&f, false);
    set_kills(&f, "/a/one/sub", 0);
    set_kills(&f, "/a/plain", 0);
    assert_int_equal(oomtally_add(f.b.tally, 9, STR("/a"), OOMTALLY_AROUND, false), 0);
    assert_int_equal(oomtally_add(f.b.tally, 1, STR("/a/one"), OOMTALLY_WHOLE, false), 0);
    assert_int_equal(oomtally_add(f.b.tally, 2, STR("/a/one/sub"), OOMTALLY_PART, false), 0);
    assert_int_equal(oomtally_add(f.b.tally, 3, STR("/a/plain"), OOMTALLY_PART, false), 0);
    assert_int_equal(oomtally_group_add(f.b.tally, STR("/a/two"), false), 0);
    set_kills(&f, "/a/one/sub", 1);
    set_kills(&f, "/a/one", 4);
    set_kills(&f, "/a/plain", 2);
    set_kills(&f, "/a/two", 8);
    set_kills(&f, "/a", 14);
    oomtally_seen(f.b.tally, 9, 14);
    run_for(&f.b, 300);
    assert_int_equal(f.b.told.kills[1], 1);
    assert_int_equal(f.b.told.kills[3], 2);
    assert_int_equal(f.b.told.kills[9], 4);
    assert_int_equal(f.b.told.total, 7);
    fake_stop(&f);
}

static void a_group_killed_before_it_is_a_target_is_counted_when_it_is(void **state) {
    struct fake f;

    (void)state;
    fake_start(&f, false);
    assert_int_equal(oomtally_group_add(f.b.tally, STR("/a"), false), 0);
    set_kills(&f, "/a/new", 0);
    assert_int_equal(oomtally_group_add(f.b.tally, STR("/a/new"), true), 0);
    set_kills(&f, "/a/new", 1);
    set_kills(&f, "/a", 8);
    assert_int_equal(oomtally_add(f.b.tally, 5, STR("/a/new"), OOMTALLY_PART, true), 0);
    run_for(&f.b, 200);
    assert_int_equal(f.b.told.kills[5], 1);

    /* it is hidden, and shown again: what was meanwhile is not its own */
    oomtally_remove(f.b.tally, 5);
    run_for(&f.b, 300);
    assert_false(oomtally_busy(f.b.tally));
    set_kills(&f, "/a/new", 4);
    assert_int_equal(oomtally_add(f.b.tally, 6, STR("/a/new"), OOMTALLY_PART, false), 0);
    run_for(&f.b, 200);
    assert_int_equal(f.b.told.total, 1);
    fake_stop(&f);
}

static void one_that_came_and_went_unseen_is_told_by_its_path(void **state) {
    struct fake f;

    (void)state;
    fake_start(&f, true);
    assert_int_equal(oomtally_group_add(f.b.tally, STR("/a"), false), 0);
    assert_int_equal(oomtally_add(f.b.tally, 9, STR("/a"), OOMTALLY_AROUND, false), 0);
    say_kill(&f, "/a/brief", "/a/brief", 77);
    set_kills(&f, "/a", 8);
    assert_int_equal(oomtally_group_add(f.b.tally, STR("/a/brief"), true), 0);
    oomtally_group_remove(f.b.tally, STR("/a/brief"));
    run_for(&f.b, 300);
    assert_int_equal(f.b.told.total, 1);
    assert_int_equal(f.b.told.strays, 1);
    assert_int_equal(f.b.told.kills[9], 1);
    assert_string_equal(f.b.told.group, "/a/brief");

    assert_int_equal(oomtally_group_add(f.b.tally, STR("/a/brief"), true), 0);
    oomtally_group_remove(f.b.tally, STR("/a/brief"));
    set_kills(&f, "/a", 9); /* by the count of the group around it alone */
    run_for(&f.b, 500);
    assert_int_equal(f.b.told.total, 2);
    assert_int_equal(f.b.told.strays, 2);
    assert_false(oomtally_busy(f.b.tally));
    fake_stop(&f);
}

static void a_group_of_the_same_name_begins_anew(void **state) {
    struct fake f;

    (void)state;
    fake_start(&f, true);
    add(&f, 1, "/a/one");
    drop_group(&f, "/a/one");
    oomtally_remove(f.b.tally, 1);
    set_kills(&f, "/a/one", 1);
    set_kills(&f, "/a", 8);
    assert_int_equal(oomtally_add(f.b.tally, 2, STR("/a/one"), OOMTALLY_WHOLE, true), 0);
    say_kill(&f, "/a/one", "/a/one", 77);
    run_for(&f.b, 400);
    assert_int_equal(f.b.told.kills[1], 0);
    assert_int_equal(f.b.told.kills[2], 1);
    assert_int_equal(f.b.told.named, 1);
    fake_stop(&f);
}

static void the_machines_own_kills_are_told_when_no_target_had_them(void **state) {
    static const char line[] = "oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,"
                               "mems_allowed=0,global_oom,task_memcg=/b/x,task=hog,pid=9,uid=0";
    static const char killed[] = "Out of memory: Killed process 9 (hog) total-vm:99kB, "
                                 "anon-rss:16kB, file-rss:4kB, shmem-rss:0kB, UID:0";
    struct fake f;

    (void)state;
    fake_start(&f, true);
    add(&f, 1, "/a/one");
    say(&f, line);
    say(&f, killed);
    run_for(&f.b, 400);
    assert_int_equal(f.b.told.kills[0], 1);
    assert_int_equal(f.b.told.total, 1);
    say_kill(&f, "/b/x", "/b/x", 10); /* at a limit that is no target's */
    run_for(&f.b, 400);
    assert_int_equal(f.b.told.total, 1);
    fake_stop(&f);
}

/* --- the real kernel, v1 or v2 ---------------------------------------------------------------- */

struct real {
    struct host host;
    struct cgfs fs;
    char group[64], top[256];
    enum cg_version version;
    struct bed b;
};

static void path_of(const struct real *r, const char *below, char *out, size_t size) {
    if ((size_t)snprintf(out, size, "%s%s", r->top, below) >= size)
        fail_msg("path too long");
}

static int put(const struct real *r, const char *below, const char *file, const char *text) {
    char path[512];
    auto_close int fd = -1;

    snprintf(path, sizeof(path), "%s%s/%s", r->top, below, file);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    return fd < 0 || write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

static void make_group(const struct real *r, const char *below, const char *limit) {
    char path[512];

    path_of(r, below, path, sizeof(path));
    assert_int_equal(mkdir(path, 0755), 0);
    if (!limit)
        return;
    if (r->version == CG_V1) {
        assert_int_equal(put(r, below, "memory.limit_in_bytes", limit), 0);
    } else {
        assert_int_equal(put(r, below, "memory.max", limit), 0);
        (void)put(r, below, "memory.swap.max", "0");
    }
}

/* Also in the processes that play an engine. */
static void drop_real(const struct real *r, const char *below) {
    char path[512];

    path_of(r, below, path, sizeof(path));
    for (unsigned i = 0; rmdir(path) < 0 && errno == EBUSY && i < 20000; i++)
        usleep(200);
}

static void hand_on(const struct real *r, const char *below) {
    if (r->version == CG_V2)
        assert_int_equal(put(r, below, "cgroup.subtree_control", "+memory"), 0);
}

static void real_start(struct real *r) {
    struct err err = {0};

    memset(r, 0, sizeof(*r));
    if (host_open(NULL, &r->host, &err) < 0)
        fail_msg("%s", err.text);
    if (cgfs_open(&r->host, &r->fs, &err) < 0) {
        print_message("# skipped: no memory controller\n");
        skip();
    }
    r->version = r->fs.ctl[CG_MEMORY].version;
    cgtest_real_name(r->group);
    snprintf(r->top, sizeof(r->top), "%.180s%s", r->fs.memory_point, r->group);
    if (!cgtest_real_make(r->top))
        skip();
    if (r->version == CG_V2 && put(r, "", "cgroup.subtree_control", "+memory") < 0) {
        (void)rmdir(r->top);
        print_message("# skipped: no memory controller is handed on to us\n");
        skip();
    }
    assert_int_equal(loop_new(&r->b.loop), 0);
    if (oomtally_new(r->b.loop, &r->host, &r->fs, note, &r->b, &r->b.tally, &err) < 0)
        fail_msg("%s", err.text);
}

static void real_stop(struct real *r) {
    oomtally_free(r->b.tally);
    loop_free(r->b.loop);
    drop_real(r, "");
    cgfs_done(&r->fs);
    host_done(&r->host);
}

static void add_real(struct real *r, uint32_t uid, const char *below) {
    char path[512];

    snprintf(path, sizeof(path), "%s%s", r->group, below);
    assert_int_equal(oomtally_add(r->b.tally, uid, str_of(path), OOMTALLY_WHOLE, true), 0);
}

static void take_memory(size_t mib) {
    for (size_t i = 0; i < mib; i++) {
        char *p = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        if (p == MAP_FAILED)
            break;
        memset(p, 1, MIB);
    }
}

/* A process in the group that takes so much, tells `ready` and then waits. */
static pid_t start_telling(const struct real *r, const char *below, size_t mib, int ready) {
    pid_t pid = fork();

    if (pid != 0)
        return pid;
    if (put(r, below, "cgroup.procs", "0") < 0)
        _exit(2);
    take_memory(mib);
    if (ready >= 0 && write(ready, "!", 1) != 1)
        _exit(3);
    for (;;)
        pause();
}

static pid_t start(const struct real *r, const char *below, size_t mib) {
    return start_telling(r, below, mib, -1);
}

/* What an engine does: starts it, waits for its end, removes the group at once. In a process of its
 * own, so that the loop runs beside. */
static pid_t engine(const struct real *r, const char *below) {
    pid_t pid = fork();
    int status;

    if (pid != 0)
        return pid;
    pid = start(r, below, 32);
    if (waitpid(pid, &status, 0) != pid || !WIFSIGNALED(status))
        _exit(1);
    drop_real(r, below);
    _exit(0);
}

static void wait_for(pid_t pid) {
    int status;

    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static int on_child(struct loop *loop, uint32_t what, void *ctx) {
    (void)ctx;
    assert_int_equal(what, SIGCHLD);
    loop_stop(loop);
    return 0;
}

static void killed_and_removed_at_once_counts(bool asleep, unsigned times) {
    struct real r;
    uint32_t id;

    real_start(&r);
    assert_int_equal(loop_add_signal(r.b.loop, SIGCHLD, on_child, NULL, &id), 0);
    for (unsigned i = 0; i < times; i++) {
        int64_t end_us;
        pid_t pid;

        make_group(&r, "/g", "8M");
        add_real(&r, 1 + i, "/g");
        pid = engine(&r, "/g");
        if (!asleep)
            assert_int_equal(loop_run(r.b.loop), 0); /* until the engine has ended */
        wait_for(pid);
        oomtally_remove(r.b.tally, 1 + i);
        end_us = clock_mono_us() + 10000000;
        while (r.b.told.kills[1 + i] == 0 && clock_mono_us() < end_us)
            run_for(&r.b, 5);
    }
    run_for(&r.b, 500);
    print_message("# %llu of %u counted, %llu named by the log, %llu concluded\n",
                  (unsigned long long)r.b.told.total, times, (unsigned long long)r.b.told.named,
                  (unsigned long long)r.b.told.unsure);
    for (unsigned i = 0; i < times; i++)
        assert_int_equal(r.b.told.kills[1 + i], 1);
    assert_int_equal(r.b.told.total, times);
    assert_false(oomtally_busy(r.b.tally));
    real_stop(&r);
}

static void killed_and_removed_at_once_is_counted_100_times_of_100(void **state) {
    (void)state;
    killed_and_removed_at_once_counts(false, 100);
}

static void also_when_nobody_looked_until_all_was_over(void **state) {
    (void)state;
    killed_and_removed_at_once_counts(true, 20);
}

static void ten_at_once_are_counted(void **state) {
    enum { N = 10 };
    struct real r;
    pid_t pid[N];
    char name[16];

    (void)state;
    real_start(&r);
    for (unsigned i = 0; i < N; i++) {
        snprintf(name, sizeof(name), "/g%u", i);
        make_group(&r, name, "8M");
        add_real(&r, 1 + i, name);
    }
    for (unsigned i = 0; i < N; i++) {
        snprintf(name, sizeof(name), "/g%u", i);
        pid[i] = engine(&r, name);
    }
    run_until(&r.b, N, 1500);
    for (unsigned i = 0; i < N; i++) {
        wait_for(pid[i]);
        oomtally_remove(r.b.tally, 1 + i);
    }
    run_until(&r.b, N, 20000);
    run_for(&r.b, 500);
    for (unsigned i = 0; i < N; i++)
        assert_int_equal(r.b.told.kills[1 + i], 1);
    assert_int_equal(r.b.told.total, N);
    real_stop(&r);
}

static void an_end_without_the_kernels_doing_is_no_kill(void **state) {
    struct real r;

    (void)state;
    real_start(&r);
    for (unsigned i = 0; i < 20; i++) {
        pid_t pid;
        int status;

        make_group(&r, "/g", "8M");
        add_real(&r, 1 + i, "/g");
        if (i % 2) {
            pid = start(&r, "/g", i % 4 == 1 ? 6 : 0);
            run_for(&r.b, 10);
            assert_int_equal(kill(pid, SIGKILL), 0);
            assert_int_equal(waitpid(pid, &status, 0), pid);
        }
        drop_real(&r, "/g");
        run_for(&r.b, 5);
        oomtally_remove(r.b.tally, 1 + i);
    }
    run_for(&r.b, 500);
    assert_int_equal(r.b.told.total, 0);
    assert_false(oomtally_busy(r.b.tally));
    real_stop(&r);
}

static void a_kill_below_a_target_is_its_own(void **state) {
    struct real r;
    char path[128];

    (void)state;
    real_start(&r);
    make_group(&r, "/g", NULL);
    hand_on(&r, "/g");
    add_real(&r, 1, "/g");
    for (unsigned i = 0; i < 3; i++) {
        pid_t pid;

        make_group(&r, "/g/sub", "8M");
        snprintf(path, sizeof(path), "%s/g/sub", r.group);
        assert_int_equal(oomtally_group_add(r.b.tally, str_of(path), true), 0);
        pid = engine(&r, "/g/sub");
        run_until(&r.b, i + 1, 1000);
        wait_for(pid);
        oomtally_group_remove(r.b.tally, str_of(path));
        run_until(&r.b, i + 1, 20000);
        assert_int_equal(r.b.told.kills[1], i + 1);
    }
    run_for(&r.b, 400);
    assert_int_equal(r.b.told.total, 3);
    drop_real(&r, "/g");
    oomtally_remove(r.b.tally, 1);
    run_for(&r.b, 400);
    assert_int_equal(r.b.told.total, 3);
    real_stop(&r);
}

static void an_oom_around_two_counts_for_the_one_whose_process_was_killed(void **state) {
    int status, ready[2];
    pid_t small, big;
    struct real r;
    char byte;

    (void)state;
    real_start(&r);
    make_group(&r, "/p", "12M");
    hand_on(&r, "/p");
    make_group(&r, "/p/small", NULL);
    make_group(&r, "/p/big", NULL);
    add_real(&r, 1, "/p/small");
    add_real(&r, 2, "/p/big");
    assert_int_equal(pipe(ready), 0);
    small = start_telling(&r, "/p/small", 1, ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1); /* it takes nothing more: it would be next */
    close(ready[0]);
    close(ready[1]);
    big = start(&r, "/p/big", 32);
    assert_int_equal(waitpid(big, &status, 0), big);
    drop_real(&r, "/p/big");
    oomtally_remove(r.b.tally, 2);
    run_until(&r.b, 1, 1000);
    assert_int_equal(kill(small, SIGKILL), 0);
    assert_int_equal(waitpid(small, &status, 0), small);
    drop_real(&r, "/p/small");
    oomtally_remove(r.b.tally, 1);
    run_until(&r.b, 1, 20000);
    run_for(&r.b, 500);
    assert_int_equal(r.b.told.kills[1], 0);
    assert_int_equal(r.b.told.kills[2], 1);
    if (r.b.told.limit[0])
        assert_int_equal(r.b.told.outside, 1);
    drop_real(&r, "/p");
    real_stop(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_count_that_grew_is_told_once_and_what_was_before_is_not),
        cmocka_unit_test(what_only_the_group_around_counted_was_in_the_one_that_is_gone),
        cmocka_unit_test(a_group_that_went_without_a_kill_had_none),
        cmocka_unit_test(two_that_are_gone_share_what_was_counted),
        cmocka_unit_test(the_log_names_the_victim_and_whose_limit_it_was),
        cmocka_unit_test(a_line_that_comes_too_late_counts_nothing),
        cmocka_unit_test(a_line_about_a_group_that_is_gone_counts_by_itself),
        cmocka_unit_test(a_kill_below_counts_for_the_innermost_target),
        cmocka_unit_test(a_part_counts_for_the_whole_and_what_is_around_for_the_rest),
        cmocka_unit_test(a_group_killed_before_it_is_a_target_is_counted_when_it_is),
        cmocka_unit_test(one_that_came_and_went_unseen_is_told_by_its_path),
        cmocka_unit_test(a_group_of_the_same_name_begins_anew),
        cmocka_unit_test(the_machines_own_kills_are_told_when_no_target_had_them),
        cmocka_unit_test(an_oom_around_two_counts_for_the_one_whose_process_was_killed),
        cmocka_unit_test(killed_and_removed_at_once_is_counted_100_times_of_100),
        cmocka_unit_test(ten_at_once_are_counted),
        cmocka_unit_test(also_when_nobody_looked_until_all_was_over),
        cmocka_unit_test(an_end_without_the_kernels_doing_is_no_kill),
        cmocka_unit_test(a_kill_below_a_target_is_its_own),
    };

    return cmocka_run_group_tests(tests, NULL, cgtest_real_sweep);
}
