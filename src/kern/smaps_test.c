#include "kern/smaps.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "base/mem.h"
#include "kern/proctest.h"

static uint64_t must(const struct smaps *s, enum smaps_field field) {
    assert_true(smaps_have(s, field));
    return s->value[field];
}

static int add(void *ctx, const struct mapping *m) {
    smaps_add(ctx, &m->smaps);
    return 0;
}

static void rollup_has_every_value(void **state) {
    auto_close int v1 = proctest_open(PROCTEST_V1);
    struct smaps s;
    uint64_t uss;

    (void)state;
    assert_int_equal(smaps_read_rollup(v1, 10569, &s), 0);
    assert_int_equal(must(&s, SMAPS_RSS), 115976 * 1024);
    assert_int_equal(must(&s, SMAPS_PSS), 114053 * 1024);
    assert_int_equal(must(&s, SMAPS_PSS_FILE), 25229 * 1024);
    assert_int_equal(must(&s, SMAPS_SHARED_CLEAN), 2164 * 1024);
    assert_int_equal(must(&s, SMAPS_ANON), 88824 * 1024);
    assert_int_equal(must(&s, SMAPS_LOCKED), 0);
    assert_false(smaps_have(&s, SMAPS_SIZE));
    assert_true(smaps_uss(&s, &uss));
    assert_int_equal(uss, (24988 + 88824) * 1024);
    assert_int_equal(smaps_read_rollup(v1, 7596, &s), -ENOENT);
}

/* The kernel adds the same pages up in both, on a process that stands still. */
static void mappings_add_up_to_the_rollup(void **state) {
    static const struct {
        const char *tree;
        int32_t pid;
    } all[] = {{PROCTEST_V1, 10569}, {PROCTEST_V2, 134}};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        auto_close int proc = proctest_open(all[i].tree);
        struct smaps sum, rollup;

        smaps_zero(&sum);
        assert_int_equal(smaps_each(proc, all[i].pid, add, &sum), 0);
        assert_int_equal(smaps_read_rollup(proc, all[i].pid, &rollup), 0);
        for (unsigned f = SMAPS_RSS; f < SMAPS_N; f++) {
            if (f == SMAPS_PSS) { /* cut to whole KiB in each mapping */
                assert_in_range(rollup.value[f] - sum.value[f], 0, 128 * 1024);
                continue;
            }
            if (smaps_have(&sum, (enum smaps_field)f))
                assert_int_equal(sum.value[f], rollup.value[f]);
        }
        assert_true(must(&sum, SMAPS_SIZE) > must(&sum, SMAPS_RSS));
    }
}

static void missing_values_are_unknown(void **state) {
    struct smaps s;
    uint64_t uss = 7;

    (void)state;
    assert_int_equal(smaps_parse_rollup(STR("1-2 ---p 00000000 00:00 0  [rollup]\nRss: 4 kB\n"
                                            "Future:  9 pages\nPrivate_Clean: 4 kB\n"),
                                        &s),
                     0);
    assert_int_equal(s.have, 1U << SMAPS_RSS | 1U << SMAPS_PRIVATE_CLEAN);
    assert_false(smaps_uss(&s, &uss));
    assert_int_equal(uss, 7);
}

static void bad_text_changes_nothing(void **state) {
    static const char *const bad[] = {
        "",
        "\n",
        "Rss: 4 kB\n",
        "1-2 ---p 0 00:00 0 [rollup]\n",
        "1-2 ---p 0 00:00 0 [rollup]\nRss: 4 kB",
        "1-2 ---p 0 00:00 0 [rollup]\nRss: 4 MB\n",
        "1-2 ---p 0 00:00 0 [rollup]\nRss: -4 kB\n",
        "1-2 ---p 0 00:00 0 [rollup]\nRss: 4 kB\nPss:\n",
        "1-2 ---p 0 00:00 0 [rollup]\nRss: 4 kB\nno colon\n",
        "1-2 ---p 0 00:00 0 [rollup]\nRss: 18014398509481984 kB\n",
    };
    struct smaps s = {.have = 3};

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_true(smaps_parse_rollup(str_of(bad[i]), &s) < 0);
        assert_int_equal(s.have, 3);
        assert_int_equal(s.value[SMAPS_RSS], 0);
    }
}

