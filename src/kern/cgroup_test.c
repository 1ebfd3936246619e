#include "kern/cgroup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "kern/cgtest.h"
#include "kern/proctest.h"

enum { ALL = (1 << 14) - 1 };

static void holds(const struct cgroup_numbers *n, enum cgroup_field field, uint64_t value) {
    if (!cgroup_has(n, field))
        fail_msg("field %d is missing", (int)field);
    assert_int_equal(n->value[field], value);
}

static void lacks(const struct cgroup_numbers *n, enum cgroup_field field) {
    if (cgroup_has(n, field))
        fail_msg("field %d is there", (int)field);
}

/* --- parsers --- */

static struct cgroup_numbers events_of(const char *path, enum cg_version version) {
    struct cgroup_numbers n = {.have = 0};
    struct str text = proctest_load(path);

    assert_int_equal(cgroup_parse_events(text, version, &n), 0);
    proctest_free(text);
    return n;
}

static void v2_events_are_those_of_the_files(void **state) {
    struct cgroup_numbers n = events_of("tests/fixtures/v2/oom/after/memory.events", CG_V2);

    (void)state;
    holds(&n, CGROUP_FAILCNT, 240);
    holds(&n, CGROUP_OOM_EVENTS, 1);
    holds(&n, CGROUP_OOM_KILLS, 1);
    holds(&n, CGROUP_HIGH_EVENTS, 0);
    n = events_of("tests/fixtures/v2/oomgroup/memory.events", CG_V2);
    holds(&n, CGROUP_OOM_KILLS, 3); /* "oom_group_kill 1" is another word */
    n = events_of("tests/fixtures/v2/oom-unkillable/cg/memory.events", CG_V2);
    holds(&n, CGROUP_OOM_EVENTS, 528);
    holds(&n, CGROUP_OOM_KILLS, 0);
    lacks(&n, CGROUP_UNDER_OOM);
    lacks(&n, CGROUP_KILL_DISABLED);
}

static void v1_oom_control_tells_kills_and_hangs(void **state) {
    struct cgroup_numbers n = events_of("tests/fixtures/v1/oom/after/memory.oom_control", CG_V1);

    (void)state;
    holds(&n, CGROUP_OOM_KILLS, 1);
    holds(&n, CGROUP_UNDER_OOM, 0);
    holds(&n, CGROUP_KILL_DISABLED, 0);
    lacks(&n, CGROUP_FAILCNT);
    n.have = 0;
    assert_int_equal(cgroup_parse_events(STR("oom_kill_disable 1\nunder_oom 1\n"), CG_V1, &n), 0);
    holds(&n, CGROUP_UNDER_OOM, 1);
    holds(&n, CGROUP_KILL_DISABLED, 1);
    lacks(&n, CGROUP_OOM_KILLS); /* before Linux 4.13: unknown, not none */
}

static void no_limit_is_known_by_its_word_or_its_size(void **state) {
    static const char *const none[] = {
        "max\n",
        "9223372036854771712\n", /* v1, pages of 4 KiB, */
        "9223372036854759424\n", /* 16 KiB */
        "9223372036854710272\n", /* and 64 KiB */
        "9223372036854775807\n",
        "18446744073709551615\n",
    };
    static const char *const bad[] = {"", "\n", "maxi\n", "-1\n", "1 2\n", "4k\n", "1.5\n"};
    uint64_t value = 7;

    (void)state;
    for (size_t i = 0; i < ARRAY_N(bad); i++)
        assert_int_equal(cgroup_parse_number(str_of(bad[i]), &value), -EBADMSG);
    assert_int_equal(cgroup_parse_number(STR("18446744073709551616\n"), &value), -ERANGE);
    assert_int_equal(value, 7);
    for (size_t i = 0; i < ARRAY_N(none); i++) {
        assert_int_equal(cgroup_parse_number(str_of(none[i]), &value), 0);
        assert_true(value == CGROUP_NO_LIMIT);
    }
    assert_int_equal(cgroup_parse_number(STR("268435456\n"), &value), 0);
    assert_int_equal(value, 268435456);
    assert_int_equal(cgroup_parse_number(STR("9223372036854710271\n"), &value), 0);
    assert_true(value == 9223372036854710271ull);
}

static void disks_are_summed(void **state) {
    struct cgroup_numbers n = {.have = 0};

    (void)state;
    assert_int_equal(cgroup_parse_io(STR("254:0 rbytes=1204224 wbytes=4096 rios=294 wios=1\n"
                                         "8:16 \n"
                                         "8:0 rbytes=1 wbytes=2 xrbytes=9 cost.usage=x\n"),
                                     CG_V2, &n),
                     0);
    holds(&n, CGROUP_READ, 1204225);
    holds(&n, CGROUP_WRITTEN, 4098);
    assert_int_equal(cgroup_parse_io(STR("8:0 Read 10\n8:0 Write 20\n8:0 Sync 30\n8:0 Discard 5\n"
                                         "8:0 Total 30\n7:0 Read 1\n7:0 Write 2\nTotal 33\n"),
                                     CG_V1, &n),
                     0);
    holds(&n, CGROUP_READ, 11);
    holds(&n, CGROUP_WRITTEN, 22);
    assert_int_equal(cgroup_parse_io(STR(""), CG_V2, &n), 0); /* nothing was read or written yet */
    holds(&n, CGROUP_READ, 0);
    assert_int_equal(cgroup_parse_io(STR("Total 0\n"), CG_V1, &n), 0);
    holds(&n, CGROUP_WRITTEN, 0);
}

static void cpu_time_is_microseconds(void **state) {
    struct cgroup_numbers n = {.have = 0};

    (void)state;
    assert_int_equal(cgroup_parse_cpu(STR("886134999\n"), CG_V1, &n), 0);
    holds(&n, CGROUP_CPU_US, 886134);
    assert_int_equal(
        cgroup_parse_cpu(STR("nr_usage_usec 5\nusage_usec 77\nuser_usec 1\n"), CG_V2, &n), 0);
    holds(&n, CGROUP_CPU_US, 77);
}

typedef int parse_fn(struct str text, enum cg_version version, struct cgroup_numbers *out);

static const struct {
    parse_fn *parse;
    enum cg_version version;
    const char *bad[8];
} refused[] = {
    {cgroup_parse_events,
     CG_V2,
     {"oom_kill 1", "oom_kill\n", "oom_kill x\n", "\n", "oom_kill -1\n", "max 1\noom_kill\n",
      "oom_kill 18446744073709551616\n"}},
    {cgroup_parse_events, CG_V1, {"under_oom 1", "under_oom\n", "oom_kill  1\n"}},
    {cgroup_parse_io,
     CG_V2,
     {"8:0 rbytes=1", "8:0 rbytes=x\n", "8:0 rbytes=1 wbytes=\n",
      "8:0 rbytes=18446744073709551615\n8:1 rbytes=1\n"}},
    {cgroup_parse_io,
     CG_V1,
     {"8:0 Read 1", "8:0 Read\n", "8:0 Read x\n", "8:0\n", "\n",
      "8:0 Write 18446744073709551615\n8:1 Write 1\n"}},
    {cgroup_parse_cpu, CG_V1, {"", "x\n", "-1\n", "18446744073709551616\n"}},
    {cgroup_parse_cpu, CG_V2, {"", "user_usec 1\n", "usage_usec x\n", "usage_usec 1"}},
};

static void bad_text_changes_nothing(void **state) {
    struct cgroup_numbers before, n;

    (void)state;
    memset(&before, 0x5a, sizeof(before));
    n = before;
    for (size_t i = 0; i < ARRAY_N(refused); i++)
        for (size_t b = 0; b < ARRAY_N(refused[i].bad) && refused[i].bad[b]; b++) {
            if (refused[i].parse(str_of(refused[i].bad[b]), refused[i].version, &n) == 0)
                fail_msg("'%s' was taken", refused[i].bad[b]);
            assert_memory_equal(&n, &before, sizeof(n));
        }
}

static parse_fn *tried;
static enum cg_version tried_version;

static int try(struct str text) {
    struct cgroup_numbers before, n;
    int r;

    memset(&before, 0x5a, sizeof(before));
    n = before;
    r = tried(text, tried_version, &n);
    if (r < 0)
        assert_memory_equal(&n, &before, sizeof(n));
    return r;
}

static size_t good_prefixes(parse_fn *parse, enum cg_version version, const char *path) {
    tried = parse;
    tried_version = version;
    return proctest_prefixes(path, try);
}

static void prefixes_are_whole_lines_or_errors(void **state) {
    (void)state;
    assert_int_equal(
        good_prefixes(cgroup_parse_events, CG_V2, "tests/fixtures/v2/oom/after/memory.events"), 6);
    assert_int_equal(
        good_prefixes(cgroup_parse_events, CG_V1, "tests/fixtures/v1/oom/after/memory.oom_control"),
        3);
    assert_int_equal(good_prefixes(cgroup_parse_io, CG_V2, "tests/fixtures/v2/root/io.stat"), 1);
    /* good from the newline behind the first line on */
    assert_int_equal(good_prefixes(cgroup_parse_cpu, CG_V2, "tests/fixtures/v2/app/cpu.stat"),
                     strlen("user_usec 246883\nsystem_usec 639250\n"));
}

/* --- whole groups --- */

struct group {
    struct cgtest t;
    struct cgroup_fds fds;
    struct cgroup cg;
    struct memstat stat;
    struct cgroup_numbers n;
};