static int try(struct str text) {
    struct smaps s;

    return smaps_parse_rollup(text, &s);
}

static void prefixes_end_at_lines(void **state) {
    (void)state;
    /* Lines two to last but one, the first having no value. */
    assert_int_equal(proctest_prefixes(PROCTEST_V1 "/10569/smaps_rollup", try), 21);
    assert_int_equal(proctest_prefixes(PROCTEST_V2 "/134/smaps_rollup", try), 20);
}

enum { MIB = 1 << 20 };

struct search {
    uint64_t start;
    struct smaps found;
};

static int find(void *ctx, const struct mapping *m) {
    struct search *s = ctx;

    if (m->start != s->start)
        return 0;
    s->found = m->smaps;
    return 1;
}

/* 8 MiB mapped, 6 touched by us, 2 of these given away lazily; then shared with a child. */
static void values_are_those_of_our_pages(void **state) {
    auto_close int proc = proctest_open("/proc");
    char *p = mmap(NULL, 8 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct search s = {.start = (uintptr_t)p};
    pid_t child;

    (void)state;
    assert_true((void *)p != MAP_FAILED);
    assert_int_equal(madvise(p, 8 * MIB, MADV_NOHUGEPAGE), 0);
    /* A page of its own access rights keeps the kernel from joining neighbours. */
    assert_int_equal(mprotect(p, 4096, PROT_NONE), 0);
    s.start += 4096;
    memset(p + MIB, 1, 6 * MIB);
    assert_int_equal(madvise(p + MIB, 2 * MIB, MADV_FREE), 0);
    assert_int_equal(smaps_each(proc, getpid(), find, &s), 1);
    assert_int_equal(must(&s.found, SMAPS_SIZE), 8 * MIB - 4096);
    assert_int_equal(must(&s.found, SMAPS_RSS), 6 * MIB);
    assert_int_equal(must(&s.found, SMAPS_PSS), 6 * MIB);
    /* The last few pages wait in a list of their CPU until it is full. */
    assert_in_range(must(&s.found, SMAPS_LAZYFREE), 3 * MIB / 2, 2 * MIB);
    child = fork();
    if (child == 0) {
        pause();
        _exit(0);
    }
    assert_true(child > 0);
    assert_int_equal(smaps_each(proc, child, find, &s), 1);
    assert_int_equal(must(&s.found, SMAPS_RSS), 6 * MIB);
    assert_int_equal(must(&s.found, SMAPS_PSS), 3 * MIB);
    assert_int_equal(must(&s.found, SMAPS_PRIVATE_DIRTY), 0);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    munmap(p, 8 * MIB);
}

static void a_zombie_has_nothing(void **state) {
    auto_close int proc = proctest_open("/proc");
    pid_t child = fork();
    siginfo_t info;
    struct smaps s = {.have = 3};
    int r;

    (void)state;
    if (child == 0)
        _exit(0);
    assert_true(child > 0);
    assert_int_equal(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT), 0);
    assert_int_equal(smaps_read_rollup(proc, child, &s), -ESRCH);
    assert_int_equal(s.have, 3);
    r = smaps_each(proc, child, add, &s);
    assert_true(r == 0 || r == -ESRCH);
    waitpid(child, NULL, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rollup_has_every_value),
        cmocka_unit_test(mappings_add_up_to_the_rollup),
        cmocka_unit_test(missing_values_are_unknown),
        cmocka_unit_test(bad_text_changes_nothing),
        cmocka_unit_test(prefixes_end_at_lines),
        cmocka_unit_test(values_are_those_of_our_pages),
        cmocka_unit_test(a_zombie_has_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