static void group_v1(struct group *g) {
    cgtest_init(&g->t);
    cgtest_make_v1(&g->t);
    cgtest_copy(&g->t, "tests/fixtures/v1/app", "/sys/fs/cgroup/memory/app");
    cgtest_write(&g->t, "/sys/fs/cgroup/pids/app/pids.current", "7\n");
    cgtest_write(&g->t, "/sys/fs/cgroup/pids/app/pids.max", "max\n");
    cgtest_write(&g->t, "/sys/fs/cgroup/cpu,cpuacct/app/cpuacct.usage", "5000999\n");
    cgtest_write(&g->t, "/sys/fs/cgroup/blkio/app/blkio.throttle.io_service_bytes_recursive",
                 "254:0 Read 4096\n254:0 Write 8192\n254:0 Total 12288\nTotal 12288\n");
    cgtest_write(&g->t, "/sys/fs/cgroup/unified/app/memory.pressure",
                 "some avg10=1.50 avg60=0.00 avg300=0.00 total=9\n"
                 "full avg10=0.25 avg60=0.00 avg300=0.00 total=4\n");
    cgtest_open(&g->t, false);
    g->fds = (struct cgroup_fds){.left = 100, .extra_left = 100};
    cgroup_init(&g->cg, &g->t.fs, &g->fds, STR("/app"));
}

static void group_v2(struct group *g) {
    cgtest_init(&g->t);
    cgtest_make_v2(&g->t);
    cgtest_copy(&g->t, "tests/fixtures/v2/app", "/sys/fs/cgroup/app");
    cgtest_open(&g->t, false);
    g->fds = (struct cgroup_fds){.left = 100, .extra_left = 100};
    cgroup_init(&g->cg, &g->t.fs, &g->fds, STR("/app"));
}

static void group_done(struct group *g) {
    cgroup_done(&g->cg);
    cgtest_done(&g->t);
}

static int read_all(struct group *g) {
    memset(&g->stat, 0x5a, sizeof(g->stat));
    memset(&g->n, 0x5a, sizeof(g->n));
    return cgroup_read(&g->cg, ALL, NULL, &g->stat, &g->n);
}

static void check_v1(const struct group *g) {
    holds(&g->n, CGROUP_USAGE, 150601728);
    holds(&g->n, CGROUP_PEAK, 150601728);
    holds(&g->n, CGROUP_LIMIT, 268435456);
    holds(&g->n, CGROUP_SOFT_LIMIT, 209715200);
    holds(&g->n, CGROUP_SWAP_LIMIT, 314572800 - 268435456);
    holds(&g->n, CGROUP_SWAP, 0); /* of memory.stat */
    holds(&g->n, CGROUP_KERNEL, 430080);
    holds(&g->n, CGROUP_FAILCNT, 0);
    holds(&g->n, CGROUP_OOM_KILLS, 0);
    holds(&g->n, CGROUP_UNDER_OOM, 0);
    holds(&g->n, CGROUP_PIDS, 7);
    assert_true(g->n.value[CGROUP_PIDS_LIMIT] == CGROUP_NO_LIMIT);
    holds(&g->n, CGROUP_CPU_US, 5000);
    holds(&g->n, CGROUP_READ, 4096);
    holds(&g->n, CGROUP_WRITTEN, 8192);
    holds(&g->n, CGROUP_SOME_AVG10, 150); /* of the unified tree beside v1 */
    holds(&g->n, CGROUP_FULL_US, 4);
    lacks(&g->n, CGROUP_HIGH);
    lacks(&g->n, CGROUP_OOM_EVENTS);
    assert_int_equal(g->stat.value[MEMSTAT_ANON], 90955776);
    assert_int_equal(g->stat.value[MEMSTAT_HIER_LIMIT], 268435456);
}

static void a_whole_group_of_v1_is_read(void **state) {
    struct group g;

    (void)state;
    group_v1(&g);
    for (unsigned again = 0; again < 2; again++) {
        assert_int_equal(read_all(&g), 0);
        check_v1(&g);
    }
    group_done(&g);
}

static void a_group_that_is_in_no_cpu_hierarchy_has_the_unified_trees_time(void **state) {
    struct group g;

    (void)state;
    group_v1(&g);
    cgtest_write(&g.t, "/sys/fs/cgroup/unified/app/cpu.stat", "usage_usec 123\nuser_usec 100\n");
    assert_int_equal(read_all(&g), 0);
    holds(&g.n, CGROUP_CPU_US, 5000); /* where there is one, that counts */
    cgroup_done(&g.cg);
    cgtest_delete(&g.t, "/sys/fs/cgroup/cpu,cpuacct/app");
    for (unsigned again = 0; again < 2; again++) {
        assert_int_equal(read_all(&g), 0);
        holds(&g.n, CGROUP_CPU_US, 123);
    }
    cgtest_delete(&g.t, "/sys/fs/cgroup/unified/app/cpu.stat");
    cgroup_done(&g.cg);
    assert_int_equal(read_all(&g), 0);
    lacks(&g.n, CGROUP_CPU_US);
    group_done(&g);
}

static void check_v2(const struct group *g) {
    holds(&g->n, CGROUP_USAGE, 85544960);
    holds(&g->n, CGROUP_PEAK, 85544960);
    holds(&g->n, CGROUP_LIMIT, 268435456);
    holds(&g->n, CGROUP_HIGH, 209715200);
    holds(&g->n, CGROUP_LOW, 16777216);
    holds(&g->n, CGROUP_MIN, 0);
    holds(&g->n, CGROUP_SWAP, 0);
    assert_true(g->n.value[CGROUP_SWAP_LIMIT] == CGROUP_NO_LIMIT);
    holds(&g->n, CGROUP_OOM_KILLS, 0);
    holds(&g->n, CGROUP_FAILCNT, 0);
    holds(&g->n, CGROUP_PIDS, 2);
    assert_true(g->n.value[CGROUP_PIDS_LIMIT] == CGROUP_NO_LIMIT);
    holds(&g->n, CGROUP_CPU_US, 886134);
    holds(&g->n, CGROUP_SOME_AVG10, 0);
    lacks(&g->n, CGROUP_SOFT_LIMIT);
    lacks(&g->n, CGROUP_UNDER_OOM);
    lacks(&g->n, CGROUP_KERNEL);
    lacks(&g->n, CGROUP_READ); /* that group had no io.stat: unknown, not zero */
    assert_int_equal(g->stat.value[MEMSTAT_ANON], 67276800);
}

static void a_whole_group_of_v2_is_read(void **state) {
    struct group g;

    (void)state;
    group_v2(&g);
    for (unsigned again = 0; again < 2; again++) {
        assert_int_equal(read_all(&g), 0);
        check_v2(&g);
    }
    group_done(&g);
}

static void the_root_group_lacks_what_the_kernel_leaves_out(void **state) {
    struct group g;
    struct cgroup top;

    (void)state;
    group_v2(&g);
    cgroup_init(&top, &g.t.fs, &g.fds, STR("/"));
    assert_int_equal(cgroup_read(&top, ALL, NULL, &g.stat, &g.n), 0);
    lacks(&g.n, CGROUP_USAGE);
    lacks(&g.n, CGROUP_LIMIT);
    lacks(&g.n, CGROUP_OOM_KILLS);
    holds(&g.n, CGROUP_READ, 1204224);
    holds(&g.n, CGROUP_WRITTEN, 4096);
    assert_true(memstat_has(&g.stat, MEMSTAT_ANON));
    cgroup_done(&top);
    group_done(&g);
    group_v1(&g);
    cgroup_init(&top, &g.t.fs, &g.fds, STR("/"));
    assert_int_equal(cgroup_read(&top, ALL, NULL, &g.stat, &g.n), 0);
    assert_true(cgroup_has(&g.n, CGROUP_USAGE));
    assert_true(g.n.value[CGROUP_LIMIT] == CGROUP_NO_LIMIT);
    assert_true(g.n.value[CGROUP_SWAP_LIMIT] == CGROUP_NO_LIMIT);
    cgroup_done(&top);
    group_done(&g);
}

static void a_missing_or_broken_file_takes_only_its_own_fields_away(void **state) {
    struct group g;

    (void)state;
    group_v2(&g);
    cgtest_delete(&g.t, "/sys/fs/cgroup/app/memory.events");
    cgtest_delete(&g.t, "/sys/fs/cgroup/app/memory.peak");
    cgtest_delete(&g.t, "/sys/fs/cgroup/app/memory.pressure");
    cgtest_write(&g.t, "/sys/fs/cgroup/app/memory.high", "much\n");
    cgtest_write(&g.t, "/sys/fs/cgroup/app/memory.swap.current", "");
    cgtest_write(&g.t, "/sys/fs/cgroup/app/memory.of.the.future", "unheard of");
    assert_int_equal(read_all(&g), 0);
    lacks(&g.n, CGROUP_OOM_KILLS);
    lacks(&g.n, CGROUP_PEAK);
    lacks(&g.n, CGROUP_SOME_AVG10);
    lacks(&g.n, CGROUP_HIGH);
    lacks(&g.n, CGROUP_SWAP);
    holds(&g.n, CGROUP_USAGE, 85544960);
    holds(&g.n, CGROUP_LOW, 16777216);
    holds(&g.n, CGROUP_CPU_US, 886134);
    assert_int_equal(g.stat.value[MEMSTAT_ANON], 67276800);
    group_done(&g);
}

static void a_file_that_is_too_long_is_unknown_not_half_read(void **state) {
    char text[20000];
    struct group g;

    (void)state;
    group_v2(&g);
    for (size_t i = 0; i < sizeof(text); i += 8)
        memcpy(text + i, "anon  1\n", 8);
    text[sizeof(text) - 1] = '\0';
    cgtest_write(&g.t, "/sys/fs/cgroup/app/memory.stat", text);
    assert_int_equal(read_all(&g), 0);
    assert_int_equal(g.stat.have, 0);
    holds(&g.n, CGROUP_USAGE, 85544960);
    group_done(&g);
}

static void only_what_was_asked_for_is_read(void **state) {
    struct group g;

    (void)state;
    group_v2(&g);
    assert_int_equal(cgroup_read(&g.cg, CGROUP_READ_USAGE, NULL, NULL, &g.n), 0);
    assert_int_equal(g.n.have, 1ull << CGROUP_USAGE);
    assert_int_equal(cgroup_read(&g.cg, CGROUP_READ_LIMIT | CGROUP_READ_PIDS, NULL, NULL, &g.n), 0);
    assert_int_equal(g.n.have, 1ull << CGROUP_LIMIT | 1ull << CGROUP_PIDS);
    assert_int_equal(cgroup_read(&g.cg, 0, NULL, NULL, &g.n), 0);
    assert_int_equal(g.n.have, 0);
    group_done(&g);
}

static void swap_limit_of_v1_is_what_memory_leaves_of_both(void **state) {
    struct group g;

    (void)state;
    group_v1(&g);
    cgtest_write(&g.t, "/sys/fs/cgroup/memory/app/memory.memsw.limit_in_bytes", "268435456\n");
    assert_int_equal(read_all(&g), 0);
    holds(&g.n, CGROUP_SWAP_LIMIT, 0);
    cgtest_write(&g.t, "/sys/fs/cgroup/memory/app/memory.limit_in_bytes", "9223372036854771712\n");
    assert_int_equal(read_all(&g), 0);
    lacks(&g.n, CGROUP_SWAP_LIMIT); /* how much of it may be swap depends on usage */
    group_done(&g);
}

static void a_file_that_comes_late_is_found_when_asked_to_retry(void **state) {
    struct group g;

    (void)state;
    group_v1(&g);
    cgtest_delete(&g.t, "/sys/fs/cgroup/pids/app");
    assert_int_equal(read_all(&g), 0);
    lacks(&g.n, CGROUP_PIDS);
    cgtest_write(&g.t, "/sys/fs/cgroup/pids/app/pids.current", "3\n");
    assert_int_equal(read_all(&g), 0);
    lacks(&g.n, CGROUP_PIDS);
    cgroup_retry(&g.cg);
    assert_int_equal(read_all(&g), 0);
    holds(&g.n, CGROUP_PIDS, 3);
    group_done(&g);
}

/* --- descriptors --- */

static void descriptors_are_kept_as_budgeted_and_given_back(void **state) {
    /* Of a v1 group eight files can be kept: stat, usage, events and five extra ones. */
    static const struct {
        struct cgroup_fds fds;
        int kept, extra;
        bool exhausted;
    } budgets[] = {{{0, 0, false}, 0, 0, true},   {{0, 5, false}, 0, 0, true},
                   {{2, 1, false}, 2, 0, true},   {{3, 0, false}, 3, 0, false},
                   {{4, 4, false}, 4, 1, false},  {{100, 2, false}, 5, 2, false},
                   {{100, 9, false}, 8, 5, false}};

    (void)state;
    for (size_t i = 0; i < ARRAY_N(budgets); i++) {
        struct group g;
        int before;

        group_v1(&g);
        g.fds = budgets[i].fds;
        before = cgtest_open_fds();
        for (unsigned again = 0; again < 3; again++) {
            assert_int_equal(read_all(&g), 0);
            check_v1(&g);
            assert_int_equal(cgtest_open_fds(), before + budgets[i].kept);
            assert_int_equal(g.fds.left, budgets[i].fds.left - budgets[i].kept);
            assert_int_equal(g.fds.extra_left, budgets[i].fds.extra_left - budgets[i].extra);
        }
        assert_int_equal(g.fds.exhausted, budgets[i].exhausted);
        for (unsigned again = 0; again < 2; again++) { /* twice is legal */
            cgroup_done(&g.cg);
            assert_int_equal(cgtest_open_fds(), before);
            assert_int_equal(g.fds.left, budgets[i].fds.left);
            assert_int_equal(g.fds.extra_left, budgets[i].fds.extra_left);
        }
        group_done(&g);
    }
}

static void values_are_the_same_without_any_descriptor(void **state) {
    struct group with, without;

    (void)state;
    group_v2(&with);
    group_v2(&without);
    without.fds.left = 0;
    assert_int_equal(read_all(&with), 0);
    assert_int_equal(read_all(&without), 0);
    check_v2(&without);
    assert_int_equal(with.n.have, without.n.have);
    for (unsigned field = 0; field < CGROUP_N; field++)
        if (cgroup_has(&with.n, field))
            assert_int_equal(with.n.value[field], without.n.value[field]);
    assert_memory_equal(&with.stat, &without.stat, sizeof(with.stat));
    group_done(&with);
    group_done(&without);
}

static void kept_files_show_what_is_written_later(void **state) {
    struct group g;

    (void)state;
    group_v2(&g);
    assert_int_equal(read_all(&g), 0);
    cgtest_write(&g.t, "/sys/fs/cgroup/app/memory.current", "99\n");
    cgtest_write(&g.t, "/sys/fs/cgroup/app/memory.max", "max\n");
    assert_int_equal(read_all(&g), 0);
    holds(&g.n, CGROUP_USAGE, 99);
    assert_true(g.n.value[CGROUP_LIMIT] == CGROUP_NO_LIMIT);
    group_done(&g);
}

/* In a child: the limit on descriptors of this process stays as it was. */
static int raise_limit(void) {
    struct rlimit limit = {50, 400};
    struct cgroup_fds fds;

    if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
        return 10;
    cgroup_fds_init(&fds, 30);
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur != 400)
        return 11;
    if (fds.left != 370 || fds.extra_left <= 0 || fds.extra_left >= 370 || fds.exhausted)
        return 12;
    limit = (struct rlimit){20, 20};
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
        return 13;
    cgroup_fds_init(&fds, 30);
    return fds.left == 0 ? 0 : 14;
}

/* Opens until the process has no descriptor left, though the budget said there were. */
static int run_out(struct group *g) {
    struct rlimit limit = {0, 0};
    int free_fd = dup(0);

    limit.rlim_cur = limit.rlim_max = (rlim_t)free_fd + 2;
    close(free_fd);
    if (free_fd < 0 || setrlimit(RLIMIT_NOFILE, &limit) < 0)
        return 10;
    if (cgroup_read(&g->cg, CGROUP_READ_USAGE | CGROUP_READ_EVENTS | CGROUP_READ_STAT, NULL,
                    &g->stat, &g->n) != 0)
        return 11;
    if (!g->fds.exhausted || g->fds.left != 0)
        return 12;
    cgroup_done(&g->cg); /* with room again, everything is back */
    if (cgroup_read(&g->cg, CGROUP_READ_USAGE, NULL, NULL, &g->n) != 0)
        return 13;
    return g->n.value[CGROUP_USAGE] == 85544960 ? 0 : 14;
}

static int exit_of(pid_t child) {
    int status = 0;

    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void the_limit_on_descriptors_is_raised_and_a_reserve_is_left(void **state) {
    struct group g;
    pid_t child = fork();

    (void)state;
    if (child == 0)
        _exit(raise_limit());
    assert_int_equal(exit_of(child), 0);
    group_v2(&g);
    child = fork();
    if (child == 0)
        _exit(run_out(&g));
    assert_int_equal(exit_of(child), 0);
    group_done(&g);
}

/* --- gone or forbidden --- */

static void a_folder_that_is_gone_is_a_group_that_is_gone(void **state) {
    struct group g;

    (void)state;
    group_v2(&g);
    cgtest_delete(&g.t, "/sys/fs/cgroup/app");
    assert_int_equal(read_all(&g), -ENODEV);
    assert_int_equal(read_all(&g), -ENODEV);
    cgroup_done(&g.cg); /* it may be made again */
    cgtest_copy(&g.t, "tests/fixtures/v2/app", "/sys/fs/cgroup/app");
    assert_int_equal(read_all(&g), 0);
    check_v2(&g);
    group_done(&g);
}

static int read_as_nobody(struct group *g) {
    if (geteuid() == 0 &&
        (setresgid(65534, 65534, 65534) < 0 || setresuid(65534, 65534, 65534) < 0))
        return 10;
    for (unsigned again = 0; again < 2; again++) {
        if (cgroup_read(&g->cg, ALL, NULL, &g->stat, &g->n) != -EACCES)
            return 11;
        if (cgroup_has(&g->n, CGROUP_USAGE) || g->stat.have != 0)
            return 12;
        if (!cgroup_has(&g->n, CGROUP_PIDS) || g->n.value[CGROUP_PIDS] != 2)
            return 13;
    }
    return 0;
}

static void what_is_forbidden_is_said_and_the_rest_is_read(void **state) {
    char path[256];
    struct group g;
    pid_t child;

    (void)state;
    group_v2(&g);
    snprintf(path, sizeof(path), "%s/sys/fs/cgroup/app/memory.current", g.t.top);
    assert_int_equal(chmod(path, 0), 0);
    snprintf(path, sizeof(path), "%s/sys/fs/cgroup/app/memory.stat", g.t.top);
    assert_int_equal(chmod(path, 0), 0);
    child = fork();
    if (child == 0)
        _exit(read_as_nobody(&g));
    assert_int_equal(exit_of(child), 0);
    group_done(&g);
}

static void kills_below_are_summed_on_v1_alone(void **state) {
    struct group g;

    (void)state;
    group_v1(&g);
    cgtest_write(&g.t, "/sys/fs/cgroup/memory/p/memory.oom_control", "under_oom 0\noom_kill 100\n");
    cgtest_write(&g.t, "/sys/fs/cgroup/memory/p/a/memory.oom_control", "under_oom 0\noom_kill 1\n");
    cgtest_write(&g.t, "/sys/fs/cgroup/memory/p/a/b/memory.oom_control", "oom_kill 20\n");
    cgtest_write(&g.t, "/sys/fs/cgroup/memory/p/c/memory.oom_control", "oom_kill nonsense\n");
    cgtest_write(&g.t, "/sys/fs/cgroup/memory/p/c/d/memory.oom_control", "oom_kill 300\n");
    cgtest_write(&g.t, "/sys/fs/cgroup/memory/p/e/memory.oom_control", "under_oom 0\n");
    assert_int_equal(cgroup_oom_kills_below(&g.t.fs, STR("/p")), 321);
    assert_int_equal(cgroup_oom_kills_below(&g.t.fs, STR("/p/a")), 20);
    assert_int_equal(cgroup_oom_kills_below(&g.t.fs, STR("/p/a/b")), 0);
    assert_int_equal(cgroup_oom_kills_below(&g.t.fs, STR("/none")), 0);
    group_done(&g);
    group_v2(&g);
    assert_int_equal(cgroup_oom_kills_below(&g.t.fs, STR("/")), 0);
    group_done(&g);
}

/* --- the real kernel --- */

static void a_removed_group_is_told_from_a_file_that_is_not_offered(void **state) {
    struct cgtest_real r;
    struct cgroup_fds budgets[] = {{.left = 100, .extra_left = 100}, {.left = 0}};
    char path[128];

    (void)state;
    cgtest_real_init(&r);
    snprintf(path, sizeof(path), "%s/gone", r.group);
    for (size_t i = 0; i < ARRAY_N(budgets); i++) {
        struct cgroup_numbers n;
        struct memstat stat;
        struct cgroup cg;

        cgtest_real_mkdir(&r, "/gone");
        cgroup_init(&cg, &r.fs, &budgets[i], str_of(path));
        assert_int_equal(cgroup_read(&cg, ALL, NULL, &stat, &n), 0);
        assert_true(cgroup_has(&n, CGROUP_USAGE) && cgroup_has(&n, CGROUP_OOM_KILLS));
        assert_true(n.value[CGROUP_LIMIT] == CGROUP_NO_LIMIT);
        assert_true(memstat_has(&stat, MEMSTAT_HIER_LIMIT));
        cgtest_real_rmdir(&r, "/gone");
        assert_int_equal(cgroup_read(&cg, ALL, NULL, &stat, &n), -ENODEV);
        assert_int_equal(cgroup_read(&cg, ALL, NULL, &stat, &n), -ENODEV);
        if (budgets[i].left > 0 || i == 0) /* kept descriptors tell it without memory.stat */
            assert_int_equal(cgroup_read(&cg, CGROUP_READ_USAGE, NULL, NULL, &n), -ENODEV);
        cgroup_done(&cg);
    }
    cgtest_real_done(&r);
}

/* Joins the group and touches so many bytes, then says so and waits. */
static void eat(const struct cgtest_real *r, const char *procs, size_t bytes, int said) {
    char *p;

    if (cgtest_real_write(r, procs, "0") != 0)
        _exit(10);
    p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        _exit(11);
    memset(p, 1, bytes);
    if (write(said, "x", 1) != 1)
        _exit(12);
    alarm(60);
    for (;;)
        pause();
}

static void what_a_process_takes_is_seen(void **state) {
    struct cgroup_fds fds = {.left = 100, .extra_left = 100};
    struct cgroup_numbers n;
    struct cgtest_real r;
    struct memstat stat;
    struct cgroup cg;
    char path[128], byte;
    pid_t child;
    int fd[2];

    (void)state;
    cgtest_real_init(&r);
    cgtest_real_mkdir(&r, "/eater");
    assert_int_equal(cgtest_real_write(&r, "/eater/memory.limit_in_bytes", "64M"), 0);
    snprintf(path, sizeof(path), "%s/eater", r.group);
    cgroup_init(&cg, &r.fs, &fds, str_of(path));
    assert_int_equal(pipe2(fd, O_CLOEXEC), 0);
    child = fork();
    if (child == 0)
        eat(&r, "/eater/cgroup.procs", 8 << 20, fd[1]);
    assert_int_equal(read(fd[0], &byte, 1), 1);
    assert_int_equal(cgroup_read(&cg, ALL, NULL, &stat, &n), 0);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    holds(&n, CGROUP_LIMIT, 64 << 20);
    assert_true(n.value[CGROUP_USAGE] >= 8 << 20 && n.value[CGROUP_USAGE] < 64 << 20);
    assert_true(n.value[CGROUP_PEAK] >= n.value[CGROUP_USAGE]);
    assert_true(stat.value[MEMSTAT_ANON] >= 8 << 20);
    assert_int_equal(stat.value[MEMSTAT_HIER_LIMIT], 64 << 20);
    close(fd[0]);
    close(fd[1]);
    cgroup_done(&cg);
    cgtest_real_rmdir(&r, "/eater");
    cgtest_real_done(&r);
}

/* The limit is on the parent; the count is in the victim's group: only the sum tells. */
static void a_kill_is_counted_where_the_victim_was(void **state) {
    struct cgroup_fds fds = {.left = 100, .extra_left = 100};
    struct cgroup_numbers n;
    struct cgtest_real r;
    struct cgroup cg;
    char path[128];
    int status = 0;
    pid_t child;

    (void)state;
    cgtest_real_init(&r);
    cgtest_real_mkdir(&r, "/limited");
    cgtest_real_mkdir(&r, "/limited/victim");
    (void)cgtest_real_write(&r, "/limited/memory.swappiness", "0");
    (void)cgtest_real_write(&r, "/limited/victim/memory.swappiness", "0");
    assert_int_equal(cgtest_real_write(&r, "/limited/memory.limit_in_bytes", "16M"), 0);
    child = fork();
    if (child == 0)
        eat(&r, "/limited/victim/cgroup.procs", 64 << 20, STDERR_FILENO);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    snprintf(path, sizeof(path), "%s/limited", r.group);
    cgroup_init(&cg, &r.fs, &fds, str_of(path));
    assert_int_equal(cgroup_read(&cg, CGROUP_READ_EVENTS | CGROUP_READ_FAILCNT, NULL, NULL, &n), 0);
    holds(&n, CGROUP_OOM_KILLS, 0);
    assert_true(n.value[CGROUP_FAILCNT] > 0);
    assert_int_equal(cgroup_oom_kills_below(&r.fs, str_of(path)), 1);
    cgroup_done(&cg);
    cgtest_real_rmdir(&r, "/limited/victim");
    cgtest_real_rmdir(&r, "/limited");
    cgtest_real_done(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(v2_events_are_those_of_the_files),
        cmocka_unit_test(v1_oom_control_tells_kills_and_hangs),
        cmocka_unit_test(no_limit_is_known_by_its_word_or_its_size),
        cmocka_unit_test(disks_are_summed),
        cmocka_unit_test(cpu_time_is_microseconds),
        cmocka_unit_test(bad_text_changes_nothing),
        cmocka_unit_test(prefixes_are_whole_lines_or_errors),
        cmocka_unit_test(a_whole_group_of_v1_is_read),
        cmocka_unit_test(a_group_that_is_in_no_cpu_hierarchy_has_the_unified_trees_time),
        cmocka_unit_test(a_whole_group_of_v2_is_read),
        cmocka_unit_test(the_root_group_lacks_what_the_kernel_leaves_out),
        cmocka_unit_test(a_missing_or_broken_file_takes_only_its_own_fields_away),
        cmocka_unit_test(a_file_that_is_too_long_is_unknown_not_half_read),
        cmocka_unit_test(only_what_was_asked_for_is_read),
        cmocka_unit_test(swap_limit_of_v1_is_what_memory_leaves_of_both),
        cmocka_unit_test(a_file_that_comes_late_is_found_when_asked_to_retry),
        cmocka_unit_test(descriptors_are_kept_as_budgeted_and_given_back),
        cmocka_unit_test(values_are_the_same_without_any_descriptor),
        cmocka_unit_test(kept_files_show_what_is_written_later),
        cmocka_unit_test(the_limit_on_descriptors_is_raised_and_a_reserve_is_left),
        cmocka_unit_test(a_folder_that_is_gone_is_a_group_that_is_gone),
        cmocka_unit_test(what_is_forbidden_is_said_and_the_rest_is_read),
        cmocka_unit_test(kills_below_are_summed_on_v1_alone),
        cmocka_unit_test(a_removed_group_is_told_from_a_file_that_is_not_offered),
        cmocka_unit_test(what_a_process_takes_is_seen),
        cmocka_unit_test(a_kill_is_counted_where_the_victim_was),
    };

    return cmocka_run_group_tests(tests, NULL, cgtest_real_sweep);
}
